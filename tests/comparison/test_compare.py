import json
import warnings

import numpy as np
import pytest
from made_studies import made_study, normal_densities

import bayescale as bs
from bayescale.comparison.compare import compare
from bayescale.comparison.table import as_frame
from bayescale.errors import BayescaleWarning, InputError

VALUE = np.random.default_rng(5).normal(2.5, 0.3, 150)


def study(mean, sd=0.3, seed=0, **options):
    return made_study(normal_densities(VALUE, mean, sd, seed=seed), VALUE, **options)


def quietly(studies):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        return compare(studies)


def codes(table):
    return [finding["code"] for finding in json.loads(table.attrs["findings"])]


@pytest.fixture(scope="module")
def fitted():
    """Three small real fits to the same runs, with scatter on the log, on the value, and without size."""
    rng = np.random.default_rng(3)
    n, d = 10 ** rng.uniform(7.5, 10, 40), 10 ** rng.uniform(9, 11.5, 40)
    value = (1.8 + 0.36 * (n / 1e9) ** -0.35 + 0.45 * (d / 1e10) ** -0.37) * np.exp(rng.normal(0, 0.01, 40))
    runs = bs.read_runs(
        {
            "run_id": [f"r{i}" for i in range(40)],
            "n_params": n,
            "n_tokens": d,
            "flops": 6 * n * d,
            "value": value,
        }
    )
    same = {"engine": "laplace", "random_seed": 0, "progressbar": False, "draws": 500}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        return {
            "on the log": bs.fit(runs, noise="normal", **same),
            "on the value": bs.fit(runs, noise=bs.Normal(on="value"), **same),
            "compute": bs.fit(runs, law="power_compute", noise="normal", **same),
        }


