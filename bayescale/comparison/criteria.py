"""What studies of the same rows are ranked by, a function each: a table, best first, and what was found."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayescale.comparison import compare_words as words
from bayescale.comparison.again import table_of
from bayescale.comparison.ahead import ahead_of_each, largest_out
from bayescale.comparison.evidence import evidence
from bayescale.comparison.executors import Places
from bayescale.comparison.left_out import left_out
from bayescale.comparison.loo import KHAT_BAD, Loo, loo_of, standard_error
from bayescale.comparison.rebuilt import rebuilt
from bayescale.comparison.stacking import stacking_weights
from bayescale.errors import BayescaleWarning, InputError
from bayescale.inference.progress import progress
from bayescale.queries.rows import fitted_runs
from bayescale.runs.findings import Finding

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Compared", "by_evidence", "by_future", "by_groups", "by_rows", "with_refits"]

_MOST_REFITS = 20  # rows of one study

type Floats = NDArray[np.float64]
type Judged = tuple["xr.Dataset", list[Finding]]


@dataclass(frozen=True, eq=False)
class Compared:
    """Studies of the same rows.

    Attributes
    ----------
    studies : mapping of str to DataTree
    order : mapping of str to int array of shape (row,)
        Positions that put a study's rows in the order of the first.
    progressbar : bool
    places : Places
        Where refits run.
    """

    studies: Mapping[str, "xr.DataTree"]
    order: Mapping[str, np.ndarray]
    progressbar: bool = True
    places: Places = Places()

    @property
    def first(self) -> "xr.DataTree":
        """The study whose order of rows is everybody's."""
        return next(iter(self.studies.values()))

    @property
    def runs(self) -> list[str]:
        """A name for each row."""
        observed = self.first["observed_data"].dataset["value"]
        return [
            str(r) for r in (observed["run"].values if "run" in observed.coords else range(observed.size))
        ]


def by_rows(given: Compared) -> Judged:
    """Each row by its leave-one-out density: Pareto-smoothed importance weights, no refits."""
    scores = {name: loo_of(study, given.order[name]) for name, study in given.studies.items()}
    table = _of_loo(scores, given.runs)
    return table, [*words.of_khat(table), *words.of_weights(), *words.inside_the_range()]


def with_refits(given: Compared, random_seed: int = 0) -> Judged:
    """The same, where rows whose density cannot be trusted that way are left out by refits."""
    scores = {name: loo_of(study, given.order[name]) for name, study in given.studies.items()}
    worst = {name: np.argsort(-score.khat)[:_MOST_REFITS] for name, score in scores.items()}
    worst = {name: rows[scores[name].khat[rows] > KHAT_BAD] for name, rows in worst.items()}
    again = {name: np.zeros(score.khat.size, dtype=bool) for name, score in scores.items()}
    findings: list[Finding] = []
    wanted = [name for name, rows in worst.items() if rows.size]
    with _refits(sum(map(len, worst.values())), given.progressbar) as advance:
        exact = left_out(
            {name: rebuilt(given.studies[name]) for name in wanted},
            {k: [np.arange(again[k].size) == row for row in given.order[k][worst[k]]] for k in wanted},
            random_seed=random_seed,
            places=given.places,
            told=lambda name, i: advance(1, name),
        )
    for name, found in exact.items():
        again[name][worst[name]] = True
        pointwise = scores[name].pointwise.copy()
        pointwise[worst[name]] = found.log_density
        scores[name] = replace(scores[name], pointwise=pointwise)
        findings += words.of_refitted(name, [given.runs[i] for i in worst[name]], found)
    table = _of_loo(scores, given.runs, again)
    return table, [
        *words.of_khat(table),
        *findings,
        *words.of_weights(),
        *words.inside_the_range(),
    ]


def by_groups(given: Compared, by: str, random_seed: int = 0) -> Judged:
    """Each group of a column by its joint density, given the rows of all other groups: exact refits."""
    labels = _labels(given, by)
    names = list(dict.fromkeys(labels))
    if len(names) < 2:
        raise InputError(
            f"by={by!r}: all rows belong to {names[0]!r}, and none would be left to fit. Name a column with "
            "two or more groups, or leave by= out."
        )
    own = {name: np.empty_like(labels) for name in given.studies}
    for name, order in given.order.items():
        own[name][order] = labels
    with _refits(len(names) * len(given.studies), given.progressbar) as advance:
        found = left_out(
            {name: rebuilt(study) for name, study in given.studies.items()},
            {name: [own[name] == group for group in names] for name in given.studies},
            random_seed=random_seed,
            places=given.places,
            told=lambda name, i: advance(1, names[i]),
        )
    table = _ranked({k: v.log_density for k, v in found.items()}, "group", names)
    ordered = [found[str(name)] for name in table["model"].values]
    table["mc_error"] = ("model", np.array([v.total_error for v in ordered]))
    table["group_error"] = (("model", "group"), np.stack([v.error for v in ordered]))
    table["group_rows"] = ("group", np.array([int((labels == name).sum()) for name in names]))
    table = table.rename(pointwise="group_log_density").assign_attrs(by=by)
    return table, [*words.of_groups(by, names, found), *words.of_weights()]


