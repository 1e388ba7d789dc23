import numpy as np
import pytest
from scipy import stats
from targets import banana, cauchy, funnel, gaussian, target_of, two_modes

from bayescale.errors import InputError
from bayescale.inference.laplace import _resample, laplace
from bayescale.inference.mode import find_mode
from bayescale.inference.target import Settings

QUIET = Settings(progressbar=False)


@pytest.mark.parametrize("dim", [1, 2, 5, 12, 25])
def test_a_normal_target_is_exact_within_monte_carlo_error(dim):
    target, mean, covariance = gaussian(dim)
    drawn = laplace(target, QUIET)
    assert drawn.certified
    assert drawn.notes["khat"] < 0.3
    assert drawn.points.shape == (4, 1000, dim)
    points, sd = drawn.points.reshape(-1, dim), np.sqrt(np.diag(covariance))
    away = (points.mean(0) - mean) / sd * np.sqrt(min(drawn.notes["effective_draws"], 4000))
    assert np.abs(away).max() < 4.5
    np.testing.assert_allclose(points.std(0) / sd, 1.0, atol=0.06)
    np.testing.assert_allclose(np.corrcoef(points.T), covariance / np.outer(sd, sd), atol=0.08)


def test_a_skewed_target_is_corrected_to_its_exact_quantiles():
    """The log of a gamma variable of shape 1.5: at its mode a normal one is far off."""
    target = target_of(lambda q: (1.5 * q - np.exp(q)).sum(-1), 1)
    drawn = laplace(target, QUIET)
    assert drawn.certified
    edges = [0.05, 0.25, 0.5, 0.75, 0.95]
    found = np.quantile(np.exp(drawn.points), edges)
    np.testing.assert_allclose(stats.gamma(1.5).cdf(found), edges, atol=0.02)


@pytest.mark.parametrize("separation", [2.5, 4.0, 8.0, 15.0])
def test_two_modes_are_never_certified(separation):
    """Weights about one mode look perfect and never see the other; the climbs from far starts do."""
    drawn = laplace(two_modes(separation), QUIET)
    assert not drawn.certified
    assert drawn.notes["rivals"] == 1


def test_a_second_mode_with_a_thousandth_of_the_mass_is_no_rival():
    assert not find_mode(two_modes(6.0, share=0.9995)).rivals


def test_one_hump_climbed_from_many_sides_is_one_mode():
    for target in (gaussian(6)[0], banana(), cauchy(2)):
        assert not find_mode(target, n_starts=10).rivals


def test_a_funnel_is_refused():
    drawn = laplace(funnel(), QUIET)
    assert not drawn.certified


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dim", [1, 3])
def test_heavy_tails_are_refused_or_right(dim, seed):
    """Adapted proposals may reach far enough out; then the quantiles must be those of the Cauchy."""
    drawn = laplace(cauchy(dim), Settings(progressbar=False, random_seed=seed))
    if drawn.certified:
        edges = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
        found = np.quantile(drawn.points.reshape(-1, dim), edges, axis=0)
        np.testing.assert_allclose(stats.cauchy.cdf(found), edges[:, None] + np.zeros(dim), atol=0.04)


def test_a_density_that_is_zero_on_one_side_is_weighed_as_zero():
    target = target_of(lambda q: np.where(q > 0, -q, -np.inf).sum(-1), 1, starts=np.full((5, 1), 0.7))
    drawn = laplace(target, QUIET)
    assert (drawn.points > 0).all()


def test_the_same_seed_gives_the_same_draws_and_another_seed_others():
    target = gaussian(3)[0]
    first, again = (laplace(target, Settings(random_seed=5)).points for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, laplace(target, Settings(random_seed=6)).points)


def test_the_callers_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    laplace(gaussian(2)[0], QUIET)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_draws_come_in_proportion_to_their_weights():
    weights = np.random.default_rng(0).dirichlet(np.full(50, 0.3))
    chosen = _resample(weights, 10_000, np.random.default_rng(1))
    counts = np.bincount(chosen, minlength=50)
    assert (
        np.abs(counts - 10_000 * weights) <= 1.0 + 1e-6
    ).all()  # evenly spaced: never off by more than one
    assert (np.diff(chosen) < 0).any()


def test_a_draw_without_weight_is_never_chosen():
    weights = np.array([0.0, 0.5, 0.0, 0.5, 0.0])
    assert set(_resample(weights, 1000, np.random.default_rng(0))) == {1, 3}


def test_the_mode_of_a_curved_valley_is_found():
    mode = find_mode(banana())
    np.testing.assert_allclose(mode.point, [1.0, 1.0], atol=1e-3)
    curvature = np.array([[81.0, -40.0], [-40.0, 20.0]])
    np.testing.assert_allclose(mode.covariance, np.linalg.inv(curvature), rtol=1e-2)
    assert mode.log_density == pytest.approx(0.0, abs=1e-6)
    assert mode.steepness < 1e-3


def test_the_mode_of_a_normal_target_is_its_mean_and_covariance():
    target, mean, covariance = gaussian(8)
    mode = find_mode(target)
    np.testing.assert_allclose(mode.point, mean, atol=1e-3)
    np.testing.assert_allclose(mode.covariance, covariance, rtol=1e-3, atol=1e-3)


def test_a_direction_without_curvature_gets_a_wide_but_finite_step():
    mode = find_mode(target_of(lambda q: -0.5 * q[..., 0] ** 2 + 0.0 * q[..., 1], 2))
    assert np.isfinite(mode.covariance).all()
    assert mode.covariance[1, 1] == pytest.approx(100.0)


def test_starts_without_density_are_passed_over():
    target = target_of(lambda q: np.where(q[..., 0] > 0, -0.5 * ((q - 3) ** 2).sum(-1), -np.inf), 2)
    np.testing.assert_allclose(find_mode(target).point, [3.0, 3.0], atol=1e-3)


def test_a_density_that_is_finite_nowhere_is_refused_in_words():
    target = target_of(lambda q: np.full(q.shape[:-1], np.nan), 2)
    with pytest.raises(InputError, match=r"no finite density.*prior_predictive"):
        find_mode(target)


def test_no_more_is_proposed_than_the_draws_that_are_wanted_need():
    drawn = laplace(gaussian(4)[0], QUIET)
    assert drawn.notes["effective_draws"] >= 4000
    assert drawn.notes["proposals"] < 6000
