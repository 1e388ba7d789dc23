import warnings

import numpy as np
import pytest
import xarray as xr
from made_studies import made_study, normal_densities

from bayescale.comparison.loo import efficiency, psis_loo, standard_error


@pytest.fixture(scope="module")
def slow_chains():
    """Draws along an autocorrelated chain, so that the efficiency lies well below one."""
    rng = np.random.default_rng(0)
    value = rng.normal(size=70)
    steps = rng.normal(size=(4, 600))
    walk = np.zeros_like(steps)
    for i in range(1, 600):
        walk[:, i] = 0.9 * walk[:, i - 1] + np.sqrt(1 - 0.81) * steps[:, i]
    mean = 0.12 * walk[..., None]
    study = made_study(-0.5 * (value - mean) ** 2 - 0.5 * np.log(2 * np.pi), value)
    study["posterior"]["E"] = xr.DataArray(walk, dims=("chain", "draw"))
    return study


def test_slow_chains_agree_with_arviz(slow_chains):
    import arviz as az

    share = efficiency(slow_chains["posterior"].to_dataset())
    assert share < 0.2
    found = psis_loo(slow_chains["log_likelihood"]["value"].values.reshape(-1, 70), efficiency=share)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = az.loo(slow_chains, pointwise=True, var_name="value")
    np.testing.assert_allclose(found.pointwise, expected.elpd_i, atol=1e-9)
    np.testing.assert_allclose(found.khat, expected.pareto_k, atol=1e-9)
    assert found.elpd == pytest.approx(expected.elpd, abs=1e-8)
    assert found.se == pytest.approx(expected.se, rel=1e-8)
    assert found.p == pytest.approx(expected.p, abs=1e-8)


def test_rows_are_scored_alike_alone_and_together():
    densities = normal_densities(np.linspace(2, 3, 131), 2.5, 0.3).reshape(-1, 131)
    together = psis_loo(densities)
    for row in (0, 63, 64, 130):
        alone = psis_loo(densities[:, [row]])
        assert alone.pointwise[0] == together.pointwise[row]
        assert alone.khat[0] == together.khat[row]


def test_a_constant_shift_of_the_densities_shifts_the_score_and_nothing_else():
    densities = normal_densities(np.linspace(2, 3, 30), 2.5, 0.3).reshape(-1, 30)
    here, far = psis_loo(densities), psis_loo(densities - 900.0)
    np.testing.assert_allclose(far.pointwise, here.pointwise - 900.0, rtol=1e-9)
    np.testing.assert_allclose(far.khat, here.khat, atol=1e-6)
    assert far.p == pytest.approx(here.p, abs=1e-6)


def test_an_impossible_value_at_one_draw_is_never_trusted():
    densities = normal_densities(np.linspace(2, 3, 5), 2.5, 0.3).reshape(-1, 5)
    densities[17, 2] = -np.inf
    found = psis_loo(densities)
    assert found.khat[2] == np.inf
    assert np.isfinite(found.pointwise).all()


def test_one_row_has_no_standard_error():
    assert np.isnan(standard_error(np.array([1.0])))


def test_constant_draws_count_as_efficient_as_independent_ones():
    assert efficiency(xr.Dataset({"E": (("chain", "draw"), np.ones((4, 100)))})) == 1.0
