import math

import numpy as np
import pytest
from scipy import integrate, stats

from bayescale.errors import InputError
from bayescale.laws.kinds import KINDS
from bayescale.priors import Outcome, Prior, as_prior, between, default_prior, default_spread, link, unlink
from bayescale.priors.distributions import DISTRIBUTIONS

# One row for each distribution: arguments, and the same distribution by SciPy.
ROWS = {
    "Normal": ({"mu": -0.4, "sigma": 1.7}, stats.norm(-0.4, 1.7)),
    "StudentT": ({"nu": 3.5, "mu": 0.3, "sigma": 0.8}, stats.t(3.5, 0.3, 0.8)),
    "Cauchy": ({"alpha": 0.2, "beta": 1.3}, stats.cauchy(0.2, 1.3)),
    "Laplace": ({"mu": 0.5, "b": 0.7}, stats.laplace(0.5, 0.7)),
    "LogNormal": ({"mu": -0.3, "sigma": 0.6}, stats.lognorm(0.6, scale=math.exp(-0.3))),
    "HalfNormal": ({"sigma": 1.4}, stats.halfnorm(scale=1.4)),
    "HalfStudentT": ({"nu": 4.0, "sigma": 0.9}, stats.t(4.0, 0, 0.9)),
    "HalfCauchy": ({"beta": 0.6}, stats.halfcauchy(scale=0.6)),
    "Exponential": ({"lam": 2.5}, stats.expon(scale=1 / 2.5)),
    "Gamma": ({"alpha": 2.2, "beta": 3.0}, stats.gamma(2.2, scale=1 / 3.0)),
    "InverseGamma": ({"alpha": 3.2, "beta": 1.5}, stats.invgamma(3.2, scale=1.5)),
    "TruncatedNormal": (
        {"mu": 0.3, "sigma": 0.8, "lower": 0.1},
        stats.truncnorm((0.1 - 0.3) / 0.8, np.inf, 0.3, 0.8),
    ),
    "Beta": ({"alpha": 2.0, "beta": 5.0}, stats.beta(2.0, 5.0)),
    "LogitNormal": ({"mu": 0.4, "sigma": 1.1}, None),
    "Uniform": ({"lower": -1.0, "upper": 2.5}, stats.uniform(-1.0, 3.5)),
}
SUPPORT = {"real": (-np.inf, np.inf), "positive": (0.0, np.inf), "unit": (0.0, 1.0)}
POSITIVE, REAL, UNIT = KINDS["Exponent"], KINDS["Slope"], KINDS["Fraction"]


def made(name):
    return Prior(name, **ROWS[name][0])


def test_every_distribution_has_a_row_here():
    assert set(ROWS) == set(DISTRIBUTIONS)


