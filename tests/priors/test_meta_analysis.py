import json
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import quad

import bayescale as bs
from bayescale.errors import BayescaleWarning, InputError
from bayescale.model.spec import specify
from bayescale.priors.hierarchy import agreement, hierarchy

Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])  # eight schools
S = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def table(estimates, ses, parameter="alpha"):
    names = [f"g{i}" for i in range(len(estimates))]
    return pd.DataFrame({"group": names, "parameter": parameter, "estimate": estimates, "se": ses})


def by_quadrature(moment, spread_sd=5.0, width=20.0):
    """Integral over the spread alone, with everything else as one big normal."""
    prior = stats.halfnorm(scale=spread_sd)

    def evidence(tau):
        return stats.multivariate_normal(np.zeros(Y.size), np.diag(S**2 + tau**2) + width**2).pdf(
            Y
        ) * prior.pdf(tau)

    top, bottom = (
        quad(f, 0, 12 * spread_sd, limit=300)[0] for f in (lambda t: evidence(t) * moment(t), evidence)
    )
    return top / bottom


def population_given(tau, width=20.0):
    weights = 1 / (S**2 + tau**2)
    return (weights @ Y) / (weights.sum() + 1 / width**2)


@pytest.fixture(scope="module")
def schools():
    return hierarchy(Y, np.diag(S**2), 0.0, 20.0, bs.Prior("HalfNormal", sigma=5.0))


def test_the_grid_agrees_with_quadrature(schools):
    assert schools.spread[0] == pytest.approx(by_quadrature(lambda tau: tau), rel=2e-3)
    assert schools.population[0] == pytest.approx(by_quadrature(population_given), rel=2e-3)


def test_a_group_is_its_estimate_drawn_to_the_population_by_known_weights():
    """With a spread that is nearly known everything is a weighted mean."""
    tau, width = 4.0, 1e4
    found = hierarchy(Y, np.diag(S**2), 0.0, width, bs.Prior("TruncatedNormal", mu=tau, sigma=1e-3))
    weights = 1 / (S**2 + tau**2)
    mu, variance = weights @ Y / weights.sum(), 1 / weights.sum()
    share = tau**2 / (tau**2 + S**2)
    means, sds = zip(*found.groups, strict=True)
    np.testing.assert_allclose(means, mu + share * (Y - mu), rtol=1e-3)
    np.testing.assert_allclose(np.square(sds), share * S**2 + (1 - share) ** 2 * variance, rtol=2e-3)
    assert found.population == pytest.approx((mu, np.sqrt(variance)), rel=1e-3)
    assert found.new == pytest.approx((mu, np.sqrt(variance + tau**2)), rel=1e-3)


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_draws_have_the_moments_of_the_grid(correlation):
    errors = np.diag(S**2 * (1 - correlation)) + correlation * np.outer(S, S)
    found = hierarchy(Y, errors, 0.0, 20.0, bs.Prior("HalfNormal", sigma=5.0))
    tau, mu, own = found.sample(60_000, 1, np.random.default_rng(1))
    pairs = [(tau, found.spread), (mu, found.population), (own[:, -1], found.new)]
    pairs += [(own[:, j], found.groups[j]) for j in range(Y.size)]
    for drawn, (mean, sd) in pairs:
        assert drawn.mean() == pytest.approx(mean, abs=0.02 * sd)
        assert drawn.std() == pytest.approx(sd, rel=0.02)


def test_an_error_that_all_groups_share_says_nothing_of_their_differences():
    """The common part moves the population alone: the spread is that of estimates without it."""
    s, y = 0.3, np.array([-0.2, 0.0, 0.1, 0.3])
    spread = bs.Prior("HalfNormal", sigma=0.3)
    shared = s**2 * 0.9
    together = hierarchy(y, np.eye(4) * (s**2 - shared) + shared, 0.0, 50.0, spread)
    apart = hierarchy(y, np.eye(4) * (s**2 - shared), 0.0, 50.0, spread)
    assert together.spread == pytest.approx(apart.spread, rel=1e-3)
    assert together.population[1] == pytest.approx(np.hypot(apart.population[1], np.sqrt(shared)), rel=1e-3)


