"""Engines that share no code but the priors give one posterior, on every law.

`auto` and `numpyro` work on our own density, in NumPy and in JAX; `nutpie` samples the PyMC model.
Accepted failure rate: five Monte Carlo errors on about 400 comparisons, below one in a thousand.
"""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.laws import find
from bayescale.model.noise import Normal
from bayescale.priors import Outcome, default_prior

pytestmark = pytest.mark.slow

# What the design tells well enough for a posterior in one piece; broken and ten-parameter laws get priors
# as narrow as a user with a published law would give.
NARROW = {
    "bnsl_one": {"c1": bs.between(0.15, 0.35), "d1": bs.between(0.5, 2.0), "f1": bs.between(0.3, 1.0)},
    "bnsl_two": {
        "c1": bs.between(0.05, 0.3),
        "d1": bs.between(0.1, 0.5),
        "f1": bs.between(0.3, 1.0),
        "c2": bs.between(-0.2, -0.05),
        "gap": bs.between(5.0, 30.0),
        "f2": bs.between(0.3, 1.0),
    },
    "farseer": {"P": bs.between(0.5, 2.0), "gamma": bs.between(0.1, 0.3)},
}


def simulated(name: str, families: int = 1) -> bs.RunTable:
    """Eighty runs of a law at its priors' middle, with 0.5 % of normal scatter."""
    law, rng = find(name), np.random.default_rng(1)
    n = 80
    frame = pd.DataFrame(
        {
            "run_id": [f"r{i}" for i in range(n)],
            "family": [f"f{i % families}" for i in range(n)],
            "n_params": 10 ** rng.uniform(7.5, 10, n),
            "n_tokens": 10 ** rng.uniform(9, 12, n),
        }
    )
    frame["flops"] = 6 * frame["n_params"] * frame["n_tokens"]
    frame["tokens_unique"] = np.minimum(frame["n_tokens"], 10 ** rng.uniform(9, 11, n))
    outcome = Outcome(least=2.0, middle=3.0, spread=1.5)
    kinds = law.parameters
    truth = {
        k: float(np.median(default_prior(kind, outcome, law.typical.get(k)).sample(rng, 4000)))
        for k, kind in kinds.items()
    }
    truth |= {k: float(np.sqrt(v.lower * v.upper)) for k, v in NARROW.get(name, {}).items() if v.lower > 0}
    truth |= {k: 0.5 * (v.lower + v.upper) for k, v in NARROW.get(name, {}).items() if v.lower <= 0}
    if name == "log_linear":
        truth = {"a": 3.0, "b": -0.1}
    middle = {k: float(np.exp(np.mean(np.log(frame[k])))) for k in law.inputs}
    if "tokens_unique" in middle:
        middle["tokens_unique"] = middle["n_tokens"]
    group = rng.normal(0, 0.03, families)[np.arange(n) % families]
    value = np.asarray(law(*(frame[k] / middle[k] for k in law.inputs), **truth)) * np.exp(group)
    frame["value"] = Normal().sample(rng, value, sigma=np.float64(0.005))
    return bs.read_runs(frame)


def fitted(runs: bs.RunTable, name: str, engine: str, **options) -> dict[str, tuple[float, float, float]]:
    """Mean, deviation and Monte Carlo error of every parameter at the reference scales."""
    study = bs.fit(
        runs,
        law=name,
        noise="normal",
        engine=engine,
        draws=2000,
        random_seed=3,
        target_accept=0.95,
        priors=NARROW.get(name, {}),
        progressbar=False,
        **options,
    )
    told = json.loads(study.attrs["bayescale"])["engine"]
    table = bs.convergence(study).table
    found = {}
    for key, row in table.iterrows():
        worth = min(told["effective_draws"], 8000.0) if "effective_draws" in told else row["ess_bulk"]
        found[str(key)] = (row["mean"], row["sd"], row["sd"] / np.sqrt(worth))
    return found


@pytest.mark.parametrize("name", sorted(bs.laws().index))
@pytest.mark.filterwarnings("ignore::bayescale.BayescaleWarning")
def test_three_engines_give_one_posterior(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bs.BayescaleWarning)
        runs = simulated(name)
    found = {engine: fitted(runs, name, engine) for engine in ("auto", "numpyro", "nutpie")}
    agree(found)


@pytest.mark.filterwarnings("ignore::bayescale.BayescaleWarning")
def test_pooled_posteriors_agree_between_adapted_and_plain_coordinates():
    runs = simulated("chinchilla", families=5)
    pool = {"E": "family", "alpha": "family"}
    agree({engine: fitted(runs, "chinchilla", engine, pool=pool) for engine in ("numpyro", "nutpie")})


def agree(found: dict[str, dict[str, tuple[float, float, float]]]) -> None:
    """Means within five Monte Carlo errors of one another, deviations within fifteen hundredths."""
    reference = found["nutpie"]
    for engine, table in found.items():
        for key, (mean, sd, error) in table.items():
            there, sd_there, error_there = reference[key]
            away = abs(mean - there) / np.hypot(error, error_there)
            assert away < 5, (
                f"{engine}, {key}: {mean:.4g} and {there:.4g} differ by {away:.1f} Monte Carlo errors"
            )
            assert abs(np.log(sd / sd_there)) < 0.15, (
                f"{engine}, {key}: deviations {sd:.4g} and {sd_there:.4g}"
            )
