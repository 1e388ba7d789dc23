import pytest

import bayescale as bs

ROWS = {"n_params": [1e8, 1e9, 5e9], "n_tokens": [1e9, 1e10, 1e11], "value": [3.1, 2.6, 2.3]}


def test_shares_of_one_whole_are_read_with_zeros():
    runs = bs.read_runs(ROWS | {"share_text": [1, 0.5, 0], "share_image": [0, 0.5, 1]})
    assert not [f for f in runs.findings if f.code.startswith("shares")]


def test_shares_that_exceed_the_whole_are_refused_by_row():
    with pytest.raises(bs.InputError, match=r"must sum to 1.*row 1 .*has 1\.4.*Divide them by their sum"):
        bs.read_runs(ROWS | {"share_text": [1, 0.7, 0], "share_image": [0, 0.7, 1]})


def test_percent_is_no_share():
    with pytest.raises(bs.InputError, match=r"'share_text' must lie between 0 and 1.*45"):
        bs.read_runs(ROWS | {"share_text": [45, 50, 55]})


def test_a_part_without_a_name_is_noted():
    runs = bs.read_runs(ROWS | {"share_text": [0.5, 0.5, 0.3], "share_image": [0.5, 0.2, 0.7]})
    told = [f for f in runs.findings if f.code == "shares-below-one"]
    assert len(told) == 1
    assert told[0].severity == "note"
    assert "row 1" in told[0].message


def test_shares_printed_with_two_digits_are_near_enough_to_one():
    runs = bs.read_runs(ROWS | {"share_a": [0.334, 0.5, 1], "share_b": [0.669, 0.5, 0]})
    assert not [f for f in runs.findings if f.code.startswith("shares")]
