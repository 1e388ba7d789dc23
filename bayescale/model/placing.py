"""Where the groups' coordinates stand and how wide they are, at many points side by side: compiled loops.

The free name `n` stands for how many; see `bayescale.model.lanes.bound`.
"""

# ruff: noqa: F821
# pyright: reportUndefinedVariable=false

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from bayescale.model.lanes import bound

__all__ = ["placing"]


_LANES = 64  # points side by side: loops are short, and their setting out takes longer than few points


@cache
def placing() -> Callable[..., Any]:
    """The loop that works out what `Grouped._solved` says."""
    factor = bound(_factor_loop, str(_LANES), n=_LANES)
    return bound(_placing_loop, str(_LANES), n=_LANES, factor=factor)


def _placing_loop(
    spread, letters, pull, summed, h, pooled, drawn, upper, reach, slope, log_root, wide, told, log_width
):
    points, k = spread.shape
    groups, size = h.shape[:2]
    a, lower, r = np.empty((k, k, n)), np.zeros((k, k, n)), np.empty((k, size, n))
    precision, inverse, drag = np.empty((size, size, n)), np.zeros((size, size, n)), np.empty((size, n))
    s, some = np.empty((k, n)), np.empty(n)
    for low in range(0, points, n):
        high = min(low + n, points)
        for w in range(n):
            i = min(low + w, high - 1)
            for j in range(k):
                s[j, w] = spread[i, j]
            for j in range(size):
                for m in range(j + 1):
                    precision[j, m, w] = summed[j, m]
                precision[j, j, w] += letters[i, j]
                drag[j, w] = pull[i, j]
        for g in range(groups):
            for j in range(k):
                for m in range(j + 1):
                    x = h[g, pooled[j], pooled[m]]
                    for w in range(n):
                        a[j, m, w] = x * s[j, w] * s[m, w]
                for w in range(n):
                    a[j, j, w] += 1.0
            factor(a, lower, some)
            for w in range(high - low):
                log_root[low + w, g] = some[w]
            for j in range(k):
                r[j] = 0.0
                some[:] = 0.0
                for m in range(j + 1):
                    y = drawn[g, pooled[m]]
                    for w in range(n):
                        a[j, m, w] = lower[j, m, w] * s[m, w]
                        some[w] += a[j, m, w] * y
                    for b in range(size):
                        x = h[g, pooled[m], b]
                        for w in range(n):
                            r[j, b, w] += a[j, m, w] * x
                for b in range(size):
                    for w in range(n):
                        drag[b, w] -= some[w] * r[j, b, w]
                    for c in range(b + 1):
                        for w in range(n):
                            precision[b, c, w] -= r[j, b, w] * r[j, c, w]
                for w in range(high - low):
                    i = low + w
                    slope[i, g, j] = some[w]
                    for m in range(k):
                        upper[i, g, m, j] = lower[j, m, w]
                    for b in range(size):
                        reach[i, g * k + j, b] = r[j, b, w]
        factor(precision, inverse, some)
        for w in range(high - low):
            i = low + w
            log_width[i] = some[w]
            for j in range(size):
                at = 0.0
                for m in range(j + 1):
                    at += inverse[j, m, w] * drag[m, w]
                told[i, j] = at
                for m in range(size):
                    wide[i, m, j] = inverse[j, m, w]


def _factor_loop(a, inverse, log_diagonal):
    """Triangular factors side by side: their inverses, and the logs of their determinants."""
    size = a.shape[0]
    x = np.empty(n)
    log_diagonal[:] = 0.0
    for j in range(size):
        for m in range(j):
            for w in range(n):
                a[j, j, w] -= a[j, m, w] * a[j, m, w]
        for w in range(n):
            log_diagonal[w] += 0.5 * log(a[j, j, w])
            x[w] = 1.0 / np.sqrt(a[j, j, w])
            inverse[j, j, w] = x[w]
        for i in range(j + 1, size):
            for m in range(j):
                for w in range(n):
                    a[i, j, w] -= a[i, m, w] * a[j, m, w]
            for w in range(n):
                a[i, j, w] *= x[w]
    for i in range(1, size):
        for j in range(i):
            x[:] = 0.0
            for m in range(j, i):
                for w in range(n):
                    x[w] += a[i, m, w] * inverse[m, j, w]
            for w in range(n):
                inverse[i, j, w] = -x[w] * inverse[i, i, w]
