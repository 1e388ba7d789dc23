"""Every law's posterior, unpooled and pooled: NumPy and PyMC agree, and coordinates change nothing."""

import numpy as np
import pytest
from small_runs import FAMILIES, LAWS, small_runs

from bayescale.model.build import build
from bayescale.model.centring import adapt
from bayescale.model.density import Density, with_middle
from bayescale.model.noise import forward, log_slope
from bayescale.model.spec import specify
from bayescale.model.start import starting_points

POOLS = {"unpooled": None, "by family": "family"}
CROSSED = {"alpha": ["family", "eval_name"], "E": "family"}


def density_of(law, pool=None, **options):
    return Density(specify(small_runs(law), law, pool=pool, **options))


def points_of(density, count=5, seed=0):
    """Plausible points, with the groups moved too."""
    rng = np.random.default_rng(seed)
    return starting_points(density, count + 1)[1:] + 0.2 * rng.normal(size=(count, density.dim))


def pymc_log_density(spec):
    """PyMC's own log density of a flat vector; its terms are added here, since one sum may hold too many."""
    from pytensor.compile.mode import Mode

    model = build(spec)
    terms = model.compile_logp(sum=False, mode=Mode(linker="py", optimizer=None))
    slices = Density(spec).slices

    def evaluate(q):
        point = {
            model.rvs_to_values[model[name]].name: q[at : at + block.size] if block.factor else q[at]
            for name, (block, at) in slices.items()
        }
        return sum(float(np.sum(term)) for term in terms(point))

    return evaluate


def assert_same_as_pymc(density):
    """Equal but for the Jacobian of the values, which PyMC sees on the scale of the noise."""
    spec = density.spec
    jacobian = float(np.sum(log_slope(spec.structure.noise.on, spec.value)))
    evaluate, points = pymc_log_density(spec), points_of(density)
    with np.errstate(invalid="ignore"):  # a straight line may fall below zero, where there is no log
        found, expected = density(points) - jacobian, np.array([evaluate(q) for q in points])
    assert np.isfinite(found).sum() >= 3
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


def central_difference(function, q, step=1e-6):
    shifts = step * np.eye(q.size)
    return np.array([(function(q + s) - function(q - s)) / (2 * step) for s in shifts])


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("law", LAWS)
def test_pymc_and_numpy_give_one_log_density(law, pool):
    assert_same_as_pymc(density_of(law, POOLS[pool]))


@pytest.mark.parametrize("noise", ["normal", "laplace", "student_t", "asymmetric_laplace", "contaminated"])
def test_pymc_and_numpy_agree_for_every_noise_of_a_loss(noise):
    assert_same_as_pymc(density_of("chinchilla", {"alpha": "family"}, noise=noise))


@pytest.mark.parametrize("noise", ["beta", "logit_normal"])
def test_pymc_and_numpy_agree_for_every_noise_of_a_score(noise):
    score = np.linspace(0.2, 0.9, 24)
    runs = small_runs("log_linear", value=score, metric=["accuracy"] * 24)
    density = Density(specify(runs, "log_linear", noise=noise, priors={"a": {"distribution": "Beta"}}))
    assert_same_as_pymc(density)


def test_pymc_and_numpy_agree_for_crossed_and_nested_groups():
    evals = [f"set {i % 2}" for i in range(24)]
    runs = small_runs(eval_name=evals)
    for pool in (CROSSED, {"E": "family/eval_name", "beta": "family"}):
        assert_same_as_pymc(Density(specify(runs, "chinchilla", pool=pool)))


def test_pymc_and_numpy_agree_where_standard_errors_are_known():
    runs = small_runs(value_se=np.full(24, 0.02))
    spec = specify(runs, "chinchilla")
    np.testing.assert_allclose(spec.error, 0.02 / spec.value)
    assert_same_as_pymc(Density(spec))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("law", LAWS)
