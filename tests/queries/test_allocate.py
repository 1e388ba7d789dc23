import warnings

import numpy as np
import pytest
from made_posterior import chinchilla_by_hand, drawn, made_posterior

import bayescale as bs
from bayescale.errors import BayescaleWarning, InputError
from bayescale.testing import synthetic_posterior

BUDGETS = [1e19, 1e20, 1e21]


@pytest.fixture(scope="module")
def study():
    return made_posterior()


@pytest.fixture(scope="module")
def pooled():
    return made_posterior({"alpha": "family"})


def best_by_hand(posterior, flops, group=None):
    """Hoffmann et al., equation 4: N = G (C/6)^a."""
    A, alpha, B, beta = (
        v if v.ndim == 1 else v[:, group] for v in drawn(posterior, "A", "alpha", "B", "beta")
    )
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    return G * (flops / 6) ** (beta / (alpha + beta))


def test_the_optimum_is_the_closed_form(study):
    found = bs.allocate(study, BUDGETS, prob=0.8)
    for i, flops in enumerate(BUDGETS):
        size = best_by_hand(study, flops)
        for name, values in {
            "n_params": size,
            "n_tokens": flops / 6 / size,
            "tokens_per_param": flops / 6 / size**2,
            "loss": chinchilla_by_hand(study, size, flops / 6 / size),
        }.items():
            expected = np.quantile(values, [0.5, 0.1, 0.9])
            np.testing.assert_allclose(found[name][i], expected, rtol=1e-5, err_msg=name)
    assert (found["no_optimum"] == 0).all()


def test_size_and_data_use_up_the_budget(study):
    found = bs.allocate(study, BUDGETS).sel(bound="median")
    np.testing.assert_allclose(6 * found["n_params"] * found["n_tokens"], BUDGETS, rtol=1e-3)


def test_answers_do_not_depend_on_the_reference_scales(study):
    other = made_posterior(reference={"n_params": 3e6, "n_tokens": 8e13})
    first, second = bs.allocate(study, BUDGETS), bs.allocate(other, BUDGETS)
    for name in first.data_vars:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-5, atol=1e-9)


def test_a_cost_of_six_n_d_is_the_default(study):
    own = bs.allocate(study, BUDGETS, cost=lambda n, d: 6.0 * n * d)
    default = bs.allocate(study, BUDGETS)
    for name in ("n_params", "n_tokens", "loss", "expected_best", "near_best"):
        np.testing.assert_allclose(own[name], default[name], rtol=1e-5)


def test_a_cost_may_be_counted_in_any_unit(study):
    """Dollars: 1e18 operations for one."""
    dollars = bs.allocate(study, 1e3, cost=lambda n, d: 6e-18 * n * d)
    operations = bs.allocate(study, 1e21)
    for name in ("n_params", "n_tokens", "loss"):
        np.testing.assert_allclose(dollars[name].values, operations[name].values, rtol=1e-5)


def test_dearer_size_makes_smaller_models(study):
    served = bs.allocate(study, 1e21, cost=lambda n, d: 6.0 * n * d + 2.0 * n * 1e12)
    plain = bs.allocate(study, 1e21)
    assert float(served["n_params"].sel(bound="median")[0]) < float(plain["n_params"].sel(bound="median")[0])
    n, d = (float(served[k].sel(bound="median")[0]) for k in ("n_params", "n_tokens"))
    assert 6 * n * d + 2 * n * 1e12 == pytest.approx(1e21, rel=0.01)


def test_sizes_nearly_as_good_lie_about_the_best_and_widen_with_the_share(study):
    tight, loose = (bs.allocate(study, 1e21, within=share) for share in (0.002, 0.02))
    for found in (tight, loose):
        low, high = found["near_best"].values[0]
        assert low < float(found["expected_best"][0]) < high
    assert np.ptp(np.log(loose["near_best"].values)) > 2 * np.ptp(np.log(tight["near_best"].values))


def test_the_edges_of_the_near_best_cost_just_what_was_allowed(study):
    found = bs.allocate(study, 1e21, within=0.01)
    best = float(found["expected_best"][0])
    expected = {
        n: chinchilla_by_hand(study, n, 1e21 / 6 / n).mean() for n in (best, *found["near_best"].values[0])
    }
    for edge in found["near_best"].values[0]:
        assert expected[edge] / expected[best] == pytest.approx(1.01, abs=1.5e-3)


def test_a_known_group_gets_its_own_optimum(pooled):
    for i, family in enumerate(("llama", "olmo", "pythia")):
        found = bs.allocate(pooled, 1e20, group={"family": family})
        expected = np.median(best_by_hand(pooled, 1e20, group=i))
        np.testing.assert_allclose(found["n_params"].sel(bound="median"), expected, rtol=1e-5)
        assert found.attrs["group"] == f"family={family}"


def test_a_new_group_is_less_certain_than_a_known_one(pooled):
    def width(found):
        return float(np.log(found["n_params"].sel(bound="upper") / found["n_params"].sel(bound="lower"))[0])

    new = bs.allocate(pooled, 1e20)
    assert new.attrs["group"] == "new"
    assert width(new) > 1.5 * width(bs.allocate(pooled, 1e20, group={"family": "llama"}))


def test_fresh_data_are_meant_unless_the_distinct_ones_are_given():
    posterior = synthetic_posterior("data_constrained", draws=50)
    fresh = bs.allocate(posterior, 1e21)
    scarce = bs.allocate(posterior, 1e21, given={"tokens_unique": 1e9})
    assert float(scarce["loss"].sel(bound="median")[0]) > float(fresh["loss"].sel(bound="median")[0])


def test_budgets_far_beyond_the_runs_are_said(study):
    with pytest.warns(BayescaleWarning, match=r"times beyond the runs"):
        found = bs.allocate(study, 1e26)
    assert float(found["decades_beyond"][0]) > 1


def test_draws_without_an_inner_optimum_are_said(study):
    """Where all data cost nothing but size, the largest data set always wins."""
    with pytest.warns(BayescaleWarning, match=r"no inner optimum"), warnings.catch_warnings():
        found = bs.allocate(study, 1e12, cost=lambda n, d: n + 0.0 * d)
    assert float(found["no_optimum"][0]) > 0.9


@pytest.mark.parametrize(
    ("flops", "pattern"),
    [
        ("a lot", r"flops='a lot' must be a number"),
        (-1e24, r"plain counts"),
        (24.0, r"plain counts"),
        (float("nan"), r"plain counts"),
        (float("inf"), r"plain counts"),
        ([], r"plain counts"),
        ([[1e20]], r"plain counts"),
    ],
)
def test_impossible_budgets_are_refused(study, flops, pattern):
    with pytest.raises(InputError, match=pattern):
        bs.allocate(study, flops)


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"within": 0}, r"within=0 must be a positive share"),
        ({"within": "1 %"}, r"within='1 %'"),
        ({"prob": 90}, r"prob=90"),
        ({"group": {"family": "llama"}}, r"'family', over which nothing is pooled"),
    ],
)
def test_impossible_options_are_refused(study, options, pattern):
    with pytest.raises(InputError, match=pattern):
        bs.allocate(study, 1e20, **options)


def test_an_unknown_group_is_refused(pooled):
    with pytest.raises(InputError, match=r"(?s)'gpt9'.*llama"):
        bs.allocate(pooled, 1e20, group={"family": "gpt9"})


def test_a_law_of_one_scale_cannot_be_allocated():
    with pytest.raises(InputError, match=r"'power_compute' reads flops.*both n_params and n_tokens"):
        bs.allocate(synthetic_posterior("power_compute", draws=50), 1e20)
