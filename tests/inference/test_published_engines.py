"""Every sampler agrees with the corrected Laplace posterior on the digitised Chinchilla runs.

Accepted failure rate: five Monte Carlo errors on 27 comparisons, below one in ten thousand.
"""

import json

import numpy as np
import pytest

import bayescale as bs
from bayescale.diagnostics.statistics import ess_mean

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::bayescale.errors.BayescaleWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the samplers' own libraries
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def fitted(engine):
    return bs.fit(
        bs.load_runs("chinchilla-figure4"), engine=engine, draws=1000, random_seed=11, progressbar=False
    )


@pytest.fixture(scope="module")
def fast():
    return fitted("laplace")


@pytest.mark.parametrize("engine", ["numpyro", "nutpie", "pymc"])
def test_a_sampler_agrees_with_the_fast_posterior_within_five_monte_carlo_errors(fast, engine):
    sampled = fitted(engine)
    told = json.loads(fast.attrs["bayescale"])["engine"]
    worth = min(told["effective_draws"], 4000)
    away = {}
    for name, draws in sampled["posterior"].to_dataset().data_vars.items():
        ours = np.log(fast["posterior"][name].values)
        theirs = np.log(draws.transpose("chain", "draw").values)
        error2 = ours.var() / worth + theirs.var() / float(ess_mean(theirs))
        away[name] = abs(ours.mean() - theirs.mean()) / np.sqrt(error2)
        assert ours.std() / theirs.std() == pytest.approx(1.0, abs=0.15), name
    assert max(away.values()) < 5, away
    assert np.mean([z < 2 for z in away.values()]) >= 0.6, away
