"""What may be wrong with a table of measurements, each fault with its rows and the mend."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.compression.schema import MODALITIES, RAW_UNITS
from bayescale.runs.findings import Finding
from bayescale.runs.places import Places, shown

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CHECKS", "KEY", "check_measurements", "mixed_units"]

KEY = ["modality", "tokenizer", "material", "raw_unit", "source"]
"""What tells one measurement from another."""


def check_measurements(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """All faults of a table in canonical columns."""
    return [finding for check in CHECKS.values() for finding in check(frame, places)]


def mixed_units(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Modalities whose rows count the raw side in several units."""
    found = []
    for modality in MODALITIES:
        units = frame.loc[frame["modality"] == modality, "raw_unit"]
        names = list(dict.fromkeys(units))
        if len(names) > 1:
            counted = ", ".join(f"{name} ({int((units == name).sum())} rows)" for name in names)
            other = next(i for i in np.flatnonzero(frame["modality"] == modality) if units[i] != names[0])
            found.append(
                Finding(
                    "mixed-raw-units",
                    "error",
                    f"{places.column('raw_unit')}: the rows of {modality} are in several units, {counted}; "
                    f"the first of another unit is {_row(frame, places, int(other))}. Factors in different "
                    "units are different quantities: keep one, "
                    f"read_measurements(path, where='raw_unit == \"{names[0]}\"').",
                )
            )
    return found


