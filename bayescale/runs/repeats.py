"""Rows that are not independent runs: duplicates, checkpoints, several points of one training."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.runs.findings import Finding
from bayescale.runs.magnitudes import numbers
from bayescale.runs.places import Places
from bayescale.runs.schema import metric_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "checkpoints",
    "duplicate_ids",
    "families_of_one",
    "identical_results",
    "ids_across_families",
    "points_of_one_run",
    "repeated_runs",
]

_SIZES = (
    "n_params", "n_active_params", "n_tokens", "tokens_unique", "n_samples", "tokens_text", "tokens_image",
    "tokens_audio", "tokens_video", "n_vision_tokens", "vocab_size", "n_experts", "top_k", "flops",
)  # fmt: skip
_RUN = ("study", "family", "run_id")
_EVALUATION = ("eval_name", "metric", "modality", "step")


def duplicate_ids(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """One run, one evaluation, one step, one scale: and two values or twice the same one."""
    key = _present(frame, (*_RUN, *_EVALUATION, *_SIZES, "seed"))
    repeated = _positions(frame.duplicated(key, keep=False))
    if not len(repeated):
        return []
    same = frame.duplicated([*key, "value"], keep=False).to_numpy(dtype=bool)[repeated].all()
    what = "stands in the table more than once" if same else "has different values for one evaluation"
    return [
        Finding(
            "duplicate-runs",
            "warning",
            f"one run_id {what}: {places.rows(frame, repeated, numbers(frame, 'value'), limit=4)}. "
            "Duplicate runs "
            "count twice: keep one, or give repeats their own run_id (seeds) or step.",
        )
    ]


def identical_results(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Runs under different names with the same sizes and, to a millionth, the same value."""
    sizes = [name for name in _present(frame, _SIZES) if np.isfinite(numbers(frame, name)).any()]
    if not sizes or len(frame) < 2:
        return []
    labels = _present(frame, ("study", "eval_name", "metric", "modality", "step"))
    group = (
        frame.groupby(labels, dropna=False).ngroup().to_numpy() if labels else np.zeros(len(frame), dtype=int)
    )
    scale = np.column_stack([np.nan_to_num(numbers(frame, name), nan=-1.0) for name in sizes])
    values = numbers(frame, "value")
    order = np.lexsort((values, _mixed(group, scale)))
    first, second = order[:-1], order[1:]
    same = (group[first] == group[second]) & (scale[first] == scale[second]).all(axis=1)
    same &= np.abs(values[first] - values[second]) <= 1e-6 * np.abs(values[first])
    countable = [
        str(m) for m in frame["metric"].unique() if metric_of(str(m)).bounded
    ]  # ties are no wonder there
    same &= ~frame["metric"].isin(countable).to_numpy(dtype=bool)[first]
    runs = frame["run_id"].to_numpy()
    same &= runs[first] != runs[second]
    if not same.any() or _coarse(values):
        return []
    return [
        Finding(
            "identical-results",
            "warning" if same.sum() >= 0.01 * len(frame) else "note",
            f"{int(same.sum()):,} pairs of runs have the same sizes and the same value to a millionth "
            "under different "
            f"names, such as {places.row(frame, int(first[same][0]))} "
            f"and {places.row(frame, int(second[same][0]))}. Duplicates halve the uncertainty for no reason: "
            "keep one of each.",
        )
    ]


