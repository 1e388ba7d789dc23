"""The laws of an average, and the average, over the runs."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.plots.scales import log_scale, value_scale
from bayescale.plots.style import INK, axis, colours, gap, legend_beside, look, needs, tidy
from bayescale.plots.words import held_at, label_of, label_of_metric, percent

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["plot_average"]


def plot_average(curve: "xr.Dataset", ax: "Axes | None" = None) -> "Axes":
    """Each law of an average with its interval, and the interval of all together, over the runs.

    Dashed where there are no runs. With another input held at a level, runs are drawn as carried to it.

    Parameters
    ----------
    curve : Dataset
        From ``curve(average, ...)``, for one group and one level.
    ax : Axes, optional
        A new figure by default.

    Returns
    -------
    Axes
    """
    needs(curve, ("median", "lower", "upper", "at_run", "member_median"), "curve(average)")
    if curve.sizes["level"] > 1 or curve.sizes["group"] > 1:
        raise InputError(
            f"{curve.sizes['group']} groups at {curve.sizes['level']} levels of an average are too many "
            "lines for one axis: follow compute, curve(average, 'flops'), or hold other inputs at one level, "
            "curve(average, at={'n_tokens': 2e10})."
        )
    one = curve.isel(group=0, level=0)
    shown = curve["carried" if "carried" in curve else "observed"].values
    with look():
        ax = axis(ax)
        _band(ax, one, INK, 0.13, ("lower", "upper"))
        handles = _members(ax, one)
        _line(ax, one, one["median"].values, INK, 2.0)
        ax.scatter(
            curve["at_run"], shown, s=16, alpha=0.75, lw=0.3, edgecolors="white", color="0.3", zorder=5
        )
        seen = np.concatenate([one["lower"], one["upper"], shown])
        log_scale(ax, "x", curve.attrs["column"])
        value_scale(ax, float(np.nanmin(seen)), float(np.nanmax(seen)))
        ax.set_xlabel(label_of(curve.attrs["column"]))
        ax.set_ylabel(label_of_metric(curve.attrs["metric"]))
        legend_beside(ax, [*handles, *gap(handles), *_key(curve)], "Law and weight")
        tidy(ax)
    return ax


def _members(ax: "Axes", one: "xr.Dataset") -> list[Any]:
    from matplotlib.lines import Line2D

    names = [str(name) for name in one["member"].values]
    handles = []
    for name, hue in zip(names, colours(len(names)), strict=True):
        member = one.sel(member=name)
        _band(ax, member, hue, 0.2, ("member_lower", "member_upper"))
        _line(ax, member, member["member_median"].values, hue, 1.2)
        label = f"{name}, {float(member['member_weight']):.0%}"
        handles.append(Line2D([], [], color=hue, lw=1.6, label=label))
    return handles


def _band(ax: "Axes", one: "xr.Dataset", hue: Any, alpha: float, edges: tuple[str, str]) -> None:
    low, high = (one[name].values for name in edges)
    ax.fill_between(one[one.attrs["over"]].values, low, high, color=hue, alpha=alpha, lw=0, zorder=2)


def _line(ax: "Axes", one: "xr.Dataset", middle: np.ndarray, hue: Any, width: float) -> None:
    x, inside = one[one.attrs["over"]].values, np.flatnonzero(one["decades_beyond"].values <= 0)
    last = int(inside[-1]) if inside.size else 0
    ax.plot(x[: last + 1], middle[: last + 1], color=hue, lw=width, zorder=3)
    if last + 1 < x.size:
        ax.plot(x[last:], middle[last:], color=hue, lw=width, ls=(0, (4, 2)), zorder=3)


def _key(curve: "xr.Dataset") -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    words = "runs, as observed"
    if "carried" in curve:
        levels = [
            held_at(column, float(curve[f"held_{name}"].values[0]))
            for name, column in zip(curve.attrs["held"], curve.attrs["held_columns"], strict=True)
        ]
        words = "runs, carried\nto " + ", ".join(levels)
    at_best = ", at its best size" if curve.attrs["frontier"] else ""
    return [
        Line2D([], [], marker="o", ls="", color="0.3", markersize=4.5, label=words),
        Line2D([], [], color=INK, lw=2.0, label=f"average (median{at_best})"),
        Patch(color=INK, alpha=0.2, lw=0, label=f"{percent(curve.attrs['prob'])} interval of the average"),
        Line2D([], [], color="0.45", ls=(0, (4, 2)), lw=1.3, label="beyond the runs"),
    ]
