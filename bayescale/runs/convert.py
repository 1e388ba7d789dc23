"""From cells as they came to columns of our types; whatever cannot be converted is a fault with a place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.runs.delimited import restore
from bayescale.runs.findings import Finding
from bayescale.runs.numbers import parse_flags, parse_numbers
from bayescale.runs.places import Places
from bayescale.runs.schema import REQUIRED, Column, column_of
from bayescale.runs.sources import Source

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Fault", "converted", "described", "kept"]


@dataclass(frozen=True)
class Fault:
    """Cells of one column that share one thing wrong with them."""

    code: str
    column: str
    rows: np.ndarray
    cells: Sequence[Any] | np.ndarray
    problem: str
    mend: str


def converted(
    columns: Mapping[str, Any], source: Source, metric: str | None, study: str | None
) -> tuple["pd.DataFrame", list[Fault], list[Finding]]:
    """The frame in our types, the faults of its cells, and notes on what was filled in."""
    import pandas as pd

    frame: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, cells in columns.items():
        frame[name], found = _column(name, cells, source.quoted)
        faults += found
    notes = _filled(frame, len(next(iter(columns.values()))), source.stem, {"metric": metric, "study": study})
    order = [*(name for name in REQUIRED if name not in columns), *columns]
    table = pd.DataFrame({name: _series(frame[name]) for name in order})
    for name in ("study", "family", "run_id", "metric"):
        missing = np.flatnonzero((table[name] == "").to_numpy(dtype=bool))
        faults.append(
            Fault("missing-label", name, missing, frame[name], "is empty in some rows", "Name each")
        )
    not_given = np.flatnonzero(np.isnan(table["value"].to_numpy(dtype=float)))
    known = {int(row) for fault in faults if fault.column == "value" for row in fault.rows}
    rows = np.array([row for row in not_given if int(row) not in known], dtype=int)
    faults.append(
        Fault(
            "missing-value",
            "value",
            rows,
            columns["value"],
            "is missing (NaN or empty)",
            "Give it or leave the row out",
        )
    )
    faults += _signs(table, columns)
    return table, faults, notes


def _series(cells: Any) -> "pd.Series":
    import pandas as pd

    return pd.Series(cells, dtype="str" if isinstance(cells, list) else None)


def _column(name: str, cells: Any, quoted: bool) -> tuple[Any, list[Fault]]:
    known = column_of(name)
    if known is None:
        numbers = parse_numbers(cells)
        is_text = isinstance(cells, Sequence) and (
            len(numbers.faults) or not np.isfinite(numbers.values).any()
        )
        known = Column("", kind="text" if is_text else "number")
    elif known.kind == "bool":
        numbers = parse_flags(cells)
    elif known.kind != "text":
        numbers = parse_numbers(cells)
    if known.kind == "text":
        return _text(cells, quoted), []
    fault = Fault("not-a-number", name, numbers.faults, cells, "must hold numbers", numbers.advice)
    return numbers.values, [fault] if len(numbers.faults) else []


def _text(cells: Any, quoted: bool) -> list[str]:
    if quoted:
        return [restore(cell) for cell in cells]
    if isinstance(cells, np.ndarray):
        cells = cells.tolist()
    return [cell if type(cell) is str else "" if _is_missing(cell) else str(cell) for cell in cells]


def _is_missing(cell: Any) -> bool:
    return (
        cell is None
        or type(cell).__name__ in ("NAType", "NaTType")
        or (isinstance(cell, float) and cell != cell)
    )


def _filled(frame: dict[str, Any], n_rows: int, stem: str, given: Mapping[str, str | None]) -> list[Finding]:
    """Fill in the label columns that the table lacks; one that is empty throughout counts as lacking."""
    for name, label in given.items():
        if label is not None and any(frame.get(name, ())):
            raise InputError(
                f"{name}={label!r} was given, but the table has a column {name!r} already. Leave the "
                "argument out, "
                f"or select rows with where='{name} == \"{label}\"'."
            )
    defaults: dict[str, Any] = {
        "study": [given["study"] or stem] * n_rows,
        "metric": [given["metric"] or "loss_nats"] * n_rows,
        "run_id": [f"r{i}" for i in range(n_rows)],
    }
    filled = [name for name in (*defaults, "family") if not any(frame.get(name, ()))]
    for name in filled:
        frame[name] = defaults[name] if name in defaults else list(frame["study"])
    if "metric" in filled and given["metric"] is None:
        told = "the table has no column 'metric': values are taken as losses in nats per token (metric=...)."
        return [Finding("metric-assumed", "note", told)]
    return []


def _signs(table: "pd.DataFrame", columns: Mapping[str, Any]) -> list[Fault]:
    """Numbers that a column of their kind cannot hold."""
    faults = []
    for name in columns:
        known = column_of(name)
        if known is None or known.kind in ("text", "bool", "number"):
            continue
        values = table[name].to_numpy(dtype=float)
        low = values < 0 if known.zero else values <= 0
        if known.kind == "fraction":
            problem, bad = "must lie between 0 and 1", (values < 0) | (values > 1)
        elif known.zero:
            problem, bad = "must not be negative", low
        else:
            problem, bad = "must be above 0", low
        mend = "Correct it, or leave the cell empty if it is not known"
        faults.append(Fault("out-of-range", name, np.flatnonzero(bad), values, problem, mend))
        if known.kind == "count":
            broken = np.flatnonzero((values % 1 != 0) & np.isfinite(values) & ~low)
            faults.append(Fault("not-whole", name, broken, values, "must be a whole number", mend))
    return faults


def kept(fault: Fault, mask: np.ndarray) -> Fault:
    """The fault as it stands in the rows that a mask keeps."""
    rows = fault.rows[mask[fault.rows]] if len(fault.rows) else fault.rows
    positions = np.cumsum(mask) - 1
    cells = {int(positions[i]): fault.cells[i] for i in rows}
    return replace(fault, rows=positions[rows] if len(rows) else rows, cells=cells)


def described(fault: Fault, frame: "pd.DataFrame", places: Places) -> Finding:
    """The fault in words."""
    where = places.rows(frame, fault.rows, fault.cells)
    message = f"{places.column(fault.column, frame)} {fault.problem}: {where}. {_sentence(fault.mend)}"
    return Finding(fault.code, "error", message)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}." if words else ""
