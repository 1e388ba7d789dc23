"""Modalities of a table and of its measurements, as a law with compression factors reads them."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.laws import Law
from bayescale.model import measured as measuring
from bayescale.model.measured import NOT_NAMED
from bayescale.priors import Outcome, Prior
from bayescale.runs.findings import Finding
from bayescale.runs.table import RunTable

if TYPE_CHECKING:
    from bayescale.model.structure import Structure

__all__ = [
    "far_from_the_runs",
    "floats",
    "is_named",
    "joined",
    "only_of",
    "restricted",
    "with_labels",
    "with_measured",
    "without_gaps",
]


def restricted(law: Law, runs: RunTable) -> tuple[Law, list[Finding]]:
    """The law without the optional inputs that the table has nothing of; tokens are read where counted."""
    kept: dict[str, str] = {}
    for name in law.inputs:
        tokens = f"tokens_{name.removeprefix('bytes_')}"
        if name not in law.optional or _has_some(runs, name):
            kept[name] = name
        elif name in law.factors and tokens != name and _has_some(runs, tokens):
            kept[name] = tokens
    if law.factors and not set(kept) & set(law.factors):
        has = ", ".join(runs.columns)
        raise InputError(
            f"law {law.name!r} reads at least one of the columns {', '.join(law.factors)}, of which this "
            f"table has none with a number above 0 (it has: {has[:600]}). Rename on entry: "
            f'read_runs(path, rename={{"their_name": "{next(iter(law.factors))}"}}).'
        )
    counted = [c for c, column in kept.items() if c != column]
    letters = [law.factors[c] for c in counted if law.factors[c] in law.parameters]
    if len(kept) < len(law.inputs):
        law = law.only(*kept)
    if not counted:
        return law, []
    told = (
        f"{', '.join(kept[c] for c in counted)}: tokens are read as counted, since the table has no raw "
        f"bytes there; {', '.join(letters)} is held at 1."
    )
    held = law.holding(**dict.fromkeys(letters, 1.0)).reading(*kept.values())
    return held, [Finding("tokens-counted", "note", told)]


def _has_some(runs: RunTable, column: str) -> bool:
    return column in runs.columns and bool((np.nan_to_num(floats(runs.frame[column])) > 0).any())


def without_gaps(frame: Any, law: Law, columns: Mapping[str, str]) -> Any:
    """The frame with 0 in the empty cells of optional inputs: this run had none of it.

    Raises
    ------
    InputError
        If a cell is negative, or a run has nothing of any.
    """
    optional = [columns[c] for c in law.inputs if c in law.optional]
    if not optional:
        return frame
    filled = {c: np.nan_to_num(floats(frame[c]), nan=0.0) for c in optional}
    for column, cells in filled.items():
        low = np.flatnonzero(~(cells >= 0) | np.isinf(cells))
        if low.size:
            raise InputError(
                f"column {column!r} must be finite and not negative: run "
                f"{str(frame['run_id'].iloc[low[0]])[:60]!r} has {cells[low[0]]:g} ({low.size} such rows). "
                "An empty cell or a 0 says that a run had none."
            )
    added = [columns[c] for c in law.inputs if c in law.factors]
    nothing = np.flatnonzero(np.sum([filled[c] for c in added], axis=0) == 0) if added else np.array([])
    if nothing.size:
        named = ", ".join(str(frame["run_id"].iloc[i])[:60] for i in nothing[:5])
        raise InputError(
            f"{nothing.size} rows have nothing in any of {', '.join(added)}: run {named}. Fill in what "
            "they were trained on, or leave these rows out with where."
        )
    return frame.assign(**filled)


def joined(
    law: Law, frame: Any, wanted: Mapping[str, tuple[str, ...]], measurements: Any
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[Any, dict[str, str]]], list[Finding]]:
    """Factors with those of the measurements among them; for each letter its rows and their factors."""
    if measurements is None:
        return dict(wanted), {}, []
    tables, findings = measuring.rows_by_letter(measurements, law)
    wanted, rows = dict(wanted), {}
    for letter, table in tables.items():
        factors = measuring.factors_of(table, letter, wanted.get(letter, ()), tuple(map(str, frame.columns)))
        factors = {
            c: f for c, f in factors.items() if f in wanted.get(letter, ()) or _several(frame, f, table[c])
        }
        here = {f: set(frame[f].fillna("").astype(str)) - {""} for f in factors.values() if f in frame}
        named = {c: here.get(factors.get(c, ""), set()) for c in ("tokenizer", "material")}
        common = {f: NOT_NAMED for f in factors.values() if not is_named(frame, f)}
        findings += measuring.unmeasured(table, letter, factors, here)
        findings += measuring.on_the_runs_own(letter, factors, common)
        table, found = measuring.reduced(table, letter, named)
        findings += found
        wanted[letter] = tuple(dict.fromkeys((*wanted.get(letter, ()), *factors.values())))
        rows[letter] = (table, factors)
    return wanted, rows, findings


def is_named(frame: Any, factor: str) -> bool:
    """Whether the runs name their group of a factor, some of them at least."""
    return factor in frame and bool((frame[factor].fillna("").astype(str) != "").any())


def _several(frame: Any, factor: str, measured: Any) -> bool:
    """Whether a factor that nobody asked for has groups to tell apart."""
    cells = [*measured, *(frame[factor].fillna("") if factor in frame else (NOT_NAMED,))]
    return len({str(cell) for cell in cells} - {""}) > 1


def with_labels(
    frame: Any,
    law: Law,
    wanted: Mapping[str, tuple[str, ...]],
    columns: Mapping[str, str],
    measured: set[str],
) -> Any:
    """The frame in which every run has a label in each factor of a compression factor.

    A run that had nothing of a modality needs no tokenizer there: it is given the commonest label.
    """
    for name, letter in law.factors.items():
        for factor in wanted.get(letter, ()):
            if factor not in frame and letter in measured:
                frame = frame.assign(**{factor: NOT_NAMED})
                continue
            if ":" in factor or factor not in frame:
                continue
            cells = frame[factor].fillna("").astype(str).to_numpy(dtype=object)
            empty = cells == ""
            if not empty.any():
                continue
            alone = only_of(wanted, factor, letter)
            used = (frame[columns[name]] > 0).to_numpy(dtype=bool)
            needless = bool(alone and not (empty & used).any() and (~empty).any())
            names, counts = np.unique(cells[~empty].astype(str), return_counts=True)
            label = str(names[counts.argmax()]) if needless else NOT_NAMED
            frame = frame.assign(**{factor: np.where(empty, label, cells).astype(str)})
    return frame


def only_of(wanted: Mapping[str, tuple[str, ...]], factor: str, letter: str) -> bool:
    """Whether no other parameter differs over a factor."""
    return [k for k, fs in wanted.items() if factor in fs] == [letter]


def with_measured(
    labels: Mapping[str, tuple[str, ...]], rows: Mapping[str, tuple[Any, dict[str, str]]]
) -> dict[str, tuple[str, ...]]:
    """Labels of the runs, and after them those that were measured only."""
    found = dict(labels)
    for table, factors in rows.values():
        for column, factor in factors.items():
            more = sorted(set(table[column].astype(str)) - set(found[factor]))
            found[factor] = (*found[factor], *more)
    return found


def far_from_the_runs(s: "Structure", inputs: Mapping[str, np.ndarray], outcome: Outcome) -> dict[str, Prior]:
    """Priors of slopes and intercept where the intercept is the value at a scale that no run is near.

    Each slope alone may move the value by three times what the runs show, over the runs; the intercept is as
    loose as the slopes make it there.
    """
    kinds = {k: kind.name for k, kind in s.law.parameters.items()}
    here = {k: s.law.typical.get(k, 0.0) for k in kinds}
    scaled = [inputs[k] / s.reference[k] for k in s.law.inputs]
    found, loose = {}, (3 * outcome.spread) ** 2
    for letter in (k for k, kind in kinds.items() if kind == "slope"):
        along = s.law(*scaled, **(here | {letter: 1.0}))
        reach = max(float(np.ptp(along)), 1.0)
        width = 3 * outcome.spread / reach
        found[letter] = Prior("Normal", mu=0.0, sigma=width)
        loose += (width * float(np.mean(along))) ** 2
    for letter in (k for k, kind in kinds.items() if kind == "intercept"):
        found[letter] = Prior("Normal", mu=outcome.middle, sigma=math.sqrt(loose))
    return found


def floats(column: Any) -> np.ndarray:
    """A column as floats; NaN throughout if it holds text."""
    return np.asarray(column, dtype=float) if column.dtype.kind in "fiub" else np.full(len(column), np.nan)
