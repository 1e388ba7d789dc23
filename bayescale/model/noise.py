"""How a run's value scatters about its law: one part each, passed to `fit` as ``noise=``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from bayescale.errors import InputError
from bayescale.laws.elementwise import Array, lgamma, log, log1p, maximum, minimum, sqrt
from bayescale.priors import Outcome, Prior

__all__ = ["NOISES", "Beta", "Laplace", "Noise", "Normal", "StudentT", "as_noise"]

type On = Literal["log", "value", "logit"]

_EDGE = 1e-9  # a mean predicted outside (0, 1) is held this far inside, so that densities stay finite


class Noise(Protocol):
    """The contract of a noise part."""

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
        inside = minimum(maximum(x, _EDGE), 1 - _EDGE)
        return log(inside) - log1p(-inside)
    return x


def backward(on: On, z: np.ndarray) -> np.ndarray:
    """Inverse of `forward`."""
    return np.exp(z) if on == "log" else 1 / (1 + np.exp(-z)) if on == "logit" else z


def log_slope(on: On, x: Array) -> Array:
    """Log derivative of `forward` at `x`."""
    return -log(x) if on == "log" else -log(x) - log1p(-x) if on == "logit" else 0.0 * x


def _scale_prior(on: On, outcome: Outcome) -> Prior:
    """Scatter of about 2 % of a loss, a tenth of a logit, a twentieth of the spread; wide."""
    usual = {"log": 0.02, "logit": 0.1, "value": 0.05 * outcome.spread}[on]
    return Prior("LogNormal", mu=math.log(usual), sigma=1.2)


@dataclass(frozen=True)
class Normal:
    """Normal scatter of the log value (or of its logit, or of the value itself)."""

    on: On = "log"
    additive = True

    def priors(self, outcome: Outcome) -> dict[str, Prior]:
        """``sigma``: standard deviation on the scale `on`."""
        return {"sigma": _scale_prior(self.on, outcome)}

    def log_density(self, value: Array, mean: Array, error: Array, *, sigma: Array) -> Array:
        """Log density of the values."""
        spread2 = sigma**2 + error**2
        z2 = (forward(self.on, value) - forward(self.on, mean)) ** 2 / spread2
        return -0.5 * (z2 + log(spread2) + math.log(2 * math.pi)) + log_slope(self.on, value)

    def sample(self, rng: np.random.Generator, mean: np.ndarray, *, sigma: np.ndarray) -> np.ndarray:
        """Values of new runs."""
        return backward(self.on, forward(self.on, mean) + sigma * rng.standard_normal(np.shape(mean)))

    def observe(self, mean: Any, observed: np.ndarray, error: np.ndarray, *, sigma: Any) -> None:
        """Add the observed variable to the PyMC model in context."""
        import pymc as pm

        spread = sqrt(sigma**2 + error**2)
        pm.Normal(
            f"value_{self.on}",
            forward(self.on, mean),
            spread,
            observed=forward(self.on, observed),
            dims="run",
        )


@dataclass(frozen=True)
class StudentT:
    """Student-t scatter: normal in the middle, forgiving of a few runs that went wrong.

    The degrees of freedom are learnt unless given.
    """

    on: On = "log"
    nu: float | None = None
    additive = True

    def priors(self, outcome: Outcome) -> dict[str, Prior]:
        """``sigma``: scale; ``nu``: degrees of freedom, unless fixed."""
        learnt = {"sigma": _scale_prior(self.on, outcome)}
        return (
            learnt
            if self.nu is not None
            else learnt | {"nu": Prior("LogNormal", mu=math.log(6.0), sigma=0.8)}
        )

    def log_density(
        self, value: Array, mean: Array, error: Array, *, sigma: Array, nu: Array = None
    ) -> Array:
        """Log density of the values."""
        df: Array = self.nu if nu is None else nu
        spread2 = sigma**2 + error**2
        z2 = (forward(self.on, value) - forward(self.on, mean)) ** 2 / spread2
        constant = lgamma((df + 1) / 2) - lgamma(df / 2) - 0.5 * log(df * math.pi * spread2)
        return constant - (df + 1) / 2 * log1p(z2 / df) + log_slope(self.on, value)

    def sample(
        self, rng: np.random.Generator, mean: np.ndarray, *, sigma: np.ndarray, nu: Any = None
    ) -> np.ndarray:
        """Values of new runs."""
        given: Any = self.nu if nu is None else nu
        df = np.broadcast_to(given, np.shape(mean))
        noise = rng.standard_normal(np.shape(mean)) / np.sqrt(rng.chisquare(df) / df)
        return backward(self.on, forward(self.on, mean) + sigma * noise)

    def observe(
        self, mean: Any, observed: np.ndarray, error: np.ndarray, *, sigma: Any, nu: Any = None
    ) -> None:
        """Add the observed variable to the PyMC model in context."""
        import pymc as pm

        pm.StudentT(
            f"value_{self.on}",
            nu=self.nu if nu is None else nu,
            mu=forward(self.on, mean),
            sigma=sqrt(sigma**2 + error**2),
            observed=forward(self.on, observed),
            dims="run",
        )


@dataclass(frozen=True)
class Laplace:
    """Laplace scatter: the median-like fit that the field's Huber loss with small delta approaches."""

    on: On = "log"
    additive = True

    def priors(self, outcome: Outcome) -> dict[str, Prior]:
        """``sigma``: mean absolute deviation on the scale `on`."""
        return {"sigma": _scale_prior(self.on, outcome)}

    def log_density(self, value: Array, mean: Array, error: Array, *, sigma: Array) -> Array:
        """Log density of the values."""
        scale = sqrt(sigma**2 + 0.5 * error**2)
        distance = sqrt((forward(self.on, value) - forward(self.on, mean)) ** 2 + 1e-24)
        return -distance / scale - log(2 * scale) + log_slope(self.on, value)

    def sample(self, rng: np.random.Generator, mean: np.ndarray, *, sigma: np.ndarray) -> np.ndarray:
        """Values of new runs."""
        return backward(self.on, forward(self.on, mean) + sigma * rng.laplace(size=np.shape(mean)))

    def observe(self, mean: Any, observed: np.ndarray, error: np.ndarray, *, sigma: Any) -> None:
        """Add the observed variable to the PyMC model in context."""
        import pymc as pm

        pm.Laplace(
            f"value_{self.on}",
            mu=forward(self.on, mean),
            b=sqrt(sigma**2 + 0.5 * error**2),
            observed=forward(self.on, observed),
            dims="run",
        )


