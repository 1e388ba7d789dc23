"""Studies side by side by how well they predict runs left out, or by their evidence."""

from typing import TYPE_CHECKING

import numpy as np

from bayescale.plots.style import INK, axis, colours, legend_beside, look, needs, tidy
from bayescale.plots.words import readable

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["plot_comparison"]


def plot_comparison(table: "xr.Dataset", ax: "Axes | None" = None) -> "Axes":
    """Difference from the best study by any criterion, one and two standard errors, and weights.

    Parameters
    ----------
    table : Dataset
        From `compare`.
    ax : Axes, optional
        A new figure by default.

    Returns
    -------
    Axes
        Best on top, at zero. A hollow mark has Pareto k-hat above 0.7 in some runs: its elpd is not to
        be relied upon.
    """
    from matplotlib.lines import Line2D

    needs(table, ("elpd", "elpd_diff", "diff_se", "weight"), "compare({...})")
    ordered = table.sortby("elpd", ascending=False)
    count = ordered.sizes["model"]
    behind = -np.abs(ordered["elpd_diff"].values)
    error, at = np.nan_to_num(ordered["diff_se"].values), np.arange(count)
    bad = ordered["khat_bad"].values > 0 if "khat_bad" in ordered else np.zeros(count, dtype=bool)
    with look():
        ax = axis(ax, (6.4, 1.3 + 0.42 * count))
        hue = colours(1)[0]
        ax.axvline(0.0, color="0.6", lw=0.8, zorder=1)
        ax.hlines(at, behind - 2 * error, behind + 2 * error, color=hue, lw=1.2, zorder=2)
        ax.hlines(at, behind - error, behind + error, color=hue, lw=3.2, zorder=3)
        for hollow in (False, True):
            ax.scatter(
                behind[bad == hollow],
                at[bad == hollow],
                s=34,
                color="white" if hollow else hue,
                edgecolors=hue,
                linewidths=1.4,
                zorder=4,
            )
        ax.set_yticks(at, [readable(str(name)) for name in ordered["model"].values])
        ax.set_ylim(count - 0.5, -0.5)
        _weights(ax, ordered["weight"].values)
        ax.set_xlabel(_LABELS[_criterion(ordered)])
        what = "computation" if _criterion(ordered) == "evidence" else "difference"
        handles = [
            Line2D([], [], color=hue, lw=3.2, label=f"1 standard error\nof the {what}"),
            Line2D([], [], color=hue, lw=1.2, label="2 standard errors"),
        ]
        if bad.any():
            hollow = {"marker": "o", "ls": "", "color": hue, "mfc": "white", "label": "some k-hat above 0.7"}
            handles.append(Line2D([], [], **hollow))
        legend_beside(ax, handles, left=1.16)  # past the weights
        tidy(ax)
    return ax


_LABELS = {
    "loo": "elpd, difference from the best",
    "by": "log density of whole groups left out,\ndifference from the best",
    "future": "log density of the largest budgets,\ndifference from the best",
    "evidence": "log evidence, difference from the best",
}


def _criterion(table: "xr.Dataset") -> str:
    return "by" if "by" in table.attrs else str(table.attrs.get("criterion", "loo"))


def _weights(ax: "Axes", weights: np.ndarray) -> None:
    """Stacking weights as a column of figures beside the axis."""
    across = ax.get_yaxis_transform()
    ax.text(1.02, -0.55, "weight", transform=across, ha="left", va="bottom", fontsize=9, color=INK)
    for i, weight in enumerate(weights):
        ax.text(1.02, i, f"{weight:.2f}", transform=across, ha="left", va="center", fontsize=9, color=INK)
