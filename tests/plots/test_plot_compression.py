"""What the figure of compression factors shows."""

import pytest

import bayescale as bs
from bayescale.plots import plot_compression


@pytest.fixture(scope="module")
def factors():
    return bs.compression_factors(
        bs.fit_compression(bs.load_measurements(where="modality in (image, video)"), draws=250)
    )


def test_each_modality_has_a_panel_with_its_unit_on_a_log_axis(factors):
    drawn = plot_compression(factors)
    assert [ax.get_title(loc="left") for ax in drawn] == ["image", "video"]
    for ax in drawn:
        assert ax.get_xlabel() == "bytes per token"
        assert ax.get_xscale() == "log"


def test_every_tokenizer_stands_at_its_median(factors):
    ax = plot_compression(factors, "video")
    rows = factors[(factors["modality"] == "video") & (factors["level"] == "tokenizer")]
    assert [label.get_text() for label in ax.get_yticklabels()] == rows["tokenizer"].tolist()
    assert ax.collections[-1].get_offsets()[:, 0].tolist() == pytest.approx(rows["median"].tolist())


def test_the_legend_names_the_mass_of_the_intervals():
    post = bs.fit_compression(bs.load_measurements(where="modality == video"), draws=250)
    ax = plot_compression(post, prob=0.5)
    [legend] = ax.figure.legends
    assert "50 % interval" in legend.get_texts()[0].get_text()


def test_a_given_axis_is_drawn_on(factors):
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    assert plot_compression(factors, "image", ax) is ax
    with pytest.raises(bs.InputError, match="need as many axes"):
        plot_compression(factors, ax=ax)


def test_a_table_of_another_query_is_refused(factors):
    with pytest.raises(bs.InputError, match="compression_factors"):
        plot_compression(factors.drop(columns="median"))
    with pytest.raises(bs.InputError, match="no factor of 'audio'"):
        plot_compression(factors, "audio")
