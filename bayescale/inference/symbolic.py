"""The samplers that work on the symbolic model: nutpie, and PyMC's own as the reference."""

import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from bayescale.errors import InputError
from bayescale.inference.interrupt import listening
from bayescale.inference.mode import Mode
from bayescale.inference.target import Draws, Settings, Target

__all__ = ["nutpie", "pymc"]

# What each sampler calls the statistics that we keep under one name.
_STATISTICS = {
    "lp": ("lp", "logp"),
    "energy": ("energy",),
    "diverging": ("diverging",),
    "acceptance_rate": ("acceptance_rate", "mean_tree_accept"),
    "n_steps": ("n_steps",),
    "tree_depth": ("tree_depth", "depth"),
}


def nutpie(target: Target, settings: Settings, mode: Mode | None = None) -> Draws:
    """Posterior by nutpie's NUTS, compiled by Numba; learns a low-rank mass matrix where that pays.

    An interrupt keeps the draws made so far.
    """
    try:
        import nutpie as library
    except ImportError as error:
        raise InputError("engine='nutpie' needs the package nutpie: pip install nutpie.") from error
    began = time.perf_counter()
    model = target.symbolic()
    with listening() as ears:
        compiled = library.compile_pymc_model(model)
    ears.check()
    flat = not any(variable.ndim for variable in model.free_RVs)
    sampler = library.sample(
        compiled,
        draws=settings.draws,
        tune=settings.tune,
        chains=settings.chains,
        cores=settings.chains,
        seed=settings.random_seed,
        target_accept=settings.target_accept,
        progress_bar=settings.progressbar,
        store_unconstrained=False,
        blocking=False,
        adaptation="low_rank" if flat else "diag",
    )
    partial = False
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Found chain dimension to be longer than draw dimension")
        try:
            tree = sampler.wait()
        except KeyboardInterrupt:
            partial, tree = True, sampler.abort()
    return _normalised("nutpie", tree, model, began, partial)


def pymc(target: Target, settings: Settings, mode: Mode | None = None) -> Draws:
    """Posterior by PyMC's own NUTS: slow, and the reference that the others are held to.

    An interrupt keeps the draws of the chain that was running and of those before it.
    """
    began = time.perf_counter()
    model = target.symbolic()
    import pymc as pm

    with model, listening() as ears:
        try:
            tree = pm.sample(
                draws=settings.draws,
                tune=settings.tune,
                chains=settings.chains,
                cores=1,
                random_seed=settings.random_seed,
                target_accept=settings.target_accept,
                progressbar=settings.progressbar,
                nuts_sampler="pymc",
                compute_convergence_checks=False,
                quiet=not settings.progressbar,
                callback=ears.check,
            )
        except (ValueError, SystemError):  # what PyMC and Numba make of an early interrupt
            ears.check()
            raise
    complete = tree["posterior"].sizes["draw"] == settings.draws
    complete = complete and tree["posterior"].sizes["chain"] == settings.chains
    return _normalised("pymc", tree, model, began, partial=not complete)


def _normalised(engine: str, tree: Any, model: Any, began: float, partial: bool) -> Draws:
    """All chains of equal length, without the draws that an interrupt left empty, under our names."""
    posterior, stats = tree["posterior"], tree["sample_stats"]
    free = [v.name for v in model.free_RVs]
    named: Mapping[str, np.ndarray] = {k: np.asarray(posterior[k].values, dtype=float) for k in free}
    filled = np.ones(next(iter(named.values())).shape[:2], dtype=bool)
    for value in named.values():
        filled &= np.isfinite(value).all(axis=tuple(range(2, value.ndim)))
    length = int(filled.all(0).argmin()) if not filled.all() else filled.shape[1]
    if length == 0:
        raise KeyboardInterrupt("interrupted before the first draw was kept")
    statistics = {}
    for ours, theirs in _STATISTICS.items():
        name = next((n for n in theirs if n in stats), None)
        if name is not None:
            statistics[ours] = np.asarray(stats[name].values)[:, :length]
    return Draws(
        engine=engine,
        named={k: v[:, :length] for k, v in named.items()},
        statistics=statistics,
        notes={
            "seconds": time.perf_counter() - began,
            "gradients": int(np.sum(statistics.get("n_steps", 0))),
        },
        partial=partial or length < filled.shape[1],
    )
