"""Every law goes through the same few tests. A new law costs one row of LAWS."""

import math
import re
from importlib.resources import files

import numpy as np
import pytest
from examples_further import FURTHER
from law_example import C, D, Example, N, U
from scipy.optimize import brentq

from bayescale.laws import Law, find, registered
from bayescale.laws.pure import pure_range
from bayescale.laws.scaling import infer_scaling, reference_homes

V = (1.0, 16.0, 144.0, 768.0)
T = {  # raw bytes of text, audio, images and video
    "text": (1.2e10, 1e11, 4e11, 1.2e12),
    "audio": (2e12, 1.6e12, 5e13, 3e12),
    "image": (9e12, 7.7e13, 2e12, 2.3e14),
    "video": (5e12, 6e13, 4e14, 9e13),
}
FACTORS = {"C_text": 4.2, "C_audio": 320.0, "C_image": 768.0, "C_video": 1500.0}


def m4_by_bisection(x, E, span, B, c, alpha):
    """Root of the equation as its paper prints it, c negative and beta in place of B."""
    top, beta = E + span, B * span**-alpha
    return brentq(lambda e: math.log((e - E) / (top - e) ** alpha / (beta * x**-c)), E + 1e-12, top - 1e-12)


def data_constrained_in_words(n, d, u, E, A, alpha, B, beta, RD, RN):
    u = min(u, d)
    g = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    base = min(n, (u * g) ** (beta / alpha) * g)
    data = u + u * RD * (1 - math.exp(-(d / u - 1) / RD))
    size = base + base * RN * (1 - math.exp(-(n / base - 1) / RN))
    return E + A / size**alpha + B / data**beta


def bnsl_in_words(x, E, B, c0, *breaks):
    product = math.prod((1 + (x / d) ** (1 / f)) ** (-c * f) for c, d, f in breaks)
    return E + B * x**-c0 * product


def tokens_of(raw, parameters):
    """Tokens of each modality that a run has."""
    factors = (parameters[f"C_{m}"] for m in T)
    return {m: t / c for m, t, c in zip(T, raw, factors, strict=True) if t}


def some_without(modality, *rows):
    """Raw bytes of each modality, none of one modality in some rows."""
    columns = {m: list(column) for m, column in T.items()}
    for row in rows:
        columns[modality][row] = 0.0
    return tuple(tuple(column) for column in columns.values())


MUENNIGHOFF = {
    "E": math.exp(0.6254804),
    "A": math.exp(6.255414),
    "B": math.exp(7.3049974),
    "alpha": 0.3526596,
}

