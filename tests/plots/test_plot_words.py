import pytest

from bayescale.plots.words import held_at, label_of, label_of_metric, percent, power, readable, short
from bayescale.runs.schema import METRICS


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.6e9, "1.6B"),
        (2e13, "20T"),
        (350_000, "350k"),
        (7.04e9, "7B"),
        (999.6e6, "1B"),
        (12.0, "12"),
        (0.5, "0.5"),
    ],
)
def test_counts_are_short(number, text):
    assert short(number) == text


def test_compute_is_a_power_of_ten():
    assert power(3e21) == r"$3\times10^{21}$"
    assert power(1e24) == r"$10^{24}$"
    assert power(9.99e23) == r"$10^{24}$"


def test_levels_carry_their_unit():
    assert held_at("n_tokens", 2e10) == "20B tokens"
    assert held_at("flops", 1e20) == r"$10^{20}$ FLOP"


def test_columns_of_the_schema_and_of_the_user_have_labels():
    assert label_of("n_tokens") == "Training tokens"
    assert label_of("batch_size") == "Batch size (see batch_unit)"
    assert label_of("my_own_$column") == r"My own \$column"


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_has_a_label_and_its_unit_if_it_has_one(metric):
    label = label_of_metric(metric)
    assert label[0].isupper()
    unit = METRICS[metric].unit
    plain = unit in ("none", "unknown", "of the source", "bits per byte", "bits per character")
    assert plain or unit.split()[0] in label


def test_shares_are_written_in_hundredths():
    assert percent(0.9) == "90 %"
    assert percent(0.995) == "99.5 %"


def test_text_of_the_user_stays_on_one_line():
    assert readable("two\nlines") == "two lines"
    assert readable("") == "(no label)"
