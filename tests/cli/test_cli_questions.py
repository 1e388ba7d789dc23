import numpy as np
import pytest
import xarray as xr

import bayescale as bs
from bayescale.cli import machine


def test_intervals_come_as_an_object_by_quantity(run, studies):
    told = run("intervals", studies / "flat.nc", "--prob", "0.5", "--json")
    expected = bs.intervals(bs.open(studies / "flat.nc"), prob=0.5)
    assert told.status == 0
    assert set(told.json) == set(map(str, expected.data_vars))
    assert set(told.json["alpha"]) == {"median", "lower", "upper"}
    for bound in ("median", "lower", "upper"):
        assert told.json["alpha"][bound] == float(expected["alpha"].sel(bound=bound))


def test_intervals_of_a_pooled_parameter_are_keyed_by_group(run, studies):
    told = run("intervals", studies / "pooled.nc", "--json").json
    expected = bs.intervals(bs.open(studies / "pooled.nc"))
    assert set(told["alpha"]) == {"llama", "pythia", "olmo"}
    assert told["alpha"]["olmo"]["upper"] == float(expected["alpha"].sel(family="olmo", bound="upper"))
    assert set(told["alpha_sd_family"]) == {"median", "lower", "upper"}


def test_a_quantity_with_two_dims_is_nested_and_what_is_not_finite_is_null(capsys):
    values = np.arange(12.0).reshape(3, 2, 2)
    values[2, 1, 1], values[1, 0, 0] = np.nan, -np.inf
    found = xr.Dataset(
        {"E": (("bound", "family", "eval_name"), values)},
        {"bound": ["median", "lower", "upper"], "family": ["a", "b"], "eval_name": ["c4", "pile"]},
    )
    told = machine.plain(machine.by_quantity(found))
    assert told["E"]["b"]["pile"] == {"median": 3.0, "lower": 7.0, "upper": None}
    assert told["E"]["a"]["c4"]["lower"] is None


def test_a_table_of_intervals_names_quantities_groups_and_mass(run, studies):
    told = run("intervals", studies / "pooled.nc", "--prob", "0.8")
    assert told.status == 0
    assert told.err == ""
    for word in ("quantity", "80% interval", "alpha_sd_family", "pythia"):
        assert word in told.out


def test_predictions_come_one_object_a_row_with_the_rows_own_columns(run, studies, tables):
    told = run("predict", studies / "flat.nc", tables / "scales.csv", "--prob", "0.5", "--json")
    rows = told.json
    scales = [{"n_params": 7e9, "n_tokens": 2e11}, {"n_params": 2e9, "n_tokens": 4e10}]
    expected = bs.predict(bs.open(studies / "flat.nc"), scales, prob=0.5)
    assert [row["name"] for row in rows] == ["seven", "two"]
    assert [row["n_params"] for row in rows] == [7e9, 2e9]
    for name in ("median", "mean", "lower", "upper", "decades_beyond"):
        assert [row[name] for row in rows] == pytest.approx(expected[name].values.tolist(), rel=1e-12)


def test_the_curve_is_narrower_than_a_run(run, studies, tables):
    words = ("predict", studies / "flat.nc", tables / "scales.csv", "--json")
    curve, one = run(*words, "--kind", "curve").json, run(*words, "--kind", "run").json
    for narrow, wide in zip(curve, one, strict=True):
        assert narrow["upper"] - narrow["lower"] < wide["upper"] - wide["lower"]


def test_the_seed_of_a_prediction_can_be_chosen(run, studies, tables):
    words = ("predict", studies / "flat.nc", tables / "scales.csv", "--json", "--seed")
    assert run(*words, 1).json == run(*words, 1).json
    assert run(*words, 1).json != run(*words, 2).json


def test_a_far_scale_is_warned_of_on_standard_error_alone(run, studies, tmp_path):
    import json

    post = bs.open(studies / "flat.nc")
    record = json.loads(post.attrs["bayescale"])
    post.attrs["bayescale"] = json.dumps(record | {"input_range": {"n_params": [1e8, 1e9]}})
    bs.save(post, tmp_path / "known.nc")
    (tmp_path / "far.csv").write_text("n_params,n_tokens\n1e12,1e12\n")
    told = run("predict", tmp_path / "known.nc", tmp_path / "far.csv", "--json")
    assert told.status == 0
    assert told.json[0]["decades_beyond"] == pytest.approx(3)
    assert told.err.startswith("warning: ")
    assert "tenfold" in told.err
    assert ".py" not in told.err
    assert told.err.count("warning") == 1


