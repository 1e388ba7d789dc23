import json
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayescale as bs
from bayescale.comparison import executors, kept
from bayescale.comparison.refits import Job, attempt
from bayescale.laws import Law, find
from bayescale.laws.kinds import KINDS
from bayescale.runs.table import RunTable
from bayescale.testing import synthetic_posterior

QUIET = {"random_seed": 1, "progressbar": False}


def table(families=("ash", "beech", "cedar"), budgets=(1e18, 1e19, 1e20, 1e21), per=3):
    rng = np.random.default_rng(0)
    rows = [
        (f, f"{f}-{i}-{k}", c, 10 ** (8 + k / 2), rng.uniform(2.4, 2.8))
        for f in families
        for i, c in enumerate(budgets)
        for k in range(per)
    ]
    frame = pd.DataFrame(rows, columns=["family", "run_id", "flops", "n_params", "value"])
    return RunTable(
        frame.assign(n_tokens=frame["flops"] / 6 / frame["n_params"], study="s", metric="loss_nats")
    )


@cache
def made(seed):
    return synthetic_posterior("chinchilla", chains=2, draws=100, random_seed=seed)


class StandIn:
    """In place of `fit`: a posterior from no sampler, by the seed and the number of rows."""

    def __init__(self):
        self.calls, self.fails, self.stops, self.findings = [], (), None, []

    def __call__(self, runs, law, **options):
        self.calls.append({"rows": len(runs), "law": law, **options})
        if self.stops is not None and len(self.calls) >= self.stops:
            raise KeyboardInterrupt("stopped")
        if len(runs) in self.fails:
            raise bs.InputError(f"{len(runs)} rows are no good")
        warnings.warn("a fit asks for care", bs.BayescaleWarning, stacklevel=2)
        seed = options["random_seed"] + len(runs)
        tree = made(seed).copy()
        record = json.loads(tree.attrs["bayescale"])
        tree.attrs["bayescale"] = json.dumps(record | {"findings": self.findings})
        return tree


@pytest.fixture
def fits(monkeypatch):
    stand_in = StandIn()
    monkeypatch.setattr("bayescale.comparison.refits.fit", stand_in)
    return stand_in


def roll(**more):
    return bs.backtest(table(), **{"split": bs.Rolling(least=9), "workers": 1, **QUIET, **more})


def same(one, other):
    return one.drop_vars("seconds").identical(other.drop_vars("seconds"))


def test_every_split_is_refitted_with_the_same_options_and_its_warnings_are_collected(fits):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found = roll(noise="normal")
    assert not heard
    assert [call["rows"] for call in fits.calls] == [9, 18, 27]
    assert {(call["noise"], call["random_seed"]) for call in fits.calls} == {("normal", 1)}
    assert found.sizes["split"] == 3
    assert found.sizes["run"] == 27 + 18 + 9
    assert found["status"].values.tolist() == ["ok"] * 3
    assert found["rows_by_split"].values.tolist() == found["test_rows"].values.tolist() == [27, 18, 9]
    assert found["split_origin"].values == pytest.approx([1e18, 1e19, 1e20])
    assert int(found["n_train"]) == 27
    assert int(found["n_test"]) == 54
    assert found["rows_by_distance"].values.tolist() == [0, 0, 27, 18, 9]
    for name in ("crps", "bias", "coverage", "log_score"):
        parts = found["rows_by_split"] * found[f"{name}_by_split"]
        assert float(parts.sum() / 54) == pytest.approx(float(found[name]))


def test_findings_of_refits_are_counted_and_kept_by_split(fits):
    fits.findings = [{"code": "narrow-input", "severity": "warning", "message": "too narrow"}]
    with pytest.warns(bs.BayescaleWarning, match=r"3 of 3 refits ask for care \(narrow-input in 3\)"):
        found = roll()
    assert found["status"].values.tolist() == ["warned"] * 3
    assert json.loads(str(found["split_findings"].values[0])) == fits.findings
    fits.findings = [{"code": "r-hat", "severity": "error", "message": "no convergence"}]
    with pytest.warns(bs.BayescaleWarning, match="3 of 3 refits have not converged"):
        assert roll()["status"].values.tolist() == ["unsound"] * 3


