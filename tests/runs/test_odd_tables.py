"""Tables as they come from the world: each is refused with words, warned about, or accepted quietly."""

import gzip
import json
import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from run_tables import clean, clean_text

from bayescale.errors import BayescaleWarning, InputError
from bayescale.runs.design import design_findings
from bayescale.runs.read import read_runs

Outcome = Literal["refused", "warned", "quiet"]


@dataclass(frozen=True)
class Case:
    name: str
    build: Callable[[Path], Any]
    outcome: Outcome
    says: tuple[str, ...] = ()
    options: dict[str, Any] | None = None


def spoilt(column: str, rows: Any, cell: Any, n: int = 24) -> Callable[[Path], Any]:
    """The clean table with one thing else in some cells."""

    def build(_: Path) -> pd.DataFrame:
        table = clean(n)
        if not isinstance(cell, float):
            table = table.astype(object)
        table.loc[rows, column] = cell
        return table

    return build


def changed(change: Callable[[pd.DataFrame], Any], n: int = 24) -> Callable[[Path], Any]:
    """The clean table after a change."""
    return lambda _: change(clean(n))


def file(name: str, content: str | bytes | Callable[[], str | bytes]) -> Callable[[Path], Any]:
    """A file of that name and content."""

    def build(folder: Path) -> Path:
        made = content() if callable(content) else content
        path = folder / name
        path.write_bytes(made if isinstance(made, bytes) else made.encode("utf-8"))
        return path

    return build


def both_columns(column: str, cells: Callable[[pd.DataFrame], Any]) -> Callable[[Path], Any]:
    return changed(lambda table: table.assign(**{column: cells(table)}))


def csv_of(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[], str]:
    return lambda: change(clean()).to_csv(index=False)


