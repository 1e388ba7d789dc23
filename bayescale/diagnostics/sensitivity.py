"""How far answers move when a prior is made stronger or weaker, without a new fit.

A prior is raised to a power near 1 by reweighting the draws. The distance between the distribution
before and after, for each doubling of the power, is the sensitivity (Kallioinen, Paananen, Bürkner and
Vehtari, 2024); 0.05 and more is worth attention.
"""

import numpy as np
from numpy.typing import NDArray

from bayescale.diagnostics.statistics import ess_tail
from bayescale.inference.psis import pareto_khat

__all__ = ["prior_sensitivity"]

_POWERS = (0.8, 1.25)


def prior_sensitivity(draws: NDArray[np.float64], log_prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance moved for each doubling of the power of a prior.

    Parameters
    ----------
    draws : array
        Dims (chain, draw, number).
    log_prior : array
        Log density of the prior at each draw, dims (chain, draw).

    Returns
    -------
    array
        One for each number: cumulative Jensen-Shannon distance, averaged over a weaker and a stronger
        prior. Zero where the prior does not vary over the draws, NaN where draws are not finite.
    """
    flat = draws.reshape(-1, draws.shape[2]).T
    order = np.argsort(flat, axis=1)
    steps = np.diff(np.take_along_axis(flat, order, axis=1), axis=1)
    efficiency = float(ess_tail(log_prior)) / log_prior.size
    if not np.isfinite(efficiency):
        known = np.isfinite(log_prior).all() and np.isfinite(flat).all(axis=1)
        return np.where(known, 0.0, np.nan)
    slopes = []
    for power in _POWERS:
        _, weights = pareto_khat((power - 1) * log_prior.ravel(), efficiency=efficiency)
        slopes.append(_distance(steps, weights[order]) / abs(np.log2(power)))
    return np.mean(slopes, axis=0)


def _distance(steps: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulative Jensen-Shannon distance that weighting sorted draws makes, the larger of both directions.

    `steps` are the gaps between the sorted draws of each number, `weights` those of the sorted draws.
    """
    upward = _one_way(steps, np.cumsum(weights, axis=1)[:, :-1])
    return np.maximum(upward, _one_way(steps[:, ::-1], np.cumsum(weights[:, ::-1], axis=1)[:, :-1]))


def _one_way(steps: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    size = steps.shape[1] + 1
    p = np.linspace(1 / size, 1 - 1 / size, size - 1)
    tiny = np.finfo(float).tiny
    log_middle = np.log2((p + q) / 2)
    both = 0.5 / np.log(2) * np.einsum("ij,ij->i", steps, q - p)
    from_p = np.einsum("ij,ij->i", steps, p * (np.log2(p) - log_middle)) + both
    from_q = np.einsum("ij,ij->i", steps, q * (np.log2(np.maximum(q, tiny)) - log_middle)) - both
    bound = np.einsum("ij,ij->i", steps, p + q)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((np.maximum(from_p, 0) + np.maximum(from_q, 0)) / bound)
