import numpy as np
import pytest
import xarray as xr

import bayescale as bs
from bayescale.errors import InputError
from bayescale.queries.predict import predict_draws
from bayescale.queries.residuals import residuals
from bayescale.testing import synthetic_posterior


@pytest.fixture(scope="module")
def study():
    return synthetic_posterior("chinchilla")


def with_values(study, values):
    return study.assign(observed_data=xr.DataTree(xr.Dataset({"value": ("run", values)})))


def test_residuals_are_log_ratios_to_what_predict_says(study):
    found = residuals(study)
    told = bs.predict(study, study["constant_data"].to_dataset().to_dataframe(), kind="curve")
    np.testing.assert_allclose(found["fitted"], told["median"])
    np.testing.assert_allclose(found["residual"], np.log(found["observed"].values / told["median"].values))
    np.testing.assert_allclose(found["deviations"] * found["width"], found["residual"])


def test_runs_drawn_from_the_study_itself_lie_within_as_often_as_stated(study):
    inputs = study["constant_data"].to_dataset().to_dataframe()
    draws = predict_draws(study, inputs, random_seed=5).values
    rng, runs = np.random.default_rng(2), np.arange(len(inputs))
    drawn = [
        draws[rng.integers(len(draws), size=runs.size), runs] for _ in range(20)
    ]  # one draw for each run
    inside = [residuals(with_values(study, values), prob=0.8)["inside"].mean() for values in drawn]
    assert 0.71 < np.mean(inside) < 0.89  # 480 runs: five standard errors to each side


def test_a_run_above_all_expectation_has_rank_one_and_many_deviations(study):
    values = study["observed_data"]["value"].values.copy()
    values[3] *= 1.5
    found = residuals(with_values(study, values))
    assert found["rank"][3] == 1.0
    assert found["deviations"][3] > 5
    assert not found["inside"][3]


def test_decades_hold_all_runs_and_their_medians(study):
    found = residuals(study)
    assert found["decade_runs"].sum() == found.sizes["run"]
    first = found["decade_of_scale"].values[0]
    mine = found["decade"].values == first
    np.testing.assert_allclose(found["decade_median"][0], np.median(found["deviations"].values[mine]))
    np.testing.assert_array_equal(found["decade"], np.floor(np.log10(found["flops"])))


def test_the_scale_of_a_law_without_compute_is_its_first_input():
    found = residuals(synthetic_posterior("power_data", draws=50))
    assert found.attrs["scale"] == "n_tokens"
    assert "flops" not in found


def test_an_impossible_share_is_refused(study):
    with pytest.raises(InputError, match="prob=90"):
        residuals(study, prob=90)