@dataclass(frozen=True)
class Beta:
    """Beta scatter of a score between 0 and 1 about the law's value; known errors are not used."""

    on: On = "value"
    additive = False

    def priors(self, outcome: Outcome) -> dict[str, Prior]:
        """``precision``: as many as that many coin tosses would scatter."""
        return {"precision": Prior("LogNormal", mu=math.log(100.0), sigma=1.5)}

    def log_density(self, value: Array, mean: Array, error: Array, *, precision: Array) -> Array:
        """Log density of the values."""
        inside = minimum(maximum(mean, _EDGE), 1 - _EDGE)
        a, b = inside * precision, (1 - inside) * precision
        constant = lgamma(precision) - lgamma(a) - lgamma(b)
        return constant + (a - 1) * log(value) + (b - 1) * log1p(-value)

    def sample(self, rng: np.random.Generator, mean: np.ndarray, *, precision: np.ndarray) -> np.ndarray:
        """Values of new runs."""
        inside = np.clip(mean, _EDGE, 1 - _EDGE)
        return rng.beta(inside * precision, (1 - inside) * precision)

    def observe(self, mean: Any, observed: np.ndarray, error: np.ndarray, *, precision: Any) -> None:
        """Add the observed variable to the PyMC model in context."""
        import pymc as pm

        inside = minimum(maximum(mean, _EDGE), 1 - _EDGE)
        pm.Beta(
            "value_value",
            alpha=inside * precision,
            beta=(1 - inside) * precision,
            observed=observed,
            dims="run",
        )


NOISES: Mapping[str, Any] = {
    "normal": Normal(),
    "student_t": StudentT(),
    "laplace": Laplace(),
    "logit_normal": Normal(on="logit"),
    "beta": Beta(),
}


def as_noise(noise: Any) -> Noise:
    """The noise part of that name; a part is passed through.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if not isinstance(noise, str):
        if hasattr(noise, "log_density") and hasattr(noise, "observe") and not isinstance(noise, type):
            return _possible(noise)
        raise InputError(
            f"noise={noise!r} is no noise part. Use one of {', '.join(NOISES)}, or bayescale.StudentT(...)."
        )
    if noise not in NOISES:
        raise InputError(f"there is no noise {noise!r}. Available: {', '.join(NOISES)}.")
    return NOISES[noise]


def _possible(noise: Noise) -> Noise:
    nu = getattr(noise, "nu", None)
    if noise.on not in ("log", "value", "logit"):
        raise InputError(f"noise={noise!r}: on={noise.on!r} must be 'log', 'value' or 'logit'.")
    if nu is not None and not nu > 0:
        raise InputError(
            f"noise={noise!r}: nu={nu!r}, degrees of freedom, must be positive; None learns them."
        )
    return noise


def to_dict(noise: Noise) -> dict[str, Any]:
    """A mapping that JSON can hold; `from_dict` reads it back."""
    return {"type": type(noise).__name__, **vars(noise)}


def from_dict(stored: Mapping[str, Any]) -> Noise:
    """The noise part from its mapping, from the parts of this module only."""
    parts = {"Normal": Normal, "StudentT": StudentT, "Laplace": Laplace, "Beta": Beta}
    kind = stored.get("type")
    if kind not in parts:
        raise InputError(f"noise part {kind!r} is not known here; known: {', '.join(parts)}.")
    return parts[kind](**{k: v for k, v in stored.items() if k != "type"})