def test_estimates_too_much_alike_are_told_from_others():
    errors = np.eye(4) * 0.3**2
    assert agreement(np.full(4, 0.5), errors) == pytest.approx(0.0)
    assert agreement(np.array([-9.0, 0, 3, 9]), errors) == pytest.approx(1.0)
    assert agreement(np.array([1.0]), errors[:1, :1]) == 0.5


def test_positive_parameters_are_pooled_on_the_log_and_others_as_they_are():
    both = pd.concat([table([0.3, 0.35, 0.28], [0.03] * 3), table([-0.05, -0.04, -0.06], [0.01] * 3, "c")])
    meta = bs.meta_analysis(both)
    told = json.loads(meta.attrs["meta_analysis"])["parameters"]
    assert {k: v["scale"] for k, v in told.items()} == {"alpha": "log", "c": "identity"}
    draws = meta["posterior"].dataset
    assert draws["alpha"].dims == ("chain", "draw", "group")
    assert draws["alpha"].shape == (4, 1000, 3)
    assert (draws["alpha"] > 0).all()
    assert (draws["c_new"] < 0).mean() > 0.9


def test_a_group_without_an_estimate_is_predicted_from_the_population():
    rows = pd.concat([table([0.3, 0.35, 0.28], [0.01] * 3), table([1.7, 1.8], [0.1] * 2, "E")])
    with pytest.warns(BayescaleWarning, match="E: 2 groups say little"):
        draws = bs.meta_analysis(rows, draws=40_000)["posterior"].dataset
    unseen, fresh = np.log(draws["E"].sel(group="g2")), np.log(draws["E_new"])
    assert float(unseen.std()) == pytest.approx(float(fresh.std()), rel=0.05)


