"""Pooled parameters by group, beside the population."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.plots.style import colours, legend_beside, look, needs, panels, tidy
from bayescale.plots.words import percent, readable

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["plot_forest"]


def plot_forest(
    groups: "xr.Dataset",
    parameters: str | Sequence[str] | None = None,
    ax: "Axes | Sequence[Axes] | None" = None,
    *,
    alone: Mapping[str, "xr.Dataset"] | None = None,
) -> Any:
    """Each group's interval, the population's value, and where one more group would lie.

    Parameters
    ----------
    groups : Dataset
        From `bayescale.queries.pooling.pooling`, or from `intervals` (then without the spread).
    parameters : str or sequence of str, optional
        Pooled letters, one panel each; all by default.
    ax : Axes or sequence of Axes, optional
        As many as parameters; a new figure by default.
    alone : mapping of str to Dataset, optional
        By group, the `intervals` of a study fitted to that group's runs alone: drawn hollow, so that
        one sees how far pooling moved each group.

    Returns
    -------
    Axes, or array of Axes
        One for each parameter.
    """
    letters = _letters(groups, parameters)
    with look():
        rows = max(3, *(len(_rows(groups[k])[0]) for k in letters))
        drawn = panels(ax, letters, (2.6 + 2.5 * len(letters), 1.4 + 0.26 * rows))
        for panel, letter in zip(drawn, letters, strict=True):
            _panel(panel, groups, letter, alone or {})
            if panel is not drawn[0] and panel.get_shared_y_axes().joined(panel, drawn[0]):
                panel.tick_params(labelleft=False)
        legend_beside(drawn[-1], _key(groups, letters, bool(alone)))
    return drawn[0] if len(drawn) == 1 else np.array(drawn, dtype=object)


def _letters(groups: "xr.Dataset", parameters: str | Sequence[str] | None) -> list[str]:
    pooled = [str(k) for k, v in groups.data_vars.items() if "bound" in v.dims and v.ndim > 1]
    needs(groups, [] if pooled else ["a parameter by group"], "pooling(posterior)")
    wanted = (
        [parameters]
        if isinstance(parameters, str)
        else list(parameters or groups.attrs.get("letters", pooled))
    )
    for name in wanted:
        if name not in pooled:
            raise InputError(f"{name!r} does not vary by group here; pooled: {', '.join(pooled)}.")
    return wanted


def _rows(values: "xr.DataArray") -> tuple[list[str], np.ndarray]:
    """Labels, and median, lower and upper by label."""
    dims = [d for d in values.dims if d != "bound"]
    flat = values.transpose("bound", *dims).sel(bound=["median", "lower", "upper"]).values.reshape(3, -1)
    names = [
        ", ".join(str(values[d].values[i]) for d, i in zip(dims, at, strict=True))
        for at in np.ndindex(*(values.sizes[d] for d in dims))
    ]
    return names, flat


def _panel(ax: "Axes", groups: "xr.Dataset", letter: str, alone: Mapping[str, "xr.Dataset"]) -> None:
    names, (middle, low, high) = _rows(groups[letter])
    at, hue, apart = np.arange(len(names)), colours(2)[0], colours(2)[1]
    _population(ax, groups, letter)
    ax.hlines(at, low, high, color=hue, lw=2.2, zorder=3)
    ax.scatter(middle, at, s=26, color=hue, zorder=4)
    for i, name in enumerate(names):
        if name in alone and letter in alone[name]:
            one = {k: float(alone[name][letter].sel(bound=k)) for k in ("median", "lower", "upper")}
            ax.hlines(i + 0.28, one["lower"], one["upper"], color=apart, lw=1.2, zorder=3)
            ax.scatter(one["median"], i + 0.28, s=20, color="white", edgecolors=apart, zorder=4)
    ax.set_yticks(at, [_counted(groups, letter, i, name) for i, name in enumerate(names)])
    ax.set_ylim(len(names) - 0.4, -0.6)
    shown = [middle, *(groups[k].values for k in (f"{letter}_new",) if k in groups)]
    if min(v.min() for v in shown) > 0 and high.max() / low.min() > 20:
        ax.set_xscale("log")
    ax.set_xlabel(letter)
    ax.grid(axis="y", color="0.93", lw=0.8, zorder=0)
    ax.set_axisbelow(True)
    tidy(ax)


def _population(ax: "Axes", groups: "xr.Dataset", letter: str) -> None:
    """The spread of groups as a pale band, the population's interval and value on it."""
    for name, shade in ((f"{letter}_new", "0.93"), (f"{letter}_population", "0.82")):
        if name in groups:
            ax.axvspan(
                *(float(groups[name].sel(bound=k)) for k in ("lower", "upper")), color=shade, lw=0, zorder=0
            )
    if f"{letter}_population" in groups:
        middle = float(groups[f"{letter}_population"].sel(bound="median"))
        ax.axvline(middle, color="0.4", lw=1.0, zorder=1)


def _counted(groups: "xr.Dataset", letter: str, i: int, name: str) -> str:
    dims = [d for d in groups[letter].dims if d != "bound"]
    counts = f"runs_{dims[0]}"
    if len(dims) == 1 and counts in groups:
        return f"{readable(name)} ({int(groups[counts].values[i])})"
    return readable(name)


def _key(groups: "xr.Dataset", letters: Sequence[str], alone: bool) -> list["Artist"]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    hue, apart = colours(2)
    share = f"{percent(groups.attrs.get('prob', 0.9))} interval"
    found: list[Artist] = [
        Line2D([], [], marker="o", markersize=5, color=hue, lw=2.2, label=f"group, {share}")
    ]
    if alone:
        hollow: dict[str, Any] = {"marker": "o", "markersize": 4.5, "mfc": "white", "lw": 1.2, "color": apart}
        found.append(Line2D([], [], **hollow, label="group fitted alone"))
    if any(f"{k}_population" in groups for k in letters):
        found.append(Line2D([], [], color="0.4", lw=1.0, label="population (median)"))
        found.append(Patch(color="0.82", lw=0, label=f"population, {share}"))
    if any(f"{k}_new" in groups for k in letters):
        found.append(Patch(color="0.93", lw=0, label=f"one more group, {share}"))
    return found
