import json
import warnings
from dataclasses import replace
from functools import wraps

import numpy as np
import pytest
from gaussian_studies import fitted, log_normal, moments, table
from scipy.special import logsumexp
from scipy.stats import halfnorm, lognorm, norm

import bayescale as bs
from bayescale.comparison.evidence import doubled
from bayescale.comparison.rebuilt import rebuilt
from bayescale.errors import BayescaleWarning, InputError
from bayescale.laws.elementwise import log
from bayescale.laws.law import find, register
from bayescale.model.density import Density
from bayescale.model.spec import specify
from bayescale.testing import synthetic_posterior


def codes(found):
    return [finding["code"] for finding in json.loads(found.attrs["findings"])]


@pytest.fixture(scope="module")
def runs():
    return table()


@pytest.fixture(scope="module")
def line(runs):
    return fitted(runs)


@pytest.fixture(scope="module")
def pooled(runs):
    return fitted(runs, pool={"a": "family"})


@pytest.fixture(scope="module")
def power():
    """A real law of three unknowns on twelve runs."""
    rng = np.random.default_rng(1)
    flops = np.geomspace(1e18, 1e21, 12)
    value = 3.0 * (flops / 3e19) ** -0.08 * np.exp(rng.normal(0, 0.02, 12))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        return bs.fit(
            {"flops": flops, "value": value},
            "power_compute",
            noise="normal",
            priors={"E": bs.Prior("LogNormal", mu=-9.0, sigma=0.5)},
            discrepancy=None,
            engine="laplace",
            random_seed=0,
            progressbar=False,
        )


@pytest.mark.parametrize("pool", [False, True])
def test_evidence_of_a_line_with_normal_scatter_is_the_closed_form(line, pooled, pool):
    study = pooled if pool else line
    found = bs.evidence(study)
    truth = log_normal(study["observed_data"]["value"].values, *moments(study, pool))
    assert float(found["log_evidence"]) == pytest.approx(truth, abs=4 * float(found["error"]) + 1e-3)
    assert float(found["error"]) < 0.02
    assert found.attrs["rows"] == 30
    assert found.attrs["unknowns"] == (9 if pool else 3)


def test_evidence_of_a_power_law_is_its_integral_on_a_grid(power):
    """Sums of the real density over a grid, in its own coordinates, six deviations to every side."""
    found = bs.evidence(power)
    density = Density(rebuilt(power).spec)
    points = density.flatten(rebuilt(power).study.blocks)
    middle = points.mean(0)
    root = np.linalg.cholesky(np.cov(points.T))
    steps = np.linspace(-6, 6, 21)
    grid = np.stack(np.meshgrid(*[steps] * len(middle), indexing="ij"), -1).reshape(-1, len(middle))
    heights = np.concatenate([density(part) for part in np.array_split(middle + grid @ root.T, 50)])
    truth = logsumexp(heights) + np.linalg.slogdet(root)[1] + len(middle) * np.log(steps[1] - steps[0])
    assert float(found["log_evidence"]) == pytest.approx(float(truth), abs=4 * float(found["error"]) + 2e-3)


def test_doubling_a_prior_changes_evidence_as_foretold(runs, line):
    """The change told by weights is that of the exact evidence under the wider prior."""
    found = bs.evidence(line)
    value = line["observed_data"]["value"].values
    exact = log_normal(value, *moments(line, scale=2.0)) - log_normal(value, *moments(line))
    assert float(found["by_prior"].sel(parameter="a_ref")) == pytest.approx(exact, abs=0.02)
    assert float(found["by_prior_khat"].sel(parameter="a_ref")) < 0.7
    assert "priors" in codes(found)


def test_doubled_priors_are_those_of_scipy():
    x = np.array([0.2, 0.9, 3.0])
    known = [
        (bs.Prior("LogNormal", mu=0.3, sigma=0.5), lognorm(s=1.0, scale=np.exp(0.3))),
        (bs.Prior("Normal", mu=0.3, sigma=0.5), norm(0.3, 1.0)),
        (bs.Prior("HalfNormal", sigma=0.5), halfnorm(scale=1.0)),
    ]
    for prior, wide in known:
        np.testing.assert_allclose(doubled(prior)(x), wide.logpdf(x))


@pytest.mark.parametrize(
    "prior",
    [
        bs.Prior("Gamma", alpha=2.0, beta=3.0),
        bs.Prior("InverseGamma", alpha=3.0, beta=2.0),
        bs.Prior("Beta", alpha=2.0, beta=5.0),
        bs.Prior("TruncatedNormal", mu=1.0, sigma=0.5),
        bs.Prior("Exponential", lam=2.0),
    ],
    ids=str,
)
def test_doubled_priors_integrate_to_one(prior):
    free = np.linspace(-60, 30, 200_001)
    inside = prior.constrain(free)
    with np.errstate(all="ignore"):
        heights = np.nan_to_num(doubled(prior)(inside) + prior.log_jacobian(free), nan=-np.inf)
    assert np.trapezoid(np.exp(heights), free) == pytest.approx(1.0, abs=1e-4)


