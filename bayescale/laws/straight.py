"""Formulas followed once with stand-ins for their numbers: a list of plain steps, for compilers of loops.

Stand-ins answer to NumPy's functions, so that whatever is written with those, or with
`bayescale.laws.elementwise`, is followed as it stands. A formula that asks what a number is, to branch or to
loop, cannot be; nor can one of more steps than are worth compiling.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

__all__ = ["NotStraight", "Steps", "Tape"]

_MOST = 4_000  # steps
_SAME = {"true_divide": "divide", "fabs": "absolute"}
_KNOWN = frozenset(
    {
        "add",
        "subtract",
        "multiply",
        "divide",
        "negative",
        "absolute",
        "reciprocal",
        "square",
        "sqrt",
        "exp",
        "expm1",
        "log",
        "log1p",
        "maximum",
        "minimum",
        "greater",
        "greater_equal",
        "less",
        "less_equal",
        "equal",
        "not_equal",
        "where",
    }
)
_WHOLE = 8  # powers up to which a number is multiplied by itself

type Name = str | float
"""What a step works on: another step, an input, or a number."""


class NotStraight(Exception):  # noqa: N818 (says what the formula is, and is always caught)
    """A formula that is no list of plain steps."""


@dataclass(frozen=True)
class Steps:
    """Steps in order, each with its function and what it works on; `results` are those asked for."""

    steps: tuple[tuple[str, str, tuple[Name, ...]], ...]
    results: tuple[Name, ...]

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray | float]:
        """The results by NumPy, of inputs by name."""
        known: dict[Name, Any] = {**inputs}
        for name, function, given in self.steps:
            known[name] = getattr(np, function)(*(g if isinstance(g, float) else known[g] for g in given))
        return [r if isinstance(r, float) else known[r] for r in self.results]


@dataclass(eq=False)
class Tape:
    """What was done to stand-ins so far; a step done twice is one."""

    _done: dict[tuple[str, tuple[Name, ...]], str] = field(default_factory=dict)

    def inputs(self, name: str, count: int) -> np.ndarray:
        """So many stand-ins, called by `name` and their position."""
        found = np.empty(count, dtype=object).view(_Row)
        for i in range(count):
            found[i] = _Number(self, f"{name}{i}")
        return found

    def steps(self, results: Any) -> Steps:
        """What the results take, and nothing else; arrays and numbers are laid end to end."""
        names = [_name(x) for each in results for x in np.asarray(each, dtype=object).ravel()]
        wanted, kept = set(names), []
        for (function, given), name in reversed(self._done.items()):
            if name in wanted:
                kept.append((name, function, given))
                wanted.update(given)
        return Steps(tuple(reversed(kept)), tuple(names))

    def step(self, function: str, *given: Any) -> "_Number":
        """The result of one more step.

        Raises
        ------
        NotStraight
            If the step is none of those known, or one too many.
        """
        key = (function, tuple(_name(x) for x in given))
        if function not in _KNOWN or len(self._done) >= _MOST:
            raise NotStraight(function)
        return _Number(self, self._done.setdefault(key, f"t{len(self._done)}"))

    def power(self, base: Any, power: Any) -> Any:
        """A power by the log, or of a small whole number by products."""
        if isinstance(power, int | float | np.number):
            if power == 0.5:
                return self.step("sqrt", base)
            if power == int(power) and abs(power) <= _WHOLE:
                found: Any = 1.0
                for _ in range(int(abs(power))):
                    found = base * found
                return found if power >= 0 else 1.0 / found
        return self.step("exp", self.step("multiply", power, self.step("log", base)))


class _Number(NDArrayOperatorsMixin):
    """Stands for a number; what is done to it goes onto the tape."""

    def __init__(self, tape: Tape, name: str) -> None:
        self.tape, self.name = tape, name

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *values: Any, **options: Any) -> Any:
        """One step, or element by element beside an array."""
        if method != "__call__" or options:
            raise NotStraight(ufunc.__name__)
        if any(isinstance(v, np.ndarray) and v.ndim for v in values):
            return _each(lambda *given: ufunc(*given), values)
        given = [v.item() if isinstance(v, np.ndarray) else v for v in values]
        if ufunc is np.power:
            return self.tape.power(*given)
        return self.tape.step(_SAME.get(ufunc.__name__, ufunc.__name__), *given)

    def __array_function__(self, function: Callable[..., Any], types: Any, values: Any, options: Any) -> Any:
        """A choice between two, and the real part, which is all there is; nothing else."""
        if function is np.real:
            return values[0]
        if function is not np.where or options:
            raise NotStraight(function.__name__)
        if any(isinstance(v, np.ndarray) and v.ndim for v in values):
            return _each(np.where, values)
        return self.tape.step("where", *(v.item() if isinstance(v, np.ndarray) else v for v in values))

    def __bool__(self) -> bool:
        """Not known."""
        raise NotStraight("a branch")

    __float__ = __int__ = __index__ = __complex__ = __bool__

    # What NumPy calls for each element of an array of stand-ins.
    def exp(self) -> "_Number":
        """Exponential."""
        return self.tape.step("exp", self)

    def log(self) -> "_Number":
        """Natural logarithm."""
        return self.tape.step("log", self)

    def sqrt(self) -> "_Number":
        """Square root."""
        return self.tape.step("sqrt", self)

    def log1p(self) -> "_Number":
        """Logarithm of 1 + x."""
        return self.tape.step("log1p", self)

    def expm1(self) -> "_Number":
        """Exponential less 1."""
        return self.tape.step("expm1", self)


class _Row(np.ndarray):
    """Stand-ins in a row; one of them is the stand-in itself."""

    def __getitem__(self, key: Any) -> Any:
        """Some of them, or one."""
        found = super().__getitem__(key)
        return found.item() if isinstance(found, np.ndarray) and not found.ndim else found


def _each(function: Callable[..., Any], values: Any) -> np.ndarray:
    """The function at each place of what is broadcast together."""
    arrays = np.broadcast_arrays(*(_boxed(v) for v in values))
    found = np.empty(arrays[0].shape, dtype=object)
    for at in np.ndindex(found.shape):
        found[at] = function(*(a[at] for a in arrays))
    return found


def _boxed(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    found = np.empty((), dtype=object)
    found[()] = value
    return found


def _name(value: Any) -> Name:
    if isinstance(value, _Number):
        return value.name
    if isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        return float(value)
    raise NotStraight(type(value).__name__)
