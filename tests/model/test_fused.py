"""Compiled loops find what NumPy does."""

import numpy as np
import pytest
from small_runs import FAMILIES, small_runs

from bayescale.inference.moves import Walk
from bayescale.laws import law
from bayescale.laws.law import Amplitude, Irreducible
from bayescale.laws.straight import Tape
from bayescale.model import by_group
from bayescale.model.by_group import looked
from bayescale.model.fused import Fused, fused
from bayescale.model.group_loops import points_loop
from bayescale.model.group_modes import grouped
from bayescale.model.lanes import LANES, bound, compiled
from bayescale.model.misfit import with_drift
from bayescale.model.noise import Normal, StudentT
from bayescale.model.spec import specify
from bayescale.runs.read import read_runs
from bayescale.simulated_compression import simulate_compression

RNG = np.random.default_rng(0)
WALKERS = LANES + 5  # one full block of lanes, and a short one


def chinchilla(known=False, drift=False, **options):
    table = small_runs(n=60, family=np.resize(np.array(FAMILIES), 60)).frame
    spec = specify(read_runs(table.assign(value_se=0.004) if known else table), "chinchilla", **options)
    return with_drift(spec, "drift") if drift else spec


def compression():
    runs = simulate_compression("four", families=3, runs=20)
    return specify(runs, "compression_power", pool="family")


STUDIES = {
    "all pooled": lambda: chinchilla(pool="family"),
    "two pooled, normal, known errors": lambda: chinchilla(
        True, pool={"E": "family", "B": "family"}, noise=Normal()
    ),
    "floor pooled, fixed tails, known errors": lambda: chinchilla(
        True, pool={"E": "family"}, noise=StudentT(nu=5.0)
    ),
    "with a drift": lambda: chinchilla(drift=True, pool="family"),
    "four modalities": compression,
}


def points(parts, count=WALKERS):
    middle, covariance = parts.guess()
    common = middle + 0.5 * RNG.standard_normal((count, middle.size)) @ np.linalg.cholesky(covariance).T
    return common, 0.5 * RNG.standard_normal((count, parts.n_groups, parts.n_pooled))


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_the_density_and_the_unknowns_are_those_of_numpy(study):
    plain = grouped(study())
    assert not isinstance(plain, Fused)
    common, q = points(plain)
    for parts in (plain, plain.compressed()):
        quick = fused(parts)
        assert isinstance(quick, Fused)
        one, other = Walk(parts), Walk(quick)
        np.testing.assert_allclose(other.heights(common, q), one.heights(common, q), rtol=1e-9, atol=1e-8)
        expected = one.blocks(common, q)
        for name, value in other.blocks(common, q).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-8, atol=1e-10)
        placed = quick.place(common)
        theta = quick.of_groups(placed, q)[1]
        fit, away = quick.fit(placed, theta)
        np.testing.assert_allclose(quick.standard(placed, theta), q, rtol=1e-8, atol=1e-8)
        there, moved = quick.redrawn(placed, common, theta, np.random.default_rng(0))
        kept = quick.of_groups(there, quick.standard(there, theta))[1]
        np.testing.assert_allclose(kept, theta, rtol=1e-9, atol=1e-9)
        expected_moved = parts.redrawn(parts.place(common), common, theta, np.random.default_rng(0))[1]
        np.testing.assert_allclose(moved, expected_moved, rtol=1e-7, atol=1e-7)
        noisier = quick.renoised(placed, common + 0.1)
        np.testing.assert_allclose(
            quick.refit(noisier, theta, away), quick.fit(noisier, theta)[0], rtol=1e-10
        )
        np.testing.assert_allclose(quick.refit(placed, theta, away), fit, rtol=1e-10)
        np.testing.assert_allclose(fit, parts.fit(parts.place(common), theta)[0], rtol=1e-8, atol=1e-8)


def test_where_there_is_no_floor_or_no_number_there_is_no_density():
    plain = grouped(chinchilla(pool="family"))
    quick = fused(plain)
    common, q = points(plain)
    common[::2, 0] += 60.0
    q[1::4] *= 1e3
    with np.errstate(all="ignore"):
        expected, found = Walk(plain).heights(common, q), Walk(quick).heights(common, q)
    lost = found == -np.inf
    assert lost.any()
    np.testing.assert_allclose(found[~lost], expected[~lost], rtol=1e-8)
    assert (expected[lost] < expected.max() - 1e3).all()  # tails so far out overflow sooner here