def test_evidence_counts_values_in_their_own_unit():
    """A thousand times the values: the density of each is a thousand times smaller, and all else is equal."""
    rng = np.random.default_rng(2)
    flops = np.geomspace(1e18, 1e21, 15)
    value = 3.0 * (flops / 3e19) ** -0.1 * np.exp(rng.normal(0, 0.02, 15))
    same = {"noise": "normal", "discrepancy": None, "engine": "laplace", "random_seed": 0}
    found = []
    for unit in (1.0, 1000.0):
        priors = {
            "E": bs.Prior("LogNormal", mu=np.log(1.5 * unit), sigma=0.3),
            "K": bs.Prior("LogNormal", mu=np.log(1.5 * unit), sigma=0.5),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BayescaleWarning)
            runs = bs.read_runs({"flops": flops, "value": unit * value}, metric="perplexity")
            found.append(bs.evidence(bs.fit(runs, "power_compute", priors=priors, progressbar=False, **same)))
    one, thousand = (float(f["log_evidence"]) for f in found)
    assert one - thousand == pytest.approx(15 * np.log(1000.0), abs=0.05)


def test_a_saved_study_has_the_same_evidence(pooled, tmp_path):
    bs.save(pooled, tmp_path / "study.nc")
    again = bs.evidence(bs.open(tmp_path / "study.nc"))
    assert float(again["log_evidence"]) == pytest.approx(float(bs.evidence(pooled)["log_evidence"]), abs=1e-9)


def test_a_study_that_drifts_has_an_evidence_with_a_warning():
    rng = np.random.default_rng(1)
    flops = np.geomspace(1e18, 1e21, 14)
    value = 1.5 + 1.5 * (flops / 3e19) ** -0.1 * np.exp(rng.normal(0, 0.01, 14))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        drifting = bs.fit(
            {"flops": flops, "value": value},
            "power_compute",
            noise=bs.StudentT(nu=5),
            discrepancy="drift",
            random_seed=0,
            draws=300,
            progressbar=False,
        )
    with pytest.warns(BayescaleWarning, match=r"lets its law drift.*discrepancy=None"):
        found = bs.evidence(drifting)
    assert "drift" in codes(found)
    assert "drift" in found["parameter"].values
    assert float(found["error"]) < 0.3


def test_draws_that_have_not_converged_are_said(line):
    record = json.loads(line.attrs["bayescale"])
    broken = line.copy()
    broken.attrs["bayescale"] = json.dumps(record | {"partial": True})
    with pytest.warns(BayescaleWarning, match="partial or have not converged"):
        assert "unsound-draws" in codes(bs.evidence(broken))


def test_a_law_that_is_not_what_it_was_is_refused(line):
    known = find("straight_line_of_tests")

    @wraps(known.formula)
    def another(c, *, a, b):
        return a + 2.0 * b * log(c)

    register(replace(known, formula=another))
    try:
        with pytest.raises(InputError, match=r"'straight_line_of_tests'.*not here what it was.*Fit it again"):
            bs.evidence(line)
    finally:
        register(known)


def test_what_is_no_study_or_lacks_its_rows_is_refused(line):
    with pytest.raises(InputError, match="no fitted study"):
        bs.evidence("study.nc")
    with pytest.raises(InputError, match=r"lacks .*value_se_on_noise_scale"):
        bs.evidence(synthetic_posterior("chinchilla"))
    few = line.isel(draw=slice(0, 3))
    with pytest.raises(InputError, match="too few draws for 3 unknowns"):
        bs.evidence(few)


def test_measured_factors_are_put_together_again_with_their_places():
    """The rebuilt density is that of the specification, measurement rows and all."""
    runs = bs.simulate_compression("two", families=1, runs=30, between_families=0.0)
    measured = bs.simulate_measurements("two").where(
        lambda f: (f["tokenizer"].str.endswith(" 1") & (f["material"] == "plain")).to_numpy()
    )
    priors = {f"C_{m}_scatter": bs.between(0.01, 0.3) for m in ("text", "image")}
    joined = bs.fit(
        runs,
        "compression_power",
        priors=priors,
        measurements=measured,
        engine="laplace",
        random_seed=0,
        draws=100,
        progressbar=False,
    )
    found = rebuilt(joined)
    original = Density(specify(runs, "compression_power", priors=priors, measurements=measured))
    some = {k: v[:20] for k, v in found.study.blocks.items()}
    points = original.flatten(some)
    np.testing.assert_allclose(Density(found.spec)(points), original(points), rtol=1e-10)
