"""The normal hierarchy of one parameter: groups about a population, estimates about their groups."""

import math
from dataclasses import dataclass

import numpy as np

from bayescale.priors.prior import Prior

__all__ = ["Hierarchy", "agreement", "hierarchy"]

_GRID = 1200


@dataclass(frozen=True, eq=False)
class Hierarchy:
    r"""Posterior of :math:`y \sim N(\theta, S),\; \theta_j \sim N(\mu, \tau^2),\; \mu \sim N(m_0, v_0)`.

    The errors' covariance is ``rotation @ diag(values) @ rotation.T``, so that the spread between groups
    only adds to `values`: everything given the spread is in closed form.

    Attributes
    ----------
    y : array of shape (estimate,)
    values, rotation : array of shape (estimate,) and (estimate, estimate)
    centre, width : float
        Mean and SD of the population's prior.
    tau, step, weight : array of shape (grid,)
        Spreads, widths of their cells, and posterior probability of each cell.
    """

    y: np.ndarray
    values: np.ndarray
    rotation: np.ndarray
    centre: float
    width: float
    tau: np.ndarray
    step: np.ndarray
    weight: np.ndarray

    @property
    def spread(self) -> tuple[float, float]:
        """Posterior mean and SD of the spread between groups."""
        return self._over(self.tau, np.zeros_like(self.tau))

    @property
    def population(self) -> tuple[float, float]:
        """Posterior mean and SD of the population's value."""
        return self._over(*self._given(self.tau))

    @property
    def new(self) -> tuple[float, float]:
        """Posterior mean and SD of one more group."""
        mean, variance = self._given(self.tau)
        return self._over(mean, variance + self.tau**2)

    @property
    def groups(self) -> list[tuple[float, float]]:
        """Posterior mean and SD of each group's own value."""
        mean, variance = self._given(self.tau)
        square = self.tau[:, None] ** 2
        pull = square / (self.values + square)  # along each axis of the errors
        turned = (self.y - mean[:, None]) @ self.rotation
        means = mean[:, None] + (pull * turned) @ self.rotation.T
        left = 1 - (pull * self.rotation.sum(axis=0)) @ self.rotation.T
        spread = square * (1 - pull @ (self.rotation**2).T) + left**2 * variance[:, None]
        return [self._over(means[:, j], spread[:, j]) for j in range(self.y.size)]

    def sample(
        self, n: int, n_unseen: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Independent draws: the spread, the population, and the groups with `n_unseen` more after them."""
        at = rng.choice(self.tau.size, size=n, p=self.weight)
        tau = self.tau[at] + self.step[at] * (rng.uniform(size=n) - 0.5)
        mean, variance = self._given(tau)
        mu = mean + np.sqrt(variance) * rng.standard_normal(n)
        own = mu[:, None] + tau[:, None] * rng.standard_normal((n, self.y.size + n_unseen))
        seen = own[:, : self.y.size]
        # Groups and estimates drawn together, then moved by what the estimates in hand differ from those.
        drawn = seen @ self.rotation + np.sqrt(self.values) * rng.standard_normal(seen.shape)
        square = tau[:, None] ** 2
        missed = (self.y @ self.rotation - drawn) * square / (self.values + square)
        own[:, : self.y.size] = seen + missed @ self.rotation.T
        return tau, mu, own

    def _given(self, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _population(self.y, self.values, self.rotation, self.centre, self.width, tau)[:2]

    def _over(self, mean: np.ndarray, variance: np.ndarray) -> tuple[float, float]:
        centre = float(self.weight @ mean)
        return centre, math.sqrt(float(self.weight @ (variance + (mean - centre) ** 2)))


def hierarchy(y: np.ndarray, errors: np.ndarray, centre: float, width: float, spread: Prior) -> Hierarchy:
    """The posterior, with the spread between groups on a grid.

    Parameters
    ----------
    y : array of shape (estimate,)
    errors : array of shape (estimate, estimate)
        Covariance of the estimates about their groups' values.
    centre, width : float
        Mean and SD of the population's prior.
    spread : Prior
        Of the standard deviation between groups.
    """
    values, rotation = np.linalg.eigh(errors)
    values = np.maximum(values, 1e-300)
    least, most = _reach(spread)
    edges = least + (most - least) * np.linspace(0, 1, _GRID + 1) ** 2  # denser where few groups leave it
    tau, step = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    density = _population(y, values, rotation, centre, width, tau)[2] + spread.log_density(tau)
    weight = np.exp(density - density.max()) * step
    return Hierarchy(y, values, rotation, centre, width, tau, step, weight / weight.sum())


def _reach(spread: Prior) -> tuple[float, float]:
    """Where the spread may lie: from the least value of its prior into the far tail."""
    far = 1.5 * float(np.quantile(spread.sample(np.random.default_rng(0), 20_000), 0.999))
    end = {"unit": 1.0, "interval": spread.arguments.get("upper", far)}.get(spread.support, far)
    return max(spread.arguments.get("lower", 0.0), 0.0), min(far, end)


def agreement(y: np.ndarray, errors: np.ndarray) -> float:
    """Chance that estimates of one common value would agree as closely as these, or closer."""
    from scipy.stats import chi2

    if y.size < 2:
        return 0.5
    weights = np.linalg.solve(errors, np.ones(y.size))
    away = y - weights @ y / weights.sum()
    return float(chi2.cdf(away @ np.linalg.solve(errors, away), y.size - 1))


def _population(
    y: np.ndarray, values: np.ndarray, rotation: np.ndarray, centre: float, width: float, tau: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and variance of the population's value, and log evidence, for each spread."""
    inside = values + tau[:, None] ** 2
    ones, turned = rotation.sum(axis=0), rotation.T @ (y - centre)
    precision = 1 / width**2 + (ones**2 / inside).sum(axis=1)
    mean = (ones * turned / inside).sum(axis=1) / precision
    evidence = -0.5 * (
        np.log(inside).sum(axis=1)
        + np.log(precision * width**2)
        + (turned**2 / inside).sum(axis=1)
        - mean**2 * precision
    )
    return centre + mean, 1 / precision, evidence
