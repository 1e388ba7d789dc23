import numpy as np
import pytest
from scipy.special import gammaln, logsumexp, ndtr

from bayescale.comparison.bridge import bridge
from bayescale.errors import InputError


def linear(seed, dim, rows, draws=500):
    """A linear model with normal scatter and priors: density, draws and evidence, all exact."""
    rng = np.random.default_rng(seed)
    x, wide, sd = rng.normal(size=(rows, dim)), 1.5, 0.7
    y = x @ rng.normal(0, wide, dim) + sd * rng.normal(size=rows)
    covariance = np.linalg.inv(x.T @ x / sd**2 + np.eye(dim) / wide**2)
    middle = covariance @ x.T @ y / sd**2
    of_values = wide**2 * x @ x.T + sd**2 * np.eye(rows)
    truth = -0.5 * y @ np.linalg.solve(of_values, y) - 0.5 * np.linalg.slogdet(2 * np.pi * of_values)[1]

    def log_density(b):
        likelihood = -0.5 * ((y - b @ x.T) ** 2).sum(-1) / sd**2 - rows * np.log(sd * np.sqrt(2 * np.pi))
        return likelihood - 0.5 * (b**2).sum(-1) / wide**2 - b.shape[-1] * np.log(wide * np.sqrt(2 * np.pi))

    found = middle + rng.normal(size=(4, draws, dim)) @ np.linalg.cholesky(covariance).T
    return log_density, found, truth


def eight_schools_like(seed, groups, draws=500):
    """Normal groups about an unknown mean with an unknown spread; the spread is integrated on a grid."""
    rng = np.random.default_rng(seed)
    se = rng.uniform(0.2, 0.5, groups)
    y = 1.0 + 0.6 * rng.normal(size=groups) + se * rng.normal(size=groups)
    grid = np.linspace(-5.0, 3.0, 601)  # log of the spread, which has a normal prior about -0.5

    def given(log_tau):
        wide = np.exp(2 * log_tau) + se**2
        of_values = np.diag(wide) + 4.0  # the mean has a normal prior of deviation 2
        away = y @ np.linalg.solve(of_values, y)
        return (
            -0.5 * away
            - 0.5 * np.linalg.slogdet(2 * np.pi * of_values)[1]
            - 0.5 * (log_tau + 0.5) ** 2
            - 0.5 * np.log(2 * np.pi)
        )

    height = np.array([given(t) for t in grid])
    truth = logsumexp(height) + np.log(grid[1] - grid[0])
    tau = np.exp(rng.choice(grid, size=4 * draws, p=np.exp(height - logsumexp(height))))
    precision = 1 / (tau[:, None] ** 2 + se**2)
    spread = 1 / (precision.sum(1) + 0.25)
    mu = spread * (precision * y).sum(1) + np.sqrt(spread) * rng.normal(size=tau.size)
    own = 1 / (1 / tau[:, None] ** 2 + 1 / se**2)
    middle = own * (mu[:, None] / tau[:, None] ** 2 + y / se**2)
    effect = middle + np.sqrt(own) * rng.normal(size=middle.shape)

    def log_density(q):
        mu, log_tau, effect = q[:, 0], q[:, 1], q[:, 2:]
        constant = 0.5 * np.log(2 * np.pi)
        found = -0.5 * mu**2 / 4 - np.log(2.0) - constant - 0.5 * (log_tau + 0.5) ** 2 - constant
        z = (effect - mu[:, None]) / np.exp(log_tau)[:, None]
        found = found + (-0.5 * z**2 - log_tau[:, None] - constant).sum(1)
        return found + (-0.5 * ((y - effect) / se) ** 2 - np.log(se) - constant).sum(1)

    points = np.column_stack([mu, np.log(tau), effect]).reshape(4, draws, groups + 2)
    return log_density, points, truth


@pytest.mark.parametrize(("dim", "rows"), [(1, 10), (10, 40), (60, 150)])
def test_evidence_of_a_linear_model_is_the_closed_form(dim, rows):
    log_density, draws, truth = linear(3, dim, rows)
    found = bridge(log_density, draws)
    assert found.log_evidence == pytest.approx(truth, abs=4 * found.error)
    assert found.error < 0.06
    assert abs(found.apart) < 6 * found.error


