"""What the contract tests know of one law: a few runs, its paper's parameters, its formula in plain words."""

from collections.abc import Callable
from dataclasses import dataclass, field

N = (7e7, 4.1e8, 1.4e9, 6.9e9)
D = (3e9, 2.5e10, 1e11, 3e11)
U = (3e9, 9e9, 1.2e11, 2.5e10)  # in turn: one pass, three, more than was seen, twelve
C = (1.3e18, 6e19, 8e20, 1.2e22)


@dataclass(frozen=True)
class Example:
    """Scales of a few runs, the paper's parameters, and its formula written out for one run.

    On a ridge, two letters can make up for one change of unit, so the formula does not say which does.
    With fixed units, the formula divides by units of its own, and no other reference is taken.
    """

    inputs: tuple[tuple[float, ...], ...]
    parameters: dict[str, float]
    paper: Callable[..., float]
    limit: Callable[..., float] | None = None  # value at endless scale, pure numbers as in the first run
    published: dict[tuple[float, ...], float] = field(default_factory=dict)
    ridge: bool = False
    fixed_units: bool = False
