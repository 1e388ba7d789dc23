"""The three experiments with known truth: factors and law lie inside their intervals as often as stated.

Accepted failure rate: one in a thousand for the whole file.
"""

import numpy as np
import pytest
from calibration import calibrate
from calibration_compression import CASES, ranks
from scipy.stats import binom

pytestmark = pytest.mark.statistical
_COUNT = 60


@pytest.mark.parametrize("case", CASES[:3], ids=[case.experiment for case in CASES[:3]])
def test_truths_of_the_experiments_lie_inside_intervals_as_often_as_stated(case):
    table = calibrate(case, _COUNT, ranks)
    allowed = 0.001 / 3 / len(table) / 2
    low, high = binom.ppf([allowed / 2, 1 - allowed / 2], _COUNT, 0.9) / _COUNT
    assert (table["90 %"] >= low).all(), table
    assert (table["90 %"] <= high).all(), table
    worst = table[["p (uniform)", "p (mean of scores)", "p (variance of scores)"]].min().min()
    assert worst > allowed / 3, table
    assert set(table.attrs["engines"]) <= {"laplace", "numpyro"}
    assert table.attrs["engines"]["laplace"] > _COUNT / 2
    assert np.isfinite(table.to_numpy()).all()
