import json

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import least_squares

from bayescale.diagnostics.identification import identify
from bayescale.diagnostics.sensitivity import prior_sensitivity
from bayescale.testing import synthetic_posterior

TRUTH = {"E": 1.8, "A_ref": 0.36, "alpha": 0.35, "B_ref": 0.45, "beta": 0.37}
PRIOR = {
    "E": (0.4, 0.75),
    "A_ref": (-0.7, 1.0),
    "alpha": (-1.2, 0.6),
    "B_ref": (-0.7, 1.0),
    "beta": (-1.2, 0.6),
}
LETTERS = {"A_ref": "A", "B_ref": "B"}


def _fitted(n, d, noise=0.005, floor=None):
    """Normal approximation of the posterior of a plain fit, as a study."""
    rng = np.random.default_rng(1)
    truth = dict(TRUTH) | ({"E": floor} if floor else {})
    mu, sd = (np.array(c) for c in zip(*PRIOR.values(), strict=True))

    def loss(q):
        e, a, alpha, b, beta = np.exp(q)
        return e + a * n**-alpha + b * d**-beta

    value = loss(np.log(list(truth.values()))) * np.exp(noise * rng.standard_normal(len(n)))
    found = least_squares(lambda q: np.r_[(np.log(loss(q)) - np.log(value)) / noise, (q - mu) / sd], mu)
    cov = np.linalg.inv(found.jac.T @ found.jac)
    q = rng.multivariate_normal(found.x, cov, size=(4, 500))
    dims = ("chain", "draw")
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({k: (dims, np.exp(q[..., i])) for i, k in enumerate(PRIOR)}),
            "log_prior": xr.Dataset(
                {k: (dims, -0.5 * ((q[..., i] - mu[i]) / sd[i]) ** 2) for i, k in enumerate(PRIOR)}
            ),
            "observed_data": xr.Dataset({"value": ("run", value)}),
        }
    )
    sds = {LETTERS.get(k, k): v[1] for k, v in PRIOR.items()}
    tree.attrs["bayescale"] = json.dumps({"law": "chinchilla", "prior_sd": sds})
    return tree


def _design(name, runs=40):
    rng = np.random.default_rng(0)
    n, d = np.exp(rng.uniform(-4, 4, runs)), np.exp(rng.uniform(-4, 4, runs))
    return {
        "wide": (n, d),
        "tokens follow size": (n, n),
        "one size": (np.ones(runs), d),
        "narrow": (n**0.1, d**0.1),
        "three runs": (n[:3], d[:3]),
    }[name]


def _codes(found):
    return {finding.code for finding in found.findings}


def test_a_wide_design_tells_every_parameter():
    found = identify(_fitted(*_design("wide")))
    assert found.ok, str(found)
    assert (found.table["contraction"] > 0.5).all()
    assert (found.table["sensitivity"] < 0.05).all()
    assert "The runs tell every parameter" in str(found)


@pytest.mark.parametrize("design", ["tokens follow size", "one size", "narrow", "three runs"])
def test_weak_designs_are_caught(design):
    found = identify(_fitted(*_design(design)))
    assert not found.ok
    assert "prior-led" in _codes(found)


def test_one_size_leaves_its_exponent_to_the_prior_in_words():
    found = identify(_fitted(*_design("one size")))
    message = next(f.message for f in found.findings if f.message.startswith("alpha:"))
    assert "the runs say little; its prior SD" in message
    assert "n_params" in message
    assert not any(f.message.startswith("beta:") and "n_params" in f.message for f in found.findings)
    assert found.table.loc["alpha", "contraction"] < 0.1


def test_parameters_on_a_ridge_are_named():
    posterior = synthetic_posterior(draws=500)
    near = posterior["posterior"]["alpha"] ** 2 * np.exp(
        0.01 * np.random.default_rng(0).standard_normal((4, 500))
    )
    values = posterior["posterior"].to_dataset().assign(A_ref=near)
    posterior = xr.DataTree.from_dict({"posterior": values}, name=None).assign()
    found = identify(posterior)
    message = next(f.message for f in found.findings if f.code == "ridge")
    assert "A_ref and alpha rise together" in message or "alpha and A_ref rise together" in message
    assert "A and " not in message


