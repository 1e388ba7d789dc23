"""Profiles of equal compute and where they are lowest."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.plots.scales import log_scale
from bayescale.plots.style import INK, axis, gap, legend_beside, look, needs, tidy
from bayescale.plots.words import label_of, label_of_metric, percent, power

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["plot_isoflop"]


def plot_isoflop(profiles: "xr.Dataset", ax: "Axes | None" = None) -> "Axes":
    """Value against model size at fixed compute, the runs near each budget, and the optimum's cloud.

    Parameters
    ----------
    profiles : Dataset
        From `bayescale.queries.isoflop.isoflop`.
    ax : Axes, optional
        A new figure by default.

    Returns
    -------
    Axes
    """
    import seaborn as sns

    needs(profiles, ("n_params", "median", "cloud_n_params", "best_n_params"), "isoflop(posterior)")
    with look():
        ax = axis(ax, (6.4, 4.2))
        hues = sns.color_palette("crest", profiles.sizes["flops"])
        handles = [
            _profile(ax, profiles.sel(flops=c), hue) for c, hue in zip(profiles["flops"], hues, strict=True)
        ]
        _optimum(ax, profiles)
        log_scale(ax, "x", "n_params")
        ax.set_ylim(*_heights(profiles))
        ax.set_xlabel(label_of("n_params"))
        ax.set_ylabel(label_of_metric(profiles.attrs["metric"]))
        legend_beside(ax, [*handles, *gap(handles), *_key(profiles)], "FLOP")
        tidy(ax)
    return ax


def _profile(ax: "Axes", one: "xr.Dataset", hue: Any) -> "Artist":
    from matplotlib.lines import Line2D

    budget = float(one["flops"])
    ax.fill_between(one["n_params"], one["lower"], one["upper"], color=hue, alpha=0.22, lw=0, zorder=2)
    ax.plot(one["n_params"], one["median"], color=hue, zorder=3)
    mine = one["run_budget"].values == budget
    ax.scatter(
        one["run_n_params"].values[mine],
        one["observed"].values[mine],
        s=16,
        color=hue,
        alpha=0.8,
        edgecolors="white",
        linewidths=0.3,
        zorder=4,
    )
    ax.scatter(one["cloud_n_params"], one["cloud_value"], s=4, color=INK, alpha=0.12, linewidths=0, zorder=5)
    return Line2D([], [], color=hue, lw=2, label=power(budget))


def _optimum(ax: "Axes", profiles: "xr.Dataset") -> None:
    size, value = (profiles[k].sel(bound="median") for k in ("best_n_params", "best_value"))
    ax.plot(size, value, color=INK, lw=0.9, ls=(0, (1, 1.5)), zorder=5)
    ax.scatter(size, value, marker="D", s=26, color="white", edgecolors=INK, linewidths=1.1, zorder=6)


def _heights(profiles: "xr.Dataset") -> tuple[float, float]:
    """Room for every profile, its interval and its runs."""
    shown = np.concatenate([profiles["lower"].values.ravel(), profiles["upper"].values.ravel()])
    near = profiles["observed"].values[np.isfinite(profiles["run_budget"].values)]
    every = np.concatenate([shown, near])
    margin = 0.04 * (every.max() - every.min())
    return every.min() - margin, every.max() + margin


def _key(profiles: "xr.Dataset") -> list["Artist"]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    share = f"runs within {percent(profiles.attrs['within'])}\nof the compute"
    return [
        Line2D([], [], marker="o", ls="", color="0.45", markersize=4.5, label=share),
        Line2D([], [], color="0.45", label="law (median)"),
        Patch(color="0.45", alpha=0.25, lw=0, label=f"{percent(profiles.attrs['prob'])} interval"),
        Line2D([], [], marker="D", ls=":", color=INK, mfc="white", markersize=5, label="best size"),
        Line2D(
            [], [], marker=".", ls="", color=INK, alpha=0.5, markersize=4, label="best size, single draws"
        ),
    ]