@pytest.mark.parametrize("groups", [8, 58])
def test_evidence_of_a_hierarchical_normal_is_that_of_the_grid(groups):
    log_density, draws, truth = eight_schools_like(1, groups)
    found = bridge(log_density, draws)
    assert found.log_evidence == pytest.approx(truth, abs=4 * found.error)
    assert found.error < 0.1


def test_a_skewed_density_costs_little():
    """Logs of gamma numbers: long to the left, and nothing like a normal distribution."""
    rng = np.random.default_rng(0)
    draws = np.log(rng.gamma(0.7, size=(4, 500, 3)))
    found = bridge(lambda q: (0.7 * q - np.exp(q)).sum(-1), draws)
    assert found.log_evidence == pytest.approx(3 * gammaln(0.7), abs=4 * found.error)
    assert found.error < 0.03


def misses(makers):
    found = []
    for seed, make in enumerate(makers):
        log_density, draws, truth = make(seed)
        answer = bridge(log_density, draws, random_seed=seed)
        found.append((answer.log_evidence - truth) / answer.error)
    return np.array(found)


@pytest.mark.parametrize(
    "make",
    [
        lambda s: linear(s, 8, 40, 200),
        lambda s: linear(s, 30, 80, 300),
        lambda s: eight_schools_like(s, 6, 200),
    ],
    ids=["linear", "wide", "hierarchical"],
)
def test_the_error_holds_the_truth_at_the_stated_rate(make):
    """Forty answers: a sound error puts 95 % within two, and their mean square near one."""
    off = misses([make] * 40)
    assert np.mean(np.abs(off) < 2) >= 0.9
    assert 0.3 < np.mean(off**2) < 1.6
    assert abs(off.mean()) < 0.6


def chained(seed, again=0.9, draws=500):
    """Logs of exponential numbers, each draw hanging on the one before."""
    rng = np.random.default_rng(seed)
    chain = np.empty((4, draws, 2))
    chain[:, 0] = rng.normal(size=(4, 2))
    for i in range(1, draws):
        chain[:, i] = again * chain[:, i - 1] + np.sqrt(1 - again**2) * rng.normal(size=(4, 2))
    return lambda q: (q - np.exp(q)).sum(-1), np.log(-np.log(ndtr(chain))), 0.0


def test_the_error_knows_that_draws_of_a_chain_hang_together():
    off = misses([chained] * 40)
    assert np.mean(np.abs(off) < 2) >= 0.9
    slow, free = (bridge(*chained(0, again)[:2]) for again in (0.9, 0.0))
    assert slow.effective_draws < 0.5 * free.effective_draws
    assert slow.error > 1.2 * free.error


def test_equal_points_of_weighted_draws_stay_on_one_side_and_count_once():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(400, 2))
    repeated = points[rng.integers(0, 400, 4000)].reshape(4, 1000, 2)

    def log_density(q):
        return -0.5 * (q**2).sum(-1) - np.log(2 * np.pi)

    found = bridge(log_density, repeated, independent=True, worth=300)
    assert found.effective_draws < 300
    assert found.log_evidence == pytest.approx(0.0, abs=4 * found.error + 1e-9)


def test_the_same_seed_gives_the_same_answer():
    log_density, draws, _ = linear(0, 4, 20)
    assert bridge(log_density, draws, random_seed=5) == bridge(log_density, draws, random_seed=5)
    assert bridge(log_density, draws, random_seed=5) != bridge(log_density, draws, random_seed=6)


def test_draws_too_few_or_without_width_or_without_density_are_refused():
    log_density, draws, _ = linear(0, 20, 40, draws=20)
    with pytest.raises(InputError, match=r"too few draws for 20 unknowns.*draws=1000"):
        bridge(log_density, draws)
    with pytest.raises(InputError, match="too few draws"):
        bridge(log_density, np.ones((4, 500, 2)))
    with pytest.raises(InputError, match="draws have no density"):
        bridge(lambda q: np.where(q[:, 0] > 0, 0.0, np.nan), np.random.default_rng(0).normal(size=(4, 99, 1)))
