import math

import numpy as np
import pytest
from scipy import stats
from small_runs import small_runs

import bayescale as bs
from bayescale.errors import InputError
from bayescale.model.noise import (
    NOISES,
    AsymmetricLaplace,
    Beta,
    Contaminated,
    Laplace,
    Normal,
    StudentT,
    as_noise,
    from_dict,
    to_dict,
    total,
)
from bayescale.model.spec import specify
from bayescale.priors import Outcome

VALUE = np.array([0.12, 0.4, 0.55, 0.93])
MEAN = np.array([0.15, 0.35, 0.6, 0.9])
NONE = np.zeros(4)
FORWARD = {"log": np.log, "value": lambda x: x, "logit": lambda x: np.log(x / (1 - x))}
SLOPE = {"log": lambda x: 1 / x, "value": np.ones_like, "logit": lambda x: 1 / (x * (1 - x))}


class Mixed:
    """Normals of one middle and two widths."""

    def __init__(self, middle, widths, share):
        self.parts = [stats.norm(middle, width) for width in widths]
        self.shares = (1 - share, share)

    def logpdf(self, x):
        return np.log(sum(w * part.pdf(x) for w, part in zip(self.shares, self.parts, strict=True)))

    def cdf(self, x):
        return sum(w * part.cdf(x) for w, part in zip(self.shares, self.parts, strict=True))


def lower_envelope(middle, p):
    """Mean absolute deviation sigma, and the quantile below; SciPy's scale is geometric between the sides."""
    below, above = p["quantile"], 1 - p["quantile"]
    unit = p["sigma"] / (below**2 + above**2)
    return stats.laplace_asymmetric(
        kappa=math.sqrt(below / above), loc=middle, scale=unit * math.sqrt(below * above)
    )


# Each part with what it learns, and the same scatter by SciPy on the scale of the part.
PARTS = {
    "Normal": (Normal, {"sigma": 0.3}, lambda m, p: stats.norm(m, p["sigma"])),
    "StudentT": (StudentT, {"sigma": 0.3, "nu": 4.0}, lambda m, p: stats.t(p["nu"], m, p["sigma"])),
    "Laplace": (Laplace, {"sigma": 0.3}, lambda m, p: stats.laplace(m, p["sigma"])),
    "AsymmetricLaplace": (AsymmetricLaplace, {"sigma": 0.3, "quantile": 0.15}, lower_envelope),
    "Contaminated": (
        Contaminated,
        {"sigma": 0.1, "share": 0.2, "wider": 8.0},
        lambda m, p: Mixed(m, (p["sigma"], p["wider"] * p["sigma"]), p["share"]),
    ),
}


@pytest.mark.parametrize("on", FORWARD)
@pytest.mark.parametrize("part", PARTS)
def test_the_density_is_that_of_scipy_in_the_unit_of_the_value(part, on):
    kind, learnt, reference = PARTS[part]
    found = kind(on=on).log_density(VALUE, MEAN, NONE, **learnt)
    expected = reference(FORWARD[on](MEAN), learnt).logpdf(FORWARD[on](VALUE)) + np.log(SLOPE[on](VALUE))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_the_beta_density_is_that_of_scipy():
    found = Beta().log_density(VALUE, MEAN, NONE, precision=20.0)
    np.testing.assert_allclose(found, stats.beta(20 * MEAN, 20 * (1 - MEAN)).logpdf(VALUE), rtol=1e-9)


def test_degrees_of_freedom_can_be_fixed():
    fixed = StudentT(nu=4.0)
    assert set(fixed.priors(Outcome.of(VALUE))) == {"sigma"}
    assert set(StudentT().priors(Outcome.of(VALUE))) == {"sigma", "nu"}
    np.testing.assert_array_equal(
        fixed.log_density(VALUE, MEAN, NONE, sigma=0.3),
        StudentT().log_density(VALUE, MEAN, NONE, sigma=0.3, nu=4.0),
    )


@pytest.mark.parametrize(
    ("kind", "sigma"), [(Normal, 0.5), (StudentT, 0.5), (Laplace, math.sqrt(0.3**2 + 0.5 * 0.4**2))]
)
def test_a_known_error_widens_the_scatter(kind, sigma):
    """Variances add: .3 and .4 make .5; of a Laplace scatter the variance is twice its square."""
    more = {"nu": 5.0} if kind is StudentT else {}
    found = kind(on="value").log_density(VALUE, MEAN, np.full(4, 0.4), sigma=0.3, **more)
    wide = kind(on="value").log_density(VALUE, MEAN, NONE, sigma=sigma, **more)
    np.testing.assert_allclose(found, wide, rtol=1e-12)


