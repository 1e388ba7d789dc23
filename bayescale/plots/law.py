"""The fitted law over the runs."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.plots.scales import log_scale, value_scale
from bayescale.plots.style import INK, axis, colours, gap, legend_beside, look, needs, tidy
from bayescale.plots.words import held_at, label_of, label_of_metric, percent, readable

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["plot_law"]


def plot_law(curve: "xr.Dataset", ax: "Axes | None" = None) -> "Axes":
    """The law with its interval over the runs; dashed where there are none.

    With one curve for each group, groups have colours. With several levels of another input, levels go
    from light to dark, and a run has the shade of its own level. With one level of another input, runs
    are drawn as carried to it.

    Parameters
    ----------
    curve : Dataset
        From `bayescale.queries.curves.curve`.
    ax : Axes, optional
        A new figure by default.

    Returns
    -------
    Axes
    """
    needs(curve, ("median", "lower", "upper", "at_run", "observed"), "curve(posterior)")
    by_level = curve.sizes["level"] > 1
    if by_level and curve.sizes["group"] > 1:
        raise InputError(
            f"{curve.sizes['group']} groups at {curve.sizes['level']} levels are too many lines for one "
            "axis: hold the other inputs at one level, as in curve(posterior, by=..., at={'n_tokens': 2e10})."
        )
    with look():
        ax = axis(ax)
        handles = _by_level(ax, curve) if by_level else _by_group(ax, curve)
        seen = np.concatenate([curve["median"].values.ravel(), _shown(curve)])
        log_scale(ax, "x", curve.attrs["column"])
        value_scale(ax, float(np.nanmin(seen)), float(np.nanmax(seen)))
        ax.set_xlabel(label_of(curve.attrs["column"]))
        ax.set_ylabel(label_of_metric(curve.attrs["metric"]))
        legend_beside(ax, [*handles, *gap(handles), *_key(curve)], _title(curve))
        tidy(ax)
    return ax


def _shown(curve: "xr.Dataset") -> np.ndarray:
    """Values of the runs as drawn: carried to the one level that is held, else as observed."""
    return curve["carried" if _is_carried(curve) else "observed"].values


def _is_carried(curve: "xr.Dataset") -> bool:
    return "carried" in curve and curve.sizes["level"] == 1


def _by_group(ax: "Axes", curve: "xr.Dataset") -> list[Any]:
    from matplotlib.lines import Line2D

    groups, of_run = [str(g) for g in curve["group"].values], curve["run_group"].values
    labels = groups if len(groups) > 1 else list(dict.fromkeys(of_run.tolist()))
    hues = dict(zip(labels, colours(len(labels)), strict=True))
    handles = []
    for group in groups:
        _line(ax, curve.sel(group=group).isel(level=0), hues[group] if len(groups) > 1 else INK)
    for label in labels:
        mine = of_run == label if len(labels) > 1 else np.ones(of_run.size, dtype=bool)
        hue = hues[label]
        ax.scatter(curve["at_run"].values[mine], _shown(curve)[mine], **_dots(hue))
        marks = {"marker": "o", "markersize": 4.5, "color": hue}
        handles.append(Line2D([], [], **marks, lw=1.6 if len(groups) > 1 else 0, label=readable(label)))
    return handles if len(labels) > 1 else []


def _by_level(ax: "Axes", curve: "xr.Dataset") -> list[Any]:
    """Levels of the first held input in shades, and each run in the shade of its own."""
    import seaborn as sns
    from matplotlib.colors import LogNorm
    from matplotlib.lines import Line2D

    name, column = curve.attrs["held"][0], curve.attrs["held_columns"][0]
    held, of_run = curve[f"held_{name}"].values, curve[f"run_held_{name}"].values
    both = np.concatenate([held, of_run])
    norm = LogNorm(both.min(), both.max() * (1 + 1e-9))
    scale = sns.color_palette("crest", as_cmap=True)
    ax.scatter(
        curve["at_run"].values, curve["observed"].values, **_dots(None), c=of_run, cmap=scale, norm=norm
    )
    handles = []
    for i, level in enumerate(held):
        hue = scale(norm(level))
        _line(ax, curve.isel(group=0, level=i), hue)
        handles.append(Line2D([], [], color=hue, lw=2, label=held_at(column, float(level))))
    return handles


def _line(ax: "Axes", one: "xr.Dataset", hue: Any) -> None:
    x, beyond = one[one["median"].dims[0]].values, one["decades_beyond"].values
    ax.fill_between(x, one["lower"], one["upper"], color=hue, alpha=0.22, lw=0, zorder=2)
    inside = np.flatnonzero(beyond <= 0)
    first, last = (int(inside[0]), int(inside[-1])) if inside.size else (0, 0)
    ax.plot(x[first : last + 1], one["median"][first : last + 1], color=hue, zorder=3)
    for part in (slice(0, first + 1), slice(last, None)):
        if x[part].size > 1:
            ax.plot(x[part], one["median"][part], color=hue, ls=(0, (4, 2)), lw=1.3, zorder=3)


def _dots(hue: Any) -> dict[str, Any]:
    settings = {"s": 16, "alpha": 0.75, "linewidths": 0.3, "edgecolors": "white", "zorder": 4}
    return settings if hue is None else settings | {"color": hue}


def _title(curve: "xr.Dataset") -> str:
    several = curve.sizes["group"] > 1 or len(set(curve["run_group"].values.tolist())) > 1
    by_group = several and curve.sizes["level"] == 1
    return readable(curve.attrs["by"].replace("_", " ")) if by_group else ""


def _key(curve: "xr.Dataset") -> list[Any]:
    """What dots, lines and bands mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    words = f"runs, {_carried_to(curve)}" if _is_carried(curve) else "runs, as observed"
    line = "law at the best size" if curve.attrs["frontier"] else "law"
    if curve.sizes["group"] == 1 and str(curve["group"].values[0]) == "new":
        line += ", group not yet seen"
    found = [
        Line2D([], [], marker="o", ls="", color="0.45", markersize=4.5, label=words),
        Line2D([], [], color="0.45", label=f"{line} (median)"),
        Patch(color="0.45", alpha=0.25, lw=0, label=f"{percent(curve.attrs['prob'])} interval"),
    ]
    if bool((curve["decades_beyond"] > 0).any()):
        found.append(Line2D([], [], color="0.45", ls=(0, (4, 2)), lw=1.3, label="beyond the runs"))
    return found


def _carried_to(curve: "xr.Dataset") -> str:
    levels = [
        held_at(column, float(curve[f"held_{name}"].values[0]))
        for name, column in zip(curve.attrs["held"], curve.attrs["held_columns"], strict=True)
    ]
    return "carried\nto " + ", ".join(levels)
