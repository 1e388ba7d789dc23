"""Numbers from the cells of a table: plain ASCII decimals and nothing that only looks like one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np

__all__ = ["Numbers", "parse_flags", "parse_numbers"]

_PLAIN = re.compile(r"[0-9eE+.\-]*")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_FLAGS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0, "no": 0.0, "yes": 1.0}

# What a cell that is not a number looks like, and what to do about it.
_LOOKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"[+-]?(nan|na|n/a|null|none|missing|-+|#n/a|\?)", re.I),
        "leave a cell that is not known empty",
    ),
    (re.compile(r"[+-]?inf(inity)?", re.I), "infinity is no measurement; correct or remove the row"),
    (re.compile(r"[+-]?\d{1,3}([,' \u00a0\u202f]\d{3})+(\.\d*)?"), "write it without thousands separators"),
    (re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?"), "write a decimal point, not a decimal comma"),
    (re.compile(r"[+-]?[\d.]+\s*%"), "write a fraction such as 0.45, not a percentage"),
    (
        re.compile(r"[+-]?[\d.]+\s*[kmbtg](illion)?", re.I),
        "write the whole count, such as 1.5e9 for 1.5 billion",
    ),
    (re.compile(r"0[xob][0-9a-f]+", re.I), "write it as a decimal number"),
    (re.compile(r"[+-]?[\d._]+"), "write plain digits 0-9, a point and perhaps an exponent"),
    (re.compile(r"true|false", re.I), "a truth value is not a number"),
)


@dataclass(frozen=True)
class Numbers:
    """A column of numbers, and the rows whose cells are none.

    Attributes
    ----------
    values : array of float
        NaN where a cell is missing or faulty.
    faults : array of int
        Positions of the faulty cells.
    advice : str
        What to do about the first of them.
    """

    values: np.ndarray
    faults: np.ndarray
    advice: str = ""


def parse_numbers(cells: Sequence[Any] | np.ndarray) -> Numbers:
    """Numbers from cells; empty text, None and NaN are missing, everything else must be a finite number.

    Text is read as ASCII decimals: no hexadecimal, no underscores, no other digits, no ``nan`` or ``inf``.
    """
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "fiu":
        values = cells.astype(float)
        infinite = np.flatnonzero(np.isinf(values))
        return Numbers(values, infinite, "infinity is no measurement; correct or remove the row")
    quick = _plain_text(cells)
    return _one_by_one(cells) if quick is None else Numbers(quick, np.array([], dtype=int))


def parse_flags(cells: Sequence[Any] | np.ndarray) -> Numbers:
    """Truth values as 0.0 and 1.0 from 0, 1, true, false, yes, no in any case; missing cells are NaN."""
    values = np.full(len(cells), np.nan)
    faults = []
    for i, cell in enumerate(cells):
        if cell is None or cell == "" or cell != cell:
            continue
        found = _FLAGS.get(str(cell).strip().lower())
        if found is None:
            faults.append(i)
        else:
            values[i] = found
    return Numbers(values, np.array(faults, dtype=int), "write 1 or 0")


def _plain_text(cells: Sequence[Any] | np.ndarray) -> np.ndarray | None:
    """All cells at once if each is plain text; None if one needs a closer look."""
    try:
        if not _PLAIN.fullmatch("".join(cells)):
            return None
        values = np.array([float(cell) if cell else np.nan for cell in cells], dtype=float)
    except (TypeError, ValueError):
        return None
    return None if np.isinf(values).any() else values


def _one_by_one(cells: Sequence[Any] | np.ndarray) -> Numbers:
    values = np.full(len(cells), np.nan)
    faults: list[int] = []
    for i, cell in enumerate(cells):
        number = _number(cell)
        if number is None or np.isinf(number):
            faults.append(i)
        else:
            values[i] = number
    return Numbers(values, np.array(faults, dtype=int), _advice(cells[faults[0]]) if faults else "")


def _number(cell: Any) -> float | None:
    """The number in a cell, NaN for a missing one, None for what is no number."""
    if isinstance(cell, str):
        text = cell.strip(" \t")
        return float(text) if _NUMBER.fullmatch(text) else None if text else np.nan
    if isinstance(cell, (bool, np.bool_)):
        return None
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return np.nan
    if isinstance(cell, (Real, Integral, Decimal, np.number)) and not isinstance(cell, np.complexfloating):
        try:
            return float(cell)
        except (OverflowError, ValueError):
            return None
    return None


def _advice(cell: Any) -> str:
    if isinstance(cell, (bool, np.bool_)):
        return "a truth value (bool) is not a number"
    if not isinstance(cell, str):
        return "write a finite number"
    text = cell.strip()
    if _NUMBER.fullmatch(text):
        return "it is too large for a number"
    return next((advice for look, advice in _LOOKS if look.fullmatch(text)), "write a number such as 1.5e9")
