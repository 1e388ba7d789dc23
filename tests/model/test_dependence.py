"""Effects of groups on the scatter: named, refused where they cannot be told, one posterior everywhere."""

import json

import numpy as np
import pytest
from small_runs import FAMILIES, small_columns, small_runs
from test_model_contract import assert_same_as_pymc, assert_same_posterior, central_difference

import bayescale as bs
from bayescale.errors import InputError
from bayescale.model.centring import adapt
from bayescale.model.density import Density, with_middle
from bayescale.model.noise_frame import offsets_for
from bayescale.model.spec import specify, without_pooling
from bayescale.model.start import starting_points
from bayescale.model.structure import from_dict, to_dict

RUNS = [f"run {i // 3}" for i in range(24)]
SEEDS = [float(i % 4) for i in range(24)]
WHOLE = {
    "offsets": {"pool": {"offset": ["run_id", "seed"]}},
    "scatters": {"pool": {"sigma": "family", "alpha": "family"}, "noise": "normal"},
    "all of it": {
        "pool": {"offset": "run_id", "sigma": "family", "E": "family"},
        "noise": bs.Contaminated(scale_with="flops"),
    },
}


def table(**columns):
    return small_runs(run_id=RUNS, seed=SEEDS, **columns)


def spec_of(**options):
    return specify(table(), "chinchilla", **options)


def points_near(density, start, count, seed=0):
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):  # floors below zero have no logarithm and no density
        points = start[1:] + 0.3 * rng.normal(size=(len(start) - 1, density.dim))
        return [p for p in points if np.isfinite(density(p))][:count]


@pytest.mark.parametrize("options", WHOLE.values(), ids=WHOLE)
def test_pymc_and_numpy_give_one_log_density_of_groups_of_the_scatter(options):
    assert_same_as_pymc(Density(spec_of(**options)))


@pytest.mark.parametrize("options", WHOLE.values(), ids=WHOLE)
def test_coordinates_of_the_scatter_leave_the_posterior_unchanged(options):
    density = Density(spec_of(**options))
    adapted = adapt(with_middle(density))
    points = points_near(adapted, starting_points(with_middle(density), 30), 3)
    assert len(points) == 3
    assert_same_posterior(adapted, density, points)


@pytest.mark.parametrize("options", WHOLE.values(), ids=WHOLE)
def test_the_gradient_holds_with_groups_of_the_scatter(options):
    plain = Density(spec_of(**options))
    for density in (plain, adapt(with_middle(plain))):
        [point] = points_near(density, starting_points(plain, 30), 1)
        expected = central_difference(density, point)
        found = density.gradient(point)[1]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_the_gradient_holds_where_the_scatter_grows_with_size():
    density = Density(spec_of(noise=bs.StudentT(scale_with="n_params")))
    [point] = points_near(density, starting_points(density, 30), 1)
    expected = central_difference(density, point)
    np.testing.assert_allclose(
        density.gradient(point)[1], expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max()
    )


@pytest.mark.slow
def test_jax_and_numpy_give_one_log_density_in_adapted_coordinates():
    jax = pytest.importorskip("jax")
    density = Density(spec_of(**WHOLE["all of it"]))
    adapted = adapt(with_middle(density))
    [point] = points_near(adapted, starting_points(with_middle(density), 30), 1)
    with jax.enable_x64(True):
        assert float(adapted(jax.numpy.asarray(point))) == pytest.approx(float(adapted(point)), rel=1e-9)


def test_given_the_rest_the_coordinates_of_offsets_are_standard_normal_where_the_scatter_is():
    """Along them the log density falls off by half their square, and by nothing else."""
    density = Density(spec_of(pool={"offset": "run_id"}, noise="normal"))
    adapted = adapt(density)
    [point] = points_near(adapted, starting_points(density, 30), 1)
    at = density.slices["offset_offset_run_id"][1]
    moved = point.copy()
    moved[at : at + 8] = 0.0
    assert float(adapted(moved)) - float(adapted(point)) == pytest.approx(
        0.5 * float(np.sum(point[at : at + 8] ** 2)), rel=1e-7
    )


