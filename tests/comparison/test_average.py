import json
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_budgets import EXACT, made_budgets

import bayescale as bs
from bayescale.comparison.average import average, shrunk_weights
from bayescale.queries.members import studies_of

SCALE = {"n_params": [3e8, 1e9], "n_tokens": [6e9, 2e10]}
LAWS = ("chinchilla", "chinchilla_shared")


@pytest.fixture(scope="module")
def runs():
    """Two laws fit them alike: few budgets, some scatter, tokens per parameter near one another."""
    return made_budgets(alpha=0.28, beta=0.5, spread=0.5, noise=0.004, n_budgets=4, seed=12)


@pytest.fixture(scope="module")
def studies(runs):
    return {law: bs.fit(runs, law, **EXACT) for law in LAWS}


@pytest.fixture(scope="module")
def told(studies):
    return average(studies, held=1, progressbar=False)


def even(studies):
    return average(studies, weights=dict.fromkeys(studies, 1.0))


def test_weights_are_near_equal_where_laws_foretell_alike(told):
    weight = told["weights"]["weight"].values
    assert weight.sum() == pytest.approx(1)
    assert weight.min() > 0.3


def test_of_two_laws_that_tie_the_advice_is_as_wide_as_both(studies, told):
    with pytest.warns(bs.BayescaleWarning):
        one, other, both = (
            bs.allocate(p, 1e24)["tokens_per_param"].isel(flops=0).to_series()
            for p in (*studies.values(), told)
        )
    assert max(one["lower"], other["lower"]) / min(one["lower"], other["lower"]) > 5
    assert both["lower"] < 2 * min(one["lower"], other["lower"])
    assert both["upper"] > 0.8 * max(one["upper"], other["upper"])


