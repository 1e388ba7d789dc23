"""Writing a run table so that `read_runs` gives the same table back."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescale.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["neutralise", "write_delimited", "write_runs"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_runs(frame: "pd.DataFrame", path: str | Path) -> Path:
    """Write a table in the format that the suffix of `path` names.

    Raises
    ------
    InputError
        If the suffix is none of those known, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        raise InputError(
            f"{Path(path).name}: a run table is written as {', '.join(_WRITERS)}, not as {suffix!r}."
        )
    return _WRITERS[suffix](frame, path)


def write_delimited(frame: "pd.DataFrame", path: str | Path, delimiter: str) -> Path:
    """Write delimited text; numbers in the shortest form that reads back to the same bits."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow([neutralise(str(name)) for name in frame.columns])
    columns = [_cells(frame[name]) for name in frame.columns]
    writer.writerows(zip(*columns, strict=True))
    return _put(path, out.getvalue().encode("utf-8"))


def neutralise(cell: str) -> str:
    """A cell with a quote in front if a spreadsheet would take it for a formula.

    Cells that already carry such a quote get another, so that `bayescale.runs.delimited.restore` is its
    exact inverse.
    """
    return "'" + cell if cell.lstrip("'")[:1] in _FORMULA and cell.lstrip("'") else cell


def _cells(series: Any) -> list[str]:
    if series.dtype.kind in "fiub":
        return [_number(v) for v in series.to_numpy(dtype=float)]
    return [neutralise(str(cell)) for cell in series]


def _number(value: float) -> str:
    if value != value:
        return ""
    return (
        str(int(value))
        if value.is_integer() and abs(value) < 1e15 and str(value) != "-0.0"
        else repr(float(value))
    )


def _write_lines(frame: "pd.DataFrame", path: str | Path) -> Path:
    lines = (
        json.dumps({key: _json(cell) for key, cell in record.items()}, ensure_ascii=False)
        for record in frame.to_dict("records")
    )
    return _put(path, "".join(f"{line}\n" for line in lines).encode("utf-8"))


def _json(cell: Any) -> Any:
    return None if isinstance(cell, float) and cell != cell else cell


def _write_parquet(frame: "pd.DataFrame", path: str | Path) -> Path:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return _put(path, buffer.getvalue())


def _put(path: str | Path, content: bytes) -> Path:
    target = Path(path)
    try:
        target.write_bytes(content)
    except OSError as error:
        raise InputError(
            f"{target} cannot be written ({error.strerror}). Choose a folder that exists and a free name."
        ) from error
    return target


_WRITERS: dict[str, Callable[["pd.DataFrame", str | Path], Path]] = {
    ".csv": lambda frame, path: write_delimited(frame, path, ","),
    ".tsv": lambda frame, path: write_delimited(frame, path, "\t"),
    ".parquet": _write_parquet,
    ".jsonl": _write_lines,
    ".ndjson": _write_lines,
}
