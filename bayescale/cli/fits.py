"""``bayescale fit`` and ``demo``: the verbs that make a posterior."""

import json
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from bayescale.cli import machine, show
from bayescale.cli.catalogue import tables
from bayescale.cli.words import pooling
from bayescale.errors import InputError

__all__ = ["demo", "fit", "options"]


def fit(given: Namespace) -> int:
    """Fit, save, and tell what was learnt."""
    from bayescale.fitting import fit
    from bayescale.queries.intervals import intervals
    from bayescale.queries.scales import check_prob

    check_prob(given.prob)
    if given.output:
        _refuse_output(Path(given.output))
    post = fit(tables(given), given.law, **options(given))
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


def demo(given: Namespace) -> int:
    """The main job on shipped real runs."""
    from bayescale.cli.demo import run_demo

    return run_demo(given.folder, given.seed)


def options(given: Namespace) -> dict[str, Any]:
    """Arguments of `fit` from those of the command line."""
    from bayescale.priors import between

    return {
        "pool": pooling(given.pool),
        "noise": given.noise,
        "discrepancy": given.discrepancy,
        "priors": {name: between(*bounds) for name, bounds in given.prior} or None,
        "measurements": _measurements(given.measurements),
        "engine": given.engine,
        "draws": given.draws,
        "tune": given.tune,
        "chains": given.chains,
        "random_seed": given.seed,
        "target_accept": given.target_accept,
        "progressbar": sys.stderr.isatty(),
    }


def _measurements(named: str | None) -> Any:
    """The measurement table of that name; None for none."""
    if named is None:
        return None
    if named == "shipped":
        from bayescale.compression.catalogue import load_measurements

        return load_measurements()
    from bayescale.compression.read import read_measurements

    return read_measurements(named)


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
