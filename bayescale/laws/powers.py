"""Powers by logs: a law raises its inputs to them at thousands of draws."""

from typing import Any

import numpy as np

from bayescale.laws.elementwise import Array

__all__ = ["Powers", "with_logs"]


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
