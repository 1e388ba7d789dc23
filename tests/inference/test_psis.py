import numpy as np
import pytest

from bayescale.inference.psis import effective_draws, pareto_khat


def _reference(log_ratios):
    from arviz_stats.base import array_stats

    log_weights, khat = array_stats.psislw(-log_ratios[None, :], r_eff=1.0, axis=-1)
    return float(np.squeeze(khat)), np.exp(np.squeeze(log_weights))


@pytest.mark.parametrize("size", [60, 200, 226, 1000, 8000])
@pytest.mark.parametrize("kind", ["normal", "heavy", "bounded"])
def test_khat_and_weights_agree_with_arviz(size, kind):
    random = np.random.default_rng(size)
    ratios = {
        "normal": 0.5 * random.normal(size=size),
        "heavy": random.exponential(1.3, size=size) * 1.0,
        "bounded": np.log(random.uniform(0.2, 1.0, size=size)),
    }[kind]
    khat, weights = pareto_khat(ratios)
    expected_khat, expected = _reference(ratios)
    assert khat == pytest.approx(expected_khat, abs=1e-8)
    np.testing.assert_allclose(weights, expected / expected.sum(), rtol=1e-8)


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_khat_finds_the_shape_of_pareto_ratios(shape):
    ratios = shape * np.random.default_rng(3).exponential(size=100_000)
    assert pareto_khat(ratios)[0] == pytest.approx(shape, abs=0.1)


def test_weights_sum_to_one_and_keep_the_shape_of_the_draws():
    ratios = np.random.default_rng(0).normal(size=(4, 250))
    khat, weights = pareto_khat(ratios + 1e5)
    assert weights.shape == (4, 250)
    assert weights.sum() == pytest.approx(1.0)
    assert khat == pytest.approx(pareto_khat(ratios)[0], abs=1e-6)


def test_equal_ratios_give_equal_weights_and_no_tail():
    khat, weights = pareto_khat(np.full(400, -3.0))
    assert khat == 0.0
    np.testing.assert_allclose(weights, 1 / 400)
    assert effective_draws(weights) == pytest.approx(400)


def test_nan_or_infinite_ratios_are_never_called_good():
    for bad in (np.nan, np.inf):
        ratios = np.random.default_rng(0).normal(size=500)
        ratios[7] = bad
        khat, weights = pareto_khat(ratios)
        assert khat == np.inf
        assert weights[7] == 0.0
        assert weights.sum() == pytest.approx(1.0)


def test_minus_infinity_weighs_nothing_and_is_no_fault():
    ratios = 0.3 * np.random.default_rng(0).normal(size=1000)
    ratios[:50] = -np.inf
    khat, weights = pareto_khat(ratios)
    assert khat < 0.5
    assert np.all(weights[:50] == 0)


def test_too_few_draws_cannot_be_judged():
    assert pareto_khat(np.random.default_rng(0).normal(size=20))[0] == np.inf


def test_one_draw_with_all_the_weight_is_seen():
    ratios = np.random.default_rng(0).normal(size=1000)
    ratios[0] = 50.0
    khat, weights = pareto_khat(ratios)
    assert khat > 0.7
    assert effective_draws(weights) < 50
