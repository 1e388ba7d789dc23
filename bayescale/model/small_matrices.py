"""Linear algebra of small matrices along the last axes.

JAX has its own, which compiles sooner, and NumPy's serves real numbers; for complex ones it is written out in
plain arithmetic, since a complex step must pass through it.
"""

import sys
from contextlib import suppress

import numpy as np

from bayescale.laws.elementwise import Array, log, sqrt, stack

__all__ = ["cholesky", "inverse_lower", "log_diagonal", "rows_times", "solve_lower", "solve_upper", "swap"]

_ON_ONE_CORE = 250_000  # products of numbers in one call below which BLAS does not share them among threads
_WRITTEN_OUT = 5  # rows up to which plain arithmetic on all matrices at once is faster than LAPACK on each


def swap(matrix: Array) -> Array:
    """The matrix with its last two axes exchanged."""
    return matrix.swapaxes(-1, -2)


def rows_times(rows: Array, matrix: np.ndarray) -> Array:
    """Many rows times a small matrix, so few rows at a time that BLAS stays on one core.

    Threads that wait for one another take many times as long wherever other work shares the cores, as the
    refits of a backtest do.
    """
    step = max(1, _ON_ONE_CORE // matrix.size)
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or len(rows) <= step:
        return rows @ matrix
    whole = len(rows) // step * step
    most = rows[:whole].reshape(-1, step, rows.shape[1]) @ matrix
    return np.concatenate([most.reshape(whole, -1), rows[whole:] @ matrix])


def _in_jax(value: Array) -> bool:
    """Whether a matrix is JAX's; one number by one is as soon divided by hand, and compiles sooner."""
    return value.shape[-1] > 1 and type(value).__module__.partition(".")[0] in ("jax", "jaxlib")


def cholesky(matrix: Array) -> Array:
    """Lower triangular factor."""
    if _in_jax(matrix):
        return sys.modules["jax.numpy"].linalg.cholesky(matrix)
    if matrix.shape[-1] > _WRITTEN_OUT and not np.iscomplexobj(matrix):
        with suppress(np.linalg.LinAlgError):  # of one matrix among many: below, it alone becomes NaN
            return np.linalg.cholesky(matrix)
    columns = []
    for j in range(matrix.shape[-1]):
        below = (np.arange(matrix.shape[-1]) >= j).astype(float)
        columns.append(below * matrix[..., j] / sqrt(matrix[..., j, j])[..., None])
        matrix = matrix - columns[-1][..., :, None] * columns[-1][..., None, :]
    return stack(columns)


def inverse_lower(lower: Array) -> Array:
    """Inverse of a triangular factor."""
    if lower.shape[-1] == 1:
        return 1.0 / lower
    if _in_jax(lower):
        unit = sys.modules["jax.numpy"].broadcast_to(np.eye(lower.shape[-1]), lower.shape)
        return sys.modules["jax"].scipy.linalg.solve_triangular(lower, unit, lower=True)
    return np.linalg.inv(lower)


def log_diagonal(lower: Array) -> Array:
    """Log determinant of a triangular factor."""
    return log(lower.diagonal(0, -2, -1)).sum(-1)


def solve_lower(lower: Array, right: Array) -> Array:
    """Solution along the last axis of `right`, which may carry one axis more than the factor's rows."""
    many = right.ndim == lower.ndim
    if _in_jax(lower):
        solve = sys.modules["jax"].scipy.linalg.solve_triangular
        return (
            swap(solve(lower, swap(right), lower=True))
            if many
            else solve(lower, right[..., None], lower=True)[..., 0]
        )
    found: list[Array] = []
    for j in range(lower.shape[-1]):
        column = lower[..., None, :, j] if many else lower[..., j]
        found.append(right[..., j] / column[..., j])
        right = right - found[-1][..., None] * column
    return stack(found)


def solve_upper(lower: Array, right: Array) -> Array:
    """Solution with the transposed factor."""
    if _in_jax(lower):
        return sys.modules["jax"].scipy.linalg.solve_triangular(lower, right[..., None], lower=True, trans=1)[
            ..., 0
        ]
    found: list[Array] = [None] * lower.shape[-1]
    for j in reversed(range(lower.shape[-1])):
        value = right[..., j]
        for m in range(j + 1, lower.shape[-1]):
            value = value - lower[..., m, j] * found[m]
        found[j] = value / lower[..., j, j]
    return stack(found)
