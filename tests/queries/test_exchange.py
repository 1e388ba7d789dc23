"""Data for parameters: closed form, caps, and what cannot be bought."""

import numpy as np
import pytest
from made_posterior import drawn, made_posterior

import bayescale as bs
from bayescale.errors import InputError

RUN = {"n_params": 7e9, "n_tokens": 2e11}


def test_the_amount_is_the_one_of_the_closed_form():
    study = made_posterior()
    A, alpha, B, beta = drawn(study, "A", "alpha", "B", "beta")
    left = A * 7e9**-alpha + B * 2e11**-beta - A * 5e9**-alpha
    exact = (B / left) ** (1 / beta)
    found = bs.exchange(study, RUN, params_cap=5e9)
    got = found["amount"].sel(data="n_tokens").values
    np.testing.assert_allclose(got, np.quantile(exact, [0.5, 0.05, 0.95], method="nearest"), rtol=1e-6)
    assert float(found["impossible"].sel(data="n_tokens")) == 0.0


def test_the_same_size_costs_nothing_and_a_larger_one_saves_data():
    study = made_posterior()
    same = bs.exchange(study, RUN, params_factor=1.0)["factor"].sel(data="n_tokens", bound="median")
    larger = bs.exchange(study, RUN, params_factor=2.0)["factor"].sel(data="n_tokens", bound="upper")
    assert float(same) == pytest.approx(1.0, rel=1e-6)
    assert float(larger) < 1.0


def test_a_model_too_small_cannot_be_made_up_for():
    found = bs.exchange(made_posterior(), RUN, params_factor=1e-3)
    assert float(found["impossible"].sel(data="n_tokens")) == 1.0
    assert np.isinf(found["factor"].sel(data="n_tokens")).all()


def test_memory_is_a_cap_that_never_enlarges_the_model():
    study = made_posterior()
    assert float(bs.exchange(study, RUN, memory_gb=4.0)["new_params"]) == 2e9
    assert float(bs.exchange(study, RUN, memory_gb=4.0, bytes_per_param=0.5)["new_params"]) == 7e9


def test_groups_are_asked_for_by_name():
    study = made_posterior(pool={"B": "family"})
    amounts = [
        float(bs.exchange(study, RUN | {"family": f}, params_factor=0.7)["amount"].sel(bound="median")[0])
        for f in ("llama", "pythia")
    ]
    assert amounts[0] != pytest.approx(amounts[1], rel=1e-3)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "give one of params_factor, params_cap and memory_gb .given: none"),
        ({"params_factor": 0.5, "memory_gb": 4.0}, "given: params_factor, memory_gb"),
        ({"params_factor": -1.0}, "params_factor=-1.0 must be a number above zero"),
        ({"memory_gb": 4.0, "bytes_per_param": 0}, "bytes_per_param=0 must be"),
    ],
)
def test_the_new_size_is_given_once_and_above_zero(options, says):
    with pytest.raises(InputError, match=says):
        bs.exchange(made_posterior(), RUN, **options)


def test_a_run_that_lacks_an_input_is_refused_by_its_name():
    with pytest.raises(InputError, match="n_tokens"):
        bs.exchange(made_posterior(), {"n_params": 7e9}, params_factor=0.5)