def test_two_humps_are_named_with_their_shares(runs):
    sure = made_budgets(alpha=0.28, beta=0.5, noise=0.0005, n_budgets=4)
    studies = {law: bs.fit(sure, law, **EXACT) for law in LAWS}
    with pytest.warns(bs.BayescaleWarning, match="two-humped"):
        found = bs.allocate(average(studies, weights={LAWS[0]: 3, LAWS[1]: 1}), [1e20, 1e24]).isel(flops=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        medians = [bs.allocate(p, 1e24)["n_params"].values[0, 0] for p in studies.values()]
    order = np.argsort(medians)
    assert found["hump_n_params"].sel(bound="median").values == pytest.approx(np.sort(medians), rel=0.05)
    assert found["hump_share"].values == pytest.approx(np.array([0.75, 0.25])[order], abs=0.01)
    humped = [f for f in json.loads(found.attrs["findings"]) if f["code"] == "two-humped"]
    assert "75% of the draws" in humped[0]["message"]
    assert "25% of the draws" in humped[0]["message"]


def test_an_average_predicts_by_draws_of_its_members_in_proportion(studies):
    mixed = average(studies, weights={LAWS[0]: 1, LAWS[1]: 3})
    counts = [s.n_samples for s in studies_of(mixed).values()]
    assert counts == [500, 1500]
    draws = bs.predict_draws(mixed, SCALE, kind="curve").values
    alone = [bs.predict_draws(p, SCALE, kind="curve").values for p in studies.values()]
    assert set(draws[:500, 0]) <= set(alone[0][:, 0])
    assert set(draws[500:, 0]) <= set(alone[1][:, 0])
    summary = bs.predict(mixed, SCALE, kind="curve", prob=0.8)
    assert summary["lower"].values == pytest.approx(np.quantile(draws, 0.1, axis=0))
    assert summary["median"].values == pytest.approx(np.quantile(draws, 0.5, axis=0))


def test_a_law_with_all_the_weight_answers_alone(studies):
    sole = average(studies, weights={LAWS[0]: 2, LAWS[1]: 0})
    for query in (bs.predict, bs.predict_draws):
        here, there = query(sole, SCALE), query(studies[LAWS[0]], SCALE)
        names = ["median", "lower", "upper"] if query is bs.predict else None
        for a, b in [(here[n], there[n]) for n in names] if names else [(here, there)]:
            assert a.values == pytest.approx(b.values, rel=1e-12)
    here, there = (bs.allocate(p, 1e20) for p in (sole, studies[LAWS[0]]))
    assert here["n_params"].values == pytest.approx(there["n_params"].values, rel=1e-12)


def test_curves_and_profiles_of_an_average_hold_those_of_its_members(studies):
    mixed = even(studies)
    curve = bs.curve(mixed, "n_params", at={"n_tokens": 1e10}, points=12)
    assert list(curve["member"].values) == list(LAWS)
    alone = bs.curve(studies[LAWS[1]], "n_params", at={"n_tokens": 1e10}, points=12)
    assert curve["member_median"].sel(member=LAWS[1]).values == pytest.approx(alone["median"].values)
    assert (curve["median"] <= curve["member_median"].max("member") * 1.001).all()
    assert (curve["median"] >= curve["member_median"].min("member") * 0.999).all()
    frontier = bs.curve(mixed, "flops", points=5)
    assert frontier["member_median"].shape == (2, 1, 1, 5)
    profile = bs.isoflop(mixed, [1e19])
    ends = [bs.isoflop(p, [1e19])["best_n_params"].values for p in studies.values()]
    assert np.min(ends) * 0.999 <= profile["best_n_params"].min() <= np.max(ends)


def test_laws_may_read_different_inputs_and_say_what_they_cannot_answer(runs, studies):
    other = bs.fit(runs, "power_compute", **EXACT)
    mixed = even({LAWS[0]: studies[LAWS[0]], "by compute": other})
    assert list(mixed["weights"]["reads"].values) == ["n_params, n_tokens", "flops"]
    assert np.isfinite(bs.predict(mixed, SCALE)["median"]).all()
    with pytest.raises(bs.InputError, match="'by compute', a member of this average, cannot answer"):
        bs.allocate(mixed, 1e20)
    with pytest.raises(bs.InputError, match="'chinchilla', a member"):
        bs.predict(mixed, {"flops": [1e20]})


def test_rows_in_another_order_get_the_same_weights(runs, studies, told):
    mixed_up = runs.frame.sample(frac=1.0, random_state=1)
    shuffled = bs.fit(bs.read_runs(mixed_up), LAWS[1], **EXACT)
    again = average({LAWS[0]: studies[LAWS[0]], LAWS[1]: shuffled}, held=1, progressbar=False)
    assert again["weights"]["weight"].values == pytest.approx(told["weights"]["weight"].values, abs=0.03)
    density = [a["weights"]["log_density"].values[1] for a in (told, again)]
    assert density[0] == pytest.approx(density[1], abs=0.3)
    assert list(again["weights"]["run"].values) == list(told["weights"]["run"].values)


def test_refits_sent_by_an_executor_weigh_alike(studies, told):
    with ThreadPoolExecutor(1) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore", bs.BayescaleWarning)
        found = bs.average(studies, held=1, progressbar=False, executor=pool)
    assert found["weights"].to_dataset().identical(told["weights"].to_dataset())


def test_weights_by_leave_one_out_need_no_refit(studies, monkeypatch):
    monkeypatch.setattr("bayescale.comparison.average.ahead_of_each", None)
    found = average(studies, weights="loo")["weights"].dataset
    assert found["log_density"].shape == (2, 24)
    assert float(found["weight"].sum()) == pytest.approx(1)


def test_laws_that_all_miss_one_way_are_told_of():
    bent = made_budgets(bend=0.015)
    studies = {law: bs.fit(bent, law, **EXACT) for law in LAWS}
    with pytest.warns(bs.BayescaleWarning, match="every law missed the largest runs the same way"):
        found = average(studies, progressbar=False)
    assert (found["weights"]["bias_z"] < -2).all()
    assert json.loads(found.attrs["bayescale"])["findings"][0]["code"] == "all-miss-one-way"


def test_an_average_is_saved_and_opened(told, tmp_path):
    opened = bs.open(bs.save(told, tmp_path / "both.nc"))
    assert opened.identical(told)
    assert bs.predict(opened, SCALE)["median"].values == pytest.approx(
        bs.predict(told, SCALE)["median"].values
    )
    assert "chinchilla 0." in opened.attrs["average"]


@pytest.mark.parametrize("query", [bs.intervals, bs.check_extrapolation, bs.residuals, bs.compute_exponents])
def test_what_belongs_to_one_law_is_refused_with_the_way_there(told, query):
    with pytest.raises(bs.InputError, match=r"average\['laws/chinchilla'\]"):
        query(told, 1e20) if query is bs.compute_exponents else query(told)
    assert "alpha" in bs.intervals(told["laws/chinchilla"])


def test_weights_grow_with_rows_towards_the_law_that_foretold_best():
    better = np.tile([0.0, -5.0], (1000, 1))
    assert shrunk_weights(better)[0] > 0.99
    assert shrunk_weights(better[:4])[0] == pytest.approx((4 * 1.0 + 1) / 6, abs=0.01)
    assert shrunk_weights(np.zeros((7, 3))) == pytest.approx(np.full(3, 1 / 3))


def test_weights_are_the_best_of_all_for_what_they_maximise():
    rng = np.random.default_rng(2)
    density = rng.normal(0, 1.5, (12, 3))

    def gain(w):
        return np.log(np.exp(density) @ w).sum() + np.log(w).sum()

    found = shrunk_weights(density)
    others = rng.dirichlet(np.ones(3), 500)
    near = np.abs(found + 0.01 * rng.normal(size=(500, 3)))
    for other in (*others, *(near / near.sum(1, keepdims=True))):
        assert gain(other) <= gain(found) + 1e-9


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("stacking", "must be 'ahead', 'loo'"),
        ({"chinchilla": 1.0}, "one number for each"),
        ({"chinchilla": 1.0, "chinchilla_shared": -1.0}, "0 or more"),
        ({"chinchilla": 0.0, "chinchilla_shared": 0.0}, "not all of them 0"),
        ({"chinchilla": "x", "chinchilla_shared": 1.0}, "numbers of 0 or more"),
        ({"chinchilla": float("nan"), "chinchilla_shared": 1.0}, "numbers of 0 or more"),
    ],
)
def test_impossible_weights_are_refused(studies, weights, said):
    with pytest.raises(bs.InputError, match=said):
        average(studies, weights=weights)


