"""What the law leaves over, along a scale."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayescale.errors import InputError
from bayescale.plots.scales import log_scale
from bayescale.plots.style import INK, axis, colours, gap, legend_beside, look, needs, tidy
from bayescale.plots.words import label_of, percent, readable

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["plot_residuals"]

_FEW = 5
_UNITS = {
    "deviations": "Residual (68 % half-widths)",
    "log": "Log residual (0.01 is 1 %)",
    "logit": "Logit residual",
    "value": "Residual (unit of the value)",
}


def plot_residuals(
    residuals: "xr.Dataset",
    ax: "Axes | None" = None,
    *,
    over: str | None = None,
    by: str | None = None,
    unit: Literal["deviations", "noise"] = "deviations",
    limit: float = 6.0,
) -> "Axes":
    """Residuals of the runs along a scale, with the band in which new runs are expected.

    Parameters
    ----------
    residuals : Dataset
        From `bayescale.queries.residuals.residuals`.
    ax : Axes, optional
        A new figure by default.
    over : str, optional
        Input or ``"flops"``; the compute of the runs by default, else the law's first input.
    by : str, optional
        Column of labels that gives colours.
    unit : {"deviations", "noise"}
        "noise" is the scale on which the scatter is stated: log for losses.
    limit : float, default 6.0
        Runs further off than this, in deviations, are drawn as triangles at the edge.

    Returns
    -------
    Axes
    """
    needs(residuals, ("residual", "deviations", "residual_lower"), "residuals(posterior)")
    over = over or residuals.attrs["scale"]
    for name, what in ((over, "over"), (by, "by")):
        if name is not None and name not in residuals:
            raise InputError(
                f"{what}={name!r} is not in this table; it has: {', '.join(map(str, residuals))}."
            )
    if unit not in ("deviations", "noise"):
        raise InputError(f"unit={unit!r} must be 'deviations' or 'noise'.")
    ordered = residuals.sortby(over)
    x = ordered[over].values
    name, size = (
        ("deviations", 1.0) if unit == "deviations" else ("residual", float(ordered["width"].median()))
    )
    y, low, high = (ordered[k].values for k in (name, f"{name}_lower", f"{name}_upper"))
    far = np.abs(ordered["deviations"].values) > limit
    reach = 1.1 * limit * size if far.any() else 1.15 * max(np.abs(y).max(), np.abs(low).max(), high.max())
    with look():
        ax = axis(ax)
        ax.fill_between(x, low, high, color="0.9", lw=0, zorder=1)
        ax.axhline(0.0, color="0.45", lw=0.8, zorder=2)
        handles = _runs(
            ax, x, np.where(far, np.sign(y) * limit * size, y), far, ordered[by].values if by else None
        )
        drift = _decades(ax, ordered, x) if over == residuals.attrs["scale"] and unit == "deviations" else []
        column = residuals.attrs["columns"].get(over, over)
        log_scale(ax, "x", column)
        ax.set_ylim(-reach, reach)
        ax.set_xlabel(label_of(column))
        ax.set_ylabel(_UNITS["deviations" if unit == "deviations" else residuals.attrs["on"]])
        key = [*_key(residuals, int(far.sum()), limit), *drift]
        legend_beside(ax, [*handles, *gap(handles), *key], readable(by) if by else "")
        tidy(ax)
    return ax


def _runs(
    ax: "Axes", x: np.ndarray, y: np.ndarray, far: np.ndarray, labels: np.ndarray | None
) -> list["Artist"]:
    """Runs as dots, those far off as triangles at the edge; one colour for each label."""
    from matplotlib.lines import Line2D

    names = [None] if labels is None else list(dict.fromkeys(labels.tolist()))
    handles = []
    for name, hue in zip(names, colours(len(names)), strict=True):
        mine = np.ones(x.size, dtype=bool) if labels is None else labels == name
        looks: dict[str, Any] = {"color": hue, "alpha": 0.8, "linewidths": 0.3, "edgecolors": "white"}
        ax.scatter(x[mine & ~far], y[mine & ~far], s=16, zorder=4, **looks)
        for mark, side in (("^", y > 0), ("v", y < 0)):
            ax.scatter(x[mine & far & side], y[mine & far & side], s=28, marker=mark, zorder=4, **looks)
        handles.append(
            Line2D([], [], marker="o", ls="", markersize=4.5, color=hue, label=readable(str(name)))
        )
    return handles if labels is not None else []


def _decades(ax: "Axes", residuals: "xr.Dataset", x: np.ndarray) -> list["Artist"]:
    """The median of each decade with enough runs, over that decade."""
    from matplotlib.lines import Line2D

    kept = residuals.sel(decade_of_scale=residuals["decade_runs"] >= _FEW)
    for decade, middle in zip(kept["decade_of_scale"].values, kept["decade_median"].values, strict=True):
        left, right = max(10.0**decade, x.min()), min(10.0 ** (decade + 1), x.max())
        ax.plot([left, right], [middle, middle], color=INK, lw=1.8, solid_capstyle="butt", zorder=5)
    return [Line2D([], [], color=INK, lw=1.8, label=f"median of a decade\n({_FEW} runs or more)")]


def _key(residuals: "xr.Dataset", off: int, limit: float) -> list["Artist"]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    found: list[Artist] = [
        Line2D([], [], marker="o", ls="", color="0.45", markersize=4.5, label="runs"),
        Patch(color="0.9", lw=0, label=f"{percent(residuals.attrs['prob'])} of new runs"),
    ]
    if off:
        words = f"{off} run{'s' if off > 1 else ''} beyond {limit:g}\nhalf-widths"
        found.insert(1, Line2D([], [], marker="^", ls="", color="0.45", markersize=5.5, label=words))
    return found
