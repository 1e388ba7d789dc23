"""Reading measurements: what a table needs, and what is said of a bad one."""

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.compression.schema import COLUMNS

GOOD = {
    "modality": ["text", "text", "audio"],
    "tokenizer": ["a", "b", "c"],
    "material": ["x", "x", "y"],
    "raw": [100.0, 100.0, 48000.0],
    "tokens": [25, 50, 600],
}


def table(**changed):
    return {**GOOD, **changed}


def refused(source, **how):
    with pytest.raises(bs.InputError) as caught:
        bs.read_measurements(source, **how)
    return str(caught.value)


def test_defaults_are_filled_in_and_factors_worked_out():
    read = bs.read_measurements(GOOD)
    assert tuple(read.columns[: len(COLUMNS)]) == tuple(COLUMNS)
    np.testing.assert_allclose(read.frame["log_factor"], np.log([4, 2, 80]))
    assert set(read.frame["raw_unit"]) == {"bytes"}
    assert set(read.frame["se_log"]) == {0.0}
    assert read.units == {"text": "bytes", "audio": "bytes"}


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_a_table_comes_back_from_the_file_it_was_written_to(tmp_path, suffix):
    before = bs.load_measurements(where="modality == video")
    after = bs.read_measurements(before.export(tmp_path / f"m{suffix}"))
    pd.testing.assert_frame_equal(before.frame, after.frame[before.frame.columns], rtol=1e-9)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"modality": ["txt", "text", "audio"]}, "row 0 ('a') has 'txt'. Did you mean 'text'?"),
        ({"modality": ["text", "smell", "audio"]}, "has 'smell'. Allowed: text, audio, image, video"),
        ({"raw": [100.0, 0.0, 1.0]}, "column 'raw' must be above 0: row 1 ('b') has 0"),
        ({"raw": [100.0, -5.0, 1.0]}, "row 1 ('b') has -5"),
        ({"raw": [100.0, None, 1.0]}, "column 'raw' is missing: row 1"),
        ({"tokens": [25, 0, 600]}, "column 'tokens' must be above 0: row 1"),
        ({"tokens": [25, 2.5, 600]}, "must be a whole number: row 1 ('b') has 2.5"),
        ({"tokens": [101, 50, 600]}, "row 0 ('a') has 101 tokens for 100 bytes"),
        ({"tokens": ["25", "many", "600"]}, "row 1 has 'many'"),
        ({"se_log": [0.1, -0.1, 0]}, "'se_log' must not be negative: row 1"),
        ({"se_log": [0.1, 3.0, 0]}, "larger than 2"),
        ({"raw_unit": ["bytes", "characters", "bytes"]}, "rows of text are in several units"),
        ({"raw_unit": ["bytes", "bytes", "characters"]}, "audio cannot be counted in characters"),
        ({"raw_unit": ["byte", "bytes", "bytes"]}, "Did you mean 'bytes'?"),
        ({"tokenizer": ["a", "a", "c"]}, "'a' on 'x' (text, bytes, source 'own'), row 0 ('a'), row 1 ('a')"),
        ({"tokenizer": ["", "b", "c"]}, "column 'tokenizer' is empty in some rows: row 0"),
        ({"log_factor": [1.3862944, 3.0, 4.3820266]}, "row 1 ('b') has 3, while its sizes give 0.693147"),
    ],
)
def test_a_bad_cell_is_named_with_its_row_and_the_mend(changed, said):
    assert said in refused(table(**changed))


def test_all_faults_of_a_table_are_in_one_message():
    told = refused(table(raw=[0, 100, 1], tokens=[1.5, 101, 600], modality=["text", "text", "sound"]))
    assert all(part in told for part in ("'sound'", "above 0", "whole number", "101 tokens for 100 bytes"))


def test_missing_columns_are_named_with_what_they_may_be_called():
    told = refused({"modality": ["text"], "tokeniser": ["a"], "raw_bytes": [3], "tokens": [1]})
    assert 'rename={"tokeniser": "tokenizer"}' in told
    assert 'rename={"raw_bytes": "raw"}' in told
    read = bs.read_measurements(
        {"modality": ["text"], "tokeniser": ["a"], "raw_bytes": [3], "tokens": [1]},
        rename={"tokeniser": "tokenizer", "raw_bytes": "raw"},
    )
    assert len(read) == 1


