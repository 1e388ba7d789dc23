"""The highest point of a posterior and the curvature there."""

from dataclasses import dataclass, replace

import numpy as np

from bayescale.errors import InputError
from bayescale.inference.climb import NEAR, scored, second_order
from bayescale.inference.target import Target

__all__ = ["Mode", "find_mode"]

_FAR = 4.0  # posterior deviations between two tops from which samples about one do not find the other
_MOST_DIFFERENCED = 40  # coordinates up to which differences of the density cost less than gradients
_STEEP, _STEEP_BY_DIFFERENCES = 1e-4, 1e-2  # posterior deviations from the top that are near enough
_NEGLIGIBLE = 6.0  # nats: a top with less than a four-hundredth of the mass moves no interval


@dataclass(frozen=True)
class Mode:
    """Where the density is highest and how it falls off.

    Attributes
    ----------
    point : array of shape (dim,)
    log_density : float
    covariance : array of shape (dim, dim)
        Inverse of the negative curvature, eigenvalues bounded from below and above.
    steepness : float
        Length of the gradient in units of posterior deviations; near zero at a true mode.
    rivals : tuple of array of shape (dim,)
        Other tops that were climbed to and hold a share of the posterior not to be neglected.
    """

    point: np.ndarray
    log_density: float
    covariance: np.ndarray
    steepness: float
    rivals: tuple[np.ndarray, ...] = ()


def find_mode(target: Target, n_starts: int = 4) -> Mode:
    """Climb from the best of the target's starts, then polish with Newton steps.

    Several starts are climbed and the highest end kept, so that the answer does not hang on one. Half of
    them are the highest; the others lie far from those, so that a second mode is not overlooked.

    Raises
    ------
    InputError
        If the density is finite at none of the starts.
    """
    with np.errstate(all="ignore"):  # far from the mode a law may overflow
        heights = np.nan_to_num(target.heights(target.starts), nan=-np.inf)
        chosen = _spread_out(target.starts, heights, n_starts)
        ends = _climbed(target, chosen)
        if not ends:
            raise InputError(
                f"the posterior has no finite density at any of {len(heights)} plausible points: the law's "
                "formula may fail on numbers (a division by zero, the log of a negative one), or the priors "
                "rule the runs out. See what they expect with bayescale.prior_predictive(runs, law)."
            )
        ends.sort(key=lambda end: -end.height)
        tops = _tops(target, ends)
        best = max(tops, key=lambda top: top.log_density)
        rivals = (top for top in tops if top is not best)
        near = tuple(r.point for r in rivals if _log_mass(best) - _log_mass(r) < _NEGLIGIBLE)
        return replace(best, rivals=near)


