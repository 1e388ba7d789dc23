import numpy as np
import pytest
from made_posterior import FAMILIES, chinchilla_by_hand, drawn, made_posterior

import bayescale as bs
from bayescale.errors import InputError
from bayescale.testing import synthetic_posterior


@pytest.fixture(scope="module")
def study():
    return made_posterior()


@pytest.fixture(scope="module")
def pooled():
    return made_posterior({"alpha": "family"})


def test_parameters_are_told_by_median_and_equal_tails(study):
    found = bs.intervals(study, prob=0.8)
    for name in ("E", "A", "alpha", "B", "beta"):
        expected = np.quantile(drawn(study, name)[0], [0.5, 0.1, 0.9])
        np.testing.assert_allclose(found[name].sel(bound=["median", "lower", "upper"]), expected, rtol=1e-12)
    assert found.attrs == {"prob": 0.8, "metric": "loss_nats", "law": "chinchilla"}


def test_inside_matters_are_left_out(pooled):
    names = set(bs.intervals(pooled).data_vars)
    assert not [n for n in names if "_offset_" in n or n.endswith("_ref")]
    assert {"alpha_population", "alpha_sd_family", "alpha", "sigma"} <= names


def test_the_powers_of_compute_are_the_closed_form(study):
    alpha, beta = drawn(study, "alpha", "beta")
    found = bs.intervals(study)
    np.testing.assert_allclose(found["a"].sel(bound="median"), np.median(beta / (alpha + beta)), rtol=1e-5)
    np.testing.assert_allclose(found["b"].sel(bound="median"), np.median(alpha / (alpha + beta)), rtol=1e-5)


def test_tokens_per_parameter_are_those_of_the_best_at_the_middle_compute(study):
    A, alpha, B, beta = drawn(study, "A", "alpha", "B", "beta")
    compute = 6.0 * 1e9 * 1e10  # the geometric middle of the runs' sizes and data
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    best = G * (compute / 6) ** (beta / (alpha + beta))
    expected = np.quantile(compute / 6 / best**2, [0.5, 0.05, 0.95])
    np.testing.assert_allclose(bs.intervals(study)["tokens_per_param"], expected, rtol=1e-5)


def test_answers_do_not_depend_on_the_reference_scales(study):
    other = made_posterior(reference={"n_params": 3e6, "n_tokens": 8e13})
    first, second = bs.intervals(study), bs.intervals(other)
    assert set(first) == set(second)
    for name in first.data_vars:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-5)


def test_pooled_parameters_are_labelled_by_group(pooled):
    found = bs.intervals(pooled)
    assert found["alpha"].dims == ("bound", "family")
    assert list(found["family"].values) == list(FAMILIES)
    for i, family in enumerate(FAMILIES):
        expected = np.median(drawn(pooled, "alpha")[0][:, i])
        np.testing.assert_allclose(found["alpha"].sel(bound="median", family=family), expected)
    alpha, beta = drawn(pooled, "alpha", "beta")
    np.testing.assert_allclose(
        found["a"].sel(bound="median"), np.median(beta[:, None] / (alpha + beta[:, None]), axis=0), rtol=1e-5
    )


def test_the_loss_at_named_scales_is_the_curve_there(study):
    found = bs.intervals(study, loss_at={"7B": {"n_params": 7e9, "n_tokens": 5e10}})
    expected = np.quantile(chinchilla_by_hand(study, 7e9, 5e10), [0.5, 0.05, 0.95])
    np.testing.assert_allclose(found["loss_at_7B"], expected, rtol=1e-9)


def test_a_scale_that_is_no_mapping_is_refused(study):
    with pytest.raises(InputError, match=r"loss_at\['7B'\] must be a mapping"):
        bs.intervals(study, loss_at={"7B": 7e9})


def test_a_law_of_one_scale_has_no_optimum_to_tell():
    found = bs.intervals(synthetic_posterior("power_compute", draws=50))
    assert {"a", "b", "tokens_per_param"}.isdisjoint(found.data_vars)
    assert {"E", "K", "gamma"} <= set(found.data_vars)


def test_a_letter_of_the_law_is_not_overwritten_by_a_derived_quantity():
    """The law `overtraining` learns an amplitude called a."""
    posterior = synthetic_posterior("overtraining", draws=50)
    found = bs.intervals(posterior)
    expected = float(np.median(posterior["posterior"]["a"]))
    np.testing.assert_allclose(found["a"].sel(bound="median"), expected)


def test_the_order_of_dims_in_the_draws_does_not_matter(pooled):
    import xarray as xr

    turned = xr.DataTree.from_dict(
        {
            name: child.to_dataset().transpose(..., "chain", "draw", missing_dims="ignore")
            for name, child in pooled.children.items()
        }
    )
    turned.attrs.update(pooled.attrs)
    first, second = bs.intervals(pooled), bs.intervals(turned)
    for name in first.data_vars:
        np.testing.assert_allclose(first[name], second[name].transpose(*first[name].dims))
