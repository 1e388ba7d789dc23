"""Raw size per token by tokenizer and modality."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.plots.style import GREY, colours, legend_beside, look, needs, tidy
from bayescale.plots.words import percent, readable

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["plot_compression"]

_COLUMNS = ("modality", "level", "tokenizer", "raw_unit", "median", "lower", "upper")
_MOST = 30


def plot_compression(
    factors: "pd.DataFrame | xr.DataTree",
    modality: str | Sequence[str] | None = None,
    ax: "Axes | Sequence[Axes] | None" = None,
    *,
    prob: float = 0.9,
) -> Any:
    """Each tokenizer's factor, the middle of its modality, and where one more tokenizer would lie.

    Parameters
    ----------
    factors : DataFrame or DataTree
        From `bayescale.compression_factors`, or the study itself.
    modality : str or sequence of str, optional
        One panel each; all by default. They stand below one another, each with its own unit.
    ax : Axes or sequence of Axes, optional
        As many as modalities; a new figure by default.
    prob : float, default 0.9
        Mass of the intervals where a study is given; those of a table are as they are.

    Returns
    -------
    Axes, or array of Axes
    """
    table = _table(factors, prob)
    wanted = _wanted(table, modality)
    with look():
        drawn = _axes(ax, table, wanted)
        for panel, name in zip(drawn, wanted, strict=True):
            _panel(panel, table[table["modality"] == name], name)
        key = _key(table.attrs.get("prob", prob))
        if ax is None:
            below: Any = drawn[0].figure
            below.legend(handles=key, loc="outside lower center", ncols=min(2, len(drawn)), frameon=False)
        else:
            legend_beside(drawn[-1], key)
    return drawn[0] if len(drawn) == 1 else np.array(drawn, dtype=object)


def _table(factors: Any, prob: float) -> "pd.DataFrame":
    if hasattr(factors, "children"):
        from bayescale.queries.factors import compression_factors

        return compression_factors(factors, prob=prob)
    needs(factors, _COLUMNS, "compression_factors(post)")
    return factors


def _wanted(factors: "pd.DataFrame", modality: str | Sequence[str] | None) -> list[str]:
    here = list(dict.fromkeys(factors["modality"]))
    wanted = [modality] if isinstance(modality, str) else list(modality or here)
    for name in wanted:
        if name not in here:
            raise InputError(f"no factor of {name!r} is in this table; there are: {', '.join(here)}.")
    return wanted


def _rows(factors: Any) -> Any:
    """The tokenizers to draw: all, or some spread evenly over the order where they are too many."""
    rows = factors[factors["level"] == "tokenizer"]
    if len(rows) > _MOST:
        rows = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, _MOST).round().astype(int))]
    return rows


def _axes(ax: Any, factors: Any, wanted: list[str]) -> "list[Axes]":
    if ax is not None:
        given = list(np.atleast_1d(np.asarray(ax, dtype=object)).ravel())
        if len(given) != len(wanted):
            raise InputError(
                f"{len(wanted)} panels ({', '.join(wanted)}) need as many axes, not {len(given)}."
            )
        return given
    import matplotlib.pyplot as plt

    across = min(2, len(wanted))
    counts = [2 + len(_rows(factors[factors["modality"] == name])) for name in wanted]
    heights = [max(counts[i : i + across]) for i in range(0, len(counts), across)]
    size = (1.2 + 4.6 * across, 1.0 + 0.5 * len(heights) + 0.18 * sum(heights))
    shape: Any = {"height_ratios": heights}
    grid = plt.subplots(
        len(heights), across, figsize=size, layout="constrained", squeeze=False, gridspec_kw=shape
    )[1].ravel()
    for spare in grid[len(wanted) :]:
        spare.remove()
    return list(grid[: len(wanted)])


def _panel(ax: "Axes", factors: Any, name: str) -> None:
    rows, hue = _rows(factors), colours(1)[0]
    for level, shade in (("new", "0.93"), ("population", "0.8")):
        band = factors.loc[factors["level"] == level, ["lower", "median", "upper"]].to_numpy(dtype=float)
        for low, middle, high in band:
            ax.axvspan(low, high, color=shade, lw=0, zorder=0)
            if level == "population":
                ax.axvline(middle, color=GREY, lw=1.0, zorder=1)
    at = np.arange(len(rows))
    ax.hlines(at, rows["lower"].to_numpy(), rows["upper"].to_numpy(), color=hue, lw=2.0, zorder=3)
    ax.scatter(rows["median"], at, s=18, color=hue, zorder=4)
    ax.set_yticks(at, [readable(label) for label in rows["tokenizer"]], fontsize=8)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xscale("log")
    _ticks(ax)
    ax.set_xlabel(f"{rows['raw_unit'].iloc[0]} per token" if len(rows) else "")
    ax.set_title(name, loc="left")
    tidy(ax)


def _ticks(ax: "Axes") -> None:
    """Plain numbers on a log axis, the more of them the shorter its span."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = ax.get_xlim()
    decades = np.log10(high / low)
    subs = (1.0, 2.0, 5.0) if decades < 1.3 else (1.0, 3.0) if decades < 2.2 else (1.0,)
    ax.xaxis.set_major_locator(LogLocator(subs=subs))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _key(prob: float) -> "list[Artist]":
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    share, hue = f"{percent(prob)} interval", colours(1)[0]
    return [
        Line2D(
            [],
            [],
            marker="o",
            markersize=4.5,
            color=hue,
            lw=2.0,
            label=f"tokenizer on a typical material, {share}",
        ),
        Line2D([], [], color=GREY, lw=1.0, label="middle of the modality (median)"),
        Patch(color="0.8", lw=0, label=f"middle, {share}"),
        Patch(color="0.93", lw=0, label=f"one more tokenizer on one more material, {share}"),
    ]
