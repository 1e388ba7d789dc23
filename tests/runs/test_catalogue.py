"""The shipped studies and the verbs that read them."""

import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bayescale.errors import InputError
from bayescale.laws.law import registered
from bayescale.runs.cards import NOT_IN_THE_WHEEL, data_folder, read_card
from bayescale.runs.catalogue import card, list_studies, load_runs
from bayescale.runs.schema import COLUMNS, METRICS

STUDIES = (
    "alabdulmohsin-language",
    "alabdulmohsin-vision",
    "chinchilla-figure4",
    "clark-routing",
    "compression-bpc",
    "datablations",
    "gadre-overtraining",
    "gemstones",
    "laion-clip",
    "laion-comparison",
    "obs-benchmarks",
    "opt-trajectories",
    "pile-t5",
    "porian-isoflop",
    "simulated-native-multimodal",
    "tinyllava",
    "vlm-token-space",
    "vlm-visual-tokens",
)
NO_STUDIES = ("tokenizers",)  # measurements, read by load_measurements
ROOT = Path(__file__).parents[2]


@cache
def whole(study):
    return load_runs(study, all_rows=True).frame


every_study = pytest.mark.parametrize("study", STUDIES)


def test_every_folder_is_a_study_of_the_list():
    assert tuple(list_studies()["study"]) == STUDIES
    assert {path.name for path in data_folder().iterdir() if path.is_dir()} == {*STUDIES, *NO_STUDIES}


@every_study
def test_card_is_complete(study):
    told = card(study)
    for text in (told.title, told.citation, told.licence, told.obtained, told.modality):
        assert text.strip()
    assert told.url.startswith("https://")
    assert all(len(number) == 10 for number in told.arxiv)
    assert told.arxiv
    assert 2020 <= told.year <= 2030
    assert told.caveats
    assert told.redistributable == (told.licence != "none stated")
    assert len(str(told)) > 500


@every_study
def test_card_names_laws_that_exist(study):
    assert card(study).laws
    assert set(card(study).laws) <= set(registered())


@every_study
def test_card_counts_its_table(study):
    told, frame = card(study), whole(study)
    assert len(frame) == told.rows
    assert frame["run_id"].nunique() == told.runs
    assert frame["family"].nunique() == told.families
    assert ", ".join(frame["modality"].unique()) == told.modality
    assert set(frame["study"]) == {study}


@every_study
def test_card_describes_every_metric_and_every_count(study):
    told, frame = card(study), whole(study)
    assert set(told.metrics) == set(frame["metric"]) <= set(METRICS)
    assert set(told.counts) <= set(frame.columns)
    counted = {
        "n_params",
        "n_active_params",
        "n_tokens",
        "tokens_unique",
        "n_samples",
        "n_vision_tokens",
        "flops",
    }
    assert counted & set(frame.columns) == set(told.counts)


@every_study
def test_default_selection_holds_the_rows_that_the_card_says(study):
    told, taken = card(study), load_runs(study)
    assert len(taken) == told.selection.rows
    assert taken.frame["metric"].nunique() == 1
    assert any(f.code == "study-selection" for f in taken.findings) == (len(taken) < told.rows)


@every_study
def test_an_evaluation_of_a_run_stands_once(study):
    frame = whole(study)
    key = [name for name in ("family", "run_id", "eval_name", "metric", "step") if name in frame.columns]
    assert not frame.duplicated(key).any()


@every_study
def test_cells_are_text_or_finite_positive_numbers(study):
    frame = whole(study)
    assert list(frame.index) == list(range(len(frame)))
    for name, series in frame.items():
        text = name not in COLUMNS and series.dtype.kind not in "f"
        if text or COLUMNS.get(name) is not None and COLUMNS[name].kind == "text":
            assert all(isinstance(cell, str) for cell in series), name
        else:
            assert series.dtype == np.float64, name
            assert np.isfinite(series.dropna()).all(), name
            assert series.notna().any(), name
        if name in COLUMNS and COLUMNS[name].kind == "size":
            cells = series.dropna()
            assert ((cells >= 0) if COLUMNS[name].zero else (cells > 0)).all(), name
    assert frame["value"].notna().all()
    assert (frame[["run_id", "family", "metric", "eval_name"]] != "").all().all()


@every_study
def test_fractions_lie_between_none_and_all(study):
    frame = whole(study)
    for name, values in frame.groupby("metric")["value"]:
        if METRICS[str(name)].bounded == (0.0, 1.0):
            assert values.between(0, 1).all()
        if METRICS[str(name)].positive:
            assert (values > 0).all()


