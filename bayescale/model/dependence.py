r"""How the scatter of runs hangs together: runs of one group lie off the law alike, or scatter alike.

On the scale of the noise, a run's expected value is the law's plus the offsets of its groups,

.. math:: o_g \sim N(0, \tau^2), \qquad \sigma_h = \sigma \exp(s_h),\; s_h \sim N(0, \omega^2)

with :math:`\tau` learnt as ``offset_sd_<column>`` and :math:`\omega` as ``sigma_sd_<column>``. Checkpoints
of one run share an offset, as may runs of one seed, budget or study; the scatter may differ by study.
Offsets have no common value: that is the law's. Beside groups, the scatter may grow with a power of an
input of the law (``scale_with`` of a noise part, learnt as ``sigma_slope``).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bayescale.errors import InputError
from bayescale.laws import Law
from bayescale.laws.elementwise import Array, exp, log
from bayescale.model.noise_scale import OFFSET, SIGMA, SLOPE, Noise, usual_scatter
from bayescale.model.structure import Structure, effect
from bayescale.priors import Outcome, Prior
from bayescale.runs.findings import Finding
from bayescale.runs.repeats import points_of_one_run

__all__ = [
    "checked",
    "of_one_run",
    "priors_of",
    "row_noise",
    "row_offset",
    "row_sigma",
    "size_at",
    "size_middle",
    "split_pool",
]

_OFFSET_SPREAD = 2.5  # over the usual scatter: seeds and checkpoints lie farther off than single runs scatter
_SIGMA_SPREAD = 0.5  # usual spread of log scatters between groups
_SLOPE_SPREAD = 0.2  # of the power with which the scatter grows


def split_pool(pool: Any, law: Law) -> tuple[Any, dict[str, Any]]:
    """What is stated of the law's own parameters, and what of the scatter."""
    if not isinstance(pool, Mapping):
        return pool, {}
    ours = {k for k in (OFFSET, SIGMA) if k not in law.parameters}
    return {k: v for k, v in pool.items() if k not in ours}, {k: v for k, v in pool.items() if k in ours}


def checked(frame: Any, wanted: Mapping[str, tuple[str, ...]], noise: Noise, n_rows: int) -> None:
    """Refuse groups of the scatter that the table does not have, or cannot tell from the scatter itself.

    Raises
    ------
    InputError
        All that is wrong with one of them in one message.
    """
    for letter, factors in wanted.items():
        if "sigma" not in noise.priors(Outcome(1.0, 1.0, 1.0)):
            raise InputError(
                f"pool={{{letter!r}: ...}} needs noise with a scatter sigma, and {type(noise).__name__} "
                "noise has none. Use noise='logit_normal' for scores, or leave it out."
            )
        for factor in factors:
            _refuse_unusable(frame, letter, factor, n_rows)


def _refuse_unusable(frame: Any, letter: str, factor: str, n_rows: int) -> None:
    stated = f"pool={{{letter!r}: {factor.replace(':', '/')!r}}}"
    columns = factor.split(":")
    lacking = [c for c in columns if c not in frame.columns]
    if lacking:
        has = ", ".join(map(str, frame.columns))[:600]
        raise InputError(f"{stated}: this table lacks the column {lacking[0]!r} (it has: {has}).")
    for column in columns:
        empty = np.flatnonzero(
            (frame[column].isna() | (frame[column].astype(str) == "")).to_numpy(dtype=bool)
        )
        if empty.size:
            raise InputError(
                f"{stated}: column {column!r} is empty in {empty.size:,} of {n_rows:,} rows, the first that "
                f"of run {str(frame['run_id'].iloc[empty[0]])[:60]!r}. Fill it in, or leave these rows out."
            )
    groups = len(frame[columns].drop_duplicates())
    if groups == n_rows:
        what = "an offset of each" if letter == OFFSET else "a scatter of each"
        raise InputError(
            f"{stated}: column {factor!r} has as many groups as there are rows ({n_rows:,}), so {what} is "
            "not identified beside the scatter. Pool over a column whose groups have several rows, or "
            "leave it out: the scatter already is that of single runs."
        )


