"""The group-by-group writing of a pooled posterior is the plain one in other coordinates."""

import numpy as np
import pytest
from small_runs import FAMILIES, small_runs

from bayescale.laws import find
from bayescale.model.by_group import ByGroup
from bayescale.model.density import Density
from bayescale.model.group_modes import fits_grouped, grouped
from bayescale.model.group_rows import chunked
from bayescale.model.misfit import with_drift
from bayescale.model.noise import Normal, StudentT
from bayescale.model.spec import specify
from bayescale.model.tangent import tangent_at
from bayescale.runs.read import read_runs

POOLS = {
    "all": "family",
    "floor": {"E": "family"},
    "amplitude and exponent": {"B": "family", "beta": "family"},
}


def family_runs():
    return small_runs(n=60, family=np.resize(np.array(FAMILIES), 60))


RNG = np.random.default_rng(0)


def points(parts, count=4):
    """Plausible points: spreads about a tenth, noise about its mode, the rest standard normal."""
    middle, covariance = parts.guess()
    common = middle + 0.5 * RNG.standard_normal((count, middle.size)) @ np.linalg.cholesky(covariance).T
    return common, 0.5 * RNG.standard_normal((count, parts.n_groups, parts.n_pooled))


def height(parts, common, q):
    placed = parts.place(common)
    of_groups, theta = parts.of_groups(placed, q)
    return placed.shared + (of_groups + parts.fit(placed, theta)[0]).sum(-1)


@pytest.mark.parametrize("noise", [StudentT(), StudentT(nu=5.0), Normal()], ids=str)
@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_the_density_is_that_of_the_plain_coordinates(pool, noise):
    spec = specify(family_runs(), "chinchilla", pool=pool, noise=noise)
    parts, plain = grouped(spec), Density(spec)
    common, q = points(parts)
    same_density(parts, plain, common, q, height(parts, common, q))


def same_density(parts, plain, common, q, found):
    def flat(v):
        q_there = v[:, common.shape[1] :].reshape(len(v), *q.shape[1:])
        return plain.flatten(parts.blocks(parts.unknowns(v[:, : common.shape[1]], q_there)))

    whole = np.concatenate([common, q.reshape(len(q), -1)], axis=1)
    step = 1e-6 * np.eye(whole.shape[1])
    for here, value in zip(whole, found, strict=True):
        jacobian = (flat(here + step) - flat(here - step)) / 2e-6
        expected = plain(flat(here[None]))[0] + np.linalg.slogdet(jacobian)[1]
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_the_density_with_a_drift_is_that_of_the_plain_coordinates(pool):
    spec = with_drift(specify(family_runs(), "chinchilla", pool=pool), "drift")
    parts, plain = grouped(spec), Density(spec)
    common, q = points(parts)
    same_density(parts, plain, common, q, height(parts, common, q))


def test_likelihood_by_group_is_that_of_the_rows():
    spec = specify(family_runs(), "chinchilla", pool="family")
    parts, plain = grouped(spec), Density(spec)
    common, q = points(parts)
    placed = parts.place(common)
    theta = parts.parameters(placed, q)[0]
    by_row = plain.log_likelihood(parts.blocks(parts.unknowns(common, q)))
    expected = [by_row[:, spec.index["family"] == g].sum(-1) for g in range(parts.n_groups)]
    found = parts.runs.log_likelihood(theta, placed.noise["sigma"], placed.noise["nu"])
    np.testing.assert_allclose(found, np.stack(expected, axis=-1), rtol=1e-10)


