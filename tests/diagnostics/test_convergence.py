import json

import numpy as np
import pytest
import xarray as xr
from scipy.stats import chi2

from bayescale.diagnostics.convergence import convergence
from bayescale.diagnostics.faults import rhat_by_chance
from bayescale.diagnostics.statistics import ess_bulk, rhat
from bayescale.errors import InputError
from bayescale.testing import synthetic_posterior

FAMILIES = ("llama", "olmo", "pythia", "qwen")


def _codes(verdict):
    return {finding.code for finding in verdict.findings}


def _with(posterior, group="posterior", **changed):
    """The same study with some variables replaced."""
    changed = {k: v for k, v in changed.items()}
    tree = {
        g: child.to_dataset().assign(changed) if g == group else child.to_dataset()
        for g, child in posterior.children.items()
    }
    return _tree(tree, posterior.attrs)


def _tree(groups, attrs):
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(attrs)
    return tree


def _told(posterior, **more):
    return {"bayescale": json.dumps(json.loads(posterior.attrs["bayescale"]) | more)}


@pytest.fixture(scope="module")
def sound():
    return synthetic_posterior("chinchilla", FAMILIES, draws=500)


def test_sound_draws_converge_without_a_finding(sound):
    verdict = convergence(sound)
    assert verdict.ok
    assert verdict.findings == ()
    assert "Converged" in str(verdict)
    assert "4 chains of 500 draws" in str(verdict)
    assert {"alpha[llama]", "A_ref", "sigma"} <= set(verdict.table.index)
    assert list(verdict.table.columns) == ["mean", "sd", "mcse", "rhat", "ess_bulk", "ess_tail"]


def test_nan_and_infinite_draws_fail_and_are_named(sound):
    alpha = sound["posterior"]["alpha"].copy(deep=True)
    alpha[1, 7, 2] = np.nan
    beta = sound["posterior"]["beta"].copy(deep=True)
    beta[0, 3] = np.inf
    verdict = convergence(_with(sound, alpha=alpha, beta=beta))
    assert not verdict.ok
    assert {"nan-draws", "infinite-draws", "no-statistics"} <= _codes(verdict)
    assert "alpha[pythia]" in str(verdict)
    assert "beta" in str(verdict)
    assert verdict.findings[0].severity == "error"


def test_constant_draws_fail_unless_the_study_says_they_are_fixed(sound):
    still = _with(sound, nu=xr.full_like(sound["posterior"]["nu"], 4.0))
    verdict = convergence(still)
    assert "constant-draws" in _codes(verdict)
    assert "nu" in next(f.message for f in verdict.findings if f.code == "constant-draws")
    still.attrs.update(_told(still, fixed=["nu"]))
    assert convergence(still).ok


def test_a_stuck_chain_is_named(sound):
    beta = sound["posterior"]["beta"].copy(deep=True)
    beta[2] = 0.3
    message = next(
        f.message for f in convergence(_with(sound, beta=beta)).findings if f.code == "stuck-chain"
    )
    assert "beta in chain 2" in message


def test_chains_that_stop_early_are_told_with_the_cut():
    posterior = synthetic_posterior(draws=400)
    short = {
        name: v.copy(data=np.where(np.arange(400) < np.array([[400], [400], [160], [400]]), v.values, np.nan))
        for name, v in posterior["posterior"].data_vars.items()
    }
    verdict = convergence(_with(posterior, **short))
    message = next(f.message for f in verdict.findings if f.code == "unequal-chains")
    assert "chain 2 has 160" in message
    assert "slice(160)" in message
    assert "nan-draws" not in _codes(verdict)
    assert np.isfinite(verdict.table["rhat"]).all()


def test_a_chain_without_any_draw_fails():
    posterior = synthetic_posterior(draws=400)
    chain = np.array([[True], [False], [True], [True]])
    empty = {
        name: v.copy(data=np.where(chain, v.values, np.nan))
        for name, v in posterior["posterior"].data_vars.items()
    }
    assert not convergence(_with(posterior, **empty)).ok


@pytest.mark.parametrize("draws", [1, 3, 9, 50])
def test_few_draws_never_pass(draws):
    verdict = convergence(synthetic_posterior(draws=draws))
    assert not verdict.ok
    assert f"only {draws} draws" in str(verdict)


def test_one_chain_never_passes():
    verdict = convergence(synthetic_posterior(chains=1, draws=2000))
    assert _codes(verdict) == {"one-chain"}
    assert not verdict.ok


def test_chains_that_disagree_fail_and_name_the_group(sound):
    alpha = sound["posterior"]["alpha"].copy(deep=True)
    alpha[3, :, 1] += 3 * float(alpha[..., 1].std())
    verdict = convergence(_with(sound, alpha=alpha))
    finding = next(f for f in verdict.findings if f.code == "chains-disagree")
    assert finding.severity == "error"
    assert "alpha[olmo]" in finding.message
    assert "target_accept" in finding.message


def test_slow_chains_are_told_how_many_draws_to_take(sound):
    random = np.random.default_rng(4)
    slow = random.standard_normal((4, 500))
    for t in range(1, 500):
        slow[:, t] = 0.8 * slow[:, t - 1] + 0.6 * slow[:, t]
    verdict = convergence(_with(sound, beta=(("chain", "draw"), slow)))
    message = next(f.message for f in verdict.findings if f.code == "few-effective-draws")
    assert "beta" in message
    assert "Raise draws to" in message
    assert "chains-disagree" not in _codes(verdict)


