import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayescale.comparison.stacking import stacking_weights


def gains(pointwise, weights):
    """Slope of the mean log mixture in each weight: one where a weight stands, at most one elsewhere."""
    density = np.exp(pointwise - pointwise.max(axis=1, keepdims=True))
    return (density / (density @ weights)[:, None]).mean(axis=0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), models=st.integers(2, 6), spread=st.floats(0.05, 3.0))
def test_the_weights_are_the_best_mixture(seed, models, spread):
    rng = np.random.default_rng(seed)
    pointwise = spread * rng.normal(size=(60, models)) + rng.normal(size=(60, 1)) * 50
    weights = stacking_weights(pointwise)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    slope = gains(pointwise, weights)
    assert (slope < 1 + 1e-3).all()
    np.testing.assert_allclose(slope[weights > 1e-3], 1.0, atol=2e-3)


def test_two_models_that_know_half_the_rows_each_share_the_weight():
    pointwise = np.full((100, 2), -1.0)
    pointwise[:50, 0] = pointwise[50:, 1] = 1.0
    np.testing.assert_allclose(stacking_weights(pointwise), 0.5, atol=1e-6)


def test_a_model_that_is_worse_everywhere_gets_nothing():
    rng = np.random.default_rng(0)
    good = rng.normal(size=80)
    weights = stacking_weights(np.stack([good, good - 0.3], axis=1))
    assert weights[1] == 0.0


def test_a_study_told_twice_gets_no_more_weight_than_told_once():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 80))
    once = stacking_weights(np.stack([a, b], axis=1))
    twice = stacking_weights(np.stack([a, a, b], axis=1))
    assert twice[:2].sum() == pytest.approx(once[0], abs=1e-4)


def test_a_density_of_zero_does_not_break_the_weights():
    pointwise = np.zeros((10, 2))
    pointwise[3, 0] = -np.inf
    pointwise[4:, 1] = -2.0
    weights = stacking_weights(pointwise)
    assert np.isfinite(weights).all()
    assert weights[1] > 0
