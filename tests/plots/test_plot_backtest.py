import numpy as np
import pytest
import xarray as xr

from bayescale import plots
from bayescale.comparison.backtest_dataset import dataset
from bayescale.comparison.groups_out import FewRuns, LeaveOut
from bayescale.comparison.refits import Failure, Job, Refit
from bayescale.comparison.rolling import Rolling
from bayescale.errors import InputError
from bayescale.laws import find
from bayescale.runs.table import RunTable

FAMILIES = ("ash", "beech", "cedar")


def table():
    import pandas as pd

    rows = [
        (f, f"{f}{i}{k}", 10.0 ** (18 + i) * (1 + 0.01 * k), 3.0 - 0.2 * i)
        for f in FAMILIES
        for i in range(4)
        for k in range(3)
    ]
    frame = pd.DataFrame(rows, columns=["family", "run_id", "flops", "value"])
    return RunTable(frame.assign(study="s", metric="loss_nats"))


def told(scheme, name, sign=1.0):
    """A backtest that nobody fitted: every value 2 % above its median, intervals of 1, 2, 3 and 4 %."""
    runs = table()
    splits, _ = scheme.splits(runs)
    found = []
    for split in splits:
        n = int(split.test.sum())
        seen = sign * runs.frame["value"].to_numpy()[split.test]
        middle = seen / 1.02
        inside = np.tile([False, True, True, True], (n, 1))
        rows = {
            "observed": seen,
            "median": middle,
            "lower": middle - 0.03 * np.abs(middle),
            "upper": middle + 0.03 * np.abs(middle),
            "covered": np.arange(n) % 3 > 0,
            "covered_at": inside,
            "pit": np.full(n, 0.8),
            "crps": np.full(n, 0.01),
            "log_density": np.zeros(n),
            "decades_beyond": split.decades,
            "decades": split.decades,
            "new_group": np.zeros(n, dtype=bool),
        }
        found.append(Refit(rows, "laplace", "loss_nats", 0, 1.0))
    found[-1] = Failure("it failed")
    job = Job(runs, find("power_compute"), {}, 0.9)
    return dataset(job, splits, found, (0.5, 1.0, 2.0)).assign_attrs(split=name, train="", findings="[]")


def words(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def places(ax):
    return np.concatenate(
        [np.asarray(c.get_offsets()) for c in ax.collections if type(c).__name__ == "PathCollection"]
    )


def test_a_rolling_backtest_shows_every_row_and_its_interval_and_the_coverage_by_distance():
    found = told(Rolling(least=9), "rolling")
    left, right = plots.plot_backtest(found)
    drawn = np.asarray(places(left))
    assert len(drawn) == found.sizes["run"] == 45
    assert np.asarray(drawn[:, 1]) == pytest.approx(np.full(45, 1.02))
    assert set(np.round(drawn[:, 0])) <= {1, 2, 3}
    bars = next(c for c in left.collections if type(c).__name__ == "LineCollection").get_segments()
    assert np.array(bars)[:, :, 1] == pytest.approx(np.tile([0.97, 1.03], (45, 1)))
    assert left.get_ylabel() == "Seen / foretold (median)"
    lines = [line for line in right.lines if line.get_marker() == "o"]
    assert [line.get_ydata().tolist() for line in lines] == [[0, 100, 100, 100]] * 3
    assert words(right)[:4] == ["0.5 to 1 (18)", "1 to 2 (18)", "over 2 (9)", "all (45)"]
    assert "90 % interval" in words(right)


def test_groups_left_out_stand_side_by_side():
    left, right = plots.plot_backtest(told(LeaveOut(), "leave-family-out"))
    assert [label.get_text() for label in left.get_xticklabels()] == list(FAMILIES)
    at = places(left)[:, 0]
    assert len(np.unique(at)) == at.size == 24, "the last refit failed"
    assert set(np.round(at)) == {0, 1}
    assert words(right)[0] == "within (24)"


def test_few_runs_show_error_and_coverage_with_siblings_and_alone():
    found = told(FewRuns(own=(0, 1, 3)), "few-runs")
    left, right = plots.plot_backtest(found)
    assert [label.get_text() for label in left.get_xticklabels()] == ["0", "1", "3"]
    siblings, alone = left.lines
    assert siblings.get_xdata().tolist() == [0, 1, 2]
    assert alone.get_xdata().tolist() == [1, 2], "nothing can be said alone of no run"
    assert siblings.get_ydata() == pytest.approx(np.log(1.02))
    assert words(right) == ["with siblings", "alone", "as stated"]


def test_values_that_are_not_positive_are_shown_by_difference():
    left, _ = plots.plot_backtest(told(Rolling(least=9), "rolling", sign=-1.0))
    assert left.get_ylabel() == "Seen less foretold (median)"


def test_it_draws_on_axes_given_and_refuses_what_it_cannot_draw():
    import matplotlib.pyplot as plt

    found = told(Rolling(least=9), "rolling")
    _, given = plt.subplots(1, 2)
    assert plots.plot_backtest(found, given)[0] is given[0]
    with pytest.raises(InputError, match="two panels"):
        plots.plot_backtest(found, given[:1])
    with pytest.raises(InputError, match="backtest"):
        plots.plot_backtest(xr.Dataset({"observed": 1}))