def test_a_refit_that_fails_is_named_and_the_others_are_scored(fits):
    fits.fails = (18,)
    with pytest.warns(
        bs.BayescaleWarning, match="1 of 3 refits failed.*flops <= 1e\\+19: 18 rows are no good"
    ):
        found = roll()
    assert found["status"].values.tolist() == ["ok", "failed", "ok"]
    assert found["failure"].values[1] == "18 rows are no good"
    assert found["rows_by_split"].values.tolist() == [27, 0, 9]
    assert np.isnan(found["crps_by_split"].values[1])
    assert np.isfinite(found["crps"])


def test_an_error_of_a_users_law_is_a_failure_too(fits, monkeypatch):
    def breaks(runs, law, **options):
        if len(runs) == 9:
            raise ZeroDivisionError("in my law")
        return fits(runs, law, **options)

    monkeypatch.setattr("bayescale.comparison.refits.fit", breaks)
    with pytest.warns(bs.BayescaleWarning, match="ZeroDivisionError: in my law"):
        assert roll()["status"].values.tolist() == ["failed", "ok", "ok"]


def test_if_all_refits_fail_so_does_the_backtest(fits):
    fits.fails = (9, 18, 27)
    with pytest.raises(bs.InputError, match="none of the 3 refits came to anything"):
        roll()


def test_finished_refits_are_taken_up_again(fits, tmp_path):
    first = roll(resume=tmp_path / "done")
    assert len(fits.calls) == 3
    again = roll(resume=str(tmp_path / "done"))
    assert len(fits.calls) == 3, "nothing was fitted anew"
    assert same(first, again)
    assert same(first, roll())
    assert len(list((tmp_path / "done").glob("*.json"))) == 3


@pytest.mark.parametrize(
    "other",
    [
        {"random_seed": 2},
        {"prob": 0.8},
        {"noise": "normal"},
        {"noise": bs.StudentT(nu=4)},
        {"priors": {"alpha": bs.between(0.1, 0.6)}},
        {"law": "chinchilla_shared"},
    ],
)
def test_what_changes_the_answer_is_refitted(fits, tmp_path, other):
    roll(resume=tmp_path)
    roll(resume=tmp_path, **other)
    assert len(fits.calls) == 6
    roll(resume=tmp_path, **other)
    assert len(fits.calls) == 6


def test_changed_rows_are_refitted_and_only_they(fits, tmp_path):
    roll(resume=tmp_path)
    changed = table().frame.copy()
    changed.loc[changed["flops"] == 1e20, "value"] += 0.01
    bs.backtest(RunTable(changed), split=bs.Rolling(least=9), workers=1, resume=tmp_path, **QUIET)
    assert len(fits.calls) == 6
    smaller = table().where("flops <= 1e20")
    bs.backtest(smaller, split=bs.Rolling(least=9), workers=1, resume=tmp_path, **QUIET)
    assert len(fits.calls) == 8, "other rows are held back"


def test_without_a_seed_a_resumed_backtest_takes_seed_0(fits, tmp_path):
    roll(resume=tmp_path, random_seed=None)
    roll(resume=tmp_path, random_seed=None)
    assert [call["random_seed"] for call in fits.calls] == [0, 0, 0]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("0.", "1.", 1),
        lambda text: "[]",
        lambda text: "",
        lambda text: "\x00\xff" * 50,
        lambda text: "[" * 100_000,
    ],
)
def test_a_damaged_refit_is_made_anew_with_a_warning(fits, tmp_path, damage):
    first = roll(resume=tmp_path)
    path = sorted(tmp_path.glob("*.json"))[0]
    path.write_text(damage(path.read_text()))
    with pytest.warns(bs.BayescaleWarning, match="1 kept refits are damaged"):
        again = roll(resume=tmp_path)
    assert len(fits.calls) == 4
    assert same(first, again)
    roll(resume=tmp_path)
    assert len(fits.calls) == 4


def test_another_refits_file_is_not_taken_for_it(fits, tmp_path):
    roll(resume=tmp_path)
    one, other, _ = sorted(tmp_path.glob("*.json"))
    one.write_text(other.read_text())
    with pytest.warns(bs.BayescaleWarning, match="another refit's file"):
        roll(resume=tmp_path)
    assert len(fits.calls) == 4


def test_an_interrupt_keeps_what_is_finished(fits, tmp_path):
    fits.stops = 3
    with pytest.warns(bs.BayescaleWarning, match="interrupted: 1 of 3 refits"):
        found = roll(resume=tmp_path)
    assert found["status"].values.tolist() == ["ok", "ok", "interrupted"]
    assert len(list(tmp_path.glob("*.json"))) == 2
    fits.stops = None
    assert same(roll(resume=tmp_path), roll())
    assert [call["rows"] for call in fits.calls] == [9, 18, 27, 27, 9, 18, 27]


