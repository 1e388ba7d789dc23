"""Runs and measurements in one model: rows, labels, densities, and what is said."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from test_model_contract import assert_same_as_pymc, assert_same_posterior, central_difference, points_of

import bayescale as bs
from bayescale.errors import InputError
from bayescale.model.centring import adapt
from bayescale.model.density import Density, with_middle
from bayescale.model.measured import NOT_NAMED
from bayescale.model.posterior import assemble
from bayescale.model.spec import specify
from bayescale.model.start import starting_points
from bayescale.model.structure import from_dict, to_dict

UNNAMED = ("tokenizer_text", "tokenizer_image", "material_text", "material_image")
POOL = {"C_image": ["tokenizer_image", "family"], "E": "family"}


@cache
def runs(experiment="two", **options):
    return bs.simulate_compression(experiment, **({"families": 3, "runs": 6} | options))


@cache
def measured(experiment="two"):
    return bs.simulate_measurements(experiment)


def without(table, *columns):
    return replace(table, frame=table.frame.drop(columns=list(columns)))


def changed(table, **columns):
    return replace(table, frame=table.frame.assign(**columns))


def said(spec):
    return {f.code: f.message for f in spec.findings}


SPECS = {
    "tokenizers named": lambda: specify(
        runs(), "compression_power", pool=POOL, measurements=measured(), noise="normal"
    ),
    "nothing named": lambda: specify(
        without(runs(), *UNNAMED), "compression_log", measurements=measured().where("modality == image")
    ),
    "one tokenizer": lambda: specify(
        without(runs("text"), *UNNAMED[::2]),
        "compression_sum",
        measurements=measured().where("tokenizer == 'text tokenizer 1' and material == plain"),
    ),
}


@pytest.mark.parametrize("case", SPECS)
def test_pymc_and_numpy_give_one_log_density_of_runs_and_measurements(case):
    density = Density(SPECS[case]())
    assert [n for n in density.names if n.endswith("_scatter")]
    assert_same_as_pymc(density)


@pytest.mark.parametrize("case", SPECS)
def test_the_gradient_with_measurements_is_that_of_the_density(case):
    plain = Density(SPECS[case]())
    for density in (plain, with_middle(plain)):
        with np.errstate(invalid="ignore"):
            inside = [q for q in points_of(density, 8) if np.isfinite(density(q))]
        q = inside[0]
        height, slope = density.gradient(q)
        assert height == pytest.approx(float(density(q)), rel=1e-10)
        expected = central_difference(density, q)
        np.testing.assert_allclose(slope, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())


def test_coordinates_that_adapt_to_measurements_leave_the_posterior_unchanged():
    density = with_middle(Density(SPECS["nothing named"]()))
    adapted = adapt(density)
    rng = np.random.default_rng(0)
    start = starting_points(density, 20)[1:]
    with np.errstate(all="ignore"):
        points = [p for p in start + 0.2 * rng.normal(size=start.shape) if np.isfinite(adapted(p))]
    assert_same_posterior(adapted, density, points[:3])


def test_adapted_offsets_of_tokenizers_only_measured_are_where_the_measurements_are():
    spec = SPECS["tokenizers named"]()
    adapted = adapt(with_middle(Density(spec)))
    blocks = adapted.blocks(starting_points(adapted.density, 1)[0])
    s = spec.structure
    here = np.log(blocks["C_text_population"])
    rows = spec.measured["C_text"]
    for tokenizer in ("text tokenizer 7", "text tokenizer 8"):
        g = s.labels["tokenizer_text"].index(tokenizer)
        level = here + blocks["C_text_sd_tokenizer_text"] * blocks["C_text_offset_tokenizer_text"][g]
        seen = rows.value[rows.index["tokenizer_text"] == g]
        assert abs(level - seen.mean()) < 0.2


def test_a_jax_gradient_is_the_same():
    pytest.importorskip("jax")
    from bayescale.inference.slopes import by_jax

    adapted = adapt(with_middle(Density(SPECS["one tokenizer"]())))
    q = starting_points(with_middle(Density(SPECS["one tokenizer"]())), 3)[1]
    height, slope = by_jax(adapted)(q)
    expected = adapted.gradient(q)
    assert height == pytest.approx(expected[0], rel=1e-10)
    np.testing.assert_allclose(slope, expected[1], rtol=1e-8, atol=1e-8)


def test_labels_are_those_of_the_runs_and_after_them_the_measured_ones():
    s = SPECS["tokenizers named"]().structure
    labels = s.labels["tokenizer_text"]
    assert labels == tuple(f"text tokenizer {i}" for i in range(1, 9))
    assert s.pool["C_text"] == ("tokenizer_text", "material_text")
    assert s.measured == {
        "C_text": ("tokenizer_text", "material_text"),
        "C_image": ("tokenizer_image", "material_image"),
    }
    assert s.common == {}
    assert s.dims("C_image") == ("tokenizer_image", "family", "material_image")


def test_runs_that_name_nothing_share_one_tokenizer_and_one_material():
    spec = SPECS["nothing named"]()
    s = spec.structure
    assert s.common == {"tokenizer_image": NOT_NAMED, "material_image": NOT_NAMED}
    assert {s.labels["tokenizer_image"][i] for i in spec.index["tokenizer_image"]} == {NOT_NAMED}
    assert s.dims("C_image") == ()
    assert "the runs do not name their tokenizer and material of image" in said(spec)["not-named"]


def test_one_tokenizer_measured_on_one_material_is_that_of_the_runs():
    spec = SPECS["one tokenizer"]()
    assert spec.structure.pool == {}
    assert spec.measured["C_text"].value.size == 1


@pytest.mark.parametrize("case", SPECS)
def test_a_structure_with_measurements_comes_back_from_its_json(case):
    s = SPECS[case]().structure
    assert from_dict(json.loads(json.dumps(to_dict(s)))) == s


def test_a_tokenizer_without_a_measurement_is_named_with_its_neighbour():
    fewer = measured().where(lambda f: (f["tokenizer"] != "text tokenizer 2").to_numpy())
    spec = specify(runs(), "compression_power", measurements=fewer)
    told = said(spec)["unmeasured-tokenizer"]
    assert "'text tokenizer 2' of the runs (tokenizer_text) has no measurement" in told
    assert "prior of its modality" in told
    assert "Did you mean 'text tokenizer" in told


def test_a_modality_without_measurements_and_one_without_runs_are_said():
    spec = specify(runs(), "compression_power", measurements=measured("four").where("modality != image"))
    assert said(spec)["no-measurement"].startswith("C_image: no measurement of image")
    assert said(spec)["unused-measurements"].startswith("measurements of audio, video are not used")


def test_many_measurements_are_reduced_and_it_is_said():
    rows = [("text", f"tokenizer {t}", f"language {m}") for t in range(60) for m in range(60)]
    frame = {
        "modality": [r[0] for r in rows],
        "tokenizer": [r[1] for r in rows],
        "material": [r[2] for r in rows],
        "raw": np.full(len(rows), 4e5),
        "tokens": np.arange(1, len(rows) + 1) + 1e5,
    }
    table = changed(runs("text"), tokenizer_text="tokenizer 7").where("n_params > 0")
    spec = specify(
        without(table, "material_text"), "compression_power", measurements=bs.read_measurements(frame)
    )
    kept = spec.measured["C_text"].frame
    assert len(kept) == 13 * 40
    assert "tokenizer 7" in set(kept["tokenizer"])
    assert "of 3,600 measurements of text, 520 are in the model" in said(spec)["reduced-measurements"]
    again = specify(
        without(table, "material_text"), "compression_power", measurements=bs.read_measurements(frame)
    )
    assert again.measured["C_text"].frame.equals(kept)


class Table:
    """Stands for a measurement table."""

    def __init__(self, frame):
        self.frame = frame


FAULTS = {
    "characters": (lambda f: f.assign(raw_unit="characters"), "in characters, but C_text is in raw bytes"),
    "units that are mixed": (
        lambda f: f.assign(raw_unit=np.where(np.arange(len(f)) == 0, "pixels", "bytes")),
        "in bytes and pixels",
    ),
    "a factor that is no number": (lambda f: f.assign(log_factor=np.nan), "'text tokenizer 1' on 'plain'"),
    "an error below zero": (lambda f: f.assign(se_log=-0.1), "the error zero or more"),
    "no tokenizer": (lambda f: f.drop(columns="tokenizer"), "lack the column 'tokenizer'"),
    "no rows": (lambda f: f.iloc[:0], "have no rows"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_measurements_that_cannot_be_joined_are_refused_in_words(case):
    change, pattern = FAULTS[case]
    with pytest.raises(InputError, match=pattern):
        specify(runs(), "compression_power", measurements=Table(change(measured().frame)))


def test_measurements_for_a_law_without_factors_are_refused():
    with pytest.raises(InputError, match="law 'power_params' has no compression factor"):
        specify(runs(), "power_params", measurements=measured())
    with pytest.raises(InputError, match=r"measurements=int: give a table of measurements"):
        specify(runs(), "compression_power", measurements=3)


def made(spec, chains=2, draws=30):
    """A study of that specification, with draws about plausible points in place of a posterior."""
    density = Density(spec)
    rng = np.random.default_rng(0)
    points = starting_points(density, 1) + 0.05 * rng.normal(size=(chains, draws, density.dim))
    settings = {"random_seed": 0, "draws": draws, "tune": 0, "chains": chains}
    table = runs() if "bytes_image" in spec.inputs else runs("text")
    blocks = density.blocks(points)
    return assemble(density, blocks, runs=table, statistics={}, engine={"name": "made"}, settings=settings)


@pytest.fixture(scope="module")
def named():
    return made(SPECS["tokenizers named"]())


@pytest.fixture(scope="module")
def unnamed():
    return made(SPECS["nothing named"]())


ASK = {
    "n_params": 1e9,
    "bytes_text": 4e11,
    "bytes_image": 1e13,
    "family": "family 1",
    "material_image": "plain",
}


def test_measurements_are_kept_and_a_reopened_study_answers_the_same(named, tmp_path):
    bs.save(named, tmp_path / "joint.nc")
    again = bs.open(tmp_path / "joint.nc")
    kept = again["measurements"].dataset
    assert set(kept["letter"].values) == {"C_text", "C_image"}
    assert kept.sizes["row"] == 64
    ask = ASK | {"tokenizer_image": "image tokenizer 2", "tokenizer_text": "text tokenizer 1"}
    np.testing.assert_array_equal(
        bs.predict_draws(again, [ask]).values, bs.predict_draws(named, [ask]).values
    )


def test_a_tokenizer_that_was_only_measured_is_known_and_a_new_one_is_drawn(named):
    ask = ASK | {"tokenizer_text": "text tokenizer 1", "material_text": "plain"}
    one, other, new = (
        bs.predict_draws(named, [ask | {"tokenizer_image": name}], kind="curve").values
        for name in ("image tokenizer 1", "image tokenizer 8", "new")
    )
    assert np.ptp(np.log(one)) < np.ptp(np.log(new))
    assert not np.allclose(one, other)
    with pytest.raises(InputError, match=r"'image tokenizer 9' was not among the runs.*Did you mean"):
        bs.predict(named, [ask | {"tokenizer_image": "image tokenizer 9"}])


def test_runs_without_a_modality_need_no_tokenizer_of_it(named):
    ask = ASK | {"bytes_image": 0.0, "tokenizer_text": "text tokenizer 1", "material_text": "plain"}
    named_too = bs.predict_draws(named, [ask | {"tokenizer_image": "image tokenizer 1"}], kind="curve")
    for silent in (ask, ask | {"tokenizer_image": ""}, {k: v for k, v in ask.items() if k != "bytes_image"}):
        found = bs.predict_draws(named, [silent], kind="curve")
        np.testing.assert_allclose(found.values, named_too.values, rtol=1e-12)


def test_runs_that_name_nothing_are_asked_about_without_a_name(unnamed):
    ask = {"n_params": 1e9, "bytes_text": 4e11, "bytes_image": 1e13}
    first, second = (bs.predict_draws(unnamed, [ask], kind="curve", random_seed=i).values for i in (0, 1))
    np.testing.assert_array_equal(first, second)  # nothing is drawn anew
    other = bs.predict_draws(unnamed, [ask | {"tokenizer_image": "image tokenizer 3"}], kind="curve").values
    assert not np.allclose(first, other)
    assert bs.intervals(unnamed)["C_image"].dims == ("bound",)


def test_a_scale_with_nothing_in_it_is_refused(named):
    with pytest.raises(InputError, match=r"row 0: it has nothing in any of bytes_text, bytes_image"):
        bs.predict(named, [{"n_params": 1e9, "bytes_text": 0.0}])
    with pytest.raises(InputError, match=r"row 0, column 'bytes_text': -3.0 is not a"):
        bs.predict(named, [{"n_params": 1e9, "bytes_text": -3.0}])


def test_the_readable_model_has_the_measurements():
    model = bs.build_model(runs("text"), "compression_power", measurements=measured())
    assert "C_text_measured" in model.named_vars
    assert len(model.coords["C_text_row"]) == 32


def test_priors_of_spread_and_scatter_are_taken():
    given = {
        "C_text_sd_material_text": bs.Prior("HalfNormal", sigma=0.1),
        "C_text_scatter": bs.between(0.01, 0.1),
    }
    spec = specify(runs("text"), "compression_power", measurements=measured(), priors=given)
    assert spec.structure.priors["C_text_sd_material_text"].arguments["sigma"] == 0.1
    assert spec.structure.priors["C_text_scatter"].distribution == "LogNormal"
    assert spec.structure.noise_names == ("sigma", "nu")
