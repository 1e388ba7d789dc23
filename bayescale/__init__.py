"""Hierarchical Bayesian models of neural scaling laws, with intervals one can question.

Everything public is found here and loaded when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_WHERE = {
    "Beta": "model.noise",
    "InputError": "errors",
    "BayescaleWarning": "errors",
    "Laplace": "model.noise",
    "Normal": "model.noise",
    "Prior": "priors",
    "RunTable": "runs.table",
    "StudentT": "model.noise",
    "allocate": "queries.allocate",
    "between": "priors",
    "card": "runs.catalogue",
    "compare": "comparison.compare",
    "convergence": "diagnostics.convergence",
    "fit": "fit",
    "identify": "diagnostics.identification",
    "intervals": "queries.intervals",
    "law": "laws",
    "laws": "laws",
    "list_studies": "runs.catalogue",
    "load_runs": "runs.catalogue",
    "model": "fit",
    "open": "storage",
    "predict": "queries.predict",
    "prior_predictive": "fit",
    "read_runs": "runs.read",
    "save": "storage",
}
_RENAMED = {"open": "open_study"}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'bayescale' has no attribute {name!r}; it has: {', '.join(__all__)}")
    found = getattr(import_module(f"bayescale.{_WHERE[name]}"), _RENAMED.get(name, name))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
