"""Powers by logs: a law raises its inputs to them at thousands of draws."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from bayescale.laws.elementwise import Array, exp, library, log
from bayescale.laws.law import Law

__all__ = ["Powers", "compiled_law", "with_logs"]


class Powers(np.ndarray):
    """Positive numbers with their logs: ``x**p`` is one exponential, which takes half as long as a power.

    In all else a plain array, and what is made of it is one.
    """

    logs: np.ndarray

    def __getitem__(self, rows: Any) -> Any:
        """Some of them, with their logs."""
        part = super().__getitem__(rows)
        if isinstance(part, Powers):
            part.logs = self.logs[rows]
        return part

    def __pow__(self, power: Any) -> Any:  # type: ignore[override]
        """Power by the logs, for numbers and arrays of NumPy, complex ones included."""
        if isinstance(power, np.ndarray | np.generic | float):
            return np.exp(power * self.logs)
        return np.asarray(self) ** power

    def __array_ufunc__(self, ufunc: Any, method: str, *values: Any, **options: Any) -> Any:
        """What NumPy makes of the plain array; the log is at hand."""
        if ufunc is np.log and method == "__call__" and not options:
            return self.logs.copy()
        return getattr(ufunc, method)(*map(_plain, values), **options)


def with_logs(values: Array) -> Array:
    """The same numbers as `Powers` where all are positive, else as they came."""
    plain = np.asarray(values, dtype=float)
    if plain.size == 0 or not (plain > 0).all():
        return values
    found = plain.view(Powers)
    found.logs = np.log(plain)
    return found


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, Powers) else value


def compiled_law(law: Law, inputs: tuple[Array, ...], letters: Mapping[str, Array]) -> Array:
    """The law in JAX with powers as exponentials of logs, of which its compiler does several at a time.

    A power of its own would be a call for each number. Inputs are nowhere below zero; a formula that
    branches is evaluated as it stands.
    """
    try:
        value = law(*(_Raised(x) for x in inputs), **letters)
    except TypeError:
        return law(*inputs, **letters)
    return value.value if isinstance(value, _Raised) else value


@dataclass(frozen=True, eq=False)
class _Raised(NDArrayOperatorsMixin):
    """Stands for an array of JAX that is nowhere below zero, and for what arithmetic makes of it."""

    value: Array

    def __array__(self, *_: Any, **__: Any) -> Any:
        """Refused: what is no plain arithmetic is for arrays."""
        raise TypeError("follows plain arithmetic only")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *values: Any, **options: Any) -> Any:
        """The same in JAX; a power that is no whole number goes by the log."""
        if method != "__call__" or options:
            return NotImplemented
        plain = [v.value if isinstance(v, _Raised) else v for v in values]
        if ufunc is np.power and not isinstance(plain[1], int):
            return _Raised(exp(plain[1] * log(plain[0])))
        return _Raised(getattr(library(*plain), ufunc.__name__)(*plain))
