"""Scores of different ranges on one scale."""

import numpy as np
import pytest

import bayescale as bs
from bayescale.errors import InputError


def scores(**columns):
    table = {
        "run_id": ["a", "b", "c", "d"],
        "eval_name": ["choice", "choice", "points", "points"],
        "metric": ["score"] * 4,
        "value": [40.0, 85.0, 140.0, 700.0],
        "score_max": [100.0, 100.0, 1000.0, 1000.0],
        "chance": [25.0, 25.0, 0.0, 0.0],
    } | columns
    return {k: v for k, v in table.items() if v is not None}


def test_fraction_above_chance_is_the_way_from_chance_to_the_top():
    found = bs.rescale_scores(scores())
    np.testing.assert_allclose(found.frame["value"], [0.2, 0.8, 0.14, 0.7])
    assert set(found.frame["metric"]) == {"score_above_chance"}
    assert found.frame["value_reported"].tolist() == [40.0, 85.0, 140.0, 700.0]
    assert any(f.code == "rescaled-scores" for f in found.findings)


def test_fraction_of_the_range_needs_no_chance():
    found = bs.rescale_scores(scores(chance=None), above="zero")
    np.testing.assert_allclose(found.frame["value"], [0.4, 0.85, 0.14, 0.7])
    assert set(found.frame["metric"]) == {"score_of_range"}


def test_standard_errors_shrink_with_the_range():
    found = bs.rescale_scores(scores(value_se=[3.0, 3.0, 10.0, 10.0]))
    np.testing.assert_allclose(found.frame["value_se"], [0.04, 0.04, 0.01, 0.01])


def test_the_table_given_stays_as_it_was():
    before = bs.read_runs(scores())
    bs.rescale_scores(before)
    assert before.frame["value"].tolist() == [40.0, 85.0, 140.0, 700.0]


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"score_max": None}, "reads the column 'score_max'.*lacks"),
        ({"chance": None}, "reads the column 'chance'.*lacks"),
        ({"chance": [25.0, 25.0, np.nan, np.nan]}, r"chance is not told in 2 of 4 rows.*points \(2\)"),
        ({"score_max": [100.0, np.nan, 1000.0, 1000.0]}, r"score_max is not told in 1 of 4.*choice \(1\)"),
        ({"value": [25.0, 85.0, 140.0, 700.0]}, r"not above chance in 1 of 4 .*choice \(1\).*above='zero'"),
        ({"value": [40.0, 85.0, 140.0, 1700.0]}, r"exceeds score_max in 1 of 4.*row 3 \(d\) has 1700"),
        ({"value": [40.0, 85.0, -1.0, 700.0]}, "the value is negative"),
        ({"chance": [100.0, 25.0, 0.0, 0.0]}, "score_max must lie above chance"),
        ({"metric": ["error_rate"] * 4, "value": [0.1, 0.2, 0.3, 0.4]}, "'error_rate' falls as models"),
    ],
)
def test_a_range_that_is_missing_or_impossible_is_refused_by_evaluation(spoilt, said):
    with pytest.raises(InputError, match=said):
        bs.rescale_scores(scores(**spoilt))


def test_rescaling_twice_and_other_floors_are_refused():
    with pytest.raises(InputError, match="fractions already"):
        bs.rescale_scores(bs.rescale_scores(scores()))
    with pytest.raises(InputError, match="'chance' or 'zero'"):
        bs.rescale_scores(scores(), above="floor")


def test_shipped_scores_lie_within_their_range_and_some_not_above_chance():
    runs = bs.load_runs("vlm-token-space", all_rows=True)
    fractions = bs.rescale_scores(runs, above="zero").frame["value"]
    assert fractions.between(0, 1, inclusive="neither").all()
    with pytest.raises(InputError, match="chance is not told in 40 of 360 rows"):
        bs.rescale_scores(runs)
    with pytest.raises(InputError, match="not above chance in 17 of 320 rows"):
        bs.rescale_scores(runs.where("chance >= 0"))
    open_answers = bs.rescale_scores(runs.where("chance == 0"))
    np.testing.assert_array_equal(
        open_answers.frame["value"], bs.rescale_scores(runs.where("chance == 0"), above="zero").frame["value"]
    )
