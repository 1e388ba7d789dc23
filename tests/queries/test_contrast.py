"""Two groups held against one another."""

import numpy as np
import pytest
from made_posterior import made_posterior, made_runs

import bayescale as bs
from bayescale.errors import InputError

TASKS = ("chart", "photo", "text", "video")


@pytest.fixture(scope="module")
def runs():
    return made_runs(eval_name=[TASKS[(i // 3) % 4] for i in range(24)])


@pytest.fixture(scope="module")
def crossed(runs):
    return made_posterior({"alpha": ["eval_name", "family"]}, runs=runs)


@pytest.fixture(scope="module")
def nested(runs):
    return made_posterior({"alpha": ["eval_name/family", "family"]}, runs=runs)


def flat(study, name):
    values = study["posterior"].dataset[name].values
    return values.reshape(-1, *values.shape[2:])


def summary(draws, prob=0.9):
    return np.quantile(draws, [0.5, (1 - prob) / 2, (1 + prob) / 2], axis=0)


def test_one_factor_gives_one_difference():
    study = made_posterior({"E": "family"})
    found = bs.contrast(study, "E", "family", "llama", "pythia", prob=0.8)
    E = flat(study, "E")
    np.testing.assert_allclose(found["difference"], summary(E[:, 0] - E[:, 2], 0.8))
    np.testing.assert_allclose(found["ratio"], summary(E[:, 0] / E[:, 2], 0.8))
    assert float(found["probability"]) == (E[:, 0] > E[:, 2]).mean()
    assert set(found.dims) == {"bound"}


def test_crossed_factors_give_a_difference_for_each_group_and_their_mean(crossed):
    found = bs.contrast(crossed, "alpha", "family", "olmo", "llama")
    alpha = flat(crossed, "alpha")  # (sample, eval_name, family)
    difference = alpha[:, :, 1] - alpha[:, :, 0]
    assert found["eval_name"].values.tolist() == list(TASKS)
    np.testing.assert_allclose(found["difference"], summary(difference))
    np.testing.assert_allclose(found["mean_difference"], summary(difference.mean(axis=1)))
    np.testing.assert_allclose(found["probability"], (difference > 0).mean(axis=0))


def test_without_interaction_the_ratio_is_the_same_in_every_group_and_in_a_new_one(crossed):
    found = bs.contrast(crossed, "alpha", "family", "olmo", "llama")
    for i in range(len(TASKS)):
        np.testing.assert_allclose(found["ratio"].isel(eval_name=i), found["new_ratio"], rtol=1e-10)


def test_a_new_group_is_less_certain_where_groups_interact(nested):
    found = bs.contrast(nested, "alpha", "family", "olmo", "llama")
    assert found.sizes["eval_name"] == len(TASKS)

    def width(v):
        return float(found[v].sel(bound="upper") - found[v].sel(bound="lower"))

    assert width("new_ratio") > 2 * width("mean_ratio")
    alpha = flat(nested, "alpha")
    labels = nested["posterior"].dataset["eval_name:family"].values.tolist()
    one, two = (labels.index(f"photo : {family}") for family in ("olmo", "llama"))
    expected = summary(alpha[:, one] - alpha[:, two])
    np.testing.assert_allclose(found["difference"].sel(eval_name="photo"), expected)


def test_an_amplitude_is_contrasted_in_the_units_of_its_paper():
    study = made_posterior({"alpha": "family"})
    found = bs.contrast(study, "A", "family", "llama", "olmo")  # A carries the units of alpha
    A = flat(study, "A")
    np.testing.assert_allclose(found["difference"], summary(A[:, 0] - A[:, 1]), rtol=1e-9)


def test_the_value_at_a_scale_is_contrasted_too(crossed):
    at = {"n_params": 1e9, "n_tokens": 2e10}
    found = bs.contrast(crossed, at, "family", "olmo", "llama")
    rows = [at | {"eval_name": "text", "family": f} for f in ("olmo", "llama")]
    value = bs.predict_draws(crossed, rows, kind="curve").values
    np.testing.assert_allclose(found["difference"].sel(eval_name="text"), summary(value[:, 0] - value[:, 1]))
    assert "value at n_params = 1e+09" in found.attrs["quantity"]


def test_turned_round_the_sign_turns(crossed):
    one = bs.contrast(crossed, "alpha", "family", "olmo", "llama")
    two = bs.contrast(crossed, "alpha", "family", "llama", "olmo")
    turned = -two["difference"].sel(bound=["median", "upper", "lower"]).values
    np.testing.assert_allclose(one["difference"].values, turned)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("beta", "family", "olmo", "llama"), r"beta was not pooled over 'family'.*pool=\{'beta'"),
        (("gamma", "family", "olmo", "llama"), "learns E, A, alpha"),
        (("alpha", "family", "olmo", "lama"), "Did you mean 'llama'"),
        (("alpha", "family", "olmo", "olmo"), "two different groups"),
        (("alpha", "study", "olmo", "llama"), "was not pooled over 'study'"),
        (({"n_params": 1e9}, "family", "olmo", "llama"), "n_tokens"),
        (({"n_params": [1e9, 2e9], "n_tokens": [1e9, 2e9]}, "family", "olmo", "llama"), "one scale"),
        ((7, "family", "olmo", "llama"), "quantity=7"),
    ],
)
def test_what_cannot_be_contrasted_is_refused_with_what_can(crossed, asked, said):
    with pytest.raises(InputError, match=said):
        bs.contrast(crossed, *asked)


def test_groups_never_seen_with_both_are_refused():
    apart = made_runs(eval_name=["photo" if i % 3 else "text" for i in range(24)])
    study = made_posterior({"alpha": ["eval_name", "family"]}, runs=apart)
    with pytest.raises(InputError, match="no group of eval_name has runs of both"):
        bs.contrast(study, "alpha", "family", "llama", "olmo")
