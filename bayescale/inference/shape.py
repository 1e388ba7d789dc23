"""From standard normal numbers to the coordinates of a posterior in parts, fitted to draws of it."""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

__all__ = ["Shape", "fitted", "first_shape"]

_KNOTS = np.array([-2.4, -1.7, -1.1, -0.5, 0.0, 0.5, 1.1, 1.7, 2.4])
_WIDTHS = np.diff(_KNOTS)
_ROOT_2PI = float(np.sqrt(2 * np.pi))
_BEYOND = NormalDist().cdf(_KNOTS[0])  # share of a normal distribution beyond the last knot
_OVER = _BEYOND / NormalDist().pdf(_KNOTS[0])  # over that density: what its tail falls by e over there
_SLOWEST = 1.1  # the log of a spread that may be nought has a left tail that falls by e for each unit
_NORMAL_TAIL = 0.36  # of its deviation: over what a normal tail falls by e beyond the last knot
_AWAY = 0.45  # deviation of a log spread below which it is well away from nought
_WEIGHT = 50.0  # draws, for each dimension, that what is expected of a covariance counts as
_STEPS, _NEAR = 40, 1e-14  # of which a few do, and how near is near enough
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
    slowest : array of shape (2, free)
        Least scale of the left and of the right tail of each free coordinate.
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
        """The inverse of `common`; NaN where a coordinate is."""
        free = len(self.levels)
        w = np.concatenate([self._of_level(c[:, :free]), c[:, free:] - self.mean], axis=1)
        return np.linalg.solve(self.root, w.T).T

    def _of_level(self, level: np.ndarray) -> np.ndarray:
        """The inverse of the curves: by Newton's steps, halved where they leave what holds the answer."""
        from scipy.special import ndtri_exp

        which = np.arange(level.shape[1])
        at = np.clip((self.levels.T[:, None] <= level).sum(0) - 1, 0, _WIDTHS.size - 1)
        width, above = _WIDTHS[at], level - self.levels[which, at]
        rise = self.levels[which, at + 1] - self.levels[which, at]
        m0, m1 = width * self.slopes[which, at], width * self.slopes[which, at + 1]
        square, cube = 3 * rise - 2 * m0 - m1, m0 + m1 - 2 * rise
        low, high = np.zeros(level.shape), np.ones(level.shape)
        t = np.clip(above / rise, 0.0, 1.0)
        for _ in range(_STEPS):
            gain = t * (m0 + t * (square + t * cube)) - above
            low, high = np.where(gain < 0, t, low), np.where(gain > 0, t, high)
            there = t - gain / (m0 + t * (2 * square + 3 * t * cube))
            there = np.where((there >= low) & (there <= high), there, 0.5 * (low + high))
            settled, t = np.abs(there - t).max(initial=0.0) < _NEAR, there
            if settled:
                break
        w = _KNOTS[at] + width * t
        for side, end in ((-1.0, 0), (1.0, -1)):
            away = side * (level - self.levels[:, end])
            rows, cols = np.nonzero(away > 0)
            scale = self._tail_scale(side, self.slopes[cols, end], cols)
            w[rows, cols] = -side * ndtri_exp(np.log(_BEYOND) - away[rows, cols] / scale)
        return np.where(level == level, w, np.nan)

    def q(self, u: np.ndarray) -> np.ndarray:
        """Coordinates of the groups."""
        flat = u.reshape(-1, *self.group_mean.shape).swapaxes(0, 1)
        turned = (flat @ self.group_root.swapaxes(1, 2)).swapaxes(0, 1)
        return (self.group_mean + turned).reshape(u.shape)

    def of_q(self, q: np.ndarray) -> np.ndarray:
        """The inverse of `q`."""
        away = np.moveaxis((q - self.group_mean).reshape(-1, *self.group_mean.shape), 0, -1)
        return np.moveaxis(np.linalg.solve(self.group_root, away), -1, 0).reshape(q.shape)

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

        side, far = np.sign(w - inside), -np.abs(w)
        at_far, scale = log_ndtr(far), self._tail_scale(side, slope, which)
        level = level + side * scale * (np.log(_BEYOND) - at_far)
        return level, scale * np.exp(-0.5 * far**2 - at_far) / _ROOT_2PI

    def _tail_scale(self, side: np.ndarray | float, slope: np.ndarray, which: np.ndarray) -> np.ndarray:
        """By how much the level changes where a tail falls by e; `slope` is that at the last knot."""
        return np.maximum(_OVER * slope, np.where(np.asarray(side) < 0, *self.slowest[:, which]))


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
    """Least scales of the tails of free coordinates with these deviations; the last are of the noise.

    Draws that stood still in a tail make it look short, and walkers beyond it would stand there for long.
    """
    normal = _NORMAL_TAIL * scale
    spreads = np.arange(scale.size) < scale.size - noise
    return np.stack([np.where(spreads & (scale > _AWAY), np.maximum(_SLOWEST, normal), normal), normal])


def _towards(covariance: np.ndarray, draws: int, expected: np.ndarray | None = None) -> np.ndarray:
    """A covariance drawn towards what was expected, or towards its own diagonal: few draws tell it badly."""
    size = covariance.shape[-1]
    if expected is None:
        expected = covariance * np.eye(size) + 1e-12 * np.eye(size)
    share = _WEIGHT * size / (draws + _WEIGHT * size)
    return (1 - share) * covariance + share * expected
