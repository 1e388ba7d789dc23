import matplotlib as mpl
import numpy as np
import pytest

import bayescale as bs
from bayescale import plots


@pytest.fixture(scope="module")
def mixed(study):
    return bs.average({"one": study, "other": study}, weights={"one": 3, "other": 1})


@pytest.fixture(scope="module")
def curve(mixed):
    return bs.curve(mixed, "n_params", at={"n_tokens": 1e10}, points=12, extend=1.0)


def test_every_law_and_the_average_have_a_line_and_a_band(curve):
    ax = plots.plot_average(curve)
    assert len([c for c in ax.collections if isinstance(c, mpl.collections.PolyCollection)]) == 3
    drawn = [line.get_ydata() for line in ax.lines]
    assert len(drawn) == 6  # among the runs, and beyond
    assert np.concatenate([drawn[-2], drawn[-1][1:]]) == pytest.approx(curve["median"].values.ravel())


def test_the_legend_names_laws_with_their_weights(curve):
    told = [text.get_text() for text in plots.plot_average(curve).get_legend().get_texts()]
    assert told[:2] == ["one, 75%", "other, 25%"]
    assert "90 % interval of the average" in told
    assert "runs, carried\nto 10B tokens" in told


def test_runs_stand_where_they_were_carried_to(curve):
    dots = plots.plot_average(curve).collections[-1].get_offsets()
    assert np.asarray(dots) == pytest.approx(np.column_stack([curve["at_run"], curve["carried"]]))


def test_levels_and_single_laws_are_refused_with_the_mend(mixed, study):
    with pytest.raises(bs.InputError, match="hold other inputs at one level"):
        plots.plot_average(bs.curve(mixed, "n_params", points=5))
    with pytest.raises(bs.InputError, match=r"curve\(average\)"):
        plots.plot_average(bs.curve(study, "n_params", points=5))


def test_plots_of_one_law_take_an_average_too(mixed, curve):
    plots.plot_law(curve)
    plots.plot_isoflop(bs.isoflop(mixed, [1e20]))
