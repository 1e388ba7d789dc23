import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.errors import InputError
from bayescale.queries.curves import curve
from bayescale.testing import synthetic_posterior


@pytest.fixture(scope="module")
def study():
    return synthetic_posterior("chinchilla", draws=100)


@pytest.fixture(scope="module")
def pooled():
    tree = synthetic_posterior("chinchilla", ("llama", "olmo", "pythia"), draws=100)
    draws = tree["posterior"].to_dataset()
    effects = np.log(draws["alpha"]) - np.log(draws["alpha_population"])
    draws["alpha_offset_family"] = effects / draws["alpha_sd_family"]
    tree["posterior"] = type(tree)(draws)
    return tree


def best_loss(study, flops):
    """Closed form of the law at its best size for C = 6ND, draw by draw."""
    p = {k: study["posterior"][k].values.ravel() for k in ("E", "A", "alpha", "B", "beta")}
    scale = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    n = scale * (flops / 6) ** (p["beta"] / (p["alpha"] + p["beta"]))
    return n, p["E"] + p["A"] * n ** -p["alpha"] + p["B"] * (flops / 6 / n) ** -p["beta"]


def test_a_curve_is_what_predict_says_at_its_scales(study):
    found = curve(study, "n_tokens", at={"n_params": 1e9}, points=7)
    asked = pd.DataFrame({"n_params": 1e9, "n_tokens": found["n_tokens"].values})
    told = bs.predict(study, asked, kind="curve")
    for name in ("median", "lower", "upper"):
        np.testing.assert_allclose(found[name].squeeze(), told[name])
    assert found["held_n_params"].values == [1e9]


def test_other_inputs_are_held_at_scales_that_runs_had(study):
    found = curve(study)
    held = found["held_n_tokens"].values
    assert held.size == 3
    assert (np.diff(held) > 0).all()
    assert set(held) <= set(study["constant_data"]["n_tokens"].values)


def test_a_curve_starts_at_the_least_run_and_goes_on_by_the_decades_asked_for(study):
    sizes = study["constant_data"]["n_params"].values
    found = curve(study, extend=0.5)
    at = found["n_params"].values
    np.testing.assert_allclose([at[0], at[-1]], [sizes.min(), sizes.max() * 10**0.5])
    beyond = found["decades_beyond"].values[0]
    np.testing.assert_allclose(beyond[-1], 0.5, atol=1e-6)
    assert (beyond[at <= sizes.max()] <= 1e-9).all()


def test_a_carried_run_keeps_its_residual(study):
    found = curve(study, at={"n_tokens": 2e10})
    runs = study["constant_data"].to_dataset()[["n_params", "n_tokens"]].to_dataframe()
    here = bs.predict(study, runs, kind="curve")["median"].values
    there = bs.predict(study, runs.assign(n_tokens=2e10), kind="curve")["median"].values
    np.testing.assert_allclose(found["carried"] / there, found["observed"] / here)


def test_a_run_at_the_level_stays_where_it_is(study):
    level = float(study["constant_data"]["n_tokens"][5])
    found = curve(study, at={"n_tokens": level})
    np.testing.assert_allclose(found["carried"][5], found["observed"][5])


def test_along_compute_the_curve_is_the_law_at_the_closed_form_optimum(study):
    found = curve(study, "flops", points=4)
    for i, flops in enumerate(found["flops"].values):
        expected = np.quantile(best_loss(study, flops)[1], [0.05, 0.5, 0.95])
        told = [float(found[k][0, 0, i]) for k in ("lower", "median", "upper")]
        np.testing.assert_allclose(told, expected, rtol=1e-9)


def test_no_run_should_lie_far_below_the_best_use_of_compute(study):
    found = curve(study, "flops", points=30, extend=0.0)
    best = np.interp(np.log(found["at_run"]), np.log(found["flops"]), found["median"].squeeze())
    assert (found["observed"].values > 0.97 * best).all()


def test_each_family_has_its_own_curve_and_an_unseen_one_a_wider_one(pooled):
    found = curve(pooled, by="family", points=5, extend=0.0)
    assert list(found["group"].values) == ["llama", "olmo", "pythia"]
    asked = pd.DataFrame({"n_params": found["n_params"].values, "n_tokens": float(found["held_n_tokens"][0])})
    told = bs.predict(pooled, asked.assign(family="olmo"), kind="curve")
    np.testing.assert_allclose(found["median"].sel(group="olmo").squeeze(), told["median"])
    new = curve(pooled, points=5, extend=0.0, at={"n_tokens": float(found["held_n_tokens"][0])})
    assert (new["upper"] - new["lower"]).mean() > (found["upper"] - found["lower"]).mean()


def test_how_far_a_curve_goes_beyond_is_told_for_each_group(pooled):
    found = curve(pooled, by="family", extend=0.0)
    family, sizes = (pooled["constant_data"][k].values for k in ("family", "n_params"))
    largest = {k: sizes[family == k].max() for k in ("llama", "olmo", "pythia")}
    for name, size in largest.items():
        expected = np.log10(sizes.max() / size)
        np.testing.assert_allclose(found["decades_beyond"].sel(group=name)[-1], expected, atol=1e-6)


def test_runs_of_another_label_are_left_out(pooled):
    found = curve(pooled, group={"family": "olmo"})
    assert found.sizes["run"] == 8
    assert set(found["run_group"].values) == {"all"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"over": "n_samples"}, "can be followed along n_params, n_tokens, flops"),
        ({"by": "recipe"}, "'recipe' is no column of the runs"),
        (
            {"at": {"n_params": 1e9}},
            "at= names 'n_params'; along n_params the law 'chinchilla' holds n_tokens",
        ),
        ({"at": {"n_tokens": -1.0}}, "levels are positive numbers"),
        ({"points": 1}, "points=1 must be a whole number"),
        ({"extend": 40}, "extend=40 must be a number of decades"),
        ({"prob": 1.5}, "prob=1.5 must lie between 0 and 1"),
        ({"group": {"recipe": "a"}}, "'recipe', which the runs lack"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(study, asked, words):
    with pytest.raises(InputError, match=words):
        curve(study, **asked)


def test_a_law_without_size_has_no_best_use_of_compute():
    with pytest.raises(InputError, match="can be followed along n_tokens; use one"):
        curve(synthetic_posterior("power_data", draws=20), "flops")
