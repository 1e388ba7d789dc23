"""Whatever a user may hand over as a table, brought to named columns of cells; nothing is converted yet."""

import errno
import json
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayescale.errors import InputError
from bayescale.runs.delimited import check_header, decode, read_delimited
from bayescale.runs.findings import Finding
from bayescale.runs.table import RunTable

__all__ = ["Source", "open_source"]

_MAX_BYTES = 4 * 2**30
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]+:/")

# First bytes of files that are something else than their name says, or that are not read at all.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "is compressed with gzip. Decompress it first (gunzip)"),
    (b"BZh", "is compressed with bzip2. Decompress it first (bunzip2)"),
    (b"\xfd7zXZ", "is compressed with xz. Decompress it first (unxz)"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd. Decompress it first (unzstd)"),
    (b"PK", "is a zip archive or a workbook, which is not supported. Save the one sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "is an old workbook, which is not supported. Save the one sheet as CSV"),
    (
        b"\x89HDF",
        "is an HDF5 file. Open a saved study with bayescale.open; runs are read from CSV or Parquet",
    ),
    (b"%PDF", "is a PDF. Runs are read from CSV, JSON or Parquet"),
)
_REFUSED = {
    ".xlsx": "is a workbook, which is not supported. Save the one sheet as CSV",
    ".xlsm": "is a workbook with macros, which is not supported. Save the one sheet as CSV",
    ".xls": "is a workbook, which is not supported. Save the one sheet as CSV",
    ".ods": "is a workbook, which is not supported. Save the one sheet as CSV",
    ".zip": "is an archive, which is not supported: no path inside it is opened. Unpack it and name one file",
    ".tar": "is an archive, which is not supported: no path inside it is opened. Unpack it and name one file",
    ".gz": "is compressed with gzip, which is not supported. Decompress it first",
    ".pkl": "is a pickle, which is never loaded: it could run code. Export the table as CSV or Parquet",
    ".pickle": "is a pickle, which is never loaded: it could run code. Export the table as CSV or Parquet",
    ".nc": "is a saved study. Open it with bayescale.open(path)",
    ".zarr": "is a saved study. Open it with bayescale.open(path)",
}
_ALLOWED = "Runs are read from .csv, .tsv, .jsonl, .ndjson, .json and .parquet files"


@dataclass(frozen=True)
class Source:
    """Columns of cells as they came.

    Attributes
    ----------
    columns : dict of str to sequence
        Cells by column: text, numbers or mixed objects.
    name, stem : str
        What messages call it, and the default name of the study.
    word : {"row", "line"}
    numbers : array of int, optional
        Line of each row.
    quoted : bool
        Whether text cells may carry the quote that writing puts before formulas.
    findings : tuple of Finding
    """

    columns: dict[str, Sequence[Any] | np.ndarray]
    name: str
    stem: str = "own"
    word: str = "row"
    numbers: np.ndarray | None = None
    quoted: bool = False
    findings: tuple[Finding, ...] = ()


def open_source(source: Any, encoding: str = "utf-8") -> Source:
    """Columns of cells from a path, a data frame, or plain Python or NumPy data.

    Raises
    ------
    InputError
        If it is none of these or cannot be taken apart into rows of equal width.
    """
    if isinstance(source, (str, Path)):
        return _from_path(source, encoding)
    if isinstance(source, RunTable):
        return _from_frame(source.frame)
    if isinstance(source, np.ndarray) and source.dtype.names:
        return _from_columns({name: source[name] for name in source.dtype.names})
    if isinstance(source, Mapping):
        return _from_columns(source)
    if isinstance(source, (list, tuple)):
        return _from_records(list(source), "the list of runs")
    return _from_frame(source)


def _from_path(given: str | Path, encoding: str) -> Source:
    text = str(given)
    if _URL.match(text):
        raise InputError(
            f"{text[:200]!r} is a URL (http or the like), and bayescale connects to nothing. "
            "Download the file and give its local path."
        )
    if "\n" in text or "\x00" in text or len(text) > 4096:
        raise InputError(f"{text[:80]!r} is no path: read_runs takes the path of a table, not its text.")
    path = Path(given)
    suffix = path.suffix.lower()
    _check_file(path)
    if suffix in _REFUSED:
        raise InputError(f"{path.name} {_REFUSED[suffix]}.")
    if suffix not in _READERS:
        raise InputError(f"{path.name}: the suffix {suffix!r} is not known. {_ALLOWED}.")
    data = _bytes(path)
    for magic, what in _MAGIC:
        if data.startswith(magic):
            raise InputError(f"{path.name} {what}.")
    return _READERS[suffix](data, path, encoding)


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(f"{path} is a symbolic link that leads back to itself (a loop).") from error
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(
            f"{path} is a folder. Give one file in it (links in a folder are not followed). {_ALLOWED}."
        )
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is not a regular file. {_ALLOWED}.")
    if status.st_size > _MAX_BYTES:
        raise InputError(
            f"{path} has {status.st_size / 2**30:.1f} GB, more than the {_MAX_BYTES / 2**30:.0f} GB that "
            "are read "
            "at once. Select the rows and columns that the law reads first."
        )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Check the path and its permissions."
        ) from error


