"""Ten thousand scales are answered by a quicker way; these hold it to the plain one."""

import warnings

import numpy as np
import pytest
from made_posterior import made_posterior, made_runs

import bayescale as bs
from bayescale.laws import Amplitude, Exponent, Irreducible, registered
from bayescale.laws.addends import is_sum_over_inputs
from bayescale.laws.law import Law
from bayescale.queries import bands, by_rows
from bayescale.queries.bands import quantiles, quantiles_of_sums
from bayescale.queries.series import as_series, product

NAMES = ("median", "lower", "upper", "mean")


@pytest.fixture(autouse=True)
def _far_is_fine():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bs.BayescaleWarning)
        yield


@pytest.fixture(scope="module")
def drifting():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bs.BayescaleWarning)
        off = np.exp(0.01 * np.random.default_rng(0).standard_normal(24))
        runs = made_runs(value=made_runs().frame["value"].to_numpy() * off)
        return bs.fit(runs, "chinchilla", noise="normal", draws=100, random_seed=0, progressbar=False)


def scattered(rows=1300, seed=3):
    rng = np.random.default_rng(seed)
    return {"n_params": 10 ** rng.uniform(7, 13, rows), "n_tokens": 10 ** rng.uniform(8, 14, rows)}


def plainly(monkeypatch, *args, **options):
    """The answer with every row evaluated by itself."""
    with monkeypatch.context() as here:
        here.setattr(by_rows, "is_sum_over_inputs", lambda law: False)
        return bs.predict(*args, **options)


