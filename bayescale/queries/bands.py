"""Quantiles over draws at many scales, and at neighbouring ones from the few draws that can be them.

A law that is a sum over its inputs has draws ``terms @ coefficients`` (see `series`). At neighbouring scales
these come in nearly one order, and how far they can leave it is bounded without looking at every scale: each
draw has a least and a greatest value there, and so has each rank. A draw whose range misses that of a rank is
counted as below or above it, and only the others are evaluated. The quantiles are exact.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from bayescale.queries.series import product

__all__ = ["quantiles", "quantiles_of_sums"]

_AT_ONCE = 300_000  # numbers worked on at once: they fit in the cache
_ROUNDING = 1e-12  # of the sizes of the addends: more than a sum is off by


def quantiles(draws: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """Quantiles over the last axis, shape (edge, row); the draws may be left in another order.

    One partition for each, of ever smaller parts: NumPy's for several at once is slower than a sort.
    """
    draws, size = np.require(draws, requirements=("C", "W")), draws.shape[1]
    at = np.asarray(edges) * (size - 1)
    ranks = sorted({int(k) for k in at})
    _place(draws, ranks, 0, size)
    found = []
    for place in at:
        k = int(place)
        value, end = draws[:, k], next((r for r in ranks if r > k), size - 1)
        after = np.fmin.reduce(draws[:, k + 1 : end + 1], axis=1) if end > k else value
        found.append(value + (place - k) * (after - value))
    return np.stack(found)


def _place(draws: np.ndarray, ranks: Sequence[int], start: int, end: int) -> None:
    """Order the draws from `start` to `end` so that those at `ranks` are where a sort would have them."""
    if not ranks:
        return
    half = len(ranks) // 2
    middle = ranks[half]
    draws[:, start:end].partition(middle - start, axis=1)
    _place(draws, ranks[:half], start, middle)
    _place(draws, ranks[half + 1 :], middle + 1, end)


def quantiles_of_sums(terms: np.ndarray, coefficients: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """Quantiles of ``terms @ coefficients`` over its last axis: shape (edge, row).

    Parameters
    ----------
    terms : array of shape (row, term)
        Of rows near one another: the farther apart they are, the more draws are evaluated.
    coefficients : array of shape (term, sample)
    edges : sequence of float
    """
    places = np.asarray(edges) * (coefficients.shape[1] - 1)
    among = _among(*_ranges(terms, coefficients), places)
    if sum(int(some.sum()) for some, _ in among) > coefficients.shape[1]:
        return _by_parts(terms, coefficients, lambda draws: quantiles(draws, edges))
    found = [
        _by_parts(terms, coefficients[:, some], partial(_at, place=place - below))
        for (some, below), place in zip(among, places, strict=True)
    ]
    return np.stack(found)


def _by_parts(
    terms: np.ndarray, coefficients: np.ndarray, reduce: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """`reduce` over draws of shape (row, sample), by rows few enough to hold: shape (..., row)."""
    width = max(1, _AT_ONCE // coefficients.shape[1])
    parts = [terms[start : start + width] for start in range(0, len(terms), width)]
    return np.concatenate([reduce(product(part, coefficients)) for part in parts], axis=-1)


def _at(draws: np.ndarray, place: float) -> np.ndarray:
    """What stands at a place among the ordered draws, between two of them by its distance from each."""
    k = int(place)
    draws.partition(k, axis=1)
    value, rest = draws[:, k], draws[:, k + 1 :]
    return value + (place - k) * (rest.min(axis=1) - value) if place > k else value


def _among(least: np.ndarray, most: np.ndarray, places: Sequence[float]) -> list[tuple[np.ndarray, int]]:
    """Which draws can stand at each place or next to it in some row, and how many are always below."""
    found = []
    for place in places:
        k, after = int(place), math.ceil(place)
        below = most < np.partition(least, k)[k]
        above = least > np.partition(most, after)[after]
        found.append((~(below | above), int(below.sum())))
    return found


def _ranges(terms: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest value of each draw over these rows; each row from its own mean and in its own unit.

    The terms of the rows lie in a box, along the directions in which they differ most.
    """
    with np.errstate(all="ignore"):
        away = coefficients - coefficients.mean(axis=1, keepdims=True)
        upper = _weighted(terms.mean(axis=0), away) > 0
        unit = (terms * _weighted(upper / upper.size, away.T)).sum(axis=1)
        rows = terms / unit[:, None]
    if not (unit > 0).all() or not np.isfinite(rows).all():
        whole = np.full(coefficients.shape[1], np.inf)
        return -whole, whole
    middle = rows.mean(axis=0)
    apart = rows - middle
    along = np.linalg.eigh(product(apart.T, apart))[1]
    box = product(apart, along)
    low, high = box.min(axis=0), box.max(axis=0)
    centre = _weighted(middle + (along * (low + high)).sum(axis=1) / 2, away)
    reach = _weighted((high - low) / 2, np.abs(product(along.T, away)))
    reach += _ROUNDING * _weighted(np.abs(rows).max(axis=0), np.abs(away))
    return centre - reach, centre + reach


def _weighted(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``weights @ rows``, for which BLAS would start threads of its own."""
    return np.einsum("t,ts->s", weights, rows)
