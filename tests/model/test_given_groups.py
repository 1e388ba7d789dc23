"""What is drawn given the groups' parameters has the distribution that it must have."""

import numpy as np
import pytest
from scipy.stats import norm

from bayescale.model.given_groups import drawn_means, drawn_spreads, walked
from bayescale.priors import Prior

SAMPLE = np.array([[0.1, -0.4, 0.9, 0.5], [1.2, 1.25, 1.18, 1.21]]).T  # (group, letter)
MEANS = (Prior("LogNormal", mu=0.2, sigma=0.5), Prior("Gamma", alpha=3.0, beta=1.0))
SPREADS = (Prior("HalfNormal", sigma=0.5), Prior("LogNormal", mu=-2.0, sigma=1.0))
POINTS, SWEEPS = 4000, 40


def on_a_grid(letter):
    """Mean and deviation of the population value and of the log spread, by adding up a grid."""
    mean = np.linspace(-6, 6, 1201)[:, None]
    log_spread = np.linspace(-6, 3, 1201)[None, :]
    spread = np.exp(log_spread)
    found = MEANS[letter].log_density_free(mean) + SPREADS[letter].log_density(spread) + log_spread
    for x in SAMPLE[:, letter]:
        found = found + norm.logpdf(x, mean, spread)
    weight = np.exp(found - found.max())
    weight /= weight.sum()
    moments = []
    for x in (mean, log_spread):
        middle = (weight * x).sum()
        moments.append((middle, np.sqrt((weight * (x - middle) ** 2).sum())))
    return moments


@pytest.mark.parametrize("precision", [0.5, 4.0])  # of the normal near to the prior: any will do
def test_means_and_spreads_have_their_distribution_given_the_groups(precision):
    rng = np.random.default_rng(0)
    sample = np.broadcast_to(SAMPLE, (POINTS, *SAMPLE.shape))
    mean, spread = np.zeros((POINTS, 2)), np.ones((POINTS, 2))
    about = np.array([0.2, 1.0]), np.full(2, precision)
    for _ in range(SWEEPS):
        mean = drawn_means(MEANS, about, sample, spread, mean, rng)
        spread = drawn_spreads(SPREADS, sample, mean, spread, rng)
    for letter in range(2):
        drawn = mean[:, letter], np.log(spread[:, letter])
        for x, (middle, deviation) in zip(drawn, on_a_grid(letter), strict=True):
            assert abs(x.mean() - middle) < 4.5 * deviation / np.sqrt(POINTS)
            assert abs(x.std() / deviation - 1) < 0.08


def test_a_spread_stays_where_its_prior_has_a_value():
    rng = np.random.default_rng(0)
    prior = Prior("Uniform", lower=0.3, upper=0.35)
    sample, mean = np.broadcast_to(SAMPLE[:, :1], (500, 4, 1)), np.full((500, 1), 0.2)
    spread = np.full((500, 1), 0.32)
    for _ in range(20):
        spread = drawn_spreads([prior], sample, mean, spread, rng)
    assert ((spread > 0.3) & (spread < 0.35)).all()
    assert np.unique(spread).size > 100


def test_steps_at_random_leave_a_distribution_as_it_is():
    rng = np.random.default_rng(0)
    q = np.zeros((POINTS, 2))
    for _ in range(60):
        q = walked(lambda x: -0.5 * (x**2 / [1.0, 0.04]).sum(-1), q, rng)
    np.testing.assert_allclose(q.mean(0) / [1.0, 0.2], 0.0, atol=4.5 / np.sqrt(POINTS))
    np.testing.assert_allclose(q.std(0) / [1.0, 0.2], 1.0, atol=0.06)
