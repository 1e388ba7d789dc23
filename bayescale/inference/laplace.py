"""Mode, curvature and importance correction: the fast posterior that certifies itself or refuses.

A Student-t laid over the mode proposes, the exact density weighs, and the Pareto k-hat of the weights
says whether the result may be believed. Where the first proposal falls short it is moved to the mean and
covariance of its own weighted draws, a few times (adaptive importance sampling).
"""

import time
from dataclasses import dataclass

import numpy as np

from bayescale.inference.mode import Mode, find_mode
from bayescale.inference.psis import effective_draws, pareto_khat
from bayescale.inference.target import Draws, Settings, Target

__all__ = ["KHAT_LIMIT", "laplace"]

KHAT_LIMIT = 0.5  # below it the weights have finite variance (Vehtari et al. 2024, arXiv:1507.02646)
_TAILS = 7.0  # degrees of freedom of the proposal: heavier than the posterior in every trial
_ROUNDS_OF_FEW, _ROUNDS = 4, 6  # of moving the proposal: more where many coordinates are to be learnt
_LEARNT_FROM, _LEAST_POWER = 12, 0.05  # draws for each coordinate that a covariance is learnt from
_BELIEVED = 100  # draws that halve the correlations they tell of coordinates nearly normal given the others
_PILOT = 150  # proposals for each coordinate by which the first proposal is moved, where these are few
_FIRST = 1.3  # times as many proposals as draws are wanted: enough of them where the posterior is near normal
_NEAR, _WIDER = 0.15, 1.15  # share worth from which a heavy tail of weights asks for so much wider proposals
_SMOOTH = 0.5  # share of a pilot's proposals that its weights are worth where the posterior is near normal
_SPARE = 1.03  # times as many as should do, since the share that weights are worth moves with the seed
_EASY = 0.25  # share of its proposals that an easy posterior's weights are worth
_MORE = 4  # times as many proposals before a posterior that is less easy is believed
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
    first = size
    centre, covariance = mode.point, mode.covariance
    if (pilot := _PILOT * target.dim) < size // 2:
        found = _proposed(target, centre, covariance, pilot, rng)
        if np.isfinite(found.khat) and found.effective >= 5 * target.dim:
            centre, covariance = _learnt(target, found)
        if found.effective >= _SMOOTH * pilot:
            first = min(size, int(_FIRST * size / 2))
    best: _Proposed | None = None
    earlier: list[_Proposed] = []
    wider = 1.0
    rounds = 0
    most = _ROUNDS if target.inner else _ROUNDS_OF_FEW
    for rounds in range(1, most + 1):  # noqa: B007
        found = _proposed(target, centre, covariance, first, rng)
        if found.khat <= KHAT_LIMIT and found.effective >= _EASY * first:
            found = _worth(target, found, size // 2, size, rng)
        if best is None or found.merit > best.merit:
            best = found
        if found.khat <= KHAT_LIMIT and found.effective >= max(1000.0, _EASY * len(found.points)):
            break
        if not np.isfinite(found.khat) or (found.effective < 5 * target.dim and not target.inner):
            covariance = 1.5 * covariance  # too few carry weight to learn from: look wider
            continue
        earlier.append(found)
        centre, covariance = _learnt(target, *earlier)
        if found.khat > KHAT_LIMIT and found.effective >= _NEAR * len(found.points):
            wider *= _WIDER
        covariance = wider * covariance
    assert best is not None
    if best.khat <= KHAT_LIMIT and best.effective < _EASY * len(best.points):
        # A k-hat near the limit hangs on the seed: a deeper look into the tail settles it.
        best = _proposed(target, *best.shape, _MORE * size, rng)
    khat, effective, points, weights = best.khat, best.effective, best.points, best.weights
    chosen = _resample(weights, wanted, rng)
    return Draws(
        engine="laplace",
        points=points[chosen].reshape(settings.chains, settings.draws, target.dim),
        notes={
            "khat": float(khat),
            "effective_draws": float(effective),
            "rivals": len(mode.rivals),
            "proposals": len(points),
            "rounds": rounds,
            "seconds": time.perf_counter() - began,
        },
        certified=bool(khat <= KHAT_LIMIT and effective >= 1000.0 and not mode.rivals),
    )


@dataclass(frozen=True, eq=False)
class _Proposed:
    """Weighted draws from one Student-t, given by its centre and covariance."""

    shape: tuple[np.ndarray, np.ndarray]
    points: np.ndarray
    log_ratio: np.ndarray
    weights: np.ndarray
    khat: float
    effective: float

    @property
    def merit(self) -> tuple[bool, float]:
        """Certified ones first, then those worth more draws."""
        return bool(self.khat <= KHAT_LIMIT), self.effective if np.isfinite(self.khat) else 0.0


def _proposed(
    target: Target, centre: np.ndarray, covariance: np.ndarray, size: int, rng: np.random.Generator
) -> _Proposed:
    return _weighed((centre, covariance), *_propose(target, centre, covariance, size, rng))


def _weighed(shape: tuple[np.ndarray, np.ndarray], points: np.ndarray, log_ratio: np.ndarray) -> _Proposed:
    khat, weights = pareto_khat(log_ratio)
    return _Proposed(shape, points, log_ratio, weights, khat, effective_draws(weights))


def _worth(target: Target, found: _Proposed, wanted: int, most: int, rng: np.random.Generator) -> _Proposed:
    """These proposals and so many more of them that their weights are worth the draws that are wanted."""
    count = len(found.points)
    more = min(int(_SPARE * count * wanted / found.effective), most) - count
    if found.effective >= wanted or more <= 0:
        return found
    points, log_ratio = _propose(target, *found.shape, more, rng)
    return _weighed(
        found.shape, np.concatenate([found.points, points]), np.concatenate([found.log_ratio, log_ratio])
    )


def _learnt(target: Target, *found: _Proposed) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of weighted draws, the latter a little wider.

    Coordinates that are nearly normal given the others hang little together: few draws are not believed where
    they say more of that.
    """
    points = np.concatenate([each.points for each in found])
    weights = np.concatenate([each.effective * each.weights for each in found])
    weights = _tempered(weights / weights.sum(), _LEARNT_FROM * target.dim)
    covariance = np.cov(points.T, aweights=weights).reshape(target.dim, target.dim)
    inner = np.isin(np.arange(target.dim), target.inner)
    apart = (inner[:, None] | inner) & ~np.eye(target.dim, dtype=bool)
    worth = effective_draws(weights)
    covariance[apart] *= worth / (worth + _BELIEVED)
    return weights @ points, 1.1 * covariance


def _tempered(weights: np.ndarray, worth: float) -> np.ndarray:
    """The weights, raised to the power below 1 that makes them worth so many draws where they are not."""
    power = 1.0
    while effective_draws(weights) < worth and power > _LEAST_POWER:
        power *= 0.8
        weights = weights**0.8
        weights = weights / weights.sum()
    return weights


def _propose(
    target: Target, centre: np.ndarray, covariance: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Points from the Student-t and the log ratio of density to proposal.

    Coordinates that are nearly normal given the others are proposed so: heavy tails in dozens of them at
    once would put nearly all points where there is nothing.
    """
    inner = np.array(target.inner, dtype=int)
    outer = np.setdiff1d(np.arange(target.dim), inner)
    normal = rng.standard_normal((size, outer.size))
    stretch = rng.chisquare(_TAILS, size) / _TAILS
    root, inverse = _roots(covariance[np.ix_(outer, outer)])
    far = normal / np.sqrt(stretch)[:, None]
    points = np.empty((size, target.dim))
    points[:, outer] = centre[outer] + far @ root.T
    distance = (normal**2).sum(1) / stretch
    log_proposal = -0.5 * (_TAILS + outer.size) * np.log1p(distance / _TAILS)
    if inner.size:
        slope = covariance[np.ix_(inner, outer)] @ inverse.T
        rest = _roots(covariance[np.ix_(inner, inner)] - slope @ slope.T)[0]
        more = rng.standard_normal((size, inner.size))
        points[:, inner] = centre[inner] + far @ slope.T + more @ rest.T
        log_proposal = log_proposal - 0.5 * (more**2).sum(1)
    heights = target.heights(points)
    return points, np.where(np.isfinite(heights), heights - log_proposal, -np.inf)


def _roots(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Square root of a covariance and its inverse."""
    values, vectors = np.linalg.eigh(covariance)
    widths = np.sqrt(np.clip(values, 1e-14, None))
    return vectors * widths, (vectors / widths).T


def _resample(weights: np.ndarray, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Positions drawn in proportion to weight, evenly spaced along their sum, in random order."""
    edges = np.cumsum(weights)
    ticks = (np.arange(wanted) + rng.uniform()) / wanted * edges[-1]
    return rng.permutation(np.minimum(np.searchsorted(edges, ticks), weights.size - 1))