def test_a_floor_near_zero_is_told_with_its_share():
    posterior = synthetic_posterior()
    floor = posterior["posterior"]["E"].copy(deep=True)
    floor[:1] = 1e-3
    groups = {g: child.to_dataset() for g, child in posterior.children.items()}
    groups["posterior"] = groups["posterior"].assign(E=floor)
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(posterior.attrs)
    found = identify(tree)
    assert found.floor_share == pytest.approx(0.25)
    assert "in 25% of draws" in str(found)
    assert identify(posterior).floor_share == 0.0


def test_groups_are_named_where_only_some_are_led_by_the_prior():
    families = ("llama", "olmo", "pythia", "qwen")
    posterior = synthetic_posterior("chinchilla", families, draws=500)
    alpha = posterior["posterior"]["alpha"].copy(deep=True)
    alpha[..., 2] *= np.exp(0.55 * np.random.default_rng(0).standard_normal((4, 500)))
    groups = {g: child.to_dataset() for g, child in posterior.children.items()}
    groups["posterior"] = groups["posterior"].assign(alpha=alpha)
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(posterior.attrs)
    message = next(f.message for f in identify(tree).findings if f.code == "prior-led")
    assert message.startswith("alpha: the runs say little")
    assert "pythia" in message
    assert "olmo" not in message


def test_few_groups_are_a_note():
    found = identify(synthetic_posterior("chinchilla", ("llama", "olmo")))
    assert _codes(found) == {"few-groups"}
    assert found.ok
    assert "2 of family" in str(found)
    assert "few-groups" not in _codes(identify(synthetic_posterior("chinchilla", tuple("abcd"))))


def test_what_cannot_be_told_is_said():
    posterior = synthetic_posterior()
    posterior.attrs["bayescale"] = json.dumps({"law": "chinchilla"})
    found = identify(posterior)
    assert not found.ok
    assert "no-prior-sd" in _codes(found)
    assert found.table["contraction"].isna().all()


def test_draws_that_are_not_finite_never_pass():
    posterior = synthetic_posterior()
    groups = {g: child.to_dataset() for g, child in posterior.children.items()}
    beta = groups["posterior"]["beta"].copy(deep=True)
    beta[0, 0] = np.nan
    groups["posterior"] = groups["posterior"].assign(beta=beta)
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(posterior.attrs)
    found = identify(tree)
    assert "not-finite" in _codes(found)
    assert not found.ok


def test_a_study_without_log_prior_says_that_sensitivity_was_not_checked():
    posterior = synthetic_posterior()
    groups = {g: child.to_dataset() for g, child in posterior.children.items() if g != "log_prior"}
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(posterior.attrs)
    found = identify(tree)
    assert _codes(found) == {"no-log-prior"}
    assert found.ok


def test_sensitivity_agrees_with_arviz():
    from arviz_stats import psense  # takes all chains for one when it counts effective draws: give one

    rng = np.random.default_rng(0)
    x = 1.0 + 0.8 * rng.standard_normal((1, 4000, 3)) * np.array([0.2, 1.0, 1.5])
    log_prior = -0.5 * (x[..., 1] - 0.2) ** 2
    dims = ("chain", "draw")
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({f"v{i}": (dims, x[..., i]) for i in range(3)}),
            "log_prior": xr.Dataset({"v1": (dims, log_prior)}),
        }
    )
    expected = psense(tree, group="prior", alphas=(0.8, 1.25))
    ours = prior_sensitivity(x, log_prior)
    np.testing.assert_allclose(ours, [float(expected[f"v{i}"]) for i in range(3)], rtol=1e-6)
    assert ours[1] > 0.1 > ours[0]


def test_a_prior_that_does_not_vary_has_no_say():
    x = np.random.default_rng(0).standard_normal((4, 100, 2))
    np.testing.assert_array_equal(prior_sensitivity(x, np.zeros((4, 100))), [0.0, 0.0])
