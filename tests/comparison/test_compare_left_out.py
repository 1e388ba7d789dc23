import json
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from gaussian_studies import fitted, given_others, log_normal, moments, table
from made_studies import made_study, normal_densities

import bayescale as bs
from bayescale.comparison.left_out import left_out
from bayescale.comparison.loo import psis_loo
from bayescale.comparison.rebuilt import rebuilt
from bayescale.comparison.table import as_frame
from bayescale.errors import BayescaleWarning, InputError
from bayescale.testing import synthetic_posterior


def quietly(studies, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        return bs.compare(studies, *args, progressbar=False, **options)


def findings(table):
    return {finding["code"]: finding["message"] for finding in json.loads(table.attrs["findings"])}


@pytest.fixture(scope="module")
def runs():
    return table()


@pytest.fixture(scope="module")
def studies(runs):
    return {"alone": fitted(runs), "pooled": fitted(runs, pool={"a": "family"})}


def test_an_average_over_laws_is_sent_to_its_members(studies):
    mixed = studies["alone"].copy()
    mixed.attrs["bayescale"] = json.dumps({"kind": "average"})
    with pytest.raises(InputError, match="'mixed' is an average over laws"):
        bs.compare({"alone": studies["alone"], "mixed": mixed})


@pytest.fixture(scope="module")
def by_family(studies):
    return quietly(studies, by="family")


def test_an_executor_gives_the_same_comparison(studies, by_family):
    with ThreadPoolExecutor(1) as pool:
        assert quietly(studies, by="family", executor=pool).identical(by_family)


def test_impossible_places_for_refits_are_refused(studies):
    for wrong, said in (({"workers": 0}, "workers=0"), ({"executor": ThreadPoolExecutor}, "no executor")):
        with pytest.raises(InputError, match=said):
            quietly(studies, by="family", **wrong)
        with pytest.raises(InputError, match=said):
            bs.average(studies, progressbar=False, **wrong)


def groups(study):
    family = study["runs"]["family"].values
    return {str(name): family == name for name in np.unique(family)}


@pytest.mark.parametrize("name", ["alone", "pooled"])
def test_a_family_left_out_has_its_exact_joint_density(studies, by_family, name):
    """Effects of the family integrated over the population, with everything else: normal by hand."""
    found = by_family.sel(model=name)
    for family, rows in groups(studies[name]).items():
        truth = given_others(studies[name], rows, name == "pooled")
        error = float(found["group_error"].sel(group=family))
        assert float(found["group_log_density"].sel(group=family)) == pytest.approx(
            truth, abs=0.02 + 4 * error
        )
    np.testing.assert_allclose(found["elpd"], found["group_log_density"].sum())
    assert float(found["mc_error"]) < 0.1


def test_weights_over_a_whole_family_are_far_off_where_refits_are_not():
    """Families far apart and known well: importance weights of the joint fit cannot leave one out."""
    runs = table(groups=4, rows=12, seed=3)
    study = fitted(runs, pool={"a": "family"})
    own = groups(study)
    densities = study["log_likelihood"]["value"].values.reshape(-1, 48)
    joint = np.stack([densities[:, rows].sum(axis=1) for rows in own.values()], axis=1)
    weighted = psis_loo(joint)
    truth = np.array([given_others(study, rows, pooled=True) for rows in own.values()])
    exact = left_out({"it": rebuilt(study)}, {"it": list(own.values())})["it"]
    np.testing.assert_allclose(exact.log_density, truth, atol=0.03 + 4 * exact.error.max())
    assert weighted.elpd - truth.sum() > 3.0  # flattered
    assert abs(exact.log_density.sum() - truth.sum()) < 0.15


def test_pooling_is_seen_to_foretell_new_families_better(by_family):
    frame = as_frame(by_family)
    assert frame.index[0] == "pooled"
    assert frame.loc["alone", "elpd_diff"] < -4
    assert {"elpd", "se", "elpd_diff", "diff_se", "weight", "mc_error"} <= set(frame.columns)
    assert by_family.attrs["by"] == "family"
    assert list(by_family["group_rows"].values) == [6] * 5
    assert "few-groups" in findings(by_family)


def test_studies_in_another_order_of_rows_have_the_same_families(runs, studies, by_family):
    turned = np.random.default_rng(0).permutation(len(runs))
    shuffled = bs.read_runs(runs.frame.iloc[turned].reset_index(drop=True))
    found = quietly({"pooled": studies["pooled"], "alone": fitted(shuffled)}, by="family")
    np.testing.assert_allclose(
        found["group_log_density"].sel(model="alone"),
        by_family["group_log_density"].sel(model="alone", group=found["group"]),
        atol=0.03,
    )


def test_a_row_that_moves_the_fit_is_left_out_by_a_refit(runs):
    """One run far off and normal scatter: its k-hat is bad, and the exact density is known by hand."""
    frame = runs.frame.copy()
    frame.loc[0, "flops"] = 1e34
    frame.loc[0, "value"] = frame.loc[0, "value"] - 6.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        far = bs.read_runs(frame)
    study = fitted(far)
    both = {"far": study, "pooled": fitted(far, pool={"a": "family"})}
    with pytest.warns(BayescaleWarning, match=r"compare\(\.\.\., refit=True\)"):
        weighted = bs.compare(both)
    again = quietly(both, refit=True)
    one = again.sel(model="far")
    assert bool(one["refitted"][0])
    assert int(one["khat_bad"]) == 0
    assert "refitted-rows" in findings(again)
    assert "r0" in findings(again)["refitted-rows"]
    truth = given_others(study, np.arange(30) == 0)
    exact = float(one["loo_pointwise"][0])
    assert exact == pytest.approx(truth, rel=0.03)
    assert abs(exact - truth) < abs(float(weighted.sel(model="far")["loo_pointwise"][0]) - truth)
    assert float(one["elpd"]) == pytest.approx(float(one["loo_pointwise"].sum()))


def test_without_bad_rows_refits_change_nothing(studies):
    plain, again = quietly(studies), quietly(studies, refit=True)
    np.testing.assert_array_equal(plain["elpd"], again["elpd"])
    assert not again["refitted"].values.any()


def test_evidences_are_ranked_with_the_odds_as_weights(studies):
    found = quietly(studies, "evidence")
    truth = {
        name: log_normal(s["observed_data"]["value"].values, *moments(s, name == "pooled"))
        for name, s in studies.items()
    }
    for name, exact in truth.items():
        assert float(found["elpd"].sel(model=name)) == pytest.approx(exact, abs=0.03)
    odds = 1 / (1 + np.exp(truth["alone"] - truth["pooled"]))
    assert float(found["weight"].sel(model="pooled")) == pytest.approx(odds, abs=0.01)
    assert found.attrs["criterion"] == "evidence"
    assert np.isnan(float(found["by_prior"].sel(model="alone", parameter="a_sd_family")))
    assert "probability" in findings(found)["weights"]


def test_priors_that_could_turn_the_verdict_are_said(runs):
    """A lead that a wider prior of one of the two would take away."""
    narrow = fitted(runs, pool={"a": "family"})
    wide = fitted(runs, pool={"a": "family"}, scale=80.0)
    with pytest.warns(BayescaleWarning, match="the priors could decide it"):
        found = bs.compare({"narrow": narrow, "wide": wide}, "evidence")
    assert 4.0 < -float(found["elpd_diff"][1]) < 4.8


def test_the_largest_budgets_are_foretold_by_those_below():
    """A law with the wrong form ties among the runs and loses above them."""
    rng = np.random.default_rng(0)
    flops = np.repeat(np.geomspace(1e18, 1e21, 7), 5)
    value = (1.2 + 2.0 * (flops / 1e18) ** -0.15) * np.exp(rng.normal(0, 0.004, flops.size))
    runs = bs.read_runs({"flops": flops, "value": value})
    same = {"noise": "normal", "discrepancy": None, "engine": "laplace", "random_seed": 0, "draws": 300}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        floor = bs.fit(runs, "power_compute", progressbar=False, **same)
        none = bs.fit(
            runs,
            "power_compute",
            progressbar=False,
            priors={"E": bs.Prior("LogNormal", mu=-8.0, sigma=0.2)},
            **same,
        )
    with pytest.warns(
        BayescaleWarning, match="'no floor' misses the larger runs one way: 100% of them lie above"
    ):
        found = bs.compare({"no floor": none, "floor": floor}, "future", progressbar=False)
    assert list(found["model"].values) == ["floor", "no floor"]
    assert found.sizes["run"] == 10
    assert (found["z"].sel(model="no floor") > 0).all()
    assert float(found["elpd_diff"][1]) < -10
    np.testing.assert_allclose(found["ahead_pointwise"].sum("run"), found["elpd"])
    one = quietly({"no floor": none, "floor": floor}, "future", held=1)
    assert one.sizes["run"] == 5


def test_a_study_that_drifts_is_said_to_take_up_what_laws_lack():
    value = np.linspace(2.0, 3.0, 120)
    drifting = made_study(normal_densities(value, value, 0.1), value)
    drifting.attrs["bayescale"] = json.dumps({"metric": "loss_nats", "findings": [], "drift": {"axes": []}})
    plain = made_study(normal_densities(value, value + 0.3, 0.1, seed=1), value)
    found = bs.compare({"drifting": drifting, "plain": plain})
    assert "'plain' does not drift" in findings(found)["drift"]
    assert "discrepancy=None" in findings(found)["drift"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"criterion": "waic"}, r"criterion='waic' must be 'loo'"),
        ({"criterion": "evidence", "by": "family"}, "by='family' leaves groups out"),
        ({"criterion": "future", "refit": True}, "refit=True is for single rows"),
        ({"by": "family", "refit": True}, "refit=True is for single rows"),
        ({"refit": "auto"}, "refit='auto' must be True"),
        ({"by": ["family"]}, "must be the name of one column"),
        ({"by": "colour"}, "by='colour' is no column of the runs of 'alone'"),
        ({"by": "value"}, "by='value' is no column"),
        ({"by": "seed"}, "30 of 30 rows have an empty cell"),
        ({"by": "metric"}, "by='metric': all rows belong to 'loss_nats'"),
        ({"held": 3}, "held=3 goes with criterion='future'"),
        ({"criterion": "future", "held": 0}, "held=0 must be a number of budgets"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name(studies, options, told):
    with pytest.raises(InputError, match=told):
        bs.compare(studies, progressbar=False, **options)


def test_studies_without_their_rows_are_refused_for_what_needs_refits():
    made = {k: synthetic_posterior("chinchilla") for k in "ab"}
    for options in ({"criterion": "evidence"}, {"criterion": "future"}, {"by": "run_id"}):
        with pytest.raises(InputError, match=r"lacks|run table|no column"):
            bs.compare(made, progressbar=False, **options)
