"""``bayescale backtest``: fits to some runs, scored on others."""

import json
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from bayescale.cli import machine, show
from bayescale.cli.catalogue import tables
from bayescale.cli.fits import options
from bayescale.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["backtest"]

_SCORES = {
    "rmse": "root mean squared error, in the unit of the metric",
    "rmsle": "root mean squared error of the logarithm",
    "bias": "mean log ratio of observed to predicted",
    "coverage": "share of rows inside their interval",
    "width": "mean width of the intervals",
    "crps": "mean ranked probability score",
    "log_score": "mean log predictive density",
    "elpd": "summed log predictive density",
}


def backtest(given: Namespace) -> int:
    """Fit below, score above."""
    from bayescale.comparison.backtest import backtest

    of_fit = options(given)
    if of_fit["pool"] is None:
        del of_fit["pool"]  # the way to split may have one of its own
    places = {"workers": given.workers, "resume": given.resume}
    found = backtest(
        tables(given),
        given.law,
        train=given.train,
        split=_scheme(given),
        prob=given.prob,
        **places,
        **of_fit,
    )
    if given.json:
        machine.tell(_everything(found))
        return 0
    scores = {name: float(found[name]) for name in _SCORES}
    fitted = found.attrs["train"] or f"{found.sizes['split']} splits, {given.split}"
    show.line(
        f"law {found.attrs['law']}: {int(found['n_train'])} runs fitted ({fitted}), "
        f"{int(found['n_test'])} held back and predicted."
    )
    told = {"score": list(scores), "value": list(scores.values()), "meaning": list(_SCORES.values())}
    show.table(told, f"{found.attrs['prob']:.0%} intervals of {found.attrs['metric']}")
    _grouped(found)
    _worst(found)
    return 0


def _scheme(given: Namespace) -> Any:
    """The way to split that the options describe; None for one split."""
    from bayescale.comparison.groups_out import FewRuns, LeaveOut
    from bayescale.comparison.rolling import Rolling

    own = None if given.own is None else tuple(given.own)
    takes = {
        "rolling": (Rolling, {"column": given.over, "origins": given.origins, "least": given.least}),
        "leave-family-out": (LeaveOut, {"factor": given.over}),
        "few-runs": (FewRuns, {"factor": given.over, "own": own}),
    }
    scheme, fields = takes.get(given.split, (lambda: None, {}))
    words = {"over": {"column", "factor"}, "origins": {"origins"}, "least": {"least"}, "own": {"own"}}
    for word, names in words.items():
        if getattr(given, word) is not None and not names & set(fields):
            users = [name for name, (_, theirs) in takes.items() if names & set(theirs)]
            raise InputError(f"--{word} belongs to --split {' or '.join(users)}. Leave it out, or add that.")
    return scheme(**{name: value for name, value in fields.items() if value is not None})


def _everything(found: "xr.Dataset") -> dict[str, Any]:
    """A backtest as one object: scores of all rows, then by level, split, case and distance, then rows."""
    from bayescale.comparison.scores import SCORES

    scores = {name: float(found[name]) for name in _SCORES}
    counts = {name: int(found[name]) for name in ("n_train", "n_test")}
    parts = {}
    for dim, plural in (("split", "splits"), ("case", "cases"), ("distance", "distances")):
        kept = [f"{name}_by_{dim}" for name in (*SCORES, "rows")]
        more = [str(k) for k, v in found.data_vars.items() if v.dims == (dim,) and "_by_" not in str(k)]
        short = {name: name.removesuffix(f"_by_{dim}").removeprefix(f"{dim}_") for name in [*kept, *more]}
        parts[plural] = machine.by_row(found[[*kept, *more]].rename(short | {dim: "name"}), "name")
    for row in parts["splits"]:
        row["findings"] = json.loads(row["findings"])
    rows = found.drop_vars(_SCORES).rename(run="run_id", row_crps="crps")
    levels = [
        {"level": level, "coverage": share}
        for level, share in zip(found["level"].values, found["coverage_at"].values, strict=True)
    ]
    return (
        scores | counts | _told(found) | {"levels": levels} | parts | {"rows": machine.by_row(rows, "run_id")}
    )


def _grouped(found: "xr.Dataset") -> None:
    """Scores by case or distance, where there is more than one; and refits that came to nothing."""
    from bayescale.comparison.backtest_table import backtest_table

    table = backtest_table(found)
    if len(table) > 1:
        inside = {c: f"{c.removeprefix('coverage_')} %" for c in table if c.startswith("coverage_")}
        shown = table.drop(columns=["rmse", "coverage"]).rename(columns=inside | {"log_score": "log score"})
        show.frame(shown.reset_index(), f"by {table.index.name}, with the share inside 50 to 95 % intervals")
    for name, status, why in zip(
        found["split"].values, found["status"].values, found["failure"].values, strict=True
    ):
        if status in ("failed", "interrupted", "unsound"):
            show.line(f"{status}: {name}{': ' + str(why) if why else ''}")


def _told(found: "xr.Dataset") -> dict[str, Any]:
    told = dict(found.attrs)
    return told | {"findings": json.loads(told["findings"])}


def _worst(found: "xr.Dataset", most: int = 10) -> None:
    """The rows that were foretold worst."""
    import numpy as np

    order = np.argsort(found["log_density"].values)[:most]
    rows = found.isel(run=order)
    beyond = [round(x, 2) for x in rows["decades_beyond"].values.tolist()]
    show.foretold(rows, "the rows foretold worst", decades_beyond=beyond)
