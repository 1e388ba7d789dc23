"""The best size or data against compute."""

from typing import TYPE_CHECKING, Literal

from bayescale.errors import InputError
from bayescale.plots.scales import log_scale
from bayescale.plots.style import axis, colours, legend_beside, look, needs, tidy
from bayescale.plots.words import label_of, percent

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["plot_allocation"]

_LABELS = {
    "n_params": "Best number of parameters",
    "n_tokens": "Best number of training tokens",
    "tokens_per_param": "Best tokens per parameter",
}


def plot_allocation(
    allocation: "xr.Dataset",
    ax: "Axes | None" = None,
    *,
    show: Literal["n_params", "n_tokens", "tokens_per_param"] = "n_params",
) -> "Axes":
    """Best size (or data) against compute: where the optimum lies, and what is nearly as good.

    Parameters
    ----------
    allocation : Dataset
        From `allocate`, for two budgets or more.
    ax : Axes, optional
        A new figure by default.
    show : {"n_params", "n_tokens", "tokens_per_param"}
        The near-best band is known for sizes only.

    Returns
    -------
    Axes
    """
    needs(allocation, ("n_params", "n_tokens", "near_best", "decades_beyond"), "allocate(posterior, flops)")
    if show not in _LABELS:
        raise InputError(f"show={show!r} must be one of {', '.join(_LABELS)}.")
    ordered = allocation.sortby("flops")
    with look():
        ax = axis(ax)
        handles = [*_near(ax, ordered)] if show == "n_params" else []
        handles = [*_best(ax, ordered, show), *handles, *_beyond(ax, ordered)]
        log_scale(ax, "x", "flops")
        log_scale(ax, "y", show)
        cost = allocation.attrs.get("cost", "6 N D")
        ax.set_xlabel(label_of("flops") if cost == "6 N D" else f"Budget (unit of {cost})")
        ax.set_ylabel(_LABELS[show])
        legend_beside(ax, handles)
        tidy(ax)
    return ax


def _best(ax: "Axes", found: "xr.Dataset", show: str) -> list["Artist"]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    hue, x = colours(1)[0], found["flops"].values
    low, middle, high = (found[show].sel(bound=k).values for k in ("lower", "median", "upper"))
    if x.size == 1:
        ax.errorbar(x, middle, [middle - low, high - middle], fmt="o", color=hue, capsize=3, zorder=4)
    else:
        ax.fill_between(x, low, high, color=hue, alpha=0.35, lw=0, zorder=3)
        ax.plot(x, middle, color=hue, zorder=4)
    share = f"{percent(found.attrs['prob'])} interval of the optimum"
    return [
        Line2D([], [], color=hue, label="optimum (median)"),
        Patch(color=hue, alpha=0.4, lw=0, label=share),
    ]


def _near(ax: "Axes", found: "xr.Dataset") -> list["Artist"]:
    from matplotlib.patches import Patch

    x = found["flops"].values
    low, high = (found["near_best"].sel(edge=k).values for k in ("lower", "upper"))
    if x.size == 1:
        ax.vlines(x, low, high, color="0.8", lw=8, zorder=1)
    else:
        ax.fill_between(x, low, high, color="0.88", lw=0, zorder=1)
    words = f"within {100 * found.attrs['within']:g} % of the best\nexpected value"
    return [Patch(color="0.88", lw=0, label=words)]


def _beyond(ax: "Axes", found: "xr.Dataset") -> list["Artist"]:
    """A rule where the optimum leaves the scales of the runs."""
    from matplotlib.lines import Line2D

    inside = found["decades_beyond"].values <= 0
    if inside.all():
        return []
    edge = found["flops"].values[inside].max() if inside.any() else found["flops"].values.min()
    ax.axvline(edge, color="0.35", lw=0.9, ls=(0, (4, 2)), zorder=2)
    return [Line2D([], [], color="0.35", lw=0.9, ls=(0, (4, 2)), label="beyond the runs, to the right")]
