"""The highest point of a posterior and the curvature there."""

from dataclasses import dataclass

import numpy as np

from bayescale.inference.target import Target

__all__ = ["Mode", "find_mode"]


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
    """

    point: np.ndarray
    log_density: float
    covariance: np.ndarray
    steepness: float


def find_mode(target: Target, n_starts: int = 4) -> Mode:
    """Climb from the best of the target's starts, then polish with Newton steps.

    Several starts are climbed and the highest end kept, so that the answer does not hang on one.
    """
    heights = np.nan_to_num(np.asarray(target.log_density(target.starts)), nan=-np.inf)
    order = np.argsort(-heights)[:n_starts]
    ends = [_climb(target, target.starts[i]) for i in order if np.isfinite(heights[i])]
    if not ends:
        raise FloatingPointError("the log density is not finite at any starting point")
    point = max(ends, key=lambda end: end[0])[1]
    for _ in range(20):
        height, slope = target.gradient(point)
        covariance = _inverse(_curvature(target, point))
        step = covariance @ slope
        steepness = float(np.sqrt(max(slope @ step, 0.0)))
        if steepness < 1e-4:
            break
        moved = _line_search(target, point, height, step)
        if moved is None:
            break
        point = moved
    return Mode(point, height, covariance, steepness)


def _climb(target: Target, start: np.ndarray) -> tuple[float, np.ndarray]:
    from scipy.optimize import minimize

    def downhill(q: np.ndarray) -> tuple[float, np.ndarray]:
        with np.errstate(all="ignore"):
            height, slope = target.gradient(q)
        if not np.isfinite(height) or not np.isfinite(slope).all():
            return 1e12, np.zeros_like(q)
        return -height, -slope

    with np.errstate(all="ignore"):
        found = minimize(downhill, start, jac=True, method="BFGS", options={"maxiter": 300, "gtol": 1e-2})
    return -float(found.fun), found.x


def _line_search(
    target: Target, point: np.ndarray, height: float, step: np.ndarray
) -> np.ndarray | None:
    """A point higher than `point` along the Newton step, or None."""
    length = min(1.0, 3.0 / max(float(np.abs(step).max()), 1e-300))
    with np.errstate(all="ignore"):
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
