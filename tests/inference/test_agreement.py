"""Engines that share no code but the priors give one posterior, on every law.

`auto`, `grouped` and `numpyro` work on our own density, in NumPy and in JAX; `nutpie` samples the PyMC model.
Accepted failure rate: five Monte Carlo errors on about 1,200 comparisons, below one in a thousand.
"""

import json

import numpy as np
import pandas as pd
import pytest
from calibration_laws import priors_of, simulate

import bayescale as bs
from bayescale.diagnostics.scalars import scalars
from bayescale.diagnostics.statistics import ess_mean
from bayescale.laws import find, registered
from bayescale.model.noise import Normal

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::bayescale.BayescaleWarning")]

LAWS = [n for n, law in sorted(registered().items()) if law.formula.__module__.startswith("bayescale.laws")]


def fitted(runs: bs.RunTable, name: str, engine: str, **options) -> dict[str, np.ndarray]:
    """Mean, log deviation, and the Monte Carlo errors of both, of every parameter at the reference scales."""
    study = bs.fit(
        runs,
        law=name,
        engine=engine,
        draws=1000,
        random_seed=3,
        target_accept=0.95,
        progressbar=False,
        **options,
    )
    told = json.loads(study.attrs["bayescale"])["engine"]
    drawn = scalars(study)
    found = {}
    for i, key in enumerate(drawn.labels):
        x = drawn.draws[..., i]
        z2 = ((x - x.mean()) / x.std()) ** 2
        worth = told.get("effective_draws")  # of weighted draws, which no chain tells
        worth_mean, worth_sd = (
            (min(worth, x.size),) * 2 if worth else (float(ess_mean(v[..., None])[0]) for v in (x, z2))
        )
        errors = x.std() / np.sqrt(worth_mean), 0.5 * z2.std() / np.sqrt(worth_sd)
        found[key] = np.array([x.mean(), np.log(x.std()), *errors])
    return found


@pytest.mark.parametrize("name", LAWS)
def test_three_engines_give_one_posterior(name):
    spec, _ = simulate(name, seed=1)
    columns = pd.DataFrame(dict(spec.inputs)).assign(run_id=spec.run_ids, metric="made", value=spec.value)
    options = {"noise": spec.structure.noise, "priors": priors_of(find(name)), "discrepancy": None}
    runs = bs.read_runs(columns)
    agree({engine: fitted(runs, name, engine, **options) for engine in ("auto", "numpyro", "nutpie")})


def small_sweep(families: int = 1) -> bs.RunTable:
    """Eighty runs of Chinchilla's law with 0.5 % of scatter, floors 3 % apart between families."""
    rng, n = np.random.default_rng(1), 80
    size, data = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9, 12, n)
    family = np.arange(n) % families
    law = 1.8 * np.exp(rng.normal(0, 0.03, families))[family]
    law = law + 0.36 * (size / 1e9) ** -0.35 + 0.45 * (data / 1e10) ** -0.37
    columns = {"run_id": [f"r{i}" for i in range(n)], "family": [f"f{i}" for i in family]}
    columns |= {"n_params": size, "n_tokens": data, "flops": 6 * size * data}
    return bs.read_runs(columns | {"value": Normal().sample(rng, law, sigma=np.float64(0.005))})


def test_pooled_posteriors_agree_between_adapted_and_plain_coordinates():
    options = {"pool": {"E": "family", "alpha": "family"}, "noise": "normal", "discrepancy": None}
    runs = small_sweep(families=5)
    engines = ("grouped", "numpyro", "nutpie")
    agree({engine: fitted(runs, "chinchilla", engine, **options) for engine in engines})


def test_a_law_with_its_drift_has_one_posterior():
    options = {"discrepancy": "drift", "noise": "normal"}
    agree(
        {
            engine: fitted(small_sweep(), "chinchilla", engine, **options)
            for engine in ("auto", "numpyro", "nutpie")
        }
    )


def test_families_that_share_a_drift_have_one_posterior():
    options = {"pool": {"E": "family"}, "discrepancy": "drift", "noise": "normal"}
    engines = ("auto", "numpyro", "nutpie")
    agree({engine: fitted(small_sweep(families=5), "chinchilla", engine, **options) for engine in engines})


def agree(found: dict[str, dict[str, np.ndarray]]) -> None:
    """Means and log deviations within five Monte Carlo errors of one another."""
    reference = found["nutpie"]
    for engine, table in found.items():
        for key, here in table.items():
            there = reference[key]
            away = np.abs(here[:2] - there[:2]) / np.hypot(here[2:], there[2:])
            assert (away < 5).all() or engine == "nutpie", (
                f"{engine}, {key}: mean {here[0]:.4g} and {there[0]:.4g}, deviation {np.exp(here[1]):.4g} "
                f"and {np.exp(there[1]):.4g} differ by {away[0]:.1f} and {away[1]:.1f} Monte Carlo errors"
            )
