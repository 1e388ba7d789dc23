"""What a user asks about: scales, as a frame with one row each, checked at the door."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.laws.pure import pure_range
from bayescale.queries.study import Study
from bayescale.runs.numbers import parse_numbers
from bayescale.runs.schema import column_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_frame", "check_prob", "decades_beyond", "inputs_of"]


def as_frame(scales: Any) -> "pd.DataFrame":
    """A frame with one row for each scale asked about.

    Parameters
    ----------
    scales : DataFrame, Dataset, mapping, list of mappings, RunTable or path
        A Dataset is unrolled over its dims; a mapping may hold numbers and lists of one length.

    Raises
    ------
    InputError
        If it is none of these, or has no row.
    """
    import pandas as pd

    if isinstance(scales, str) or hasattr(scales, "__fspath__"):
        frame = _read(scales)
    elif hasattr(scales, "frame") and hasattr(scales, "findings"):
        frame = scales.frame.copy()
    elif type(scales).__module__.startswith("xarray"):
        frame = scales.to_dataframe().reset_index()
    elif isinstance(scales, pd.DataFrame):
        frame = scales.reset_index(drop=True)
    elif isinstance(scales, Mapping):
        frame = pd.DataFrame(_columns(scales))
    elif isinstance(scales, list) and all(isinstance(row, Mapping) for row in scales):
        frame = pd.DataFrame(scales)
    else:
        raise InputError(
            f"scales: a {type(scales).__name__} is no table of scales. Give a DataFrame with one column for "
            "each input of the law, such as pd.DataFrame({'n_params': [1e10], 'n_tokens': [2e11]})."
        )
    if len(frame) == 0:
        raise InputError("scales: the table has no rows; give at least one scale to ask about.")
    return frame


def _columns(scales: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Columns of one length: a single cell serves for all rows."""
    cells = {str(name): np.atleast_1d(cell) for name, cell in scales.items()}
    lengths = {name: column.shape for name, column in cells.items() if column.shape != (1,)}
    if len(set(lengths.values())) > 1 or any(len(shape) > 1 for shape in lengths.values()):
        told = ", ".join(f"{name} {shape}" for name, shape in list(lengths.items())[:8])
        raise InputError(
            f"scales: columns differ in shape ({told}). Give each a number, or one for each row."
        )
    width = next(iter(lengths.values()), (1,))
    return {name: np.broadcast_to(column, width) for name, column in cells.items()}


def _read(path: Any) -> "pd.DataFrame":
    import pandas as pd

    from bayescale.runs.sources import open_source

    return pd.DataFrame({k: list(v) for k, v in open_source(path).columns.items()})


def inputs_of(study: Study, frame: "pd.DataFrame") -> dict[str, np.ndarray]:
    """The law's inputs from a frame, in raw units; a column that stands in is read where it was in the fit.

    Raises
    ------
    InputError
        All missing columns and unusable cells in one message.
    """
    s, found, faults = study.structure, {}, []
    for name in s.law.inputs:
        column = next((c for c in (s.columns.get(name, name), name) if c in frame), None)
        if column is None and name == "flops" and {"n_params", "n_tokens"} <= set(frame):
            found[name] = 6.0 * _numbers(frame["n_params"]) * _numbers(frame["n_tokens"])
            continue
        if column is None and name in s.law.optional:
            found[name] = np.zeros(len(frame))
            continue
        if column is None:
            faults.append(
                f"law {s.law.name!r} reads the column {s.columns.get(name, name)!r}, which the scales lack "
                f"(they have: {', '.join(map(str, frame.columns))})."
            )
            continue
        values = _numbers(frame[column])
        if name in s.law.optional:
            values = np.where(_is_empty(frame[column]), 0.0, values)
        allowed, fine = _allowed(column, values, zero=name in s.law.optional)
        for i in np.flatnonzero(~(np.isfinite(values) & fine))[:5]:
            faults.append(f"row {i}, column {column!r}: {frame[column].tolist()[i]!r} is not {allowed}.")
        found[name] = values
    faults += _without_any(study, found)
    if faults:
        raise InputError("\n".join(["the scales cannot be used:", *(f"- {f}" for f in faults)]))
    return found


def _allowed(column: str, values: np.ndarray, *, zero: bool = False) -> tuple[str, np.ndarray]:
    """What a cell of a column may be, and which values are that."""
    known = column_of(column)
    if known is not None and known.kind == "fraction":
        return "a number from 0 to 1", (values >= 0) & (values <= 1)
    if zero or (known is not None and known.zero):
        return "a number of 0 or more; give raw counts, such as 7e9", values >= 0
    return "a positive number; give raw counts, such as 7e9", values > 0


def _is_empty(column: Any) -> np.ndarray:
    return np.asarray(column.isna() | (column.astype(str).str.strip() == ""), dtype=bool)


def _without_any(study: Study, found: Mapping[str, np.ndarray]) -> list[str]:
    """Rows that have nothing of any modality."""
    law = study.structure.law
    if not law.factors or not set(law.factors) <= set(found):
        return []
    nothing = np.flatnonzero(np.sum([found[k] for k in law.factors], axis=0) == 0)
    columns = ", ".join(study.structure.columns.get(k, k) for k in law.factors)
    return [f"row {i}: it has nothing in any of {columns}; give at least one." for i in nothing[:5]]


def _numbers(column: Any) -> np.ndarray:
    """Cells as floats, read as a run table reads them; NaN where they are no numbers."""
    if column.dtype.kind in "fiu":
        return column.to_numpy(dtype=float)
    return parse_numbers(column.tolist()).values


def decades_beyond(study: Study, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """How far each row lies beyond the runs: the largest distance over the inputs, in powers of ten."""
    ranges = study.record.get("input_range", {})
    far = [np.zeros(len(next(iter(inputs.values()))))]
    for name, values in inputs.items():
        if name in ranges and pure_range(name) is None:
            low, high = ranges[name]
            with np.errstate(divide="ignore", invalid="ignore"):
                beyond = np.maximum(np.log10(values / high), np.log10(low / values))
            # Nothing of a modality is no scale, and among runs that have none it is not far.
            far.append(np.where((values > 0) & (beyond > 0), np.minimum(beyond, 99.0), 0.0))
    return np.max(far, axis=0)


def check_prob(prob: float) -> float:
    """`prob` if it is a probability strictly within (0, 1)."""
    if not isinstance(prob, int | float) or isinstance(prob, bool) or not 0 < prob < 1:
        raise InputError(f"prob={prob!r} must lie between 0 and 1, as in prob=0.9.")
    return float(prob)
