r"""Draws of a law at many scales from a few, where it is a sum of smooth functions of one input each.

Each function is written in Chebyshev polynomials of the log of its input,

.. math:: L(x_1, \ldots, x_n) = c_0 + \sum_i \sum_k c_{ik} T_k(t_i), \qquad t_i \propto \log x_i

with coefficients for every draw from the law at 33 nodes of each input. Scales then cost a product of two
small matrices, and no powers. The series is taken only if it is the law to rounding.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Series", "as_series", "product"]

_NODES = 33
_PROBES = 24
_SMALL = 1e-15  # of the law: what a coefficient may be left out for
_EXACT = 1e-12
_UNTHREADED = 2**18  # multiplications up to which OpenBLAS starts no threads of its own

type _Inputs = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class _Axis:
    """An input, from -1 to 1 along its log; where it is not positive, along itself."""

    name: str
    low: float
    high: float
    along_log: bool

    def at(self, values: np.ndarray) -> np.ndarray:
        place = np.log(values) if self.along_log else values
        return np.clip((2 * place - self.low - self.high) / (self.high - self.low), -1.0, 1.0)

    def back(self, place: np.ndarray) -> np.ndarray:
        value = (self.low + self.high + place * (self.high - self.low)) / 2
        return np.exp(value) if self.along_log else value


@dataclass(frozen=True, eq=False)
class Series:
    """A law as a series.

    Attributes
    ----------
    axes : tuple
        Inputs that differ among the rows, each with the order of its polynomials.
    mixed : array of shape (polynomial, term)
        What each term has of the constant, then of the polynomials of each axis.
    coefficients : array of shape (term, sample)
        Of the terms: as few as tell the draws apart, since those are of one family of curves.
    """

    axes: tuple[tuple[_Axis, int], ...]
    mixed: np.ndarray
    coefficients: np.ndarray

    def terms(self, inputs: _Inputs) -> np.ndarray:
        """What the coefficients are multiplied with at inputs of shape (row,): shape (row, term)."""
        rows = len(next(iter(inputs.values())))
        series = np.polynomial.chebyshev.chebvander
        found = [series(axis.at(inputs[axis.name]), order)[:, 1:] for axis, order in self.axes]
        return product(np.concatenate([np.ones((rows, 1)), *found], axis=1), self.mixed)


def as_series(value: Callable[[_Inputs], np.ndarray], inputs: _Inputs) -> Series | None:
    """The series of a sum over inputs within the range of these; None if it is not exact to rounding.

    Parameters
    ----------
    value : callable
        From inputs of shape (row,) to draws of shape (sample, row). That it is a sum over its inputs is the
        caller's word.
    inputs : mapping of str to array of shape (row,)
    """
    axes = [axis for k, v in inputs.items() if (axis := _axis(k, v))]
    nodes, middle = np.polynomial.chebyshev.chebpts1(_NODES), {k: v[:1] for k, v in inputs.items()}
    middle |= {axis.name: axis.back(np.zeros(1)) for axis in axes}
    base = value(middle)[:, 0]
    found = [
        value({k: np.repeat(v, _NODES) for k, v in middle.items()} | {a.name: a.back(nodes)}) for a in axes
    ]
    if not all(np.isfinite(part).all() for part in (base, *found)):
        return None
    least = np.min([np.abs(base), *(np.abs(part).min(1) for part in found)], axis=0)
    transform = np.linalg.inv(np.polynomial.chebyshev.chebvander(nodes, _NODES - 1))
    constant, orders, terms = base.copy(), [], []
    for part in found:
        coefficients = product(transform, part.T - base)
        large = (np.abs(coefficients) > _SMALL * least).any(1)
        orders.append(int(np.flatnonzero(large).max(initial=0)))
        constant += coefficients[0]
        terms.append(coefficients[1 : orders[-1] + 1])
    series = Series(
        tuple(zip(axes, orders, strict=True)), *_told_apart(np.concatenate([constant[None], *terms]))
    )
    return series if _agrees(series, value, inputs) else None


def _told_apart(coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients as a product of two, with as few in between as leave rounding alone.

    By the singular vectors of a triangle that is made of few rows at a time: BLAS would thread more, and its
    threads go on spinning.
    """
    terms, rows = len(coefficients), coefficients.T
    while len(rows) > 4 * terms:
        whole = np.zeros((-(-len(rows) // (4 * terms)) * 4 * terms, terms))
        whole[: len(rows)] = rows
        rows = np.linalg.qr(whole.reshape(-1, 4 * terms, terms), mode="r").reshape(-1, terms)
    _, sizes, mixed = np.linalg.svd(rows)
    mixed = mixed[: len(sizes)][sizes > _SMALL * sizes[0]]
    return mixed.T, product(mixed, coefficients)


def _axis(name: str, values: np.ndarray) -> _Axis | None:
    along_log = bool(values.min() > 0)
    low, high = (
        float(f(v)) if along_log else float(v) for v in (values.min(), values.max()) for f in (np.log,)
    )
    return _Axis(name, low, high, along_log) if high > low else None


def _agrees(series: Series, value: Callable[[_Inputs], np.ndarray], inputs: _Inputs) -> bool:
    """Whether all draws agree at the ends of each input and at rows picked at random."""
    rows = np.random.default_rng(0).integers(len(next(iter(inputs.values()))), size=_PROBES)
    ends = [
        end for axis, _ in series.axes for end in (inputs[axis.name].argmin(), inputs[axis.name].argmax())
    ]
    some = {k: v[np.append(rows, np.array(ends, dtype=int))] for k, v in inputs.items()}
    direct = value(some).T
    return bool(
        (np.abs(product(series.terms(some), series.coefficients) - direct) <= _EXACT * np.abs(direct)).all()
    )


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """``left @ right`` by parts so small that BLAS does not thread them: the callers are threads already."""
    rows, samples = left.shape[0], right.shape[1]
    width = max(1, min(samples, _UNTHREADED // max(left.size, 1)))
    whole = samples - samples % width
    out = np.empty((rows, samples))
    parts = out[:, :whole].reshape(rows, -1, width).transpose(1, 0, 2)
    np.matmul(left, right[:, :whole].reshape(len(right), -1, width).transpose(1, 0, 2), out=parts)
    if whole < samples:
        np.matmul(left, right[:, whole:], out=out[:, whole:])
    return out
