"""Hierarchical Bayesian models of neural scaling laws, with intervals one can question.

Everything public is found here and loaded when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import Any

_WHERE = {
    "allocate": "queries.allocate",
    "backtest": "comparison.backtest",
    "BayescaleWarning": "errors",
    "Beta": "model.noise",
    "beside_published": "queries.estimates",
    "between": "priors",
    "build_model": "fitting",
    "card": "runs.catalogue",
    "compare": "comparison.compare",
    "convergence": "diagnostics.convergence",
    "curve": "queries.curves",
    "fit": "fitting",
    "identify": "diagnostics.identification",
    "InputError": "errors",
    "intervals": "queries.intervals",
    "isoflop": "queries.isoflop",
    "Laplace": "model.noise",
    "law": "laws",
    "list_studies": "runs.catalogue",
    "load_runs": "runs.catalogue",
    "Normal": "model.noise",
    "open": "storage",
    "pooling": "queries.pooling",
    "predict": "queries.predict",
    "predict_draws": "queries.predict",
    "Prior": "priors",
    "prior_predictive": "fitting",
    "read_runs": "runs.read",
    "residuals": "queries.residuals",
    "RunTable": "runs.table",
    "save": "storage",
    "StudentT": "model.noise",
}
_RENAMED = {"open": "open_study"}
_ROOMS = ("laws", "plots")  # reached as they are; laws() also lists the laws

__all__ = sorted([*_WHERE, *_ROOMS])


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"bayescale.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'bayescale' has no attribute {name!r}; it has: {', '.join(__all__)}")
    found = getattr(import_module(f"bayescale.{_WHERE[name]}"), _RENAMED.get(name, name))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
