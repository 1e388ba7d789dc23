"""Questions to a study whose runs hang together: named groups, new ones, and runs that went wrong."""

import warnings

import numpy as np
import pytest

import bayescale as bs

LAW = {"E": 1.8, "A": 0.36, "alpha": 0.35, "B": 0.45, "beta": 0.37}
EFFECTS = np.array([0.04, -0.03, 0.02, -0.05, 0.01, 0.03, -0.02, 0.0])
AT = {"n_params": [1e9], "n_tokens": [3e10]}
QUICK = {"discrepancy": None, "engine": "laplace", "random_seed": 0, "progressbar": False}


def law(size, data):
    return LAW["E"] + LAW["A"] * (size / 1e9) ** -LAW["alpha"] + LAW["B"] * (data / 1e10) ** -LAW["beta"]


def read(size, data, scatter, **columns):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bs.BayescaleWarning)
        return bs.read_runs(
            {"n_params": size, "n_tokens": data, "value": law(size, data) * np.exp(scatter)} | columns
        )


@pytest.fixture(scope="module")
def checkpoints():
    """Eight runs of six checkpoints each: effects of a few percent, scatter of half a percent."""
    rng = np.random.default_rng(4)
    size = np.repeat(10 ** rng.uniform(7.5, 10, 8), 6)
    data = np.tile(np.geomspace(1e9, 2e11, 6), 8) * np.exp(0.1 * rng.normal(size=48))
    scatter = np.repeat(EFFECTS, 6) + 0.005 * rng.normal(size=48)
    runs = read(size, data, scatter, run_id=np.repeat([f"r{i}" for i in range(8)], 6))
    return bs.fit(runs, "chinchilla", pool={"offset": "run_id"}, noise="normal", **QUICK)


@pytest.fixture(scope="module")
def studies():
    """Three studies, of which one scatters by 3 % and the others by .3 %; seeds as numbers."""
    rng = np.random.default_rng(5)
    size, data = 10 ** rng.uniform(7.5, 10, 60), 10 ** rng.uniform(9, 11.5, 60)
    study = np.array(["a", "b", "c"])[np.arange(60) % 3]
    scatter = np.where(study == "c", 0.03, 0.003) * rng.normal(size=60)
    runs = read(size, data, scatter, run_id=[f"r{i}" for i in range(60)], study=study)
    return bs.fit(runs, "chinchilla", pool={"sigma": "study"}, noise="normal", **QUICK)


def widths(answer):
    return np.log(answer["upper"].values / answer["lower"].values)


def test_offsets_and_their_spread_are_found(checkpoints):
    found = bs.intervals(checkpoints, prob=0.98)
    for name, truth in (("offset_run_id", EFFECTS), ("offset_sd_run_id", EFFECTS.std())):
        assert (found[name].sel(bound="lower") < truth).all()
        assert (found[name].sel(bound="upper") > truth).all()
    assert float(found["sigma"].sel(bound="median")) == pytest.approx(0.005, rel=0.3)


def test_intervals_name_the_spread_and_not_its_coordinates(checkpoints):
    names = set(bs.intervals(checkpoints).data_vars)
    assert {"offset_sd_run_id", "offset_run_id"} <= names
    assert not [n for n in names if "offset_offset" in n]


def test_a_new_run_scatters_by_its_own_offset_and_the_curve_does_not(checkpoints):
    curve, run = (bs.predict(checkpoints, AT, kind=kind) for kind in ("curve", "run"))
    spread = float(checkpoints["posterior"]["offset_sd_run_id"].median())
    assert widths(run)[0] > widths(curve)[0]
    assert widths(run)[0] > 2 * 1.645 * spread


def test_a_named_run_has_its_own_offset_in_both_kinds(checkpoints):
    size = checkpoints["runs"].dataset["n_params"].values[[0, 18]]
    scales = {"n_params": size, "n_tokens": [3e10, 3e10]}
    named = scales | {"run_id": ["r0", "r3"]}
    curve, run = (bs.predict(checkpoints, named, kind=kind) for kind in ("curve", "run"))
    found = np.log(curve["median"].values / law(size, 3e10))
    np.testing.assert_allclose(found, EFFECTS[[0, 3]], atol=0.005)
    assert (widths(curve) < 0.5 * widths(bs.predict(checkpoints, scales, kind="curve"))).all()
    assert (widths(run) < 0.03).all()


