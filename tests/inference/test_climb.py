"""Climbs by scoring, and curvature by differences, against what is known exactly."""

from dataclasses import replace

import numpy as np
import pytest
from targets import gaussian, target_of

from bayescale.inference.climb import scored, second_order
from bayescale.inference.laplace import laplace
from bayescale.inference.mode import find_mode
from bayescale.inference.target import Settings


def regression(n_rows=60, seed=2):
    """A curve exp(a - b x) + c with normal scatter; coordinates a, b, log c, log sigma."""
    rng, x = np.random.default_rng(seed), np.linspace(0, 4, n_rows)
    value = 1.5 * np.exp(-0.8 * x) + 0.7 + 0.02 * rng.standard_normal(n_rows)

    def rows(q):
        return np.exp(q[..., :1] - q[..., 1:2] * x) + np.exp(q[..., 2:3])

    def log_density(q):
        z = (value - rows(q)) / np.exp(q[..., 3:4])
        return -0.5 * (z**2).sum(-1) - n_rows * q[..., 3] - 0.5 * (q**2).sum(-1) / 9

    plain = target_of(log_density, 4)
    return replace(plain, fitted=lambda q: (log_density(q), rows(q), np.exp(q[..., 3:4])), width=n_rows)


def test_scoring_and_gradients_climb_to_one_top():
    target = regression()
    by_scores, by_gradients = find_mode(target), find_mode(replace(target, fitted=None))
    away = by_scores.point - by_gradients.point
    assert away @ np.linalg.solve(by_gradients.covariance, away) < 0.02**2
    np.testing.assert_allclose(by_scores.covariance, by_gradients.covariance, rtol=0.02, atol=1e-7)
    assert by_scores.rivals == by_gradients.rivals == ()


def test_a_climb_never_ends_below_its_start():
    target = regression()
    points, heights, _ = scored(target)
    before = np.nan_to_num(target.heights(target.starts), nan=-np.inf)
    assert (heights >= before).all()
    np.testing.assert_allclose(target.heights(points), heights)


def test_differences_give_the_curvature_of_a_normal_target_in_any_frame():
    target, mean, covariance = gaussian(5)
    root = np.linalg.cholesky(covariance)
    height, slope, bend = second_order(target, mean + 0.3 * root[:, 1], root)
    np.testing.assert_allclose(bend, np.eye(5), atol=1e-6)
    np.testing.assert_allclose(slope, [0, -0.3, 0, 0, 0], atol=1e-8)
    assert height == pytest.approx(-0.045)


@pytest.mark.parametrize("inner", [(1, 2, 5), (0, 3), (0, 1, 2, 3, 4, 5)])
def test_proposals_without_heavy_tails_along_some_coordinates_leave_the_answer_as_it_is(inner):
    target, mean, covariance = gaussian(6)
    drawn = laplace(replace(target, inner=inner), Settings(progressbar=False))
    assert drawn.certified
    points, sd = drawn.points.reshape(-1, 6), np.sqrt(np.diag(covariance))
    assert np.abs((points.mean(0) - mean) / sd).max() < 4.5 / np.sqrt(4000)
    np.testing.assert_allclose(np.corrcoef(points.T), covariance / np.outer(sd, sd), atol=0.08)
