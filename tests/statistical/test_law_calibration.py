"""Every law is calibrated on a design of its own. Accepted failure rate: one in a thousand a test."""

import pytest
from calibration import calibrate
from calibration_laws import LAST, ranks
from scipy.stats import binom

from bayescale.laws import registered

LAWS = [n for n, law in sorted(registered().items()) if law.formula.__module__.startswith("bayescale.laws")]


def held(name, count):
    table = calibrate(name, count, ranks)
    low, high = binom.ppf([0.0005 / len(table), 1 - 0.0005 / len(table)], count, 0.9) / count
    assert table["90 %"].between(low, high).all(), table
    worst = table[["p (uniform)", "p (mean of scores)", "p (variance of scores)"]].min().min()
    assert worst > 0.001 / (3 * len(table)), table


def test_a_law_of_one_input_is_calibrated():
    held("power_params", 24)


@pytest.mark.statistical
@pytest.mark.parametrize("name", LAWS)
def test_truths_lie_inside_intervals_as_often_as_stated(name):
    held(name, 12 if name in LAST else 40)
