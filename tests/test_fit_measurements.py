"""Losses and measurements in one fit."""

import json

import numpy as np
import pytest

import bayescale as bs
from bayescale.errors import InputError

QUICK = {"progressbar": False, "random_seed": 0, "draws": 500}


@pytest.fixture(scope="module")
def runs():
    return bs.simulate_compression("two", families=1, runs=30, between_families=0.0)


@pytest.fixture(scope="module")
def joined(runs):
    measured = bs.simulate_measurements("two").where(
        lambda f: (f["tokenizer"].str.endswith(" 1") & (f["material"] == "plain")).to_numpy()
    )
    scatter = {f"C_{m}_scatter": bs.between(0.01, 0.3) for m in ("text", "image")}
    options = {"priors": scatter, "measurements": measured, "engine": "laplace"}
    return bs.fit(runs, "compression_power", **options, **QUICK)


def test_a_measured_factor_is_known_and_the_truth_lies_in_its_interval(joined, runs):
    found = bs.intervals(joined, prob=0.99)
    for modality in ("text", "image"):
        true = runs.frame[f"true_bytes_per_token_{modality}"].iloc[0]
        median, lower, upper = found[f"C_{modality}"].values
        assert lower < true < upper
        assert upper / lower < 8  # the prior's own is 170


def test_the_record_says_how_many_rows_were_joined(joined):
    record = json.loads(joined.attrs["bayescale"])
    assert record["n_measurements"] == {"C_text": 1, "C_image": 1}
    assert "known by measurement" in bs.intervals(joined).attrs["compression"]


def test_a_joined_study_is_saved_opened_and_compared(joined, runs, tmp_path):
    bs.save(joined, tmp_path / "study.nc")
    again = bs.open(tmp_path / "study.nc")
    ask = {"n_params": [1e9, 4e9], "bytes_text": [1e11, 0.0], "bytes_image": [0.0, 2e13]}
    first, second = (bs.predict(post, ask) for post in (joined, again))
    np.testing.assert_array_equal(first["median"], second["median"])
    other = bs.fit(runs, "compression_log", engine="laplace", **QUICK)
    table = bs.compare({"power, measured": again, "log": other})
    assert str(table["model"].values[0]) == "power, measured"


def test_curves_and_residuals_read_runs_without_a_modality(joined, runs):
    assert np.isfinite(bs.curve(joined, "n_params", points=5)["median"].values).all()
    held = {"bytes_image": 0.0, "n_params": 1e9}
    along = bs.curve(joined, "bytes_text", at=held, points=5)
    assert (np.diff(along["median"].values[0, 0]) < 0).all()
    assert along["bytes_text"].values[0] == runs.frame["bytes_text"][runs.frame["bytes_text"] > 0].min()
    assert np.isfinite(bs.residuals(joined)["fitted"].values).all()


def test_measurements_of_another_unit_are_refused_before_any_sampling(runs):
    measured = bs.simulate_measurements("text").frame.assign(raw_unit="characters")
    with pytest.raises(InputError, match="in characters, but C_text is in raw bytes per token"):
        bs.fit(runs, "compression_power", measurements=bs.MeasurementTable(measured), **QUICK)


@pytest.mark.slow
def test_six_families_of_four_modalities_with_measured_tokenizers_mix():
    runs, measured = bs.simulate_compression("four"), bs.simulate_measurements("four")
    post = bs.fit(
        runs,
        "compression_power",
        pool={"E": "family"},
        measurements=measured,
        progressbar=False,
        random_seed=0,
    )
    verdict = bs.convergence(post)
    assert verdict.ok, verdict
    assert verdict.table["rhat"].max() < 1.01
    assert int(post["sample_stats"]["diverging"].sum()) == 0
    found = bs.intervals(post, prob=0.99)
    inside = []
    for modality in ("text", "audio", "image", "video"):
        names = [f"tokenizer_{modality}", f"material_{modality}"]
        for (tokenizer, material), rows in runs.frame.groupby(names):
            true = rows[f"true_bytes_per_token_{modality}"].iloc[0]
            place = {names[0]: tokenizer, names[1]: material}
            _, lower, upper = found[f"C_{modality}"].sel(place).values
            inside.append(lower < true < upper)
    assert np.mean(inside) >= 10 / 12
