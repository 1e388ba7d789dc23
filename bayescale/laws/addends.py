"""Whether a law adds up terms that read one input each, found by following its formula."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from bayescale.laws.law import Law

__all__ = ["is_sum_over_inputs"]

_ALIKE = (np.add, np.subtract, np.negative, np.positive)  # whatever the terms, these do not mix them
_SMOOTH = (*_ALIKE, np.multiply, np.divide, np.power, np.square, np.sqrt, np.exp, np.expm1, np.log, np.log1p)


def is_sum_over_inputs(law: Law) -> bool:
    """Whether the law is a sum of smooth functions of one input each.

    The formula is followed with stand-ins for its inputs. One that branches, compares or does anything but
    smooth arithmetic is not followed, and said to be none.
    """
    inputs = [_Followed(frozenset({frozenset({name})})) for name in law.inputs]
    try:
        with np.errstate(all="ignore"):
            value = law(*inputs, **dict.fromkeys(law.parameters, 0.5))
    except (TypeError, ValueError, AttributeError):
        return False
    return isinstance(value, _Followed) and all(len(term) < 2 for term in value.terms)


@dataclass(frozen=True, eq=False)
class _Followed(NDArrayOperatorsMixin):
    """Stands for a number: the inputs that meet in each of its terms."""

    terms: frozenset[frozenset[str]]

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *values: Any, **options: Any) -> Any:
        """What arithmetic makes of the terms."""
        known = all(isinstance(v, _Followed | int | float | np.number) for v in values)
        if method != "__call__" or options or ufunc not in _SMOOTH or not known:
            return NotImplemented
        read = [v.terms if isinstance(v, _Followed) else frozenset() for v in values]
        terms = frozenset().union(*read)
        scaled = (ufunc is np.multiply and not all(read)) or (ufunc is np.divide and not read[1])
        mixed = frozenset({frozenset().union(*terms)})
        return _Followed(terms if ufunc in _ALIKE or scaled else mixed)
