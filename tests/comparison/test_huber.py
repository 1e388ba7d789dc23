"""The point fit against an optimiser that shares nothing with it."""

import numpy as np
import pytest
from scipy.optimize import minimize

import bayescale as bs

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*lie far from the trend:bayescale.BayescaleWarning")


def sweep(n=60, seed=0, wild=3):
    rng = np.random.default_rng(seed)
    size, data = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9, 12, n)
    value = (1.8 + 480 / size**0.35 + 2000 / data**0.37) * np.exp(0.01 * rng.normal(size=n))
    value[:wild] *= 1.3
    columns = {"run_id": [f"r{i}" for i in range(n)], "n_params": size, "n_tokens": data, "value": value}
    return bs.read_runs(columns), (np.log(size), np.log(data), np.log(value))


def loss(p, n, d, y, counts, delta):
    away = np.abs(y - np.logaddexp(np.logaddexp(p[0] - p[3] * n, p[1] - p[4] * d), p[2]))
    return float((counts * np.where(away <= delta, 0.5 * away**2, delta * (away - 0.5 * delta))).sum())


def by_simplex(start, data, counts, delta):
    """Nelder and Mead, started again until it stands still: no slopes, no weights."""
    best = start
    for _ in range(6):
        options = {"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-10, "fatol": 1e-15}
        best = minimize(loss, best, (*data, counts, delta), method="Nelder-Mead", options=options).x
    return loss(best, *data, counts, delta)


def in_logs(estimate):
    e = estimate.to_series()
    return np.array([np.log(e["A"]), np.log(e["B"]), np.log(e["E"]), e["alpha"], e["beta"]])


@pytest.mark.parametrize("delta", [1e-3, 0.05])
def test_no_simplex_finds_a_lower_loss(delta):
    runs, data = sweep()
    found = bs.huber_fit(runs, delta=delta)
    p, ones = in_logs(found["estimate"]), np.ones(60)
    assert loss(p, *data, ones, delta) == pytest.approx(float(found["loss"]), rel=1e-9)
    assert float(found["loss"]) <= by_simplex(p, data, ones, delta) * (1 + 1e-5)
    assert found.attrs["starts_at_best"] > 0.5


def test_every_resampled_table_is_fitted_as_well_as_alone():
    runs, data = sweep(wild=0)
    found = bs.huber_fit(runs, bootstrap=5, random_seed=4)
    counts = np.random.default_rng(4).multinomial(60, np.full(60, 1 / 60), size=5)
    for draw, count in zip(found["draws"], counts, strict=True):
        p = in_logs(draw)
        assert loss(p, *data, count, 1e-3) <= by_simplex(p, data, count, 1e-3) * (1 + 1e-4)


def test_outliers_hardly_move_it():
    tame = bs.huber_fit(sweep(wild=0)[0])["estimate"].to_series()
    wild = bs.huber_fit(sweep(wild=3)[0])["estimate"].to_series()
    assert abs(wild["E"] / tame["E"] - 1) < 0.02


def test_the_bootstrap_is_that_of_its_seed():
    runs, _ = sweep()
    one, two = (bs.huber_fit(runs, bootstrap=20, random_seed=1) for _ in range(2))
    np.testing.assert_array_equal(one["draws"], two["draws"])
    assert (one["lower"] <= one["upper"]).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"delta": 0.0}, "delta=0.0"),
        ({"bootstrap": -1}, "bootstrap=-1"),
        ({"prob": 90}, "prob=90"),
        ({"law": "chinchila"}, "chinchilla"),
    ],
)
def test_impossible_options_are_named(options, said):
    with pytest.raises(bs.InputError, match=said):
        bs.huber_fit(sweep()[0], **options)
