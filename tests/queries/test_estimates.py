import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.errors import InputError
from bayescale.queries.estimates import beside_published
from bayescale.testing import synthetic_posterior


@pytest.fixture(scope="module")
def ours():
    return bs.intervals(synthetic_posterior("chinchilla", draws=50), prob=0.9)


def test_a_standard_error_becomes_an_interval_of_the_same_mass(ours):
    table = beside_published(ours, [{"quantity": "alpha", "source": "p", "estimate": 0.34, "se": 0.01}])
    printed = table[table["published"]].iloc[0]
    np.testing.assert_allclose(
        [printed["lower"], printed["upper"]], [0.34 - 0.0164485, 0.34 + 0.0164485], rtol=1e-5
    )


def test_printed_bounds_are_taken_as_they_are(ours):
    row = {"quantity": "alpha", "source": "p", "estimate": 0.34, "se": 0.01, "lower": 0.30, "upper": 0.36}
    printed = beside_published(ours, [row]).query("published").iloc[0]
    assert (printed["lower"], printed["upper"]) == (0.30, 0.36)


def test_our_rows_are_those_of_intervals_and_come_first(ours):
    table = beside_published(ours, pd.DataFrame({"quantity": ["beta"], "source": ["p"], "estimate": [0.3]}))
    assert table["source"].tolist() == ["this fit", "p"]
    np.testing.assert_allclose(table.iloc[0][["median", "lower", "upper"]].astype(float), ours["beta"])
    assert np.isnan(table.iloc[1]["lower"])


def test_without_published_estimates_all_of_ours_are_listed(ours):
    assert set(beside_published(ours)["quantity"]) == set(ours.data_vars)


@pytest.mark.parametrize(
    ("published", "asked", "words"),
    [
        ([{"quantity": "alpha", "estimate": 0.3}], None, "lack the column 'source'"),
        (
            [{"quantity": "eta", "source": "p", "estimate": 0.3}],
            None,
            r"no published quantity \(eta\) is among ours",
        ),
        (None, ["eta"], "no quantity 'eta' here"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_words(ours, published, asked, words):
    with pytest.raises(InputError, match=words):
        beside_published(ours, published, quantities=asked)