def test_likelihood_by_group_heeds_known_errors():
    table = family_runs().frame.assign(value_se=0.01)
    spec = specify(read_runs(table), "chinchilla", pool="family")
    runs = ByGroup(spec, "family")
    theta = np.tile(np.log([1.8, 0.4, 0.35, 0.4, 0.35]), (2, runs.n_groups, 1))
    found = runs.log_likelihood(theta, np.array([0.01, 0.02]), np.array([4.0, 9.0])).sum(-1)
    value = spec.structure.law(*spec.scaled, E=1.8, A=0.4, alpha=0.35, B=0.4, beta=0.35)
    expected = [
        spec.structure.noise.log_density(spec.value, value, spec.error, sigma=s, nu=n).sum()
        for s, n in ((0.01, 4.0), (0.02, 9.0))
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_compressed_and_exact_densities_agree_about_the_modes():
    parts = grouped(specify(family_runs(), "chinchilla", pool={"E": "family"}))
    common, q = points(parts, 6)
    common[:, : parts.n_free] = parts.guess()[0][: parts.n_free]
    common[:, parts.n_free :], q = 0.1 * common[:, parts.n_free :], 0.1 * q
    difference = height(parts, common, q) - height(parts.compressed(), common, q)
    np.testing.assert_allclose(difference - difference[0], 0.0, atol=0.3)


def test_tangent_coordinates_touch_the_link_scale_and_come_back():
    law = find("compression_power")
    origin = np.log([1.8, 0.5, 0.35, 0.5, 0.3, 4.0, 300.0, 700.0, 1500.0])
    tangent = tangent_at(law, (1.0, 1.0, 50.0, 150.0, 300.0), origin, "E")
    assert tangent.amplitudes == (3,)
    theta = origin + 0.05 * RNG.standard_normal((20, 9))
    x = tangent.to_x(theta)
    np.testing.assert_allclose(tangent.to_theta(x)[0], theta, rtol=1e-10, atol=1e-12)
    near = origin + 1e-4 * RNG.standard_normal((20, 9))
    np.testing.assert_allclose(tangent.to_x(near), near, atol=1e-6)
    assert np.abs(x - theta).max() > 1e-3


@pytest.mark.parametrize("held", [(), (0,), (1, 3), (2, 5)])
def test_parameters_lead_back_to_their_coordinates(held):
    origin = np.log([1.8, 0.5, 0.35, 0.5, 0.3, 4.0, 300.0, 700.0, 1500.0])
    tangent = tangent_at(find("compression_power"), (1.0, 1.0, 50.0, 150.0, 300.0), origin, "E")
    x = origin + 0.1 * RNG.standard_normal((40, 9))
    share = {at: RNG.uniform(0.01, 1.0, 40) for at in (0, 3) if at not in held}
    theta, log_jacobian = tangent.to_theta(x, {i: origin[i] for i in held}, share)
    there = np.isfinite(log_jacobian)
    assert there.sum() > 20
    back = tangent.from_theta(theta, {i: x[:, i] for i in held}, share)
    np.testing.assert_allclose(back[there], x[there], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("drift", [False, True], ids=["exact", "drift"])
@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_groups_keep_their_parameters_where_the_common_part_is_redrawn(pool, drift):
    spec = specify(family_runs(), "chinchilla", pool=pool)
    parts = grouped(with_drift(spec, "drift") if drift else spec)
    common, q = points(parts, 20)
    placed = parts.place(common)
    theta = parts.of_groups(placed, q)[1]
    np.testing.assert_allclose(parts.standard(placed, theta), q, rtol=1e-9, atol=1e-9)
    there, moved = parts.redrawn(placed, common, theta, np.random.default_rng(0))
    noise = slice(parts.n_free - parts.n_noise, parts.n_free)
    np.testing.assert_array_equal(moved[:, noise], common[:, noise])
    assert (moved[:, : parts.n_pooled] != common[:, : parts.n_pooled]).any(0).all()
    np.testing.assert_allclose(parts.of_groups(there, parts.standard(there, theta))[1], theta, rtol=1e-9)
    again = parts.place(moved)
    np.testing.assert_allclose(there.shared, again.shared, rtol=1e-12)
    np.testing.assert_allclose(there.effect, again.effect, rtol=1e-9, atol=1e-12)
    alone = [i for i in range(5) if i not in parts.form.pooled]
    np.testing.assert_allclose(there.theta[:, alone], placed.theta[:, alone], rtol=1e-12)


def test_a_coordinate_without_a_floor_has_no_density():
    tangent = tangent_at(find("chinchilla"), (1.0, 1.0), np.log([0.1, 0.5, 0.3, 0.5, 0.3]), "E")
    x = tangent.origin.copy()
    x[1] += 2.0
    x[0] -= 20.0
    assert tangent.to_theta(x)[1] == -np.inf


@pytest.mark.parametrize("count", [[5, 1, 300, 77], [84] * 12, [1] * 40, [0, 3, 2], [70_000, 12]])
def test_chunks_hold_every_run_once_and_few_places_are_empty(count):
    edges = np.concatenate([[0], np.cumsum(count)])
    value = np.arange(edges[-1]) + 1.0
    rows = chunked((value,), value, None, np.empty((value.size, 0)), edges, np.zeros(len(count)))
    of_group = np.zeros(len(count))
    np.add.at(of_group, rows.group, (rows.value * rows.here).sum(-1))
    np.testing.assert_allclose(of_group, [value[a:b].sum() for a, b in zip(edges, edges[1:], strict=False)])
    np.testing.assert_array_equal(rows.here.sum(), value.size)
    assert rows.here.size <= 1.35 * value.size


def test_forms_are_equal_where_studies_differ_in_numbers_only():
    one = grouped(specify(family_runs(), "chinchilla", pool="family")).form
    other = grouped(
        specify(small_runs(n=50, family=np.resize(np.array(FAMILIES), 50)), "chinchilla", pool="family")
    )
    third = grouped(specify(family_runs(), "chinchilla", pool={"E": "family"}))
    assert one == other.form
    assert hash(one) == hash(other.form)
    assert one != third.form


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        ({"pool": "family"}, True),
        ({}, False),
        ({"pool": {"E": "family", "sigma": "family"}}, False),
        ({"pool": "family", "noise": "laplace"}, False),
    ],
)
def test_which_studies_are_sampled_by_group(options, fits):
    assert fits_grouped(specify(family_runs(), "chinchilla", **options)) is fits
