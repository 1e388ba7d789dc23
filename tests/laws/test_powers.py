"""Fast ways of common words against the slow ones."""

import numpy as np
import pytest
from scipy import special

from bayescale.laws import find
from bayescale.laws.elementwise import lgamma, sum_log1p
from bayescale.laws.powers import Powers, with_logs

X = np.geomspace(1e-3, 1e4, 57)
STEP = 1e-30


@pytest.mark.parametrize(
    "power", [0.37, -1.9, np.linspace(-0.8, 0.8, 9)[:, None], np.array([[-0.3 + 1j * STEP]])]
)
def test_powers_by_logs_are_powers(power):
    found, expected = with_logs(X) ** power, X**power
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    np.testing.assert_allclose(np.imag(found), np.imag(expected), rtol=1e-13)


def test_what_is_made_of_powers_is_a_plain_array():
    powers = with_logs(X)
    for made in (
        powers * 2.0,
        3.0 / powers,
        np.log(powers),
        powers + powers,
        np.where(powers > 1, powers, 1.0),
    ):
        assert type(made) is np.ndarray
    np.testing.assert_array_equal(np.log(powers), np.log(X))
    np.testing.assert_array_equal(powers**2, X**2)


def test_numbers_that_have_no_log_stay_as_they_came():
    for values in (np.array([0.0, 1.0]), np.array([-1.0]), np.array([np.nan, 1.0]), np.array([])):
        assert not isinstance(with_logs(values), Powers)


def test_a_law_reads_powers_as_it_reads_arrays():
    learnt = {"E": 1.7, "A": 0.4, "alpha": np.full((3, 1), 0.34), "B": 0.5, "beta": 0.28}
    law = find("chinchilla")
    np.testing.assert_allclose(
        law(with_logs(X), with_logs(X[::-1]), **learnt), law(X, X[::-1], **learnt), rtol=1e-13
    )


@pytest.mark.parametrize("size", [1, 7, 8, 9, 245])
def test_logs_of_products_add_up_to_the_sum_of_logs(size):
    x = np.random.default_rng(size).chisquare(1, (5, size)) * np.geomspace(1e-12, 1e12, 5)[:, None]
    np.testing.assert_allclose(sum_log1p(x), np.log1p(x).sum(-1), rtol=1e-13, atol=1e-13 * size)
    stepped = sum_log1p(x + 1j * STEP)
    np.testing.assert_allclose(stepped.imag / STEP, (1 / (1 + x)).sum(-1), rtol=1e-12)


def test_log_gamma_is_scipys_and_so_is_its_derivative():
    x = np.geomspace(1e-6, 1e40, 4000)
    np.testing.assert_allclose(lgamma(x), special.gammaln(x), rtol=1e-13, atol=2e-14)
    x = x[x < 1e20]
    np.testing.assert_allclose(lgamma(x + 1j * STEP).imag / STEP, special.digamma(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(lgamma(np.array([-0.5, 2.5])), special.gammaln([-0.5, 2.5]))


def test_few_and_many_log_gammas_are_the_same():
    x = np.geomspace(1e-3, 300.0, 50)[:, None]
    np.testing.assert_allclose(lgamma(x)[:, 0], lgamma(np.tile(x, (1, 9)))[:, 3], rtol=1e-13, atol=2e-14)
