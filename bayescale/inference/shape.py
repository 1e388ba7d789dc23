"""From standard normal numbers to the coordinates of a posterior in parts, fitted to draws of it."""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

__all__ = ["Shape", "fitted", "first_shape"]

_KNOTS = np.array([-2.4, -1.7, -1.1, -0.5, 0.0, 0.5, 1.1, 1.7, 2.4])
_ROOT_2PI = float(np.sqrt(2 * np.pi))
_SLOWEST = 1.1
_WEIGHT = 50.0  # draws, for each dimension, that what is expected of a covariance counts as
_WIDER = 1.05  # proposals over the draws that they were fitted to


@dataclass(frozen=True, eq=False)
class Shape:
    """From standard normal numbers to the common coordinates and to those of each group.

    Attributes
    ----------
    levels, slopes : array of shape (free, knot)
        Of the free coordinates at the knots: monotone curves of normal scores, with exponential tails.
    mean : array of shape (rest,)
        Of the other common coordinates.
    root : array of shape (coordinate, coordinate)
        From independent to correlated normal numbers.
    group_mean : array of shape (group, coordinate)
    group_root : array of shape (group, coordinate, coordinate)
    """

    levels: np.ndarray
    slopes: np.ndarray
    mean: np.ndarray
    root: np.ndarray
    group_mean: np.ndarray
    group_root: np.ndarray

    def common(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Common coordinates, and the log of what a volume of v becomes there, up to a constant."""
        free, w = len(self.levels), v @ self.root.T
        levels, slopes = self._curve(w[:, :free])
        return np.concatenate([levels, self.mean + w[:, free:]], axis=1), np.log(slopes).sum(-1)

    def of_common(self, c: np.ndarray) -> np.ndarray:
        """The inverse of `common`, by halving where it is curved."""
        free = len(self.levels)
        low = np.full((len(c), free), -60.0)
        high = -low
        for _ in range(60):
            middle = 0.5 * (low + high)
            below = self._curve(middle)[0] < c[:, :free]
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        w = np.concatenate([0.5 * (low + high), c[:, free:] - self.mean], axis=1)
        return np.linalg.solve(self.root, w.T).T

    def q(self, u: np.ndarray) -> np.ndarray:
        """Coordinates of the groups."""
        return self.group_mean + (self.group_root @ u[..., None])[..., 0]

    def of_q(self, q: np.ndarray) -> np.ndarray:
        """The inverse of `q`."""
        return np.linalg.solve(self.group_root, (q - self.group_mean)[..., None])[..., 0]

    def _curve(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Level and slope of each free coordinate's curve."""
        inside = np.clip(w, _KNOTS[0], _KNOTS[-1])
        at = np.clip(np.searchsorted(_KNOTS, inside, side="right") - 1, 0, _KNOTS.size - 2)
        which = np.arange(w.shape[1])
        y0, y1 = self.levels[which, at], self.levels[which, at + 1]
        m0, m1 = self.slopes[which, at], self.slopes[which, at + 1]
        width = _KNOTS[at + 1] - _KNOTS[at]
        t = (inside - _KNOTS[at]) / width
        level = y0 + t * t * (3 - 2 * t) * (y1 - y0) + width * t * (1 - t) * (m0 * (1 - t) - m1 * t)
        slope = 6 * t * (1 - t) * (y1 - y0) / width + m0 * (1 - t) * (1 - 3 * t) + m1 * t * (3 * t - 2)
        # Beyond the knots tails fall exponentially, on the left no faster than by e for each unit: so
        # does the density of the log of a spread that may be nought.
        side, edge = np.sign(w - inside), -np.abs(inside)
        far = np.minimum(-np.abs(w), edge)
        scale = slope * np.exp(log_ndtr(edge) + 0.5 * edge**2) * _ROOT_2PI
        scale = np.where(side < 0, np.maximum(scale, _SLOWEST), scale)
        level = level + side * scale * (log_ndtr(edge) - log_ndtr(far))
        return level, np.where(side == 0, slope, scale * np.exp(-0.5 * far**2 - log_ndtr(far)) / _ROOT_2PI)


def first_shape(mean: np.ndarray, covariance: np.ndarray, free: int, groups: int, pooled: int) -> Shape:
    """Normal in the common coordinates, standard normal in those of the groups."""
    scale = np.sqrt(np.diag(covariance))
    root = np.linalg.cholesky(covariance / np.outer(scale, scale))
    root[free:] *= scale[free:, None]
    slopes = np.repeat(scale[:free, None], _KNOTS.size, axis=1)
    levels = mean[:free, None] + scale[:free, None] * _KNOTS
    unit = np.tile(np.eye(pooled), (groups, 1, 1))
    return Shape(levels, slopes, mean[free:], root, np.zeros((groups, pooled)), unit)


def fitted(c: np.ndarray, q: np.ndarray, free: int) -> Shape:
    """The shape that draws have: common (draw, coordinate), groups (draw, group, coordinate)."""
    from scipy.interpolate import PchipInterpolator
    from scipy.special import ndtr, ndtri

    ranks = (np.argsort(np.argsort(c[:, :free], axis=0), axis=0) + 0.5) / len(c)
    levels = np.quantile(c[:, :free], ndtr(_KNOTS), axis=0).T
    levels += 1e-9 * np.arange(_KNOTS.size)
    slopes = PchipInterpolator(_KNOTS, levels, axis=1).derivative()(_KNOTS)
    edge = np.diff(levels, axis=1) / np.diff(_KNOTS)
    slopes[:, 0], slopes[:, -1] = edge[:, 0], edge[:, -1]  # one-sided ones may be nought
    root = np.eye(c.shape[1])
    root[:free, :free] = np.linalg.cholesky(_towards(np.atleast_2d(np.cov(ndtri(ranks).T)), len(c)))
    rest = np.atleast_2d(np.cov(c[:, free:].T))
    root[free:, free:] = np.linalg.cholesky(_towards(rest, len(c), np.eye(len(rest))))
    group_mean = q.mean(0)
    away = q - group_mean
    spread = np.einsum("ngi,ngj->gij", away, away, optimize=True) / len(q)
    group_root = np.linalg.cholesky(_towards(spread, len(q), np.eye(q.shape[-1])))
    return Shape(levels, slopes, c[:, free:].mean(0), _WIDER * root, group_mean, _WIDER * group_root)


def _towards(covariance: np.ndarray, draws: int, expected: np.ndarray | None = None) -> np.ndarray:
    """A covariance drawn towards what was expected, or towards its own diagonal: few draws tell it badly."""
    size = covariance.shape[-1]
    if expected is None:
        expected = covariance * np.eye(size) + 1e-12 * np.eye(size)
    share = _WEIGHT * size / (draws + _WEIGHT * size)
    return (1 - share) * covariance + share * expected
