import numpy as np
import pytest
import xarray as xr

import bayescale as bs
from bayescale import plots
from bayescale.errors import InputError
from bayescale.queries.estimates import beside_published
from bayescale.queries.isoflop import isoflop
from bayescale.queries.pooling import pooling
from bayescale.queries.residuals import residuals

PUBLISHED = [
    {"quantity": "alpha", "source": "one paper", "estimate": 0.34, "se": 0.05},
    {"quantity": "alpha", "source": "another", "estimate": 0.35},
    {"quantity": "beta", "source": "one paper", "estimate": 0.28, "se": 0.02},
]


def words(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def segments(ax):
    """Ends of all horizontal bars."""
    parts = [c.get_segments() for c in ax.collections if type(c).__name__ == "LineCollection"]
    return np.array([s[:, 0] for part in parts for s in part])


@pytest.fixture
def table():
    names = ["chinchilla", "kaplan", "power_data"]
    return xr.Dataset(
        {
            "elpd": ("model", [12.0, 40.0, 38.0]),
            "se": ("model", [5.0, 5.0, 5.0]),
            "elpd_diff": ("model", [-28.0, 0.0, -2.0]),
            "diff_se": ("model", [6.0, 0.0, 1.5]),
            "weight": ("model", [0.0, 0.75, 0.25]),
            "khat_bad": ("model", [2, 0, 0]),
        },
        {"model": names},
    )


def test_a_forest_shows_each_group_the_population_and_one_more_group(pooled):
    found = pooling(pooled)
    ax = plots.plot_forest(found)
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert labels == ["llama (8)", "olmo (8)", "pythia (8)"]
    expected = found["alpha"].sel(bound=["lower", "upper"]).transpose("family", "bound")
    np.testing.assert_allclose(segments(ax), expected)
    assert words(ax)[-1] == "one more group, 90 % interval"
    assert len(ax.patches) == 2
    assert ax.get_xlabel() == "alpha"


def test_groups_fitted_alone_are_drawn_beside_the_pooled_ones(pooled, study):
    ax = plots.plot_forest(pooling(pooled), "alpha", alone={"olmo": bs.intervals(study)})
    assert len(segments(ax)) == 4
    assert "group fitted alone" in words(ax)


def test_a_forest_of_intervals_has_no_band_for_one_more_group(pooled):
    ax = plots.plot_forest(bs.intervals(pooled), "alpha")
    assert len(ax.patches) == 1
    assert not any("one more" in word for word in words(ax))


def test_a_forest_of_several_parameters_has_a_panel_for_each(pooled):
    drawn = plots.plot_forest(bs.intervals(pooled), ["alpha", "A"])
    assert [ax.get_xlabel() for ax in drawn] == ["alpha", "A"]
    with pytest.raises(InputError, match="2 panels"):
        plots.plot_forest(bs.intervals(pooled), ["alpha", "A"], ax=drawn[0])


def test_a_forest_of_what_is_not_pooled_is_refused(pooled, study):
    with pytest.raises(InputError, match="'beta' does not vary by group here; pooled: alpha"):
        plots.plot_forest(pooling(pooled), "beta")
    with pytest.raises(InputError, match="pooling"):
        plots.plot_forest(bs.intervals(study))


def test_profiles_of_equal_compute_show_runs_optimum_and_cloud(study):
    found = isoflop(study, [5e19, 5e20])
    ax = plots.plot_isoflop(found)
    curves = [line for line in ax.lines if line.get_xdata().size == found.sizes["point"]]
    assert len(curves) == 2
    sizes = [len(c.get_offsets()) for c in ax.collections]
    assert sizes.count(found.sizes["draw"]) == 2
    best = next(c for c in ax.collections if c.get_zorder() == 6).get_offsets()
    np.testing.assert_allclose(best[:, 0], found["best_n_params"].sel(bound="median"))
    assert words(ax)[:2] == [r"$5\times10^{19}$", r"$5\times10^{20}$"]
    assert ax.get_ylabel() == "Loss (nats per token)"


def test_runs_within_reach_of_a_budget_are_shown_and_others_not(study):
    found = isoflop(study, within=0.25)
    ax = plots.plot_isoflop(found)
    near = int(np.isfinite(found["run_budget"]).sum())
    shown = sum(len(c.get_offsets()) for c in ax.collections if c.get_zorder() == 4)
    assert shown == near < 24


def test_an_allocation_shows_the_interval_inside_the_nearly_as_good(study):
    found = bs.allocate(study, [1e19, 1e20, 1e21])
    ax = plots.plot_allocation(found)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    np.testing.assert_allclose(ax.lines[0].get_ydata(), found["n_params"].sel(bound="median"))
    assert len(ax.collections) == 2
    assert any("within 1 % of the best" in word for word in words(ax))
    data = plots.plot_allocation(found, show="n_tokens")
    assert len(data.collections) == 1
    assert data.get_ylabel() == "Best number of training tokens"


def test_a_rule_marks_where_an_allocation_leaves_the_runs(study):
    found = bs.allocate(study, [1e19, 1e20, 1e21])
    found["decades_beyond"] = ("flops", [0.0, 0.0, 0.7])
    ax = plots.plot_allocation(found)
    assert ax.lines[-1].get_xdata()[0] == 1e20
    assert "beyond the runs, to the right" in words(ax)


def test_an_allocation_of_one_budget_is_a_point_with_its_bar(study):
    ax = plots.plot_allocation(bs.allocate(study, 1e20))
    assert len(ax.containers) == 1
    with pytest.raises(InputError, match="show='loss' must be one of"):
        plots.plot_allocation(bs.allocate(study, 1e20), show="loss")


def test_a_comparison_has_the_best_on_top_at_zero(table):
    ax = plots.plot_comparison(table)
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert labels == ["kaplan", "power_data", "chinchilla"]
    two = segments(ax)[:3]
    np.testing.assert_allclose(two, [[0, 0], [-5, 1], [-40, -16]])
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert [t.get_text() for t in ax.texts] == ["weight", "0.75", "0.25", "0.00"]


def test_a_study_with_bad_khat_is_hollow_in_a_comparison(table):
    ax = plots.plot_comparison(table)
    full, hollow = (c for c in ax.collections if len(c.get_offsets()) and c.get_zorder() == 4)
    assert len(full.get_offsets()) == 2
    np.testing.assert_allclose(hollow.get_offsets(), [[-28.0, 2.0]])
    assert "some k-hat above 0.7" in words(ax)
    assert "some k-hat above 0.7" not in words(plots.plot_comparison(table.drop_vars("khat_bad")))


def test_residuals_are_drawn_within_the_band_of_new_runs(study):
    found = residuals(study)
    ax = plots.plot_residuals(found)
    shown = np.vstack(
        [c.get_offsets() for c in ax.collections if c.get_zorder() == 4 and len(c.get_offsets())]
    )
    np.testing.assert_allclose(np.sort(shown[:, 1]), np.sort(found["deviations"]))
    assert ax.get_xlabel() == "Training compute (FLOP)"
    assert "90 % of new runs" in words(ax)
    low, high = ax.get_ylim()
    assert low == -high


def test_runs_far_off_are_triangles_at_the_edge_and_counted(study):
    values = study["observed_data"].to_dataset().copy(deep=True)
    values["value"][3] *= 2.0
    wild = study.assign(observed_data=xr.DataTree(values))
    ax = plots.plot_residuals(residuals(wild), over="n_params")
    assert any(word.startswith("1 run beyond 6") for word in words(ax))
    assert ax.get_ylim()[1] < 7
    assert ax.get_xlabel() == "Parameters"


def test_residuals_by_family_on_the_scale_of_the_noise(pooled):
    ax = plots.plot_residuals(residuals(pooled), by="family", unit="noise")
    assert words(ax)[:3] == ["llama", "olmo", "pythia"]
    assert ax.get_ylabel() == "Log residual (0.01 is 1 %)"
    with pytest.raises(InputError, match="by='recipe' is not in this table"):
        plots.plot_residuals(residuals(pooled), by="recipe")


def test_published_estimates_stand_beside_ours_in_one_panel_for_each_quantity(study):
    ours = bs.intervals(study)
    drawn = plots.plot_intervals(beside_published(ours, PUBLISHED))
    assert [ax.get_xlabel() for ax in drawn] == ["alpha", "beta"]
    labels = [tick.get_text() for tick in drawn[0].get_yticklabels()]
    assert labels == ["this fit", "one paper", "another"]
    np.testing.assert_allclose(segments(drawn[0])[0], ours["alpha"].sel(bound=["lower", "upper"]))
    np.testing.assert_allclose(segments(drawn[0])[1], [0.34 - 1.645 * 0.05, 0.34 + 1.645 * 0.05], rtol=1e-3)
    assert len(segments(drawn[0])) == 2  # an estimate printed without an error has no bar


@pytest.mark.parametrize("plot", plots.__all__)
def test_every_plot_refuses_a_table_that_is_not_its_own(plot):
    with pytest.raises(InputError, match="the figure draws what"):
        getattr(plots, plot)(xr.Dataset({"nothing": 1.0}))


def test_labels_keep_clear_of_one_another_and_inside_the_figure(study, table):
    for ax in (
        plots.plot_residuals(residuals(study)),
        plots.plot_isoflop(isoflop(study)),
        plots.plot_comparison(table),
    ):
        ax.figure.canvas.draw()
        frame = ax.figure.bbox
        legend = ax.get_legend().get_window_extent()
        assert legend.x1 <= frame.x1
        assert legend.x0 >= ax.get_window_extent().x1
        ticks = [t.get_window_extent() for t in ax.get_xticklabels() if t.get_text()]
        shown = [
            t
            for t in ticks
            if ax.get_window_extent().x0 - 1 <= (t.x0 + t.x1) / 2 <= ax.get_window_extent().x1 + 1
        ]
        assert len(shown) >= 2
        assert all(a.x1 < b.x0 for a, b in zip(shown, shown[1:], strict=False))
