"""Checkpoints of ten runs: intervals of the law hold with offsets of runs, and are too narrow without."""

import warnings

import numpy as np
import pytest

import bayescale as bs

pytestmark = pytest.mark.statistical

SIMULATIONS = 40
LEAST = 31  # of 40 at a rate of .9: fewer come up by chance once in 200 tries
RUNS, POINTS = 10, 8
EFFECT, SCATTER = 0.03, 0.005
AT = {"n_params": [2e9], "n_tokens": [5e10]}


def law(size, data):
    return 1.8 + 0.36 * (size / 1e9) ** -0.35 + 0.45 * (data / 1e10) ** -0.37


def simulated(rng):
    """Runs of several sizes, each seen at several lengths, off the law by an effect of its own."""
    size = np.repeat(10 ** rng.uniform(7.5, 10, RUNS), POINTS)
    data = np.tile(np.geomspace(1e9, 2e11, POINTS), RUNS) * np.exp(0.1 * rng.standard_normal(size.size))
    away = np.repeat(EFFECT * rng.standard_normal(RUNS), POINTS) + SCATTER * rng.standard_normal(size.size)
    names = np.repeat([f"r{i}" for i in range(RUNS)], POINTS)
    return bs.read_runs(
        {"run_id": names, "n_params": size, "n_tokens": data, "value": law(size, data) * np.exp(away)}
    )


@pytest.fixture(scope="module")
def answers():
    """Whether intervals hold the law, and one more run, for each simulation: with and without offsets."""
    truth = float(law(2e9, 5e10))
    found = {"law": [], "law, by themselves": [], "run": []}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bs.BayescaleWarning)
        for seed in range(SIMULATIONS):
            rng = np.random.default_rng([20, seed])
            runs = simulated(rng)
            options = {"noise": "normal", "discrepancy": None, "random_seed": seed, "progressbar": False}
            alone = bs.fit(runs, "chinchilla", **options)
            together = bs.fit(runs, "chinchilla", pool={"offset": "run_id"}, **options)
            more = truth * np.exp(EFFECT * rng.standard_normal() + SCATTER * rng.standard_normal())
            for name, posterior, kind, value in (
                ("law, by themselves", alone, "curve", truth),
                ("law", together, "curve", truth),
                ("run", together, "run", more),
            ):
                told = bs.predict(posterior, AT, kind=kind, prob=0.9)
                found[name].append(bool(told["lower"][0] <= value <= told["upper"][0]))
    return {name: sum(held) for name, held in found.items()}


def test_intervals_of_the_law_hold_at_the_rate_with_offsets_of_runs(answers):
    assert answers["law"] >= LEAST


def test_intervals_of_one_more_run_hold_at_the_rate(answers):
    assert answers["run"] >= LEAST


def test_without_them_intervals_of_the_law_are_too_narrow(answers):
    assert answers["law, by themselves"] < 0.7 * SIMULATIONS