def _labels(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    return [
        Finding(
            "missing-label",
            "error",
            f"{places.column(name)} is empty in some rows: {_rows(frame, places, rows)}. Name each.",
        )
        for name in ("modality", "tokenizer", "material", "raw_unit")
        if len(rows := np.flatnonzero((frame[name] == "").to_numpy(dtype=bool)))
    ]


def _modalities(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    return _unknown(frame, places, "modality", MODALITIES)


def _units(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    found = _unknown(frame, places, "raw_unit", tuple(RAW_UNITS))
    cannot = [
        i
        for i, (unit, modality) in enumerate(zip(frame["raw_unit"], frame["modality"], strict=True))
        if unit in RAW_UNITS and modality in MODALITIES and modality not in RAW_UNITS[unit]
    ]
    if cannot:
        modality, unit = frame["modality"].iloc[cannot[0]], frame["raw_unit"].iloc[cannot[0]]
        allowed = ", ".join(u for u, kinds in RAW_UNITS.items() if modality in kinds)
        found.append(
            Finding(
                "unit-of-another-modality",
                "error",
                f"{places.column('raw_unit')}: {modality} cannot be counted in {unit} "
                f"({_rows(frame, places, cannot)}). Allowed for {modality}: {allowed}.",
            )
        )
    return found


def _unknown(frame: "pd.DataFrame", places: Places, name: str, known: Sequence[str]) -> list[Finding]:
    cells = frame[name]
    rows = np.flatnonzero(~cells.isin([*known, ""]).to_numpy(dtype=bool))
    if not len(rows):
        return []
    first = str(cells.iloc[rows[0]])
    near = get_close_matches(first.strip().lower(), known, n=1, cutoff=0.5)
    near = near or [k for k in known if k in first.lower()][:1]
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return [
        Finding(
            f"unknown-{name.replace('_', '-')}",
            "error",
            f"{places.column(name)} holds a name that is not known: {_rows(frame, places, rows, cells)}."
            f"{hint} Allowed: {', '.join(known)}.",
        )
    ]


def _sizes(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    raw, tokens, error = (frame[name].to_numpy(dtype=float) for name in ("raw", "tokens", "se_log"))
    faults: tuple[tuple[str, Any, str, str], ...] = (
        ("raw", np.isnan(raw), "is missing", "Give the raw size, or leave the row out"),
        ("raw", raw <= 0, "must be above 0", "A material of no size has no factor: leave the row out"),
        ("tokens", np.isnan(tokens), "is missing", "Give the tokens, or leave the row out"),
        ("tokens", tokens <= 0, "must be above 0", "No tokens, no factor: leave the row out"),
        (
            "tokens",
            (tokens > 0) & (tokens % 1 != 0),
            "must be a whole number",
            "Tokens are counted; where only a ratio is known, give raw and tokens on a round number of "
            "tokens, such as raw 4123210, tokens 1000000",
        ),
        ("se_log", error < 0, "must not be negative", "Give 0 where it is not known"),
        (
            "se_log",
            error > 2,
            "is larger than 2, a factor of more than seven",
            "It is the standard error of log(raw / tokens), not that of the factor in its unit",
        ),
    )
    return [
        Finding(
            f"bad-{name}".replace("_", "-"),
            "error",
            f"{places.column(name)} {problem}: {_rows(frame, places, rows, frame[name])}. {mend}.",
        )
        for name, bad, problem, mend in faults
        if len(rows := np.flatnonzero(bad))
    ]


def _tokens_above_bytes(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    of_text = ((frame["modality"] == "text") & (frame["raw_unit"] == "bytes")).to_numpy(dtype=bool)
    rows = np.flatnonzero(
        of_text
        & (frame["tokens"] > frame["raw"]).to_numpy(dtype=bool)
        & (frame["raw"] > 0).to_numpy(dtype=bool)
    )
    if not len(rows):
        return []
    i = int(rows[0])
    return [
        Finding(
            "tokens-above-bytes",
            "error",
            f"{places.column('tokens')}: more tokens than bytes of text, which no tokenizer of bytes or "
            f"longer pieces can give: {_row(frame, places, i)} has {frame['tokens'].iloc[i]:.10g} tokens for "
            f"{frame['raw'].iloc[i]:.10g} bytes"
            f"{f', and {len(rows) - 1} more rows' if len(rows) > 1 else ''}. "
            "Most likely raw and tokens are swapped, or raw is in characters (raw_unit = characters).",
        )
    ]


def _factors(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    told = frame["log_factor"].to_numpy(dtype=float)
    with np.errstate(all="ignore"):
        ours = np.log(frame["raw"].to_numpy(dtype=float) / frame["tokens"].to_numpy(dtype=float))
        rows = np.flatnonzero(np.abs(told - ours) > 1e-4)
    if not len(rows):
        return []
    i = int(rows[0])
    return [
        Finding(
            "factor-disagrees",
            "error",
            f"{places.column('log_factor')} is not log(raw / tokens): {_row(frame, places, i)} has "
            f"{told[i]:.6g}, while its sizes give {ours[i]:.6g}. Leave the column out, it is worked out.",
        )
    ]


def _duplicates(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    twice = frame.duplicated(KEY, keep=False).to_numpy(dtype=bool)
    if not twice.any():
        return []
    rows = np.flatnonzero(twice)
    first = frame.iloc[rows[0]]
    same = [i for i in rows if all(frame[k].iloc[i] == first[k] for k in KEY)]
    return [
        Finding(
            "duplicate-measurements",
            "error",
            f"one measurement stands {len(same)} times: {first['tokenizer']!r} on {first['material']!r} "
            f"({first['modality']}, {first['raw_unit']}, source {first['source']!r}), "
            f"{_rows(frame, places, same)}; {len(rows)} rows have a twin. Keep one, add their sizes, or tell "
            "them apart by material or source.",
        )
    ]


# One row a check; the next one is a function and a row here.
CHECKS: dict[str, Callable[["pd.DataFrame", Places], list[Finding]]] = {
    "empty labels": _labels,
    "modalities not known": _modalities,
    "units not known or of another modality": _units,
    "sizes that cannot be": _sizes,
    "more tokens than bytes": _tokens_above_bytes,
    "factors that disagree with sizes": _factors,
    "one measurement twice": _duplicates,
    "several units in one modality": mixed_units,
}


def _row(frame: "pd.DataFrame", places: Places, i: int) -> str:
    return f"{places.row(frame, i)} ({str(frame['tokenizer'].iloc[i])[:40]!r})"


def _rows(frame: "pd.DataFrame", places: Places, rows: Any, cells: Any = None, limit: int = 5) -> str:
    named = [
        _row(frame, places, int(i)) + ("" if cells is None else f" has {shown(cells.iloc[int(i)])}")
        for i in rows[:limit]
    ]
    return ", ".join(named) + (f", and {len(rows) - limit} more" if len(rows) > limit else "")
