"""How well what was foretold fits what was seen: scores of rows, and of rows together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayescale.queries.predict import predict_draws
from bayescale.queries.scatter import new_run_density
from bayescale.queries.study import Study

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["LEVELS", "SCORES", "binned", "bins_told", "covered_at", "crps", "row_scores", "scored"]

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Masses of the intervals whose coverage is told."""

SCORES = ("rmse", "rmsle", "bias", "coverage", "width", "crps", "log_score")
"""Scores of rows together, in the order of the tables."""

_QUANTILES = (np.arange(200) + 0.5) / 200  # behind a continuous ranked probability score
_BATCH = 8_000_000  # numbers held at once

type Floats = NDArray[np.float64]


def row_scores(
    posterior: "xr.DataTree",
    study: Study,
    frame: "pd.DataFrame",
    observed: Floats,
    prob: float,
    seed: int,
) -> dict[str, np.ndarray]:
    """Predictions of one more run and their scores, row by row, a batch of rows at a time.

    Returns
    -------
    dict
        ``median``, ``lower``, ``upper``, ``covered``, ``pit`` (share of draws at most the value),
        ``crps``, ``log_density``, each over rows; ``covered_at`` over (row, level).
    """
    width = max(1, _BATCH // study.n_samples)
    tails = [(1 - prob) / 2, *((1 - level) / 2 for level in LEVELS)]
    edges = np.array([0.5, *tails, *(1 - tail for tail in tails), *_QUANTILES])
    parts = []
    for i in range(0, len(frame), width):
        batch, seen = frame.iloc[i : i + width], observed[i : i + width]
        with np.errstate(over="ignore"):  # one run alone may leave a scatter without bounds
            draws = predict_draws(posterior, batch, kind="run", random_seed=seed).values
            curve = predict_draws(posterior, batch, kind="curve", random_seed=seed).values
        ordered = np.sort(np.ascontiguousarray(draws.T), axis=1)
        at = _quantiles(ordered, edges)
        low, high = at[1 : 1 + len(tails)], at[1 + len(tails) : 1 + 2 * len(tails)]
        inside = (low <= seen) & (seen <= high)
        parts.append(
            {
                "median": at[0],
                "lower": low[0],
                "upper": high[0],
                "covered": inside[0],
                "covered_at": inside[1:].T,
                "pit": np.mean(ordered <= seen[:, None], axis=1),
                "crps": crps(at[1 + 2 * len(tails) :], _QUANTILES, seen),
                "log_density": _log_density(study, batch, seen, curve, seed),
            }
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def crps(quantiles: Floats, levels: Floats, observed: Floats) -> Floats:
    """Continuous ranked probability score: twice the mean pinball loss of evenly spaced quantiles."""
    off = observed - quantiles
    return 2 * np.mean(np.where(off >= 0, levels[:, None] * off, (levels[:, None] - 1) * off), axis=0)


def scored(rows: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Scores of rows together; NaN of none.

    Parameters
    ----------
    rows : mapping
        ``observed``, ``median``, ``lower``, ``upper``, ``covered``, ``row_crps``, ``log_density``.
    """
    seen, middle = rows["observed"], rows["median"]
    if not seen.size:
        return dict.fromkeys(SCORES, float("nan"))
    positive = bool((seen > 0).all() and (middle > 0).all())
    ratio = np.log(seen / middle) if positive else np.full(seen.size, np.nan)
    found = {
        "rmse": np.sqrt(np.mean((seen - middle) ** 2)),
        "rmsle": np.sqrt(np.mean(ratio**2)),
        "bias": ratio.mean(),
        "coverage": rows["covered"].mean(),
        "width": (rows["upper"] - rows["lower"]).mean(),
        "crps": rows["row_crps"].mean(),
        "log_score": rows["log_density"].mean(),
    }
    return {name: float(value) for name, value in found.items()}


def covered_at(rows: Mapping[str, np.ndarray]) -> Floats:
    """Share of rows inside their interval, by level; NaN of no rows."""
    inside = rows["covered_at"]
    return inside.mean(axis=0) if len(inside) else np.full(len(LEVELS), np.nan)


def binned(decades: Floats, bins: Sequence[float]) -> np.ndarray:
    """Position of each distance among the labels of `bins_told`; 0 is within the runs."""
    return np.where(decades <= 1e-9, 0, 1 + np.searchsorted(np.asarray(bins), decades, side="left"))


def bins_told(bins: Iterable[float]) -> list[str]:
    """Labels of bins of distance: ``within``, ``to 0.5``, ``0.5 to 1``, ``over 1``."""
    ends = [f"{edge:g}" for edge in bins]
    between = [f"{low} to {high}" for low, high in zip(ends, ends[1:], strict=False)]
    return ["within", f"to {ends[0]}", *between, f"over {ends[-1]}"] if ends else ["within", "beyond"]


def _quantiles(ordered: Floats, edges: Floats) -> Floats:
    """Quantiles of each sorted row, shape (edge, row), interpolated as NumPy does."""
    at = edges * (ordered.shape[1] - 1)
    low = at.astype(int)
    high = np.minimum(low + 1, ordered.shape[1] - 1)
    below, above = ordered[:, low], ordered[:, high]
    with np.errstate(invalid="ignore"):  # between two infinities
        return np.where(below == above, below, below + (at - low) * (above - below)).T


def _log_density(study: Study, frame: "pd.DataFrame", observed: Floats, curve: Floats, seed: int) -> Floats:
    """Log of the mean density over draws; of the value itself, in its unit."""
    from scipy.special import logsumexp

    with np.errstate(all="ignore"):
        density = new_run_density(study, frame, observed, curve, seed)
    return np.asarray(logsumexp(density, axis=0)) - np.log(len(curve))
