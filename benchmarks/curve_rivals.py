"""The fits that `benchmarks/curves.py` holds bayescale against: M1 to M4 and BNSL, after their authors' procedures.

M1 to M4 follow Alabdulmohsin et al. 2022 and their notebook: the log residual of the law as they write it is
lessened by turns, coefficients in closed form, then limits by small steps and by damped Newton steps; limits
stay .001 away from the values; an error rate starts at most at one. BNSL follows Caballero et al. 2022: a
brute grid under the mean square of log(1 + value), and least squares from its best point. Data seen are
divided by their least, which the grid is laid out for.
"""

import itertools
import warnings
from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeWarning, brentq, curve_fit, nnls

type Floats = np.ndarray
type Fitted = Callable[[Floats], Floats]

_MARGIN = 1e-3
_SMALL_STEPS, _NEWTON_STEPS = 1000, 100
_SMALL_ROUNDS, _ROUNDS, _STOP = 100, 10_000, 1e-10
_GRID_SIZE = 4096  # points of the grid that are held in memory at once
_LEAST, _MOST = (0, 0, 0, 0, 0.1, 0.1), (1, np.inf, 1, 1, 1e6, 1)  # a, b, c0, c1, d1, f1


def m1(x: Floats, y: Floats) -> Fitted:
    """Power law."""
    slope, level = np.polyfit(np.log(x), np.log(y), 1)
    return lambda at: np.exp(level + slope * np.log(at))


def m2(x: Floats, y: Floats) -> Fitted:
    """Power law above a floor."""
    columns = np.stack([np.ones_like(x), np.log(x)], axis=1)
    floor = y.min() - _MARGIN
    coefficients, before = np.zeros(2), 1.0
    for k in range(_ROUNDS):
        coefficients = np.linalg.lstsq(columns, np.log(y - floor))[0]
        right = columns @ coefficients
        floor, _ = _limits(right, y, 0.0, floor, np.inf, y.min(), np.inf, k < _SMALL_ROUNDS)
        if abs(np.exp(coefficients[0]) - before) < _STOP and k > _SMALL_ROUNDS + 1:
            break
        before = np.exp(coefficients[0])
    return lambda at: floor + np.exp(coefficients[0] + coefficients[1] * np.log(at))


def m3(x: Floats, y: Floats) -> Fitted:
    """Power law that stops at a scale of saturation."""
    gamma, before = 0.0, 1.0

    def miss(level: float, power: float, gamma: float) -> float:
        return float(np.sum((np.log(y) - level - power * np.log(1 / x + gamma)) ** 2))

    level, power = 0.0, 0.0
    for _ in range(_ROUNDS):
        columns = np.stack([np.ones_like(x), np.log(1 / x + gamma)], axis=1)
        level, power = np.linalg.lstsq(columns, np.log(y))[0]
        power = max(power, 0.0)
        if power > 0:
            tried = (y / np.exp(level)) ** (1 / power) - 1 / x
            gamma = min([gamma, *tried[tried >= 0]], key=lambda g: miss(level, power, g))
        if abs(np.exp(level) - before) < _STOP:
            break
        before = np.exp(level)
    return lambda at: np.exp(level + power * np.log(1 / at + gamma))


def m4(x: Floats, y: Floats, *, most: float = np.inf) -> Fitted:
    """Curve between a start, at most `most`, and a floor."""
    floor, start = y.min() - _MARGIN, max(1.0, y.max() + _MARGIN)
    # The notebook takes the logs of start - value once, before the start is moved.
    columns = np.stack([np.ones_like(x), -np.log(x), np.log(start - y)], axis=1)
    coefficients, before = np.zeros(3), 1.0
    for k in range(_ROUNDS):
        coefficients = nnls(columns, np.log(y - floor))[0]
        right = coefficients[0] - coefficients[1] * np.log(x)
        floor, start = _limits(
            right, y, coefficients[2], floor, start, y.min(), most + _MARGIN, k < _SMALL_ROUNDS
        )
        if abs(np.exp(coefficients[0]) - before) < _STOP and k > _SMALL_ROUNDS + 1:
            break
        before = np.exp(coefficients[0])
    level, power, alpha = coefficients

    def curve(at: Floats) -> Floats:
        return np.array([_solved(level - power * np.log(one), floor, start, alpha) for one in at])

    return curve