def test_a_law_that_branches_is_left_to_numpy():
    @law(name="branching", inputs=("n_params",))
    def branching(n, *, E: Irreducible, A: Amplitude):
        return E + A / np.where(np.sin(n) > 2, n, n**0.5)

    table = small_runs(n=60, family=np.resize(np.array(FAMILIES), 60))
    plain = grouped(specify(table, branching, pool="family"))
    assert fused(plain) is plain


@pytest.mark.parametrize("options", [{"drift": True}, {"known": True, "noise": Normal()}], ids=str)
def test_what_runs_say_is_what_numpy_finds(options, monkeypatch):
    runs = grouped(chinchilla(pool="family", **options)).runs
    theta = np.log([1.8, 0.4, 0.35, 0.4, 0.35]) + 0.05 * RNG.standard_normal((runs.n_groups, 5))
    nu = None if "noise" in options else 5.0
    expected = looked(runs, theta, 0.02, nu, drifting="drift" in options)
    monkeypatch.setattr(by_group, "_COMPILED", 0)
    found = looked(runs, theta, 0.02, nu, drifting="drift" in options)
    here = runs.chunks.here > 0
    np.testing.assert_allclose(found[1][here], expected[1][here], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found[0].information, expected[0].information, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(found[0].pull, expected[0].pull, rtol=1e-6, atol=1e-4)


SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 1e300, 1e-17, -1e-17, 3e-5, 700.0, -700.0, 720.0, -750.0, np.inf]
    + [-np.inf, np.nan, 2.0**-0.5, 1 - 1e-16, 1.0 + 1e-15, -0.3, 40.0, 5e-324]
)


@pytest.mark.parametrize("name", ["exp", "log", "log1p", "expm1", "sqrt"])
def test_functions_of_one_number_are_exact_to_rounding(name):
    tape = Tape()
    (p,) = tape.inputs("p", 1)
    (x,) = tape.inputs("x", 1)
    pieces = compiled(tape.steps([getattr(np, name)(p * x)]), 1)
    values = np.concatenate([SPECIAL, RNG.standard_normal(200), np.exp(30 * RNG.standard_normal(200))])
    for part in np.resize(values, (-(-values.size // LANES), LANES)):
        s = np.zeros(pieces.size * LANES)
        s[:LANES] = part
        pieces.before(s)
        pieces.piece(np.ones(len(pieces.alike.results)), s)
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(part)
        tiny = np.abs(part) < 1e-300  # below the least normal number, where logs are infinite here
        found = np.where(tiny, expected, s[LANES : 2 * LANES])
        np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-300)


def test_the_larger_and_the_smaller_pass_on_what_is_no_number():
    tape = Tape()
    p = tape.inputs("p", 2)
    (x,) = tape.inputs("x", 1)
    pieces = compiled(tape.steps([np.maximum(p[0], p[1] * x), np.minimum(p[0] * x, p[1])]), 2)
    a, b = np.resize([1.0, 3.0, np.nan, 2.0, -np.inf], LANES), np.resize([2.0, 1.0, 1.0, np.nan, 0.0], LANES)
    s = np.zeros(pieces.size * LANES)
    s[:LANES], s[LANES : 2 * LANES] = a, b
    pieces.before(s)
    pieces.piece(np.ones(1), s)
    np.testing.assert_array_equal(s[2 * LANES : 3 * LANES], np.maximum(a, b))
    np.testing.assert_array_equal(s[3 * LANES : 4 * LANES], np.minimum(a, b))


@pytest.mark.parametrize(("folder", "kept"), [("", False), ("elsewhere", True)])
def test_loops_are_kept_for_the_next_process_unless_told_not_to(folder, kept, monkeypatch):
    monkeypatch.setenv("BAYESCALE_CACHE", folder)
    loop = bound(points_loop, "as told")
    assert (type(loop._cache).__name__ != "NullCache") is kept
