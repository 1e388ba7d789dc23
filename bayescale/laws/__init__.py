"""Laws: what a run of a given scale scores, as one function each."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from bayescale.laws import (
    allocation,
    broken,
    compression,
    downstream,
    experts,
    joint,
    mixture,
    precision,
    repeated,
    saturating,
    single,
    steps,
    tokens,
    transfer,
    vision,
    vocabulary,
)
from bayescale.laws.law import (
    Amplitude,
    Coefficient,
    Compression,
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
from bayescale.laws.subjects import subject_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Amplitude",
    "Coefficient",
    "Compression",
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
    "allocation",
    "broken",
    "compression",
    "downstream",
    "experts",
    "find",
    "joint",
    "law",
    "listing",
    "mixture",
    "precision",
    "registered",
    "repeated",
    "saturating",
    "single",
    "steps",
    "tokens",
    "transfer",
    "vision",
    "vocabulary",
]


class _Listing(ModuleType):
    """The package itself, which when called lists the laws: ``bayescale.laws()``."""

    def __call__(self) -> "pd.DataFrame":
        """Every law: what it reads and learns, one line, its reference, its subject."""
        every = registered()
        found = listing()
        return found.assign(subject=[subject_of(every[name]) for name in found.index])


sys.modules[__name__].__class__ = _Listing