def test_the_law_is_the_quantile_of_runs_that_were_asked_for():
    drawn = AsymmetricLaplace(quantile=0.1).sample(np.random.default_rng(2), np.full(20000, 2.0), sigma=0.05)
    assert np.mean(drawn < 2.0) == pytest.approx(0.1, abs=0.01)
    assert np.mean(np.abs(np.log(drawn / 2.0))) == pytest.approx(0.05, rel=0.03)


def test_at_the_middle_quantile_it_is_the_laplace_part_with_its_errors_too():
    error = np.array([0.0, 0.1, 0.2, 0.3])
    found = AsymmetricLaplace(quantile=0.5).log_density(VALUE, MEAN, error, sigma=0.3)
    np.testing.assert_allclose(found, Laplace().log_density(VALUE, MEAN, error, sigma=0.3), rtol=1e-12)


def test_a_known_error_widens_both_sides_and_both_parts():
    def heights(part, error, **learnt):
        away = np.exp([-0.5, 0.5])
        return part.log_density(away, np.ones(2), np.full(2, error), **learnt)

    for part, learnt in ((AsymmetricLaplace(quantile=0.1), {}), (Contaminated(wider=2.0), {"share": 0.1})):
        assert (heights(part, 0.3, sigma=0.05, **learnt) > heights(part, 0.0, sigma=0.05, **learnt)).all()


def test_the_probability_of_an_outlying_run_is_its_share_of_the_density():
    part, learnt = Contaminated(on="value", share=0.1, wider=10.0), {"sigma": 0.1}
    value = np.array([0.0, 0.3, 1.0])
    found = part.outlying(value, np.zeros(3), np.zeros(3), **learnt)
    right, wrong = 0.9 * stats.norm(0, 0.1).pdf(value), 0.1 * stats.norm(0, 1.0).pdf(value)
    np.testing.assert_allclose(found, wrong / (right + wrong), rtol=1e-9)


def test_runs_far_off_weigh_less_where_tails_are_heavy():
    """The weights are those with which a normal scatter would have the same slope."""
    for part, learnt in ((StudentT(), {"nu": 4.0}), (Contaminated(), {"share": 0.1, "wider": 6.0})):
        z, step = np.array([0.5, 2.0, 8.0]), 1e-6
        height = [
            part.log_density(np.exp(z + s), np.ones(3), NONE[:3], sigma=1.0, **learnt) + z + s
            for s in (-step, step)
        ]
        slope = (height[1] - height[0]) / (2 * step)
        np.testing.assert_allclose(part.weight(z**2, **learnt), -slope / z, rtol=1e-5)


@pytest.mark.parametrize("on", FORWARD)
@pytest.mark.parametrize("part", PARTS)
def test_draws_scatter_as_the_density_says(part, on):
    """Kolmogorov-Smirnov; fails by chance once in ten thousand."""
    kind, learnt, reference = PARTS[part]
    mean = np.full(4000, 0.6)
    drawn = kind(on=on).sample(np.random.default_rng(3), mean, **learnt)
    assert drawn.shape == (4000,)
    scattered = reference(FORWARD[on](0.6), learnt)
    assert stats.kstest(FORWARD[on](drawn), scattered.cdf).pvalue > 1e-4


def test_beta_draws_scatter_as_the_density_says():
    drawn = Beta().sample(np.random.default_rng(3), np.full(4000, 0.6), precision=np.float64(20.0))
    assert stats.kstest(drawn, stats.beta(12, 8).cdf).pvalue > 1e-4


@pytest.mark.parametrize("part", [*PARTS, "Beta"])
def test_draws_take_the_shape_of_many_posterior_draws(part):
    kind, learnt = (Beta, {"precision": 20.0}) if part == "Beta" else PARTS[part][:2]
    mean = np.full((50, 4), 0.5)
    drawn = kind().sample(
        np.random.default_rng(0), mean, **{k: np.full((50, 1), v) for k, v in learnt.items()}
    )
    assert drawn.shape == (50, 4)
    assert np.isfinite(drawn).all()