def _spread_out(starts: np.ndarray, heights: np.ndarray, count: int) -> np.ndarray:
    """The highest starts, and of the higher half of the rest those farthest from the ones taken."""
    order = np.argsort(-heights)
    order = order[np.isfinite(heights[order])]
    taken, others = list(order[: count - count // 2]), list(order[count - count // 2 : 1 + len(order) // 2])
    scaled = starts / np.maximum(np.std(starts, axis=0), 1e-9)
    while others and len(taken) < count:
        gaps = [min(float(np.sum((scaled[i] - scaled[j]) ** 2)) for j in taken) for i in others]
        taken.append(others.pop(int(np.argmax(gaps))))
    return starts[taken]


def _tops(target: Target, ends: list["_End"]) -> list[Mode]:
    """The top above the highest end, and those apart from it above others that are nearly as high."""
    tops = [_polish(target, ends[0])]
    for end in ends[1:]:
        if tops[0].log_density - end.height < _NEGLIGIBLE + NEAR and _apart(tops[0], end.point):
            top = _polish(target, end)
            if all(_apart(other, top.point) for other in tops):
                tops.append(top)
    return tops


def _apart(mode: Mode, point: np.ndarray) -> bool:
    away = point - mode.point
    return bool(away @ np.linalg.solve(mode.covariance, away) > _FAR**2)


def _log_mass(mode: Mode) -> float:
    return mode.log_density + 0.5 * float(np.linalg.slogdet(mode.covariance)[1])


@dataclass(frozen=True, eq=False)
class _End:
    """Where a climb ended, with the curvature there if the climb knows it."""

    height: float
    point: np.ndarray
    bend: np.ndarray | None = None


def _climbed(target: Target, starts: np.ndarray) -> list[_End]:
    if target.fitted is None or target.dim > _MOST_DIFFERENCED:
        return [_climb(target, start) for start in starts]
    points, heights, bends = scored(target, starts)
    return [_End(float(h), p, b) for h, p, b in zip(heights, points, bends, strict=True) if np.isfinite(h)]


def _polish(target: Target, end: _End) -> Mode:
    """Newton steps from near the top to it."""
    point, by_differences = end.point, end.bend is not None
    covariance = _inverse(end.bend) if end.bend is not None else None
    for _ in range(20):
        height, slope, covariance = _bent(target, point, covariance if by_differences else None)
        step = covariance @ slope
        steepness = float(np.sqrt(max(slope @ step, 0.0)))
        if steepness < (_STEEP_BY_DIFFERENCES if by_differences else _STEEP):
            break
        moved = _line_search(target, point, height, step)
        if moved is None:
            break
        point = moved
    assert covariance is not None
    return Mode(point, height, covariance, steepness)


def _bent(
    target: Target, point: np.ndarray, covariance: np.ndarray | None
) -> tuple[float, np.ndarray, np.ndarray]:
    """Height, slope and inverse curvature at a point; by differences along the axes of a known covariance."""
    if covariance is None:
        height, slope = target.gradient(point)
        return height, slope, _inverse(_curvature(target, point))
    values, vectors = np.linalg.eigh(covariance)
    widths = np.sqrt(np.clip(values, 1e-12 * values[-1], None))
    root = vectors * widths
    height, slope, bend = second_order(target, point, root)
    if not (np.isfinite(slope).all() and np.isfinite(bend).all()):
        height, slope = target.gradient(point)
        return height, slope, _inverse(_curvature(target, point))
    return height, vectors @ (slope / widths), root @ _inverse(bend) @ root.T


def _climb(target: Target, start: np.ndarray) -> _End:
    from scipy.optimize import minimize

    def downhill(q: np.ndarray) -> tuple[float, np.ndarray]:
        height, slope = target.gradient(q)
        if not np.isfinite(height) or not np.isfinite(slope).all():
            return 1e12, np.zeros_like(q)
        return -height, -slope

    found = minimize(downhill, start, jac=True, method="BFGS", options={"maxiter": 300, "gtol": 1e-2})
    return _End(-float(found.fun), found.x)


def _line_search(target: Target, point: np.ndarray, height: float, step: np.ndarray) -> np.ndarray | None:
    """A point higher than `point` along the Newton step, or None."""
    length = min(1.0, 3.0 / max(float(np.abs(step).max()), 1e-300))
    for _ in range(25):
        there = float(target.log_density(point + length * step))
        if np.isfinite(there) and there > height:
            return point + length * step
        length /= 2
    return None


def _curvature(target: Target, point: np.ndarray) -> np.ndarray:
    """Negative second derivatives, by central differences of the gradient."""
    dim = point.size
    rows = np.empty((dim, dim))
    for i in range(dim):
        step = np.zeros(dim)
        step[i] = 1e-4 * max(1.0, abs(point[i]))
        up, down = target.gradient(point + step)[1], target.gradient(point - step)[1]
        rows[i] = -(up - down) / (2 * step[i])
    return 0.5 * (rows + rows.T)


def _inverse(curvature: np.ndarray) -> np.ndarray:
    """Inverse with eigenvalues held positive: directions the data do not bend get a wide step."""
    curvature = np.nan_to_num(curvature, nan=0.0, posinf=1e12, neginf=-1e12)
    values, vectors = np.linalg.eigh(curvature)
    values = np.clip(np.abs(values), 1e-2, None)
    return (vectors / values) @ vectors.T
