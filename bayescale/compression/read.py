"""Reading a user's table of measurements: every fault of it in one message."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.compression.schema import COLUMNS, REQUIRED
from bayescale.compression.table import MeasurementTable, table_of
from bayescale.errors import InputError
from bayescale.runs.condition import select_rows
from bayescale.runs.findings import Finding, raise_errors
from bayescale.runs.numbers import parse_numbers
from bayescale.runs.places import Places, shown
from bayescale.runs.sources import Source, open_source

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_measurements"]

_CALLED = {
    "raw": ("raw_bytes", "bytes", "size", "n_bytes", "raw_size", "characters", "chars"),
    "tokens": ("n_tokens", "token_count", "length"),
    "tokenizer": ("tokeniser", "model", "name", "codec"),
    "modality": ("kind", "type"),
}
"""What columns are called elsewhere, so that a message can name the likely one."""


def read_measurements(
    source: Any,
    *,
    rename: Mapping[str, str] | None = None,
    where: Any = None,
    encoding: str = "utf-8",
) -> MeasurementTable:
    """A checked table of measurements from a file or a frame.

    A table needs ``modality`` (text, audio, image, video), ``tokenizer``, ``raw`` and ``tokens``.
    ``raw_unit`` is bytes unless the table says characters, seconds or pixels; ``material``, ``se_log``
    (standard error of log(raw / tokens)) and ``source`` may be absent. Other columns are kept.

    Parameters
    ----------
    source : path, data frame, list of dicts or dict of columns
        As in `read_runs`: a ``.csv``, ``.tsv``, ``.jsonl``, ``.json`` or ``.parquet`` file, or a table.
    rename : mapping of str to str, optional
        The table's names and ours: ``{"raw_bytes": "raw"}``.
    where : str, callable or array of bool, optional
        Rows to keep, as in `MeasurementTable.where`; faults in other rows do not count.
    encoding : str, default "utf-8"
        Of text files.

    Returns
    -------
    MeasurementTable

    Raises
    ------
    InputError
        One message with all faults: a missing column, an unknown modality, a raw size of zero, more
        tokens than bytes of text, several raw units in one modality, a measurement that stands twice.
    """
    opened = open_source(source, encoding)
    names = _renamed(opened, rename or {})
    heading = f"{opened.name} cannot be used{'' if opened.word == 'line' else ' (rows counted from 0)'}:"
    missing = [_lacking(name, names) for name in REQUIRED if name not in names.values()]
    raise_errors(missing, heading)
    columns = {ours: opened.columns[theirs] for theirs, ours in names.items()}
    frame, faults = _converted(columns, Places(opened.word, opened.numbers))
    places = Places(opened.word, opened.numbers, {ours: theirs for theirs, ours in names.items()})
    if where is not None:
        mask = select_rows(frame, where)
        frame, places = frame.loc[mask].reset_index(drop=True), places.select(mask)
        faults = [(rows[mask[rows]], finding) for rows, finding in faults]
    if not len(frame):
        why = "no row meets the condition" if where is not None else "there is nothing below the header"
        raise InputError(f"{opened.name} holds no measurements: {why}.")
    if "source" not in frame:
        frame["source"] = opened.stem
    found = [*opened.findings, *(finding for rows, finding in faults if len(rows))]
    return table_of({str(name): frame[name] for name in frame.columns}, places, found, heading)


def _renamed(opened: Source, rename: Mapping[str, str]) -> dict[str, str]:
    """Our name of each column of the table."""
    has = ", ".join(opened.columns)[:400]
    for theirs, ours in rename.items():
        if theirs not in opened.columns:
            raise InputError(
                f"rename says that {theirs!r} becomes {ours!r}, but the table has no column {theirs!r} "
                f"(it has: {has}). Write the table's name first: rename={{theirs: ours}}."
            )
    names = {theirs: rename.get(theirs, theirs) for theirs in opened.columns}
    twice = [ours for ours in names.values() if list(names.values()).count(ours) > 1]
    if twice:
        raise InputError(
            f"two columns would be called {twice[0]!r} after renaming (the table has: {has}). "
            "Leave one of them out."
        )
    return names


def _lacking(name: str, names: Mapping[str, str]) -> Finding:
    likely = next((c for c in names if c.strip().lower() in _CALLED.get(name, ())), None)
    mend = (
        f'Rename on entry: read_measurements(path, rename={{"{likely}": "{name}"}}).'
        if likely
        else f"It holds {COLUMNS[name].meaning}."
    )
    return Finding(
        "missing-column",
        "error",
        f"the table has no column {name!r} (it has: {', '.join(names)[:300]}). {mend}",
    )


def _converted(
    columns: Mapping[str, Any], places: Places
) -> tuple["pd.DataFrame", list[tuple[np.ndarray, Finding]]]:
    """The frame in our types, and faults with the rows they concern."""
    import pandas as pd

    frame: dict[str, Any] = {}
    faults: list[tuple[np.ndarray, Finding]] = []
    for name, cells in columns.items():
        known = COLUMNS.get(name)
        numbers = parse_numbers(cells) if known is None or known.kind != "text" else None
        if numbers is None or (known is None and len(numbers.faults)):
            frame[name] = pd.Series([_text(cell) for cell in cells], dtype="str")
            continue
        frame[name] = numbers.values
        if len(numbers.faults):
            first = [f"{places.word} {_number(places, i)} has {shown(cells[i])}" for i in numbers.faults[:5]]
            told = f"column {name!r} must hold numbers: {', '.join(first)}. {numbers.advice}."
            faults.append((numbers.faults, Finding("not-a-number", "error", told)))
    return pd.DataFrame(frame), faults


def _number(places: Places, i: int) -> int:
    return int(i) if places.numbers is None else int(places.numbers[i])


def _text(cell: Any) -> str:
    missing = cell is None or type(cell).__name__ == "NAType" or (isinstance(cell, float) and cell != cell)
    return "" if missing else str(cell).strip()
