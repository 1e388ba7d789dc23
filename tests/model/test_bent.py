"""Coordinates of the bends that follow the runs: the same posterior, near standard normal."""

import numpy as np
import pytest
from small_runs import small_runs
from test_model_contract import central_difference

from bayescale.model.bent import bent
from bayescale.model.density import Density, with_middle
from bayescale.model.drift import WEIGHTS, conditional
from bayescale.model.misfit import with_drift
from bayescale.model.small_matrices import rows_times
from bayescale.model.spec import specify

CASES = {"student_t": "chinchilla", "normal": "power_compute", "laplace": "chinchilla"}


def coordinates(noise, errors=False):
    law = CASES[noise]
    runs = small_runs(law)
    if errors:
        runs = runs.frame.assign(value_se=0.01 * runs.frame["value"])
    spec = with_drift(specify(runs_of(runs), law, noise=noise), "drift")
    return bent(with_middle(Density(spec)))


def runs_of(runs):
    import bayescale as bs

    return bs.read_runs(runs) if hasattr(runs, "assign") else runs


def points_near(found, count=3, seed=0):
    return found.top + 0.1 * np.random.default_rng(seed).standard_normal((count, found.dim))


@pytest.mark.parametrize("errors", [False, True])
@pytest.mark.parametrize("noise", CASES)
def test_the_posterior_is_that_of_the_density_with_the_jacobian_of_the_change(noise, errors):
    found = coordinates(noise, errors)
    density, bends = found.density, found.density.spec.structure.drift
    inner = list(found.inner)

    def own_coordinates(p):
        """The density's own coordinates of the weights."""
        blocks = found.blocks(p)
        middle, width = conditional(bends, blocks)
        return (blocks[WEIGHTS] - middle) / width

    for p in points_near(found):
        q = p.copy()
        q[inner] = own_coordinates(p)
        steps = 1e-6 * np.eye(found.dim)[inner]
        moved = [(own_coordinates(p + h) - own_coordinates(p - h)) / 2e-6 for h in steps]
        log_jacobian = np.linalg.slogdet(np.stack(moved))[1]
        np.testing.assert_allclose(found(p), density(q) + log_jacobian, rtol=1e-7)


@pytest.mark.parametrize("noise", CASES)
def test_slopes_are_those_of_differences_and_many_points_are_worth_one_by_one(noise):
    found = coordinates(noise)
    points = points_near(found)
    np.testing.assert_allclose(found(points), [found(p) for p in points], rtol=1e-10)
    np.testing.assert_allclose(
        found.gradient(points[0])[1], central_difference(found, points[0]), rtol=2e-4, atol=2e-3
    )


def test_a_point_carried_there_and_back_is_where_it_was():
    found = coordinates("student_t")
    q = with_middle(found.density).flatten(found.blocks(found.top))
    blocks = found.density.blocks(q)
    np.testing.assert_allclose(found.flatten(q, blocks), found.top, rtol=1e-6, atol=1e-8)


def test_jax_gives_the_same_density():
    jax = pytest.importorskip("jax")
    found = coordinates("student_t")
    with jax.enable_x64(True):
        for p in points_near(found, 2):
            np.testing.assert_allclose(float(jax.jit(found)(p)), found(p), rtol=1e-9)


def test_given_the_others_the_coordinates_are_near_standard_normal():
    """Whatever the size of the drift and the scatter: the curvature along each is near 1."""
    found = coordinates("normal")
    for shift in (-1.0, 0.0, 1.0):
        p = found.top.copy()
        p[found.names.index("drift")] += shift
        p[found.names.index("sigma")] += 0.5 * shift
        p[list(found.inner)] = 0.0
        step = 0.05 * np.eye(found.dim)[list(found.inner)]
        bend = -(found(p + step) + found(p - step) - 2 * found(p)) / 0.05**2
        np.testing.assert_allclose(bend, 1.0, atol=0.02)


@pytest.mark.parametrize("n_rows", [1, 7, 8, 150])
def test_rows_times_a_matrix_is_their_product_in_parts(n_rows):
    rng = np.random.default_rng(n_rows)
    rows, matrix = rng.standard_normal((n_rows, 240)), rng.standard_normal((240, 136))
    np.testing.assert_allclose(rows_times(rows, matrix), rows @ matrix, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(rows_times(1j * rows, matrix), 1j * rows @ matrix, rtol=1e-10, atol=1e-10)
