"""Pareto-smoothed importance weights, and the shape that says whether they can be trusted.

The largest weights are replaced by quantiles of a generalised Pareto distribution fitted to them, and
the fitted shape, k-hat, tells how heavy their tail is: up to 0.5 the weights serve well, up to 0.7 they
serve, beyond that averages over them are dominated by a few draws and mislead.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["effective_draws", "pareto_khat"]

_LEAST_TAIL = 5  # fewer weights say nothing about the shape of their tail


def pareto_khat(log_ratios: ArrayLike, *, efficiency: float = 1.0) -> tuple[float, NDArray[np.float64]]:
    """Shape of the tail of importance ratios, and their smoothed weights.

    Parameters
    ----------
    log_ratios : array
        Log density wanted less log density drawn from, up to a constant; one for each draw, any shape.
        Minus infinity is a weight of zero.
    efficiency : float, default 1.0
        Effective draws of the ratios over draws: 1 for independent draws, less along a Markov chain.

    Returns
    -------
    khat : float
        Shape of the generalised Pareto tail. Infinite if it cannot be judged (fewer than 25 draws, NaN
        or plus infinity among the ratios, nearly all the weight on ties at the bottom), 0 if all
        weights are equal.
    weights : array
        Smoothed weights that sum to 1, in the shape of `log_ratios`; NaN ratios weigh nothing.

    Notes
    -----
    The tail is the largest ``min(S / 5, 3 sqrt(S / efficiency))`` of S weights; its shape is the
    posterior mean of Zhang and Stephens (2009), drawn towards 0.5 with the weight of ten
    observations, as in Vehtari et al. (2024).
    """
    ratios = np.asarray(log_ratios, dtype=float)
    flat = ratios.ravel()
    broken = np.isnan(flat) | (flat == np.inf)
    flat = np.where(broken, -np.inf, flat)
    if flat.size == 0 or flat.max() == -np.inf:
        return np.inf, np.full(ratios.shape, 1.0 / max(flat.size, 1))
    flat = flat - flat.max()
    khat, smoothed = _smooth_tail(flat, efficiency)
    weights = np.exp(smoothed)
    return (np.inf if broken.any() else khat), (weights / weights.sum()).reshape(ratios.shape)


def effective_draws(weights: ArrayLike) -> float:
    """Number of equally weighted draws worth as much as these: 1 over the sum of squared weights."""
    w = np.asarray(weights, dtype=float)
    return float(w.sum() ** 2 / np.square(w).sum())


def _smooth_tail(log_weights: NDArray[np.float64], efficiency: float) -> tuple[float, NDArray[np.float64]]:
    """Shape of the upper tail of `log_weights` (largest 0), and the same with that tail smoothed."""
    size = log_weights.size
    n_tail = int(3 * np.sqrt(size / efficiency)) if size * efficiency > 225 else size // 5
    n_tail = min(n_tail, size - 1)
    if np.ptp(log_weights) < 1e-12:
        return 0.0, log_weights
    if n_tail < _LEAST_TAIL:
        return np.inf, log_weights
    order = np.argsort(log_weights, kind="stable")
    tail = order[-n_tail:]
    cutoff = np.exp(log_weights[order[-n_tail - 1]])
    excess = np.exp(log_weights[tail]) - cutoff
    if excess[-1] <= 0:  # the tail is one value: bounded weights, nothing to smooth
        return 0.0, log_weights
    khat, scale = _fit_pareto(excess)
    if not (np.isfinite(khat) and np.isfinite(scale) and scale > 0):
        return np.inf, log_weights
    quantiles = cutoff + _pareto_quantile((np.arange(n_tail) + 0.5) / n_tail, khat, scale)
    smoothed = log_weights.copy()
    smoothed[tail] = np.minimum(np.log(quantiles), 0.0)
    return khat, smoothed


def _fit_pareto(excess: NDArray[np.float64]) -> tuple[float, float]:
    """Shape and scale of the generalised Pareto distribution of sorted, non-negative `excess`."""
    n = excess.size
    quartile = excess[int(n / 4 + 0.5) - 1]
    if quartile <= excess[0]:
        return np.nan, np.nan
    n_grid = 30 + int(np.sqrt(n))
    grid = 1 - np.sqrt(n_grid / (np.arange(1, n_grid + 1) - 0.5))
    theta = 1 / excess[-1] + grid / (3 * quartile)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        shape = np.log1p(-theta[:, None] * excess).mean(axis=1)
        profile = n * (np.log(-theta / shape) - shape - 1)
        weight = np.exp(profile - profile.max())
        weight[weight < 10 * np.finfo(float).eps * weight.sum()] = 0.0
        best = float(theta @ weight / weight.sum())
        khat = float(np.log1p(-best * excess).mean())
    scale = -khat / best
    return (n * khat + 10 * 0.5) / (n + 10), scale  # a prior of ten observations at 0.5


def _pareto_quantile(prob: NDArray[np.float64], shape: float, scale: float) -> NDArray[np.float64]:
    if abs(shape) < 1e-12:
        return -scale * np.log1p(-prob)
    return scale * np.expm1(-shape * np.log1p(-prob)) / shape