LAWS = {
    "power_params": Example(  # images of 8 by 8 pixels, Henighan et al., table 1
        (N,),
        {"E": 3.12, "A": 80.0**0.24, "alpha": 0.24},
        lambda n, E, A, alpha: E + (A ** (1 / alpha) / n) ** alpha,
        limit=lambda p: p["E"],
    ),
    "power_data": Example(
        (D,),
        {"E": 1.8, "B": 2085.4, "beta": 0.3658},
        lambda d, E, B, beta: E + B / d**beta,
        limit=lambda p: p["E"],
    ),
    "power_compute": Example(  # images of 8 by 8 pixels; petaflop-days into FLOPs
        (C,),
        {"E": 3.13, "K": (1.8e-8 * 8.64e19) ** 0.19, "gamma": 0.19},
        lambda c, E, K, gamma: E + (1.8e-8 / (c / 8.64e19)) ** gamma,
        limit=lambda p: p["E"],
    ),
    "log_linear": Example(
        (C,),
        {"a": 2.9, "b": -0.045},
        lambda c, a, b: a + b * math.log(c),
    ),
    "chinchilla": Example(
        (N, D),
        {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28},
        lambda n, d, E, A, alpha, B, beta: E + A / n**alpha + B / d**beta,
        limit=lambda p: p["E"],
        published={(70e9, 1.4e12): 1.9366},
    ),
    "chinchilla_shared": Example(
        (N, D),
        MUENNIGHOFF,
        lambda n, d, E, A, B, alpha: E + A / n**alpha + B / d**alpha,
        limit=lambda p: p["E"],
    ),
    "overtraining": Example(
        (N, D),
        {"E": 1.508, "a": 120.0, "b": 190.0, "alpha": 0.2425},
        lambda n, d, E, a, b, alpha: (
            E + (a * (d / n) ** (alpha / 2) + b * (d / n) ** (-alpha / 2)) * (6 * n * d) ** (-alpha / 2)
        ),
        limit=lambda p: p["E"],
    ),
    "kaplan": Example(
        (N, D),
        {"A": 6.4e13**0.076, "alpha": 0.076, "B": 1.8e13**0.103, "beta": 0.103},
        lambda n, d, A, alpha, B, beta: ((6.4e13 / n) ** (alpha / beta) + 1.8e13 / d) ** beta,
        limit=lambda p: 0.0,
    ),
    "farseer": Example(
        (N, D),
        {
            "E": math.exp(-0.091),
            "a3": -0.021,
            "gamma": 0.169,
            "B": math.exp(-6.287),
            "a2": 88.01,
            "beta": 0.1,
            "k": math.exp(0.424),
            "a1": -0.124,
            "alpha": 0.123,
            "P": 1.0,
        },
        lambda n, d, **_: (
            math.exp(-0.021 * n**0.169 - 0.091)
            + math.exp(88.01 * n**-0.1 - 6.287) * d ** -math.exp(-0.124 * n**0.123 + 0.424)
        ),
    ),
    "data_constrained": Example(
        (N, D, U),
        MUENNIGHOFF | {"beta": 0.3526596, "RD": 15.387756, "RN": 5.309743},
        data_constrained_in_words,
        limit=lambda p: p["E"],
        published={
            (6.34e9, 242e9, 25e9): 2.2256440889984477,
            (8.67e9, 178e9, 25e9): 2.2269634075087867,
        },
    ),
    "m3": Example(
        (D,),
        {"B": 60.0, "c": 0.14, "S": 2e11},
        lambda x, B, c, S: B * (x**-1 + 1 / S) ** c,
        limit=lambda p: p["B"] * p["S"] ** -p["c"],
    ),
    "m4": Example(
        (D,),
        {"E": 0.08, "span": 0.919, "B": 2e5, "c": 0.57, "alpha": 1.4},
        m4_by_bisection,
        limit=lambda p: p["E"],
    ),
    "bnsl_one": Example(
        (D,),
        {"E": 0.3, "B": 12.0, "c0": 0.08, "c1": 0.4, "d1": 4e10, "f1": 0.3},
        lambda x, E, B, c0, c1, d1, f1: bnsl_in_words(x, E, B, c0, (c1, d1, f1)),
        limit=lambda p: p["E"],
    ),
    "bnsl_two": Example(
        (D,),
        {
            "E": 0.3,
            "B": 12.0,
            "c0": 0.08,
            "c1": 0.5,
            "d1": 9e9,
            "f1": 0.2,
            "c2": -0.3,
            "gap": 8.0,
            "f2": 0.6,
        },
        lambda x, E, B, c0, c1, d1, f1, c2, gap, f2: bnsl_in_words(
            x, E, B, c0, (c1, d1, f1), (c2, d1 * (1 + gap), f2)
        ),
        limit=lambda p: p["E"],
    ),
    "vision_tokens": Example(  # TextVQA with the question fused, read off the paper's figure
        (V,),
        {"c": 12.0, "alpha": -0.23},
        lambda n, c, alpha: c / n**alpha,
    ),
    "vision_tokens_crossover": Example(  # as printed, c there being the score at one token
        (V,),
        {"c": 12.0, "alpha": -0.12, "n_bal": 90.0},
        lambda n, c, alpha, n_bal: (
            c * (1 + 1 / n_bal) ** -alpha * (n * (n + n_bal) / (1 + n_bal)) ** (-2 * alpha / 2)
        ),
    ),
    "saturating_tokens": Example(
        (V,),
        {"S_inf": 0.62, "k": 0.5, "gamma": 0.4},
        lambda n, S_inf, k, gamma: S_inf - k / n**gamma,
        limit=lambda p: p["S_inf"],
    ),
    "tokens_params": Example(
        (N, V),
        {"D": 0.05, "A": 2.7, "alpha": 0.078, "beta": 0.0166},
        lambda n, t, D, A, alpha, beta: (A / n**alpha) * (1 / t**beta) + D,
        limit=lambda p: p["D"],
    ),
    "compression_sum": Example(
        (N, *T.values()),
        {"k0": 9.0, "k1": -0.06} | FACTORS,
        lambda n, *raw, k0, k1, **c: (
            k0 + k1 * (sum(math.log(t) for t in tokens_of(raw, c).values()) + math.log(n))
        ),
        ridge=True,
    ),
    "compression_slopes": Example(
        (N, *T.values()),
        {"k0": 9.0, "k_P": -0.08, "k_text": -0.07, "k_audio": 0.01, "k_image": -0.03, "k_video": -0.02}
        | FACTORS,
        lambda n, *raw, k0, k_P, **c: (
            k0 + sum(c[f"k_{m}"] * math.log(t) for m, t in tokens_of(raw, c).items()) + k_P * math.log(n)
        ),
        ridge=True,
    ),
    "compression_log": Example(
        (N, *some_without("text", 1)),
        {"k0": 5.0, "k1": -0.06} | FACTORS,
        lambda n, *raw, k0, k1, **c: k0 + k1 * math.log(n * sum(tokens_of(raw, c).values())),
        ridge=True,
    ),
    "compression_power": Example(
        (N, *some_without("video", 0, 2)),
        {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28} | FACTORS,
        lambda n, *raw, E, A, alpha, B, beta, **c: (
            E + A / n**alpha + B / sum(tokens_of(raw, c).values()) ** beta
        ),
        limit=lambda p: p["E"],
        ridge=True,
    ),
} | FURTHER