@every_study
def test_compute_agrees_with_size_and_data(study):
    frame = whole(study)
    if "flops" not in frame.columns:
        assert "flops" not in card(study).counts
        return
    if "n_tokens" not in frame.columns:  # two towers, each with tokens of its own
        towers = sum(frame[f"n_params_{k}"] * frame[f"tokens_{k}"] for k in ("image", "text"))
        assert (frame["flops"] / (6 * towers)).dropna().between(0.5, 1.5).all()
        return
    size = frame["n_active_params" if "n_active_params" in frame.columns else "n_params"]
    ratio = (frame["flops"] / (6 * size * frame["n_tokens"])).dropna()
    assert ratio.between(0.1, 10).all()
    sixfold = ratio[frame.loc[ratio.index, "flops_source"] == "6ND"]
    np.testing.assert_allclose(sixfold, 1, rtol=1e-8)


@every_study
def test_files_are_small(study):
    folder = data_folder() / study
    assert {path.name for path in folder.iterdir()} == {"card.toml", "runs.csv"}
    assert (folder / "runs.csv").stat().st_size < 700_000


def test_the_whole_catalogue_is_small():
    assert sum(path.stat().st_size for path in data_folder().rglob("*.*")) < 2_500_000


def test_wheel_carries_the_studies_that_may_travel_and_no_others():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"][
        "targets"
    ]
    travelling = [*(study for study in STUDIES if card(study).redistributable), *NO_STUDIES]
    free = {f"data/{name}": f"bayescale/data/{name}" for name in travelling}
    carried = {k: v for k, v in told["wheel"]["force-include"].items() if k != "data/README.md"}
    assert carried == free
    assert {path for path in told["sdist"]["include"] if path.startswith("data/")} == {
        "data/README.md",
        *free,
    }
    assert set(NOT_IN_THE_WHEEL) == {study for study in STUDIES if not card(study).redistributable}


def test_chinchilla_keeps_its_outliers_and_flags_them():
    runs = load_runs("chinchilla-figure4")
    outliers = runs.where(lambda frame: frame["flag"].str.contains("authors_outlier").to_numpy(dtype=bool))
    assert (len(runs), len(outliers)) == (245, 5)
    assert outliers.frame["value"].min() > 3.3
    assert len(load_runs("chinchilla-figure4", exclude_flags="authors_outlier")) == 240


def test_chinchilla_gives_the_published_exponents():
    from scipy.optimize import least_squares

    frame = load_runs("chinchilla-figure4", exclude_flags=("authors_outlier",)).frame
    size, data, loss = (frame[c].to_numpy() for c in ("n_params", "n_tokens", "value"))

    def residual(p):
        law = np.exp(p[0]) + np.exp(p[1]) * (size / 1e9) ** -p[2] + np.exp(p[3]) * (data / 1e10) ** -p[4]
        return np.log(law / loss)

    found = least_squares(residual, [0.6, -1, 0.35, -1, 0.35], loss="soft_l1", f_scale=1e-3)
    np.testing.assert_allclose([np.exp(found.x[0]), found.x[2], found.x[4]], [1.817, 0.348, 0.366], atol=0.02)


@pytest.mark.parametrize(
    ("family", "floor", "exponent"), [("c4_original", 1.508, 0.2425), ("rpj", 1.837, 0.2729)]
)
def test_five_overtraining_runs_give_the_published_law(family, floor, exponent):
    from scipy.optimize import least_squares

    frame = load_runs("gadre-overtraining", where=f"family == openlm-{family} and n_params < 5e8").frame
    small = (frame["token_multiplier"] == 20) | (frame["token_multiplier"] == 320) & (frame["n_params"] < 2e7)
    size, data, loss = (frame.loc[small, c].to_numpy() for c in ("n_params", "n_tokens", "value"))

    def residual(p):
        return p[0] + p[1] * (size / 1e8) ** -p[3] + p[2] * (data / 1e10) ** -p[3] - loss

    found = least_squares(residual, [1.8, 1, 1, 0.27])
    assert len(loss) == 5
    np.testing.assert_allclose(found.x[[0, 3]], [floor, exponent], atol=0.002)


