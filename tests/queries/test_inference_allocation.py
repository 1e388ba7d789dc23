"""Visual tokens against model size under a budget of inference."""

import json

import numpy as np
import pytest

import bayescale as bs
from bayescale.errors import InputError
from bayescale.testing import synthetic_posterior


@pytest.fixture(scope="module")
def study():
    return synthetic_posterior("tokens_params")


def draws(study, *letters):
    return [study["posterior"].dataset[k].values.ravel() for k in letters]


def test_the_optimum_is_the_closed_form_to_a_whole_token(study):
    alpha, beta = draws(study, "alpha", "beta")
    found = bs.allocate_inference(study, [1e11, 1e13], text_tokens=50, tokens=(1, 200))
    expected = np.quantile(50 * beta / (alpha - beta), [0.5, 0.05, 0.95])
    for i in range(2):  # the budget does not matter
        np.testing.assert_allclose(found["n_vision_tokens"].isel(flops=i), expected, atol=0.51)
    tokens = found["n_vision_tokens"].sel(bound="median").values
    size = found["n_params"].sel(bound="median").values
    np.testing.assert_allclose(2 * size * (tokens + 50), found["flops"].values, rtol=1e-9)


def test_without_text_one_token_and_the_largest_model_win_where_size_pays_more(study):
    found = bs.allocate_inference(study, 1e12, text_tokens=0)
    assert float(found["at_fewest"][0]) == 1.0
    np.testing.assert_array_equal(found["n_vision_tokens"][0], 1.0)
    np.testing.assert_allclose(found["n_params"].sel(bound="median"), 5e11)


def test_where_tokens_pay_more_than_size_all_tokens_are_best(study):
    turned = study.copy()
    posterior = turned["posterior"].to_dataset()
    alpha, beta = posterior["alpha"], posterior["beta"]
    turned["posterior"] = posterior.assign(alpha=beta, beta=alpha)
    found = bs.allocate_inference(turned, 1e12, text_tokens=50, tokens=(1, 300))
    assert float(found["at_most"][0]) == 1.0
    np.testing.assert_array_equal(found["n_vision_tokens"][0], 300.0)


def test_nearly_as_good_numbers_hold_the_best_and_grow_with_the_share(study):
    close = bs.allocate_inference(study, 1e12, within=0.002)
    wide = bs.allocate_inference(study, 1e12, within=0.02)
    for found in (close, wide):
        low, high = found["near_best"].values[0]
        assert low <= float(found["expected_best"][0]) <= high
    assert wide["near_best"].values[0, 0] < close["near_best"].values[0, 0]
    assert wide["near_best"].values[0, 1] > close["near_best"].values[0, 1]


def test_a_cost_of_ones_own_is_spent_to_the_last(study):
    def with_encoder(n, t, q):
        return 2 * n * (t + q) + 3e11

    found = bs.allocate_inference(study, 1e12, cost=with_encoder)
    plain = bs.allocate_inference(study, 7e11)
    np.testing.assert_allclose(found["n_params"], plain["n_params"], rtol=1e-9)
    assert found.attrs["cost"] == "with_encoder"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"flops": -1.0}, "above zero"),
        ({"flops": 3.0}, "pays for no model"),
        ({"flops": "much"}, "must be a number"),
        ({"text_tokens": -5}, "text_tokens=-5"),
        ({"text_tokens": float("nan")}, "text_tokens=nan"),
        ({"tokens": (5, 2)}, "the smaller first"),
        ({"tokens": 5}, "must be a pair"),
        ({"within": 0}, "within=0"),
        ({"prob": 1.0}, "prob"),
        ({"group": {"family": "llama"}}, "nothing is pooled"),
    ],
)
def test_impossible_options_are_refused(study, options, said):
    with pytest.raises(InputError, match=said):
        bs.allocate_inference(study, **({"flops": 1e12} | options))


def test_other_laws_are_refused_with_the_verb_they_need():
    with pytest.raises(InputError, match=r"reads n_params, n_tokens.*bayescale.allocate"):
        bs.allocate_inference(synthetic_posterior("chinchilla"), 1e12)


def test_an_answer_far_beyond_the_runs_is_said(study):
    told = study.copy()
    record = json.loads(told.attrs["bayescale"])
    record["input_range"] = {"n_params": [5e8, 7e9], "n_vision_tokens": [1.0, 576.0]}
    told.attrs["bayescale"] = json.dumps(record)
    bs.allocate_inference(told, 1e12)
    with pytest.warns(bs.BayescaleWarning, match=r"up to 10\^1.9 times beyond the runs"):
        bs.allocate_inference(told, 1e12, text_tokens=0)
