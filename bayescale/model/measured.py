r"""Measured compression factors, as rows of the same model as the losses.

For a modality with factor C, measurement r of a tokenizer t on a material m is

.. math:: \log (raw_r / tokens_r) \sim N\big(\log C + u_t + v_m,\; \sqrt{s^2 + se_r^2}\big)

with C the population value of the law's parameter, u and v normal effects, s the scatter and se the known
error of the row (normal on purpose: see `bayescale.compression.model`). The runs have
:math:`\log C + u_t + v_m` of their own tokenizer and material. Where their table does not name these,
each is one more draw from the measured ones, the same for all runs. What a tokenizer does to one material
beyond the two effects is scatter here and is not carried to the runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.compression.model import PRIORS, FactorPrior
from bayescale.errors import InputError, did_you_mean
from bayescale.laws import Law
from bayescale.model.noise import Normal
from bayescale.priors import Prior
from bayescale.runs.findings import Finding

if TYPE_CHECKING:
    import pandas as pd

    from bayescale.model.structure import Structure

__all__ = ["NOT_NAMED", "SCATTER", "Measured", "modality_of", "placed", "rows_by_letter"]

NOT_NAMED = "(not named)"
"""Label of the tokenizer or material of runs whose table does not name it."""

SCATTER = Normal(on="value")
"""How measured log factors scatter about the sum of their effects."""

_COLUMNS = ("modality", "tokenizer", "material", "raw_unit", "log_factor")
# Counts of a grid agree exactly, and no scatter is small enough for them: a posterior that narrows without
# end towards none cannot be sampled.
_LEAST_ERROR, _UNKNOWN_ERROR = 0.01, 0.05
_MOST_ROWS = 1000  # of one modality; more are reduced to keep a fit within a minute
_OTHERS = {"tokenizer": 12, "material": 40}  # kept beside those that the runs name
_REDUCED_BY = 20240910  # seed: the same rows are kept every time


@dataclass(frozen=True, eq=False)
class Measured:
    """Measurement rows of one modality.

    Attributes
    ----------
    frame : DataFrame
        The rows, in the columns of a measurement table.
    value : array of shape (row,)
        Log of raw bytes per token.
    error : array of shape (row,)
        Standard error of it: as known, at least 1 %; 5 % where unknown.
    index : mapping of str to int array of shape (row,)
        By factor: each row's position among the labels.
    """

    frame: "pd.DataFrame"
    value: np.ndarray
    error: np.ndarray
    index: Mapping[str, np.ndarray]


def modality_of(letter: str) -> str:
    """``text`` of ``C_text``."""
    return letter.partition("_")[2] or letter


def rows_by_letter(measurements: Any, law: Law) -> tuple[dict[str, "pd.DataFrame"], list[Finding]]:
    """Measurement rows for each compression factor of a law, and what is to be said of the others.

    Parameters
    ----------
    measurements : table with ``.frame``, or DataFrame
        Columns modality, tokenizer, material, raw_unit, raw, tokens, log_factor, se_log.
    law : Law
        As restricted to the modalities of the runs.

    Raises
    ------
    InputError
        If columns are missing, cells cannot be used, or raw sizes of a modality of the runs are not in bytes.
    """
    frame = _frame(measurements)
    letters = [k for k in law.factors.values() if k in law.parameters]
    if not letters:
        raise InputError(
            f"measurements= was given, but law {law.name!r} has no compression factor to learn "
            f"(it learns {', '.join(law.parameters)}). Use a law such as 'compression_power', with runs that "
            "have bytes_<modality>."
        )
    text = frame["modality"].astype(str)
    every: Any = {k: frame[text == modality_of(k)] for k in letters}
    found = {k: rows.reset_index(drop=True) for k, rows in every.items() if len(rows)}
    for letter, rows in found.items():
        _refuse_unusable(rows, letter)
    findings: list[Finding] = []
    unused = sorted(set(text) - {modality_of(k) for k in letters})
    if unused:
        message = f"measurements of {', '.join(unused)} are not used: these runs have none of it."
        findings.append(Finding("unused-measurements", "note", message))
    lacking = [k for k in letters if k not in found]
    if lacking:
        told = (
            f"{', '.join(lacking)}: no measurement of {', '.join(map(modality_of, lacking))} is among those "
            f"given (they have: {', '.join(sorted(set(text)))}); its prior and the losses alone speak of it."
        )
        findings.append(Finding("no-measurement", "warning", told))
    return found, findings


def _frame(measurements: Any) -> "pd.DataFrame":
    """The frame behind a measurement table."""
    import pandas as pd

    frame = getattr(measurements, "frame", measurements)
    if not isinstance(frame, pd.DataFrame):
        raise InputError(
            f"measurements={type(measurements).__name__}: give a table of measurements, such as "
            "bayescale.load_measurements() or bayescale.read_measurements(path)."
        )
    missing = [c for c in _COLUMNS if c not in frame]
    if missing or not len(frame):
        fault = f"lack the column {missing[0]!r}" if missing else "have no rows"
        raise InputError(
            f"measurements {fault} (they have: {', '.join(map(str, frame.columns))}). They need "
            f"{', '.join(_COLUMNS)}, and se_log where it is known."
        )
    return frame if "se_log" in frame else frame.assign(se_log=0.0)


def _refuse_unusable(rows: "pd.DataFrame", letter: str) -> None:
    units = sorted(set(rows["raw_unit"].astype(str)))
    if units != ["bytes"]:
        raise InputError(
            f"measurements of {modality_of(letter)} count their raw side in {' and '.join(units)}, but "
            f"{letter} is in raw bytes per token, as bytes_{modality_of(letter)} of the runs is. Keep those "
            "in bytes: measurements.where(\"raw_unit == 'bytes'\")."
        )
    values, errors = (np.asarray(rows[c], dtype=float) for c in ("log_factor", "se_log"))
    bad = np.flatnonzero(~np.isfinite(values) | (errors < 0) | np.isinf(errors))
    if bad.size:
        at = rows.iloc[int(bad[0])]
        raise InputError(
            f"{bad.size} measurements of {modality_of(letter)} cannot be used, the first of tokenizer "
            f"{at['tokenizer']!r} on {at['material']!r}: log_factor {values[bad[0]]!r}, se_log "
            f"{errors[bad[0]]!r}. Both must be finite numbers, the error zero or more."
        )


def spreads(letter: str, factors: tuple[str, ...]) -> dict[str, Prior]:
    """Priors of the spreads between tokenizers and materials and of the scatter, as in `fit_compression`."""
    known = PRIORS.get((modality_of(letter), "bytes"), FactorPrior(10.0))
    width = {"tokeni": known.tokenizer_sd, "material": known.material_sd}
    found = {f"{letter}_scatter": Prior("HalfNormal", sigma=known.scatter_sd)}
    for factor in factors:
        sigma = next((w for start, w in width.items() if factor.startswith(start)), known.tokenizer_sd)
        found[f"{letter}_sd_{factor}"] = Prior("HalfNormal", sigma=sigma)
    return found


def reduced(
    rows: "pd.DataFrame", letter: str, named: Mapping[str, set[str]]
) -> tuple["pd.DataFrame", list[Finding]]:
    """The rows, or enough of them: all that the runs name, and others drawn at random.

    Parameters
    ----------
    named : mapping of str to set of str
        Labels that the runs name, under ``tokenizer`` and ``material``.
    """
    if len(rows) <= _MOST_ROWS:
        return rows, []
    kept: Any = rows
    told = []
    for column, most in _OTHERS.items():
        every = sorted(set(rows[column].astype(str)))
        others = [label for label in every if label not in named[column]]
        if len(others) <= most:
            continue
        drawn = np.random.default_rng(_REDUCED_BY).choice(others, most, replace=False)
        chosen = {*drawn.tolist(), *named[column]}
        kept = kept[kept[column].astype(str).isin(list(chosen))]
        told.append(f"{len(chosen & set(every))} of {len(every)} {column}s")
    if not told:
        return rows, []
    message = (
        f"of {len(rows):,} measurements of {modality_of(letter)}, {len(kept):,} are in the model, those of "
        f"{' and '.join(told)}: all that the runs name, and others drawn at random to tell the spread."
    )
    return kept.reset_index(drop=True), [Finding("reduced-measurements", "note", message)]


def factors_of(
    rows: "pd.DataFrame", letter: str, pooled: tuple[str, ...], columns: tuple[str, ...]
) -> dict[str, str]:
    """Factor of the model for each measured column (tokenizer, material) that can be told apart.

    The factor is the column over which the letter is pooled, else the runs' own ``tokenizer_<modality>``,
    else one that the runs do not name.
    """
    found = {}
    for column, spelt in {"tokenizer": ("tokeni",), "material": ("material",)}.items():
        stated = next((f for f in pooled if f.startswith(spelt)), None)
        own = f"{column}_{modality_of(letter)}"
        if stated or own in columns:
            found[column] = stated or own
        elif _told_apart(rows, column):
            found[column] = own
    return found


def _told_apart(rows: "pd.DataFrame", column: str) -> bool:
    """Whether effects of a column differ from the scatter: several labels; for materials, some repeated."""
    count = len(set(rows[column].astype(str)))
    return count > 1 and (column == "tokenizer" or count < len(rows))


def placed(
    rows: "pd.DataFrame", factors: Mapping[str, str], labels: Mapping[str, tuple[str, ...]]
) -> Measured:
    """Rows with their positions among the labels of their factors."""
    index, known = {}, np.nan_to_num(rows["se_log"].to_numpy(dtype=float), nan=0.0)
    for column, factor in factors.items():
        place = {label: i for i, label in enumerate(labels[factor])}
        index[factor] = np.array([place[str(cell)] for cell in rows[column]], dtype=int)
    return Measured(
        frame=rows,
        value=rows["log_factor"].to_numpy(dtype=float),
        error=np.where(known > 0, np.fmax(known, _LEAST_ERROR), _UNKNOWN_ERROR),
        index=index,
    )


def unmeasured(
    rows: "pd.DataFrame", letter: str, factors: Mapping[str, str], runs: Mapping[str, set[str]]
) -> list[Finding]:
    """Tokenizers and materials of the runs without a measurement, by name."""
    findings = []
    for column, factor in factors.items():
        known = sorted(set(rows[column].astype(str)))
        strange = sorted(runs.get(factor, set()) - set(known) - {NOT_NAMED})
        if not strange:
            continue
        hint = did_you_mean(strange[0], known)
        message = (
            f"{column} {', '.join(map(repr, strange[:6]))}{', …' if len(strange) > 6 else ''} of the runs "
            f"({factor}) has no measurement among those of {modality_of(letter)}: its {letter} has the prior "
            f"of its modality, as wide as the measured {column}s differ.{hint}"
        )
        findings.append(Finding(f"unmeasured-{column}", "warning", message))
    return findings


def on_the_runs_own(letter: str, factors: Mapping[str, str], common: Mapping[str, str]) -> list[Finding]:
    """That the runs do not name their tokenizer or material."""
    silent = {column: factor for column, factor in factors.items() if factor in common}
    if not silent:
        return []
    message = (
        f"{letter}: the runs do not name their {' and '.join(silent)} of {modality_of(letter)}, so theirs is "
        f"one more drawn from those measured, the same for all runs. To name it, add the column "
        f"{' and '.join(map(repr, silent.values()))} to the runs."
    )
    return [Finding("not-named", "note", message)]


def apart(measured: Measured, sizes: Mapping[str, int]) -> tuple[dict[str, np.ndarray], float, float]:
    """Effects by factor, their common level and the scatter about them, by sweeps of means: a rough guide."""
    level = float(np.mean(measured.value))
    effects = {f: np.zeros(sizes[f]) for f in measured.index}
    left = measured.value - level
    for _ in range(8):
        for factor, rows in measured.index.items():
            count = np.bincount(rows, minlength=sizes[factor])
            step = np.bincount(rows, weights=left, minlength=sizes[factor]) / np.maximum(count, 1)
            effects[factor] += step
            left = left - step[rows]
    for factor, rows in measured.index.items():
        shift = float(np.mean(effects[factor][np.unique(rows)]))
        effects[factor] -= shift
        level += shift
    scatter = 1.4826 * float(np.median(np.abs(left)))
    return effects, level, max(scatter, 0.01)


def as_prior_of_runs(measured: Measured, s: "Structure", index: Mapping[str, np.ndarray]) -> Prior:
    """About where the measurements put the factor of the runs, and how far it may lie from there."""
    effects, level, scatter = apart(measured, {f: len(s.labels[f]) for f in measured.index})
    width = scatter**2
    for factor, found in effects.items():
        used = np.unique(measured.index[factor])
        known = np.isin(index[factor], used)
        if known.any():
            level += float(np.mean(found[index[factor][known]]))
        if not known.all():
            width += float(np.var(found[used]))
    return Prior("LogNormal", mu=level, sigma=min(max(width**0.5, 0.05), 1.0))