def _many_faults(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[[1, 2], "value"] = np.nan
    table.loc[5, "n_params"] = -1
    table.loc[9, "n_tokens"] = 0
    return table


def _some_in_billions(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[:5, "n_params"] /= 1e9
    return table


def _huge_span(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[0, "n_params"], table.loc[1, "n_params"] = 1e-3, 1e30
    return table


def _copied(table: pd.DataFrame) -> pd.DataFrame:
    copy = table.assign(run_id="z" + table["run_id"], value=table["value"] + 1e-7)
    return pd.concat([table, copy], ignore_index=True)


def _mis_extracted(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[table["n_params"].nsmallest(5).index, "value"] *= 0.85
    return table


def _bad_errors(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(value_se=[0.01, -0.1, 0.0, np.nan] + [0.01] * 20)


def _loop(folder: Path) -> Path:
    (folder / "loop.csv").symlink_to(folder / "pool.csv")
    (folder / "pool.csv").symlink_to(folder / "loop.csv")
    return folder / "loop.csv"


def _folder_of_loops(folder: Path) -> Path:
    _loop(folder)
    return folder


def _archive(name: str, entry: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr(entry, clean_text())
        return folder / name

    return build


def _joined_header() -> str:
    return clean_text() + clean_text()


def _log(n: int) -> Callable[[], str]:
    return lambda: json.dumps({"log_history": [{"loss": "x", "step": i} for i in range(n)]})


SHORT = "run_id,n_params,n_tokens,value\n"

CASES = [
    # files
    Case(
        "latin-1 bytes",
        file("l.csv", lambda: clean_text().replace("llama", "llamä").encode("latin-1")),
        "refused",
        (r"l\.csv", "encoding", r"line \d"),
    ),
    Case(
        "latin-1 named",
        file("l.csv", lambda: clean_text().replace("llama", "llamä").encode("latin-1")),
        "quiet",
        options={"encoding": "latin-1"},
    ),
    Case("encoding unknown", file("l.csv", clean_text), "refused", ("klingon",), {"encoding": "klingon"}),
    Case("utf-16", file("u.csv", lambda: clean_text().encode("utf-16")), "refused", (r"u\.csv", "utf-16")),
    Case(
        "utf-16 named",
        file("u.csv", lambda: clean_text().encode("utf-16")),
        "quiet",
        options={"encoding": "utf-16"},
    ),
    Case("byte order mark", file("b.csv", lambda: clean_text().encode("utf-8-sig")), "quiet"),
    Case("windows line ends", file("w.csv", lambda: clean_text().replace("\n", "\r\n")), "quiet"),
    Case("old mac line ends", file("m.csv", lambda: clean_text().replace("\n", "\r")), "quiet"),
    Case("blank lines", file("b.csv", lambda: clean_text().replace("\n", "\n\n")), "quiet"),
    Case(
        "thousands unquoted",
        file("t.csv", "n_params,n_tokens,value\n1,000,000,20,000,000,3.2\n2,000,000,30,000,000,3.1\n"),
        "refused",
        ("line 2", "fields", "thousands"),
    ),
    Case(
        "thousands quoted",
        file("t.csv", SHORT + 'a,"1,000,000",2e10,3\n'),
        "refused",
        ("n_params", "line 2", "thousands"),
    ),
    Case(
        "decimal commas",
        file("d.csv", "run_id;n_params;n_tokens;value\na;1e9;2e10;3,2\n"),
        "refused",
        ("value", "decimal point"),
    ),
    Case("semicolons", file("s.csv", lambda: clean_text().replace(",", ";")), "quiet"),
    Case("tabs in a csv", file("s.csv", lambda: clean_text().replace(",", "\t")), "quiet"),
    Case("tabs", file("s.tsv", lambda: clean_text().replace(",", "\t")), "quiet"),
    Case(
        "trailing delimiters",
        file("t.csv", SHORT + "a,1e9,2e10,3,\nb,2e9,2e10,2.9,\n"),
        "refused",
        ("line 2, 3", "delimiter"),
    ),
    Case(
        "trailing delimiters with header",
        file("t.csv", "run_id,n_params,value,\na,1e9,3,\nb,2e9,2.9,\n"),
        "quiet",
    ),
    Case("pandas index", file("i.csv", lambda: clean().to_csv()), "quiet"),
    Case("unnamed column", file("i.csv", ",value\nx,3\ny,2\n"), "refused", ("column 1", "no name")),
    Case(
        "quote never closed",
        file("q.csv", 'family,n_params,n_tokens,value\n"a,1e9,2e10,3\nb,1e9,2e10,2\n'),
        "refused",
        ("quote", "line 2"),
    ),
    Case("text after a quote", file("q.csv", SHORT + '"a"b,1e9,2e10,3\n'), "refused", ("quote", "line 2")),
    Case("newline in a name", file("n.csv", lambda: clean_text().replace("llama", '"lla\nma"')), "quiet"),
    Case(
        "nul byte",
        file("n.csv", b"n_params,n_tokens,value\n1e9,\x00,3.2\n2e9,3e10,3.1\n"),
        "refused",
        ("n_tokens", "NUL", "line 2"),
    ),
    Case(
        "header twice by case",
        file("h.csv", "value, Value ,n_params\n3.2,3.1,1e9\n3,2.9,2e9\n"),
        "refused",
        ("value", "more than one", "ambiguous"),
    ),
    Case("header in mid-file", file("h.csv", _joined_header), "refused", ("header", "line 26")),
    Case(
        "very long cell",
        file("c.csv", SHORT + "a" * 200_000 + ",1e9,2e10,3\n"),
        "refused",
        ("line 2", "longer"),
    ),
    Case("empty file", file("e.csv", ""), "refused", (r"e\.csv", "empty")),
    Case("only blank lines", file("e.csv", "\n\n  \n"), "refused", ("empty",)),
    Case("header only", file("e.csv", SHORT), "refused", ("no runs", "header")),
    Case(
        "gzip in a csv",
        file("g.csv", lambda: gzip.compress(clean_text().encode())),
        "refused",
        (r"g\.csv", "gzip"),
    ),
    Case(
        "zip with a path outside",
        _archive("z.zip", "../../evil.csv"),
        "refused",
        (r"z\.zip", "path", "support"),
    ),
    Case(
        "macro workbook",
        _archive("m.xlsm", "xl/vbaProject.bin"),
        "refused",
        (r"m\.xlsm", "macro", "not supported"),
    ),
    Case("workbook called csv", _archive("m.csv", "xl/sheet.xml"), "refused", (r"m\.csv", "workbook")),
    Case("pickle", file("p.pkl", b"\x80\x04."), "refused", ("pickle", "never loaded")),
    Case("unknown suffix", file("p.docx", b"x"), "refused", ("docx", r"\.csv")),
    Case("url", lambda _: "http://127.0.0.1:9/runs.csv", "refused", ("URL", "local")),
    Case("url as a path", lambda _: Path("https://127.0.0.1/runs.csv"), "refused", ("URL", "local")),
    Case("no such file", lambda folder: folder / "none.csv", "refused", (r"none\.csv", "path")),
    Case("folder", _folder_of_loops, "refused", ("folder", "link")),
    Case("link loop", _loop, "refused", ("link", "loop")),
    Case("text for a path", lambda _: clean_text(), "refused", ("path",)),
    Case(
        "trainer log",
        file("trainer_state.json", _log(20_000)),
        "refused",
        ("trainer_state", "log_history", "loss"),
    ),
    Case("broken json", file("j.json", '[{"value": 3}'), "refused", (r"j\.json", "JSON")),
    Case("deep json", file("j.json", "[" * 100_000), "refused", (r"j\.json", "JSON")),
    Case("json key twice", file("j.json", '[{"value": 3, "value": 2}]'), "refused", ("twice", "value")),
    Case(
        "json infinity", file("j.json", '[{"run_id": "a", "value": Infinity}]'), "refused", ("value", "inf")
    ),
    Case("json of numbers", file("j.json", "[1, 2]"), "refused", ("row 0", "dictionary")),
    Case(
        "json of runs",
        file("j.json", lambda: clean().to_json(orient="records", double_precision=15)),
        "quiet",
    ),
    Case("json of columns", file("j.json", lambda: json.dumps(clean().to_dict("list"))), "quiet"),
    Case("json lines", file("j.jsonl", lambda: clean().to_json(orient="records", lines=True)), "quiet"),
    Case("json line broken", file("j.jsonl", '{"value": 3}\n\n{"value": \n'), "refused", ("line 3", "JSON")),
    Case(
        "parquet broken", file("p.parquet", b"PAR1 and then nothing"), "refused", (r"p\.parquet", "Parquet")
    ),
    Case(
        "ids 007 and 7",
        file(
            "i.csv", csv_of(lambda t: t.assign(run_id=["007", "7", *(f"{i:03d}" for i in range(100, 122))]))
        ),
        "quiet",
    ),
    Case("spaces after commas", file("s.csv", "run_id, n_params, value\na, 1e9, 3\nb, 2e9, 2.9\n"), "quiet"),
    Case(
        "families called NA and null",
        file("n.csv", csv_of(lambda t: t.assign(family=["NA", "null", "None"] * 8))),
        "quiet",
    ),
    # cells
    Case("value NaN", spoilt("value", 3, np.nan), "refused", ("value", "loss", "r003", "NaN")),
    Case("value None", spoilt("value", 4, None), "refused", ("value", "r004", "missing")),
    Case("value empty", file("e.csv", SHORT + "a,1e9,2e10,\n"), "refused", ("value", "line 2", "missing")),
    Case("tokens infinite", spoilt("n_tokens", 7, np.inf), "refused", ("n_tokens", "r007", "inf")),
    Case(
        "word for infinity",
        file("i.csv", SHORT + "a,Infinity,2e10,3\n"),
        "refused",
        ("n_params", "Infinity", "infinity"),
    ),
    Case(
        "word for nothing", file("i.csv", SHORT + "a,nan,2e10,3\n"), "refused", ("n_params", "nan", "empty")
    ),
    Case(
        "beyond floats", file("i.csv", SHORT + "a,1e400,2e10,3\n"), "refused", ("n_params", "1e400", "large")
    ),
    Case("value zero", spoilt("value", 2, 0.0), "refused", ("value", "r002", "above 0")),
    Case("negative zero", spoilt("n_params", 2, -0.0), "refused", ("n_params", "r002")),
    Case(
        "many faults at once",
        changed(_many_faults),
        "refused",
        ("value", "r001", "r002", "n_params", "r005", "n_tokens", "r009"),
    ),
    Case("hexadecimal", spoilt("n_params", 4, "0x10"), "refused", ("n_params", "0x10", "r004")),
    Case(
        "underscores",
        spoilt("n_params", 4, "1_000_000"),
        "refused",
        ("n_params", "1_000_000", "plain digits"),
    ),
    Case("arabic digits", spoilt("value", 4, "\u0663.\u0662"), "refused", ("value", "r004")),
    Case("full-width digits", spoilt("value", 4, "\uff13.\uff12"), "refused", ("value", "r004")),
    Case("percent sign", spoilt("value", 4, "45%"), "refused", ("value", "fraction")),
    Case(
        "letters for billions", spoilt("n_params", [4, 5], "1.5B"), "refused", ("n_params", "1.5B", "1.5e9")
    ),
    Case("letters for millions", spoilt("n_params", 4, "20 M"), "refused", ("n_params", "20 M", "count")),
    Case("truth values", changed(lambda t: t.assign(value=True)), "refused", ("value", "bool")),
    Case(
        "complex numbers", changed(lambda t: t.assign(value=t["value"] + 0j)), "refused", ("value", "number")
    ),
    Case("decimals", changed(lambda t: t.assign(value=[Decimal(str(v)) for v in t["value"]])), "quiet"),
    Case("standard errors", changed(_bad_errors), "refused", ("value_se", "r001", "r002")),
    Case(
        "standard errors of another name",
        changed(lambda t: _bad_errors(t).rename(columns={"value_se": "loss_se"})),
        "refused",
        ("loss_se", "r001"),
    ),
    Case(
        "accuracy in per cent",
        changed(lambda t: t.assign(value=100 / t["value"], metric="accuracy")),
        "refused",
        ("accuracy", "100"),
    ),
    Case(
        "accuracy zero",
        changed(lambda t: t.assign(value=[0.0] + [0.5, 0.6] * 11 + [0.7], metric="accuracy")),
        "quiet",
    ),
    Case("experts broken", both_columns("n_experts", lambda t: 1.5), "refused", ("n_experts", "whole")),
    Case(
        "no value",
        changed(lambda t: t.rename(columns={"value": "loss"})),
        "refused",
        ("'value'", '"loss": "value"'),
    ),
    Case("family missing", spoilt("family", 2, None), "refused", ("family", "r002", "empty")),
    # tables
    Case("constant value", changed(lambda t: t.assign(value=3.0)), "warned", ("value", "constant")),
    Case(
        "one decimal",
        changed(lambda t: t.assign(value=t["value"].round(1))),
        "warned",
        ("one decimal", "round"),
    ),
    Case(
        "accuracy as loss",
        changed(lambda t: t.assign(value=1 - t["value"] / t["value"].max() * 0.9)),
        "warned",
        ("value", "rises", "accuracy"),
    ),
    Case("enormous span", changed(_huge_span), "refused", ("n_params", "r000", "r001")),
    Case("index of zeros", changed(lambda t: t.set_axis([0] * len(t))), "quiet"),
    Case("list of dicts", changed(lambda t: t.to_dict("records")), "quiet"),
    Case("dict of lists", changed(lambda t: t.to_dict("list")), "quiet"),
    Case(
        "structured array",
        changed(lambda t: t.astype({"run_id": "object", "family": "object"}).to_records(index=False)),
        "quiet",
    ),
    Case(
        "columns of two lengths",
        lambda _: {"value": [3, 2], "n_params": [1e9]},
        "refused",
        ("length", "n_params"),
    ),
    Case("no table", lambda _: 42, "refused", ("DataFrame", "int")),
    Case("no runs", lambda _: [], "refused", ("no runs",)),
    # units and meaning
    Case(
        "some sizes in billions", changed(_some_in_billions), "refused", ("n_params", "r00[0-5]", "billion")
    ),
    Case(
        "all sizes in billions",
        changed(lambda t: t.assign(n_params=t["n_params"] / 1e9)),
        "refused",
        ("n_params", "every row", "billion"),
    ),
    Case(
        "perplexity",
        changed(lambda t: t.assign(value=np.exp(t["value"] * 1.3))),
        "warned",
        ("perplex", "value"),
    ),
    Case(
        "log10 of compute",
        changed(lambda t: t.assign(flops=np.log10(t["flops"]))),
        "refused",
        ("flops", "log10"),
    ),
    Case(
        "compute in PF-days",
        changed(lambda t: t.assign(flops=t["flops"] / 8.64e19)),
        "refused",
        ("flops", "PF-days"),
    ),
    Case(
        "compute in exaFLOPs",
        changed(lambda t: t.assign(flops=t["flops"] / 1e18)),
        "refused",
        ("flops", "exa"),
    ),
    Case(
        "compute counted otherwise",
        changed(lambda t: t.assign(flops=t["flops"] * 37, flops_source="3 x forward")),
        "warned",
        ("flops", "6 x"),
    ),
    Case(
        "compute of active parameters",
        changed(lambda t: t.assign(n_active_params=t["n_params"] / 50, flops=t["flops"] / 50)),
        "quiet",
    ),
    Case("one id with two values", spoilt("run_id", 1, "r000"), "warned", ("r000",)),
    Case("copies under new names", changed(_copied), "warned", ("duplicate", "same")),
    Case(
        "points of one run",
        changed(lambda t: t.assign(run_id=["a"] * 12 + ["b"] * 12)),
        "warned",
        ("run_id", "independent"),
    ),
    Case(
        "steps of one run",
        changed(lambda t: t.assign(run_id=["a"] * 12 + ["b"] * 12, step=range(24))),
        "quiet",
    ),
    Case(
        "numbered within families",
        changed(lambda t: t.assign(run_id=[str(i // 3) for i in range(24)])),
        "quiet",
    ),
    Case(
        "text and image",
        changed(lambda t: t.assign(modality=["text", "image"] * 12)),
        "warned",
        ("modality", "text", "image"),
    ),
    Case(
        "five points mis-extracted",
        changed(_mis_extracted, 60),
        "warned",
        ("outlier", "5 points", "influence"),
    ),
    Case("sixty sound points", changed(lambda t: t, 60), "quiet"),
    Case(
        "larger than its parent",
        changed(lambda t: t.assign(dense_params=t["n_params"] / 2, sparsity=0.5)),
        "refused",
        ("dense_params", "n_params"),
    ),
    Case(
        "smaller than its parent",
        changed(lambda t: t.assign(dense_params=t["n_params"] * 2, sparsity=0.5)),
        "quiet",
    ),
    Case(
        "experts without active size",
        changed(lambda t: t.assign(is_moe=[True] * 8 + [False] * 16)),
        "warned",
        ("active", "expert"),
    ),
    Case(
        "checkpoints", changed(lambda t: t.assign(is_final=[0, 1] * 12)), "warned", ("checkpoint", "is_final")
    ),
    Case(
        "metric misspelt", changed(lambda t: t.assign(metric="loss_nat")), "warned", ("loss_nat", "loss_nats")
    ),
    Case(
        "direction turned",
        changed(lambda t: t.assign(higher_is_better=1)),
        "warned",
        ("higher_is_better", "lower"),
    ),
    Case(
        "labels 1, 1.0 and '1'",
        changed(lambda t: t.assign(family=pd.Series([1, 1.0, "1"] * 8, dtype=object))),
        "warned",
        ("family", "'1'"),
    ),
    Case(
        "labels alike but for case",
        changed(lambda t: t.assign(family=["Llama", "llama ", "olmo"] * 8)),
        "warned",
        ("Llama", "llama "),
    ),
    # renaming
    Case(
        "rename to a missing column",
        changed(lambda t: t),
        "refused",
        (r"\bN\b", "n_params"),
        {"rename": {"N": "n_params"}},
    ),
    Case(
        "rename turned round",
        changed(lambda t: t),
        "refused",
        (r"\bN\b", "n_params"),
        {"rename": {"n_params": "N"}},
    ),
    Case(
        "rename onto a column",
        changed(lambda t: t.assign(loss=3.0)),
        "refused",
        ("'loss'", "'value'", "already"),
        {"rename": {"loss": "value"}},
    ),
    Case(
        "rename twice to one",
        changed(lambda t: t.assign(a=1.0, b=2.0)),
        "refused",
        ("'a'", "'b'", "depth"),
        {"rename": {"a": "depth", "b": "depth"}},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_odd_table_is_met_as_it_deserves(case: Case, tmp_path: Path):
    before = sorted(tmp_path.parent.rglob("evil*"))
    source = case.build(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            table = read_runs(source, **(case.options or {}))
            message = "".join(str(w.message) for w in caught)
            outcome = "warned" if caught else "quiet"
            assert {w.category for w in caught} <= {BayescaleWarning}
            assert bool(caught) == any(f.severity == "warning" for f in table.findings)
        except InputError as error:
            message, outcome = str(error), "refused"
    assert outcome == case.outcome, message
    assert len(message) < 2000
    for pattern in case.says:
        assert re.search(pattern, message, re.IGNORECASE), (pattern, message)
    assert sorted(tmp_path.parent.rglob("evil*")) == before


def test_case_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)


DESIGNS = [
    ("clean", clean, {}, None, ()),
    ("column absent", clean, {"inputs": ("n_params", "tokens_unique")}, "error", ("tokens_unique", "rename")),
    (
        "column of another name",
        lambda: clean().assign(unique_tokens=1e9),
        {"inputs": ("tokens_unique",)},
        "error",
        ('"unique_tokens": "tokens_unique"',),
    ),
    ("column of text", lambda: clean().assign(mine="x"), {"inputs": ("mine",)}, "error", ("mine", "text")),
    (
        "empty cell",
        lambda: clean().assign(n_tokens=[np.nan, *clean()["n_tokens"][1:]]),
        {},
        "error",
        ("n_tokens", "r000", "empty"),
    ),
    (
        "two metrics",
        lambda: clean().assign(metric=["loss_nats", "loss_bits"] * 12),
        {},
        "error",
        ("nats", "bits"),
    ),
    ("one run", lambda: clean(1), {}, "warning", ("1 run", "too few")),
    ("three runs", lambda: clean(3), {}, "warning", ("3 runs", "prior", "5 param")),
    (
        "constant size",
        lambda: clean().assign(n_params=1e9, flops=6e9 * clean()["n_tokens"]),
        {},
        "warning",
        ("n_params", "constant", "prior"),
    ),
    (
        "narrow size",
        lambda: clean().assign(n_params=np.linspace(1e9, 5e9, 24), flops=np.nan),
        {},
        "warning",
        ("n_params", "factor 5", "prior"),
    ),
    (
        "tokens follow size",
        lambda: clean().assign(n_tokens=20 * clean()["n_params"], flops=np.nan),
        {},
        "warning",
        ("line", "n_params", "n_tokens"),
    ),
    (
        "value rises",
        lambda: clean().assign(value=5 - clean()["value"]),
        {},
        "warning",
        ("rises", "chinchilla"),
    ),
    (
        "one run a family",
        lambda: clean().assign(family=[f"f{i}" for i in range(24)]),
        {"groups": ("family",)},
        "warning",
        ("famil", "1 run"),
    ),
    (
        "thousand families",
        lambda: clean(1000).assign(family=[f"f{i}" for i in range(1000)]),
        {"groups": ("family",)},
        "warning",
        ("1,000", "famil"),
    ),
    ("three families", clean, {"groups": ("family",)}, "note", ("under four",)),
    (
        "nested clash",
        lambda: clean().assign(model="m0"),
        {"groups": ("family/model",)},
        "warning",
        ("m0", "llama", "pythia"),
    ),
    (
        "crossed groups",
        lambda: clean().assign(model="m0"),
        {"groups": ("family", "model")},
        "note",
        ("model",),
    ),
    ("group absent", clean, {"groups": ("tribe",)}, "error", ("tribe", "family")),
    ("checkpoints", lambda: clean().assign(is_final=[0, 1] * 12), {}, "warning", ("checkpoint",)),
]


@pytest.mark.parametrize(("name", "build", "options", "worst", "says"), DESIGNS, ids=[d[0] for d in DESIGNS])
def test_design_is_judged_at_the_law_s_door(name, build, options, worst, says):
    asked = {
        "law": "chinchilla",
        "inputs": ("n_params", "n_tokens"),
        "n_learnt": 5,
        "falls_with": ("n_params",),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        frame = read_runs(build()).frame
    if options.get("inputs"):
        asked["falls_with"] = ()
    found = design_findings(frame, **{**asked, **options})
    order = ("note", "warning", "error")
    assert max((f.severity for f in found), key=order.index, default=None) == worst
    told = " ".join(f.message for f in found)
    for pattern in says:
        assert re.search(re.escape(pattern), told, re.IGNORECASE), (pattern, told)
