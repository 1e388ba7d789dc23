"""Statistics of Markov chains, on NumPy alone and over many quantities at once.

Arrays come as (chain, draw, ...); the answer has the dims after the first two. A quantity with NaN,
infinite or constant draws, or with fewer than four draws a chain, gets NaN: it has not been shown to
have converged. Definitions are those of Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021).
"""

from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["bfmi", "ess_bulk", "ess_mean", "ess_tail", "mcse_mean", "mixing", "rhat"]

type Floats = NDArray[np.float64]

_AT_ONCE = 100_000  # draws: a few such arrays stay in a core's own cache


def rhat(x: ArrayLike) -> Floats:
    """Rank-normalised split R-hat: the larger of that for place and that for spread. NaN for one chain."""
    return _by_quantity(x, lambda rows: _place_and_spread(halves := _split(rows), _normal_scores(halves)))[0]


def ess_bulk(x: ArrayLike) -> Floats:
    """Effective number of draws for the middle of the distribution."""
    return _by_quantity(x, lambda rows: _ess(_normal_scores(_split(rows))))[0]


def mixing(x: ArrayLike) -> tuple[Floats, Floats]:
    """`rhat` and `ess_bulk`, which rank the same draws."""

    def both(rows: Floats) -> tuple[Floats, Floats]:
        halves = _split(rows)
        scores = _normal_scores(halves)
        return _place_and_spread(halves, scores), _ess(scores)

    rhats, draws = _by_quantity(x, both, answers=2)
    return rhats, draws


def ess_mean(x: ArrayLike) -> Floats:
    """Effective number of draws for the mean."""
    return _by_quantity(x, lambda rows: _ess(_split(rows / np.abs(rows).max(axis=(1, 2), keepdims=True))))[0]


def ess_tail(x: ArrayLike, tail: float = 0.05) -> Floats:
    """Effective number of draws at the less certain of the quantiles `tail` and ``1 - tail``."""

    def least(rows: Floats) -> Floats:
        ends = np.quantile(rows, [tail, 1 - tail], axis=(1, 2), keepdims=True)
        return np.minimum(*(_ess(_split((rows <= end).astype(float))) for end in ends))

    return _by_quantity(x, least)[0]


def mcse_mean(x: ArrayLike) -> Floats:
    """Monte Carlo standard error of the mean, in the units of `x`."""
    x = np.asarray(x, dtype=float)
    with np.errstate(invalid="ignore"):
        return np.std(x, axis=(0, 1), ddof=1) / np.sqrt(ess_mean(x))


def bfmi(energy: ArrayLike) -> Floats:
    """Energy's Bayesian fraction of missing information, one for each chain of (chain, draw)."""
    energy = np.atleast_2d(np.asarray(energy, dtype=float))
    if energy.shape[1] < 2:
        return np.full(len(energy), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1, ddof=1)


def _by_quantity(
    x: ArrayLike, estimate: Callable[[Floats], ArrayLike | tuple[ArrayLike, ...]], *, answers: int = 1
) -> Floats:
    """What is estimated of each quantity that it can be of, (answer, ...), so many at once as a cache holds.

    `estimate` takes draws as (quantity, chain, draw).
    """
    x = np.asarray(x, dtype=float)
    if x.ndim < 2:
        raise ValueError(f"draws come as (chain, draw, ...), but this array has shape {x.shape}.")
    flat = x.reshape(*x.shape[:2], -1)
    found = np.full((answers, flat.shape[2]), np.nan)
    step = max(1, _AT_ONCE // max(flat[:, :, :1].size, 1))
    for low in range(0, flat.shape[2], step):
        rows = np.ascontiguousarray(np.moveaxis(flat[:, :, low : low + step], 2, 0))
        fit = _usable(rows)
        if fit.any():
            found[:, low + np.flatnonzero(fit)] = estimate(rows[fit])
    return found.reshape(answers, *x.shape[2:])


def _usable(rows: Floats) -> NDArray[np.bool_]:
    if rows.shape[2] < 4:
        return np.zeros(len(rows), dtype=bool)
    low, high = rows.min(axis=(1, 2)), rows.max(axis=(1, 2))
    return np.isfinite(low) & np.isfinite(high) & (high > low)


def _split(rows: Floats) -> Floats:
    """Each chain as two; the middle draw of an odd number is left out."""
    half = rows.shape[2] // 2
    return np.concatenate([rows[:, :, :half], rows[:, :, -half:]], axis=1)


def _normal_scores(rows: Floats) -> Floats:
    """Normal quantiles of the ranks over all chains (Blom's offset); ties share their mean rank."""
    flat = rows.reshape(len(rows), -1)
    size = flat.shape[1]
    order = np.argsort(flat, axis=1)
    order += size * np.arange(len(flat))[:, None]
    ordered = flat.take(order)
    new = np.ones(flat.shape, dtype=bool)  # where a number begins that others may share
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=new[:, 1:])
    starts = np.flatnonzero(new)
    counts = np.diff(starts, append=flat.size)
    scores = np.empty(flat.size)
    scores[order.reshape(-1)] = np.repeat(_blom(size).take(2 * (starts % size) + counts - 1), counts)
    return scores.reshape(rows.shape)