# What a prior of each kind may give: a middle, and a spread (of the logarithm where it is positive).
DRAWN = {
    "irreducible": (1.0, 0.7),
    "amplitude": (0.4, 1.0),
    "level": (2.0, 0.7),
    "exponent": (0.33, 0.5),
    "scale": (1.0, 1.5),
    "sharpness": (1.0, 0.7),
    "rate": (5.0, 0.8),
    "factor": (1.0, 0.7),
    "fraction": (0.5, 0.7),
    "compression": (100.0, 0.7),
    "coefficient": (0.0, 0.7),
    "slope": (0.0, 1.0),
    "intercept": (2.0, 1.0),
}
STEP = 1e-30


@pytest.fixture(params=LAWS)
def law(request) -> Law:
    return find(request.param)


@pytest.fixture
def example(law) -> Example:
    return LAWS[law.name]


@pytest.fixture
def reference(law, example) -> dict[str, float]:
    """Geometric middle of the runs; columns that share a reference get the same one."""
    rows = zip(law.inputs, map(np.array, example.inputs), strict=True)
    middles = {c: float(np.exp(np.mean(np.log(x[x > 0])))) for c, x in rows}
    carried = {a for powers in law.scaling.values() for a in powers}
    divided = {c for a, c in zip(law.arguments, law.inputs, strict=True) if a in carried}
    homes = reference_homes(law).items()
    return {c: middles[home] if {c, home} & divided else 1.0 for c, home in homes}


@pytest.fixture
def scales(law, example, reference) -> list[np.ndarray]:
    return [np.array(x) / reference[c] for c, x in zip(law.inputs, example.inputs, strict=True)]


def prior_draws(law, size=200, seed=7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    draws = {}
    for letter, kind in law.parameters.items():
        middle, spread = DRAWN[kind.name]
        middle = law.typical.get(letter, middle)
        normal = spread * rng.standard_normal(size)
        draws[letter] = middle + normal if kind.support == "real" else middle * np.exp(normal)
        if kind.support == "unit":
            draws[letter] = 1 / (1 + (1 - middle) / middle * np.exp(-normal))
    return draws


def grow(column, x):
    """A larger value of an input, within what it can be."""
    ends = pure_range(column)
    return 1.3 * x if ends is None else x + 0.3 * (ends[1] - x)


def gradients(law, scales, parameters) -> dict[str, np.ndarray]:
    """Derivative of the value by each parameter, by a complex step."""
    shape = np.broadcast_shapes(*(np.shape(v) for v in (*scales, *parameters.values())))
    return {
        p: np.broadcast_to(np.imag(law(*scales, **parameters | {p: parameters[p] + STEP * 1j})), shape) / STEP
        for p in parameters
    }


def test_every_registered_law_has_a_row():
    own = {name for name, known in registered().items() if known.formula.__module__.startswith("bayescale.")}
    assert own == set(LAWS)


def test_law_equals_its_paper_in_raw_units(law, example):
    expected = [example.paper(*run, **example.parameters) for run in zip(*example.inputs, strict=True)]
    got = law(*(np.array(x) for x in example.inputs), **example.parameters)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "run", "value"), [(name, run, v) for name, e in LAWS.items() for run, v in e.published.items()]
)
def test_law_gives_the_published_value(name, run, value):
    decimals = len(repr(value).partition(".")[2])
    assert find(name)(*run, **LAWS[name].parameters) == pytest.approx(value, abs=10.0 ** -min(decimals, 14))


