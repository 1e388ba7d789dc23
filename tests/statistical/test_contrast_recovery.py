"""Contrasts between two configurations hold the truth at the stated rate, the truth drawn from the priors."""

import warnings

import numpy as np
import pytest

import bayescale as bs

pytestmark = pytest.mark.statistical

SIMULATIONS = 30
LEAST = 22  # of 30 at a rate of .9: fewer come up by chance once in 500 runs, for each of two quantities
TASKS, CONFIGURATIONS = tuple("abcdef"), ("with", "without")
COUNTS = np.array([1.0, 8.0, 32.0, 64.0, 256.0, 768.0])
MIDDLE = 38.4  # the reference scale that the fit will choose for these counts


def spread(low, high):
    """Log-normal with nine tenths of its mass between two values."""
    return bs.Prior("LogNormal", mu=np.log(low * high) / 2, sigma=np.log(high / low) / 3.29)


PRIORS = {
    "c": bs.Prior("LogNormal", mu=np.log(0.3), sigma=0.2),
    "alpha": bs.Prior("Normal", mu=-0.1, sigma=0.05),
    "c_sd_task": spread(0.1, 0.3),
    "c_sd_configuration": spread(0.05, 0.2),
    "alpha_sd_task": spread(0.02, 0.06),
    "alpha_sd_configuration": spread(0.02, 0.06),
    "sigma": spread(0.05, 0.1),
}


def simulated(rng):
    """A table of scores, and the true mean differences of alpha and of the score at 64 tokens."""
    drawn = {k: float(p.sample(rng, 1)[0]) for k, p in PRIORS.items()}
    effects = {
        (k, f): drawn[f"{k}_sd_{f}"] * rng.standard_normal(size)
        for k in ("c", "alpha")
        for f, size in (("task", len(TASKS)), ("configuration", 2))
    }
    c = drawn["c"] * np.exp(effects["c", "task"][:, None] + effects["c", "configuration"])
    alpha = drawn["alpha"] + effects["alpha", "task"][:, None] + effects["alpha", "configuration"]
    mean = c[..., None] * (COUNTS / MIDDLE) ** -alpha[..., None]
    odds = np.log(mean / (1 - mean)) + drawn["sigma"] * rng.standard_normal(mean.shape)
    rows = [
        {"task": task, "configuration": word, "n_vision_tokens": n, "value": 1 / (1 + np.exp(-odds[i, j, k]))}
        for i, task in enumerate(TASKS)
        for j, word in enumerate(CONFIGURATIONS)
        for k, n in enumerate(COUNTS)
    ]
    at_64 = c * (64 / MIDDLE) ** -alpha
    truth = {"alpha": (alpha[:, 0] - alpha[:, 1]).mean(), "score": (at_64[:, 0] - at_64[:, 1]).mean()}
    table = {k: [row[k] for row in rows] for k in rows[0]}
    return bs.read_runs(
        table | {"run_id": [f"r{i}" for i in range(len(rows))]}, metric="score_of_range"
    ), truth


def usable(rng):
    """Draws whose expected scores stay within their range."""
    while True:
        table, truth = simulated(rng)
        if table.frame["value"].between(0.01, 0.97).all():
            return table, truth


def test_two_configurations_differ_as_their_intervals_say():
    rng = np.random.default_rng(20250117)
    held = {"alpha": 0, "score": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bs.BayescaleWarning)
        for i in range(SIMULATIONS):
            table, truth = usable(rng)
            pool = dict.fromkeys(("c", "alpha"), ["task", "configuration"])
            study = bs.fit(
                table,
                "vision_tokens",
                pool=pool,
                noise="logit_normal",
                priors=PRIORS,
                draws=500,
                tune=500,
                random_seed=i,
                progressbar=False,
            )
            assert bs.contrast(study, "alpha", "configuration", *CONFIGURATIONS).sizes["task"] == len(TASKS)
            for name, quantity in {"alpha": "alpha", "score": {"n_vision_tokens": 64}}.items():
                found = bs.contrast(study, quantity, "configuration", *CONFIGURATIONS)
                _, low, high = found["mean_difference"].values
                held[name] += bool(low <= truth[name] <= high)
    assert min(held.values()) >= LEAST, held