def agree(found, plain):
    for name in NAMES:
        np.testing.assert_allclose(found[name], plain[name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("kind", ["curve", "run"])
def test_a_law_by_its_series_is_the_law_row_by_row(monkeypatch, kind):
    study, series = made_posterior(), []
    monkeypatch.setattr(by_rows, "as_series", lambda *args: series.append(as_series(*args)) or series[-1])
    found = bs.predict(study, scattered(), kind=kind)
    assert len(series) == 1
    assert len(series[0].coefficients) < 40
    agree(found, plainly(monkeypatch, study, scattered(), kind=kind))


@pytest.mark.parametrize("kind", ["curve", "run"])
def test_so_is_a_law_that_drifts(monkeypatch, drifting, kind):
    found = bs.predict(drifting, scattered(), kind=kind)
    agree(found, plainly(monkeypatch, drifting, scattered(), kind=kind))


def test_quantiles_of_a_law_that_drifts_are_those_of_its_draws(drifting):
    found = bs.predict(drifting, scattered(), kind="curve")
    draws = bs.predict_draws(drifting, scattered(), kind="curve").values
    for name, edge in (("lower", 0.05), ("median", 0.5), ("upper", 0.95)):
        np.testing.assert_allclose(found[name], np.quantile(draws, edge, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["mean"], draws.mean(0), rtol=1e-12)


@pytest.mark.parametrize("shuffled", [False, True])
def test_groups_large_and_small_may_stand_in_any_order(monkeypatch, shuffled):
    study = made_posterior({"alpha": "family", "E": "family"})
    labels = np.array(["llama"] * 620 + ["new: a"] * 600 + ["olmo"] * 70 + ["new: b"] * 10)
    if shuffled:
        labels = np.random.default_rng(0).permutation(labels)
    asked = scattered() | {"family": labels}
    found = bs.predict(study, asked, kind="curve")
    assert list(found["family"].values) == list(labels)
    agree(found, plainly(monkeypatch, study, asked, kind="curve"))
    draws = bs.predict_draws(study, asked, kind="curve").values
    np.testing.assert_allclose(found["upper"], np.quantile(draws, 0.95, axis=0), rtol=1e-12)


def test_an_average_of_laws_too(monkeypatch):
    members = {"one": made_posterior(seed=1), "two": made_posterior(seed=2)}
    both = bs.average(members, weights={"one": 0.6, "two": 0.4}, progressbar=False)
    agree(bs.predict(both, scattered()), plainly(monkeypatch, both, scattered()))


def test_inputs_that_are_the_same_in_all_rows_are_no_axis(monkeypatch):
    study = made_posterior()
    for fixed in ("n_params", "n_tokens", "both"):
        asked = scattered()
        asked |= {k: np.full(1300, 1e10) for k in asked if fixed in (k, "both")}
        agree(bs.predict(study, asked, kind="curve"), plainly(monkeypatch, study, asked, kind="curve"))


def test_which_laws_are_sums_over_their_inputs():
    sums = {name for name, law in registered().items() if is_sum_over_inputs(law)}
    assert {"chinchilla", "chinchilla_shared", "overtraining", "power_compute", "learning_curve"} <= sums
    # Products of inputs, conditions, and inputs that meet within a power.
    assert (
        not {"kaplan", "farseer", "data_constrained", "mixed_modal", "compression_power", "bnsl_one"} & sums
    )


def as_law(formula):
    letters = {"E": Irreducible, "B": Amplitude, "beta": Exponent}
    formula.__annotations__ = {k: letters[k] for k in formula.__kwdefaults__ or letters}
    return Law("made", formula, ("n_params", "n_tokens"), {k: None for k in letters})


@pytest.mark.parametrize(
    "formula",
    [
        lambda n, d, *, E, B, beta: E + B * (n + d) ** -beta,
        lambda n, d, *, E, B, beta: E + B * n**-beta * d,
        lambda n, d, *, E, B, beta: E / n + (B if d > 1 else E),
        lambda n, d, *, E, B, beta: E + B * np.maximum(d, 1.0) ** -beta,
        lambda n, d, *, E, B, beta: E + B * np.where(n > 2, n, 2.0) ** -beta,
        lambda n, d, *, E, B, beta: E + abs(n) * B,
        lambda n, d, *, E, B, beta: np.array([1.0, 2.0]) * n + d,
        lambda n, d, *, E, B, beta: (E + n) / (B + d),
        lambda n, d, *, E, B, beta: float(n) + d,
    ],
)
def test_what_is_no_smooth_sum_is_not_taken_for_one(formula):
    assert not is_sum_over_inputs(as_law(formula))


def test_what_is_a_sum_is_found_however_it_is_written():
    assert is_sum_over_inputs(as_law(lambda n, d, *, E, B, beta: -(-E - (B * n**-beta)) + np.log(d) / beta))
    assert is_sum_over_inputs(as_law(lambda n, d, *, E, B, beta: B * (E + n**beta - 2 * d) / 3 + n))


@pytest.mark.parametrize("function", [lambda x: 1 / (1 + (1e3 * (x - 2)) ** 2), lambda x: np.log(x - 1)])
def test_a_series_that_is_not_exact_is_none(function):
    asked = {"n_tokens": np.linspace(1.0, 3.0, 700)}
    with np.errstate(all="ignore"):
        assert as_series(lambda here: function(here["n_tokens"])[None] * np.ones((5, 1)), asked) is None


@pytest.mark.parametrize("size", [1, 2, 3, 10, 41, 1000])
@pytest.mark.parametrize("edges", [[0.05, 0.5, 0.95], [0.5], [0.495, 0.5, 0.505], [0.0, 1.0], [0.9, 0.1]])
def test_quantiles_by_partition_are_those_of_numpy(size, edges):
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((7, size))
    draws[0], draws[1] = 1.0, np.round(draws[1])  # all alike, and ties
    expected = np.quantile(draws, edges, axis=1)
    np.testing.assert_allclose(quantiles(draws.copy(), edges), expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(quantiles(np.asfortranarray(draws), edges), expected, rtol=1e-13, atol=1e-15)


def test_quantiles_leave_draws_that_may_not_be_written():
    shared = np.broadcast_to(np.random.default_rng(0).standard_normal(50), (3, 50))
    np.testing.assert_allclose(quantiles(shared, [0.3])[0], np.quantile(shared[0], 0.3))


@pytest.mark.parametrize("shape", [(1, 1, 1), (75, 27, 4000), (3, 5, 4001), (1000, 300, 17)])
def test_a_product_by_parts_is_the_product(shape):
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal(shape[:2]), rng.standard_normal(shape[1:])
    np.testing.assert_allclose(product(left, right), left @ right, rtol=1e-10, atol=1e-12)


def drawn(rows, samples, *, apart, terms=4, seed=0):
    """Terms of neighbouring rows, and coefficients of draws."""
    rng = np.random.default_rng(seed)
    neighbours = rng.standard_normal(terms) + apart * rng.standard_normal((rows, terms))
    return neighbours, rng.standard_normal((terms, samples))


@pytest.mark.parametrize("apart", [0.0, 1e-3, 0.05, 1.0])
@pytest.mark.parametrize("samples", [1, 2, 7, 999])
@pytest.mark.parametrize("edges", [(0.05, 0.5, 0.95), (0.0, 1.0), (0.3,)])
def test_quantiles_from_few_draws_are_those_of_all(apart, samples, edges):
    for seed in range(5):
        terms, coefficients = drawn(60, samples, apart=apart, seed=seed)
        found = quantiles_of_sums(terms, coefficients, edges)
        np.testing.assert_allclose(
            found, np.quantile(terms @ coefficients, edges, axis=1), rtol=0, atol=1e-13
        )


def test_so_they_are_with_ties_and_with_one_draw_far_beyond_the_others():
    terms, coefficients = drawn(60, 500, apart=0.01)
    coefficients[:, 100:300] = coefficients[:, :1]
    coefficients[:, 7] *= 1e200
    found = quantiles_of_sums(terms, coefficients, (0.05, 0.5, 0.95))
    plain = np.quantile(terms @ coefficients, (0.05, 0.5, 0.95), axis=1)
    np.testing.assert_allclose(found, plain, rtol=1e-12)


def test_few_draws_are_evaluated_where_rows_are_near(monkeypatch):
    evaluated = []
    monkeypatch.setattr(
        bands, "product", lambda a, b: evaluated.append(a.shape[0] * b.shape[1]) or product(a, b)
    )
    terms, coefficients = drawn(500, 2000, apart=1e-4)
    quantiles_of_sums(terms, coefficients, (0.05, 0.5, 0.95))
    assert sum(evaluated) < 0.05 * 500 * 2000


def test_every_row_is_in_one_tile_and_tiles_are_small():
    scales = {k: np.asarray(v) for k, v in scattered(5000).items()} | {"flops": np.ones(5000)}
    rows = np.arange(5000)[::-1]
    tiles = by_rows._tiles(rows, scales)
    np.testing.assert_array_equal(np.sort(np.concatenate(tiles)), np.arange(5000))
    sides = [np.ptp(np.log10(scales["n_params"][tile])) for tile in tiles]
    assert np.median(sides) < 2.0
