"""Walkers that move group by group, on a small normal hierarchy whose answer is known."""

from dataclasses import dataclass

import numpy as np
import pytest
from targets import gaussian

from bayescale.errors import InputError
from bayescale.inference.grouped import grouped
from bayescale.inference.shape import fitted
from bayescale.inference.target import Settings, Target

SHORT = Settings(draws=500, chains=4, random_seed=3, progressbar=False)


@dataclass(frozen=True)
class Placed:
    shared: np.ndarray
    common: np.ndarray

    def where(self, chosen, other):
        return Placed(
            np.where(chosen, other.shared, self.shared), np.where(chosen[:, None], other.common, self.common)
        )


@dataclass(frozen=True)
class Hierarchy:
    """Common (a, b) and groups q ~ N(a, 1): a ~ N(1, 2^2), exp(b) exponential."""

    n_rows: int = 10
    lean: float = 0.0
    n_free, n_groups, n_pooled = 1, 3, 2

    def guess(self):
        return np.array([-0.5, 1.0]), np.diag([1.0, 4.0])

    def place(self, c):
        return Placed(c[:, 0] - np.exp(c[:, 0]) - 0.5 * ((c[:, 1] - 1) / 2) ** 2, c)

    def of_groups(self, placed, q):
        away = q - placed.common[:, 1, None, None]
        return -0.5 * (away**2).sum(-1) + self.lean * away[..., 0]

    def blocks(self, common, q):
        return {"b": common[..., 0], "a": common[..., 1], "q": q}

    def compressed(self):
        return Hierarchy()


def target(parts):
    return Target((), lambda q: q, lambda q: (0.0, q), np.zeros((1, 1)), lambda: None, parts=lambda: parts)


def test_walkers_find_a_known_posterior():
    drawn = grouped(target(Hierarchy()), SHORT)
    assert drawn.named["q"].shape == (4, 500, 3, 2)
    worth = drawn.notes["effective"]
    assert worth > 100
    a, b, q = (drawn.named[k].reshape(2000, -1) for k in ("a", "b", "q"))
    assert abs(a.mean() - 1) < 5 * 2 / np.sqrt(worth)
    assert abs(a.std() - 2) < 5 * 2 / np.sqrt(2 * worth)
    assert abs(np.exp(b).mean() - 1) < 5 / np.sqrt(worth)
    assert np.abs(q.mean(0) - 1).max() < 5 * np.sqrt(5 / worth)
    assert abs(np.mean(np.exp(b) < 0.05) - (1 - np.exp(-0.05))) < 5 * np.sqrt(0.05 / worth)


def test_the_same_seed_gives_the_same_draws():
    one, two = (grouped(target(Hierarchy()), SHORT).named["a"] for _ in range(2))
    np.testing.assert_array_equal(one, two)


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
    assert drawn.notes["walkers"] == 16
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
    shape = fitted(c, rng.standard_normal((4000, 3, 2)), 2)
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
