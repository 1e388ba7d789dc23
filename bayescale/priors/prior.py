"""A prior as a frozen value, and the ways to state one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale.errors import InputError
from bayescale.laws import Kind
from bayescale.laws.elementwise import Array, exp, log, log1p, sigmoid, softplus
from bayescale.priors.distributions import DISTRIBUTIONS, Support

__all__ = ["Between", "Prior", "as_prior", "between", "link", "unlink"]


@dataclass(frozen=True)
class Prior:
    """A distribution with its arguments, named as in PyMC: ``Prior("LogNormal", mu=-1.2, sigma=0.6)``.

    A `pymc_extras.prior.Prior` with fixed arguments, a PreliZ distribution and a mapping with the
    key ``distribution`` are accepted wherever a prior is.

    Raises
    ------
    InputError
        Unknown distribution, unknown, missing or impossible argument.
    """

    distribution: str
    arguments: Mapping[str, float]

    def __init__(self, distribution: str, **arguments: float) -> None:
        object.__setattr__(self, "distribution", distribution)
        object.__setattr__(self, "arguments", _checked(distribution, arguments))

    def __str__(self) -> str:
        inside = ", ".join(f"{k}={v:.4g}" for k, v in self.arguments.items())
        return f"{self.distribution}({inside})"

    __repr__ = __str__

    def over(self, arguments: Mapping[str, Array]) -> "Prior":
        """The same distribution with arguments that a compiler follows; they are not checked."""
        found = object.__new__(Prior)
        object.__setattr__(found, "distribution", self.distribution)
        object.__setattr__(found, "arguments", arguments)
        return found

    @property
    def support(self) -> Support:
        """Where the distribution lives."""
        return DISTRIBUTIONS[self.distribution].support

    def log_density(self, x: Array) -> Array:
        """Log density at `x`, normalised; any array kind."""
        return DISTRIBUTIONS[self.distribution].log_density(x, **self.arguments)

    def log_density_free(self, q: Array) -> Array:
        """Log density of the unconstrained coordinate, Jacobian included."""
        if self.distribution == "LogNormal":  # its coordinate is normal: no logs of exponentials
            return DISTRIBUTIONS["Normal"].log_density(q, **self.arguments)
        return self.log_density(self.constrain(q)) + self.log_jacobian(q)

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draws, shape ``(size,)``."""
        return DISTRIBUTIONS[self.distribution].sample(rng, size, **self.arguments)

    def constrain(self, q: Array) -> Array:
        """Value from its unconstrained coordinate."""
        if self.support == "positive":
            return exp(q) + self._lower
        if self.support == "unit":
            return sigmoid(q)
        if self.support == "interval":
            return self.arguments["lower"] + (self.arguments["upper"] - self.arguments["lower"]) * sigmoid(q)
        return q

    def unconstrain(self, x: Array) -> Array:
        """Unconstrained coordinate of a value."""
        if self.support == "positive":
            return log(x - self._lower)
        if self.support == "unit":
            return log(x) - log1p(-x)
        if self.support == "interval":
            share = (x - self.arguments["lower"]) / (self.arguments["upper"] - self.arguments["lower"])
            return log(share) - log1p(-share)
        return x

    def log_jacobian(self, q: Array) -> Array:
        """Log derivative of `constrain`."""
        if self.support == "positive":
            return q
        if self.support in ("unit", "interval"):
            width = self.arguments.get("upper", 1.0) - self.arguments.get("lower", 0.0)
            return log(width) - softplus(q) - softplus(-q)
        return 0.0 * q

    @property
    def _lower(self) -> float:
        return self.arguments["lower"] if self.distribution == "TruncatedNormal" else 0.0

    def to_dict(self) -> dict[str, Any]:
        """A mapping that JSON can hold; `as_prior` reads it back."""
        return {"distribution": self.distribution, **self.arguments}


@dataclass(frozen=True)
class Between:
    """A prior stated by two quantiles; its shape follows from the parameter's support."""

    lower: float
    upper: float
    prob: float = 0.9


def between(lower: float, upper: float, prob: float = 0.9) -> Between:
    """A prior that holds `prob` of its mass between two values, with equal tails.

    Log-normal for positive parameters, logit-normal for fractions, normal for the rest.

    Raises
    ------
    InputError
        If the bounds are not in order or `prob` is not within (0, 1).
    """
    if not lower < upper:
        raise InputError(
            f"between({lower}, {upper}): the lower bound must lie below the upper; swap or mend them."
        )
    if not 0 < prob < 1:
        raise InputError(f"between(..., prob={prob}): prob must lie between 0 and 1, as in prob=0.9.")
    return Between(float(lower), float(upper), float(prob))


