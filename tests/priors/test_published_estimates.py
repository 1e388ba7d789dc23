import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.errors import InputError
from bayescale.priors.published import SETS, checked_estimates


@pytest.mark.parametrize("name", SETS)
def test_a_shipped_table_says_where_each_number_stands_and_whose_error_it_has(name):
    table = bs.load_estimates(name)
    assert {"group", "source", "place", "parameter", "estimate", "se", "se_basis", "note"} <= set(table)
    assert np.isfinite(table["estimate"]).all()
    assert (table["se"].dropna() > 0).all()
    assert ((table["se_basis"] == "none printed") == table["se"].isna()).all()
    for column in ("group", "source", "place", "parameter"):
        assert (table[column] != "").all(), column
    assert table["source"].str.contains("arXiv").all()


def test_tables_are_listed_without_a_name():
    assert set(bs.load_estimates()["name"]) == set(SETS)


def test_only_the_resampled_law_has_the_printed_errors_and_the_rest_say_borrowed():
    table = bs.load_estimates("nmm")
    known = table[table["se"].notna() & (table["place"] != "table 11")]
    own = known["group"] == "early 45-45-10"
    assert own.any()
    assert known.loc[own, "se_basis"].str.startswith("table 11").all()
    assert known.loc[~own, "se_basis"].str.startswith("borrowed").all()
    alpha = table[(table["parameter"] == "alpha") & (table["place"] == "table 3")].set_index("group")
    assert alpha.loc["early 45-45-10", "se"] == 0.101
    assert alpha.loc["early 30-30-40", "se"] == pytest.approx(0.253 * 0.101 / 0.298, abs=5e-4)


@pytest.mark.published
def test_printed_exponents_follow_from_one_another_as_far_as_they_do():
    """a = beta/(alpha + beta) to rounding for early fusion; not for experts, whose printed a is .361."""
    table = bs.load_estimates("nmm")
    laws = table[table["place"].isin(["table 2", "table 3"])]
    wide = laws.pivot_table(index=["place", "group"], columns="parameter", values="estimate")
    away = wide["a"] - wide["beta"] / (wide["alpha"] + wide["beta"])
    early = away.index.get_level_values("group").str.startswith("early")
    assert away[early].abs().max() < 0.005
    assert away["table 2", "experts 45-45-10"] == pytest.approx(0.0172, abs=5e-4)
    late = wide.loc[("table 2", "late 45-45-10")]
    assert late["b"] == pytest.approx(late["alpha"] / (late["alpha"] + late["beta"]), abs=1e-4)
    assert late["a"] + late["b"] == pytest.approx(1.0977)


@pytest.mark.published
def test_the_bootstrap_sd_of_the_size_exponent_follows_from_those_of_alpha_and_beta_if_independent():
    """Table 11: .088 for a, and b = 1 - a should have the same, but .058 is printed."""
    rng = np.random.default_rng(0)
    alpha, beta = rng.normal(0.298, 0.101, 200_000), rng.normal(0.332, 0.029, 200_000)
    inside = alpha > 0.05
    a = beta[inside] / (alpha + beta)[inside]
    middle = 1.4826 * np.median(np.abs(a - np.median(a)))
    assert middle == pytest.approx(0.088, abs=0.005)


def test_an_unknown_table_is_named_with_those_there_are():
    with pytest.raises(InputError, match=r"called 'nnm'.*Did you mean 'nmm'.*exponents"):
        bs.load_estimates("nnm")


GOOD = {"group": ["a", "b"], "parameter": ["alpha"] * 2, "estimate": [0.3, 0.4], "se": [0.1, 0.1]}


def test_a_good_table_keeps_its_order():
    found = checked_estimates(pd.DataFrame(GOOD), "group")
    assert list(found["group"]) == ["a", "b"]
    assert found["estimate"].dtype == float


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"se": [0.1, 0.0]}, r"row 1 \(alpha of b\): se 0.0 must be a number above 0"),
        ({"se": [0.1, float("nan")]}, r"row 1.*cannot be weighed"),
        ({"se": [0.1, -1]}, r"row 1.*above 0"),
        ({"se": [0.1, "wide"]}, r"row 1.*'wide'"),
        ({"estimate": [0.3, None]}, r"row 1.*is not a number"),
        ({"estimate": [float("inf"), 0.3]}, r"row 0.*is not a number"),
        ({"estimate": [True, 0.3]}, r"row 0.*is not a number"),
        ({"group": ["a", "a"]}, r"alpha of a stands twice"),
        ({"group": ["a", None]}, r"row 1.*empty"),
        ({"parameter": ["", "alpha"]}, r"row 0.*empty"),
    ],
)
def test_faults_of_a_table_are_named_by_row(change, said):
    with pytest.raises(InputError, match=r"(?s)cannot be used:.*" + said):
        checked_estimates(pd.DataFrame(GOOD | change), "group")


def test_all_faults_come_in_one_message():
    bad = GOOD | {"se": [0.0, 0.0]}
    with pytest.raises(InputError, match=r"(?s)row 0.*row 1"):
        checked_estimates(bad, "group")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({k: v for k, v in GOOD.items() if k != "se"}, r"lack the column 'se'"),
        ({k: [] for k in GOOD}, r"has no rows"),
        (7, r"(?i)estimates"),
        ({"group": ["a"], "parameter": [1, 2], "estimate": [0.1], "se": [0.1]}, r"estimates:"),
    ],
)
def test_what_is_no_table_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        checked_estimates(given, "group")
