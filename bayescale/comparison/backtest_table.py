"""A backtest as a plain table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayescale.comparison.scores import SCORES, covered_at, scored
from bayescale.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["backtest_table"]

_NEEDED = (
    "observed",
    "median",
    "lower",
    "upper",
    "covered",
    "covered_at",
    "row_crps",
    "log_density",
    "row_split",
)


def backtest_table(found: "xr.Dataset", by: str | Sequence[str] | None = None) -> "pd.DataFrame":
    """Scores of a backtest, one row for each group of held-back rows.

    Parameters
    ----------
    found : Dataset
        From `backtest`.
    by : str or sequence of str, optional
        "split", "case" or "distance"; a column of the rows, such as "family"; what is known of the
        splits, such as "origin", "own_runs" or "arm"; or several of these. By default "case" for few
        runs, else "distance", else "split".

    Returns
    -------
    DataFrame
        Columns ``rows``, ``rmse``, ``rmsle``, ``bias``, ``coverage`` (of the backtest's prob),
        ``coverage_50`` to ``coverage_95``, ``width``, ``crps``, ``log_score``; meanings as in
        `backtest`. Runs alone are shown only by "case", "split" or "arm", and nowhere mixed with others.

    Raises
    ------
    InputError
        If `found` is no backtest, or there is nothing of the name asked for.
    """
    import pandas as pd

    lacking = [name for name in _NEEDED if name not in getattr(found, "variables", {})]
    if lacking:
        raise InputError(f"this {type(found).__name__} is no backtest: it lacks {lacking[0]!r}.")
    keys = [by] if isinstance(by, str) else list(by) if by is not None else [_usual(found)]
    columns = {key: _labels(found, key) for key in keys}
    shown = np.ones(found.sizes["run"], dtype=bool)
    if not {"split", "case", "arm"} & set(keys):
        shown = ~_at_split(found, "reference").astype(bool)
    rows = {name: found[name].values for name in _NEEDED}
    groups: dict[tuple, np.ndarray] = {}
    for i in np.flatnonzero(shown):
        groups.setdefault(tuple(column[i] for column in columns.values()), np.zeros(shown.size, bool))[i] = (
            True
        )
    ordered = sorted(groups, key=lambda label: _place(found, keys, label))
    told = [_told(found, {name: cells[groups[label]] for name, cells in rows.items()}) for label in ordered]
    index = pd.MultiIndex.from_tuples(ordered, names=keys)
    return pd.DataFrame(told, index=index if len(keys) > 1 else index.get_level_values(0))


def _usual(found: "xr.Dataset") -> str:
    if "case_own_runs" in found:
        return "case"
    return "distance" if (found["rows_by_distance"] > 0).sum() > 1 else "split"


def _labels(found: "xr.Dataset", key: str) -> np.ndarray:
    """The label of each row under a key."""
    if key in ("split", "case"):
        return found[f"row_{key}"].values
    if key == "distance":
        from bayescale.comparison.scores import binned

        return found["distance"].values[binned(found["decades"].values, found.attrs["bins"])]
    if f"split_{key}" in found and found[f"split_{key}"].dims == ("split",):
        return _at_split(found, f"split_{key}")
    if key in found and found[key].dims == ("run",):
        return found[key].values
    known = [str(k) for k, v in found.variables.items() if v.dims == ("run",)]
    of_splits = [str(k).removeprefix("split_") for k in found if str(k).startswith("split_")]
    raise InputError(
        f"by={key!r} is nothing this backtest knows. Its splits have: split, case, distance, "
        f"{', '.join(k for k in of_splits if k not in ('findings', 'case'))}; its rows: {', '.join(known)}."
    )


def _at_split(found: "xr.Dataset", name: str) -> np.ndarray:
    """What is known of the split of each row."""
    place = {split: i for i, split in enumerate(found["split"].values)}
    return found[name].values[[place[split] for split in found["row_split"].values]]


def _place(found: "xr.Dataset", keys: Sequence[str], label: tuple) -> tuple:
    """Splits, cases and distances in their order, numbers by size, labels by the alphabet."""
    return tuple(
        list(found[key].values).index(cell) if key in ("split", "case", "distance") else cell
        for key, cell in zip(keys, label, strict=True)
    )


def _told(found: "xr.Dataset", rows: dict[str, np.ndarray]) -> dict[str, float]:
    scores, inside = scored(rows), covered_at(rows)
    levels = {
        f"coverage_{100 * level:.0f}": float(share)
        for level, share in zip(found["level"].values, inside, strict=True)
    }
    first = {name: scores[name] for name in SCORES[: SCORES.index("coverage") + 1]}
    rest = {name: scores[name] for name in SCORES[SCORES.index("coverage") + 1 :]}
    return {"rows": len(rows["observed"])} | first | levels | rest