def test_numbers_and_arrays_agree(law, example):
    whole = law(*(np.array(x) for x in example.inputs), **example.parameters)
    for i, run in enumerate(zip(*example.inputs, strict=True)):
        np.testing.assert_allclose(law(*run, **example.parameters), whole[i], rtol=1e-14)


def test_columns_of_whole_numbers_will_do(law, example):
    floats = [np.array(x) for x in example.inputs]
    whole = [x.astype(np.int64) if x.max() < 2**63 and (x % 1 == 0).all() else x for x in floats]
    np.testing.assert_allclose(
        law(*whole, **example.parameters), law(*floats, **example.parameters), rtol=1e-14
    )


def test_answer_does_not_depend_on_the_reference(law, example, scales, reference):
    raw = law(*(np.array(x) for x in example.inputs), **example.parameters)
    there = law.apply_reference(example.parameters, reference)
    np.testing.assert_allclose(law(*scales, **there), raw, rtol=1e-12)
    back = law.undo_reference(there, reference)
    assert back == pytest.approx(example.parameters, rel=1e-12)
    factor = {c: 1.0 if v == 1.0 else 37.0 for c, v in reference.items()}
    elsewhere = law.apply_reference(back, {c: factor[c] * v for c, v in reference.items()})
    further = [x / factor[c] for c, x in zip(law.inputs, scales, strict=True)]
    np.testing.assert_allclose(law(*further, **elsewhere), raw, rtol=1e-12)


def test_scaling_found_from_the_formula_is_the_one_declared(law, example):
    assert law.declared_scaling is not None
    assert infer_scaling(law) == (None if example.ridge or example.fixed_units else law.declared_scaling)


def test_jax_agrees_in_value_and_gradient(law, scales):
    jax = pytest.importorskip("jax")
    draws = {p: v[:, None] for p, v in prior_draws(law, 20).items()}
    with jax.enable_x64(True):
        value = law(*map(jax.numpy.asarray, scales), **{p: jax.numpy.asarray(v) for p, v in draws.items()})
        slopes = jax.grad(lambda p: law(*scales, **p).sum())(
            {p: jax.numpy.asarray(v) for p, v in draws.items()}
        )
    np.testing.assert_allclose(value, law(*scales, **draws), rtol=1e-12)
    for p, expected in gradients(law, scales, draws).items():
        np.testing.assert_allclose(slopes[p][:, 0], expected.sum(axis=1), rtol=1e-9, atol=1e-13)


def test_pytensor_agrees_in_value_and_gradient(law, scales):
    pytensor = pytest.importorskip("pytensor")
    draws = prior_draws(law, 3)
    symbols = {p: pytensor.tensor.dscalar(p) for p in draws}
    value = law(*scales, **symbols)
    slopes = pytensor.grad(value.sum(), list(symbols.values()))
    compiled = pytensor.function(list(symbols.values()), [value, *slopes], mode="FAST_COMPILE")
    for i in range(3):
        draw = {p: v[i] for p, v in draws.items()}
        got, *got_slopes = compiled(*draw.values())
        np.testing.assert_allclose(got, law(*scales, **draw), rtol=1e-12)
        expected = [slope.sum() for slope in gradients(law, scales, draw).values()]
        np.testing.assert_allclose(got_slopes, expected, rtol=1e-9, atol=1e-13)


