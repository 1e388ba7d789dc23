import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import bayescale.plots as plots
from bayescale.errors import InputError
from bayescale.queries.curves import curve
from bayescale.testing import synthetic_posterior


def words(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def labelled(study, families):
    runs = study["constant_data"].to_dataset().assign(family=("run", families))
    return study.assign(constant_data=xr.DataTree(runs))


def dots(ax):
    return sum(len(c.get_offsets()) for c in ax.collections if hasattr(c, "get_sizes") and len(c.get_sizes()))


def test_all_runs_are_drawn_with_three_levels_each_with_its_interval(study):
    found = curve(study)
    ax = plots.plot_law(found)
    assert dots(ax) == found.sizes["run"] == 24
    assert len(ax.collections) == 1 + 3
    drawn = np.vstack([c.get_offsets() for c in ax.collections if len(c.get_offsets()) == 24])
    np.testing.assert_allclose(drawn[:, 1], found["observed"])
    np.testing.assert_allclose(drawn[:, 0], found["at_run"])


def test_axes_say_what_they_show_in_which_unit(study):
    ax = plots.plot_law(curve(study))
    assert ax.get_xlabel() == "Parameters"
    assert ax.get_ylabel() == "Loss (nats per token)"
    assert ax.get_xscale() == "log"
    assert "90 % interval" in words(ax)
    assert any("tokens" in word for word in words(ax))


def test_the_line_is_dashed_where_there_are_no_runs_and_only_there(study):
    found = curve(study, at={"n_tokens": 2e10}, extend=1.0)
    ax = plots.plot_law(found)
    solid, dashed = (line.get_xdata() for line in ax.lines)
    assert solid.max() <= found["at_run"].max() < dashed.max()
    assert "beyond the runs" in words(ax)
    inside = plots.plot_law(curve(study, at={"n_tokens": 2e10}, extend=0.0))
    assert len(inside.lines) == 1
    assert "beyond the runs" not in words(inside)


def test_each_family_has_its_line_its_colour_and_its_runs(pooled):
    found = curve(pooled, by="family", extend=0.0)
    ax = plots.plot_law(found)
    assert len({line.get_color() for line in ax.lines}) == 3
    assert words(ax)[:3] == ["llama", "olmo", "pythia"]
    assert ax.get_legend().get_title().get_text() == "family"
    assert any("carried" in word for word in words(ax))
    assert dots(ax) == 24
    bands = [c for c in ax.collections if c.get_zorder() == 2]
    assert len(bands) == 3


def test_a_family_that_was_not_pooled_still_has_its_colour_and_shares_one_line(study):
    ax = plots.plot_law(curve(labelled(study, np.repeat(["a", "b"], 12)), by="family", extend=0.0))
    assert len(ax.lines) == 1
    assert words(ax)[:2] == ["a", "b"]


def test_a_pooled_law_without_groups_says_that_its_group_is_not_yet_seen(pooled):
    assert "law, group not yet seen (median)" in words(plots.plot_law(curve(pooled)))


def test_along_compute_the_line_is_the_law_at_its_best_size(study):
    ax = plots.plot_law(curve(study, "flops"))
    assert ax.get_xlabel() == "Training compute (FLOP)"
    assert "law at the best size (median)" in words(ax)


def test_the_axis_given_is_the_axis_returned_and_no_figure_is_added(study):
    _, ax = plt.subplots()
    before = plt.get_fignums()
    assert plots.plot_law(curve(study), ax) is ax
    assert plt.get_fignums() == before


def test_global_settings_are_left_as_they_were(study):
    before = dict(plt.rcParams)
    plots.plot_law(curve(study))
    assert dict(plt.rcParams) == before


def test_names_that_look_like_formulas_or_hide_from_legends_are_shown_as_they_are(study):
    odd = np.array(["_hidden", "a$b$c", "x" * 200])[np.arange(24) % 3]
    ax = plots.plot_law(curve(labelled(study, odd), by="family"))
    ax.figure.canvas.draw()
    shown = words(ax)
    assert shown[0].strip() == "_hidden"
    assert shown[1] == r"a\$b\$c"
    assert len(shown[2]) < 60


def test_a_law_of_one_input_holds_nothing_and_carries_nothing():
    found = curve(synthetic_posterior("power_data", draws=50))
    ax = plots.plot_law(found)
    assert found.attrs["held"] == []
    assert "carried" not in found
    assert ax.get_xlabel() == "Training tokens"
    assert "runs, as observed" in words(ax)


def test_groups_at_several_levels_are_too_many_lines_for_one_axis(pooled):
    with pytest.raises(InputError, match="3 groups at 2 levels"):
        plots.plot_law(curve(pooled, by="family", at={"n_tokens": [1e10, 1e11]}))


def test_a_table_of_another_query_is_refused_with_the_name_of_the_right_one(study):
    import bayescale as bs

    with pytest.raises(InputError, match=r"lacks 'median'.*curve\(posterior\)"):
        plots.plot_law(bs.intervals(study))


def test_a_name_that_is_no_plot_is_refused_with_those_that_are():
    with pytest.raises(AttributeError, match="plot_law"):
        _ = plots.plot_everything
