"""Reading a table of runs: every fault of it in one message, nothing guessed, nothing silently mended."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bayescale.errors import BayescaleWarning
from bayescale.runs.check import check_runs
from bayescale.runs.condition import select_rows
from bayescale.runs.convert import converted, described, kept
from bayescale.runs.findings import Finding, listed, raise_errors
from bayescale.runs.places import Places
from bayescale.runs.schema import COLUMNS
from bayescale.runs.sources import Source, open_source
from bayescale.runs.table import RunTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_runs"]

# What the column `value` is called elsewhere, so that a message can name the likely one.
_CALLED = (
    "loss",
    "val_loss",
    "test_loss",
    "eval_loss",
    "final_loss",
    "loss_nats",
    "accuracy",
    "score",
    "bpb",
    "y",
)


def read_runs(
    source: Any,
    *,
    rename: Mapping[str, str] | None = None,
    where: Any = None,
    metric: str | None = None,
    study: str | None = None,
    encoding: str = "utf-8",
) -> RunTable:
    """A checked run table from a file or a frame.

    A table needs the column ``value`` and what the law reads, such as ``n_params`` and ``n_tokens``;
    see `bayescale.runs.schema.COLUMNS`. Other columns are kept: as numbers if all their cells are
    numbers, else as text. Sizes are plain counts, not billions. An empty cell means that the source does
    not say, and is allowed where no value is needed.

    Parameters
    ----------
    source : path, data frame, list of dicts, dict of columns or structured array
        A ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson``, ``.json`` or ``.parquet`` file, or a pandas, polars
        or pyarrow table. Nothing is downloaded, unpacked or unpickled.
    rename : mapping of str to str, optional
        The table's names and ours: ``{"loss": "value", "params": "n_params"}``.
    where : str, callable or array of bool, optional
        Rows to keep, as in `RunTable.where`; faults in other rows do not count.
    metric : str, optional
        What the values measure, if the table has no column ``metric``; loss in nats per token by default.
    study : str, optional
        Name of the study, if the table has no such column; by default the name of the file, or ``own``.
    encoding : str, default "utf-8"
        Of text files.

    Returns
    -------
    RunTable
        Rows in their order. What was noticed is in its `findings`; warnings among them are also issued
        as one `BayescaleWarning`.

    Raises
    ------
    InputError
        One message with all faults of the table: its file, the row, the column, the cell and the mend.
    """
    opened = open_source(source, encoding)
    heading = _heading(opened)
    columns, theirs, findings = _renamed(opened, rename or {})
    findings = [*opened.findings, *findings, *_lacking(columns)]
    if "value" not in columns:
        raise_errors(findings, heading)
    frame, faults, notes = converted(columns, opened, metric, study)
    places = Places(opened.word, opened.numbers, theirs)
    if where is not None:
        mask = select_rows(frame, where)
        frame, places = frame.loc[mask].reset_index(drop=True), places.select(mask)
        faults = [kept(fault, mask) for fault in faults]
    findings += [*notes, *_empty(frame, where)]
    findings += [described(fault, frame, places) for fault in faults if len(fault.rows)]
    findings += check_runs(frame, places)
    raise_errors(findings, heading)
    warned = [finding.message for finding in findings if finding.severity == "warning"]
    if warned:
        warnings.warn(listed(f"{opened.name}: results may mislead.", warned), BayescaleWarning, stacklevel=2)
    return RunTable(frame, tuple(findings), opened.name)


def _heading(source: Source) -> str:
    counted = "" if source.word == "line" else " (rows counted from 0)"
    return f"{source.name} cannot be used as it is{counted}:"


def _renamed(
    source: Source, rename: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str], list[Finding]]:
    """Columns under our names, the user's name of each that was renamed, and what is wrong with the map."""
    has = ", ".join(source.columns)[:400]
    findings = []
    for theirs, ours in rename.items():
        problem = ""
        if theirs not in source.columns:
            turned = (
                f" Write the table's name first: rename={{{ours!r}: {theirs!r}}}."
                if ours in source.columns
                else ""
            )
            problem = f"the table has no column {theirs!r} (it has: {has}).{turned}"
        elif ours in source.columns and ours not in rename:
            problem = f"the table has a column {ours!r} already. Leave one of them out."
        elif theirs in COLUMNS and ours not in COLUMNS:
            problem = (
                f"{theirs!r} is our name already. Write the table's name first: rename={{{ours!r}: "
                f"{theirs!r}}}."
            )
        if problem:
            told = f"rename says that {theirs!r} becomes {ours!r}, but {problem}"
            findings.append(Finding("rename", "error", told))
    ours_twice = {ours for ours in rename.values() if list(rename.values()).count(ours) > 1}
    for ours in sorted(ours_twice):
        named = " and ".join(repr(theirs) for theirs, to in rename.items() if to == ours)
        findings.append(
            Finding("rename", "error", f"rename makes {named} one column {ours!r}. Leave one of them out.")
        )
    raise_errors([f for f in findings if ours_twice], _heading(source))
    columns = {rename.get(name, name): cells for name, cells in source.columns.items()}
    return columns, {ours: theirs for theirs, ours in rename.items()}, findings


def _lacking(columns: Mapping[str, Any]) -> list[Finding]:
    if "value" in columns:
        return []
    likely = next((name for name in columns if name.strip().lower() in _CALLED), "loss")
    return [
        Finding(
            "no-value",
            "error",
            f"the table has no column 'value', the result of each run (it has: {', '.join(columns)[:400]}). "
            f'Rename on entry: read_runs(path, rename={{"{likely}": "value"}}).',
        )
    ]


def _empty(frame: "pd.DataFrame", where: Any) -> list[Finding]:
    if len(frame):
        return []
    why = "none of its rows meets the condition" if where is not None else "there is nothing below the header"
    return [Finding("no-rows", "error", f"the table holds no runs: {why}.")]
