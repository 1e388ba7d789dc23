"""The table of the native multimodal paper's figures beside ours."""

import warnings

import numpy as np
import papers_native_multimodal as table
import pytest

import bayescale as bs

COLUMNS = {"source", "quantity", "paper", "ours_median", "ours_lower", "ours_upper", "why"}
QUICK = (table.estimates, table.allocation, table.frontiers, table.resampled, table.experts)


@pytest.fixture(scope="module")
def rows():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bs.BayescaleWarning)
        return [row for part in QUICK for row in part()]


def test_every_row_has_a_source_an_interval_and_a_reason(rows):
    for row in rows:
        assert set(row) == COLUMNS
        assert "arXiv" in row["source"]
        assert row["ours_lower"] <= row["ours_median"] <= row["ours_upper"]
        assert row["why"]


@pytest.mark.published
def test_exponents_of_early_fusion_follow_from_the_printed_ones(rows):
    found = {row["quantity"]: row for row in rows}
    mixtures = ("45-45-10", "40-20-40", "30-30-40", "20-40-40")
    targets = ("text", "image-caption", "interleaved")
    for law in (*mixtures, *(f"45-45-10 {target}" for target in targets)):
        for letter in ("a", "b", "d"):
            row = found[f"{letter}, early {law}"]
            assert row["ours_median"] == pytest.approx(row["paper"], abs=0.01)


@pytest.mark.published
def test_exponents_of_the_loss_are_those_of_the_laws_within_a_tenth(rows):
    """The paper's line through the hull of runs is a little flatter than the law's own frontier."""
    found = [row for row in rows if row["quantity"].startswith("c, early")]
    assert len(found) == 7
    for row in found:
        assert 1 < row["ours_median"] / row["paper"] < 1.1


@pytest.mark.published
def test_the_lower_envelope_gives_the_exponents_of_the_image_text_paper():
    runs = bs.load_runs("laion-clip", all_rows=True).where('family != "CLIP-WIT"')
    for task, exponent in table.TASKS.items():
        frame = runs.where(eval_name=task).frame
        found = table.envelope(frame["flops"].to_numpy(), frame["value"].to_numpy())
        assert -found == pytest.approx(exponent, abs=1e-3)


def test_the_printed_law_of_experts_is_the_closed_form():
    a, b, _ = table.slopes(table.native_multimodal_truth().set_index("architecture").loc["experts"], _six)
    np.testing.assert_allclose([a, b], [0.372 / 1.082, 0.710 / 1.082], atol=1e-3)


def _six(n, d):
    return 6.0 * n * d


@pytest.mark.slow
def test_the_whole_table_can_be_made():
    made = table.rows()
    assert len(made) > 60
    assert np.isfinite([row["ours_median"] for row in made]).all()