@lru_cache(maxsize=4)
def _blom(size: int) -> Floats:
    """Normal quantiles of the ranks 1, 1.5, 2, ... of `size` (Python's: SciPy's take longer to load)."""
    ranks = np.arange(2, 2 * size + 1) / 2
    return np.array([*map(NormalDist().inv_cdf, ((ranks - 3 / 8) / (size + 1 / 4)).tolist())])


def _place_and_spread(halves: Floats, scores: Floats) -> Floats:
    """The larger R-hat of split chains with these scores; NaN for one chain."""
    if halves.shape[1] == 2:
        return np.full(len(halves), np.nan)
    centre = np.median(halves, axis=(1, 2), keepdims=True)
    return np.maximum(_rhat(scores), _rhat(_normal_scores(abs(halves - centre))))


def _rhat(rows: Floats) -> Floats:
    n_draws = rows.shape[2]
    within = rows.var(axis=2, ddof=1).mean(axis=1)
    between = n_draws * rows.mean(axis=2).var(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((between / within + n_draws - 1) / n_draws)


def _ess(rows: Floats) -> Floats:
    """Draws over the autocorrelation time by Geyer's initial monotone sequence."""
    _, n_chains, n_draws = rows.shape
    covariance = _autocovariance(rows)
    within = covariance[:, :1] * n_draws / (n_draws - 1)
    total = covariance[:, :1] + rows.mean(axis=2).var(axis=1, ddof=1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = 1 - (within - covariance) / total
    correlation[:, 0] = 1.0
    n_pairs = max((n_draws - 1) // 2, 1)
    even, odd = correlation[:, 0 : 2 * n_pairs : 2], correlation[:, 1 : 2 * n_pairs : 2]
    pairs = even + odd
    ends = pairs <= 0
    last = np.where(ends.any(axis=1), ends.argmax(axis=1), n_pairs - 1)
    summed = np.where(np.arange(n_pairs) < last[:, None], np.minimum.accumulate(pairs, axis=1), 0.0).sum(
        axis=1
    )
    row = np.arange(len(rows))
    counts = (even[row, last] > 0) | (pairs[row, last] >= 0)
    time = -1 + 2 * summed + np.where(counts, even[row, last], 0.0)
    size = n_chains * n_draws
    still = np.ptp(rows, axis=(1, 2)) == 0  # an indicator whose only change was the left-out middle draw
    return np.where(still, size, size / np.maximum(time, 1 / np.log10(size)))


def _autocovariance(rows: Floats) -> Floats:
    """Autocovariance at each lag, averaged over chains."""
    n_draws = rows.shape[2]
    length = 1 << (2 * n_draws - 1).bit_length()
    spectrum = np.fft.rfft(rows - rows.mean(axis=2, keepdims=True), n=length, axis=2)
    power = (np.square(spectrum.real) + np.square(spectrum.imag)).mean(axis=1)
    return np.fft.irfft(power, n=length, axis=1)[:, :n_draws] / n_draws
