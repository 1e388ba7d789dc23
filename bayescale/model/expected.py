"""What a law expects of a run, as loops over parameter values side by side."""

from functools import lru_cache
from typing import Any

from bayescale.laws import Law
from bayescale.laws.straight import Tape
from bayescale.model.lanes import Pieces, compiled
from bayescale.model.noise_scale import On, forward
from bayescale.priors import unlink

__all__ = ["expected", "law_key"]


def expected(law: Law, on: On) -> Pieces:
    """From inputs of a run and parameters on the link scale to what is expected, on the scale of the noise.

    Raises
    ------
    NotStraight
        If the law is no list of plain steps.
    """
    return _expected(_Key(law, on))


def law_key(law: Law) -> tuple[Any, ...]:
    """Equal for laws of one formula, with the same inputs, kinds of parameters and numbers held."""
    kinds = tuple((k, kind.name, kind.support) for k, kind in law.parameters.items())
    return law.formula, law.inputs, kinds, tuple(sorted(law.held.items()))


class _Key:
    """A law on a scale."""

    def __init__(self, law: Law, on: On) -> None:
        self.law = law
        self.on: On = on
        self._key = (*law_key(law), on)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@lru_cache(maxsize=64)
def _expected(key: _Key) -> Pieces:
    law, tape = key.law, Tape()
    inputs, theta = tape.inputs("x", len(law.inputs)), tape.inputs("p", len(law.parameters))
    values = {k: unlink(kind, theta[i]) for i, (k, kind) in enumerate(law.parameters.items())}
    return compiled(tape.steps([forward(key.on, law(*inputs, **values))]), theta.size)