def test_studies_of_other_rows_and_odd_names_are_refused(runs, studies, told):
    first = studies[LAWS[0]]
    with pytest.raises(bs.InputError, match="at least two studies"):
        average({"one": first})
    with pytest.raises(bs.InputError, match="at least two studies"):
        average([first, first])
    with pytest.raises(bs.InputError, match="cannot name a member"):
        average({"a/b": first, "c": first})
    with pytest.raises(bs.InputError, match="this is an average"):
        average({"a": first, "b": told})
    fewer = bs.fit(runs.where("flops < 2e19"), **EXACT)
    with pytest.raises(bs.InputError, match="not the same"):
        average({"a": first, "b": fewer})


@pytest.mark.published
@pytest.mark.skipif("BAYESCALE_FURTHER_DATA" not in os.environ, reason="a study that may not be shipped")
def test_misfitting_gets_a_wide_answer():
    """Li et al. 2025: two forms that fit alike put tokens per parameter at 1e24 FLOP near .006 and 26."""
    frame = pd.read_csv(Path(os.environ["BAYESCALE_FURTHER_DATA"]) / "misfitting.csv", low_memory=False)
    frame = frame[frame["is_final"] == 1].dropna(subset=["value"]).sort_values("value")
    frame = frame.groupby(["n_params", "n_tokens"], as_index=False).first()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runs = bs.read_runs(frame[["run_id", "metric", "n_params", "n_tokens", "flops", "value"]])
        studies = {law: bs.fit(runs, law, discrepancy=None, random_seed=0, progressbar=False) for law in LAWS}
        found = bs.allocate(average(studies, progressbar=False), 1e24)
    lower, upper = (float(found["tokens_per_param"].sel(bound=b).values[0]) for b in ("lower", "upper"))
    assert lower < 0.1
    assert upper > 20
    assert "two-humped" in found.attrs["findings"]
