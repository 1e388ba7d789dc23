"""A comparison taken apart by groups."""

import warnings

import numpy as np
import pytest
from made_studies import made_study, normal_densities

import bayescale as bs
from bayescale.comparison.by_group import pooled_weights
from bayescale.errors import BayescaleWarning, InputError

ROWS = 60
GROUP = np.repeat(["chart", "photo", "text"], ROWS // 3)
RNG = np.random.default_rng(5)
# The first model is right about charts and photos, the second about text, by much; nobody about more.
MEAN = {"one": np.where(GROUP == "text", 3.0, 2.0), "two": np.where(GROUP == "text", 2.0, 2.5)}
VALUE = 2.0 + 0.2 * RNG.normal(size=ROWS)


@pytest.fixture(scope="module")
def studies():
    return {
        name: made_study(normal_densities(VALUE, mean, 0.2, seed=i), VALUE, eval_name=GROUP)
        for i, (name, mean) in enumerate(MEAN.items())
    }


def quietly(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        return bs.compare_by(*args, **options)


@pytest.fixture(scope="module")
def found(studies):
    return quietly(studies, "eval_name")


def test_groups_add_up_to_the_comparison(studies, found):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        whole = bs.compare(studies)
    assert found["model"].values.tolist() == whole["model"].values.tolist()
    np.testing.assert_allclose(found["elpd"].sum("eval_name"), whole["elpd"])
    assert found["rows"].values.tolist() == [20, 20, 20]
    again = bs.compare_by(studies, "eval_name", compared=whole)
    assert again.identical(found)


def test_each_group_names_its_own_best_law(found):
    assert found["best"].sel(eval_name=["chart", "photo", "text"]).values.tolist() == ["one", "one", "two"]
    assert found["settled"].values.all()
    assert (found["elpd_diff"].max("model") == 0).all()
    at_best = found["diff_se"].sel(model="one", eval_name="chart")
    assert float(at_best) == 0.0


def test_the_order_of_rows_in_other_studies_does_not_matter(studies, found):
    turned = np.arange(ROWS)[::-1]
    other = made_study(
        normal_densities(VALUE, MEAN["two"], 0.2, seed=1)[:, :, turned],
        VALUE[turned],
        [f"r{i:03d}" for i in turned],
        eval_name=GROUP[turned],
    )
    mixed = quietly({"one": studies["one"], "two": other}, "eval_name")
    np.testing.assert_allclose(mixed["elpd"], found["elpd"])


def test_weights_are_shares(found):
    np.testing.assert_allclose(found["weight"].sum("model"), 1)
    np.testing.assert_allclose(found["weight_all"].sum(), 1)
    assert float(found["weight"].sel(eval_name="text", model="two")) > 0.8
    assert float(found["weight"].sel(eval_name="chart", model="one")) > 0.8


def test_with_no_spread_all_groups_share_the_weights_of_plain_stacking():
    from bayescale.comparison.stacking import stacking_weights

    pointwise = RNG.normal(size=(400, 3)) + np.array([0.4, 0.2, -1.0])
    by_group, common = pooled_weights(pointwise, np.repeat(np.arange(4), 100), spread=0.0)
    np.testing.assert_allclose(by_group, np.tile(common, (4, 1)))
    np.testing.assert_allclose(common, stacking_weights(pointwise), atol=0.06)


def test_a_group_of_few_rows_is_drawn_towards_the_others():
    better = np.tile([1.0, 0.0], (201, 1))
    better[-1] = [0.0, 1.0]  # the second group's only row disagrees
    index = np.append(np.zeros(200, dtype=int), 1)
    by_group, _ = pooled_weights(better, index)
    free, _ = pooled_weights(better, index, spread=10.0)
    assert by_group[1, 0] > 0.5 > free[1, 0]


def test_slopes_of_the_weights_lead_to_a_summit():
    pointwise = RNG.normal(size=(30, 3))
    index = np.repeat(np.arange(3), 10)
    by_group, _ = pooled_weights(pointwise, index)

    def density(weights):
        return np.log((np.exp(pointwise) * weights[index]).sum(axis=1)).sum()

    assert density(by_group) > density(np.full((3, 3), 1 / 3))


@pytest.mark.parametrize(
    ("by", "options", "said"),
    [
        ("task", {}, "by='task' is no column"),
        ("eval_name", {"drop": True}, "compared= holds"),
    ],
)
def test_what_does_not_fit_is_refused(studies, by, options, said):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        compared = bs.compare(studies)
    given = {k: compared.drop_sel(model="two") for k in ("compared",) if options}
    with pytest.raises(InputError, match=said):
        quietly(studies, by, **given)
