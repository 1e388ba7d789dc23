import numpy as np
import pytest

from bayescale.errors import InputError
from bayescale.queries.pooling import pooling
from bayescale.testing import synthetic_posterior


@pytest.fixture(scope="module")
def pooled():
    tree = synthetic_posterior("chinchilla", ("llama", "olmo", "pythia"))
    draws = tree["posterior"].to_dataset()
    effects = np.log(draws["alpha"]) - np.log(draws["alpha_population"])
    draws["alpha_offset_family"] = effects / draws["alpha_sd_family"]
    tree["posterior"] = type(tree)(draws)
    return tree


def test_groups_have_the_quantiles_of_their_draws(pooled):
    found = pooling(pooled, prob=0.8)
    draws = pooled["posterior"]["alpha"].sel(family="olmo").values
    np.testing.assert_allclose(found["alpha"].sel(family="olmo"), np.quantile(draws, [0.5, 0.1, 0.9]))
    assert list(found["runs_family"].values) == [8, 8, 8]


def test_one_more_group_spreads_as_the_population_does(pooled):
    found = pooling(pooled)
    draws = pooled["posterior"].to_dataset()
    z = np.random.default_rng(8).standard_normal((200, *draws["alpha_population"].shape))
    simulated = np.exp(np.log(draws["alpha_population"].values) + draws["alpha_sd_family"].values * z)
    np.testing.assert_allclose(found["alpha_new"], np.quantile(simulated, [0.5, 0.05, 0.95]), rtol=0.05)
    np.testing.assert_allclose(
        found["alpha_population"], np.quantile(draws["alpha_population"], [0.5, 0.05, 0.95])
    )
    width = {k: float(found[k][2] - found[k][1]) for k in ("alpha_new", "alpha_population")}
    assert width["alpha_new"] > width["alpha_population"]


def test_a_study_without_groups_is_refused_with_the_mend():
    with pytest.raises(InputError, match="nothing is pooled.*pool="):
        pooling(synthetic_posterior("chinchilla", draws=20))
