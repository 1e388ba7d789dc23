import warnings

import numpy as np
import pandas as pd
import pytest
from made_posterior import chinchilla_by_hand, drawn, made_posterior, made_runs

import bayescale as bs
from bayescale.errors import BayescaleWarning, InputError
from bayescale.queries.predict import predict_draws

NEAR = pd.DataFrame({"n_params": [2e8, 1e9, 7e9], "n_tokens": [4e9, 2e10, 9e10]})


@pytest.fixture(scope="module")
def study():
    return made_posterior()


@pytest.fixture(scope="module")
def pooled():
    return made_posterior({"alpha": "family", "E": "family"})


def test_the_curve_is_the_law_of_the_papers_parameters(study):
    found = bs.predict(study, NEAR, kind="curve", prob=0.8)
    for i, (n, d) in enumerate(NEAR.to_numpy()):
        by_hand = chinchilla_by_hand(study, n, d)
        np.testing.assert_allclose(found["median"][i], np.median(by_hand), rtol=1e-9)
        np.testing.assert_allclose(found["mean"][i], by_hand.mean(), rtol=1e-9)
        edges = np.quantile(by_hand, [0.1, 0.9])
        np.testing.assert_allclose([found["lower"][i], found["upper"][i]], edges, rtol=1e-9)


def test_answers_do_not_depend_on_the_reference_scales(study):
    other = made_posterior(reference={"n_params": 3e6, "n_tokens": 8e13})
    for kind in ("curve", "run"):
        first, second = bs.predict(study, NEAR, kind=kind), bs.predict(other, NEAR, kind=kind)
        for name in ("median", "mean", "lower", "upper"):
            np.testing.assert_allclose(first[name], second[name], rtol=1e-9)


def test_a_run_scatters_about_a_certain_curve_as_its_noise_says():
    certain = made_posterior(width=0.0, sigma=0.03, draws=5000)
    found = bs.predict(certain, NEAR, kind="run", prob=0.9)
    curve = bs.predict(certain, NEAR, kind="curve")["median"]
    np.testing.assert_allclose(np.log(found["upper"] / curve) / 0.03, 1.645, atol=0.06)
    np.testing.assert_allclose(np.log(found["lower"] / curve) / 0.03, -1.645, atol=0.06)
    np.testing.assert_allclose(found["median"], curve, rtol=2e-3)


def test_a_run_is_less_certain_than_the_curve(study):
    run, curve = bs.predict(study, NEAR, kind="run"), bs.predict(study, NEAR, kind="curve")
    assert ((run["upper"] - run["lower"]) > 1.5 * (curve["upper"] - curve["lower"])).all()


def test_a_higher_probability_is_wider(study):
    widths = [
        bs.predict(study, NEAR, prob=prob)["upper"] - bs.predict(study, NEAR, prob=prob)["lower"]
        for prob in (0.5, 0.9, 0.99)
    ]
    assert (widths[0] < widths[1]).all()
    assert (widths[1] < widths[2]).all()


def test_a_known_group_is_predicted_by_its_own_parameters(pooled):
    E, A, alpha, B, beta = drawn(pooled, "E", "A", "alpha", "B", "beta")
    found = bs.predict(
        pooled,
        {"n_params": [1e9] * 3, "n_tokens": [2e10] * 3, "family": ["pythia", "llama", "olmo"]},
        kind="curve",
    )
    for i, g in enumerate((2, 0, 1)):
        by_hand = E[:, g] + A[:, g] * 1e9 ** -alpha[:, g] + B * 2e10**-beta
        np.testing.assert_allclose(found["median"][i], np.median(by_hand), rtol=1e-9)


def test_a_new_group_is_less_certain_than_a_known_one(pooled):
    asked = {"n_params": 1e9, "n_tokens": 2e10, "family": ["llama", "olmo", "pythia", "new"]}
    found = bs.predict(pooled, asked, kind="curve")
    width = (found["upper"] - found["lower"]).values
    assert width[3] > 2 * width[:3].max()


def test_a_new_group_scatters_by_the_spread_between_groups(pooled):
    draws = predict_draws(pooled, {"n_params": 1e9, "n_tokens": 2e10, "family": "new"}, kind="curve")
    E, sd_E, A_ref, sd_alpha = drawn(pooled, "E_population", "E_sd_family", "A_ref", "alpha_sd_family")
    spread2 = (np.median(E) * np.median(sd_E)) ** 2
    spread2 += (
        np.median(A_ref) * 0.34 * np.log(1e9 / reference(pooled, "n_params")) * np.median(sd_alpha)
    ) ** 2
    assert float(draws.std()) == pytest.approx(np.sqrt(spread2), rel=0.1)


def reference(posterior, column):
    import json

    return json.loads(posterior.attrs["bayescale"])["reference"][column]