GIVEN = [StudentT(nu=3.0), Normal(on="value"), Contaminated(share=0.1, wider=5.0), Normal(scale_with="flops")]


@pytest.mark.parametrize("noise", [*NOISES.values(), *GIVEN])
def test_parts_come_back_from_their_mapping(noise):
    assert from_dict(to_dict(noise)) == noise


@pytest.mark.parametrize("name", NOISES)
def test_parts_are_found_by_name_and_passed_through(name):
    assert as_noise(name) is NOISES[name]
    assert as_noise(NOISES[name]) is NOISES[name]


@pytest.mark.parametrize(
    ("noise", "pattern"),
    [
        (StudentT(nu=-1.0), r"nu=-1\.0.*positive"),
        (StudentT(nu=0), r"nu=0.*positive"),
        (AsymmetricLaplace(quantile=1.0), r"quantile=1\.0.*between 0 and 1; None learns it"),
        (Contaminated(share=0.0), r"share=0\.0.*between 0 and 1"),
        (Contaminated(wider=0.5), r"wider=0\.5.*between 1 and inf"),
        (Normal(on="cube"), r"on='cube' must be"),  # type: ignore[arg-type]
    ],
)
def test_impossible_options_of_a_noise_are_refused(noise, pattern):
    with pytest.raises(InputError, match=pattern):
        specify(small_runs(), "chinchilla", noise=noise)


@pytest.mark.parametrize("noise", ["gaussian", 0.1, StudentT])
def test_what_is_no_noise_is_refused_with_those_there_are(noise):
    with pytest.raises(InputError, match="student_t"):
        specify(small_runs(), "chinchilla", noise=noise)


def test_a_noise_within_bounds_refuses_values_beyond_them():
    score = np.linspace(0.2, 0.9, 24)
    score[5] = 1.0
    runs = small_runs(value=score, metric=["accuracy"] * 24)
    for noise in ("beta", "logit_normal"):
        with pytest.raises(
            InputError, match=r"within \(0, 1\); 1 lie outside, the first in row 5 \(run r005\): value 1"
        ):
            specify(runs, "log_linear", noise=noise)


def test_a_noise_on_the_log_refuses_values_below_zero():
    score = np.linspace(-0.2, 0.9, 24)
    runs = small_runs(value=score, metric=["score"] * 24)
    with pytest.raises(InputError, match=r"run r000.*value -0\.2.*StudentT\(on='value'\)"):
        specify(runs, "log_linear", noise="normal")


def test_losses_scatter_on_the_log_and_values_of_either_sign_on_themselves_by_default():
    assert specify(small_runs(), "chinchilla").structure.noise == StudentT()
    score = np.linspace(-0.2, 0.9, 24)
    runs = small_runs(value=score, metric=["score"] * 24)
    assert specify(runs, "log_linear").structure.noise == StudentT(on="value")


def test_the_default_scatter_does_not_depend_on_the_unit_of_the_value():
    value = np.asarray(small_runs().frame["value"])
    priors = [bs.StudentT().priors(Outcome.of(unit * value))["sigma"] for unit in (1.0, 1.4427)]
    assert priors[0] == priors[1]
    on_value = [bs.StudentT(on="value").priors(Outcome.of(unit * value))["sigma"] for unit in (1.0, 2.0)]
    assert on_value[1].arguments["mu"] - on_value[0].arguments["mu"] == pytest.approx(math.log(2.0))


@pytest.mark.parametrize("error", [np.zeros(13), np.linspace(0.0, 0.05, 13)])
@pytest.mark.parametrize("by_row", [False, True])
@pytest.mark.parametrize("part", [StudentT(), StudentT(nu=4.0), StudentT(on="value"), Normal()])
def test_all_values_together_are_the_sum_of_each(part, by_row, error):
    rng = np.random.default_rng(3)
    value, mean = 2 + rng.uniform(size=13), 2 + rng.uniform(size=(4, 13))
    learnt = {"sigma": 0.02 * (1 + rng.uniform(size=(4, 13 if by_row else 1)))}
    if isinstance(part, StudentT) and part.nu is None:
        learnt["nu"] = rng.uniform(1, 9, size=(4, 1))
    each = np.broadcast_to(part.log_density(value, mean, error, **learnt), mean.shape)
    np.testing.assert_allclose(total(part, value, mean, error, **learnt), each.sum(-1), rtol=1e-12)
