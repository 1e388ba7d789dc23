"""Axes over orders of magnitude, with ticks one can read."""

import math
from typing import TYPE_CHECKING, Literal

from bayescale.plots.words import number_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["log_scale", "value_scale"]

# Multiples of a power of ten that are labelled, by the decades that the axis spans at most.
_SUBS = {
    0.6: (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0),
    1.4: (1.0, 2.0, 5.0),
    2.5: (1.0, 3.0),
    math.inf: (1.0,),
}


def log_scale(ax: "Axes", which: Literal["x", "y"], column: str) -> None:
    """A log axis for a column of scales: decades labelled, and 2 and 5 between them where they are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    getattr(ax, f"set_{which}scale")("log")
    low, high = getattr(ax, f"get_{which}lim")()
    decades = math.log10(high / low)
    side = ax.xaxis if which == "x" else ax.yaxis
    few = (limit for limit in _SUBS if decades < limit)
    subs = _SUBS[next(few, math.inf)]
    side.set_major_locator(LogLocator(base=10, subs=subs, numticks=8))
    side.set_minor_locator(LogLocator(base=10, subs=range(2, 10), numticks=100))
    side.set_major_formatter(FuncFormatter(lambda x, _: number_of(column, x)))
    side.set_minor_formatter(NullFormatter())


def value_scale(ax: "Axes", low: float, high: float) -> None:
    """The axis of values: linear, or log where positive values span more than fivefold."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if not (low > 0 and high / low > 5):
        return
    ax.set_yscale("log")
    subs = (1.0, 2.0, 5.0) if high / low < 100 else (1.0,)
    ax.yaxis.set_major_locator(LogLocator(base=10, subs=subs, numticks=12))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
