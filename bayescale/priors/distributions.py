"""The distributions a prior can name: one row each, written in elementwise words."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bayescale.laws.elementwise import Array, lgamma, log, log1p

__all__ = ["DISTRIBUTIONS", "Distribution", "Support"]

type Support = Literal["real", "positive", "unit", "interval"]

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_LOG_2 = math.log(2)


@dataclass(frozen=True)
class Distribution:
    """A named distribution, by the names and arguments PyMC gives it.

    Attributes
    ----------
    defaults : mapping of str to (float or None)
        Arguments and their defaults; None where one must be given.
    positive : tuple of str
        Arguments that must be above zero.
    support : Support
    log_density : callable
        ``(x, **arguments)``, normalised, of any array kind.
    sample : callable
        ``(rng, size, **arguments)``, NumPy.
    """

    defaults: Mapping[str, float | None]
    positive: tuple[str, ...]
    support: Support
    log_density: Callable[..., Array]
    sample: Callable[..., np.ndarray]


def _normal(x: Array, mu: float, sigma: float) -> Array:
    return -0.5 * ((x - mu) / sigma) ** 2 - (log(sigma) + _HALF_LOG_2PI)


def _student_t(x: Array, nu: float, mu: float, sigma: float) -> Array:
    constant = lgamma((nu + 1) / 2) - lgamma(nu / 2) - 0.5 * log(nu * math.pi)
    return constant - log(sigma) - (nu + 1) / 2 * log1p(((x - mu) / sigma) ** 2 / nu)


def _log_normal(x: Array, mu: float, sigma: float) -> Array:
    return _normal(log(x), mu, sigma) - log(x)


def _logit_normal(x: Array, mu: float, sigma: float) -> Array:
    return _normal(log(x) - log1p(-x), mu, sigma) - log(x) - log1p(-x)


def _truncated_normal(x: Array, mu: float, sigma: float, lower: float) -> Array:
    tail = 0.5 * math.erfc((lower - mu) / (sigma * math.sqrt(2)))
    return _normal(x, mu, sigma) - log(tail)


def _gamma(x: Array, alpha: float, beta: float) -> Array:
    return alpha * log(beta) - lgamma(alpha) + (alpha - 1) * log(x) - beta * x


def _inverse_gamma(x: Array, alpha: float, beta: float) -> Array:
    return alpha * log(beta) - lgamma(alpha) - (alpha + 1) * log(x) - beta / x


def _beta(x: Array, alpha: float, beta: float) -> Array:
    constant = lgamma(alpha + beta) - lgamma(alpha) - lgamma(beta)
    return constant + (alpha - 1) * log(x) + (beta - 1) * log1p(-x)


def _truncated_sample(
    rng: np.random.Generator, size: int, mu: float, sigma: float, lower: float
) -> np.ndarray:
    from scipy.stats import truncnorm

    drawn = truncnorm.rvs((lower - mu) / sigma, np.inf, mu, sigma, size=size, random_state=rng)
    return np.asarray(drawn)


# fmt: off
DISTRIBUTIONS: dict[str, Distribution] = {
    "Normal": Distribution(
        {"mu": 0.0, "sigma": 1.0}, ("sigma",), "real", _normal,
        lambda rng, size, mu, sigma: rng.normal(mu, sigma, size)),
    "StudentT": Distribution(
        {"nu": None, "mu": 0.0, "sigma": 1.0}, ("nu", "sigma"), "real", _student_t,
        lambda rng, size, nu, mu, sigma: mu + sigma * rng.standard_t(nu, size)),
    "Cauchy": Distribution(
        {"alpha": 0.0, "beta": 1.0}, ("beta",), "real",
        lambda x, alpha, beta: _student_t(x, 1.0, alpha, beta),
        lambda rng, size, alpha, beta: alpha + beta * rng.standard_cauchy(size)),
    "Laplace": Distribution(
        {"mu": 0.0, "b": 1.0}, ("b",), "real",
        lambda x, mu, b: -((((x - mu) / b) ** 2 + 1e-24) ** 0.5) - log(2 * b),
        lambda rng, size, mu, b: rng.laplace(mu, b, size)),
    "LogNormal": Distribution(
        {"mu": 0.0, "sigma": 1.0}, ("sigma",), "positive", _log_normal,
        lambda rng, size, mu, sigma: rng.lognormal(mu, sigma, size)),
    "HalfNormal": Distribution(
        {"sigma": 1.0}, ("sigma",), "positive",
        lambda x, sigma: _normal(x, 0.0, sigma) + _LOG_2,
        lambda rng, size, sigma: np.abs(rng.normal(0, sigma, size))),
    "HalfStudentT": Distribution(
        {"nu": 1.0, "sigma": 1.0}, ("nu", "sigma"), "positive",
        lambda x, nu, sigma: _student_t(x, nu, 0.0, sigma) + _LOG_2,
        lambda rng, size, nu, sigma: np.abs(sigma * rng.standard_t(nu, size))),
    "HalfCauchy": Distribution(
        {"beta": 1.0}, ("beta",), "positive",
        lambda x, beta: _student_t(x, 1.0, 0.0, beta) + _LOG_2,
        lambda rng, size, beta: np.abs(beta * rng.standard_cauchy(size))),
    "Exponential": Distribution(
        {"lam": 1.0}, ("lam",), "positive",
        lambda x, lam: log(lam) - lam * x,
        lambda rng, size, lam: rng.exponential(1 / lam, size)),
    "Gamma": Distribution(
        {"alpha": None, "beta": None}, ("alpha", "beta"), "positive", _gamma,
        lambda rng, size, alpha, beta: rng.gamma(alpha, 1 / beta, size)),
    "InverseGamma": Distribution(
        {"alpha": None, "beta": 1.0}, ("alpha", "beta"), "positive", _inverse_gamma,
        lambda rng, size, alpha, beta: beta / rng.gamma(alpha, 1.0, size)),
    "TruncatedNormal": Distribution(
        {"mu": 0.0, "sigma": 1.0, "lower": 0.0}, ("sigma",), "positive",
        _truncated_normal, _truncated_sample),
    "Beta": Distribution(
        {"alpha": 1.0, "beta": 1.0}, ("alpha", "beta"), "unit", _beta,
        lambda rng, size, alpha, beta: rng.beta(alpha, beta, size)),
    "LogitNormal": Distribution(
        {"mu": 0.0, "sigma": 1.0}, ("sigma",), "unit", _logit_normal,
        lambda rng, size, mu, sigma: 1 / (1 + np.exp(-rng.normal(mu, sigma, size)))),
    "Uniform": Distribution(
        {"lower": 0.0, "upper": 1.0}, (), "interval",
        lambda x, lower, upper: 0.0 * x - log(upper - lower),
        lambda rng, size, lower, upper: rng.uniform(lower, upper, size)),
}
# fmt: on
