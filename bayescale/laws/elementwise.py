"""Functions of one number that take their library from their arguments.

A law is written once with these words and serves NumPy (complex numbers included, which is how the
NumPy engine differentiates), JAX, PyTensor, PyTensor's named dims and xarray. No library is imported
here but NumPy: a value of another library can only come from one that is already loaded.
"""

import math
import sys
from functools import cache
from typing import Any

import numpy as np

__all__ = [
    "Array",
    "constant",
    "exp",
    "expm1",
    "lgamma",
    "library",
    "log",
    "log1p",
    "logaddexp",
    "maximum",
    "minimum",
    "positive",
    "sigmoid",
    "softplus",
    "sqrt",
    "stack",
    "sum_log1p",
    "where",
]

_AT_ONCE = 8  # numbers up to 1e38 multiplied without overflow

type Array = Any
"""An array, number or symbol of any of the libraries above."""


def library(*values: Array) -> Any:
    """Module whose functions understand all `values`: that of the first that is not NumPy's, else NumPy."""
    for value in values:
        home = _home(type(value))
        if home:
            return sys.modules[home]
    return np


@cache
def _home(kind: type) -> str:
    """Module whose functions understand values of this type; none for NumPy's."""
    path = kind.__module__
    root = path.partition(".")[0]
    if root in ("jax", "jaxlib"):
        return "jax.numpy"
    if path.startswith("pytensor.xtensor"):
        return "pytensor.xtensor.math"
    return "pytensor.tensor" if root == "pytensor" else ""


def exp(x: Array) -> Array:
    """Exponential."""
    return library(x).exp(x)


def log(x: Array) -> Array:
    """Natural logarithm."""
    return library(x).log(x)


def log1p(x: Array) -> Array:
    """Logarithm of 1 + x, exact for small x."""
    return library(x).log1p(x)


def expm1(x: Array) -> Array:
    """Exponential of x, less 1, exact for small x."""
    return library(x).expm1(x)


def sqrt(x: Array) -> Array:
    """Square root."""
    return library(x).sqrt(x)


def minimum(x: Array, y: Array) -> Array:
    """The smaller of two; for complex numbers, the one with the smaller real part."""
    return library(x, y).minimum(x, y)


def maximum(x: Array, y: Array) -> Array:
    """The larger of two; for complex numbers, the one with the larger real part."""
    return library(x, y).maximum(x, y)


def where(condition: Array, x: Array, y: Array) -> Array:
    """`x` where the condition holds, else `y`. Labels of xarray are kept."""
    if "xarray" in {type(v).__module__.partition(".")[0] for v in (condition, x, y)}:
        return sys.modules["xarray"].where(condition, x, y)
    home = library(condition, x, y)
    return (home.switch if hasattr(home, "switch") else home.where)(condition, x, y)


def positive(x: Array) -> Array:
    """Whether `x` is above zero; of complex numbers, by their real parts."""
    return np.greater(x, 0) if library(x) is np else x > 0


def logaddexp(x: Array, y: Array) -> Array:
    """Logarithm of exp(x) + exp(y), without overflow."""
    return y + softplus(x - y)


def softplus(x: Array) -> Array:
    """Logarithm of 1 + exp(x), without overflow."""
    # Written out for PyTensor too: the rewrites of its own softplus and sigmoid grow exponentially
    # when one is nested in another, as in a solver. A condition has one derivative at 0, a maximum two.
    up = positive(x)
    return where(up, x, 0.0) + log1p(exp(where(up, -x, x)))


def sigmoid(x: Array) -> Array:
    """Logistic function, without overflow."""
    return exp(-softplus(-x))


def constant(x: Array) -> Array:
    """The same value without its derivative; of a complex number, the real part."""
    home = library(x)
    if home is np:
        return np.real(x)
    if home.__name__ == "jax.numpy":
        return sys.modules["jax"].lax.stop_gradient(x)
    return sys.modules["pytensor.gradient"].disconnected_grad(x)


def lgamma(x: Array) -> Array:
    """Logarithm of the gamma function."""
    home = library(x)
    if home is np:
        return _lgamma(x)
    if home.__name__ == "jax.numpy":
        return sys.modules["jax"].scipy.special.gammaln(x)
    return home.gammaln(x)


def stack(values: list[Array]) -> Array:
    """Arrays of one shape laid side by side along a new last axis."""
    return library(*values).stack(values, axis=-1)


def sum_log1p(x: Array) -> Array:
    """Sum of log(1 + x) over the last axis, for x of zero and above.

    In NumPy by the log of products of a few at a time, which is several times faster: exact to rounding of
    the sum, infinite where a product of so many overflows.
    """
    if library(x) is not np:
        return log1p(x).sum(-1)
    whole, part = 1.0 + x, x.shape[-1] // _AT_ONCE
    product = whole[..., :part]
    for i in range(1, _AT_ONCE):
        product = product * whole[..., i * part : (i + 1) * part]
    return np.log(product).sum(-1) + np.log(whole[..., _AT_ONCE * part :]).sum(-1)


_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_HALF_LOG_2PI = 0.9189385332046727
_FAR = 1e30
_FEW = 100  # numbers up to which one call for each takes less time than thirty for all
_SHIFT = 7  # from which the series is exact to rounding


def _lgamma(x: Array) -> Array:
    """Logarithm of the gamma function in NumPy, of positive numbers: Stirling's series from 7 upwards.

    SciPy's serves the others; loading it takes longer than a whole fit.
    """
    real = np.real(x)
    if not np.all((real > 0) & (real < _FAR)):
        from scipy.special import gammaln, loggamma

        return loggamma(x) if np.iscomplexobj(x) else gammaln(x)
    if type(x) is np.ndarray and x.size <= _FEW and x.dtype == float:
        return np.array([math.lgamma(each) for each in x.ravel().tolist()]).reshape(x.shape)
    product = x
    for i in range(1, _SHIFT):
        product = product * (x + i)
    far = x + _SHIFT
    inverse = 1.0 / far
    square, series = inverse * inverse, 0.0
    for term in reversed(_STIRLING):
        series = series * square + term
    return (far - 0.5) * np.log(far) - far + _HALF_LOG_2PI + series * inverse - np.log(product)
