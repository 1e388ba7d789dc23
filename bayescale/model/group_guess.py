"""Where the common part of a study sampled group by group is, roughly, before anything is sampled."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bayescale.model.grouped import Grouped

__all__ = ["guessed"]

_STEP, _WIDE_STEP = 1e-3, 0.01  # of slopes, and of curvatures
_FLATTEST = 0.3  # curvature that a spread is taken to have at least
_WIDEST = 0.5  # variance of a coordinate of the noise, at most


def guessed(parts: "Grouped") -> tuple[np.ndarray, np.ndarray]:
    """Rough mean and covariance of the common coordinates.

    Spreads and sizes of a drift are at their mode, where what the runs say is taken to be normal; the noise
    is that of the groups' modes, and the population values are standard normal by what their coordinates are.
    """
    from scipy.optimize import minimize

    assert parts.runs is not None
    count, size, told = parts.n_free - parts.n_noise, parts.n_common, parts.facts.told
    middle, covariance = np.zeros(size), np.eye(size)
    for i, (name, prior) in enumerate(parts.noises, start=count):
        value, wide = (told.sigma, 1.5) if name == "sigma" else (told.nu or 6.0, 5.0)
        middle[i] = prior.unconstrain(np.float64(value))
        covariance[i, i] = min(wide**2 / parts.runs.value.size, _WIDEST)

    def slope(s: np.ndarray) -> tuple[float, np.ndarray]:
        points = np.tile(middle, (2 * count + 1, 1))
        points[:, :count] = s + _STEP * np.concatenate([np.zeros((1, count)), np.eye(count), -np.eye(count)])
        found = parts.told_height(points)
        return -float(found[0]), (found[count + 1 :] - found[1 : count + 1]) / (2 * _STEP)

    first = parts.facts.first if parts.facts.first.size else _by_priors(parts)
    best = minimize(slope, first, jac=True, method="BFGS", options={"gtol": 1e-2}).x
    away = _WIDE_STEP * np.eye(count)
    curve = np.stack([slope(best + e)[1] - slope(best - e)[1] for e in away]) / (2 * _WIDE_STEP)
    values, vectors = np.linalg.eigh(0.5 * (curve + curve.T))
    covariance[:count, :count] = (vectors / np.clip(np.abs(values), _FLATTEST, None)) @ vectors.T
    middle[:count] = best
    return middle, covariance


def _by_priors(parts: "Grouped") -> np.ndarray:
    """Free coordinates of the spreads and sizes at the middles of their priors; spreads below those."""
    rng = np.random.default_rng(0)
    priors = [prior for _, prior in parts.spreads + parts.sizes]
    first = np.array([prior.unconstrain(np.median(prior.sample(rng, 400))) for prior in priors])
    first[: parts.n_pooled] -= 1.0
    return first
