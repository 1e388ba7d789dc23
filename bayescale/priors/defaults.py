"""Default priors by kind of parameter: weakly informative, on scales read off the table.

Where the numbers come from: exponents of size and data published for some forty laws lie between .05
and .7, half of them within .2 to .4; floors of losses sit between a tenth and nine tenths of the least
value seen; error rates have no entropy below them and may fall to nothing, so their floors are expected
lower and within wider bounds; families of one kind differ by about a quarter in their exponents (log scale).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bayescale.laws import Kind
from bayescale.priors.prior import Prior
from bayescale.runs.schema import metric_of

__all__ = ["Outcome", "default_prior", "default_spread"]


@dataclass(frozen=True)
class Outcome:
    """What the table says of the values: the scales on which priors stand.

    Attributes
    ----------
    least, middle, spread : float
        Smallest value, geometric middle (the median for values that are not positive), and the
        distance between the 5 % and 95 % quantiles, in the unit of the metric.
    errors : bool
        Whether values are rates of error, which a perfect model would not make.
    """

    least: float
    middle: float
    spread: float
    errors: bool = False

    @classmethod
    def of(cls, values: np.ndarray, metric: str = "") -> "Outcome":
        """Scales of an array of values of a metric."""
        low, high = np.quantile(values, [0.05, 0.95])
        middle = float(np.exp(np.mean(np.log(values)))) if (values > 0).all() else float(np.median(values))
        least = float(values.min())
        spread = float(max(high - low, 1e-3 * abs(middle), 1e-12))
        known = metric_of(metric)
        errors = known.unit == "fraction" and known.higher_is_better is False
        return cls(least if least > 0 else max(abs(middle), 1e-3), middle, spread, errors)


def _floor(outcome: Outcome, typical: float | None) -> Prior:
    share, width = (0.3, 1.0) if outcome.errors else (0.6, 0.75)
    return Prior("LogNormal", mu=math.log(typical or share * outcome.least), sigma=width)


_CENTRED: dict[str, Callable[[Outcome, float | None], Prior]] = {
    "irreducible": _floor,
    "amplitude": lambda o, t: Prior("LogNormal", mu=math.log(t or 0.2 * abs(o.middle)), sigma=1.0),
    "level": lambda o, t: Prior("LogNormal", mu=math.log(t or abs(o.middle)), sigma=0.75),
    "coefficient": lambda o, t: Prior("Normal", mu=t or 0.0, sigma=1.0),
    "exponent": lambda o, t: Prior("LogNormal", mu=math.log(t or 0.3), sigma=0.6),
    "scale": lambda o, t: Prior("LogNormal", mu=math.log(t or 1.0), sigma=3.0),
    "sharpness": lambda o, t: Prior("LogNormal", mu=math.log(t or 1.0), sigma=0.75),
    "rate": lambda o, t: Prior("LogNormal", mu=math.log(t or 5.0), sigma=1.0),
    "factor": lambda o, t: Prior("LogNormal", mu=math.log(t or 1.0), sigma=1.0),
    "compression": lambda o, t: Prior("LogNormal", mu=math.log(t or 10.0), sigma=1.0),
    "fraction": lambda o, t: Prior("LogitNormal", mu=math.log(t / (1 - t)) if t else 0.0, sigma=1.5),
    "slope": lambda o, t: Prior("Normal", mu=t or 0.0, sigma=o.spread),
    "intercept": lambda o, t: Prior("Normal", mu=t if t is not None else o.middle, sigma=3 * o.spread),
}

# Half-normal scale of the spread between groups, on the link scale (log for positive kinds).
_BETWEEN_GROUPS: dict[str, Callable[[Outcome], float]] = {
    "irreducible": lambda o: 0.3,
    "amplitude": lambda o: 0.5,
    "level": lambda o: 0.5,
    "coefficient": lambda o: 0.5,
    "exponent": lambda o: 0.3,
    "scale": lambda o: 1.0,
    "sharpness": lambda o: 0.5,
    "rate": lambda o: 0.5,
    "factor": lambda o: 0.5,
    "compression": lambda o: 0.5,
    "fraction": lambda o: 1.0,
    "slope": lambda o: 0.5 * o.spread,
    "intercept": lambda o: o.spread,
}


def default_prior(kind: Kind, outcome: Outcome, typical: float | None = None) -> Prior:
    """Prior of a law's parameter at the reference scales.

    Parameters
    ----------
    kind : Kind
    outcome : Outcome
    typical : float, optional
        Centre published for this law, in place of the usual one of the kind.
    """
    return _CENTRED[kind.name](outcome, typical)


def default_spread(kind: Kind, outcome: Outcome) -> Prior:
    """Prior of the standard deviation between groups, on the link scale of the kind."""
    return Prior("HalfNormal", sigma=_BETWEEN_GROUPS[kind.name](outcome))