def test_without_a_group_column_a_new_group_is_meant(pooled):
    without = bs.predict(pooled, NEAR, kind="curve")
    new = bs.predict(pooled, NEAR.assign(family="new"), kind="curve")
    for name in ("median", "lower", "upper"):
        np.testing.assert_allclose(without[name], new[name])


def test_equal_new_labels_are_one_group_and_other_labels_others(pooled):
    asked = {"n_params": 1e9, "n_tokens": 2e10, "family": ["new: a", "new: b", "new: a"]}
    draws = predict_draws(pooled, asked, kind="curve").values
    np.testing.assert_array_equal(draws[:, 0], draws[:, 2])
    assert abs(np.corrcoef(draws[:, 0], draws[:, 1])[0, 1]) < 0.3


def test_an_unknown_family_is_refused_with_those_known_and_the_way_to_a_new_one(pooled):
    with pytest.raises(InputError, match=r"(?s)'gpt9'.*llama.*'new'"):
        bs.predict(pooled, NEAR.assign(family="gpt9"))
    with pytest.raises(InputError, match=r"Did you mean 'llama'"):
        bs.predict(pooled, NEAR.assign(family="lama"))


def test_a_group_column_of_an_unpooled_study_is_passed_through(study):
    found = bs.predict(study, NEAR.assign(family="new: gpt9"), kind="curve")
    assert list(found["family"].values) == ["new: gpt9"] * 3
    np.testing.assert_array_equal(found["median"], bs.predict(study, NEAR, kind="curve")["median"])


def test_a_family_that_an_unpooled_study_never_saw_is_said(study):
    with pytest.warns(BayescaleWarning, match=r"'gpt9' was not among the runs \(fitted: .*llama.*'new'"):
        bs.predict(study, NEAR.assign(family="gpt9"))


def test_label_columns_stay_text_though_they_read_as_numbers(study):
    found = bs.predict(study, NEAR.assign(family=["new 1", "new 2", "new 3"], run_id=["007", "7", "1e3"]))
    assert list(found["run_id"].values) == ["007", "7", "1e3"]


@pytest.mark.parametrize("cell", ["0x10", "1_000", "\u0663e9", "7B", True, None])
def test_a_cell_that_only_looks_like_a_number_is_refused(study, cell):
    with pytest.raises(InputError, match="row 1, column 'n_params'"):
        bs.predict(study, {"n_params": np.array([1e9, cell], dtype=object), "n_tokens": 1e10})


def test_columns_of_two_lengths_are_refused(study):
    with pytest.raises(InputError, match=r"differ in shape \(n_params \(3,\), n_tokens \(2,\)\)"):
        bs.predict(study, {"n_params": [1e9, 2e9, 3e9], "n_tokens": [1e10, 2e10]})


def test_distance_beyond_the_runs_is_in_powers_of_ten(study):
    asked = pd.DataFrame({"n_params": [1e9, 5e10, 1e7, 1e10], "n_tokens": [1e10, 1e10, 1e10, 1e11 * 10**0.5]})
    found = bs.predict(study, asked)
    np.testing.assert_allclose(found["decades_beyond"], [0.0, np.log10(5), 1.0, 0.5], atol=1e-9)


def test_scales_more_than_tenfold_beyond_the_runs_are_said(study):
    with pytest.warns(BayescaleWarning, match=r"1 of 2 scales lie more than tenfold.*10\^2\.0"):
        bs.predict(study, {"n_params": [1e9, 1e12], "n_tokens": [1e10, 1e10]})


@pytest.mark.parametrize("kind", ["curve", "run"])
@pytest.mark.parametrize("pool", [None, {"alpha": "family"}])
def test_batches_give_what_the_whole_gives(monkeypatch, kind, pool):
    posterior = made_posterior(pool)
    n = np.geomspace(1e8, 1e10, 53)
    asked = {"n_params": n, "n_tokens": 20 * n, "family": (["llama", "new: b", "olmo", "new: a"] * 14)[:53]}
    whole = bs.predict(posterior, asked, kind=kind)
    monkeypatch.setattr("bayescale.queries.by_rows._BATCH", 10 * 1000)
    monkeypatch.setattr("bayescale.queries.by_rows._BLOCK", 17)
    parts = bs.predict(posterior, asked, kind=kind)
    for name in ("median", "mean", "lower", "upper"):
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-12)


