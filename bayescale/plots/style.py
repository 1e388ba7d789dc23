"""The look that all figures share, applied to what is drawn and never to the user's settings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["GREY", "INK", "axis", "colours", "gap", "legend_beside", "look", "needs", "panels", "tidy"]

INK = "#222222"
GREY = "#8a8a8a"

_SETTINGS = {
    "font.size": 9,
    "axes.labelsize": 10,
    "axes.titlesize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.title_fontsize": 9,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.6,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.edgecolor": INK,
}


@contextmanager
def look() -> Iterator[None]:
    """Settings of the house while a figure is drawn; the user's own are back afterwards."""
    import matplotlib as mpl
    import seaborn as sns

    settings: dict[Any, Any] = {**sns.axes_style("ticks"), **sns.plotting_context("paper"), **_SETTINGS}
    with mpl.rc_context(settings):
        yield
        shown = mpl.is_interactive()  # a notebook turns it on with its first figure
    mpl.interactive(shown)


def axis(ax: "Axes | None", size: tuple[float, float] = (6.4, 3.8)) -> "Axes":
    """`ax`, or the axis of a new figure that leaves room for a legend beside it."""
    if ax is not None:
        return ax
    return figure_of(1, size)[0]


def figure_of(count: int, size: tuple[float, float]) -> "list[Axes]":
    """Axes in a row, which share the vertical, in a new figure with room around and beside them."""
    import matplotlib.pyplot as plt
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    room = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    drawn = plt.subplots(1, count, figsize=size, layout=room, sharey=True, squeeze=False)[1]
    return list(drawn[0])


def panels(ax: Any, names: Sequence[str], size: tuple[float, float]) -> "list[Axes]":
    """One axis for each name: those given, or those of a new figure.

    Raises
    ------
    InputError
        If the axes given are not as many as the names.
    """
    if ax is None:
        return figure_of(len(names), size)
    given = list(np.atleast_1d(np.asarray(ax, dtype=object)).ravel())
    if len(given) != len(names):
        raise InputError(f"{len(names)} panels ({', '.join(names)}) need as many axes, not {len(given)}.")
    return given


def colours(count: int) -> list[Any]:
    """Colours that colour-blind readers tell apart; beyond ten, steps of one even scale."""
    import seaborn as sns

    return sns.color_palette("colorblind", count) if count <= 10 else sns.color_palette("viridis", count)


def tidy(ax: "Axes") -> None:
    """Two spines are enough."""
    import seaborn as sns

    sns.despine(ax=ax)


def legend_beside(ax: "Axes", handles: Sequence["Artist"], title: str = "", left: float = 1.02) -> None:
    """A legend to the right of the data, never on them."""
    if not handles:
        return
    legend = ax.legend(
        handles=list(handles),
        title=title or None,
        loc="upper left",
        bbox_to_anchor=(left, 1.0),
        borderaxespad=0.0,
        frameon=False,
        ncols=1 if len(handles) <= 20 else 2,
    )
    legend.set_alignment("left")


def gap(above: Sequence["Artist"]) -> list["Artist"]:
    """An empty line of the legend below these entries, if there are any."""
    from matplotlib.lines import Line2D

    return [Line2D([], [], ls="", label=" ")] if above else []


def needs(table: Any, names: Sequence[str], query: str) -> None:
    """Refuse a table that another query made.

    Raises
    ------
    InputError
        Naming what is missing and the query that returns it.
    """
    here = set(getattr(table, "data_vars", ())) or set(getattr(table, "columns", ()))
    missing = [name for name in names if name not in here]
    if missing:
        raise InputError(
            f"this {type(table).__name__} lacks {missing[0]!r}: the figure draws what {query} returns. "
            f"Pass that, as in plot(...({query.partition('(')[0]}(post)))."
        )
