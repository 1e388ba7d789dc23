import json
from dataclasses import replace

import numpy as np
import pytest
from made_budgets import EXACT, made_budgets

import bayescale as bs
from bayescale.comparison.again import options_of, table_of
from bayescale.comparison.ahead import ahead, largest_out
from bayescale.model.density import Density
from bayescale.model.misfit import with_drift
from bayescale.model.posterior import assemble
from bayescale.model.spec import specify
from bayescale.queries.study import study_of


@pytest.fixture(scope="module")
def runs():
    return made_budgets()


@pytest.fixture(scope="module")
def study(runs):
    return bs.fit(runs, priors={"alpha": bs.between(0.1, 0.8)}, **EXACT)


@pytest.fixture(scope="module")
def told(study):
    return ahead(study)


def test_the_two_largest_budgets_are_held_back(runs, told):
    flops = runs.frame["flops"].to_numpy()
    above = flops > 10**19.6
    assert list(told["row"].values) == list(np.flatnonzero(above))
    assert told["decades"].values == pytest.approx(np.log10(flops[above] / 10**19.5))
    assert (int(told["n_train"]), int(told["n_test"])) == (24, 12)
    assert told.attrs["origin"] == pytest.approx(10**19.5)


@pytest.mark.filterwarnings("ignore::bayescale.BayescaleWarning")
def test_it_is_the_backtest_of_the_same_rows_with_the_same_options(runs, told):
    again = bs.backtest(
        runs, train="flops <= 3.5e19", priors={"alpha": bs.between(0.1, 0.8)}, prob=0.9, **EXACT
    )
    for name in ("median", "lower", "upper", "log_density", "pit"):
        assert told[name].values == pytest.approx(again[name].values)


def test_errors_are_logs_and_z_counts_them_in_what_was_foretold(told):
    assert told["error"].values == pytest.approx(np.log(told["observed"] / told["median"]).values)
    wide = np.log(told["upper"] / told["lower"]).values / (2 * 1.645)
    assert told["z"].values == pytest.approx(told["error"].values / wide, rel=0.25, abs=0.1)


def test_the_mean_of_rows_that_share_a_law_is_no_surer_than_the_law(told):
    alone = np.log(told["upper"] / told["lower"]).values / (2 * 1.645)
    of_mean = float(told["bias"]) / float(told["bias_z"])
    assert abs(of_mean) > 1.3 * alone.mean() / np.sqrt(told.sizes["run"])


def test_a_study_tells_the_options_it_was_made_with(runs, study):
    told = options_of(study)
    assert told["priors"] == {"alpha": study_of(study).structure.priors["alpha"]}
    assert told["noise"] == bs.Normal()
    assert told["discrepancy"] is None
    assert (told["engine"], told["random_seed"], told["draws"]) == ("laplace", 0, 500)
    assert table_of(study).frame["run_id"].tolist() == runs.frame["run_id"].tolist()


def test_pooling_and_drift_are_among_the_options():
    runs = made_budgets(family=[("a", "b", "c")[i % 3] for i in range(36)])
    spec = with_drift(specify(runs, "power_compute", pool={"E": "family"}), "drift")
    rng = np.random.default_rng(0)
    blocks = {
        b.name: b.prior.sample(rng, 8).reshape(2, 4) if b.prior else rng.normal(size=(2, 4, b.size))
        for b in spec.structure.blocks
    }
    parts = {"statistics": {}, "engine": {"name": "numpyro", "asked": "auto"}, "settings": {"random_seed": 7}}
    told = options_of(assemble(Density(spec), blocks, runs=runs, **parts))
    assert told["pool"] == {"E": ["family"]}
    assert told["priors"] is None
    assert told["discrepancy"] == bs.Drift()
    assert (told["engine"], told["random_seed"]) == ("auto", 7)


def test_runs_that_hang_together_are_fitted_again_so():
    rng = np.random.default_rng(1)
    runs = made_budgets(seed=12)
    seeds = [f"s{i % 6}" for i in range(36)]
    value = runs.frame["value"] * np.exp(0.02 * rng.normal(size=6))[[i % 6 for i in range(36)]]
    runs = replace(runs, frame=runs.frame.assign(recipe=seeds, value=value))
    post = bs.fit(runs, pool={"offset": "recipe"}, **EXACT | {"engine": "auto"})
    assert options_of(post)["pool"] == {"offset": ["recipe"]}
    assert np.isfinite(ahead(post, engine="auto")["log_density"]).all()


def test_where_compute_comes_in_no_budgets_a_fifth_is_held_back(runs):
    flops = np.geomspace(1e18, 3e20, len(runs))
    split, findings = largest_out(replace(runs, frame=runs.frame.assign(flops=flops)))
    assert split.test.sum() == round(0.2 * len(runs))
    assert flops[split.test].min() > flops[split.train].max()
    assert [f.code for f in findings] == ["no-budgets"]


def test_a_share_of_the_rows_can_be_held_back_too(runs):
    split, findings = largest_out(runs, 0.4)
    assert findings == []
    assert split.test.sum() == 18  # no budget is torn apart


def test_fewer_budgets_are_held_back_where_too_few_rows_would_be_left(runs):
    few = runs.where("flops < 3e19")
    assert largest_out(few, 2)[0].test.sum() == 6


@pytest.mark.parametrize("held", [0, -1, True, 1.5, "two", float("nan")])
def test_an_impossible_number_of_budgets_is_refused(runs, held):
    with pytest.raises(bs.InputError, match="number of budgets"):
        largest_out(runs, held)


def test_too_few_runs_are_refused_with_their_number(runs):
    with pytest.raises(bs.InputError, match="fewer than 8 of 6"):
        largest_out(runs.where("flops < 2e18"))


def test_a_study_without_its_run_table_is_refused(study):
    bare = study.copy()
    del bare["runs"]
    with pytest.raises(bs.InputError, match="no run table"):
        ahead(bare)


def test_what_the_refit_found_is_told(runs):
    flops = np.geomspace(1e18, 3e20, len(runs))
    scattered = replace(runs, frame=runs.frame.assign(flops=flops))
    post = bs.fit(scattered, "power_compute", **EXACT)
    assert "no-budgets" in {f["code"] for f in json.loads(ahead(post).attrs["findings"])}


@pytest.mark.statistical
def test_a_law_that_holds_misses_by_what_it_foretells():
    """Sixty studies of a law that holds: z of the mean error is standard normal, within 4 errors."""
    z = [float(ahead(bs.fit(made_budgets(seed=s), **EXACT))["bias_z"]) for s in range(60)]
    assert abs(np.mean(z)) < 4 / np.sqrt(60)
    assert 0.55 < np.std(z) < 1.4
