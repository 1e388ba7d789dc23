import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayescale as bs
from bayescale.comparison.backtest import backtest
from bayescale.comparison.refits import as_known
from bayescale.comparison.scores import crps
from bayescale.queries.study import Study

QUICK = {"engine": "laplace", "random_seed": 0, "draws": 500, "progressbar": False}


def made(n=60, families=("one",), seed=1, noise=0.005):
    """Runs of a known law with normal scatter of the log."""
    rng = np.random.default_rng(seed)
    size, data = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9, 11.5, n)
    curve = 1.8 + 0.36 * (size / 1e9) ** -0.35 + 0.45 * (data / 1e10) ** -0.37
    return pd.DataFrame(
        {
            "run_id": [f"r{i:02d}" for i in range(n)],
            "family": np.array(families)[np.arange(n) % len(families)],
            "n_params": size,
            "n_tokens": data,
            "value": curve * np.exp(rng.normal(0, noise, n)),
        }
    )


@pytest.fixture(scope="module")
def tested():
    return backtest(made(), train="flops <= 1e20", noise="normal", prob=0.8, **QUICK)


def test_rows_are_parted_by_the_condition_on_6nd(tested):
    frame = made()
    above = 6 * frame["n_params"] * frame["n_tokens"] > 1e20
    assert list(tested["run"].values) == list(frame["run_id"][above])
    assert int(tested["n_train"]) == (~above).sum()
    assert int(tested["n_test"]) == above.sum()
    assert "flops" not in tested


def test_scores_follow_from_the_rows(tested):
    seen, middle = tested["observed"].values, tested["median"].values
    inside = (tested["lower"].values <= seen) & (seen <= tested["upper"].values)
    assert float(tested["rmse"]) == pytest.approx(np.sqrt(np.mean((seen - middle) ** 2)))
    assert float(tested["rmsle"]) == pytest.approx(np.sqrt(np.mean(np.log(seen / middle) ** 2)))
    assert float(tested["bias"]) == pytest.approx(np.mean(np.log(seen / middle)))
    assert float(tested["coverage"]) == pytest.approx(inside.mean())
    assert float(tested["width"]) == pytest.approx(np.mean(tested["upper"].values - tested["lower"].values))
    assert float(tested["crps"]) == pytest.approx(tested["row_crps"].values.mean())
    assert float(tested["elpd"]) == pytest.approx(tested["log_density"].values.sum())
    assert float(tested["log_score"]) == pytest.approx(tested["log_density"].values.mean())
    assert tested["coverage_at"].values == pytest.approx(tested["covered_at"].values.mean(axis=0))
    at_80 = tested["covered_at"].sel(level=0.8).values
    assert at_80.tolist() == inside.tolist(), "prob was 0.8"
    central = np.abs(tested["pit"].values - 0.5) < 0.5 * 0.9 - 1e-3
    assert (tested["covered_at"].sel(level=0.9).values >= central).all()


def test_the_only_split_is_scored_like_all_rows(tested):
    assert tested["split"].values.tolist() == ["flops <= 1e20"]
    for name in ("rmse", "crps", "coverage", "width", "log_score"):
        assert float(tested[f"{name}_by_split"][0]) == float(tested[name])
    parts = tested["rows_by_distance"].values
    assert parts.sum() == int(tested["n_test"])
    weighted = np.nansum(parts * tested["crps_by_distance"].values) / parts.sum()
    assert weighted == pytest.approx(float(tested["crps"]))
    largest = 6 * (made()["n_params"] * made()["n_tokens"])
    largest = largest[largest <= 1e20].max()
    seen = 6 * tested["n_params"].values * tested["n_tokens"].values
    assert tested["decades"].values == pytest.approx(np.maximum(np.log10(seen / largest), 0))


def test_a_true_law_foretells_what_was_held_back(tested):
    assert 0.6 <= float(tested["coverage"]) <= 1.0
    assert float(tested["rmsle"]) < 0.02
    assert abs(float(tested["bias"])) < 0.01


def test_the_log_density_is_that_of_the_values_themselves(tested):
    """About the middle of a nearly log-normal predictive, whose place and width the interval tells."""
    spread = np.log(tested["upper"] / tested["lower"]) / (2 * stats.norm.ppf(0.9))
    expected = stats.norm.logpdf(np.log(tested["observed"] / tested["median"]), scale=spread)
    assert tested["log_density"].values == pytest.approx(
        expected - np.log(tested["observed"].values), abs=0.5
    )


def test_the_ranked_probability_score_is_that_of_a_normal():
    draws = np.random.default_rng(0).normal(2.0, 0.5, (200_000, 1))
    levels = (np.arange(200) + 0.5) / 200
    for seen in (1.0, 2.0, 3.5):
        z = (seen - 2.0) / 0.5
        closed = 0.5 * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi))
        score = crps(np.quantile(draws, levels, axis=0), levels, np.array([seen]))
        assert score == pytest.approx(closed, abs=2e-3)


def test_heavy_tails_leave_every_score_finite():
    frame = made(40)
    frame.loc[[3, 8, 13], "value"] *= [1.3, 0.8, 1.6]
    with pytest.warns(bs.BayescaleWarning, match="outl"):
        found = backtest(frame, train="n_params <= 2e9", **QUICK | {"discrepancy": None})
    for name in ("rmse", "crps", "width", "elpd"):
        assert np.isfinite(found[name])
    assert float(found["crps"]) < 0.2


def test_a_family_that_was_not_fitted_is_asked_for_as_a_new_one():
    frame = made(60, families=("a", "b", "c"))
    frame.loc[frame["n_tokens"] > 1e11, "family"] = "d"

    class Pooled:
        factors = ("family", "family:eval_name")
        labels = {"family": ("a", "b", "c")}

    known, fresh = as_known(Study(Pooled(), {}, {}), frame)  # type: ignore[arg-type]
    assert set(known["family"]) == {"a", "b", "c", "new: d"}
    assert fresh.tolist() == (frame["family"] == "d").tolist()


def test_rows_whose_cell_is_empty_belong_to_neither_side():
    frame = made(40).assign(flops=lambda f: 6 * f["n_params"] * f["n_tokens"])
    frame.loc[[0, 5], "flops"] = np.nan
    with pytest.warns(bs.BayescaleWarning, match="2 of 40 rows have an empty cell"):
        found = backtest(frame, train="flops <= 1e20", **QUICK)
    assert int(found["n_train"]) + int(found["n_test"]) == 38
    assert not {"r00", "r05"} & set(found["run"].values)
    assert json.loads(found.attrs["findings"])[0]["code"] == "unplaced-rows"


def test_few_held_back_rows_are_warned_of():
    with pytest.warns(bs.BayescaleWarning, match="only 2 rows are held back"):
        backtest(made(40), train=np.arange(40) >= 2, **QUICK)


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ("flops <= 1e10", "no row meets it.*flops runs from"),
        ("flops <= 1e30", "no row is held back.*flops runs from"),
        ("speed <= 1", "'speed'"),
        ("flops", "complete comparison"),
    ],
)
def test_a_condition_that_parts_nothing_is_refused(train, says):
    with pytest.raises(bs.InputError, match=says):
        backtest(made(40), train=train, **QUICK)


def test_an_impossible_mass_or_option_is_refused_before_the_fit():
    with pytest.raises(bs.InputError, match="between 0 and 1"):
        backtest(made(40), prob=90)
    with pytest.raises(bs.InputError, match="no argument 'drawz'"):
        backtest(made(40), drawz=10)
