import numpy as np
import pytest

import bayescale as bs
from bayescale.errors import InputError
from bayescale.queries.isoflop import isoflop
from bayescale.testing import synthetic_posterior


@pytest.fixture(scope="module")
def study():
    return synthetic_posterior("chinchilla", draws=100)


def test_the_optimum_of_each_draw_is_the_closed_form(study):
    found = isoflop(study, [1e20])
    p = {k: study["posterior"][k].values.ravel() for k in ("A", "alpha", "B", "beta")}
    scale = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    n = scale * (1e20 / 6) ** (p["beta"] / (p["alpha"] + p["beta"]))
    np.testing.assert_allclose(found["best_n_params"][0], np.quantile(n, [0.5, 0.05, 0.95]), rtol=1e-6)
    cloud = np.sort(found["cloud_n_params"].values[0])
    nearest = np.abs(np.log(cloud[:, None] / n[None, :])).min(axis=1)
    assert nearest.max() < 1e-6


def test_a_profile_is_what_predict_says_and_is_lowest_near_the_optimum(study):
    found = isoflop(study, [1e20], points=41)
    sizes = found["n_params"].values[0]
    told = bs.predict(study, {"n_params": sizes, "n_tokens": 1e20 / 6 / sizes}, kind="curve")
    np.testing.assert_allclose(found["median"][0], told["median"], rtol=1e-9)
    lowest = sizes[int(found["median"].values[0].argmin())]
    assert abs(np.log(lowest / float(found["best_n_params"][0, 0]))) < 0.3


def test_budgets_left_out_lie_among_the_runs_and_are_told_apart(study):
    found = isoflop(study)
    budgets = found["flops"].values
    spent = found["run_flops"].values
    assert 2 <= budgets.size <= 5
    assert ((spent.min() <= budgets) & (budgets <= spent.max())).all()
    assert (budgets[1:] / budgets[:-1] > 1.25).all()


def test_a_run_belongs_to_a_budget_only_within_reach(study):
    found = isoflop(study, [1e20], within=0.5)
    owned = np.isfinite(found["run_budget"].values)
    close = np.abs(np.log(found["run_flops"].values / 1e20)) <= np.log(1.5)
    np.testing.assert_array_equal(owned, close)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"flops": "much"}, "must be a number or a list of numbers"),
        ({"within": 0}, "within=0 must be a positive share"),
        ({"group": {"family": "x"}}, "nothing is pooled here"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(study, asked, words):
    with pytest.raises(InputError, match=words):
        isoflop(study, **asked)


def test_a_law_without_size_is_refused():
    with pytest.raises(InputError, match="n_params and n_tokens"):
        isoflop(synthetic_posterior("power_data", draws=20))
