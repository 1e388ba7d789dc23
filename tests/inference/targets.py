"""Log densities with known answers, as targets for engines."""

import numpy as np

from bayescale.inference.target import Target


def target_of(log_density, dim, starts=None, seed=0):
    """A target from a log density of arrays (..., dim); its gradient by central differences."""
    if starts is None:
        starts = 2 * np.random.default_rng(seed).normal(size=(40, dim))

    def gradient(q):
        step = 1e-5 * np.eye(dim)
        return float(log_density(q)), np.asarray(log_density(q + step) - log_density(q - step)) / 2e-5

    def no_symbols():
        raise AssertionError("this engine needs no symbolic model")

    names = tuple(f"x{i}" for i in range(dim))
    return Target(names, log_density, gradient, np.asarray(starts, dtype=float), no_symbols)


def gaussian(dim, seed=1):
    """A correlated normal target, with its mean and covariance."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(dim, dim))
    covariance, mean = root @ root.T + np.eye(dim), rng.normal(size=dim)
    precision = np.linalg.inv(covariance)

    def log_density(q):
        away = q - mean
        return -0.5 * ((away @ precision) * away).sum(-1)

    return target_of(log_density, dim), mean, covariance


def two_modes(separation, dim=2, share=0.5):
    """Two normal humps on either side of zero, `separation` deviations from it."""

    def log_density(q):
        left, right = ((q + separation) ** 2).sum(-1), ((q - separation) ** 2).sum(-1)
        return np.logaddexp(np.log(1 - share) - 0.5 * left, np.log(share) - 0.5 * right)

    return target_of(log_density, dim)


def funnel(dim=5):
    """A log scale of deviation 3 with values that shrink with it: the shape of an uncentred hierarchy."""

    def log_density(q):
        scale, values = q[..., 0], q[..., 1:]
        return -0.5 * (scale / 3) ** 2 - 0.5 * (values**2).sum(-1) * np.exp(-scale) - 0.5 * (dim - 1) * scale

    return target_of(log_density, dim)


def cauchy(dim):
    """Tails so heavy that there is no mean."""
    return target_of(lambda q: -np.log1p(q**2).sum(-1), dim)


def banana():
    """Rosenbrock's valley, upside down: the top is at (1, 1)."""

    def log_density(q):
        return -0.5 * (1 - q[..., 0]) ** 2 - 10.0 * (q[..., 1] - q[..., 0] ** 2) ** 2

    return target_of(log_density, 2)
