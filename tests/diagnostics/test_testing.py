import json

import numpy as np
import pytest

from bayescale.laws import find, registered
from bayescale.testing import synthetic_posterior


@pytest.mark.parametrize("law", sorted(registered()))
@pytest.mark.parametrize("groups", [None, ("llama", "olmo", "pythia")])
def test_every_law_has_a_synthetic_posterior(law, groups):
    posterior = synthetic_posterior(law, groups, chains=2, draws=20)
    values = posterior["posterior"].to_dataset()
    assert set(find(law).parameters) <= set(values)
    assert {"sigma", "nu"} <= set(values)
    assert all(np.isfinite(v).all() for v in values.data_vars.values())
    assert np.isfinite(posterior["log_likelihood"]["value"]).all()
    assert json.loads(posterior.attrs["bayescale"])["law"] == law


def test_the_law_in_raw_units_gives_the_observed_values():
    posterior = synthetic_posterior("chinchilla")
    law, values, runs = find("chinchilla"), posterior["posterior"], posterior["constant_data"]
    curve = law(runs["n_params"], runs["n_tokens"], **{k: values[k] for k in law.parameters})
    ratio = posterior["observed_data"]["value"] / curve.median(("chain", "draw"))
    assert float(abs(ratio - 1).max()) < 0.05


def test_the_same_seed_gives_the_same_study_and_leaves_the_callers_random_state():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = synthetic_posterior(random_seed=3), synthetic_posterior(random_seed=3)
    assert first.identical(again)
    assert not first.equals(synthetic_posterior(random_seed=4))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_groups_label_the_exponent_and_what_follows_from_it():
    posterior = synthetic_posterior("chinchilla", ("a", "b"))
    values = posterior["posterior"].to_dataset()
    assert values["alpha"].dims == ("chain", "draw", "family")
    assert set(values["A"].dims) == {"chain", "draw", "family"}
    assert values["beta"].dims == ("chain", "draw")
    assert list(values["family"].values) == ["a", "b"]