def test_a_seed_gives_the_same_draws_and_another_gives_others():
    rows = table([0.3, 0.35, 0.28], [0.03] * 3)
    first, again, other = (bs.meta_analysis(rows, random_seed=s)["posterior"].dataset for s in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_arviz_takes_the_result():
    import arviz as az

    meta = bs.meta_analysis(table([0.3, 0.35, 0.28], [0.03] * 3))
    found = az.summary(meta, var_names=["alpha_population"])
    assert float(found["r_hat"].iloc[0]) < 1.01


def test_intervals_are_quantiles_of_the_draws_beside_the_estimates_alone():
    meta = bs.meta_analysis(table([0.3, 0.35, 0.28], [0.03] * 3))
    found = bs.meta_intervals(meta, prob=0.8)
    flat = meta["posterior"]["alpha"].values.reshape(-1, 3)
    np.testing.assert_allclose(found["alpha"], np.quantile(flat, [0.5, 0.1, 0.9], axis=0))
    np.testing.assert_allclose(found["alpha_alone"].sel(bound="median"), [0.3, 0.35, 0.28])
    assert (np.ptp(found["alpha"].values, axis=0) < np.ptp(found["alpha_alone"].values, axis=0)).all()
    assert list(found.attrs["letters"]) == ["alpha"]


def test_the_forest_of_the_groups_is_drawn_from_it():
    import matplotlib as mpl

    mpl.use("Agg")
    found = bs.meta_intervals(bs.meta_analysis(table([0.3, 0.35, 0.28], [0.03] * 3)))
    ax = bs.plots.plot_forest(found, "alpha")
    assert [t.get_text() for t in ax.get_yticklabels()] == ["g0", "g1", "g2"]


def test_the_prior_for_a_new_family_is_the_prediction():
    meta = bs.meta_analysis(table([0.3, 0.35, 0.28], [0.03] * 3), draws=100_000)
    drawn = np.log(meta["posterior"]["alpha_new"])
    prior = bs.prior_from(meta, "alpha")
    assert prior.distribution == "LogNormal"
    assert prior.arguments["mu"] == pytest.approx(float(drawn.mean()), abs=0.003)
    assert prior.arguments["sigma"] == pytest.approx(float(drawn.std()), rel=0.02)


def test_priors_narrow_from_a_new_family_over_the_population_to_the_known_group():
    meta = bs.meta_analysis(table([0.3, 0.35, 0.28, 0.31], [0.01] * 4))
    new, population, known = (
        bs.prior_from(meta, "alpha", of=of).arguments["sigma"] for of in ("new", "population", "g0")
    )
    assert new > population
    assert new > known
    spread = bs.prior_from(meta, "alpha", of="spread")
    drawn = spread.sample(np.random.default_rng(0), 50_000)
    assert drawn.mean() == pytest.approx(float(meta["posterior"]["alpha_sd"].mean()), rel=0.03)


def test_a_fit_takes_the_priors_of_an_analysis():
    rows = pd.concat([table([0.3, 0.35, 0.28], [0.03] * 3), table([1.7, 1.8, 1.6], [0.1] * 3, "E")])
    meta = bs.meta_analysis(rows)
    one = {k: bs.prior_from(meta, k) for k in ("alpha", "E")}
    pooled = {
        "alpha": bs.prior_from(meta, "alpha", of="population"),
        "alpha_sd_family": bs.prior_from(meta, "alpha", of="spread"),
    }
    runs = bs.load_runs("gadre-overtraining")
    for options in ({"priors": one}, {"priors": pooled, "pool": {"alpha": "family"}}):
        told = specify(runs, "chinchilla", **options).structure.priors
        assert {k: told[k] for k in options["priors"]} == options["priors"]


def test_a_stated_prior_replaces_the_default():
    rows = table([0.3, 0.35, 0.28], [0.1] * 3)
    tight = bs.meta_analysis(
        rows, priors={"alpha": bs.between(0.49, 0.51), "alpha_sd": bs.Prior("HalfNormal", sigma=0.01)}
    )
    assert float(tight["posterior"]["alpha_population"].median()) == pytest.approx(0.5, abs=0.02)
    assert float(tight["posterior"]["alpha_sd"].max()) < 0.06


def test_estimates_that_agree_too_well_are_warned_of():
    with pytest.warns(BayescaleWarning, match=r"alpha: 4 estimates agree more closely.*correlation=0.5"):
        bs.meta_analysis(table([0.3, 0.301, 0.299, 0.3], [0.1] * 4))


def test_the_mixture_of_the_native_multimodal_paper_does_not_settle_the_exponents():
    """Its bootstrap SD exceeds the whole spread of alpha: the posterior of the spread is nearly its prior."""
    rows = bs.load_estimates("nmm")
    rows = rows[(rows["place"] == "table 3") & (rows["parameter"] == "alpha")]
    meta = bs.meta_analysis(rows, draws=20_000)
    small = float((meta["posterior"]["alpha_sd"] < 0.1).mean())
    before = stats.halfnorm(scale=0.3).cdf(0.1)
    assert before < small < 0.55
    own = bs.meta_intervals(meta)["alpha"]
    assert float(own.sel(bound="lower").max()) < float(own.sel(bound="median").min())


ROWS = table([0.3, 0.35, 0.28], [0.03] * 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"parameters": ["gamma"]}, r"no estimate of 'gamma'; there are: alpha"),
        ({"group": "family"}, r"lack the column 'family'"),
        ({"scale": {"alpha": "sqrt"}}, r"scale=\{'alpha': 'sqrt'\}: give log, logit, identity"),
        ({"scale": {"beta": "log"}}, r"scale=\{'beta'"),
        ({"priors": {"beta": bs.between(0.1, 0.2)}}, r"priors= names 'beta'; there are: alpha, alpha_sd"),
        ({"priors": {"alpha": bs.Prior("Gamma", alpha=2, beta=1)}}, r"is not LogNormal"),
        ({"priors": {"alpha_sd": bs.Prior("Cauchy")}}, r"alpha_sd"),
        ({"correlation": 1.0}, r"correlation=1.0 must be a number from 0 to below 1"),
        ({"correlation": "high"}, r"correlation='high'"),
        ({"draws": 0}, r"draws=0 must be a whole number"),
        ({"draws": 10.5}, r"draws=10.5"),
        ({"scale": "log"}, r"scale='log': give a mapping"),
        ({"priors": [1]}, r"priors=\[1\]: give a mapping"),
        ({"parameters": 7}, r"parameters=7: give names"),
        ({"random_seed": -1}, r"random_seed=-1 must be a whole number"),
        ({"random_seed": "x"}, r"random_seed='x'"),
    ],
)
def test_impossible_options_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        bs.meta_analysis(ROWS, **options)