def _delimited(delimiter: str | None) -> Callable[[bytes, Path, str], Source]:
    def read(data: bytes, path: Path, encoding: str) -> Source:
        cells = read_delimited(decode(data, path.name, encoding), path.name, delimiter=delimiter)
        return Source(
            dict(cells.columns),
            path.name,
            path.stem,
            "line",
            cells.lines,
            quoted=True,
            findings=cells.findings,
        )

    return read


def _parquet(data: bytes, path: Path, encoding: str) -> Source:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(io.BytesIO(data)).read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{path.name} cannot be read as Parquet: it is damaged, truncated or of another kind. Write it "
            "again."
        ) from error
    return _from_frame(table, path.name, path.stem)


def _json(data: bytes, path: Path, encoding: str) -> Source:
    found = _parsed(decode(data, path.name, encoding), path.name)
    if isinstance(found, dict) and found and all(_is_column(v) for v in found.values()):
        return _from_columns(found, path.name, path.stem)
    if not isinstance(found, list):
        keys = f" with the keys {', '.join(map(repr, list(found)[:5]))}" if isinstance(found, dict) else ""
        raise InputError(
            f"{path.name} holds one JSON {type(found).__name__}{keys}, not a list of runs. Write one "
            "object a run: "
            '[{"run_id": "r0", "n_params": 1e9, "n_tokens": 2e10, "value": 2.5}, ...]. A training log is '
            "no run "
            "table: take each run's size, data and final loss from it."
        )
    return _from_records(found, path.name, path.stem)


def _json_lines(data: bytes, path: Path, encoding: str) -> Source:
    lines = [
        (i, line) for i, line in enumerate(decode(data, path.name, encoding).split("\n"), 1) if line.strip()
    ]
    records = [_parsed(line, f"{path.name}, line {i}") for i, line in lines]
    numbers = np.array([i for i, _ in lines], dtype=int)
    return _from_records(records, path.name, path.stem, "line", numbers)


def _parsed(text: str, name: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{name} is not valid JSON: {str(error)[:200]}. Write it again from its source."
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a key stands twice in one object ({', '.join(key for key, _ in pairs)[:150]})")
    return found


def _is_column(cells: Any) -> bool:
    return isinstance(cells, list) and not any(isinstance(cell, (dict, list)) for cell in cells)


def _from_records(
    records: list[Any], name: str, stem: str = "own", word: str = "row", numbers: np.ndarray | None = None
) -> Source:
    if not records:
        raise InputError(f"{name} holds no runs. Give one dictionary a run, with the columns as keys.")
    columns: dict[str, None] = {}
    for i, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise InputError(
                f"{name}: {word} {i if numbers is None else numbers[i]} is a {type(record).__name__}, not a "
                'dictionary such as {"n_params": 1e9, "n_tokens": 2e10, "value": 2.5}.'
            )
        columns.update(dict.fromkeys(map(str, record)))
    check_header(list(columns), name)
    cells = {column: [record.get(column) for record in records] for column in columns}
    return Source(dict(cells), name, stem, word, numbers)


def _from_columns(columns: Mapping[Any, Any], name: str = "the table", stem: str = "own") -> Source:
    for column, cells in columns.items():
        if isinstance(cells, (str, bytes)) or not hasattr(cells, "__len__") or np.ndim(cells) > 1:
            raise InputError(
                f"{name}: the column {str(column)!r} is a {type(cells).__name__}; a table is given as "
                "columns of "
                "equal length, such as {'n_params': [1e8, 1e9], 'value': [3.1, 2.6]}."
            )
    lengths = {str(column): len(cells) for column, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{column} {length}" for column, length in list(lengths.items())[:8])
        raise InputError(f"{name}: its columns differ in length ({told}). Give each one value a run.")
    check_header(list(map(str, columns)), name)
    return Source({str(column): _cells(cells) for column, cells in columns.items()}, name, stem)


def _from_frame(frame: Any, name: str = "the table", stem: str = "own") -> Source:
    import narwhals as nw

    if type(frame).__module__.startswith("pandas") and hasattr(frame, "columns"):
        check_header(list(map(str, frame.columns.tolist())), name)
    try:
        table = nw.from_native(frame, eager_only=True)
    except TypeError as error:
        lazy = " Collect the lazy frame first: frame.collect()." if hasattr(frame, "collect") else ""
        raise InputError(
            "read_runs takes the path of a table, a DataFrame (pandas, polars, pyarrow), a list of "
            "dictionaries, "
            f"a dictionary of columns or a structured array; it got the type {type(frame).__name__}.{lazy}"
        ) from error
    check_header(list(map(str, table.columns)), name)
    return Source({str(column): _series(table[column]) for column in table.columns}, name, stem)


def _series(series: Any) -> Sequence[Any] | np.ndarray:
    if not series.dtype.is_numeric() or series.dtype.is_decimal():
        return series.to_list()
    return _cells(series.to_numpy())


def _cells(cells: Any) -> Sequence[Any] | np.ndarray:
    """A NumPy array of numbers as it is; anything else as a list of Python objects."""
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "fiu":
        return cells
    return cells.tolist() if hasattr(cells, "tolist") else list(cells)


_READERS: dict[str, Callable[[bytes, Path, str], Source]] = {
    ".csv": _delimited(None),
    ".tsv": _delimited("\t"),
    ".txt": _delimited(None),
    ".parquet": _parquet,
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}