def _solved(log_right: float, floor: float, start: float, alpha: float) -> float:
    """Value at which (value - floor) / (start - value)^alpha is what the power law says."""
    if alpha < 1e-5:
        return floor + np.exp(log_right)

    def odd(u: float) -> float:
        share = 1 / (1 + np.exp(-u))
        return np.log(share) - alpha * np.log1p(-share) - log_right + (1 - alpha) * np.log(start - floor)

    return floor + (start - floor) / (1 + np.exp(-brentq(odd, -36.0, 36.0)))


def bnsl(x: Floats, y: Floats) -> Fitted:
    """Power law with one break above a floor, as the authors' script fits it: from the grid, without bounds."""
    return _bnsl(x, y, (-np.inf, np.inf))


def bnsl_bounded(x: Floats, y: Floats) -> Fitted:
    """The same held within the ranges of the grid, so that the curve cannot turn up or plunge beyond the points."""
    return _bnsl(x, y, (_LEAST, _MOST))


def _bnsl(x: Floats, y: Floats, bounds: tuple[ArrayLike, ArrayLike]) -> Fitted:
    unit = x.min()
    grid = _grid(np.log(x.max() / unit))
    a, log_b, c0, c1, log_d1, f1 = grid[np.argmin(_misses(grid, x / unit, y))]
    started = np.array([a, np.exp(log_b), c0, c1, np.exp(log_d1), f1])
    if np.isfinite(bounds[0]).any():
        started = np.clip(started, np.add(_LEAST, 1e-6), np.subtract(_MOST, 1e-6))

    def logged(at: Floats, *p: float) -> Floats:
        return np.log1p(_broken(at, *p))

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", OptimizeWarning)
        try:
            found = curve_fit(logged, x / unit, np.log1p(y), p0=started, bounds=bounds, maxfev=20_000)[0]
        except RuntimeError:
            found = started
    return lambda at: _broken(at / unit, *found)


def _broken(x: Floats, a: float, b: float, c0: float, c1: float, d1: float, f1: float) -> Floats:
    return a + b * x**-c0 * (1 + (x / d1) ** (1 / f1)) ** (-c1 * f1)


def _grid(reach: float) -> Floats:
    """The authors' grid, with scales that suit x from one to e^reach: a, log b, c0, c1, log d1, f1."""
    axes = (
        np.arange(0, 1, 0.1),
        np.linspace(np.log(0.05), np.log(5.0), 16),
        np.arange(0, 1, 0.25),
        np.arange(0, 1, 0.25),
        np.linspace(0, 1.25 * reach, 16),
        np.array([0.1, 0.25, 0.5, 0.75]),
    )
    return np.array(list(itertools.product(*axes)))


def _misses(grid: Floats, x: Floats, y: Floats) -> Floats:
    """Mean square of what log(1 + value) is off by, at each point of the grid."""
    found = np.empty(len(grid))
    for i in range(0, len(grid), _GRID_SIZE):
        a, b, c0, c1, d1, f1 = grid[i : i + _GRID_SIZE, :, None].transpose(1, 0, 2)
        bend = c1 * f1 * np.logaddexp(0.0, (np.log(x) - d1) / f1)
        curve = a + np.exp(b - c0 * np.log(x) - bend)
        found[i : i + _GRID_SIZE] = np.mean((np.log1p(curve) - np.log1p(y)) ** 2, axis=1)
    return found


@njit(cache=True)
def _limits(right, y, alpha, floor, start, least, most, small):  # noqa: ANN001, ANN202 (numba infers)
    """Floor and start after many steps downhill, given the power law."""
    for _ in range(_SMALL_STEPS if small else _NEWTON_STEPS):
        slope_floor = slope_start = bend_floor = bend_start = 0.0
        for i in range(y.size):
            above, below = y[i] - floor, start - y[i]
            away = np.log(above) - right[i]
            if alpha > 0:
                away -= alpha * np.log(below)
                slope_start -= alpha * away / below
                bend_start += alpha * (alpha + away) / below**2
            slope_floor -= away / above
            bend_floor += (1 - away) / above**2
        n = y.size
        if small:
            floor -= 1e-8 * slope_floor / n
            start -= 1e-8 * slope_start / n
        else:
            if abs(bend_floor / n) > 1e-5:
                floor -= 0.1 * slope_floor / bend_floor
            if abs(bend_start / n) > 1e-5:
                start -= 0.1 * slope_start / bend_start
        floor = min(max(floor, 0.0), least - _MARGIN)
        start = min(start, most)
    return floor, start