def test_rows_lie_off_the_law_by_the_sum_of_their_groups():
    spec = spec_of(pool={"offset": ["run_id", "seed"]})
    density = Density(spec)
    blocks = density.blocks(points_near(density, starting_points(density, 30), 1)[0])
    away = np.log(density.mean(blocks) / density.curve(blocks))
    for i in (0, 5, 23):
        run, seed = spec.structure.labels["run_id"].index(RUNS[i]), int(SEEDS[i])
        by_hand = blocks["offset_sd_run_id"] * blocks["offset_offset_run_id"][run]
        by_hand += blocks["offset_sd_seed"] * blocks["offset_offset_seed"][seed]
        assert away[i] == pytest.approx(float(by_hand), rel=1e-9)


def test_scatter_is_the_common_one_times_that_of_the_group_and_a_power_of_size():
    spec = spec_of(pool={"sigma": "family"}, noise=bs.Normal(scale_with="n_tokens"))
    density = Density(spec)
    blocks = density.blocks(points_near(density, starting_points(density, 30), 1)[0])
    found, size = density.noise(blocks)["sigma"], np.asarray(spec.inputs["n_tokens"])
    middle = np.exp(np.mean(np.log(size)))
    for i in (0, 7, 23):
        group = spec.structure.labels["family"].index(FAMILIES[i % 3])
        own = np.exp(blocks["sigma_sd_family"] * blocks["sigma_offset_family"][group])
        by_hand = blocks["sigma"] * own * (size[i] / middle) ** blocks["sigma_slope"]
        assert found[i] == pytest.approx(float(by_hand), rel=1e-9)


@pytest.mark.parametrize("options", WHOLE.values(), ids=WHOLE)
def test_groups_of_the_scatter_come_back_from_json(options):
    structure = spec_of(**options).structure
    assert from_dict(json.loads(json.dumps(to_dict(structure)))) == structure


def test_a_study_written_before_there_were_groups_of_the_scatter_has_none():
    stored = to_dict(spec_of().structure)
    del stored["noise_pool"], stored["size_middle"]
    stored["noise"] = {"type": "StudentT", "on": "log", "nu": None}
    assert from_dict(stored) == spec_of().structure


def test_offsets_have_a_spread_and_no_common_value():
    names = [block.name for block in spec_of(pool={"offset": "run_id"}).structure.blocks]
    assert names == ["E", "A_ref", "alpha", "B_ref", "beta", "sigma", "nu", *names[-2:]]
    assert names[-2:] == ["offset_sd_run_id", "offset_offset_run_id"]


@pytest.mark.parametrize(
    ("noise", "usual"),
    [("normal", 0.05), ("logit_normal", 0.25), (bs.StudentT(on="value"), 0.125)],
)
def test_the_usual_spread_of_offsets_is_in_the_unit_of_the_scatter(noise, usual):
    score = np.linspace(0.2, 0.9, 24)
    runs = table(value=score, metric=["accuracy"] * 24)
    spec = specify(runs, "log_linear", noise=noise, pool={"offset": "run_id"})
    scale = 1.0 if usual != 0.125 else np.ptp(np.quantile(score, [0.05, 0.95]))
    assert spec.structure.priors["offset_sd_run_id"].arguments["sigma"] == pytest.approx(usual * scale)


def test_a_nested_column_has_the_offsets_of_both():
    spec = spec_of(pool={"offset": "seed/family"})
    assert spec.structure.noise_pool == {"offset": ("seed", "seed:family")}
    assert len(spec.structure.labels["seed:family"]) == 12


def test_one_group_of_the_scatter_is_left_out_and_said():
    spec = specify(table(study=["one"] * 24), "chinchilla", pool={"sigma": "study"})
    assert spec.structure.noise_pool == {}
    assert "one-group" in {f.code for f in spec.findings}


def test_groups_of_the_law_and_of_the_scatter_are_kept_apart():
    structure = spec_of(pool={"alpha": "family", "offset": "run_id", "sigma": "family"}).structure
    assert structure.factors == ("family",)
    assert structure.every_factor == ("family", "run_id")
    assert structure.noise_names == ("sigma", "nu")


def test_a_common_law_has_no_groups_of_the_scatter():
    bare = without_pooling(spec_of(**WHOLE["all of it"]))
    assert not bare.structure.noise_pool
    assert [b.name for b in bare.structure.blocks][-1] == "sigma_slope"


