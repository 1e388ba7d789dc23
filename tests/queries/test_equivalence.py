import numpy as np
import pytest
import xarray as xr
from made_posterior import made_posterior
from scipy.stats import norm

import bayescale as bs
from bayescale.errors import InputError

DRAWS = np.random.default_rng(0).normal(0.002, 0.004, 200_000)


def test_the_three_probabilities_are_those_of_the_distribution():
    found = bs.practically_equal(DRAWS, rope=0.005)
    assert float(found["below"]) == pytest.approx(norm.cdf(-0.005, 0.002, 0.004), abs=0.003)
    assert float(found["above"]) == pytest.approx(norm.sf(0.005, 0.002, 0.004), abs=0.003)
    assert float(found["below"] + found["equal"] + found["above"]) == pytest.approx(1)
    np.testing.assert_allclose(found["interval"], norm.ppf([0.5, 0.05, 0.95], 0.002, 0.004), atol=1e-4)


@pytest.mark.parametrize(
    ("shift", "verdict"), [(-1.0, "below"), (1.0, "above"), (-0.002, "equal"), (0.004, "undecided")]
)
def test_the_verdict_is_the_word_that_is_sure(shift, verdict):
    assert bs.practically_equal(DRAWS + shift, rope=0.01)["verdict"].item() == verdict


def test_how_sure_one_must_be_is_the_callers_choice():
    shifted = DRAWS + 0.004
    assert bs.practically_equal(shifted, rope=0.01, sure=0.8)["verdict"].item() == "equal"


def test_a_region_need_not_be_symmetric():
    one = bs.practically_equal(DRAWS, rope=(-0.005, 0.005))
    assert one.equals(bs.practically_equal(DRAWS, rope=0.005))
    assert float(bs.practically_equal(DRAWS, rope=(0.0, 1.0))["equal"]) == pytest.approx((DRAWS >= 0).mean())


def test_other_dims_are_kept():
    wide = xr.DataArray(
        DRAWS[:6000].reshape(2, 1000, 3) + [-1.0, 0.0, 1.0],
        dims=("chain", "draw", "family"),
        coords={"family": ["a", "b", "c"], "chain": [0, 1]},
    )
    found = bs.practically_equal(wide, rope=0.02)
    assert found["verdict"].dims == ("family",)
    assert list(found["verdict"].values) == ["below", "equal", "above"]
    assert found["interval"].sizes == {"bound": 3, "family": 3}
    assert found.attrs["draws"] == 2000
    plain = bs.practically_equal(wide.values.reshape(2000, 3), rope=0.02)
    np.testing.assert_array_equal(plain["verdict"], found["verdict"])


def test_differences_between_groups_of_a_study_come_from_its_draws():
    study = made_posterior({"alpha": "family"})
    at = {"n_params": 1e10, "n_tokens": 2e10}  # away from the reference scale, where exponents do not count
    draws = bs.predict_draws(study, [at | {"family": f} for f in ("llama", "pythia")], kind="curve")
    found = bs.practically_equal(draws.isel(scale=0) - draws.isel(scale=1), rope=0.005)
    assert found["verdict"].item() == "above"
    same = bs.practically_equal(draws.isel(scale=0) - draws.isel(scale=0), rope=0.005)
    assert same["verdict"].item() == "equal"


@pytest.mark.parametrize(
    ("rope", "said"),
    [
        (0, r"rope=0: give half the width"),
        (-0.1, r"rope=-0.1"),
        ((0.1, -0.1), r"two ends in order"),
        ((0.1,) * 3, r"two ends in order"),
        (float("nan"), r"rope=nan"),
        ("small", r"rope='small' must be a number"),
        ((0.0, float("inf")), r"two ends"),
    ],
)
def test_an_empty_region_is_refused(rope, said):
    with pytest.raises(InputError, match=said):
        bs.practically_equal(DRAWS, rope=rope)


@pytest.mark.parametrize(
    ("draws", "said"),
    [
        (0.3, r"is one number"),
        ([], r"there are no draws"),
        ([0.1, float("nan")], r"1 of 2 draws are not finite"),
        (["a"], r"no array of draws"),
        (xr.DataArray([1.0, 2.0], dims="family"), r"dims family, and none of chain, draw, sample"),
        (xr.Dataset(), r"no array of draws|there are no draws"),
    ],
)
def test_what_is_no_draws_is_refused(draws, said):
    with pytest.raises(InputError, match=said):
        bs.practically_equal(draws, rope=0.1)


@pytest.mark.parametrize(("option", "said"), [({"sure": 0.4}, "sure=0.4"), ({"prob": 90}, "prob=90")])
def test_impossible_options_of_a_verdict_are_refused(option, said):
    with pytest.raises(InputError, match=said):
        bs.practically_equal(DRAWS, rope=0.1, **option)