def _mixed(group: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """One number a row, equal for equal group and sizes: sorting by it is quicker than by all of them."""
    mixed = group.astype(np.uint64)
    for bits in np.ascontiguousarray(scale.T).view(np.uint64):
        mixed = (mixed ^ bits) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _coarse(values: np.ndarray) -> bool:
    """Whether values have so few digits that equal ones are no wonder."""
    finite = values[np.isfinite(values)]
    return bool(len(finite)) and bool(np.median(np.abs(finite * 1e4 - np.round(finite * 1e4))) < 1e-7)


def repeated_runs(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Several points of one training that would be taken for independent runs."""
    key = _present(frame, (*_RUN, *_EVALUATION))
    repeated = frame.duplicated(key, keep=False).to_numpy(dtype=bool)
    curves = frame.duplicated(
        _present(frame, (*_RUN, "eval_name", "metric", "modality")), keep=False
    ).to_numpy(dtype=bool)
    sizes = _present(frame, _SIZES)
    if not repeated.any() or not sizes:
        return []
    scales = frame.duplicated([*key, *sizes], keep=False).to_numpy(dtype=bool)
    rows = np.flatnonzero(repeated & curves & ~scales)
    if not len(rows):
        return []
    runs = frame.iloc[rows][list(_RUN)].drop_duplicates()
    named = ", ".join(repr(str(run)[:60]) for run in runs["run_id"].unique()[:3])
    keep = " (where='is_final == 1')" if (numbers(frame, "is_final") == 1).any() else ""
    count = f"{len(runs):,} run" + ("s" if len(runs) > 1 else "")
    return [
        Finding(
            "repeated-runs",
            "warning",
            f"column 'run_id' names the same run at several scales: {len(rows):,} rows come from {count} "
            f"({named}), "
            "but rows are taken as independent. Give each training its own run_id, keep one row of "
            f"each{keep}, or fit with pool={{'offset': 'run_id'}}, by which the rows of a run lie off the "
            "law alike.",
        )
    ]


def points_of_one_run(frame: "pd.DataFrame") -> tuple[np.ndarray, np.ndarray]:
    """Positions of rows that are points of one training at several sizes, and the names of these runs."""
    key = _present(frame, (*_RUN, "eval_name", "metric", "modality"))
    repeated = frame.duplicated(key, keep=False).to_numpy(dtype=bool)
    if not repeated.any():
        return np.array([], dtype=int), np.array([], dtype=str)
    again = frame.duplicated([*key, *_present(frame, _SIZES)], keep=False).to_numpy(dtype=bool)
    rows = np.flatnonzero(repeated & ~again)
    runs: Any = frame.iloc[rows][list(_RUN)].drop_duplicates()
    return rows, runs["run_id"].to_numpy()


def ids_across_families(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """A name that two families share although names are unique elsewhere."""
    if len(frame["family"].unique()) < 2:
        return []
    pairs: Any = frame[["study", "family", "run_id"]].drop_duplicates()
    shared = pairs.duplicated(["study", "run_id"], keep=False)
    n_names = len(pairs[["study", "run_id"]].drop_duplicates())
    if not shared.any() or shared.sum() > 0.2 * n_names:  # a numbering within each family, then
        return []
    name = pairs.loc[shared, "run_id"].iloc[0]
    families = ", ".join(
        repr(str(f)[:60]) for f in pairs.loc[shared & (pairs["run_id"] == name), "family"].head(4)
    )
    return [
        Finding(
            "run-in-two-families",
            "warning",
            f"run_id {str(name)[:60]!r} stands in the families {families} while other names are unique. If "
            "it is one "
            "run, give it one family; if these are two runs, give them two names.",
        )
    ]


def families_of_one(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """A family for each row: then the column says nothing of what runs share."""
    n_families = len(frame["family"].unique())
    if n_families < 10 or n_families < len(frame):  # a handful may well be meant
        return []
    told = (
        f"{places.column('family')} has {n_families:,} families of one run each, but a family is "
        "runs that share one law: nothing that sets families apart can be told from noise. Name coarser "
        "families, or leave the column out if all runs are alike."
    )
    return [Finding("families-of-one", "warning", told)]


def checkpoints(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Checkpoints in mid-training among finished runs, whose learning rate had not yet decayed."""
    final = numbers(frame, "is_final")
    rows = np.flatnonzero(final == 0)
    if not len(rows) or not (final == 1).any():
        return []
    return [
        Finding(
            "checkpoints",
            "warning",
            f"{len(rows):,} rows are checkpoints in mid-training (is_final is 0) among finished runs, such "
            "as "
            f"{places.row(frame, int(rows[0]))}. Their values lie above those of finished runs of that "
            "length: "
            "keep where='is_final == 1'.",
        )
    ]


def _present(frame: "pd.DataFrame", names: tuple[str, ...]) -> list[str]:
    """Those of the columns that the table has and that vary; comparing rows by the others would be idle."""
    have = [name for name in names if name in frame.columns]
    return [name for name in have if name == "run_id" or not (frame[name] == frame[name].iloc[0]).all()]


def _positions(mask: "pd.Series") -> np.ndarray:
    return np.flatnonzero(mask.to_numpy(dtype=bool))