def test_an_allocation_comes_one_object_a_budget(run, studies):
    told = run("allocate", studies / "flat.nc", "--flops", "1e21", "1e22", "--flops", "1e23", "--json")
    rows = told.json
    expected = bs.allocate(bs.open(studies / "flat.nc"), [1e21, 1e22, 1e23])
    assert [row["flops"] for row in rows] == [1e21, 1e22, 1e23]
    first = rows[0]
    keys = "flops n_params n_tokens tokens_per_param loss expected_best near_best no_optimum decades_beyond"
    assert set(first) == {*keys.split(), "humps"}
    assert first["n_params"]["median"] == float(expected["n_params"].sel(flops=1e21, bound="median"))
    assert first["near_best"] == expected["near_best"].sel(flops=1e21).values.tolist()
    assert first["near_best"][0] < first["expected_best"] < first["near_best"][1]
    assert 6 * first["n_params"]["median"] * first["n_tokens"]["median"] == pytest.approx(1e21, rel=1e-3)


def test_an_allocation_can_be_asked_for_a_group_and_a_share(run, studies):
    words = ("allocate", studies / "pooled.nc", "--flops", "1e22", "--json")
    llama = run(*words, "--group", "family=llama").json[0]
    olmo = run(*words, "--group", "family=olmo").json[0]
    near = run(*words, "--group", "family=olmo", "--within", "0.001").json[0]
    assert llama["n_params"]["median"] != olmo["n_params"]["median"]
    assert near["near_best"][0] > olmo["near_best"][0]
    table = run("allocate", studies / "pooled.nc", "--flops", "1e22", "--group", "family=olmo")
    assert "group family=olmo" in table.out


def test_show_tells_the_record_the_verdict_and_the_intervals(run, studies):
    told = run("show", studies / "pooled.nc")
    assert told.status == 0
    for word in ("law", "chinchilla", "alpha varies over", "llama, pythia, olmo", "LogNormal", "Converged"):
        assert word in told.out
    known = run("summary", studies / "pooled.nc", "--json").json
    assert known["law"] == "chinchilla"
    assert known["pool"] == {"alpha": ["family"]}
    assert known["convergence"]["ok"] is True
    assert set(known["intervals"]["alpha"]) == {"llama", "pythia", "olmo"}


def test_identify_gives_a_row_for_each_number(run, studies):
    found = bs.identify(bs.open(studies / "flat.nc"))
    told = run("identify", studies / "flat.nc", "--json").json
    assert told["headline"] == found.headline
    assert [row["quantity"] for row in told["table"]] == list(found.table.index)
    assert told["table"][0]["contraction"] == found.table["contraction"].iloc[0]
    assert found.headline in run("identify", studies / "flat.nc").out


def test_compare_ranks_studies_by_the_names_of_their_files(run, studies, tmp_path):
    better = bs.open(studies / "flat.nc")
    worse = better.copy(deep=True)
    worse["log_likelihood"] = worse["log_likelihood"].to_dataset() - 0.5
    bs.save(better, tmp_path / "better.nc")
    bs.save(worse, tmp_path / "worse.nc")
    told = run("compare", tmp_path / "worse.nc", tmp_path / "better.nc", "--json")
    assert [row["model"] for row in told.json] == ["better", "worse"]
    assert told.json[1]["elpd_diff"] == pytest.approx(-0.5 * better["observed_data"].sizes["run"])
    assert told.json[0]["weight"] > told.json[1]["weight"]
    assert "better" in run("compare", tmp_path / "worse.nc", tmp_path / "better.nc").out


def test_labels_cannot_steer_the_terminal(run, pooled_over, tmp_path):
    bs.save(pooled_over("[red]a[/red]", "\x1b[31mb", "c"), tmp_path / "odd.nc")
    told = run("intervals", tmp_path / "odd.nc")
    assert "\x1b" not in told.out
    assert "\\x1b[31mb" in told.out
    assert "[red]a[/red]" in told.out