def test_an_interrupt_before_anything_is_finished_is_an_interrupt(fits):
    fits.stops = 1
    with pytest.raises(KeyboardInterrupt):
        roll()


def test_a_partial_posterior_is_no_refit(fits, monkeypatch, tmp_path):
    """A sampler that is stopped returns the draws it has: they are not kept as if they were all."""

    def half(runs, law, **options):
        tree = fits(runs, law, **options)
        if len(runs) == 27:
            tree.attrs["bayescale"] = json.dumps(json.loads(tree.attrs["bayescale"]) | {"partial": True})
        return tree

    monkeypatch.setattr("bayescale.comparison.refits.fit", half)
    with pytest.warns(bs.BayescaleWarning, match="interrupted"):
        found = roll(resume=tmp_path)
    assert found["status"].values.tolist() == ["ok", "ok", "interrupted"]
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_threads_give_the_same_numbers(fits):
    with ThreadPoolExecutor(3) as pool:
        there = roll(workers=None, executor=pool)
        assert pool.submit(int, "1").result() == 1, "it is left running"
    assert same(there, roll())


def test_a_new_group_is_pooled_over_unless_told_otherwise(fits):
    bs.backtest(table(), split="leave-family-out", workers=1, **QUIET)
    assert {call["pool"] for call in fits.calls} == {"family"}
    bs.backtest(table(), split="leave-family-out", workers=1, pool={"E": "family"}, **QUIET)
    assert fits.calls[-1]["pool"] == {"E": "family"}
    with pytest.warns(bs.BayescaleWarning, match="pool=None: one law for every family"):
        bs.backtest(table(), split=bs.LeaveOut(), workers=1, pool=None, **QUIET)


def test_runs_alone_are_fitted_unpooled_and_stay_out_of_the_overall_scores(fits):
    found = bs.backtest(table(), split=bs.FewRuns(own=(0, 3)), workers=1, **QUIET)
    assert [call["pool"] for call in fits.calls] == ["family", "family", None] * 3
    assert found["case"].values.tolist() == ["0 runs with siblings", "3 runs with siblings", "3 runs alone"]
    assert found["rows_by_case"].values.tolist() == [27, 27, 27]
    assert int(found["n_test"]) == found["rows_by_distance"].sum() == 54
    assert found["case_own_runs"].values.tolist() == [0, 3, 3]
    both = bs.backtest_table(found)
    assert both.index.tolist() == found["case"].values.tolist()
    assert both["crps"].values == pytest.approx(found["crps_by_case"].values)
    by_family = bs.backtest_table(found, "family")
    assert by_family["rows"].tolist() == [18, 18, 18]
    crossed = bs.backtest_table(found, ["own_runs", "arm"])
    assert crossed.index.tolist() == [(0, "with siblings"), (3, "alone"), (3, "with siblings")]


def test_the_table_tells_what_the_dataset_does(fits):
    found = roll()
    by_distance = bs.backtest_table(found)
    assert by_distance.index.tolist() == ["0.5 to 1", "1 to 2", "over 2"]
    kept_bins = found["rows_by_distance"].values > 0
    for name in ("rmse", "rmsle", "bias", "coverage", "width", "crps", "log_score"):
        assert by_distance[name].values == pytest.approx(found[f"{name}_by_distance"].values[kept_bins])
    assert by_distance["coverage_95"].values == pytest.approx(
        found["coverage_at_by_distance"].sel(level=0.95).values[kept_bins]
    )
    by_origin = bs.backtest_table(found, by="origin")
    assert by_origin.index.tolist() == found["split_origin"].values.tolist()
    assert bs.backtest_table(found, by="split").index.tolist() == found["split"].values.tolist()
    with pytest.raises(bs.InputError, match="by='colour' is nothing"):
        bs.backtest_table(found, by="colour")
    with pytest.raises(bs.InputError, match="is no backtest"):
        bs.backtest_table(xr.Dataset({"a": 1}))