def of_one_run(frame: Any, wanted: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    """What the fit does with several points of one training."""
    rows, runs = points_of_one_run(frame)
    if any("run_id" in f.split(":") for f in wanted.get(OFFSET, ())):
        return _shared_names(frame, wanted[OFFSET])
    if not rows.size:
        return []
    named = ", ".join(repr(str(run)[:60]) for run in runs[:3])
    if len(runs) == 1:
        told = (
            f"all points of several sizes come from one run ({named}). They are fitted as points of one law: "
            "what another run would do, they do not say."
        )
        return [Finding("points-of-one-run", "note", told)]
    told = (
        f"{rows.size:,} rows are points of {len(runs):,} runs at several scales ({named}), such as "
        "checkpoints in mid-training. They are fitted as if each were a run by itself, and intervals come "
        "out too narrow. Let each run have an offset of its own, pool={'offset': 'run_id'}, or keep one row "
        "of each run."
    )
    return [Finding("points-of-one-run", "warning", told)]


def _shared_names(frame: Any, factors: tuple[str, ...]) -> list[Finding]:
    """Runs of several families under one name, which would have one offset."""
    every = frame[["study", "family", "run_id"]].drop_duplicates()
    shared = every.loc[every.duplicated("run_id", keep=False), "run_id"].unique()
    if "run_id" not in factors or not len(shared):
        return []
    told = (
        f"{len(shared):,} names of runs stand in several families or studies, such as "
        f"{str(shared[0])[:60]!r}: "
        "the rows of one name are given one offset. If they are several runs, tell them apart with "
        "pool={'offset': 'family:run_id'}."
    )
    return [Finding("shared-names", "warning", told)]


def priors_of(noise: Noise, wanted: Mapping[str, Iterable[str]], outcome: Outcome) -> dict[str, Prior]:
    """Default priors of the spreads between groups, and of the slope of the scatter."""
    usual = {OFFSET: _OFFSET_SPREAD * usual_scatter(noise.on, outcome), SIGMA: _SIGMA_SPREAD}
    found = {
        f"{letter}_sd_{factor}": Prior("HalfNormal", sigma=usual[letter])
        for letter, factors in wanted.items()
        for factor in factors
    }
    slope = {SLOPE: Prior("Normal", mu=0.0, sigma=_SLOPE_SPREAD)}
    return found | (slope if getattr(noise, "scale_with", None) else {})


def size_middle(noise: Noise, law: Law, inputs: Mapping[str, np.ndarray]) -> float:
    """Geometric middle of the input with which the scatter grows; 1 where it does with none.

    Raises
    ------
    InputError
        If the law does not read it, or it is not positive everywhere.
    """
    name = getattr(noise, "scale_with", None)
    if name is None:
        return 1.0
    if name not in law.inputs and not (name == "flops" and {"n_params", "n_tokens"} <= set(law.inputs)):
        compute = ", flops" if {"n_params", "n_tokens"} <= set(law.inputs) else ""
        raise InputError(
            f"noise={noise!r}: scale_with={name!r} must be an input of law {law.name!r} "
            f"({', '.join(law.inputs)}{compute})."
        )
    size = _size(name, inputs)
    if not (size > 0).all():
        raise InputError(f"noise={noise!r}: scale_with={name!r} needs numbers above 0, and some are not.")
    return float(np.exp(np.mean(np.log(size))))


def size_at(s: Structure, inputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Size of each row over the middle of the runs; None where the scatter does not hang on it."""
    name = getattr(s.noise, "scale_with", None)
    return None if name is None else _size(name, inputs) / s.size_middle


def _size(name: str, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    if name in inputs:
        return np.asarray(inputs[name], dtype=float)
    return 6.0 * np.asarray(inputs["n_params"], dtype=float) * np.asarray(inputs["n_tokens"], dtype=float)


def row_offset(s: Structure, blocks: Mapping[str, Array], index: Mapping[str, np.ndarray]) -> Array | None:
    """By how much the groups of each row lie off the law, on the scale of the noise; None where none do."""
    return _effects(s, OFFSET, blocks, index)


def row_sigma(
    s: Structure, blocks: Mapping[str, Array], index: Mapping[str, np.ndarray], size: np.ndarray | None
) -> Array:
    """Scatter of each row; last axis is the row, or of length 1."""
    sigma = blocks[SIGMA][..., None]
    effects = _effects(s, SIGMA, blocks, index)
    if effects is not None:
        sigma = sigma * exp(effects)
    if size is not None:
        sigma = sigma * exp(blocks[SLOPE][..., None] * log(size))
    return sigma


def row_noise(
    s: Structure, blocks: Mapping[str, Array], index: Mapping[str, np.ndarray], size: np.ndarray | None
) -> dict[str, Array]:
    """What the noise part learnt, by row; last axis is the row, or of length 1."""
    learnt = {k: blocks[k][..., None] for k in s.noise_names}
    return learnt | ({SIGMA: row_sigma(s, blocks, index, size)} if SIGMA in learnt else {})


def _effects(
    s: Structure, letter: str, blocks: Mapping[str, Array], index: Mapping[str, np.ndarray]
) -> Array | None:
    found = None
    for factor in s.noise_pool.get(letter, ()):
        part = effect(s, letter, factor, blocks)[..., index[factor]]
        found = part if found is None else found + part
    return found
