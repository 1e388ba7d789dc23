import numpy as np
import pytest
from arviz_stats.base import array_stats

from bayescale.diagnostics.statistics import bfmi, ess_bulk, ess_mean, ess_tail, mcse_mean, rhat


def _chains(kind, chains=4, draws=500, quantities=6, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(chains, draws, quantities))
    if kind == "independent":
        return x
    if kind == "ties":
        return np.round(x, 1)
    if kind == "antithetic":
        x[:, 1::2] = -x[:, :-1:2] + 0.05 * x[:, 1::2]
        return x
    if kind == "apart":
        return x + np.arange(chains)[:, None, None] * np.linspace(0, 1, quantities)
    if kind == "heavy":
        return random.standard_cauchy(size=x.shape)
    memory = np.linspace(-0.9, 0.995, quantities)
    for t in range(1, draws):
        x[:, t] += memory * x[:, t - 1]
    return x


KINDS = ["independent", "ties", "antithetic", "apart", "heavy", "memory"]
SIZES = [(4, 500), (2, 101), (4, 4), (3, 7), (4, 1000)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("chains", "draws"), SIZES)
def test_statistics_agree_with_arviz(kind, chains, draws):
    if kind == "antithetic" and draws % 2:
        draws += 1
    x = _chains(kind, chains, draws)
    at = {"chain_axis": 0, "draw_axis": 1}
    np.testing.assert_allclose(rhat(x), array_stats.rhat(x, **at, method="rank"), rtol=1e-9)
    np.testing.assert_allclose(ess_bulk(x), array_stats.ess(x, **at, method="bulk"), rtol=1e-7)
    np.testing.assert_allclose(ess_mean(x), array_stats.ess(x, **at, method="mean"), rtol=1e-7)
    np.testing.assert_allclose(mcse_mean(x), array_stats.mcse(x, **at, method="mean"), rtol=1e-7)
    tail = array_stats.ess(x, **at, method="tail", prob=(0.05, 0.95))
    np.testing.assert_allclose(ess_tail(x), tail, rtol=1e-7)


def test_bfmi_agrees_with_arviz():
    energy = _chains("memory")[..., 4]
    np.testing.assert_allclose(bfmi(energy), array_stats.bfmi(energy), rtol=1e-12)


def test_one_quantity_gives_a_number_and_groups_keep_their_shape():
    x = _chains("independent")
    assert rhat(x[..., 0]).shape == ()
    shaped = x.reshape(4, 500, 2, 3)
    assert ess_bulk(shaped).shape == (2, 3)
    np.testing.assert_array_equal(ess_bulk(shaped).ravel(), ess_bulk(x))


@pytest.mark.parametrize("statistic", [rhat, ess_bulk, ess_tail, ess_mean, mcse_mean])
def test_broken_quantities_are_nan_and_do_not_touch_their_neighbours(statistic):
    x = _chains("memory")
    whole = statistic(x)
    x[1, 3, 0] = np.nan
    x[0, 9, 1] = np.inf
    x[..., 2] = 3.7
    broken = statistic(x)
    assert np.isnan(broken[:3]).all()
    np.testing.assert_allclose(broken[3:], whole[3:], rtol=1e-12)


def test_one_chain_has_no_rhat_and_three_draws_have_nothing():
    x = _chains("independent")
    assert np.isnan(rhat(x[:1])).all()
    assert np.isfinite(ess_bulk(x[:1])).all()
    assert np.isnan(rhat(x[:, :3])).all()
    assert np.isnan(ess_tail(x[:, :3])).all()


def test_huge_values_do_not_overflow():
    x = _chains("memory")
    np.testing.assert_allclose(ess_mean(x * 2.0**660), ess_mean(x), rtol=1e-9)
    np.testing.assert_allclose(rhat(x * 2.0**660), rhat(x), rtol=1e-9)
