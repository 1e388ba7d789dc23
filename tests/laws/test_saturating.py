import numpy as np
import pytest

from bayescale.laws import find
from bayescale.laws.elementwise import softplus
from bayescale.laws.saturating import _log_odds

ALPHA = np.exp(np.linspace(np.log(0.01), np.log(50.0), 25))[:, None]


def test_solver_meets_its_equation_over_the_stated_range():
    t = np.linspace(-40, 40, 161)
    u = _log_odds(t, ALPHA)
    np.testing.assert_allclose(u + (ALPHA - 1) * softplus(u), np.broadcast_to(t, u.shape), atol=1e-12)


def test_m4_is_exact_where_the_answer_is_known():
    s = np.exp(np.linspace(-4, 8, 25))  # alpha = 1: s / (1 + s); alpha = 2: a quadratic
    known = {1.0: s / (1 + s), 2.0: (2 * s + 1 - np.sqrt(4 * s + 1)) / (2 * s)}
    for alpha, expected in known.items():
        got = find("m4")(1.0, E=0.0, span=1.0, B=s, c=0.5, alpha=alpha)
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_m4_far_below_its_start_is_a_power_law():
    m4, m2 = find("m4"), find("power_data")
    x = np.array([1e6, 1e9])
    parameters = {"E": 0.1, "B": 3.0}
    got = m4(x, span=0.9, c=0.7, alpha=1.3, **parameters) - 0.1
    np.testing.assert_allclose(got, m2(x, beta=0.7, **parameters) - 0.1, rtol=1e-3)


def test_hessian_of_m4_is_the_change_of_its_gradient():
    jax = pytest.importorskip("jax")
    m4 = find("m4")
    names = ("E", "span", "B", "c", "alpha")

    def value(p):
        return m4(0.8, **dict(zip(names, p, strict=True)))

    def gradient(p):  # by a complex step
        return np.array([np.imag(value(p + 1e-30j * unit)) / 1e-30 for unit in np.eye(5)])

    with jax.enable_x64(True):
        hessian = jax.jit(jax.hessian(value))
        for alpha in (0.05, 0.7, 6.0):
            at = np.array([0.1, 0.9, 0.4, 0.6, alpha])
            numeric = [(gradient(at + 1e-6 * e) - gradient(at - 1e-6 * e)) / 2e-6 for e in np.eye(5)]
            np.testing.assert_allclose(hessian(at), numeric, rtol=1e-5, atol=1e-7)
