"""Splits of a run table: rows to fit, rows held back, and how far beyond the first the second lie."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.runs.condition import parse_condition, select_rows
from bayescale.runs.findings import Finding
from bayescale.runs.table import RunTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Split",
    "Splits",
    "by_condition",
    "checked",
    "decades_above",
    "refuse_small",
    "scale_of",
    "unplaced",
]

type Splits = tuple[list["Split"], list[Finding]]

_STAND_IN = ("n_tokens", "n_samples", "tokens_unique", "n_params", "n_active_params")


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a backtest: what is fitted and what is held back.

    Attributes
    ----------
    name : str
        Unique within the backtest.
    train, test : array of bool
        One for each row of the table. A row may be in neither, and never in both.
    decades : array of float, optional
        How far each row of `test` lies beyond the rows fitted, in powers of ten, 0 within; by this the
        scores are told by distance. None takes the largest distance over the inputs of the law.
    case : str
        Splits of one case are scored together; the name by default.
    meta : mapping of str to number or text
        What else is known of the split: its origin, the family left out.
    options : mapping
        Options of `fit` that this split has in place of the backtest's.
    reference : bool
        Kept beside the others to compare with, and left out of the overall scores.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    decades: np.ndarray | None = None
    case: str = ""
    meta: Mapping[str, float | int | str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    reference: bool = False

    @property
    def label(self) -> str:
        """The case, by default the name."""
        return self.case or self.name


def checked(splits: list[Split], n_rows: int) -> list[Split]:
    """The splits, if they fit a table of so many rows.

    Raises
    ------
    InputError
        Naming the split and what is wrong with it.
    """
    seen: set[str] = set()
    for split in splits:
        if not isinstance(split, Split):
            raise InputError(
                f"split= takes 'rolling', 'leave-family-out', 'few-runs', a part such as Rolling(), or a "
                f"list of Split(...); this list holds a {type(split).__name__}."
            )
        _refuse_masks(split, n_rows)
        if split.name in seen:
            raise InputError(f"two splits are called {split.name!r}: give each its own name.")
        seen.add(split.name)
    if not splits:
        raise InputError("split= holds no split: give at least one.")
    return splits


def _refuse_masks(split: Split, n_rows: int) -> None:
    for side in ("train", "test"):
        mask = np.asarray(getattr(split, side))
        if mask.dtype != bool or mask.shape != (n_rows,):
            raise InputError(
                f"split {split.name!r}: {side} takes {n_rows} values true or false, one a row; it got "
                f"{mask.dtype} of shape {mask.shape}."
            )
        if not mask.any():
            raise InputError(f"split {split.name!r}: no row is true in {side}; both sides need some.")
    both = int((split.train & split.test).sum())
    if both:
        raise InputError(
            f"split {split.name!r}: {both} rows are both fitted and scored, which would flatter the law. "
            "Take them out of one side."
        )
    if split.decades is not None and np.shape(split.decades) != (int(split.test.sum()),):
        raise InputError(
            f"split {split.name!r}: decades has shape {np.shape(split.decades)}, but {int(split.test.sum())} "
            "rows are held back: give one number for each."
        )


def by_condition(table: RunTable, train: Any) -> Splits:
    """The one split of rows that meet a condition and all others, and what is to be said of rows on neither.

    Raises
    ------
    InputError
        If no row is left on either side.
    """
    frame = _with_flops(table.frame, train)
    chosen = select_rows(frame, train)
    placed = np.ones(len(frame), dtype=bool)
    if isinstance(train, str):
        for column in {comparison.column for comparison in parse_condition(train)}:
            cells = frame[column]
            placed &= (cells.notna() & (cells.astype(str) != "")).to_numpy(dtype=bool)
    fitted, held = placed & chosen, placed & ~chosen
    empty = int((~placed).sum())
    if not fitted.any() or not held.any():
        fault = (
            "no row meets it, so none is left to fit" if not fitted.any() else "no row is held back to score"
        )
        told = f"{len(table)} rows" + (f", {empty} with an empty cell there" if empty else "")
        raise InputError(f"train={train!r}: {fault} ({told}{_range(frame, train)}). Move the bound.")
    name = train if isinstance(train, str) else "own"
    split = Split(name, fitted, held, decades=_beyond_compute(frame, fitted, held))
    return [split], unplaced(placed, f"train={train!r}" if isinstance(train, str) else "train")


def unplaced(placed: np.ndarray, where: str) -> list[Finding]:
    """What is to be said of rows that belong to neither side."""
    empty = int((~placed).sum())
    if not empty:
        return []
    message = (
        f"{empty} of {placed.size} rows have an empty cell where {where} looks: they are neither "
        "fitted nor scored. Fill the cells in, or choose another column."
    )
    return [Finding("unplaced-rows", "warning", message)]


def scale_of(frame: "pd.DataFrame", column: str | None = None) -> tuple[str, np.ndarray]:
    """The column along which runs are small or large, and its numbers; NaN where unknown.

    That is ``flops``; 6ND where the table does not state it; else tokens, samples or parameters.

    Raises
    ------
    InputError
        If the table has none of these, or not the column asked for.
    """
    names = [str(name) for name in frame.columns if name not in ("value", "value_se")]
    numeric = [name for name in names if frame[name].dtype.kind in "fiu"]
    known = {name for name in numeric if bool(np.any(frame[name].to_numpy() > 0))}
    asked = column or next((c for c in ("flops", "6ND", *_STAND_IN) if c in known or _is_6nd(c, known)), None)
    if asked in known:
        numbers = frame[asked].to_numpy(dtype=float)
    elif asked in ("flops", "6ND") and _is_6nd("6ND", known):
        asked, numbers = "6ND", (6.0 * frame["n_params"] * frame["n_tokens"]).to_numpy(dtype=float)
    else:
        raise InputError(
            f"{'no column tells how large runs are' if column is None else f'there is no column {column!r}'} "
            f"with positive numbers by which to say which runs are smaller (columns with numbers: "
            f"{', '.join(sorted(known)) or 'none'}). Name one: Rolling(column='n_params')."
        )
    return str(asked), np.where(numbers > 0, numbers, np.nan)


def _is_6nd(column: str, known: set[str]) -> bool:
    return column == "6ND" and {"n_params", "n_tokens"} <= known


def decades_above(scale: np.ndarray, bound: float) -> np.ndarray:
    """How far each number lies above a bound, in powers of ten; 0 below it or where unknown."""
    with np.errstate(all="ignore"):
        return np.nan_to_num(np.maximum(np.log10(scale / bound), 0.0), nan=0.0)


def _beyond_compute(frame: "pd.DataFrame", fitted: np.ndarray, held: np.ndarray) -> np.ndarray | None:
    """Distance in compute, if the table tells it on both sides."""
    try:
        _, scale = scale_of(frame, "flops")
    except InputError:
        return None
    if not np.isfinite(scale[fitted]).any() or not np.isfinite(scale[held]).all():
        return None
    return decades_above(scale[held], float(np.nanmax(scale[fitted])))


def _with_flops(frame: "pd.DataFrame", train: Any) -> "pd.DataFrame":
    """A frame in which a condition on compute can be read, as 6ND where the table does not state it."""
    reads = {c.column for c in parse_condition(train)} if isinstance(train, str) else set()
    if "flops" in reads - set(frame.columns) and {"n_params", "n_tokens"} <= set(frame.columns):
        return frame.assign(flops=6.0 * frame["n_params"] * frame["n_tokens"])
    return frame


def _range(frame: Any, train: Any) -> str:
    """Ranges of the columns that a condition reads, to help move its bound."""
    if not isinstance(train, str):
        return ""
    told = ""
    for column in dict.fromkeys(c.column for c in parse_condition(train)):
        if frame[column].dtype.kind in "fiu" and frame[column].notna().any():
            told += f"; {column} runs from {frame[column].min():.3g} to {frame[column].max():.3g}"
    return told


def refuse_small(name: str, value: Any, least: int) -> None:
    """Refuse what is no whole number of at least so much."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name}={value!r} must be a whole number of at least {least}.")
