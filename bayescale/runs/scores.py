"""Scores of different ranges brought to one scale: the fraction of the way up to the greatest there is."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayescale.errors import InputError
from bayescale.runs.findings import Finding
from bayescale.runs.schema import metric_of
from bayescale.runs.table import RunTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["rescale_scores"]

_METRICS = {"zero": "score_of_range", "chance": "score_above_chance"}


def rescale_scores(runs: Any, *, above: Literal["chance", "zero"] = "chance") -> RunTable:
    """Scores as fractions of their own range, so that benchmarks can be pooled and bounded noise fits.

    Parameters
    ----------
    runs : RunTable, path or frame
        Whatever `read_runs` takes, with the column ``score_max`` and, for ``above="chance"``,
        ``chance``, both in the unit of the value: 100 and 25 for percent of questions with four options.
    above : {"chance", "zero"}
        ``"chance"`` gives (value - chance) / (score_max - chance), 0 for blind guessing; the metric is
        ``score_above_chance``. ``"zero"`` gives value / score_max, metric ``score_of_range``.

    Returns
    -------
    RunTable
        ``value`` and ``value_se`` as fractions; the value as it was in ``value_reported``.

    Raises
    ------
    InputError
        If a range or a chance is missing or impossible, a score lies above its range or (for "chance")
        not above chance, or the values are losses or fractions made by this function. One message each,
        with the evaluations concerned.

    Notes
    -----
    Scores below chance do occur, where an answer that cannot be read counts as wrong. They have no
    fraction above chance: use ``above="zero"``, or leave these evaluations out and say so.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.rescale_scores(bs.load_runs("vlm-token-space", all_rows=True), above="zero")
    """
    if above not in _METRICS:
        raise InputError(f"above={above!r} must be 'chance' or 'zero': where a fraction of 0 is to lie.")
    table = runs if isinstance(runs, RunTable) else _read(runs)
    frame = table.frame
    _refuse_other_metrics(frame)
    value = frame["value"].to_numpy(dtype=float)
    top = _column(frame, "score_max", "the greatest value of the metric, such as 1, 100 or 1000")
    bottom = (
        _column(frame, "chance", "the value of blind guessing, 0 for open answers")
        if above == "chance"
        else np.zeros(len(frame))
    )
    _refuse(frame, ~(top > bottom), "score_max must lie above chance (and above zero)", "Correct them")
    _refuse(frame, value > top, "the value exceeds score_max", "Give both in one unit")
    _refuse(frame, value < 0, "the value is negative, below any range from zero", "Shift the metric first")
    if above == "chance":
        mend = "Fractions above chance cannot hold it: use above='zero', or leave these evaluations out"
        _refuse(frame, value <= bottom, "the value is not above chance", mend)
    span = top - bottom
    changed = {"value_reported": value, "value": (value - bottom) / span, "metric": _METRICS[above]}
    if "value_se" in frame:
        changed["value_se"] = frame["value_se"].to_numpy(dtype=float) / span
    note = Finding(
        "rescaled-scores",
        "note",
        f"values are fractions of the range from {above} to score_max; as reported: value_reported.",
    )
    return replace(table, frame=frame.assign(**changed), findings=(*table.findings, note))


def _read(runs: Any) -> RunTable:
    from bayescale.runs.read import read_runs

    return read_runs(runs)


def _refuse_other_metrics(frame: "pd.DataFrame") -> None:
    for metric in map(str, frame["metric"].unique()):
        if metric in _METRICS.values():
            raise InputError(
                f"the values are fractions already (metric {metric!r}): rescale_scores is applied once."
            )
        if metric_of(metric).higher_is_better is False:
            raise InputError(
                f"metric {metric!r} falls as models improve, so its values are no scores. Leave them out, "
                "runs.where('metric == \"score\"'), or name the metric at reading: "
                "read_runs(..., metric='score')."
            )


def _column(frame: "pd.DataFrame", name: str, meaning: str) -> np.ndarray:
    """A column that every row must tell."""
    if name not in frame or frame[name].dtype.kind not in "fiu":
        raise InputError(
            f"rescale_scores reads the column {name!r} ({meaning}), which this table lacks. Add it, in the "
            f"unit of the value: read_runs(frame.assign({name}=...))."
        )
    cells = frame[name].to_numpy(dtype=float)
    other = "" if name == "score_max" else ", use above='zero',"
    _refuse(frame, np.isnan(cells), f"{name} is not told", f"Give it{other} or leave these evaluations out")
    return cells


def _refuse(frame: "pd.DataFrame", bad: np.ndarray, problem: str, mend: str) -> None:
    rows = np.flatnonzero(bad)
    if not rows.size:
        return
    label = "eval_name" if "eval_name" in frame else "run_id"
    names = frame[label].iloc[rows].astype(str).value_counts()
    told = ", ".join(f"{str(name)[:60]} ({n})" for name, n in names.items())
    first = rows[0]
    told_first = f"row {first} ({frame['run_id'].iloc[first]}) has {frame['value'].iloc[first]:g}"
    raise InputError(
        f"{problem} in {rows.size} of {len(frame)} rows, by {label}: {told[:800]}; {told_first}. {mend}."
    )
