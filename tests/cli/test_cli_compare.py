import json
import warnings

import numpy as np
import pytest

import bayescale as bs
from bayescale.errors import BayescaleWarning


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two laws fitted to the same runs of two families, saved."""
    rng = np.random.default_rng(0)
    flops = np.repeat(np.geomspace(1e18, 1e21, 6), 5)
    value = (1.2 + 2.0 * (flops / 1e18) ** -0.15) * np.exp(rng.normal(0, 0.004, flops.size))
    runs = {"flops": flops, "value": value, "family": np.tile(["a", "b"], 15)}
    same = {"noise": "normal", "discrepancy": None, "engine": "laplace", "random_seed": 0, "draws": 300}
    folder = tmp_path_factory.mktemp("compared")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        for name, floor in {"floor": 0.1, "none": -8.0}.items():
            priors = {"E": bs.Prior("LogNormal", mu=floor, sigma=0.3)}
            post = bs.fit(runs, "power_compute", priors=priors, progressbar=False, **same)
            bs.save(post, folder / f"{name}.nc")
    return folder


def test_evidence_is_told_with_what_each_prior_does_to_it(run, saved):
    told = run("evidence", saved / "floor.nc", "--json").json
    found = bs.evidence(bs.open(saved / "floor.nc"))
    assert told["log_evidence"] == float(found["log_evidence"])
    assert told["error"] == float(found["error"])
    assert set(told["by_prior"]) == {"E", "K_ref", "gamma", "sigma"}
    assert [f["code"] for f in told["findings"]] == [f["code"] for f in json.loads(found.attrs["findings"])]
    shown = run("evidence", saved / "floor.nc").out
    assert f"log evidence {float(found['log_evidence']):.2f} nats" in shown
    assert "change if its scale were doubled" in shown


@pytest.mark.parametrize(
    ("words", "column", "said"),
    [
        (["--criterion", "evidence"], "overlap", "averaged over their priors"),
        (["--criterion", "future", "--held", "1"], "bias_z", "runs beyond flops <= 2.51e+20"),
        (["--by", "family"], "mc_error", "log density of each family given all others"),
        (["--refit"], "khat_bad", "leave-one-out"),
    ],
    ids=["evidence", "future", "by", "refit"],
)
def test_compare_ranks_by_any_criterion(run, saved, words, column, said):
    told = run("compare", saved / "none.nc", saved / "floor.nc", *words, "--json")
    assert told.status == 0
    assert [row["model"] for row in told.json] == ["floor", "none"]
    assert {"elpd", "se", "elpd_diff", "diff_se", "weight", column} <= set(told.json[0])
    assert told.json[1]["elpd_diff"] < 0
    assert said in run("compare", saved / "none.nc", saved / "floor.nc", *words).out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--criterion", "evidence", "--by", "family"], "leave one of the two away"),
        (["--by", "colour"], "'colour' is no column of the runs"),
        (["--criterion", "future", "--held", "0"], "held=0"),
        (["--held", "1"], "goes with criterion='future'"),
    ],
)
def test_options_that_do_not_fit_end_in_one_message(run, saved, words, told):
    found = run("compare", saved / "none.nc", saved / "floor.nc", *words)
    assert found.status == 1
    assert told in found.err
    assert "Traceback" not in found.err


def test_evidence_of_what_is_no_study_ends_in_one_message(run, studies):
    found = run("evidence", studies / "flat.nc")
    assert found.status == 1
    assert "lacks" in found.err