def test_splits_of_ones_own(fits):
    n = np.arange(36)
    mine = [bs.Split(f"fold {k}", n % 3 != k, n % 3 == k, meta={"fold": k}) for k in range(3)]
    found = bs.backtest(table(), split=mine, workers=1, **QUIET)
    assert [call["rows"] for call in fits.calls] == [24, 24, 24]
    assert found["decades"].values == pytest.approx(found["decades_beyond"].values)
    assert bs.backtest_table(found, "fold")["rows"].tolist() == [12, 12, 12]
    one = bs.backtest(table(), split=mine[0], workers=1, **QUIET)
    assert one["split"].values.tolist() == ["fold 0"]


def test_a_backtest_survives_a_file(fits, tmp_path):
    found = roll()
    found.to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "b.nc", engine="h5netcdf") as again:
        assert bs.backtest_table(again.load()).equals(bs.backtest_table(found))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"train": "flops <= 1e19"}, "split= makes many"),
        ({"workers": 0}, "workers=0"),
        ({"workers": True}, "workers=True"),
        ({"workers": 2.5}, "workers=2.5"),
        ({"executor": "dask", "workers": None}, "no executor"),
        ({"executor": ThreadPoolExecutor, "workers": None}, "one that has been made"),
        ({"executor": type("Client", (), {"get_executor": 1})(), "workers": None}, "client.get_executor"),
        ({"executor": type("Any", (), {"submit": 1})(), "workers": 2}, "leave workers= out"),
        ({"bins": (1, 0.5)}, "must be positive numbers that rise"),
        ({"bins": "far"}, "bins='far'"),
        ({"prob": 95}, "between 0 and 1"),
        ({"split": "jackknife"}, "there is no split 'jackknife'"),
        ({"resume": 3}, "resume=3 must be the path"),
        ({"law": "chinchila"}, "Did you mean 'chinchilla'"),
    ],
)
def test_impossible_options_are_refused_before_any_fit(fits, given, says):
    with pytest.raises(bs.InputError, match=says):
        roll(**given)
    assert not fits.calls


def test_a_folder_that_cannot_be_one_is_refused(fits, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(bs.InputError, match="cannot be used as a folder"):
        roll(resume=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def law_like(constant):
    scope = {"STEP": constant, "os": os}
    exec("def helper(x):\n return x + STEP\ndef f(d, *, E, b):\n return E + helper(d) ** -b", scope)
    return Law("made_here", scope["f"], ("n_tokens",), {"E": KINDS["Irreducible"], "b": KINDS["Exponent"]})


def test_a_law_is_told_from_another_by_what_it_computes():
    splits, _ = bs.Rolling(least=9).splits(table())

    def keys(law):
        return kept.keys_of(Job(table(), law, QUIET, 0.9), splits)

    assert keys(law_like(1.0)) == keys(law_like(1.0)), "written twice, the same"
    assert set(keys(law_like(1.0))).isdisjoint(keys(law_like(2.0))), "a constant of a helper differs"


def test_a_law_travels_by_value_and_is_known_where_it_arrives(monkeypatch):
    """As from a notebook cell: its function is in no module that another process could import."""
    from bayescale.laws.law import _REGISTRY

    made = law_like(1.0)
    made.formula.__module__ = "__main__"
    packed = executors._packed(executors.Work(lambda name: find(name), (made,)))
    monkeypatch.setattr(executors, "_HERE", "another process")
    with warnings.catch_warnings():
        arrived = executors._sent(packed, "made_here")
    try:
        assert arrived(2.0, E=1.0, b=1.0) == pytest.approx(1 + 1 / 3)
        assert _REGISTRY["made_here"] is arrived
    finally:
        _REGISTRY.pop("made_here", None)


def test_what_cannot_be_sent_is_refused_with_the_mend():
    scope = {"lock": threading.Lock()}
    exec("def f(d, *, E, b):\n return E + d ** -b * lock.locked()", scope)
    scope["f"].__module__ = "__main__"
    law = Law("held", scope["f"], ("n_tokens",), {"E": KINDS["Irreducible"], "b": KINDS["Exponent"]})
    with pytest.raises(bs.InputError, match="cannot be sent to another process.*workers=1"):
        executors._packed(executors.Work(partial(attempt, Job(table(), law, QUIET, 0.9)), (law,)))


def test_the_environment_and_the_script_are_as_before_once_a_process_has_started(monkeypatch):
    import sys

    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    spec = sys.modules["__main__"].__spec__
    with executors._one_thread(), executors._script_unknown():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
        assert sys.modules["__main__"].__spec__ is None
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ
    assert sys.modules["__main__"].__spec__ is spec
