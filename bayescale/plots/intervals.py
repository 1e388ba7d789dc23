"""Estimates of the same quantity from several sources."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.plots.style import INK, colours, legend_beside, look, needs, panels, tidy
from bayescale.plots.words import percent, readable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["plot_intervals"]


def plot_intervals(table: "pd.DataFrame", ax: "Axes | Sequence[Axes] | None" = None) -> Any:
    """Our intervals and published estimates, one panel for each quantity.

    Parameters
    ----------
    table : DataFrame
        From `bayescale.queries.estimates.beside_published`.
    ax : Axes or sequence of Axes, optional
        As many as quantities; a new figure by default.

    Returns
    -------
    Axes, or array of Axes
        One for each quantity.
    """
    needs(
        table,
        ("quantity", "source", "median", "lower", "upper", "published"),
        "beside_published(intervals(post))",
    )
    rows: list[dict[Any, Any]] = table.to_dict(orient="records")
    quantities, sources = (list(dict.fromkeys(str(r[k]) for r in rows)) for k in ("quantity", "source"))
    with look():
        drawn = panels(ax, quantities, (2.6 + 1.9 * len(quantities), 1.3 + 0.28 * max(len(sources), 3)))
        for panel, name in zip(drawn, quantities, strict=True):
            _panel(panel, [r for r in rows if str(r["quantity"]) == name], sources)
            panel.set_xlabel(readable(name))
        legend_beside(drawn[-1], _key(rows))
    return drawn[0] if len(drawn) == 1 else np.array(drawn, dtype=object)


def _panel(ax: "Axes", rows: Sequence[dict[Any, Any]], sources: Sequence[str]) -> None:
    ours = [r for r in rows if not r["published"]]
    for row in rows:
        y, hue = sources.index(str(row["source"])), INK if row["published"] else colours(1)[0]
        if np.isfinite([row["lower"], row["upper"]]).all():
            ax.hlines(y, row["lower"], row["upper"], color=hue, lw=1.3 if row["published"] else 2.2, zorder=3)
        ax.scatter(
            row["median"], y, s=26, color="white" if row["published"] else hue, edgecolors=hue, zorder=4
        )
    if len(ours) == 1:
        ax.axvspan(ours[0]["lower"], ours[0]["upper"], color=colours(1)[0], alpha=0.1, lw=0)
    ax.set_yticks(range(len(sources)), [readable(s) for s in sources])
    ax.set_ylim(len(sources) - 0.4, -0.6)
    ends = np.array([[r[k] for k in ("lower", "median", "upper")] for r in rows], dtype=float)
    if np.nanmin(ends) > 0 and np.nanmax(ends) / np.nanmin(ends) > 20:
        ax.set_xscale("log")
    else:
        ax.locator_params(axis="x", nbins=4)
    tidy(ax)


def _key(rows: Sequence[dict[Any, Any]]) -> list["Artist"]:
    from matplotlib.lines import Line2D

    share, hue = f"{percent(rows[0].get('prob', 0.9))} interval", colours(1)[0]
    found: list[Artist] = [
        Line2D([], [], marker="o", markersize=5, lw=2.2, color=hue, label=f"ours, {share}")
    ]
    if any(r["published"] for r in rows):
        looks: dict[str, Any] = {"marker": "o", "markersize": 5, "lw": 1.3, "color": INK, "mfc": "white"}
        found.append(Line2D([], [], **looks, label=f"published, {share}"))
    return found