def test_the_table_agrees_with_arviz_on_real_fits(fitted):
    import arviz as az

    found = as_frame(quietly(fitted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = az.compare(fitted, round_to="none")
        shapes = {
            name: az.loo(post, pointwise=True, var_name="value").pareto_k for name, post in fitted.items()
        }
    assert list(found.index) == list(expected.index)
    pairs = {
        "elpd": "elpd",
        "se": "se",
        "elpd_diff": "elpd_diff",
        "diff_se": "dse",
        "p": "p",
        "weight": "weight",
    }
    for ours, theirs in pairs.items():
        np.testing.assert_allclose(found[ours], expected[theirs].astype(float), atol=2e-4, rtol=1e-8)
    for name, khat in shapes.items():
        assert found.loc[name, "khat_max"] == pytest.approx(float(khat.max()), abs=1e-8)


def test_scatter_on_the_log_and_on_the_value_stand_in_one_unit(fitted):
    """Over so narrow a range the two nearly agree; without the Jacobian they would lie 40 nats apart."""
    table = as_frame(quietly(fitted))
    assert abs(table.loc["on the log", "elpd"] - table.loc["on the value", "elpd"]) < 10
    assert table.index[-1] == "compute"


def test_the_best_comes_first_and_differences_are_to_it():
    table = quietly({"worse": study(2.7), "good": study(2.5), "bad": study(3.4)})
    assert list(table["model"].values) == ["good", "worse", "bad"]
    assert float(table["elpd_diff"][0]) == 0.0
    assert float(table["diff_se"][0]) == 0.0
    assert (np.diff(table["elpd_diff"]) < 0).all()
    np.testing.assert_allclose(table["elpd_diff"], table["elpd"] - table["elpd"][0])
    np.testing.assert_allclose(table["loo_pointwise"].sum("run"), table["elpd"])
    assert table.attrs["rows"] == 150
    assert table.attrs["metric"] == "loss_nats"


def test_elpd_of_a_normal_mean_is_the_closed_form():
    """Known scatter, flat prior: the value left out is normal about the mean of the others."""
    n, sd = VALUE.size, 0.3
    rng = np.random.default_rng(0)
    mean = VALUE.mean() + sd / np.sqrt(n) * rng.normal(size=(4, 5000, 1))
    densities = -0.5 * ((VALUE - mean) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi))
    table = quietly({"exact": made_study(densities, VALUE), "other": study(3.0)})
    others = (VALUE.sum() - VALUE) / (n - 1)
    spread2 = sd**2 * (1 + 1 / (n - 1))
    expected = -0.5 * (VALUE - others) ** 2 / spread2 - 0.5 * np.log(2 * np.pi * spread2)
    found = table["loo_pointwise"].sel(model="exact").values
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert float(table["p"].sel(model="exact")) == pytest.approx(
        np.mean((VALUE - VALUE.mean()) ** 2) / sd**2, abs=0.05
    )


def test_rows_in_another_order_are_aligned_by_run():
    shuffled = np.random.default_rng(1).permutation(150)
    names = np.array([f"r{i:03d}" for i in range(150)])
    densities = normal_densities(VALUE, 2.55, 0.3)
    straight = quietly({"a": study(2.5), "b": made_study(densities, VALUE, names)})
    mixed = made_study(densities[..., shuffled], VALUE[shuffled], names[shuffled])
    turned = quietly({"a": study(2.5), "b": mixed})
    np.testing.assert_allclose(turned["diff_se"], straight["diff_se"])
    np.testing.assert_allclose(
        turned["loo_pointwise"].sel(model="b"), straight["loo_pointwise"].sel(model="b")
    )
    assert list(turned["run"].values) == list(names)


def test_run_ids_that_repeat_between_families_are_told_apart():
    names, family = ["small", "large"] * 2, ["llama", "llama", "olmo", "olmo"]
    value = np.array([3.0, 2.5, 3.1, 2.6])
    table = {"family": family, "study": ["s"] * 4}
    first = made_study(normal_densities(value, value, 0.1), value, names, **table)
    turn = [3, 0, 2, 1]
    turned = {k: list(np.array(v)[turn]) for k, v in table.items()}
    second = made_study(
        normal_densities(value[turn], value[turn], 0.1), value[turn], list(np.array(names)[turn]), **turned
    )
    found = quietly({"first": first, "second": second})
    np.testing.assert_allclose(found["elpd_diff"], 0.0, atol=1e-9)


def test_studies_of_other_rows_are_refused_with_their_names_and_counts():
    short = made_study(normal_densities(VALUE[:140], 2.5, 0.3), VALUE[:140])
    with pytest.raises(InputError, match=r"150 rows.*140.*10 only in 'a' \(r140, r141, r142, …\)"):
        compare({"a": study(2.5), "b": short})


def test_other_values_under_the_same_names_are_refused():
    moved = VALUE.copy()
    moved[[3, 9]] += 0.01
    other = made_study(normal_densities(moved, 2.5, 0.3), moved)
    with pytest.raises(InputError, match=r"2 of them differ in value \(r003: .* against .*r009"):
        compare({"a": study(2.5), "b": other})


def test_studies_in_other_units_are_refused_with_both_units():
    with pytest.raises(InputError, match=r"(?s)loss_nats \(nats.*loss_bits \(bits"):
        compare({"a": study(2.5), "b": study(2.5, metric="loss_bits")})


@pytest.mark.parametrize("studies", [{}, {"one": None}])
def test_fewer_than_two_studies_are_refused(studies):
    studies = {name: study(2.5) for name in studies}
    with pytest.raises(InputError, match="at least two"):
        compare(studies)


def test_what_is_no_mapping_or_no_study_is_refused():
    with pytest.raises(InputError, match="by name, not a list"):
        compare([study(2.5), study(2.6)])
    with pytest.raises(InputError, match="'b' is a str, not a fitted study"):
        compare({"a": study(2.5), "b": "b.nc"})


def test_a_study_without_pointwise_densities_is_refused_with_the_reason():
    bare = study(
        2.5, findings=[{"code": "no-pointwise", "severity": "warning", "message": "it would take 38 GB"}]
    )
    del bare["log_likelihood"]
    with pytest.raises(InputError, match=r"'bare' has no pointwise log likelihood.*38 GB"):
        compare({"a": study(2.5), "bare": bare})


def test_nan_densities_are_refused():
    densities = normal_densities(VALUE, 2.5, 0.3)
    densities[0, 3, 5] = np.nan
    with pytest.raises(InputError, match="NaN"):
        compare({"a": study(2.5), "broken": made_study(densities, VALUE)})


def test_a_clear_difference_is_given_without_a_word():
    found = compare({"a": study(2.5), "b": study(3.5, seed=1)})  # warnings are errors here
    assert "not-settled" not in codes(found)
    assert {"weights", "inside-the-range"} <= set(codes(found))
    assert float(found["weight"].sel(model="a")) == pytest.approx(1.0, abs=1e-3)


def test_a_small_difference_is_called_unsettled():
    with pytest.warns(BayescaleWarning, match="do not settle it"):
        found = compare({"a": study(2.5), "b": study(2.51, seed=1)})
    assert "not-settled" in codes(found)


def test_a_difference_within_two_errors_is_called_unsettled():
    """Some twenty nats apart, but owed to a handful of runs."""
    densities = normal_densities(VALUE, 2.5, 0.3)
    other = densities.copy()
    other[..., :2] -= 10.0
    with pytest.warns(BayescaleWarning, match="do not settle it"):
        found = compare({"a": made_study(densities, VALUE), "b": made_study(other, VALUE)})
    assert float(found["elpd_diff"][1]) < -15


def test_runs_that_move_the_fit_by_themselves_are_named():
    densities = normal_densities(VALUE, 2.5, 0.3)
    densities[..., 7] -= np.random.default_rng(0).exponential(2.0, size=densities.shape[:2])
    with pytest.warns(BayescaleWarning, match=r"1 of 150 runs cannot be trusted.*r007 \(\d\.\d\d\)"):
        found = compare({"pulled": made_study(densities, VALUE), "sound": study(2.5)})
    bad = found.sel(model="pulled")
    assert int(bad["khat_bad"]) == 1
    assert float(bad["khat_max"]) > 0.7
    assert int(found.sel(model="sound")["khat_bad"]) == 0


def test_draws_that_did_not_converge_are_said():
    broken = study(2.5, findings=[{"code": "rhat", "severity": "error", "message": "R-hat 1.4"}])
    with pytest.warns(BayescaleWarning, match="'broken' are partial or have not converged"):
        compare({"broken": broken, "b": study(3.5, seed=1)})


def test_a_hundred_rows_and_more_give_no_note_of_few():
    few = VALUE[:50]
    found = quietly(
        {k: made_study(normal_densities(few, m, 0.3), few) for k, m in {"a": 2.5, "b": 3.5}.items()}
    )
    assert "few-rows" in codes(found)
    assert "few-rows" not in codes(quietly({"a": study(2.5), "b": study(3.5)}))


def test_the_frame_has_a_row_for_each_model_and_no_runs():
    frame = as_frame(quietly({"a": study(2.5), "b": study(3.5)}))
    assert list(frame.index) == ["a", "b"]
    assert list(frame.columns) == [
        "elpd",
        "se",
        "elpd_diff",
        "diff_se",
        "weight",
        "p",
        "khat_max",
        "khat_bad",
    ]


def test_a_comparison_can_be_written_to_netcdf(tmp_path):
    import xarray as xr

    found = quietly({"a": study(2.5), "b": study(3.5)})
    found.to_netcdf(tmp_path / "c.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "c.nc", engine="h5netcdf") as again:
        assert json.loads(again.attrs["findings"]) == json.loads(found.attrs["findings"])
        np.testing.assert_array_equal(again["elpd"], found["elpd"])
