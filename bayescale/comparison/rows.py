"""Which rows a study was fitted to, and whether two studies were fitted to the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayescale.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Rows", "common_order", "rows_of"]

# What names a row, from the shortest that may do to the longest.
_KEYS = (
    ("run_id",),
    ("study", "family", "run_id"),
    ("study", "family", "run_id", "eval_name", "metric", "step"),
)


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one study, in its order.

    Attributes
    ----------
    columns : mapping of str to tuple of str
        The columns that name a row, as text; empty where the study has no names.
    value : array of shape (row,)
    """

    columns: Mapping[str, tuple[str, ...]]
    value: np.ndarray

    def __len__(self) -> int:
        return self.value.size


def rows_of(posterior: "xr.DataTree") -> Rows:
    """The rows of a study: from its run table, else by the names of its observations."""
    observed = posterior["observed_data"].dataset["value"]
    columns: dict[str, tuple[str, ...]] = {}
    table = posterior["runs"].dataset if "runs" in posterior.children else {}
    for name in _KEYS[-1]:
        if name in table and table[name].size == observed.size:
            columns[name] = tuple(map(str, table[name].values))
    if "run_id" not in columns and "run" in observed.coords:
        columns["run_id"] = tuple(map(str, observed["run"].values))
    return Rows(columns, np.asarray(observed.values, dtype=float))


def common_order(rows: Mapping[str, Rows]) -> dict[str, np.ndarray]:
    """Positions that put every study's rows in the order of the first.

    Raises
    ------
    InputError
        If the studies were not fitted to the same rows; names the first that differ.
    """
    names = _names(rows)
    first, *others = rows
    order = {first: np.arange(len(rows[first]))}
    for other in others:
        _refuse_other_rows(first, names[first], other, names[other])
        place = {name: i for i, name in enumerate(names[other])}
        order[other] = np.array([place[name] for name in names[first]], dtype=int)
        _refuse_other_values(first, rows[first].value, other, rows[other].value[order[other]], names[first])
    return order


def _names(rows: Mapping[str, Rows]) -> dict[str, list[str]]:
    """One name for each row, by the shortest key that tells all rows apart; else also by its turn."""
    found: dict[str, list[str]] = {}
    for key in _KEYS:
        found = {study: _joined(r, key) for study, r in rows.items()}
        if all(len(set(names)) == len(names) for names in found.values()):
            return found
    return {study: _numbered(names) for study, names in found.items()}


def _joined(rows: Rows, key: tuple[str, ...]) -> list[str]:
    parts = [rows.columns[column] for column in key if column in rows.columns]
    if not parts:
        return [f"row {i}" for i in range(len(rows))]
    return [", ".join(dict.fromkeys(cell for cell in cells if cell)) for cells in zip(*parts, strict=True)]


def _numbered(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} (no. {seen[name]})")
    return found


def _refuse_other_rows(first: str, here: list[str], other: str, there: list[str]) -> None:
    lacking, added = sorted(set(here) - set(there)), sorted(set(there) - set(here))
    if not lacking and not added:
        return
    only = [
        f"{len(names)} only in {study!r} ({', '.join(name[:60] for name in names[:3])}"
        f"{', …' if len(names) > 3 else ''})"
        for study, names in ((first, lacking), (other, added))
        if names
    ]
    raise InputError(
        f"{first!r} was fitted to {len(here)} rows and {other!r} to {len(there)}, and they are not the same: "
        f"{'; '.join(only)}. Log densities of different rows cannot be compared: fit both laws to one table, "
        "such as runs.where(...) read once."
    )


def _refuse_other_values(
    first: str, here: np.ndarray, other: str, there: np.ndarray, names: list[str]
) -> None:
    differ = np.flatnonzero(~np.isclose(here, there, rtol=1e-9, atol=0.0, equal_nan=True))
    if differ.size == 0:
        return
    shown = "; ".join(f"{names[i][:60]}: {here[i]:.6g} against {there[i]:.6g}" for i in differ[:3])
    raise InputError(
        f"{first!r} and {other!r} name the same {here.size} rows, but {differ.size} of them differ in value "
        f"({shown}{'; …' if differ.size > 3 else ''}). Fit both to one table, in one unit."
    )