def test_known_figures_of_the_studies():
    assert len(load_runs("gadre-overtraining", where="eval_name == c4_val", all_rows=True)) == 104
    assert load_runs("datablations").frame["value"].max() == 11.01838
    assert set(load_runs("clark-routing").frame["is_final"]) == {1.0}
    assert set(load_runs("gemstones").frame["family"]) == {"gemstones-annealed"}
    assert load_runs("pile-t5").frame["value"].max() < 4
    assert load_runs("pile-t5", all_rows=True).frame["value"].max() == 8265.334
    assert load_runs("obs-benchmarks").frame["n_tokens"].max() < 1e14


def test_distinct_tokens_never_exceed_those_seen():
    frame = load_runs("datablations").frame
    assert (frame["tokens_unique"] <= frame["n_tokens"]).all()
    np.testing.assert_allclose(frame["epochs"], frame["n_tokens"] / frame["tokens_unique"], rtol=1e-8)


def test_two_studies_join_into_one_table():
    both = load_runs("gadre-overtraining", "datablations")
    assert len(both) == len(load_runs("gadre-overtraining")) + len(load_runs("datablations"))
    assert set(both.frame["study"]) == {"gadre-overtraining", "datablations"}
    assert both.source == "gadre-overtraining, datablations"
    assert both.frame.loc[both.frame["study"] == "gadre-overtraining", "tokens_unique"].isna().all()
    assert not any(f.code == "mixed-metrics" for f in both.findings)


def test_studies_in_different_units_load_with_a_finding():
    both = load_runs("datablations", "compression-bpc")
    [finding] = [f for f in both.findings if f.code == "mixed-metrics"]
    assert "bpc, loss_nats" in finding.message


def test_flagged_rows_are_counted_in_a_note():
    [finding] = [f for f in load_runs("chinchilla-figure4").findings if f.code == "flagged-rows"]
    assert "authors_outlier (5)" in finding.message


def test_where_narrows_what_the_card_selects():
    small = load_runs("gadre-overtraining", where="n_params <= 5e8")
    assert 0 < len(small) < len(load_runs("gadre-overtraining"))
    assert small.frame["n_params"].max() <= 5e8


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("chinchila",), "'chinchilla-figure4'"),
        (("Gadre",), "'gadre-overtraining'"),
        (("../laws",), "there is no study called"),
        ((7,), "there is no study called '7'"),
        ((["datablations"],), "there is no study"),
        (("<b>" * 2000,), "datablations"),
        ((), "needs the name of a study"),
        (("datablations", "datablations"), "named twice"),
    ],
)
def test_unknown_study_is_refused_by_name_with_near_matches(asked, said):
    with pytest.raises(InputError) as caught:
        load_runs(*asked)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_study_that_may_not_travel_is_explained_where_it_is_absent(monkeypatch, tmp_path):
    monkeypatch.setattr("bayescale.runs.catalogue.data_folder", lambda: tmp_path)
    with pytest.raises(InputError, match="is not in this installation: its authors state no licence"):
        load_runs("chinchilla-figure4")


def test_unknown_flag_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="'outlier'.*authors_outlier"):
        load_runs("chinchilla-figure4", exclude_flags="outlier")


def test_condition_that_leaves_no_row_is_refused():
    with pytest.raises(InputError, match="no row of datablations is left"):
        load_runs("datablations", where="n_params > 1e15")


@pytest.mark.parametrize(
    ("text", "said"), [("title = ", "TOMLDecodeError"), ("title = 'x'", "'citation'"), ("\0", "TOML")]
)
def test_broken_card_names_the_file_and_the_key(tmp_path, text, said):
    path = tmp_path / "mine" / "card.toml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="mine") as caught:
        read_card(path)
    assert said in str(caught.value)


def test_card_as_html_is_escaped():
    from dataclasses import replace

    shown = replace(card("datablations"), title="<script>alert(1)</script>", caveats=("a < b",))._repr_html_()
    assert "<script>" not in shown
    assert "a &lt; b" in shown


def test_catalogue_is_imported_without_pandas():
    code = "import sys, bayescale.runs.catalogue; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("study", ["alabdulmohsin-vision", "compression-bpc", "obs-benchmarks", "tinyllava"])
def test_shipped_table_is_what_the_checked_reader_makes_of_its_file(study):
    from bayescale.runs.read import read_runs

    read = read_runs(data_folder() / study / "runs.csv").frame
    assert set(read.columns) == set(whole(study).columns)
    assert read[list(whole(study).columns)].equals(whole(study))
