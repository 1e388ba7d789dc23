"""Walkers that move group by group, on a small normal hierarchy whose answer is known."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.stats import chi2
from targets import gaussian

from bayescale.errors import InputError
from bayescale.inference import grouped as walkers
from bayescale.inference.grouped import by_chance, grouped
from bayescale.inference.moves import Walk
from bayescale.inference.shape import first_shape, fitted
from bayescale.inference.target import Settings, Target
from bayescale.laws.elementwise import exp

SHORT = Settings(draws=500, chains=4, random_seed=3, progressbar=False)


class Placed(NamedTuple):
    shared: Any
    common: Any
    of_noise: Any


@dataclass(frozen=True)
class Hierarchy:
    """Common (b, s, a) and groups q ~ N(a, 1): exp(b) exponential, s ~ N(0, 1), a ~ N(1, 2^2)."""

    n_rows: int = 10
    lean: float = 0.0
    n_free, n_noise, n_common, n_groups, n_pooled = 2, 1, 3, 3, 2

    @property
    def group_of_run(self):
        return np.array([0, 1, 1, 2])

    def guess(self):
        return np.array([-0.5, 0.0, 1.0]), np.diag([1.0, 1.0, 4.0])

    def place(self, c):
        height = c[:, 0] - exp(c[:, 0]) - 0.5 * ((c[:, 2] - 1) / 2) ** 2
        return self.renoised(Placed(height, c, 0.0 * height), c)

    def renoised(self, placed, c):
        of_noise = -0.5 * c[:, 1] ** 2
        return placed._replace(shared=placed.shared + of_noise - placed.of_noise, of_noise=of_noise)

    def redrawn(self, placed, c, theta, rng):
        """Given theta = q - a, which hangs on neither, a and b are as if alone."""
        c = c.copy()
        c[:, 0] = np.log(rng.exponential(size=len(c)))
        c[:, 2] = 1 + 2 * rng.standard_normal(len(c))
        return self.place(c), c

    def standard(self, placed, theta):
        return theta + placed.common[:, 2, None, None]

    def of_groups(self, placed, q):
        away = q - placed.common[:, 2, None, None]
        return -0.5 * (away**2).sum(-1), away

    def fit(self, placed, theta):
        return self.lean * theta[..., 0], theta[:, self.group_of_run, 0].T.copy()

    def refit(self, placed, theta, away):
        np.testing.assert_array_equal(away, self.fit(placed, theta)[1])  # those of where the walkers are
        return self.fit(placed, theta)[0]

    def unknowns(self, common, q):
        return {"b": common[..., 0], "s": common[..., 1], "a": common[..., 2], "q": q}

    def blocks(self, unknowns):
        return unknowns

    def compressed(self):
        return Hierarchy()


def target(parts):
    return Target((), lambda q: q, lambda q: (0.0, q), np.zeros((1, 1)), lambda: None, parts=lambda: parts)


def test_walkers_find_a_known_posterior():
    drawn = grouped(target(Hierarchy()), SHORT)
    assert drawn.named["q"].shape == (4, 500, 3, 2)
    worth = drawn.notes["effective"]
    assert worth > 100
    a, b, s, q = (drawn.named[k].reshape(2000, -1) for k in ("a", "b", "s", "q"))
    assert abs(s.mean()) < 5 / np.sqrt(worth)
    assert abs(s.std() - 1) < 5 / np.sqrt(2 * worth)
    assert abs(a.mean() - 1) < 5 * 2 / np.sqrt(worth)
    assert abs(a.std() - 2) < 5 * 2 / np.sqrt(2 * worth)
    assert abs(np.exp(b).mean() - 1) < 5 / np.sqrt(worth)
    assert np.abs(q.mean(0) - 1).max() < 5 * np.sqrt(5 / worth)
    assert abs(np.mean(np.exp(b) < 0.05) - (1 - np.exp(-0.05))) < 5 * np.sqrt(0.05 / worth)


def test_walkers_are_where_their_state_says():
    rng = np.random.default_rng(0)
    parts = Hierarchy(lean=0.3)
    shape, walk = first_shape(*parts.guess(), 2, 1, 3, 2), Walk(parts)
    state = walk.begin(shape, rng.standard_normal((8, 3)), rng.standard_normal((8, 3, 2)))
    for _ in range(3):
        state, v, u, accepted = walk.moved(shape, state, rng)
        assert (accepted > 0).all()
        np.testing.assert_array_equal(v[-1], state.v)
        again = walk.begin(shape, state.v, state.u)
        for name in ("theta", "of_groups", "fit", "away", "log_volume", "weight"):
            np.testing.assert_allclose(getattr(state, name), getattr(again, name), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(state.placed.shared, again.placed.shared, rtol=1e-12)


@pytest.mark.parametrize(("degrees", "count"), [(63, 20), (63, 108), (15, 20), (15, 4500)])
def test_the_largest_by_chance_is_that_of_chi_square(degrees, count):
    expected = chi2.ppf(0.5 ** (1 / count), degrees) / degrees
    assert by_chance(degrees, count) == pytest.approx(expected, rel=0.01)


def test_the_same_seed_gives_the_same_draws():
    one, two = (grouped(target(Hierarchy()), SHORT).named["a"] for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_an_interrupt_after_a_longer_warm_up_keeps_the_draws_of_before(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    longer = walkers._refitted
    calls = []

    def refitted(walk, places):
        calls.append(len(places))
        if len(calls) > len(walkers._STAGES):  # that after the warm-up
            monkeypatch.setattr(Walk, "moved", interrupted)
        return longer(walk, places)

    monkeypatch.setattr(walkers, "_LENGTHS", 1e9)
    monkeypatch.setattr(walkers, "_refitted", refitted)
    drawn = grouped(target(Hierarchy()), SHORT)
    assert drawn.partial
    assert drawn.notes["moves"] > 0
    assert drawn.named["a"].shape == (4, 500)


def test_of_many_runs_the_compressed_density_is_certified_and_moved():
    drawn = grouped(target(Hierarchy(n_rows=200_000, lean=0.1)), SHORT)
    assert drawn.notes["compressed"]
    assert drawn.notes["checked"] == 200
    away = (drawn.named["q"] - drawn.named["a"][..., None, None]).reshape(2000, 3, 2).mean(0)
    np.testing.assert_allclose(away[:, 0], 0.1, atol=0.1)
    np.testing.assert_allclose(away[:, 1], 0.0, atol=0.1)


def test_of_many_runs_a_wrong_compressed_density_is_refused_and_the_exact_one_walked():
    drawn = grouped(target(Hierarchy(n_rows=5_000, lean=2.0)), SHORT)
    assert not drawn.notes["compressed"]
    assert drawn.notes["walkers"] == 32
    away = (drawn.named["q"] - drawn.named["a"][..., None, None])[..., 0]
    assert abs(away.mean() - 2.0) < 0.2


def test_a_study_of_another_form_is_refused():
    with pytest.raises(InputError, match=r"pooled over one column.*engine='auto'"):
        grouped(gaussian(3)[0], SHORT)


def test_a_shape_returns_and_knows_its_volume():
    rng = np.random.default_rng(0)
    c = np.c_[
        np.log(rng.exponential(size=4000)), 0.1 * rng.standard_normal(4000), rng.standard_normal((4000, 2))
    ]
    shape = fitted(c, rng.standard_normal((4000, 3, 2)), 2, 1)
    v = 2.0 * rng.standard_normal((6, 4))
    levels, log_volume = shape.common(v)
    np.testing.assert_allclose(shape.of_common(levels), v, atol=1e-9)
    u = rng.standard_normal((6, 3, 2))
    np.testing.assert_allclose(shape.of_q(shape.q(u)), u, atol=1e-12)
    step = 1e-6 * np.eye(4)
    numeric = [
        np.linalg.slogdet((shape.common(p + step)[0] - shape.common(p - step)[0]) / 2e-6)[1] for p in v
    ]
    np.testing.assert_allclose(log_volume - numeric, (log_volume - numeric)[0], atol=1e-6)


def test_draws_that_stood_still_in_a_tail_do_not_make_it_short():
    rng = np.random.default_rng(0)
    c = rng.standard_normal((4000, 3))
    c[np.argsort(c[:, 1])[:200], 1] = -1.7  # the noise
    shape = fitted(c, rng.standard_normal((4000, 3, 2)), 2, 1)
    far = shape.common(np.linalg.solve(shape.root, np.array([[0.0, -4.0, 0.0]]).T).T)[0][0, 1]
    assert far < -3.5
