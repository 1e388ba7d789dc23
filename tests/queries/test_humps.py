import numpy as np
import pytest

from bayescale.queries.humps import humps_of

RNG = np.random.default_rng(5)
ONE = {
    "normal": RNG.normal(size=4000),
    "heavy": RNG.standard_t(3, size=4000),
    "even": RNG.uniform(size=4000),
    "skewed": RNG.exponential(size=4000),
    "few": RNG.normal(size=20),
    "constant": np.full(500, 3.0),
    "normal, few hundred": RNG.normal(size=300),
}


@pytest.mark.parametrize("name", ONE)
def test_one_hump_is_one(name):
    assert set(humps_of(ONE[name])) == {0}


@pytest.mark.parametrize("share", [0.5, 0.9, 0.93])
@pytest.mark.parametrize("width", [0.01, 0.4])
def test_two_humps_are_told_apart_with_their_share(share, width):
    low = int(4000 * share)
    values = np.concatenate([RNG.normal(0, width, low), RNG.normal(4, width, 4000 - low)])
    found = humps_of(values)
    assert set(found) == {0, 1}
    assert np.mean(found == 0) == pytest.approx(share, abs=0.002)
    assert (found == (values > 2)).all()


def test_three_humps_are_counted_upwards():
    values = np.concatenate([RNG.normal(m, 0.2, 1000) for m in (8, 0, 4)])
    assert humps_of(values)[[0, 1000, 2000]].tolist() == [2, 0, 1]


def test_a_handful_of_strays_is_no_hump():
    assert set(humps_of(np.concatenate([RNG.normal(0, 1, 3960), RNG.normal(30, 0.1, 40)]))) == {0}


def test_a_shallow_valley_divides_nothing():
    assert set(humps_of(np.concatenate([RNG.normal(0, 1, 2000), RNG.normal(2.2, 1, 2000)]))) == {0}


def test_posteriors_of_one_hump_seldom_seem_two():
    assert sum(humps_of(np.random.default_rng(s).normal(size=1000)).max() > 0 for s in range(200)) == 0
