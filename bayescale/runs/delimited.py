"""Comma-, semicolon- or tab-separated text as cells of text: nothing guessed, every odd line reported."""

import csv
import io
from dataclasses import dataclass

import numpy as np

from bayescale.errors import InputError
from bayescale.runs.findings import Finding

__all__ = ["Cells", "decode", "read_delimited", "restore"]

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_MAX_NAMED = 5


@dataclass(frozen=True)
class Cells:
    """Columns of cells by name, the line on which each row starts, and what was noticed."""

    columns: dict[str, tuple[str, ...]]
    lines: np.ndarray
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class _Row:
    line: int
    cells: list[str]


def decode(data: bytes, name: str, encoding: str) -> str:
    """Text of a file, without its byte order mark.

    Raises
    ------
    InputError
        If the bytes are no text in that encoding; the message names the line and the encoding argument.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") and not encoding.lower().replace("-", "").startswith("utf16"):
        raise InputError(f"{name} looks like UTF-16 text. Read it with read_runs(path, encoding='utf-16').")
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{name} is not {encoding} text: byte 0x{data[error.start]:02x} in line {line} has no meaning "
            "in that "
            "encoding. Save the file as UTF-8, or name its encoding: read_runs(path, encoding='latin-1')."
        ) from error
    except LookupError as error:
        raise InputError(f"there is no encoding {encoding!r}; try 'utf-8', 'utf-16' or 'latin-1'.") from error


def read_delimited(text: str, name: str, *, delimiter: str | None = None) -> Cells:
    """Cells of a delimited text.

    Parameters
    ----------
    text : str
    name : str
        Name of the file, for messages.
    delimiter : str, optional
        By default the one of comma, semicolon and tab that the header has most of.

    Raises
    ------
    InputError
        If the text has no header, a quote that never closes, or a header that is ambiguous. Odd rows do
        not raise: they are left out and come as findings of severity error, so that all faults of a
        table can be told at once.
    """
    first = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    if not first:
        raise InputError(
            f"{name} is empty. A run table starts with a header: family,run_id,n_params,n_tokens,value."
        )
    chosen = delimiter or max(_DELIMITERS, key=first.count)
    rows = _split(text, name, chosen)
    findings: list[Finding] = []
    if chosen != "," and delimiter is None:
        findings.append(
            Finding("delimiter", "note", f"{name} was read as text separated by {_DELIMITERS[chosen]}.")
        )
    header = [restore(cell.strip()) for cell in rows[0].cells]
    kept, odd = _sound_rows(rows, len(header), name, chosen)
    header, kept, unnamed = _without_unnamed(header, kept, name)
    check_header(header, name)
    columns = list(zip(*(row.cells for row in kept), strict=True)) if kept else [() for _ in header]
    nuls = _nul_findings(header, columns, kept, name) if "\x00" in text else []
    return Cells(
        columns=dict(zip(header, columns, strict=True)),
        lines=np.array([row.line for row in kept], dtype=int),
        findings=(*findings, *odd, *unnamed, *nuls),
    )


def restore(cell: str) -> str:
    """A cell without the quote that `bayescale.runs.write.neutralise` put in front of it."""
    if not cell.startswith("'"):
        return cell
    return cell[1:] if cell.lstrip("'")[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def check_header(header: list[str], name: str) -> None:
    """Refuse names that are equal after trimming and without regard to case."""
    seen: dict[str, str] = {}
    for column in header:
        key = column.strip().casefold()
        if key in seen:
            raise InputError(
                f"{name} has more than one column called {column!r} (the other is {seen[key]!r}; case and "
                "spaces "
                "around a name do not count). Which one is meant is ambiguous: rename or remove one."
            )
        seen[key] = column


def _split(text: str, name: str, delimiter: str) -> list[_Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[_Row] = []
    line = 0
    try:
        for cells in reader:
            start, line = line + 1, reader.line_num
            if cells and any(cells) or len(cells) > 1:
                rows.append(_Row(start, cells))
    except csv.Error as error:
        start = line + 1
        if "limit" in str(error):
            raise InputError(
                f"{name}, line {start}: a cell is longer than {csv.field_size_limit():,} characters. "
                "Is a quote missing, or is this another kind of file?"
            ) from error
        raise InputError(
            f'{name}, line {start}: a quote (") opens there and is not closed properly. Close it before '
            "the next "
            'delimiter, and write a quote inside quotes twice ("").'
        ) from error
    return rows


def _sound_rows(rows: list[_Row], width: int, name: str, delimiter: str) -> tuple[list[_Row], list[Finding]]:
    header, body = rows[0].cells, rows[1:]
    repeated = [row for row in body if row.cells == header]
    uneven = [row for row in body if len(row.cells) != width]
    findings = []
    if repeated:
        findings.append(
            Finding(
                "repeated-header",
                "error",
                f"{name}: {_lines(repeated)} repeats the header; two tables seem to be joined. "
                "Remove that line, and the runs below it if they stand above already.",
            )
        )
    if uneven:
        row = uneven[0]
        trailing = " The row ends in a delimiter: remove it." if row.cells[-1] == "" else ""
        findings.append(
            Finding(
                "uneven-rows",
                "error",
                f"{name}: {_lines(uneven)} does not fit the header of {width} columns "
                f"(line {row.line} has {len(row.cells)} fields separated by "
                f"{_DELIMITERS.get(delimiter, delimiter)}). "
                "Write numbers without thousands separators and put text that holds a delimiter in "
                f"quotes.{trailing}",
            )
        )
    return [row for row in body if len(row.cells) == width and row.cells != header], findings


def _lines(rows: list[_Row]) -> str:
    numbers = ", ".join(str(row.line) for row in rows[:_MAX_NAMED])
    more = f" and {len(rows) - _MAX_NAMED:,} more" if len(rows) > _MAX_NAMED else ""
    return f"line {numbers}{more}"


def _without_unnamed(
    header: list[str], rows: list[_Row], name: str
) -> tuple[list[str], list[_Row], list[Finding]]:
    """Leave out columns without a name if they are empty or an index 0, 1, 2, ...; refuse others."""
    unnamed = [i for i, column in enumerate(header) if not column]
    if not unnamed:
        return header, rows, []
    for i in unnamed:
        cells = [row.cells[i] for row in rows]
        if any(cells) and cells != [str(k) for k in range(len(cells))]:
            raise InputError(
                f"{name}: column {i + 1} has no name in the header but holds {cells[0][:60]!r}. Name it or "
                "remove it."
            )
    kept = [i for i, column in enumerate(header) if column]
    note = Finding(
        "unnamed-columns",
        "note",
        f"{name}: column {', '.join(str(i + 1) for i in unnamed)} has no name and is empty or only counts "
        "the "
        "rows; it is left out.",
    )
    return [header[i] for i in kept], [_Row(r.line, [r.cells[i] for i in kept]) for r in rows], [note]


def _nul_findings(
    header: list[str], columns: list[tuple[str, ...]], rows: list[_Row], name: str
) -> list[Finding]:
    return [
        Finding(
            "nul-byte",
            "error",
            f"{name}, line {row.line}: column {column!r} holds a NUL byte (\\x00). The file is damaged or "
            "not "
            "plain text; write it again from its source.",
        )
        for column, cells in zip(header, columns, strict=True)
        for cell, row in zip(cells, rows, strict=True)
        if "\x00" in cell
    ][:_MAX_NAMED]