@pytest.mark.parametrize(
    ("prior", "low", "high"),
    [
        (bs.Prior("LogitNormal"), 0.0, 1.0),
        (bs.Prior("Uniform", lower=0.1, upper=0.2), 0.1, 0.2),
        (bs.Prior("TruncatedNormal", mu=0.1, sigma=0.2, lower=0.05), 0.05, 2.0),
        (bs.Prior("HalfStudentT", nu=3, sigma=0.2), 0.0, 50.0),
    ],
)
def test_the_spread_stays_where_its_prior_is(prior, low, high):
    draws = bs.meta_analysis(ROWS, priors={"alpha_sd": prior})["posterior"]["alpha_sd"]
    assert low <= float(draws.min()) < float(draws.max()) <= high


def test_values_outside_a_scale_are_named():
    with pytest.raises(InputError, match=r"alpha of g1: -0.1 has no log.*'identity'"):
        bs.meta_analysis(table([0.3, -0.1], [0.1] * 2), scale={"alpha": "log"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("gamma",), r"'gamma' was not analysed here; there are: alpha, A"),
        (("A",), r"'A' moves with its exponent.*Possible here: E, alpha, beta"),
        (("a",), r"'a' is not learnt by law 'chinchilla'"),
    ],
)
def test_what_is_no_prior_of_the_law_is_refused(arguments, said):
    rows = pd.concat(
        [ROWS, table([400.0, 500, 600], [50.0] * 3, "A"), table([0.5, 0.6, 0.5], [0.1] * 3, "a")]
    )
    meta = bs.meta_analysis(rows)
    with pytest.raises(InputError, match=said):
        bs.prior_from(meta, *arguments)


def test_an_unknown_group_of_a_prior_is_named_with_those_there_are():
    with pytest.raises(InputError, match=r"of='llama': give 'new', 'population', 'spread'.*g0, g1, g2"):
        bs.prior_from(bs.meta_analysis(ROWS), "alpha", of="llama")


def test_a_parameter_whose_name_means_something_else_is_refused():
    with pytest.raises(InputError, match="'alpha_sd' would hide"):
        bs.meta_analysis(pd.concat([ROWS, ROWS.assign(parameter="alpha_sd")]))


def test_a_group_may_have_any_name():
    meta = bs.meta_analysis(ROWS.assign(group=["new", "population", "c"]))
    assert bs.prior_from(meta, "alpha") == bs.prior_from(bs.meta_analysis(ROWS), "alpha")


def test_what_is_no_analysis_is_refused():
    with pytest.raises(InputError, match="this dict is no meta-analysis"):
        bs.meta_intervals({})
    with pytest.raises(InputError, match="prob=2"):
        bs.meta_intervals(bs.meta_analysis(ROWS), prob=2)


def test_sound_estimates_raise_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bs.meta_analysis(table([0.3, 0.36, 0.26], [0.03] * 3))