def as_prior(value: Any, name: str, kind: Kind) -> Prior:
    """The prior of parameter `name` from any of the accepted ways to state one.

    A normal, Student-t, Cauchy or Laplace prior for a parameter that must be positive becomes a normal one
    truncated at zero where that is meant (normal), and is refused otherwise.

    Raises
    ------
    InputError
        If `value` is no prior, or its support does not fit the parameter's.
    """
    prior = _from_any(value, name, kind)
    below_zero = kind.support == "positive" and prior.arguments.get("lower", 0.0) < 0
    if (prior.support == kind.support or kind.support == "real") and not below_zero:
        return prior
    if kind.support == "positive" and prior.distribution == "Normal":
        return Prior("TruncatedNormal", lower=0.0, **prior.arguments)
    low, high = prior.arguments.get("lower", 0.0), prior.arguments.get("upper", 1.0)
    inside_unit = prior.support == "unit" or (prior.support == "interval" and low >= 0 and high <= 1)
    if inside_unit or (kind.support == "positive" and prior.support == "interval" and low >= 0):
        return prior
    allowed = {"positive": "LogNormal, Gamma, HalfNormal or TruncatedNormal", "unit": "Beta or LogitNormal"}
    raise InputError(
        f"prior of {name!r}: {prior} reaches values that {name} cannot take (it is {kind.support}: "
        f"{kind.meaning}). Use {allowed[kind.support]}, or between(lower, upper)."
    )


def link(kind: Kind, value: Array) -> Array:
    """Scale on which groups differ and contraction is measured: log, logit or the value itself."""
    if kind.support == "positive":
        return log(value)
    return log(value) - log1p(-value) if kind.support == "unit" else value


def unlink(kind: Kind, value: Array) -> Array:
    """Inverse of `link`."""
    if kind.support == "positive":
        return exp(value)
    return sigmoid(value) if kind.support == "unit" else value


def _checked(distribution: str, arguments: Mapping[str, float]) -> dict[str, float]:
    row = DISTRIBUTIONS.get(distribution)
    if row is None:
        why = (
            " A flat prior is not proper: state one with mass you can defend."
            if "Flat" in distribution
            else ""
        )
        raise InputError(
            f"there is no prior distribution {distribution!r}.{why} Available: {', '.join(DISTRIBUTIONS)}."
        )
    unknown = sorted(set(arguments) - set(row.defaults))
    missing = [k for k, v in row.defaults.items() if v is None and k not in arguments]
    if unknown or missing:
        problem = f"does not take {', '.join(unknown)}" if unknown else f"needs {', '.join(missing)}"
        raise InputError(f"{distribution} {problem}; its arguments are {', '.join(row.defaults)}.")
    values = {k: _number(distribution, k, arguments.get(k, v)) for k, v in row.defaults.items()}
    bad = [k for k, v in values.items() if not math.isfinite(v) or (k in row.positive and v <= 0)]
    if bad:
        wanted = "finite and positive" if bad[0] in row.positive else "finite"
        raise InputError(f"{distribution}({bad[0]}={values[bad[0]]:g}): {bad[0]} must be {wanted}.")
    if "upper" in values and not values["lower"] < values["upper"]:
        raise InputError(
            f"{distribution}({values['lower']:g}, {values['upper']:g}): lower must lie below upper."
        )
    return values


def _number(distribution: str, name: str, value: Any) -> float:
    if isinstance(value, str | bytes | bool):
        raise InputError(f"{distribution}({name}={value!r}): {name} must be a number.")
    return float(value)


def _from_any(value: Any, name: str, kind: Kind) -> Prior:
    foreign: Any = value
    try:
        if isinstance(value, Prior):
            return value
        if isinstance(value, Between):
            return _from_between(value, name, kind)
        if isinstance(value, Mapping) and "distribution" in value:
            return Prior(**value)
        if hasattr(value, "distribution") and hasattr(value, "parameters"):  # pymc_extras.prior.Prior
            return Prior(str(foreign.distribution), **foreign.parameters)
        if hasattr(value, "params_dict"):  # PreliZ
            return Prior(type(value).__name__, **foreign.params_dict)
        if type(value).__name__ == "Flat":
            return Prior("Flat")
    except InputError as error:
        raise InputError(f"prior of {name!r}: {error}") from error
    except TypeError as error:
        raise InputError(
            f"prior of {name!r}: {value!r} has arguments that are not plain numbers; "
            "bayescale builds the hierarchy itself from pool=, so give fixed numbers here."
        ) from error
    raise InputError(
        f"prior of {name!r}: {value!r} is no prior. Give Prior('LogNormal', mu=..., sigma=...), "
        "between(lower, upper), or a pymc_extras Prior with fixed numbers."
    )


def _from_between(value: Between, name: str, kind: Kind) -> Prior:
    from statistics import NormalDist

    edges = (value.lower, value.upper)
    if kind.support == "positive" and value.lower <= 0:
        raise InputError(f"between({edges[0]}, {edges[1]}): {name} is positive; both bounds must be above 0.")
    if kind.support == "unit" and not (value.lower > 0 and value.upper < 1):
        raise InputError(f"between({edges[0]}, {edges[1]}): {name} is a fraction; bounds lie within 0 and 1.")
    low, high = (float(link(kind, np.float64(edge))) for edge in edges)
    reach = NormalDist().inv_cdf(0.5 + value.prob / 2)
    shape = {"positive": "LogNormal", "unit": "LogitNormal", "real": "Normal"}[kind.support]
    return Prior(shape, mu=(low + high) / 2, sigma=(high - low) / 2 / reach)
