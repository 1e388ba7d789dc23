"""The rivals of the curve benchmark find curves that follow their own law, and score as their authors do."""

import curve_rivals as rivals
import curves
import numpy as np
import pytest
from extrapolation import scores

SEEN = np.geomspace(4e6, 4e8, 14)
ABOVE = np.geomspace(5e8, 5e9, 7)


def power(x):
    return 0.9 * (x / 4e6) ** -0.12


def above_a_floor(x):
    return 0.25 + 0.6 * (x / 4e6) ** -0.4


def saturating(x):
    return 30.0 * (1 / x + 1e-9) ** 0.22


def one_break(x):
    return 0.1 + 0.8 * (x / 4e6) ** -0.05 * (1 + (x / 4e7) ** (1 / 0.5)) ** (-0.4 * 0.5)


@pytest.mark.parametrize(
    ("fit", "law"),
    [
        (rivals.m1, power),
        (rivals.m2, above_a_floor),
        (rivals.m3, saturating),
        (rivals.bnsl, one_break),
        (rivals.bnsl_bounded, one_break),
    ],
)
def test_a_rival_foretells_a_curve_of_its_own_law(fit, law):
    foretold = fit(SEEN, law(SEEN))(ABOVE)
    np.testing.assert_allclose(foretold, law(ABOVE), rtol=0.02)


def test_m4_solves_its_equation():
    # A curve made by solving the law: floor .2, start 1, alpha .5, power .4.
    value = 0.2 + 0.8 / (1 + np.exp(-np.linspace(2.5, -0.5, 14)))
    right = (value - 0.2) / (1.0 - value) ** 0.5
    seen = 4e6 * (right[0] / right) ** (1 / 0.4)
    foretold = rivals.m4(seen[:10], value[:10], most=1.0)(seen[10:])
    np.testing.assert_allclose(foretold, value[10:], rtol=0.05)


def test_m4_without_a_start_is_m2():
    log_right, floor = np.log(0.3), 0.1
    assert rivals._solved(log_right, floor, 1.0, 0.0) == pytest.approx(0.4)
    inside = rivals._solved(log_right, floor, 1.0, 0.7)
    assert np.log((inside - floor) / (1.0 - inside) ** 0.7) == pytest.approx(log_right)


def test_the_curves_are_those_of_the_authors():
    found = curves.shipped()
    assert len([c for c in found if c.group == "image"]) == 54
    assert {c.group for c in found} == set(curves.SETS)
    for curve in found:
        assert curve.seen.max() <= curve.seen_above.min()
        assert curve.seen.size >= 9
        assert (np.diff(curve.seen) > 0).all()


def test_a_rival_is_scored_as_in_the_authors_notebook():
    curve = curves.shipped()[0]
    found = curves.rival(rivals.m1)(curve)
    foretold = rivals.m1(curve.seen, curve.value)(curve.seen_above)
    own = np.sqrt(np.mean((np.log(foretold) - np.log(curve.value_above)) ** 2))
    scored = scores(found, np.log(curve.value_above))
    assert scored["rmse"] == pytest.approx(own)
    assert scored["crps"] == pytest.approx(np.mean(np.abs(np.log(foretold / curve.value_above))))


def test_a_fit_that_leaves_the_positive_numbers_is_refused():
    with pytest.raises(ValueError, match="not positive"):
        curves.rival(lambda x, y: lambda at: at - at.max())(curves.shipped()[0])