def by_future(given: Compared, held: float = 2) -> Judged:
    """The largest budgets, each run by its density under a refit of all runs below them."""
    split, findings = largest_out(table_of(given.first), held)
    with _refits(len(given.studies), given.progressbar) as advance:
        found = ahead_of_each(
            given.studies, split, given.order, places=given.places, told=lambda name: advance(1, name)
        )
    runs = [given.runs[i] for i in np.flatnonzero(split.test)]
    table = _ranked({k: v["log_density"].values for k, v in found.items()}, "run", runs)
    ordered = [found[str(name)] for name in table["model"].values]
    for name in ("joint_log_density", "bias", "bias_z"):
        table[name] = ("model", np.array([float(v[name]) for v in ordered]))
    table["z"] = (("model", "run"), np.stack([v["z"].values for v in ordered]))
    table["decades"] = ("run", ordered[0]["decades"].values)
    table = table.rename(pointwise="ahead_pointwise").assign_attrs(split=split.name)
    return table, [*findings, *words.of_future(table, found), *words.of_weights()]


def by_evidence(given: Compared, random_seed: int = 0) -> Judged:
    """The density of all values together, parameters averaged over their priors."""
    import xarray as xr

    with warnings.catch_warnings():  # what they find is said below
        warnings.filterwarnings("ignore", category=BayescaleWarning)
        found = {name: evidence(study, random_seed=random_seed) for name, study in given.studies.items()}
    ordered = sorted(found, key=lambda name: -float(found[name]["log_evidence"]))
    log_evidence = np.array([float(found[name]["log_evidence"]) for name in ordered])
    error = np.array([float(found[name]["error"]) for name in ordered])
    chance = np.exp(log_evidence - log_evidence[0])
    columns = {
        "elpd": log_evidence,
        "se": error,
        "elpd_diff": log_evidence - log_evidence[0],
        "diff_se": np.where(np.arange(error.size) == 0, 0.0, np.hypot(error, error[0])),
        "weight": chance / chance.sum(),
        "overlap": np.array([float(found[name]["overlap"]) for name in ordered]),
    }
    table = xr.Dataset({k: ("model", v) for k, v in columns.items()}, {"model": ordered})
    changes = xr.concat([found[name]["by_prior"] for name in ordered], "model", join="outer")
    table = table.merge(changes.to_dataset().assign_coords(model=ordered))
    return table, words.of_evidence(table, found)


def _of_loo(
    scores: Mapping[str, Loo], runs: list[str], again: Mapping[str, np.ndarray] | None = None
) -> "xr.Dataset":
    """The table of leave-one-out densities; rows fitted `again` without themselves are no longer bad."""
    table = _ranked({k: score.pointwise for k, score in scores.items()}, "run", runs)
    ordered = [str(name) for name in table["model"].values]
    khat = np.stack([scores[name].khat for name in ordered])
    refitted = np.zeros_like(khat, dtype=bool) if again is None else np.stack([again[k] for k in ordered])
    left = np.where(refitted, -np.inf, khat)
    table["p"] = ("model", np.array([scores[name].p for name in ordered]))
    table["khat_max"] = ("model", left.max(axis=1))
    table["khat_bad"] = ("model", (left > KHAT_BAD).sum(axis=1))
    table = table.rename(pointwise="loo_pointwise")
    table["khat"] = (("model", "run"), khat)
    if again is not None:
        table["refitted"] = (("model", "run"), refitted)
    return table


def _ranked(pointwise: Mapping[str, Floats], dim: str, names: Sequence[str]) -> "xr.Dataset":
    """Sums over rows or groups, best first, their differences, standard errors and stacking weights."""
    import xarray as xr

    ordered = sorted(pointwise, key=lambda name: -float(pointwise[name].sum()))
    each = np.stack([pointwise[name] for name in ordered])
    behind = each - each[0]
    columns = {
        "elpd": each.sum(axis=1),
        "se": [standard_error(own) for own in each],
        "elpd_diff": behind.sum(axis=1),
        "diff_se": [standard_error(difference, ddof=0) for difference in behind],  # as ArviZ counts
        "weight": stacking_weights(each.T),
    }
    return xr.Dataset(
        {name: ("model", np.asarray(column)) for name, column in columns.items()}
        | {"pointwise": (("model", dim), each)},
        {"model": ordered, dim: list(names)},
    )


def _labels(given: Compared, by: str) -> NDArray[Any]:
    """The group of each row, in the order of the first study; every study must name the same."""
    found: dict[str, NDArray[Any]] = {}
    for name, study in given.studies.items():
        runs = fitted_runs(study)
        if by not in runs or by == "value":
            columns = ", ".join(c for c in map(str, runs) if c != "value")
            raise InputError(f"by={by!r} is no column of the runs of {name!r} (they have: {columns[:1200]}).")
        found[name] = np.where(runs[by].notna(), runs[by].astype(str), "")[given.order[name]]
    first, *others = found
    empty = int((found[first] == "").sum())
    if empty:
        raise InputError(
            f"by={by!r}: {empty} of {len(given.runs)} rows have an empty cell there and belong to no group. "
            "Fill them in before fitting, or fit without them: runs.where(...)."
        )
    for other in others:
        differ = np.flatnonzero(found[first] != found[other])
        if differ.size:
            at = differ[0]
            raise InputError(
                f"by={by!r}: {first!r} and {other!r} put {differ.size} rows into different groups, the "
                f"first of them {given.runs[at][:60]!r} into {found[first][at]!r} and "
                f"{found[other][at]!r}. Fit both to one table."
            )
    return found[first].astype(object)


@contextmanager
def _refits(total: int, shown: bool) -> Iterator[Any]:
    """A bar over refits, whose own warnings are not repeated one by one."""
    with progress("refits", total, shown and total > 0) as advance, warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=BayescaleWarning)
        yield advance