def test_faultless_chains_at_few_effective_draws_seldom_raise_a_warning():
    """R-hat exceeds 1.01 there by chance; a fixed limit would accuse most fits of twenty numbers."""
    random = np.random.default_rng(0)
    x = random.standard_normal((4, 500, 400))
    for t in range(1, 500):
        x[:, t] = 0.63 * x[:, t - 1] + np.sqrt(1 - 0.63**2) * x[:, t]
    r, ess = rhat(x), ess_bulk(x)
    assert 350 < np.median(ess) < 550
    assert (r > 1.01).mean() > 0.1
    assert (r > rhat_by_chance(ess, 4)).mean() < 0.01


@pytest.mark.parametrize("chains", [1, 2, 4, 8, 32, 1000])
def test_the_limit_of_chance_is_that_of_the_chi_square(chains):
    halves = 2 * chains
    expected = np.sqrt(1 + halves / 400.0 * chi2.ppf(0.999, halves - 1) / (halves - 1))
    np.testing.assert_allclose(rhat_by_chance(np.array([400.0]), chains), expected, rtol=1e-12)


def test_high_rhat_within_chance_is_a_note(sound):
    random = np.random.default_rng(2)
    for _ in range(50):
        x = random.standard_normal((4, 500))
        for t in range(1, 500):
            x[:, t] = 0.63 * x[:, t - 1] + np.sqrt(1 - 0.63**2) * x[:, t]
        if 1.01 < rhat(x) < 1.015 and ess_bulk(x) > 420:
            break
    verdict = convergence(_with(sound, beta=(("chain", "draw"), x)))
    assert _codes(verdict) == {"rhat-within-chance"}
    assert verdict.ok
    assert "Raise draws" in str(verdict)


def test_divergences_are_counted_with_their_share(sound):
    diverging = sound["sample_stats"]["diverging"].copy(deep=True)
    diverging[0, :7] = True
    verdict = convergence(_with(sound, "sample_stats", diverging=diverging))
    assert [f.severity for f in verdict.findings] == ["warning"]
    assert "7 divergences (0.35% of draws)" in str(verdict)
    assert "target_accept to 0.95" in str(verdict)


def test_low_energy_fraction_names_the_chain(sound):
    energy = sound["sample_stats"]["energy"].copy(deep=True)
    energy[1] = np.cumsum(np.random.default_rng(0).standard_normal(500))
    message = next(iter(convergence(_with(sound, "sample_stats", energy=energy)).findings)).message
    assert "E-BFMI" in message
    assert "chain 1" in message
    assert "chain 0" not in message


def test_missing_sampler_statistics_are_a_warning(sound):
    groups = {g: child.to_dataset() for g, child in sound.children.items() if g != "sample_stats"}
    verdict = convergence(_tree(groups, sound.attrs))
    assert _codes(verdict) == {"no-sampler-statistics"}
    assert not verdict.ok


@pytest.mark.parametrize(
    ("khat", "code"),
    [(0.2, None), (0.6, "khat-raised"), (0.9, "khat-high"), (None, "no-khat"), (np.nan, "no-khat")],
)
def test_weighted_draws_are_judged_by_khat_alone(khat, code):
    posterior = synthetic_posterior(chains=1, draws=2000)
    groups = {g: child.to_dataset() for g, child in posterior.children.items() if g != "sample_stats"}
    engine = {"name": "laplace", "khat": khat, "effective_draws": 1800}
    verdict = convergence(_tree(groups, _told(posterior, engine=engine)))
    assert _codes(verdict) == ({code} if code else set())
    assert verdict.ok == (code is None)


def test_few_effective_weights_are_a_warning():
    posterior = synthetic_posterior()
    engine = {"name": "laplace", "khat": 0.1, "effective_draws": 40}
    posterior.attrs.update(_told(posterior, engine=engine))
    assert _codes(convergence(posterior)) == {"few-weighted-draws"}


def test_an_interrupted_fit_is_marked(sound):
    marked = _with(sound)
    marked.attrs.update(_told(sound, partial=True))
    assert _codes(convergence(marked)) == {"partial-fit"}


def test_errors_come_before_warnings_and_messages_stay_short():
    posterior = synthetic_posterior("chinchilla", [f"family-{i}" for i in range(60)], draws=30)
    nan = posterior["posterior"]["alpha"] * np.nan
    verdict = convergence(_with(posterior, alpha=nan))
    severities = [f.severity for f in verdict.findings]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert max(len(f.message) for f in verdict.findings) < 600


def test_html_escapes_group_names():
    posterior = synthetic_posterior("chinchilla", ("<script>x</script>", "b", "c", "d"), draws=20)
    assert "<script>" not in convergence(posterior)._repr_html_()


def test_what_is_no_study_is_refused():
    with pytest.raises(InputError, match="no group 'posterior'"):
        convergence(xr.DataTree())
    with pytest.raises(InputError, match="rhat_limit"):
        convergence(synthetic_posterior(draws=5), rhat_limit=float("nan"))
    broken = synthetic_posterior(draws=5)
    broken.attrs["bayescale"] = "{"
    with pytest.raises(InputError, match="JSON"):
        convergence(broken)
    only_text = _tree({"posterior": xr.Dataset({"x": ("run", ["a"])})}, {})
    with pytest.raises(InputError, match="nothing to judge"):
        convergence(only_text)


def test_a_plain_tree_of_draws_without_a_record_is_judged():
    x = np.random.default_rng(0).standard_normal((4, 500))
    verdict = convergence(_tree({"posterior": xr.Dataset({"theta": (("chain", "draw"), x)})}, {}))
    assert _codes(verdict) == {"no-sampler-statistics"}
