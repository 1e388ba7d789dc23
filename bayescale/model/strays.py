"""Noise parts for runs that went wrong: those badly tuned lie above the law, and some lie anywhere."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale.laws.elementwise import Array, log, log1p, logaddexp, sigmoid, sqrt, stack
from bayescale.model.noise_scale import On, backward, forward, log_slope, scale_prior
from bayescale.priors import Outcome, Prior

__all__ = ["AsymmetricLaplace", "Contaminated"]


@dataclass(frozen=True)
class AsymmetricLaplace:
    """Runs lie below and above the law with unequal chances and reach: a lower envelope, or an upper one.

    The law is the `quantile` of runs: where .1 of them lie below it, it is nearly what a well-tuned run
    reaches, and the others lie above by what tuning would have saved. Known errors widen both sides.

    Attributes
    ----------
    quantile : float, optional
        Share of runs below the law; learnt, and expected about .2, unless given. .5 is `Laplace`.
    scale_with : str, optional
        Input with a power of which the scatter grows.
    """

    on: On = "log"
    quantile: float | None = None
    scale_with: str | None = None
    additive = True

    def priors(self, outcome: Outcome) -> dict[str, Prior]:
        """``sigma``: mean absolute deviation on the scale `on`; ``quantile``, unless fixed."""
        learnt = {"sigma": scale_prior(self.on, outcome)}
        own = {"quantile": Prior("LogitNormal", mu=math.log(0.2 / 0.8), sigma=0.8)}
        return learnt if self.quantile is not None else learnt | own

    def log_density(
        self, value: Array, mean: Array, error: Array, *, sigma: Array, quantile: Array = None
    ) -> Array:
        """Log density of the values."""
        below, above = self._reach(sigma, error, quantile)
        away = forward(self.on, value) - forward(self.on, mean)
        size = sqrt(away**2 + 1e-24)
        fall = 0.5 * (size * (1 / below + 1 / above) + away * (1 / above - 1 / below))
        return -fall - log(below + above) + log_slope(self.on, value)

    def sample(
        self, rng: np.random.Generator, mean: np.ndarray, *, sigma: np.ndarray, quantile: Any = None
    ) -> np.ndarray:
        """Values of new runs."""
        below, above = self._reach(sigma, np.zeros(()), quantile)
        side = rng.uniform(size=np.shape(mean)) * (below + above) < below
        away = np.where(side, -below, above) * rng.standard_exponential(np.shape(mean))
        return backward(self.on, forward(self.on, mean) + away)

    def observe(
        self, mean: Any, observed: np.ndarray, error: np.ndarray, *, sigma: Any, quantile: Any = None
    ) -> None:
        """Add the observed variable to the PyMC model in context."""
        import pymc as pm

        below, above = self._reach(sigma, error, quantile)
        pm.AsymmetricLaplace(
            f"value_{self.on}",
            mu=forward(self.on, mean),
            b=1 / sqrt(below * above),
            kappa=sqrt(below / above),
            observed=forward(self.on, observed),
            dims="run",
        )

    def _reach(self, sigma: Array, error: Array, quantile: Array) -> tuple[Array, Array]:
        """Mean distance of the runs below, and of those above."""
        share: Array = self.quantile if quantile is None else quantile
        unit = sigma / (share**2 + (1 - share) ** 2)
        return tuple(sqrt((unit * side) ** 2 + 0.5 * error**2) for side in (share, 1 - share))  # type: ignore[return-value]


@dataclass(frozen=True)
class Contaminated:
    """Normal scatter, but for a share of runs that scatter many times wider: no run need be deleted.

    `residuals` tells for each run the probability that it is one of these (``outlying``).

    Attributes
    ----------
    share : float, optional
        Of outlying runs; learnt, and expected about .05, unless given.
    wider : float, optional
        How many times wider they scatter; learnt, and expected about 10, unless given.
    scale_with : str, optional
        Input with a power of which the scatter grows.
    """

    on: On = "log"
    share: float | None = None
    wider: float | None = None
    scale_with: str | None = None
    additive = True

    def priors(self, outcome: Outcome) -> dict[str, Prior]:
        """``sigma``: deviation of runs that went right; ``share`` and ``wider``, unless fixed."""
        learnt = {"sigma": scale_prior(self.on, outcome)}
        own = {
            "share": Prior("LogitNormal", mu=math.log(0.05 / 0.95), sigma=1.0),
            "wider": Prior("LogNormal", mu=math.log(10.0), sigma=0.5),
        }
        return learnt | {k: prior for k, prior in own.items() if getattr(self, k) is None}

    def log_density(self, value: Array, mean: Array, error: Array, **learnt: Array) -> Array:
        """Log density of the values."""
        right, wrong = self._both(forward(self.on, value) - forward(self.on, mean), error, **learnt)
        return logaddexp(right, wrong) + log_slope(self.on, value)

    def outlying(self, value: Array, mean: Array, error: Array, **learnt: Array) -> Array:
        """Probability that each run is an outlying one."""
        right, wrong = self._both(forward(self.on, value) - forward(self.on, mean), error, **learnt)
        return sigmoid(wrong - right)

    def weight(self, z2: Array, *, share: Array = None, wider: Array = None, **others: Array) -> Array:
        """Weight of a run whose squared deviation is `z2` variances, against one of normal scatter."""
        right, wrong = self._both(sqrt(z2 + 1e-24), 0.0, sigma=1.0, share=share, wider=wider)
        times: Array = self.wider if wider is None else wider
        outlying = sigmoid(wrong - right)
        return 1 - outlying + outlying / times**2

    def sample(
        self,
        rng: np.random.Generator,
        mean: np.ndarray,
        *,
        sigma: np.ndarray,
        share: Any = None,
        wider: Any = None,
    ) -> np.ndarray:
        """Values of new runs."""
        part: Any = self.share if share is None else share
        times: Any = self.wider if wider is None else wider
        wrong = rng.uniform(size=np.shape(mean)) < part
        away = sigma * np.where(wrong, times, 1.0) * rng.standard_normal(np.shape(mean))
        return backward(self.on, forward(self.on, mean) + away)

    def observe(
        self,
        mean: Any,
        observed: np.ndarray,
        error: np.ndarray,
        *,
        sigma: Any,
        share: Any = None,
        wider: Any = None,
    ) -> None:
        """Add the observed variable to the PyMC model in context."""
        import pymc as pm

        part: Any = self.share if share is None else share
        times: Any = self.wider if wider is None else wider
        middle = forward(self.on, mean)
        flat = 0.0 * middle  # of the shape of the runs
        pm.NormalMixture(
            f"value_{self.on}",
            w=stack([1 - part + flat, part + flat]),
            mu=stack([middle, middle]),
            sigma=stack([sqrt(sigma**2 + error**2) + flat, sqrt((times * sigma) ** 2 + error**2) + flat]),
            observed=forward(self.on, observed),
            dims="run",
        )

    def _both(
        self, away: Array, error: Array, *, sigma: Array, share: Array = None, wider: Array = None
    ) -> tuple[Array, Array]:
        """Log density on the scale `on` with either part, its share included."""
        part: Array = self.share if share is None else share
        times: Array = self.wider if wider is None else wider

        def of(spread2: Array) -> Array:
            return -0.5 * (away**2 / spread2 + log(spread2) + math.log(2 * math.pi))

        return log1p(-part) + of(sigma**2 + error**2), log(part) + of((times * sigma) ** 2 + error**2)
