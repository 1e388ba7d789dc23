"""What a backtest foretold against what was seen, and how often its intervals held."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.plots.style import GREY, INK, colours, gap, legend_beside, look, needs, tidy
from bayescale.plots.words import percent, readable

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["plot_backtest"]

_FAR = 12  # splits beyond which their names are not written below one another


def plot_backtest(found: "xr.Dataset", ax: "Sequence[Axes] | None" = None) -> "list[Axes]":
    """Two panels: how far off, and how often the intervals held.

    Over distance, the ratio of what was seen to what was foretold, row by row with its interval, and
    the share of rows inside intervals of 50 to 95 %, by distance. For groups left out, the same ratio
    group by group. For few runs of a new group, error and coverage over the number of its own runs,
    with siblings and alone.

    Parameters
    ----------
    found : Dataset
        From `backtest`.
    ax : sequence of two Axes, optional
        A new figure by default.

    Returns
    -------
    list of Axes
    """
    needs(found, ("observed", "coverage_at_by_distance", "rows_by_case"), "backtest(runs, split='rolling')")
    with look():
        left, right = _pair(ax)
        if "case_own_runs" in found:
            _few_runs(left, right, found)
        else:
            key = _ratios(left, found)
            lines = _coverage(right, found)
            legend_beside(right, [*lines, *gap(lines), *key], "powers of ten\nbeyond (rows)")
        tidy(left)
        tidy(right)
    return [left, right]


def _pair(ax: Any) -> "tuple[Axes, Axes]":
    """Two axes side by side, each with a vertical of its own."""
    if ax is not None:
        given = list(np.atleast_1d(np.asarray(ax, dtype=object)).ravel())
        if len(given) != 2:
            raise InputError(f"a backtest has two panels and needs as many axes, not {len(given)}.")
        return given[0], given[1]
    import matplotlib.pyplot as plt
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    room = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    left, right = plt.subplots(1, 2, figsize=(10.5, 3.9), layout=room)[1]
    return left, right


def _ratios(ax: "Axes", found: "xr.Dataset") -> "list[Artist]":
    """Observed over median, with the interval, along the distance or group by group."""
    main = ~found["reference"].sel(split=found["row_split"]).values
    seen, middle, low, high = (found[k].values[main] for k in ("observed", "median", "lower", "upper"))
    grouped = found.attrs["split"] in ("leave-family-out", "LeaveOut")
    if (middle > 0).all() and (seen > 0).all():
        seen, low, high, level = seen / middle, low / middle, high / middle, 1.0
        ax.set_ylabel("Seen / foretold (median)")
    else:
        seen, low, high, level = seen - middle, low - middle, high - middle, 0.0
        ax.set_ylabel("Seen less foretold (median)")
    at = _by_group(ax, found, main) if grouped else _by_distance(ax, found["decades"].values[main])
    hue = colours(1)[0]
    faint = float(np.clip(40 / max(seen.size, 1), 0.08, 0.5))
    ax.vlines(at, low, high, color=GREY, lw=1.0, alpha=faint, zorder=1)
    inside = found["covered"].values[main]
    for held, fill in ((True, hue), (False, "white")):
        ax.scatter(
            at[inside == held],
            seen[inside == held],
            s=14,
            color=fill,
            edgecolors=hue,
            linewidths=0.8,
            alpha=0.85,
            zorder=3,
        )
    ax.axhline(level, color=INK, lw=0.8, ls=(0, (3, 2)), zorder=2)
    return _key_of_ratios(found, hue)


def _by_distance(ax: "Axes", decades: np.ndarray) -> np.ndarray:
    """Places of rows along the distance; those at one distance, side by side."""
    ax.set_xlabel("Beyond the runs fitted (powers of ten)")
    levels, place = np.unique(np.round(decades, 2), return_inverse=True)
    if levels.size < 2 or levels.size > decades.size / 4:
        return decades
    return levels[place] + 0.6 * float(np.diff(levels).min()) * _side_by_side(place)


def _by_group(ax: "Axes", found: "xr.Dataset", main: np.ndarray) -> np.ndarray:
    """Places of rows, group by group, those of one group side by side."""
    names = [str(name) for name in found["split"].values]
    place = np.array([names.index(name) for name in found["row_split"].values[main]])
    shown = [readable(name.removeprefix("without ")) for name in names]
    if len(names) <= _FAR:
        ax.set_xticks(range(len(names)), shown, rotation=30, ha="right", rotation_mode="anchor")
    ax.set_xlabel("Group left out")
    return place + 0.7 * _side_by_side(place)


def _side_by_side(place: np.ndarray) -> np.ndarray:
    """From -0.5 to 0.5 over the rows of each place, in their order."""
    turn = np.array([np.sum(place[:i] == p) for i, p in enumerate(place)], dtype=float)
    return (turn + 0.5) / np.bincount(place)[place] - 0.5


def _key_of_ratios(found: "xr.Dataset", hue: Any) -> "list[Artist]":
    from matplotlib.lines import Line2D

    mark: dict[str, Any] = {"marker": "o", "ls": "", "color": hue, "markersize": 4.5}
    return [
        Line2D([], [], color=GREY, lw=1.2, label=f"{percent(found.attrs['prob'])} interval"),
        Line2D([], [], **mark, label="run inside"),
        Line2D([], [], **mark, mfc="white", label="run outside"),
    ]


def _coverage(ax: "Axes", found: "xr.Dataset") -> "list[Artist]":
    """Share of rows inside their intervals against what the intervals promise."""
    from matplotlib.lines import Line2D

    stated = 100 * found["level"].values
    ax.plot([stated.min() - 5, 100], [stated.min() - 5, 100], color=INK, lw=0.8, ls=(0, (3, 2)), zorder=1)
    many = found["rows_by_distance"].values
    kept = np.flatnonzero(many > 0)
    handles: list[Artist] = []
    for i, hue in zip(kept, colours(len(kept)), strict=True):
        held = 100 * found["coverage_at_by_distance"].values[i]
        ax.plot(stated, held, color=hue, marker="o", markersize=4.5, zorder=3)
        label = f"{found['distance'].values[i]} ({many[i]})"
        handles.append(Line2D([], [], color=hue, marker="o", markersize=4.5, label=label))
    if len(kept) > 1:
        held = 100 * found["coverage_at"].values
        ax.plot(stated, held, color=INK, marker="s", markersize=4, lw=1.2, zorder=2)
        label = f"all ({int(found['n_test'])})"
        handles.append(Line2D([], [], color=INK, marker="s", markersize=4, lw=1.2, label=label))
    ax.set_xticks(stated, [f"{level:.0f}" for level in stated])
    ax.set_ylim(-3, 103)
    ax.set_xlabel("Stated mass of the interval (%)")
    ax.set_ylabel("Rows inside (%)")
    return handles


def _few_runs(left: "Axes", right: "Axes", found: "xr.Dataset") -> None:
    """Error and coverage over the number of own runs, with siblings and alone."""
    from matplotlib.lines import Line2D

    own, arms = found["case_own_runs"].values, found["case_arm"].values
    counts = sorted(set(own.tolist()))
    error = "rmsle" if np.isfinite(found["rmsle_by_case"]).any() else "rmse"
    handles = []
    for arm, hue in zip(dict.fromkeys(arms.tolist()), colours(2), strict=False):
        chosen = np.flatnonzero(arms == arm)
        chosen = chosen[np.argsort(own[chosen])]
        at = [counts.index(n) for n in own[chosen].tolist()]
        look_of: dict[str, Any] = {"color": hue, "marker": "o", "markersize": 5}
        left.plot(at, found[f"{error}_by_case"].values[chosen], **look_of)
        right.plot(at, 100 * found["coverage_by_case"].values[chosen], **look_of)
        handles.append(Line2D([], [], **look_of, label=readable(arm)))
    for ax in (left, right):
        ax.set_xticks(range(len(counts)), [str(n) for n in counts])
        ax.set_xlabel("Own runs that were fitted")
    left.set_ylim(bottom=0)
    left.set_ylabel("RMSE of the logarithm" if error == "rmsle" else "RMSE (unit of the metric)")
    right.axhline(100 * found.attrs["prob"], color=INK, lw=0.8, ls=(0, (3, 2)), zorder=1)
    right.set_ylim(-3, 103)
    right.set_ylabel(f"Rows inside {percent(found.attrs['prob'])} intervals (%)")
    stated = Line2D([], [], color=INK, lw=0.8, ls=(0, (3, 2)), label="as stated")
    legend_beside(right, [*handles, stated], "new group fitted")
