import json

import numpy as np
import pytest

import bayescale as bs

CHINCHILLA = ("chinchilla-figure4", "--exclude-flag", "authors_outlier", "--seed", "0", "--engine", "laplace")


def test_a_fit_is_saved_and_told_as_json(run, tmp_path):
    path = tmp_path / "study.nc"
    told = run("fit", *CHINCHILLA, "--prior", "alpha=0.1..0.6", "-o", path, "--json")
    assert told.status == 0
    known = told.json
    assert known["saved"] == str(path)
    assert known["n_runs"] == 240
    assert known["engine"]["name"] == "laplace"
    assert known["random_seed"] == 0
    post = bs.open(path)
    assert known["intervals"]["beta"]["median"] == float(bs.intervals(post)["beta"].sel(bound="median"))
    assert known["intervals"]["beta"]["lower"] < 0.366 < known["intervals"]["beta"]["upper"]
    prior = json.loads(post.attrs["bayescale"])["priors"]["alpha"]
    assert np.exp(prior["mu"] + np.array([-1, 1]) * 1.6449 * prior["sigma"]) == pytest.approx(
        [0.1, 0.6], rel=1e-3
    )


def test_options_reach_the_fit(run, tables, tmp_path, monkeypatch):
    seen = {}

    def stand_in(runs, law, **options):
        seen.update(options, rows=len(runs), law=law)
        raise bs.InputError("stopped here")

    monkeypatch.setattr("bayescale.fitting.fit", stand_in)
    words = (
        "--pool alpha=family --pool E=family,run_id --pool alpha=study --noise normal --draws 1e2 --chains 2"
    )
    more = "--tune 50 --seed 7 --target-accept 0.95 --engine numpyro --law kaplan --prior alpha=-3..-1e0"
    told = run("fit", tables / "good.csv", *words.split(), *more.split(), "--where", "n_params > 1e9")
    assert told.status == 1
    assert told.err == "error: stopped here\n"
    assert seen["pool"] == {"alpha": ["family", "study"], "E": ["family", "run_id"]}
    assert seen["noise"] == "normal"
    assert (seen["draws"], seen["chains"], seen["tune"], seen["random_seed"]) == (100, 2, 50, 7)
    assert seen["target_accept"] == 0.95
    assert (seen["engine"], seen["law"]) == ("numpyro", "kaplan")
    assert seen["priors"] == {"alpha": bs.between(-3, -1)}
    assert 0 < seen["rows"] < 40
    of_scatter = "--pool offset=run_id --pool sigma=study --noise contaminated"
    run("fit", tables / "good.csv", *of_scatter.split())
    assert seen["pool"] == {"offset": ["run_id"], "sigma": ["study"]}
    assert seen["noise"] == "contaminated"
    run("fit", tables / "good.csv", "--pool", "family")
    assert seen["pool"] == "family"
    assert seen["priors"] is None


def test_a_backtest_is_told_as_json_and_as_a_table(run, tables):
    words = (
        "backtest",
        tables / "good.csv",
        "--train",
        "flops <= 1e20",
        "--seed",
        "3",
        "--engine",
        "laplace",
    )
    told = run(*words, "--json")
    assert told.status == 0
    known = told.json
    assert known["n_train"] + known["n_test"] == 40
    assert len(known["rows"]) == known["n_test"]
    row = known["rows"][0]
    assert {"run_id", "observed", "median", "lower", "upper", "covered", "crps", "n_params"} <= set(row)
    inside = [r["lower"] <= r["observed"] <= r["upper"] for r in known["rows"]]
    assert known["coverage"] == pytest.approx(np.mean(inside))
    errors = [r["observed"] - r["median"] for r in known["rows"]]
    assert known["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    for name in ("rmse", "rmsle", "bias", "width", "crps", "elpd"):
        assert isinstance(known[name], float)
    table = run(*words).out
    assert "coverage" in table
    assert "foretold worst" in table


def test_a_backtest_of_many_splits_is_told_by_split_and_distance(run, tables, tmp_path):
    words = ("backtest", tables / "good.csv", "--split", "rolling", "--origins", "2", "--noise", "normal")
    words += ("--seed", "3", "--engine", "laplace", "--workers", "1", "--resume", tmp_path / "done")
    words += ("--discrepancy", "none")
    told = run(*words, "--json")
    assert told.status == 0, told.err
    known = told.json
    assert {s["status"] for s in known["splits"]} <= {"ok", "warned"}
    assert known["n_test"] == len(known["rows"]) == sum(s["rows"] for s in known["splits"])
    assert known["n_test"] == sum(d["rows"] for d in known["distances"])
    assert [level["level"] for level in known["levels"]] == [0.5, 0.8, 0.9, 0.95]
    assert 1e17 < known["splits"][0]["origin"] < known["splits"][1]["origin"] < 1e22
    assert isinstance(known["splits"][0]["findings"], list)
    empty = [d for d in known["distances"] if d["rows"] == 0]
    assert all(d["crps"] is None for d in empty)
    table = run(*words).out
    assert "by distance" in table
    assert len(list((tmp_path / "done").glob("*.json"))) == 2


def test_ways_to_split_get_their_options(run, tables, monkeypatch):
    seen = {}

    def stand_in(runs, law, **options):
        seen.update(options)
        raise bs.InputError("stopped here")

    monkeypatch.setattr("bayescale.comparison.backtest.backtest", stand_in)
    start = ("backtest", tables / "good.csv")
    run(*start, "--split", "rolling", "--over", "n_params", "--least", "4")
    assert seen["split"] == bs.Rolling(column="n_params", least=4)
    assert "pool" not in seen
    run(*start, "--split", "leave-family-out", "--over", "study", "--pool", "E=study")
    assert seen["split"] == bs.LeaveOut("study")
    assert seen["pool"] == {"E": ["study"]}
    run(*start, "--split", "few-runs", "--own", "0", "2", "--workers", "3")
    assert (seen["split"], seen["workers"]) == (bs.FewRuns(own=(0, 2)), 3)
    run(*start)
    assert (seen["split"], seen["train"]) == (None, None)
    assert "--own belongs to --split few-runs" in run(*start, "--split", "rolling", "--own", "1").err
    assert "--over belongs to --split rolling or" in run(*start, "--over", "study").err
    assert run(*start, "--split", "jackknife").status == 2


def test_the_demo_gets_its_folder_and_seed(run, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("bayescale.cli.demo.run_demo", lambda folder, seed: seen.append((folder, seed)) or 0)
    assert run("demo", "--folder", tmp_path, "--seed", "4").status == 0
    assert run("demo").status == 0
    assert seen == [(str(tmp_path), 4), ("bayescale-demo", 0)]
