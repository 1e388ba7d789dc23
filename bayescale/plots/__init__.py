"""Figures of what queries return: each takes a labelled table and an axis, and returns the axis."""

from importlib import import_module
from typing import Any

_WHERE = {
    "plot_allocation": "allocation",
    "plot_average": "average",
    "plot_backtest": "backtest",
    "plot_comparison": "comparison",
    "plot_compression": "compression",
    "plot_forest": "forest",
    "plot_intervals": "intervals",
    "plot_isoflop": "isoflop",
    "plot_law": "law",
    "plot_residuals": "residuals",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(
            f"module 'bayescale.plots' has no attribute {name!r}; it has: {', '.join(__all__)}"
        )
    found = getattr(import_module(f"bayescale.plots.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