def test_the_gradient_is_that_of_the_density(law, pool):
    plain = density_of(law, POOLS[pool])
    for density in (plain, with_middle(plain)):
        with np.errstate(invalid="ignore"):  # a straight line may fall below zero, where there is no log
            inside = [q for q in points_of(density, 8) if np.isfinite(density(q))]
        assert density.middle or inside
        for q in inside[:2]:
            height, slope = density.gradient(q)
            assert height == pytest.approx(float(density(q)), rel=1e-10)
            expected = central_difference(density, q)
            np.testing.assert_allclose(slope, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("noise", ["normal", "laplace", "student_t", "asymmetric_laplace", "contaminated"])
def test_the_gradient_holds_for_every_noise(noise):
    density = density_of("chinchilla", {"alpha": "family"}, noise=noise)
    q = points_of(density, 1)[0]
    expected = central_difference(density, q)
    np.testing.assert_allclose(
        density.gradient(q)[1], expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max()
    )


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("law", LAWS)
def test_blocks_and_flat_vectors_are_inverse(law, pool):
    plain = density_of(law, POOLS[pool])
    points = points_of(plain)
    blocks = plain.blocks(points)
    np.testing.assert_allclose(plain.flatten(blocks), points, rtol=1e-9, atol=1e-9)
    middle = with_middle(plain)
    again = middle.blocks(middle.flatten(blocks))
    for name, value in blocks.items():
        np.testing.assert_allclose(again[name], value, rtol=1e-7, atol=1e-9)


def test_a_row_of_points_gives_what_each_point_gives():
    density = density_of("chinchilla", "family")
    points = points_of(density)
    np.testing.assert_allclose(density(points), [float(density(q)) for q in points], rtol=1e-12)


def assert_same_posterior(moved, density, points):
    """Heights differ by the volume that the change of coordinates takes, and by nothing else."""
    found = []
    for p in points:
        assert np.isfinite(moved(p))

        def plain(x):
            return density.flatten(moved.blocks(x))

        sign, log_volume = np.linalg.slogdet(central_difference(plain, p, 1e-5))
        assert sign != 0
        found.append(float(moved(p)) - float(density(plain(p))) - log_volume)
    np.testing.assert_allclose(found, found[0], atol=2e-5)


@pytest.mark.parametrize("pool", [None, {"alpha": "family", "E": "family"}])
@pytest.mark.parametrize("law", ["chinchilla", "power_data", "m4", "data_constrained"])
def test_the_loss_at_the_middle_as_coordinate_leaves_the_posterior_unchanged(law, pool):
    pool = pool and {k: v for k, v in pool.items() if k in density_of(law).spec.structure.law.parameters}
    density = density_of(law, pool)
    middle = with_middle(density)
    assert middle.middle == "E"
    inside = [p for p in points_of(density, 12) if np.isfinite(middle(p))]
    assert len(inside) >= 3
    assert_same_posterior(middle, density, inside[:4])


@pytest.mark.parametrize("law", ["kaplan", "log_linear", "m3"])
def test_laws_without_one_plain_floor_keep_their_coordinates(law):
    assert with_middle(density_of(law)).middle is None


@pytest.mark.parametrize(
    "pool",
    [{"alpha": "family"}, {"E": "family", "alpha": "family", "beta": "family"}, CROSSED],
    ids=["one", "three", "crossed"],
)
@pytest.mark.parametrize("middle", [False, True])
def test_coordinates_that_adapt_to_groups_leave_the_posterior_unchanged(pool, middle):
    runs = small_runs(eval_name=[f"set {i % 2}" for i in range(24)])
    density = Density(specify(runs, "chinchilla", pool=pool))
    adapted = adapt(with_middle(density) if middle else density)
    rng = np.random.default_rng(0)
    start = starting_points(with_middle(density) if middle else density, 40)[1:]
    with np.errstate(all="ignore"):  # floors below zero have no logarithm and no density
        points = [p for p in start + 0.3 * rng.normal(size=start.shape) if np.isfinite(adapted(p))]
    assert len(points) >= 3
    assert_same_posterior(adapted, density, points[:4])


def test_the_gradient_in_adapted_coordinates_is_that_of_the_density():
    adapted = adapt(with_middle(density_of("chinchilla", {"alpha": "family", "E": "family"})))
    start = starting_points(adapted.density, 40)[1:]
    for p in [p for p in start if np.isfinite(adapted(p))][:2]:
        expected = central_difference(adapted, p)
        np.testing.assert_allclose(
            adapted.gradient(p)[1], expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max()
        )


def test_the_draws_do_not_know_the_order_of_the_rows():
    columns = small_runs().frame
    turned = small_runs(**{k: columns[k].to_numpy()[::-1] for k in columns.columns if k in _GIVEN})
    first = Density(specify(small_runs(), "chinchilla", pool={"alpha": "family"}))
    second = Density(specify(turned, "chinchilla", pool={"alpha": "family"}))
    assert first.names == second.names
    points = points_of(first)
    np.testing.assert_allclose(first(points), second(points), rtol=1e-11)


_GIVEN = ("run_id", "family", "n_params", "n_tokens", "tokens_unique", "flops", "value")


def test_coordinates_are_named_by_group():
    names = density_of("chinchilla", {"alpha": "family"}).names
    assert [n for n in names if "offset" in n] == [f"alpha_offset_family[{f}]" for f in FAMILIES]
    assert "alpha_population" in names
    assert "A_ref" in names


def test_values_on_the_scale_of_the_noise_come_back():
    x = np.array([0.1, 0.4, 0.9])
    for on in ("log", "value", "logit"):
        step = 1e-6
        slope = (forward(on, x + step) - forward(on, x - step)) / (2 * step)
        np.testing.assert_allclose(log_slope(on, x), np.log(slope), atol=1e-8)
