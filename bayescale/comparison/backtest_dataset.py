"""The labelled table of a backtest: rows, scores of all of them, and by split, case and distance."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.comparison.refits import Failure, Job, Refit
from bayescale.comparison.scores import LEVELS, SCORES, binned, bins_told, covered_at, scored
from bayescale.comparison.splits import Split

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["dataset"]

type Rows = Mapping[str, np.ndarray]


def dataset(
    job: Job, splits: Sequence[Split], found: Sequence[Refit | Failure], bins: Sequence[float]
) -> "xr.Dataset":
    """What `backtest` returns, but for what is said of it."""
    import xarray as xr

    good = [(split, o) for split, o in zip(splits, found, strict=True) if isinstance(o, Refit)]
    rows, frame = _rows(job, good)
    main = ~np.concatenate([np.full(len(o.rows["observed"]), split.reference) for split, o in good])
    of_all = {name: values[main] for name, values in rows.items()}
    scores = scored(of_all)
    variables: dict[str, Any] = {
        name: (("run", "level"), values) if name == "covered_at" else ("run", values)
        for name, values in rows.items()
    }
    variables |= _own(frame, {*variables, *SCORES, "coverage_at", "elpd", "n_train", "n_test", "run"})
    variables |= scores | {
        "elpd": float(of_all["log_density"].sum()),
        "n_train": int(np.any([split.train for split, _ in good if not split.reference], axis=0).sum())
        if main.any()
        else 0,
        "n_test": int(main.sum()),
        "coverage_at": ("level", covered_at(of_all)),
    }
    cases = list(dict.fromkeys(split.label for split in splits))
    labels = bins_told(bins)
    place = np.where(main, binned(rows["decades"], bins), -1)
    names = [split.name for split in splits]
    variables |= _grouped(rows, np.array([names.index(n) for n in rows["row_split"]]), "split", len(names))
    variables |= _grouped(rows, np.array([cases.index(c) for c in rows["row_case"]]), "case", len(cases))
    variables |= _grouped(rows, place, "distance", len(labels))
    variables |= _of_splits(splits, found) | _of_cases(splits, cases)
    first = good[0][1]
    coords = {
        "run": frame["run_id"].astype(str).to_numpy(dtype=str),
        "level": list(LEVELS),
        "split": np.array(names, dtype=str),
        "case": np.array(cases, dtype=str),
        "distance": np.array(labels, dtype=str),
    }
    return xr.Dataset(variables, coords).assign_attrs(
        law=job.law.name,
        prob=job.prob,
        metric=first.metric,
        engine=", ".join(dict.fromkeys(o.engine for _, o in good)),
        random_seed=first.random_seed,
        bins=list(map(float, bins)),
    )


def _rows(job: Job, good: Sequence[tuple[Split, Refit]]) -> tuple[dict[str, np.ndarray], "pd.DataFrame"]:
    """Rows of all splits below one another, and the cells of the table behind them."""
    stacked = {name: np.concatenate([o.rows[name] for _, o in good]) for name in good[0][1].rows}
    stacked["row_crps"] = stacked.pop("crps")
    many = [len(o.rows["observed"]) for _, o in good]
    stacked["row_split"] = np.repeat(np.array([s.name for s, _ in good], dtype=str), many)
    stacked["row_case"] = np.repeat(np.array([s.label for s, _ in good], dtype=str), many)
    where = np.concatenate([np.flatnonzero(split.test) for split, _ in good])
    return stacked, job.table.frame.iloc[where].reset_index(drop=True)


def _own(frame: "pd.DataFrame", taken: set[str]) -> dict[str, Any]:
    """The rows' own columns, but for those whose names are taken."""
    own = {}
    for name in map(str, frame.columns):
        if name in taken | {"value", "run_id"} or name in ("split", "case", "level", "distance"):
            continue
        cells = frame[name]
        numeric = cells.dtype.kind in "fiub"
        own[name] = ("run", cells.to_numpy() if numeric else cells.fillna("").astype(str).to_numpy(dtype=str))
    return own


def _grouped(rows: Rows, place: np.ndarray, dim: str, count: int) -> dict[str, Any]:
    """Scores of the rows at each position along a dim; a position of -1 is left out."""
    parts = [{name: values[place == i] for name, values in rows.items()} for i in range(count)]
    table = [scored(part) for part in parts]
    found: dict[str, Any] = {f"{name}_by_{dim}": (dim, [scores[name] for scores in table]) for name in SCORES}
    found[f"coverage_at_by_{dim}"] = ((dim, "level"), np.array([covered_at(part) for part in parts]))
    found[f"rows_by_{dim}"] = (dim, [len(part["observed"]) for part in parts])
    return found


def _of_splits(splits: Sequence[Split], found: Sequence[Refit | Failure]) -> dict[str, Any]:
    """What is known of each split and its refit."""
    pairs = list(zip(splits, found, strict=True))
    columns: dict[str, list[Any]] = {
        "status": [o.status for o in found],
        "failure": [o.message if isinstance(o, Failure) else "" for o in found],
        "split_findings": [json.dumps(list(o.findings)) if isinstance(o, Refit) else "[]" for o in found],
        "engine": [o.engine if isinstance(o, Refit) else "" for o in found],
        "seconds": [o.seconds if isinstance(o, Refit) else float("nan") for o in found],
        "train_rows": [int(split.train.sum()) for split, _ in pairs],
        "test_rows": [int(split.test.sum()) for split, _ in pairs],
        "reference": [split.reference for split in splits],
        "split_case": [split.label for split in splits],
    }
    for key in dict.fromkeys(key for split in splits for key in split.meta):
        columns[f"split_{key}"] = _column([split.meta.get(key) for split in splits])
    return {name: ("split", np.asarray(cells)) for name, cells in columns.items()}


def _of_cases(splits: Sequence[Split], cases: Sequence[str]) -> dict[str, Any]:
    """What all splits of a case have in common."""
    metas = [[split.meta for split in splits if split.label == case] for case in cases]
    found = {}
    for key in dict.fromkeys(key for split in splits for key in split.meta):
        if all(len({repr(meta.get(key)) for meta in group}) == 1 for group in metas):
            found[f"case_{key}"] = ("case", np.asarray(_column([group[0].get(key) for group in metas])))
    return found


def _column(cells: Sequence[Any]) -> list[Any]:
    """Numbers where all are such, else text."""
    if all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells):
        return list(cells)
    return ["" if cell is None else str(cell) for cell in cells]