def test_the_same_seed_gives_the_same_prediction_and_the_callers_random_state_is_left(pooled):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = (bs.predict(pooled, NEAR, random_seed=3) for _ in range(2))
    assert first.identical(again)
    assert not first["upper"].equals(bs.predict(pooled, NEAR, random_seed=4)["upper"])
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_scales_may_come_in_any_shape_of_table(study, tmp_path):
    expected = bs.predict(study, NEAR, kind="curve")["median"].values
    NEAR.to_csv(tmp_path / "scales.csv", index=False)
    shapes = {
        "mapping": NEAR.to_dict("list"),
        "rows": NEAR.to_dict("records"),
        "dataset": NEAR.rename_axis("row").to_xarray(),
        "path": tmp_path / "scales.csv",
        "path as text": str(tmp_path / "scales.csv"),
        "odd index": NEAR.set_axis([7, 7, 7]),
        "text cells": NEAR.astype(str),
    }
    for name, scales in shapes.items():
        found = bs.predict(study, scales, kind="curve")["median"].values
        np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=name)


def test_a_grid_is_unrolled(study):
    import xarray as xr

    grid = xr.Dataset(coords={"n_params": [1e9, 2e9], "n_tokens": [1e10, 2e10, 4e10]})
    found = bs.predict(study, grid, kind="curve")
    assert found.sizes["scale"] == 6
    by_hand = [np.median(chinchilla_by_hand(study, n, d)) for n in (1e9, 2e9) for d in (1e10, 2e10, 4e10)]
    np.testing.assert_allclose(found["median"], by_hand)


def test_columns_that_stood_in_at_the_fit_are_read_at_the_question():
    runs = made_runs()
    samples = made_runs(n_tokens=None, flops=None, n_samples=runs.frame["n_tokens"].to_numpy())
    study = made_posterior(runs=samples)
    asked = bs.predict(study, NEAR.rename(columns={"n_tokens": "n_samples"}), kind="curve")
    np.testing.assert_allclose(asked["median"], bs.predict(study, NEAR, kind="curve")["median"])
    experts = made_posterior(runs=made_runs(n_active_params=runs.frame["n_params"].to_numpy() / 4))
    whole = bs.predict(experts, NEAR.assign(n_active_params=NEAR["n_params"] / 4), kind="curve")["median"]
    bare = bs.predict(experts, NEAR.assign(n_params=NEAR["n_params"] / 4), kind="curve")["median"]
    np.testing.assert_allclose(whole, bare)


def test_compute_is_worked_out_from_size_and_data():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        study = bs.fit(
            made_runs(), "power_compute", engine="laplace", progressbar=False, random_seed=0, draws=300
        )
    direct = bs.predict(study, {"flops": 6 * NEAR["n_params"] * NEAR["n_tokens"]}, kind="curve")
    np.testing.assert_allclose(bs.predict(study, NEAR, kind="curve")["median"], direct["median"], rtol=1e-12)


@pytest.mark.parametrize(
    ("scales", "pattern"),
    [
        ({"n_params": [1e9]}, r"reads the column 'n_tokens', which the scales lack \(they have: n_params\)"),
        ({"n_params": [1e9, -1.0], "n_tokens": [1e10, 1e10]}, r"row 1, column 'n_params': .*-1\.0.* is not"),
        ({"n_params": ["7B"], "n_tokens": [1e10]}, r"'7B' is not a positive number"),
        ({"n_params": [np.nan], "n_tokens": [0.0]}, r"(?s)n_params.*nan.*n_tokens.*0\.0"),
        ({"n_params": [], "n_tokens": []}, r"no rows"),
        (pd.DataFrame({"n_params": [], "n_tokens": []}), r"no rows"),
        (7e9, r"a float is no table of scales"),
        ([1e9, 2e9], r"a list is no table of scales"),
    ],
)
def test_scales_that_cannot_be_used_are_refused(study, scales, pattern):
    with pytest.raises(InputError, match=pattern):
        bs.predict(study, scales)


@pytest.mark.parametrize("prob", [0, 1, 1.5, -0.1, "0.9", True, None])
def test_impossible_probabilities_are_refused(study, prob):
    for ask in (lambda: bs.predict(study, NEAR, prob=prob), lambda: bs.intervals(study, prob=prob)):
        with pytest.raises(InputError, match="prob="):
            ask()


def test_an_unknown_kind_is_refused(study):
    with pytest.raises(InputError, match=r"kind='loss' must be 'run'.*'curve'"):
        bs.predict(study, NEAR, kind="loss")


@pytest.mark.parametrize("thing", [None, "study.nc", {"posterior": 1}])
def test_what_is_no_study_is_refused(thing):
    with pytest.raises(InputError, match="no fitted study"):
        bs.predict(thing, NEAR)


def test_a_saved_study_answers_with_the_same_numbers(pooled, tmp_path):
    bs.save(pooled, tmp_path / "study.nc")
    again = bs.open(tmp_path / "study.nc")
    asked = NEAR.assign(family=["llama", "new", "olmo"])
    for name, value in bs.predict(pooled, asked).data_vars.items():
        np.testing.assert_array_equal(bs.predict(again, asked)[name], value)
    assert bs.intervals(again).identical(bs.intervals(pooled))
    assert bs.allocate(again, 1e22).identical(bs.allocate(pooled, 1e22))