@pytest.mark.parametrize("label", ["new", "r77", ""])
def test_a_run_that_was_not_fitted_is_a_new_one(checkpoints, label):
    found = bs.predict(checkpoints, AT | {"run_id": [label]})
    expected = bs.predict(checkpoints, AT)
    np.testing.assert_allclose(found["upper"], expected["upper"])
    curve = bs.predict(checkpoints, AT | {"run_id": [label]}, kind="curve")
    np.testing.assert_array_equal(curve["upper"], bs.predict(checkpoints, AT, kind="curve")["upper"])


def test_draws_of_one_new_run_move_together_and_those_of_two_do_not(checkpoints):
    scales = {"n_params": [1e9] * 3, "n_tokens": [3e10, 4e10, 3e10], "run_id": ["x", "x", "y"]}
    run = bs.predict_draws(checkpoints, scales).values
    curve = bs.predict_draws(checkpoints, scales, kind="curve").values
    away = np.log(run / curve)
    together = np.corrcoef(away.T)
    assert together[0, 1] > 0.9
    assert abs(together[0, 2]) < 0.1
    one_by_one = bs.predict(checkpoints, scales)
    np.testing.assert_allclose(np.quantile(run, 0.95, axis=0), one_by_one["upper"], rtol=0.01)


def test_residuals_are_those_about_the_run(checkpoints):
    found = bs.residuals(checkpoints)
    assert float(np.abs(found["residual"]).max()) < 0.02
    assert 0.75 < float(found["inside"].mean()) <= 1.0


def test_a_study_with_offsets_comes_back_from_its_file(checkpoints, tmp_path):
    bs.save(checkpoints, tmp_path / "study.nc")
    again = bs.open(tmp_path / "study.nc")
    for scales in (AT, AT | {"run_id": ["r3"]}):
        np.testing.assert_array_equal(
            bs.predict(again, scales)["upper"], bs.predict(checkpoints, scales)["upper"]
        )


def test_scatter_is_that_of_the_study(studies):
    found = bs.intervals(studies)["sigma_study"].sel(bound="median")
    np.testing.assert_allclose(found.sel(study=["a", "b", "c"]), [0.003, 0.003, 0.03], rtol=0.5)
    named = {k: v * 3 for k, v in AT.items()} | {"study": ["a", "c", "new"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bs.BayescaleWarning)
        run = widths(bs.predict(studies, named))
    assert run[1] > 4 * run[0]
    assert run[2] > run[0]


def test_every_question_takes_a_study_with_groups_of_the_scatter(checkpoints, studies):
    for posterior in (checkpoints, studies):
        bs.curve(posterior, "n_params", points=5)
        bs.identify(posterior)
        assert bs.convergence(posterior).ok
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bs.BayescaleWarning)
            bs.allocate(posterior, 1e21)


def test_numbers_name_groups_however_they_are_written():
    from bayescale.queries.scatter import kin_of
    from bayescale.queries.study import study_of

    rng = np.random.default_rng(6)
    size, data = 10 ** rng.uniform(7.5, 10, 24), 10 ** rng.uniform(9, 11.5, 24)
    seed = np.arange(24) % 4
    runs = read(size, data, 0.01 * rng.normal(size=24), run_id=[f"r{i}" for i in range(24)], seed=seed)
    posterior = bs.fit(runs, "chinchilla", pool={"offset": "seed"}, noise="normal", **QUICK)
    from pandas import DataFrame

    for cells in ([3, 7, 0], [3.0, 7.0, 0.0], ["3", "seven", "0.0"]):
        found = kin_of(study_of(posterior), DataFrame({"seed": cells}))["seed"]
        np.testing.assert_array_equal(found, [3, -1, 0])


def test_runs_that_went_wrong_are_told_one_by_one():
    rng = np.random.default_rng(7)
    size, data = 10 ** rng.uniform(7.5, 10, 40), 10 ** rng.uniform(9, 11.5, 40)
    scatter = 0.004 * rng.normal(size=40)
    scatter[[3, 17]] += [0.15, -0.1]
    runs = read(size, data, scatter, run_id=[f"r{i}" for i in range(40)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bs.BayescaleWarning)  # two outliers are said, as they should be
        posterior = bs.fit(runs, "chinchilla", noise="contaminated", **QUICK | {"engine": "auto"})
    outlying = bs.residuals(posterior)["outlying"].values
    assert set(np.flatnonzero(outlying > 0.95)) == {3, 17}
    assert np.delete(outlying, [3, 17]).max() < 0.5
    assert float(posterior["posterior"]["sigma"].median()) == pytest.approx(0.004, rel=0.4)
