import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_tables import clean, clean_text

from bayescale.errors import BayescaleWarning, InputError
from bayescale.runs.condition import Comparison, parse_condition
from bayescale.runs.delimited import restore
from bayescale.runs.numbers import parse_numbers
from bayescale.runs.read import read_runs
from bayescale.runs.schema import COLUMNS, METRICS, REQUIRED
from bayescale.runs.table import RunTable
from bayescale.runs.write import neutralise


def test_defaults_make_one_group_of_loss_in_nats(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("n_params,n_tokens,value\n1e8,2e9,3.5\n1e9,2e10,2.75\n")
    table = read_runs(path)
    assert table.frame["study"].tolist() == ["mine", "mine"]
    assert table.frame["family"].tolist() == ["mine", "mine"]
    assert table.frame["run_id"].tolist() == ["r0", "r1"]
    assert table.frame["metric"].tolist() == ["loss_nats", "loss_nats"]
    assert table.frame["value"].tolist() == [3.5, 2.75]
    assert table.columns[-3:] == ("n_params", "n_tokens", "value")


def test_each_study_is_its_own_family_where_families_are_not_named():
    table = read_runs({"study": ["a", "b"], "value": [3.0, 2.0]})
    assert table.frame["family"].tolist() == ["a", "b"]


def test_arguments_name_study_and_metric_unless_the_table_does():
    table = read_runs(clean(), study="ours", metric="bpb")
    assert set(table.frame["study"]) == {"ours"}
    assert set(table.frame["metric"]) == {"bpb"}
    with pytest.raises(InputError, match="metric='bpb'.*already"):
        read_runs(table, metric="bpb")


def test_frames_of_all_kinds_read_alike(tmp_path):
    want = read_runs(clean()).frame
    path = tmp_path / "t.parquet"
    clean().to_parquet(path)
    for source in (pl.from_pandas(clean()), pa.Table.from_pandas(clean()), clean().to_dict("records"), path):
        got = read_runs(source, study="own").frame
        pd.testing.assert_frame_equal(got, want)
    with pytest.raises(InputError, match="collect"):
        read_runs(pl.from_pandas(clean()).lazy())


def test_empty_cells_of_inputs_are_allowed_and_known_as_missing(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("run_id,n_params,modality,value\na,,text,3\nb,1e9,,2\n")
    frame = read_runs(path).frame
    assert np.isnan(frame["n_params"][0])
    assert frame["modality"].tolist() == ["text", ""]


def test_seventeen_digits_come_back_bit_for_bit(tmp_path):
    frame = clean()
    frame["value"] = np.nextafter(frame["value"], 9)
    path = tmp_path / "p.csv"
    frame.to_csv(path, index=False, float_format="%.17g")
    assert np.array_equal(read_runs(path).frame["value"].to_numpy(), frame["value"].to_numpy())


def test_lines_are_counted_as_an_editor_shows_them(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('run_id,value\n"two\nlines",3\n\n\nbad,-1\n')
    with pytest.raises(InputError, match=r"line 6 \(run 'bad'\) has -1"):
        read_runs(path)


def test_messages_name_the_user_s_column():
    with pytest.raises(InputError, match=r"column 'value' \(your 'loss', loss_nats\)"):
        read_runs({"loss": [3.0, -1.0]}, rename={"loss": "value"})


def test_faults_in_rows_left_out_do_not_count():
    frame = clean()
    frame.loc[3, "value"] = np.nan
    table = read_runs(frame, where="run_id != r003")
    assert len(table) == 23
    with pytest.raises(InputError, match=r"row 3 \(run 'r003'\)"):
        read_runs(frame, where="run_id != r002")


def test_extra_columns_are_kept_as_numbers_or_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("value,shots,note\n3,5,x\n2,,7\n")
    frame = read_runs(path).frame
    assert frame["shots"].dtype == float
    assert frame["note"].tolist() == ["x", "7"]


def test_warnings_come_as_one_and_stay_with_the_table():
    with pytest.warns(BayescaleWarning) as caught:
        table = read_runs(clean().assign(value=3.0, modality=["text", "image"] * 12))
    assert len(caught) == 1
    assert {f.code for f in table.findings if f.severity == "warning"} == {
        "constant-value",
        "mixed-modalities",
    }
    assert "RunTable(24 rows, 24 runs, 3 families" in repr(table)


def test_where_selects_rows_in_words_by_name_and_by_mask():
    table = read_runs(clean())
    small = table.where("n_params <= 1e9 and family in (llama, 'olmo')")
    frame = table.frame
    assert 0 < len(small) == int(((frame["n_params"] <= 1e9) & (frame["family"] != "pythia")).sum())
    assert len(table.where(family="llama")) == 8
    assert len(table.where('family == "llama"', run_id="r003")) == 1
    assert len(table.where(lambda f: f["value"] > 0)) == 24
    assert len(table.where(np.arange(24) < 5)) == 5
    assert list(small.frame.index) == list(range(len(small)))
    assert len(table) == 24


def test_where_reads_operators_without_spaces_and_names_with_quotes():
    assert parse_condition("flops<=1e20 and eval_name=='c4 val'") == (
        Comparison("flops", "<=", ("1e20",)),
        Comparison("eval_name", "==", ("c4 val",)),
    )


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("flops >> 1e20", "number or a name"),
        ("flops", "not a complete comparison"),
        ("flops <= 1e20 or flops > 3", "'and'"),
        ("flops <= 1e20 and", "'and'"),
        ("flops <= abc", "holds numbers"),
        ("family < llama", "holds text"),
        ("family in llama", "brackets"),
        ("family in (llama", "brackets"),
        ("family in (llama pythia)", "brackets"),
        ("tribe == 3", "lacks"),
        ("__import__('os').system('x')", "operator"),
        ("", "not a complete comparison"),
        ("value == 'open", "not understood"),
    ],
)
def test_where_refuses_what_it_cannot_read(condition, says):
    with pytest.raises(InputError, match=says):
        read_runs(clean()).where(condition)


def test_where_refuses_masks_of_another_length_and_unknown_names():
    table = read_runs(clean())
    with pytest.raises(InputError, match="24 values"):
        table.where(np.ones(3, dtype=bool))
    with pytest.raises(InputError, match="tribe"):
        table.where(tribe="x")


def test_missing_cells_meet_no_comparison_but_unequal():
    table = read_runs({"value": [3.0, 2.0], "flops": [np.nan, 1e20]})
    assert len(table.where("flops <= 1e30")) == 1
    assert len(table.where("flops != 1e20")) == 1


def test_tables_join_with_the_columns_of_both():
    first = read_runs(clean(), study="a")
    second = read_runs(clean().assign(architecture="moe", note=1.0), study="b")
    both = first + second
    assert len(both) == 48
    assert both.frame["architecture"].tolist() == [""] * 24 + ["moe"] * 24
    assert both.frame["note"].isna().sum() == 24
    assert both.frame.index.equals(pd.RangeIndex(48))
    assert len(first) == 24


def test_a_run_that_stands_in_both_tables_is_not_joined():
    table = read_runs(clean())
    with pytest.raises(InputError, match=r"24 evaluations stand in both.*'r000' of 'own'"):
        table.join(table)
    assert len(table.where("run_id == r001") + table.where("run_id != r001")) == 24


def test_a_table_without_its_required_columns_is_refused():
    with pytest.raises(InputError, match="lacks study"):
        RunTable(pd.DataFrame({"value": [1.0]}))


def test_notebook_view_escapes_what_it_shows():
    table = read_runs({"value": [3.0], "family": ["<script>alert(1)</script>"]})
    assert "<script>" not in table._repr_html_()
    assert "&lt;script&gt;" in table._repr_html_()


def test_formulas_are_neutralised_on_export_and_come_back(tmp_path):
    names = ["=cmd|' /C calc'!A0", "+1", "-x", "@y", "'=quoted", "''=twice", "plain", "'quote", "\tz"]
    table = read_runs({"value": np.linspace(3, 2, len(names)), "family": names})
    path = table.to_csv(tmp_path / "out.csv")
    cells = [line.split(",")[0].strip('"') for line in path.read_text().splitlines()[1:]]
    assert not any(cell[:1] in ("=", "+", "-", "@", "\t") for cell in cells)
    assert "'=cmd|" in path.read_text()
    assert read_runs(path).frame["family"].tolist() == names


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_exports_read_back_as_they_were(tmp_path, suffix):
    table = read_runs(clean().assign(n_experts=[1.0, np.nan] * 12, modality=["", "text"] * 12))
    back = read_runs(table.export(tmp_path / f"t{suffix}"))
    pd.testing.assert_frame_equal(back.frame, table.frame)


def test_export_refuses_other_suffixes_and_missing_folders(tmp_path):
    table = read_runs(clean())
    with pytest.raises(InputError, match="xlsx"):
        table.export(tmp_path / "t.xlsx")
    with pytest.raises(InputError, match="cannot be written"):
        table.to_csv(tmp_path / "none" / "t.csv")


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
_LABEL = _TEXT.filter(bool)
_SIZE = st.floats(1e4, 1e15)
_ROW = st.tuples(_LABEL, _LABEL, _TEXT, _SIZE, _SIZE | st.just(float("nan")), st.floats(1e-3, 10))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(_ROW, min_size=1, max_size=6), suffix=st.sampled_from([".csv", ".tsv", ".jsonl"]))
def test_any_sound_table_survives_writing_and_reading(tmp_path, rows, suffix):
    names = ("family", "run_id", "train_data", "n_params", "n_tokens", "value")
    source = {name: list(cells) for name, cells in zip(names, zip(*rows, strict=True), strict=True)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        table = read_runs(source)
        back = read_runs(table.export(tmp_path / f"t{suffix}"))
    pd.testing.assert_frame_equal(back.frame, table.frame)


@given(_TEXT)
def test_restoring_undoes_neutralising(cell):
    assert restore(neutralise(cell)) == cell
    assert neutralise(cell)[:1] not in ("=", "+", "-", "@", "\t", "\r")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_read_back_to_the_same_bits(values):
    numbers = parse_numbers([repr(v) for v in values])
    assert not len(numbers.faults)
    assert numbers.values.tobytes() == np.array(values, dtype=float).tobytes()


@pytest.mark.parametrize(
    "cell", ["1_0", "0x1", "nan", "inf", "\uff11", "1,5", "1 000", "1e", "--1", ".", "1e999", "5%"]
)
def test_what_only_looks_like_a_number_is_none(cell):
    assert parse_numbers(["1", cell]).faults.tolist() == [1]
    assert parse_numbers(["1", cell]).advice


def test_schema_holds_every_required_column_and_two_directions():
    assert set(REQUIRED) <= set(COLUMNS)
    assert {m.higher_is_better for m in METRICS.values()} == {True, False}
    assert all(column.meaning for column in COLUMNS.values())
    assert COLUMNS["n_params"].plausible is not None


def test_a_million_faults_make_a_short_message():
    frame = clean(3000).assign(value="x", n_params=-1.0)
    with pytest.raises(InputError, match="2,994 more") as caught:
        read_runs(frame)
    assert len(str(caught.value)) < 2000


def test_reading_leaves_the_user_s_frame_alone():
    frame = clean().assign(my=64)
    before = frame.copy(deep=True)
    read_runs(frame, rename={"my": "width"})
    pd.testing.assert_frame_equal(frame, before)


def test_a_long_table_says_what_memory_it_takes():
    with pytest.warns(BayescaleWarning, match=r"150,000 rows.*4\.8 GB"):
        read_runs(clean(150_000))


def test_text_reads_like_the_frame_it_came_from(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(clean_text())
    pd.testing.assert_frame_equal(read_runs(path).frame, read_runs(clean()).frame)
