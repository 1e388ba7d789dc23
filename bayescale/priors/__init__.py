"""Priors: values that say what was believed before the runs."""

from bayescale.priors.defaults import Outcome, default_prior, default_spread
from bayescale.priors.prior import Between, Prior, as_prior, between, link, unlink

__all__ = [
    "Between",
    "Outcome",
    "Prior",
    "as_prior",
    "between",
    "default_prior",
    "default_spread",
    "link",
    "unlink",
]