def test_named_dims_of_pytensor_agree(law, scales):
    xtensor = pytest.importorskip("pytensor.xtensor")
    pytensor = pytest.importorskip("pytensor")
    draws = prior_draws(law, 3)
    symbols = {p: xtensor.xtensor(p, dims=("draw",), shape=(3,)) for p in draws}
    runs = [xtensor.as_xtensor(x, dims=("run",)) for x in scales]
    value = law(*runs, **symbols).transpose("draw", "run")
    compiled = pytensor.function(list(symbols.values()), value, mode="FAST_COMPILE")
    expected = law(*scales, **{p: v[:, None] for p, v in draws.items()})
    np.testing.assert_allclose(compiled(*draws.values()), expected, rtol=1e-12)


def test_labelled_draws_meet_labelled_scales(law, scales):
    xarray = pytest.importorskip("xarray")
    draws = prior_draws(law, 6)
    labelled = {p: xarray.DataArray(v.reshape(2, 3), dims=("chain", "draw")) for p, v in draws.items()}
    names = [f"r{i}" for i in range(len(scales[0]))]
    runs = [xarray.DataArray(x, dims="run", coords={"run": names}) for x in scales]
    value = law(*runs, **labelled).transpose("chain", "draw", "run")
    assert list(value["run"].values) == names
    expected = law(*scales, **{p: v.reshape(2, 3, 1) for p, v in draws.items()})
    np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_value_and_gradient_are_finite_on_prior_draws(law, scales):
    draws = {p: v[:, None] for p, v in prior_draws(law).items()}
    assert np.isfinite(law(*scales, **draws)).all()
    for p, slope in gradients(law, scales, draws).items():
        assert np.isfinite(slope).all(), p
        assert np.abs(slope).max() > 0, p


def test_complex_step_is_the_central_difference(law, scales):
    draws = {p: v[:, None] for p, v in prior_draws(law, 40).items()}
    value = np.abs(law(*scales, **draws))
    for p, slope in gradients(law, scales, draws).items():
        h = 1e-5 * np.abs(draws[p])
        up, down = law(*scales, **draws | {p: draws[p] + h}), law(*scales, **draws | {p: draws[p] - h})
        # Near a kink (excess parameters, repeats) the two may sit on either side of it.
        error = np.abs((up - down) / (2 * h) - slope)
        allowed = 1e-6 * np.abs(slope) + 1e-9 * value / h
        assert (error <= allowed).mean() > 0.98, p


def test_value_moves_only_the_declared_way(law, scales):
    draws = {p: v[:, None] for p, v in prior_draws(law).items()}
    before = law(*scales, **draws)
    for sign, columns in ((-1, law.falls_with), (1, law.rises_with)):
        for column in columns:
            grown = [grow(c, x) if c == column else x for c, x in zip(law.inputs, scales, strict=True)]
            change = sign * (law(*grown, **draws) - before)
            assert (change >= -1e-14 * before).all(), column
            assert (change > 0).mean() > 0.2, column


@pytest.mark.parametrize("name", [name for name, example in LAWS.items() if example.limit])
def test_endless_scale_leaves_the_limit(name):
    law, parameters = find(name), LAWS[name].parameters
    firsts = [x[0] for x in LAWS[name].inputs]
    scales = [1e250 if pure_range(c) is None else x for c, x in zip(law.inputs, firsts, strict=True)]
    endless = law(*(np.array([x]) for x in scales), **parameters)
    np.testing.assert_allclose(endless, LAWS[name].limit(parameters), rtol=1e-12, atol=1e-12)


def test_a_law_with_a_floor_has_a_limit(law, example):
    has_floor = any(kind.name == "irreducible" for kind in law.parameters.values())
    assert example.limit is not None or not has_floor


def test_reference_is_in_the_bibliography(law):
    text = (files("bayescale") / "references.bib").read_text(encoding="utf-8")
    assert law.reference in re.findall(r"^@\w+\{(\w+),", text, flags=re.MULTILINE)


def test_docstring_says_what_the_law_is_and_its_formula(law):
    assert law.summary.endswith((".", ":"))
    assert ".. math::" in law.formula.__doc__


def test_typical_values_lie_in_the_support_of_their_kind(law):
    for letter, value in law.typical.items():
        assert law.parameters[letter].support == "real" or value > 0