@pytest.mark.parametrize("name", ROWS)
def test_the_log_density_is_that_of_scipy(name):
    prior, reference = made(name), ROWS[name][1]
    x = prior.constrain(np.linspace(-2.5, 2.5, 11))
    if name == "LogitNormal":
        expected = stats.norm(0.4, 1.1).logpdf(np.log(x / (1 - x))) - np.log(x * (1 - x))
    else:
        expected = reference.logpdf(x) + (math.log(2) if name == "HalfStudentT" else 0.0)
    np.testing.assert_allclose(prior.log_density(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ROWS)
def test_the_density_integrates_to_one_over_its_coordinate(name):
    """In the coordinate that is sampled, with the Jacobian, as an engine sees it."""
    prior = made(name)
    mass, _ = integrate.quad(
        lambda q: float(np.exp(prior.log_density(prior.constrain(q)) + prior.log_jacobian(q))),
        *((-2e4, 2e4) if name in ("Cauchy", "StudentT") else (-30, 30)),
        points=[-5, 0, 5],
        limit=400,
    )
    assert mass == pytest.approx(1.0, abs=2e-4)


@pytest.mark.parametrize("name", ROWS)
def test_coordinates_and_values_are_inverse_with_their_jacobian(name):
    prior, q = made(name), np.linspace(-4, 4, 17)
    x = prior.constrain(q)
    np.testing.assert_allclose(prior.unconstrain(x), q, rtol=1e-9, atol=1e-9)
    slope = (prior.constrain(q + 1e-6) - prior.constrain(q - 1e-6)) / 2e-6
    np.testing.assert_allclose(prior.log_jacobian(q), np.log(slope), atol=1e-6)
    whole = prior.log_density(x) + prior.log_jacobian(q)
    np.testing.assert_allclose(prior.log_density_free(q), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ROWS)
def test_draws_follow_the_density(name):
    """Kolmogorov-Smirnov against the integral of the density; fails by chance once in ten thousand."""
    prior = made(name)
    draws = prior.sample(np.random.default_rng(11), 4000)
    assert draws.shape == (4000,)
    if name == "LogitNormal":
        draws, reference = np.log(draws / (1 - draws)), stats.norm(0.4, 1.1)
    elif name == "HalfStudentT":
        draws, reference = draws * np.random.default_rng(1).choice([-1, 1], 4000), stats.t(4.0, 0, 0.9)
    else:
        reference = ROWS[name][1]
    assert stats.kstest(draws, reference.cdf).pvalue > 1e-4


@pytest.mark.parametrize("name", ROWS)
def test_a_prior_comes_back_from_its_mapping(name):
    assert Prior(**made(name).to_dict()) == made(name)


@pytest.mark.parametrize("name", ROWS)
def test_pymc_knows_every_distribution_by_the_same_name_and_arguments(name):
    from bayescale.model.build import _pymc, from_prior

    pm, prior = _pymc(), made(name)
    x = prior.constrain(np.array([-1.0, 0.2, 1.5]))
    with pm.Model():
        expected = pm.logp(from_prior("x", prior), x).eval(mode="FAST_COMPILE")
    np.testing.assert_allclose(prior.log_density(x), expected, rtol=1e-8, atol=1e-8)


def test_half_the_distributions_take_their_defaults():
    assert Prior("Normal") == Prior("Normal", mu=0, sigma=1)
    with pytest.raises(InputError, match="Gamma needs alpha, beta"):
        Prior("Gamma")


@pytest.mark.parametrize(
    ("stated", "pattern"),
    [
        (lambda: Prior("Uniform", lower=2, upper=1), r"Uniform\(2, 1\): lower must lie below upper"),
        (lambda: Prior("Normal", sigma=0), r"sigma must be .*positive"),
        (lambda: Prior("Normal", mu=math.nan), r"mu must be"),
        (lambda: Prior("Normal", mu="wide"), r"mu='wide'.*number"),
        (lambda: Prior("LogNormal", scale=1), r"does not take scale; its arguments are mu, sigma"),
        (lambda: Prior("Lognormal"), r"no prior distribution 'Lognormal'.*LogNormal"),
        (lambda: Prior("Flat"), r"not proper"),
        (lambda: between(3, 1), r"between\(3, 1\).*below the upper"),
        (lambda: between(1, 3, prob=1.0), r"prob must lie between 0 and 1"),
    ],
)
def test_impossible_priors_are_refused_where_they_are_written(stated, pattern):
    with pytest.raises(InputError, match=pattern):
        stated()


@pytest.mark.parametrize("prob", [0.5, 0.9, 0.99])
def test_between_holds_the_stated_mass_with_equal_tails(prob):
    cases = {"positive": (POSITIVE, 0.1, 0.8), "real": (REAL, -2.0, 5.0), "unit": (UNIT, 0.2, 0.6)}
    for kind, low, high in cases.values():
        prior = as_prior(between(low, high, prob), "x", kind)
        tails = [integrate_below(prior, edge) for edge in (low, high)]
        np.testing.assert_allclose(tails, [(1 - prob) / 2, (1 + prob) / 2], atol=1e-6)


def integrate_below(prior, edge):
    def density(q):
        return float(np.exp(prior.log_density(prior.constrain(q)) + prior.log_jacobian(q)))

    return integrate.quad(density, -40, float(prior.unconstrain(edge)), limit=300)[0]


@pytest.mark.parametrize(
    ("stated", "kind", "pattern"),
    [
        (between(-1, 2), POSITIVE, r"'x'.*both bounds must be above 0"),
        (between(0.2, 1.5), UNIT, r"'x'.*fraction"),
        (Prior("Cauchy"), POSITIVE, r"reaches values that x cannot take.*LogNormal"),
        (Prior("Uniform", lower=-1, upper=1), POSITIVE, r"reaches values"),
        (Prior("TruncatedNormal", lower=-1.0), POSITIVE, r"reaches values"),
        (Prior("LogNormal"), UNIT, r"reaches values.*Beta or LogitNormal"),
        (Prior("Normal"), UNIT, r"reaches values"),
        (0.3, POSITIVE, r"'x'.*0.3 is no prior"),
        ("LogNormal", POSITIVE, r"is no prior"),
        ({"distribution": "Flat"}, POSITIVE, r"'x'.*not proper"),
    ],
)
def test_a_prior_that_does_not_fit_its_parameter_is_refused(stated, kind, pattern):
    with pytest.raises(InputError, match=pattern):
        as_prior(stated, "x", kind)


@pytest.mark.parametrize(
    ("stated", "kind"),
    [
        (Prior("Uniform", lower=0.1, upper=0.9), POSITIVE),
        (Prior("Uniform", lower=0.1, upper=0.9), UNIT),
        (Prior("Beta"), POSITIVE),
        (Prior("TruncatedNormal", lower=0.3), POSITIVE),
        (Prior("LogNormal"), REAL),
        (Prior("StudentT", nu=3), REAL),
    ],
)
def test_narrower_support_than_the_parameters_is_welcome(stated, kind):
    assert as_prior(stated, "x", kind) == stated


def test_a_normal_prior_of_a_positive_parameter_is_cut_at_zero():
    found = as_prior(Prior("Normal", mu=0.3, sigma=0.2), "alpha", POSITIVE)
    assert found == Prior("TruncatedNormal", mu=0.3, sigma=0.2, lower=0.0)
    assert (found.sample(np.random.default_rng(0), 2000) > 0).all()


def test_pymc_extras_priors_are_taken_as_they_are():
    extras = pytest.importorskip("pymc_extras.prior", reason="an extra of the package")
    found = as_prior(extras.Prior("Gamma", alpha=2.0, beta=4.0), "x", POSITIVE)
    assert found == Prior("Gamma", alpha=2.0, beta=4.0)


def test_a_hierarchy_inside_a_prior_is_refused_towards_pooling():
    extras = pytest.importorskip("pymc_extras.prior", reason="an extra of the package")
    nested = extras.Prior("Normal", mu=extras.Prior("Normal"), sigma=1.0)
    with pytest.raises(InputError, match="pool="):
        as_prior(nested, "x", REAL)


def test_a_flat_distribution_object_is_refused_as_improper():
    class Flat:
        pass

    with pytest.raises(InputError, match=r"'a'.*not proper"):
        as_prior(Flat(), "a", REAL)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_has_default_priors_that_fit_it(kind):
    outcome = Outcome.of(np.array([2.0, 2.4, 3.1, 2.2]))
    prior = default_prior(kind, outcome)
    assert as_prior(prior, "x", kind) == prior
    spread = default_spread(kind, outcome)
    assert spread.support == "positive"
    draws = prior.sample(np.random.default_rng(0), 200)
    np.testing.assert_allclose(unlink(kind, link(kind, draws)), draws, rtol=1e-9)


def test_a_published_middle_moves_the_default():
    outcome = Outcome.of(np.array([2.0, 3.0]))
    moved = default_prior(POSITIVE, outcome, 0.1)
    assert np.median(moved.sample(np.random.default_rng(0), 4000)) == pytest.approx(0.1, rel=0.1)


def test_the_floor_is_expected_below_the_least_value_in_any_unit():
    values = np.array([2.0, 2.5, 3.0])
    for unit in (1.0, 1.4427, 100.0):
        prior = default_prior(KINDS["Irreducible"], Outcome.of(unit * values))
        draws = prior.sample(np.random.default_rng(0), 4000)
        assert np.median(draws) / unit == pytest.approx(1.2, rel=0.05)


@pytest.mark.parametrize(
    ("metric", "least", "most"), [("error_rate", 0.15, 0.25), ("wer", 0.15, 0.25), ("loss_nats", 0.0, 0.03)]
)
def test_a_perfect_model_makes_no_errors_but_has_a_loss(metric, least, most):
    prior = default_prior(KINDS["Irreducible"], Outcome.of(np.array([0.4, 0.6, 0.8]), metric))
    draws = prior.sample(np.random.default_rng(0), 20_000)
    assert least < np.mean(draws < 0.05) < most
    assert np.mean(draws < 0.4) > 0.7


def test_values_that_are_not_positive_have_scales_too():
    outcome = Outcome.of(np.array([-0.4, 0.0, 0.6]))
    assert outcome.least > 0
    assert outcome.spread > 0
