"""From standard normal numbers to the coordinates of a posterior in parts, fitted to draws of it."""

from typing import NamedTuple

import numpy as np

__all__ = ["Shape", "fitted", "first_shape"]

_KNOTS = np.array([-2.4, -1.7, -1.1, -0.5, 0.0, 0.5, 1.1, 1.7, 2.4])
_WIDTHS = np.diff(_KNOTS)
_ROOT_2PI = float(np.sqrt(2 * np.pi))
_SLOWEST = 1.1  # the log of a spread that may be nought has a left tail that falls by e for each unit
_AWAY = 0.45  # deviation of a log spread below which it is well away from nought
_WEIGHT = 50.0  # draws, for each dimension, that what is expected of a covariance counts as
_WIDER = 1.05  # proposals over the draws that they were fitted to


class Shape(NamedTuple):
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
    slowest : array of shape (free,)
        Least scale of the left tail of each free coordinate.
    """

    levels: np.ndarray
    slopes: np.ndarray
    mean: np.ndarray
    root: np.ndarray
    group_mean: np.ndarray
    group_root: np.ndarray
    slowest: np.ndarray

    def common(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Common coordinates, and the log of what a volume of v becomes there, up to a constant."""
        free, w = self.levels.shape[0], v @ self.root.T
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
        flat = u.reshape(-1, *self.group_mean.shape).swapaxes(0, 1)
        turned = (flat @ self.group_root.swapaxes(1, 2)).swapaxes(0, 1)
        return (self.group_mean + turned).reshape(u.shape)

    def of_q(self, q: np.ndarray) -> np.ndarray:
        """The inverse of `q`."""
        return np.linalg.solve(self.group_root, (q - self.group_mean)[..., None])[..., 0]

    def _curve(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Level and slope of each free coordinate's curve; `w` is (point, coordinate)."""
        inside = np.clip(w, _KNOTS[0], _KNOTS[-1])
        at, which = np.searchsorted(_KNOTS[1:-1], inside, side="right"), np.arange(w.shape[1])
        y0, rise = self.levels[which, at], self.levels[which, at + 1]
        rise = rise - y0
        m0, m1 = self.slopes[which, at], self.slopes[which, at + 1]
        width = _WIDTHS[at]
        t = (inside - _KNOTS[at]) / width
        left = 1 - t
        level = y0 + t * t * (3 - 2 * t) * rise + width * t * left * (m0 * left - m1 * t)
        slope = 6 * t * left * rise / width + m0 * left * (1 - 3 * t) + m1 * t * (3 * t - 2)
        beyond = np.nonzero(w != inside)
        if beyond[0].size:
            level[beyond], slope[beyond] = self._tail(
                w[beyond], inside[beyond], level[beyond], slope[beyond], beyond[1]
            )
        return level, slope

    def _tail(
        self, w: np.ndarray, inside: np.ndarray, level: np.ndarray, slope: np.ndarray, which: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same beyond the knots, where tails fall exponentially, of these coordinates."""
        from scipy.special import log_ndtr

        side, edge, far = np.sign(w - inside), -np.abs(inside), -np.abs(w)
        at_edge, at_far = log_ndtr(edge), log_ndtr(far)
        scale = slope * np.exp(at_edge + 0.5 * edge**2) * _ROOT_2PI
        scale = np.where(side < 0, np.maximum(scale, self.slowest[which]), scale)
        return level + side * scale * (at_edge - at_far), scale * np.exp(-0.5 * far**2 - at_far) / _ROOT_2PI


def first_shape(
    mean: np.ndarray, covariance: np.ndarray, free: int, noise: int, groups: int, pooled: int
) -> Shape:
    """Normal in the common coordinates, standard normal in those of the groups."""
    scale = np.sqrt(np.diag(covariance))
    root = np.linalg.cholesky(covariance / np.outer(scale, scale))
    root[free:] *= scale[free:, None]
    slopes = np.repeat(scale[:free, None], _KNOTS.size, axis=1)
    levels = mean[:free, None] + scale[:free, None] * _KNOTS
    unit = np.tile(np.eye(pooled), (groups, 1, 1))
    slowest = _slowest(scale[:free], noise)
    return Shape(levels, slopes, mean[free:], root, np.zeros((groups, pooled)), unit, slowest)


def fitted(c: np.ndarray, q: np.ndarray, free: int, noise: int) -> Shape:
    """The shape that draws have: common (draw, coordinate), groups (draw, group, coordinate)."""
    from scipy.interpolate import PchipInterpolator
    from scipy.special import ndtr, ndtri

    ranks = (np.argsort(np.argsort(c[:, :free], axis=0), axis=0) + 0.5) / len(c)
    levels = np.quantile(c[:, :free], ndtr(_KNOTS), axis=0).T
    levels += 1e-9 * np.arange(_KNOTS.size)
    slopes = PchipInterpolator(_KNOTS, levels, axis=1).derivative()(_KNOTS)
    edge = np.diff(levels, axis=1) / np.diff(_KNOTS)
    slopes[:, 0], slopes[:, -1] = edge[:, 0], edge[:, -1]  # one-sided ones may be nought
    slowest = _slowest(c[:, :free].std(0), noise)
    root = np.eye(c.shape[1])
    root[:free, :free] = np.linalg.cholesky(_towards(np.atleast_2d(np.cov(ndtri(ranks).T)), len(c)))
    rest = np.atleast_2d(np.cov(c[:, free:].T))
    root[free:, free:] = np.linalg.cholesky(_towards(rest, len(c), np.eye(len(rest))))
    group_mean = q.mean(0)
    away = q - group_mean
    spread = np.einsum("ngi,ngj->gij", away, away, optimize=True) / len(q)
    group_root = np.linalg.cholesky(_towards(spread, len(q), np.eye(q.shape[-1])))
    return Shape(levels, slopes, c[:, free:].mean(0), _WIDER * root, group_mean, _WIDER * group_root, slowest)


def _slowest(scale: np.ndarray, noise: int) -> np.ndarray:
    """Least scale of the left tails of free coordinates with these deviations; the last are of the noise."""
    spreads = np.arange(scale.size) < scale.size - noise
    return np.where(spreads & (scale > _AWAY), _SLOWEST, 0.0)


def _towards(covariance: np.ndarray, draws: int, expected: np.ndarray | None = None) -> np.ndarray:
    """A covariance drawn towards what was expected, or towards its own diagonal: few draws tell it badly."""
    size = covariance.shape[-1]
    if expected is None:
        expected = covariance * np.eye(size) + 1e-12 * np.eye(size)
    share = _WEIGHT * size / (draws + _WEIGHT * size)
    return (1 - share) * covariance + share * expected
