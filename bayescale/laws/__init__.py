"""Laws: what a run of a given scale scores, as one function each."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from bayescale.laws import broken, joint, repeated, saturating, single
from bayescale.laws.law import (
    Amplitude,
    Coefficient,
    Exponent,
    Factor,
    Fraction,
    Intercept,
    Irreducible,
    Kind,
    Law,
    Level,
    Rate,
    Scale,
    Sharpness,
    Slope,
    find,
    law,
    listing,
    registered,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Amplitude",
    "Coefficient",
    "Exponent",
    "Factor",
    "Fraction",
    "Intercept",
    "Irreducible",
    "Kind",
    "Law",
    "Level",
    "Rate",
    "Scale",
    "Sharpness",
    "Slope",
    "broken",
    "find",
    "joint",
    "law",
    "listing",
    "registered",
    "repeated",
    "saturating",
    "single",
]


class _Listing(ModuleType):
    """The package itself, which when called lists the laws: ``bayescale.laws()``."""

    def __call__(self) -> "pd.DataFrame":
        return listing()


sys.modules[__name__].__class__ = _Listing
