"""How a run's value scatters about its law: one part each, passed to `fit` as ``noise=``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale.errors import InputError
from bayescale.laws.elementwise import Array, lgamma, log, log1p, maximum, minimum, sqrt, sum_log1p
from bayescale.model.noise_scale import EDGE, Noise, On, backward, forward, log_slope, scale_prior
from bayescale.model.strays import AsymmetricLaplace, Contaminated
from bayescale.priors import Outcome, Prior

__all__ = [
    "NOISES",
    "AsymmetricLaplace",
    "Beta",
    "Contaminated",
    "Laplace",
    "Noise",
    "Normal",
    "On",
    "StudentT",
    "as_noise",
    "backward",
    "forward",
    "from_dict",
    "log_slope",
    "to_dict",
]


@dataclass(frozen=True)
class Normal:
    """Normal scatter of the log value (or of its logit, or of the value itself).

    `scale_with` names an input with a power of which the scatter grows, as for all parts with a ``sigma``.
    """

    on: On = "log"
    scale_with: str | None = None
    additive = True

    def priors(self, outcome: Outcome) -> dict[str, Prior]:
        """``sigma``: standard deviation on the scale `on`."""
        return {"sigma": scale_prior(self.on, outcome)}

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
    scale_with: str | None = None
    additive = True

    def priors(self, outcome: Outcome) -> dict[str, Prior]:
        """``sigma``: scale; ``nu``: degrees of freedom, unless fixed."""
        learnt = {"sigma": scale_prior(self.on, outcome)}
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
        return constant - (df + 1) / 2 * log(1.0 + z2 / df) + log_slope(self.on, value)

    def total(self, value: Array, mean: Array, error: Array, *, sigma: Array, nu: Array = None) -> Array:
        """Log density of all values together: the sum of `log_density` over the last axis."""
        df: Array = self.nu if nu is None else nu
        spread2 = (sigma**2 + error**2) * df if np.any(error) else sigma**2 * df
        z2 = (forward(self.on, value) - forward(self.on, mean)) ** 2 / spread2
        constant = lgamma((df + 1) / 2) - lgamma(df / 2) - 0.5 * log(math.pi * spread2)
        tails = (df + 1) / 2 * sum_log1p(z2)[..., None]
        per_row = np.size(value) / constant.shape[-1]  # one constant for all rows, or one for each
        return (per_row * constant).sum(-1) - tails[..., 0] + log_slope(self.on, value).sum(-1)

    def weight(self, z2: Array, *, nu: Array = None, **others: Array) -> Array:
        """Weight of a run whose squared deviation is `z2` variances, against one of normal scatter."""
        df: Array = self.nu if nu is None else nu
        return (df + 1) / (df + z2)

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
    scale_with: str | None = None
    additive = True

    def priors(self, outcome: Outcome) -> dict[str, Prior]:
        """``sigma``: mean absolute deviation on the scale `on`."""
        return {"sigma": scale_prior(self.on, outcome)}

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
        inside = minimum(maximum(mean, EDGE), 1 - EDGE)
        a, b = inside * precision, (1 - inside) * precision
        constant = lgamma(precision) - lgamma(a) - lgamma(b)
        return constant + (a - 1) * log(value) + (b - 1) * log1p(-value)

    def sample(self, rng: np.random.Generator, mean: np.ndarray, *, precision: np.ndarray) -> np.ndarray:
        """Values of new runs."""
        inside = np.clip(mean, EDGE, 1 - EDGE)
        return rng.beta(inside * precision, (1 - inside) * precision)

    def observe(self, mean: Any, observed: np.ndarray, error: np.ndarray, *, precision: Any) -> None:
        """Add the observed variable to the PyMC model in context."""
        import pymc as pm

        inside = minimum(maximum(mean, EDGE), 1 - EDGE)
        pm.Beta(
            "value_value",
            alpha=inside * precision,
            beta=(1 - inside) * precision,
            observed=observed,
            dims="run",
        )


def total(noise: Noise, value: Array, mean: Array, error: Array, **learnt: Array) -> Array:
    """Log density of all values together; last axis of each argument is the row."""
    if isinstance(noise, StudentT):
        return noise.total(value, mean, error, **learnt)
    return noise.log_density(value, mean, error, **learnt).sum(-1)


def scatter_of(noise: Noise, error: np.ndarray, learnt: Mapping[str, np.ndarray]) -> np.ndarray:
    """Deviation of a run about its mean, such that its inverse square is what a run tells of that mean."""
    if "sigma" not in learnt:
        return np.full((*np.shape(next(iter(learnt.values())))[:-1], 1), _NO_SIGMA)
    scatter = np.sqrt(learnt["sigma"] ** 2 + error**2) if np.any(error) else learnt["sigma"]
    if not isinstance(noise, StudentT):
        return scatter
    df = learnt["nu"] if noise.nu is None else noise.nu
    return scatter * np.sqrt((df + 3.0) / (df + 1.0))


_NO_SIGMA = 0.05  # stands for the scatter of scores, whose noise has a precision

NOISES: Mapping[str, Any] = {
    "normal": Normal(),
    "student_t": StudentT(),
    "laplace": Laplace(),
    "asymmetric_laplace": AsymmetricLaplace(),
    "contaminated": Contaminated(),
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
    if noise.on not in ("log", "value", "logit"):
        raise InputError(f"noise={noise!r}: on={noise.on!r} must be 'log', 'value' or 'logit'.")
    for name, (low, high, meaning) in _FIXED.items():
        given = getattr(noise, name, None)
        if given is not None and not low < given < high:
            bounds = "positive" if (low, high) == (0, math.inf) else f"between {low:g} and {high:g}"
            raise InputError(
                f"noise={noise!r}: {name}={given!r}, {meaning}, must be {bounds}; None learns it."
            )
    return noise


# What a part may be given in place of learning it: bounds and meaning.
_FIXED = {
    "nu": (0, math.inf, "degrees of freedom"),
    "quantile": (0, 1, "the share of runs that lie below the law"),
    "share": (0, 1, "the share of outlying runs"),
    "wider": (1, math.inf, "how many times wider outlying runs scatter"),
}


def to_dict(noise: Noise) -> dict[str, Any]:
    """A mapping that JSON can hold; `from_dict` reads it back."""
    return {"type": type(noise).__name__, **vars(noise)}


def from_dict(stored: Mapping[str, Any]) -> Noise:
    """The noise part from its mapping, from the parts of this package only."""
    parts: dict[str, Any] = {
        k.__name__: k for k in (Normal, StudentT, Laplace, AsymmetricLaplace, Contaminated, Beta)
    }
    kind = stored.get("type")
    if kind not in parts:
        raise InputError(f"noise part {kind!r} is not known here; known: {', '.join(parts)}.")
    return parts[kind](**{k: v for k, v in stored.items() if k != "type"})