def test_lines_of_a_file_are_counted_as_an_editor_does(tmp_path):
    (tmp_path / "m.csv").write_text("modality,tokenizer,raw,tokens\ntext,a,10,5\ntext,b,0,5\n")
    assert "line 3 ('b') has 0" in refused(tmp_path / "m.csv")


def test_faults_outside_the_condition_do_not_count():
    assert len(bs.read_measurements(table(raw=[100, 0, 48000]), where="tokenizer != b")) == 2
    assert "no row meets" in refused(GOOD, where="tokenizer == z")


def test_more_tokens_than_characters_are_allowed():
    read = bs.read_measurements(table(raw_unit=["characters"] * 2 + ["seconds"], raw=[10, 100, 8]))
    assert read.frame["log_factor"].iloc[0] < 0


def test_joining_refuses_what_would_count_twice_or_mix_units():
    one = bs.read_measurements(GOOD)
    with pytest.raises(bs.InputError, match="stands 2 times"):
        one.join(one)
    with pytest.raises(bs.InputError, match="several units"):
        one + bs.load_measurements(raw_unit="characters")
    with pytest.raises(bs.InputError, match="not DataFrame"):
        one.join(one.frame)
    assert len(one + bs.load_measurements(where="modality == video")) == 10


def test_a_frame_without_the_columns_is_no_table():
    with pytest.raises(bs.InputError, match="lacks modality"):
        bs.MeasurementTable(pd.DataFrame({"x": [1]}))


def test_html_is_escaped():
    shown = bs.read_measurements(table(tokenizer=["<script>", "b", "c"]))._repr_html_()
    assert "<script>" not in shown
    assert "text in bytes" in shown


def test_where_selects_rows():
    assert len(bs.read_measurements(GOOD).where("modality == text and tokens > 30")) == 1


@pytest.mark.parametrize(
    ("unit", "modalities"),
    [
        ("bytes", ("text", "audio", "image", "video")),
        ("characters", ("text",)),
        ("seconds", ("audio",)),
        ("pixels", ("image", "video")),
    ],
)
def test_the_catalogue_is_given_in_one_unit_at_a_time(unit, modalities):
    read = bs.load_measurements(raw_unit=unit)
    assert read.modalities == modalities
    assert set(read.frame["raw_unit"]) == {unit}


def test_the_catalogue_passes_the_checks_of_a_users_table():
    for unit in ("bytes", "characters", "seconds", "pixels"):
        shipped = bs.load_measurements(raw_unit=unit, copies=True)
        assert len(bs.read_measurements(shipped.frame)) == len(shipped)


def test_the_catalogue_holds_known_figures():
    read = bs.load_measurements(copies=True)
    english = read.where('tokenizer == "GPT-2" and material == "FLORES-200 English"').frame
    assert english[["raw", "tokens"]].to_numpy().tolist() == [[259396.0, 52567.0]]
    encodec = read.where('tokenizer == "EnCodec-24kHz@6kbps"').frame
    np.testing.assert_allclose(np.exp(encodec["log_factor"]), 48000 / 600)
    vit = read.where('tokenizer == "LlamaGen vq_ds16"').frame
    np.testing.assert_allclose(np.exp(vit["log_factor"]), 768)
    assert bs.measurement_card().rows == 4166


def test_copies_are_left_out_with_a_note_and_are_indeed_copies():
    short, full = bs.load_measurements(), bs.load_measurements(copies=True)
    assert any("r50k_base (as GPT-2)" in f.message for f in short.findings)
    values = full.frame.pivot_table(index="material", columns="tokenizer", values="log_factor")
    for name, of in bs.measurement_card().copies.items():
        assert (values[name] - values[of]).abs().max() < 0.002 or name.startswith("EnCodec")
        assert name not in set(short.frame["tokenizer"])


def test_every_source_has_a_licence_that_lets_it_travel():
    card = bs.measurement_card()
    assert set(bs.load_measurements(copies=True).frame["source"]) | {"shisa-v2"} == set(card.licences)
    assert set(card.licences.values()) == {"MIT", "Apache-2.0"}
    assert "left out: vocab-scaling" in str(card)


def test_an_unknown_unit_or_an_empty_choice_is_refused():
    with pytest.raises(bs.InputError, match="must be one of bytes"):
        bs.load_measurements(raw_unit="bits")
    with pytest.raises(bs.InputError, match="no shipped measurement"):
        bs.load_measurements(where="tokenizer == nobody")
    with pytest.raises(bs.InputError, match="load_measurements"):
        bs.load_runs("tokenizers")
