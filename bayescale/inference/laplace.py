"""Mode, curvature and importance correction: the fast posterior that certifies itself or refuses.

A Student-t laid over the mode proposes, the exact density weighs, and the Pareto k-hat of the weights
says whether the result may be believed. Where the first proposal falls short it is moved to the mean and
covariance of its own weighted draws, a few times (adaptive importance sampling).
"""

import time

import numpy as np

from bayescale.inference.mode import Mode, find_mode
from bayescale.inference.psis import pareto_khat
from bayescale.inference.target import Draws, Settings, Target

__all__ = ["KHAT_LIMIT", "laplace"]

KHAT_LIMIT = 0.5  # below it the weights have finite variance (Vehtari et al. 2024, arXiv:1507.02646)
_TAILS = 7.0  # degrees of freedom of the proposal: heavier than the posterior in every trial
_ROUNDS = 4
_MOST_WORK = 1_000_000_000  # proposals times runs above which 4,000 proposals, still enough, must do


def laplace(target: Target, settings: Settings, mode: Mode | None = None) -> Draws:
    """Posterior by importance sampling around the mode.

    Returns
    -------
    Draws
        `certified` only if k-hat is at most 0.5, the weights are worth at least 1,000 draws, and no other
        mode is known, since weights about one mode cannot see the next. ``notes`` carry ``khat``,
        ``effective_draws``, ``rivals`` (other modes), ``proposals`` and ``rounds``.
    """
    began = time.perf_counter()
    rng = np.random.default_rng(settings.random_seed)
    mode = mode or find_mode(target)
    wanted = settings.chains * settings.draws
    size = max(8000, 2 * wanted)
    size = min(size, max(4000, _MOST_WORK // target.width))
    centre, covariance = mode.point, mode.covariance
    best: tuple[float, float, np.ndarray, np.ndarray] | None = None
    rounds = 0
    for rounds in range(1, _ROUNDS + 1):  # noqa: B007
        points, log_ratio = _propose(target, centre, covariance, size, rng)
        khat, weights = pareto_khat(log_ratio)
        effective = 1.0 / float(np.sum(weights**2))
        if best is None or _merit(khat, effective) > _merit(*best[:2]):
            best = (khat, effective, points, weights)
        if khat <= KHAT_LIMIT and effective >= max(1000.0, 0.25 * size):
            break
        if not np.isfinite(khat) or effective < 5 * target.dim:
            covariance = 1.5 * covariance  # too few carry weight to learn from: look wider
            continue
        centre = weights @ points
        covariance = 1.1 * np.cov(points.T, aweights=weights).reshape(target.dim, target.dim)
    assert best is not None
    khat, effective, points, weights = best
    chosen = _resample(weights, wanted, rng)
    return Draws(
        engine="laplace",
        points=points[chosen].reshape(settings.chains, settings.draws, target.dim),
        notes={
            "khat": float(khat),
            "effective_draws": float(effective),
            "rivals": len(mode.rivals),
            "proposals": size,
            "rounds": rounds,
            "seconds": time.perf_counter() - began,
        },
        certified=bool(khat <= KHAT_LIMIT and effective >= 1000.0 and not mode.rivals),
    )


def _merit(khat: float, effective: float) -> tuple[bool, float]:
    return bool(khat <= KHAT_LIMIT), effective if np.isfinite(khat) else 0.0


def _propose(
    target: Target, centre: np.ndarray, covariance: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Points from the Student-t and the log ratio of density to proposal."""
    dim = centre.size
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.clip(values, 1e-14, None))
    normal = rng.standard_normal((size, dim))
    stretch = rng.chisquare(_TAILS, size) / _TAILS
    points = centre + (normal / np.sqrt(stretch)[:, None]) @ root.T
    distance = (normal**2).sum(1) / stretch
    log_proposal = -0.5 * (_TAILS + dim) * np.log1p(distance / _TAILS)
    heights = target.heights(points)
    return points, np.where(np.isfinite(heights), heights - log_proposal, -np.inf)


def _resample(weights: np.ndarray, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Positions drawn in proportion to weight, evenly spaced along their sum, in random order."""
    edges = np.cumsum(weights)
    ticks = (np.arange(wanted) + rng.uniform()) / wanted * edges[-1]
    return rng.permutation(np.minimum(np.searchsorted(edges, ticks), weights.size - 1))
