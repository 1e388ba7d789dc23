"""The scale on which runs scatter, and the contract of a noise part."""

import math
from typing import Any, Literal, Protocol

import numpy as np

from bayescale.laws.elementwise import Array, log, log1p, maximum, minimum
from bayescale.priors import Outcome, Prior

__all__ = [
    "EDGE",
    "OFFSET",
    "SIGMA",
    "SLOPE",
    "Noise",
    "On",
    "backward",
    "forward",
    "log_slope",
    "scale_prior",
    "usual_scatter",
]

type On = Literal["log", "value", "logit"]

OFFSET, SIGMA, SLOPE = "offset", "sigma", "sigma_slope"  # what the scatter of groups is called

EDGE = 1e-9
"""A mean predicted outside (0, 1) is held this far inside, so that densities stay finite."""


class Noise(Protocol):
    """The contract of a noise part.

    A part whose scatter is a ``sigma`` may carry ``scale_with``, the input with a power of which it grows;
    one that tells outliers apart has ``outlying``, their probability by row.
    """

    @property
    def on(self) -> On:
        """Scale on which the scatter is stated."""
        ...

    @property
    def additive(self) -> bool:
        """Whether the scatter, on that scale, is the same wherever the mean lies."""
        ...

    def priors(self, outcome: Outcome) -> dict[str, Prior]:
        """What the part learns, with default priors."""
        ...

    def log_density(self, value: Array, mean: Array, error: Array, **learnt: Array) -> Array:
        """Log density of the values themselves (not of their logs), elementwise.

        `error` is the known standard error of each value on the scale `on`, zero where unknown.
        """
        ...

    def sample(self, rng: np.random.Generator, mean: np.ndarray, **learnt: np.ndarray) -> np.ndarray:
        """Values of new runs, one for each element of `mean`."""
        ...

    def observe(self, mean: Any, observed: np.ndarray, error: np.ndarray, **learnt: Any) -> None:
        """Add the observed variable ``value_<on>`` to the PyMC model in context, over dim ``run``."""
        ...


def forward(on: On, x: Array) -> Array:
    """`x` on the scale of the scatter."""
    if on == "log":
        return log(x)
    if on == "logit":
        inside = minimum(maximum(x, EDGE), 1 - EDGE)
        return log(inside) - log1p(-inside)
    return x


def backward(on: On, z: np.ndarray) -> np.ndarray:
    """Inverse of `forward`."""
    return np.exp(z) if on == "log" else 1 / (1 + np.exp(-z)) if on == "logit" else z


def log_slope(on: On, x: Array) -> Array:
    """Log derivative of `forward` at `x`."""
    return -log(x) if on == "log" else -log(x) - log1p(-x) if on == "logit" else 0.0 * x


def usual_scatter(on: On, outcome: Outcome) -> float:
    """About 2 % of a loss, a tenth of a logit, a twentieth of the spread of the values."""
    return {"log": 0.02, "logit": 0.1, "value": 0.05 * outcome.spread}[on]


def scale_prior(on: On, outcome: Outcome) -> Prior:
    """Prior of the size of the scatter: about the usual one, and wide."""
    return Prior("LogNormal", mu=math.log(usual_scatter(on, outcome)), sigma=1.2)
