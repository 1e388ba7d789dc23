import numpy as np
import pytest
from scipy import special

from bayescale.laws import elementwise as el

X = np.array([-800.0, -40.0, -1e-3, 0.0, 1e-12, 0.7, 35.0, 800.0])
SMOOTH = {
    "exp": (np.exp, X[1:-1]),
    "log": (np.log, np.array([1e-6, 0.5, 1.0, 3e12])),
    "log1p": (np.log1p, np.array([-0.5, 1e-12, 3.0])),
    "expm1": (np.expm1, np.array([-50.0, 1e-12, 3.0])),
    "sqrt": (np.sqrt, np.array([1e-6, 2.0, 1e20])),
    "softplus": (lambda x: np.logaddexp(x, 0), X),
    "sigmoid": (special.expit, X),
    "lgamma": (special.gammaln, np.array([1e-3, 0.5, 2.5, 300.0])),
}


def in_jax(function, *values):
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        return np.asarray(function(*map(jax.numpy.asarray, values)))


def in_pytensor(function, *values):
    pytensor = pytest.importorskip("pytensor")
    symbols = [pytensor.tensor.dvector() for _ in values]
    return pytensor.function(symbols, function(*symbols), mode="FAST_COMPILE")(*values)


def in_xtensor(function, *values):
    pytensor = pytest.importorskip("pytensor")
    xtensor = pytest.importorskip("pytensor.xtensor")
    symbols = [xtensor.xtensor(dims=("x",), shape=v.shape) for v in values]
    return pytensor.function(symbols, function(*symbols), mode="FAST_COMPILE")(*values)


def in_xarray(function, *values):
    xarray = pytest.importorskip("xarray")
    got = function(*(xarray.DataArray(v, dims="x", coords={"x": range(len(v))}) for v in values))
    assert got.dims == ("x",)
    assert list(got["x"]) == list(range(got.sizes["x"]))
    return got.values


KINDS = {f.__name__: f for f in (in_jax, in_pytensor, in_xtensor, in_xarray)} | {
    "in_numpy": lambda f, *v: f(*v)
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SMOOTH)
def test_word_means_the_same_everywhere(name, kind):
    expected, x = SMOOTH[name]
    got = KINDS[kind](getattr(el, name), x)
    np.testing.assert_allclose(got, expected(x), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_two_arguments_mean_the_same_everywhere(kind):
    x, y = np.array([-700.0, 1.0, 3.0, 900.0]), np.array([-705.0, 1.0, -50.0, 2.0])
    run = KINDS[kind]
    np.testing.assert_array_equal(run(el.minimum, x, y), np.minimum(x, y))
    np.testing.assert_array_equal(run(el.maximum, x, y), np.maximum(x, y))
    np.testing.assert_allclose(run(el.logaddexp, x, y), np.logaddexp(x, y), rtol=1e-12)
    np.testing.assert_array_equal(run(lambda a, b: el.where(a > b, a, b), x, y), np.maximum(x, y))


@pytest.mark.parametrize("name", SMOOTH)
def test_complex_step_gives_the_derivative(name):
    _, x = SMOOTH[name]
    word = getattr(el, name)
    slope = np.imag(word(x + 1e-30j)) / 1e-30
    h = 1e-6 * np.maximum(np.abs(x), 1e-3 if name in ("softplus", "sigmoid", "exp", "expm1", "log1p") else 0)
    numeric = (word(x + h) - word(x - h)) / (2 * h)
    np.testing.assert_allclose(slope, numeric, rtol=1e-5, atol=1e-8)


def test_where_keeps_labels_though_only_the_condition_has_them():
    xarray = pytest.importorskip("xarray")
    condition = xarray.DataArray([True, False], dims="run", coords={"run": ["a", "b"]})
    got = el.where(condition, 1.0, 2.0)
    assert got.dims == ("run",)
    np.testing.assert_array_equal(got, [1.0, 2.0])


def test_softplus_has_its_derivative_where_its_branches_meet():
    pytensor = pytest.importorskip("pytensor")
    jax = pytest.importorskip("jax")
    x = pytensor.tensor.dscalar()
    slope = pytensor.function([x], pytensor.grad(el.softplus(x), x), mode="FAST_COMPILE")
    assert slope(0.0) == pytest.approx(0.5)
    assert float(jax.grad(el.softplus)(0.0)) == pytest.approx(0.5)
    assert np.imag(el.softplus(0.0 + 1e-30j)) / 1e-30 == pytest.approx(0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_constant_keeps_the_value(kind):
    np.testing.assert_array_equal(KINDS[kind](el.constant, X), X)


def test_constant_has_no_derivative():
    pytensor = pytest.importorskip("pytensor")
    jax = pytest.importorskip("jax")
    x = pytensor.tensor.dscalar()
    slope = pytensor.function([x], pytensor.grad(x * el.constant(x), x), mode="FAST_COMPILE")
    assert slope(3.0) == 3.0
    assert float(jax.grad(lambda v: v * el.constant(v))(3.0)) == 3.0
    assert np.imag((3.0 + 1e-30j) * el.constant(3.0 + 1e-30j)) / 1e-30 == pytest.approx(3.0)


def test_importing_laws_loads_no_engine():
    import subprocess
    import sys

    code = (
        "import sys, bayescale.laws; "
        "heavy = {'jax', 'pytensor', 'pymc', 'xarray', 'pandas', 'scipy'} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
