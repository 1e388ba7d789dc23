"""``bayescale fit``, ``backtest`` and ``demo``: the verbs that make a posterior."""

import json
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescale.cli import machine, show
from bayescale.cli.catalogue import tables
from bayescale.cli.words import pooling
from bayescale.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["backtest", "demo", "fit"]

_SCORES = {
    "rmse": "root mean squared error, in the unit of the metric",
    "rmsle": "root mean squared error of the logarithm",
    "bias": "mean log ratio of observed to predicted",
    "coverage": "share of rows inside their interval",
    "width": "mean width of the intervals",
    "crps": "mean ranked probability score",
    "elpd": "summed log predictive density",
}


def fit(given: Namespace) -> int:
    """Fit, save, and tell what was learnt."""
    from bayescale.fitting import fit
    from bayescale.queries.intervals import intervals
    from bayescale.queries.scales import check_prob

    check_prob(given.prob)
    if given.output:
        _refuse_output(Path(given.output))
    post = fit(tables(given), given.law, **_options(given))
    if given.output:
        from bayescale.storage import save

        save(post, given.output)
    found, told = intervals(post, prob=given.prob), json.loads(post.attrs["bayescale"])
    if given.json:
        machine.tell(_summary(given, told) | {"intervals": machine.by_quantity(found)})
        return 0
    engine = told["engine"]
    show.line(f"{told['n_runs']} runs, {engine.get('why') or 'engine ' + engine['name']}.")
    show.intervals(found)
    show.line(
        f"saved to {given.output}"
        if given.output
        else "nothing was saved: add -o study.nc to keep the study."
    )
    return 0


def backtest(given: Namespace) -> int:
    """Fit below, score above."""
    from bayescale.comparison.backtest import backtest

    found = backtest(tables(given), given.law, train=given.train, prob=given.prob, **_options(given))
    scores = {name: float(found[name]) for name in _SCORES}
    counts = {name: int(found[name]) for name in ("n_train", "n_test")}
    if given.json:
        rows = found.drop_vars(_SCORES).rename(run="run_id", row_crps="crps")
        machine.tell(scores | counts | _told(found) | {"rows": machine.by_row(rows, "run_id")})
        return 0
    show.line(
        f"law {found.attrs['law']}: {counts['n_train']} runs fitted ({found.attrs['train']}), "
        f"{counts['n_test']} held back and predicted."
    )
    told = {"score": list(scores), "value": list(scores.values()), "meaning": list(_SCORES.values())}
    show.table(told, f"{found.attrs['prob']:.0%} intervals of {found.attrs['metric']}")
    _worst(found)
    return 0


def demo(given: Namespace) -> int:
    """The main job on shipped real runs."""
    from bayescale.cli.demo import run_demo

    return run_demo(given.folder, given.seed)


def _options(given: Namespace) -> dict[str, Any]:
    """Arguments of `fit` from those of the command line."""
    from bayescale.priors import between

    return {
        "pool": pooling(given.pool),
        "noise": given.noise,
        "priors": {name: between(*bounds) for name, bounds in given.prior} or None,
        "engine": given.engine,
        "draws": given.draws,
        "tune": given.tune,
        "chains": given.chains,
        "random_seed": given.seed,
        "target_accept": given.target_accept,
        "progressbar": sys.stderr.isatty(),
    }


def _refuse_output(path: Path) -> None:
    """Refuse, before a long fit, a path that could not be written after it."""
    if path.suffix.lower() not in (".nc", ".zarr"):
        raise InputError(
            f"-o {str(path)!r}: a study ends in .nc (one netCDF file) or .zarr (a folder). Name it so, as in "
            f"-o {path.stem or 'study'}.nc."
        )
    folder = path.expanduser().parent
    if not folder.is_dir():
        raise InputError(
            f"-o {str(path)!r}: there is no folder {str(folder)!r}. Make it first, or name another."
        )
    if not os.access(folder, os.W_OK):
        raise InputError(f"-o {str(path)!r}: the folder {str(folder)!r} may not be written to. Name another.")
    if path.suffix.lower() == ".nc" and path.expanduser().is_dir():
        raise InputError(f"-o {str(path)!r} is a folder. Name a file in it, as in -o {path / 'study.nc'}.")


def _summary(given: Namespace, told: dict[str, Any]) -> dict[str, Any]:
    names = ("law", "columns", "reference", "metric", "pool", "n_runs", "engine", "random_seed", "findings")
    return {"saved": given.output} | {name: told[name] for name in names}


def _told(found: "xr.Dataset") -> dict[str, Any]:
    told = dict(found.attrs)
    return told | {"findings": json.loads(told["findings"])}


def _worst(found: "xr.Dataset", most: int = 10) -> None:
    """The rows that were foretold worst."""
    import numpy as np

    order = np.argsort(found["log_density"].values)[:most]
    rows = found.isel(run=order)
    show.table(
        {
            "run": [str(name) for name in rows["run"].values],
            "observed": rows["observed"].values.tolist(),
            "median": rows["median"].values.tolist(),
            "interval": [
                show.interval(*ends) for ends in zip(rows["lower"].values, rows["upper"].values, strict=True)
            ],
            "decades beyond": [round(x, 2) for x in rows["decades_beyond"].values.tolist()],
        },
        "the rows foretold worst",
    )