@pytest.mark.parametrize(
    ("pool", "options", "pattern"),
    [
        ({"offset": "run_id"}, {}, r"'run_id' has as many groups as there are rows \(24\).*not identified"),
        ({"sigma": "run_id"}, {}, r"'run_id' has as many groups.*a scatter of each"),
        ({"offset": "budget"}, {}, r"lacks the column 'budget'.*n_params"),
        ({"offset": "seed"}, {"seed": [np.nan, *range(23)]}, r"'seed' is empty in 1 of 24 rows.*r000"),
        ({"sigmaa": "family"}, {}, r"'sigmaa'.*E, A, alpha, B, beta.*'offset'.*'sigma'"),
        ({"nu": "family"}, {}, r"names 'nu'"),
        ({"offset": 3}, {}, r"'offset': 3.*a column name or a list"),
    ],
)
def test_groups_that_cannot_be_are_refused_by_name(pool, options, pattern):
    with pytest.raises(InputError, match=pattern):
        specify(small_runs(**options), "chinchilla", pool=pool)


def test_noise_without_a_scatter_has_no_groups_of_it():
    runs = table(value=np.linspace(0.2, 0.9, 24), metric=["accuracy"] * 24)
    with pytest.raises(InputError, match="Beta noise has none.*logit_normal"):
        specify(runs, "log_linear", noise="beta", pool={"offset": "run_id"})


@pytest.mark.parametrize("size", ["n_layers", "value"])
def test_a_size_that_the_law_does_not_read_is_refused(size):
    with pytest.raises(InputError, match=f"scale_with='{size}'.*n_params, n_tokens, flops"):
        spec_of(noise=bs.Normal(scale_with=size))


def test_priors_of_the_scatter_are_checked_by_what_they_are():
    given = {"sigma_slope": bs.Prior("Normal", mu=-0.5, sigma=0.1), "offset_sd_run_id": bs.between(0.01, 0.1)}
    spec = spec_of(pool={"offset": "run_id"}, noise=bs.Normal(scale_with="n_params"), priors=given)
    assert spec.structure.priors["sigma_slope"].distribution == "Normal"
    assert spec.structure.priors["offset_sd_run_id"].distribution == "LogNormal"
    with pytest.raises(InputError, match="share"):
        spec_of(noise="contaminated", priors={"share": bs.Prior("LogNormal")})


def checkpoints(**columns):
    columns = small_columns() | {"run_id": RUNS, "family": ["one"] * 24} | columns
    with pytest.warns(bs.BayescaleWarning, match=r"run_id.*pool=\{'offset': 'run_id'\}"):
        return bs.read_runs(columns)


def test_points_of_one_run_are_said_to_be_taken_as_runs_and_the_mend_is_named():
    said = [f for f in specify(checkpoints(), "chinchilla").findings if f.code == "points-of-one-run"]
    assert [f.severity for f in said] == ["warning"]
    for words in ("24 rows", "8 runs", "'run 0'", "too narrow", "pool={'offset': 'run_id'}"):
        assert words in said[0].message


@pytest.mark.parametrize("factor", ["run_id", "family/run_id", "family:run_id"])
def test_with_offsets_of_runs_nothing_is_left_to_be_said(factor):
    runs = checkpoints(family=[f"family {i // 6}" for i in range(24)])
    spec = specify(runs, "chinchilla", pool={"offset": factor})
    assert not {f.code for f in spec.findings} - {"metric-assumed"}


def test_one_name_for_runs_of_several_families_is_said():
    runs = checkpoints(run_id=[f"run {i // 3 % 4}" for i in range(24)], family=["a"] * 12 + ["b"] * 12)
    said = [f for f in specify(runs, "chinchilla", pool={"offset": "run_id"}).findings if "names" in f.code]
    assert "4 names of runs" in said[0].message
    assert "family:run_id" in said[0].message
    apart = specify(runs, "chinchilla", pool={"offset": "family:run_id"})
    assert len(apart.structure.labels["family:run_id"]) == 8
    assert "shared-names" not in {f.code for f in apart.findings}


def test_one_training_alone_is_a_note():
    runs = checkpoints(run_id=["the one"] * 24)
    said = {f.code: f.severity for f in specify(runs, "chinchilla").findings}
    assert said["points-of-one-run"] == "note"


def test_coarse_groups_know_that_finer_ones_do_not_average_out():
    spec = spec_of(pool={"offset": ["run_id", "seed"]})
    first, second = offsets_for(spec)
    assert (first.factor, second.factor) == ("seed", "run_id")
    np.testing.assert_allclose(first.later["run_id"], 1.0)  # six rows of six runs for every seed
    assert second.later == {}
