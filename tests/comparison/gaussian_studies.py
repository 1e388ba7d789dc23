"""Fits of a straight line with normal scatter, whose evidence and predictions are known in closed form."""

import json
import warnings

import numpy as np

import bayescale as bs
from bayescale.laws import Intercept, Slope, law
from bayescale.laws.elementwise import log

SIGMA, SPREAD = 0.3, 0.8
MIDDLE = 1e20
CENTRE, WIDTH = 8.0, 3.0  # of the intercept's prior
STEEP, REACH = 0.0, 1.0  # of the slope's prior


@law(inputs=("flops",))
def straight_line_of_tests(c, *, a: Intercept, b: Slope):
    """A line in log compute, which can be integrated by hand."""
    return a + b * log(c)


def table(groups=5, rows=6, seed=0, apart=SPREAD):
    """Runs of several families whose intercepts differ."""
    rng = np.random.default_rng(seed)
    size = groups * rows
    family = np.repeat([f"f{i}" for i in range(groups)], rows)
    flops = 10 ** rng.uniform(18.5, 21.5, size)
    effect = np.repeat(rng.normal(0, apart, groups), rows)
    value = CENTRE + effect - 0.4 * np.log(flops / MIDDLE) + rng.normal(0, SIGMA, size)
    return bs.read_runs(
        {
            "run_id": [f"r{i}" for i in range(size)],
            "family": family,
            "flops": flops,
            "value": value,
            "seed": [""] * size,
        }
    )


def fitted(runs, pool=None, scale=1.0, **options):
    """A fit with scatter and spread held at what they are, to one part in ten thousand."""
    priors = {
        "a": bs.Prior("Normal", mu=CENTRE, sigma=WIDTH * scale),
        "b": bs.Prior("Normal", mu=STEEP, sigma=REACH),
        "sigma": bs.Prior("LogNormal", mu=np.log(SIGMA), sigma=1e-4),
    }
    if pool:
        priors["a_sd_family"] = bs.Prior("LogNormal", mu=np.log(SPREAD), sigma=1e-4)
    given = {"engine": "laplace", "random_seed": 0, "draws": 500, "progressbar": False} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bs.BayescaleWarning)
        return bs.fit(
            runs,
            straight_line_of_tests,
            pool=pool,
            noise=bs.Normal(on="value"),
            priors=priors,
            discrepancy=None,
            **given,
        )


def moments(post, pooled=False, scale=1.0):
    """Mean and covariance of all values under the prior."""
    runs, record = post["runs"].dataset, json.loads(post.attrs["bayescale"])
    x = np.log(runs["flops"].values / record["reference"]["flops"])
    same = runs["family"].values[:, None] == runs["family"].values
    covariance = (WIDTH * scale) ** 2 + REACH**2 * np.outer(x, x) + SIGMA**2 * np.eye(x.size)
    return CENTRE + STEEP * x, covariance + (SPREAD**2 * same if pooled else 0.0)


def log_normal(value, mean, covariance):
    away = value - mean
    return float(
        -0.5 * away @ np.linalg.solve(covariance, away) - 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
    )


def given_others(post, rows, pooled=False):
    """Exact joint log density of some rows given all others."""
    mean, covariance = moments(post, pooled)
    value = post["observed_data"]["value"].values
    return log_normal(value, mean, covariance) - log_normal(
        value[~rows], mean[~rows], covariance[np.ix_(~rows, ~rows)]
    )
