"""Simulate, fit, find the truth at the stated rate. Accepted failure rate: one in a thousand a test."""

import numpy as np
import pytest
from calibration import CASES, calibrate
from scipy.stats import binom

pytestmark = pytest.mark.statistical


@pytest.mark.parametrize(("case", "count"), [(CASES[0], 60), (CASES[2], 16)], ids=["one family", "pooled"])
def test_truths_lie_inside_intervals_as_often_as_stated(case, count):
    table = calibrate(case, count)
    low, high = binom.ppf([0.0005 / len(table), 1 - 0.0005 / len(table)], count, 0.9) / count
    assert (table["90 %"] >= low).all(), table
    assert (table["90 %"] <= high).all(), table
    worst = table[["p (uniform)", "p (mean of scores)", "p (variance of scores)"]].min().min()
    assert worst > 0.001 / (3 * len(table)), table
    assert np.isfinite(table.to_numpy()).all()
