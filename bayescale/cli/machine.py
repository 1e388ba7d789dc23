"""Answers as JSON: plain objects and lists, with null for what is not a finite number."""

import json
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["by_budget", "by_quantity", "by_row", "plain", "records", "tell"]


def tell(answer: Any) -> None:
    """Print one JSON value on standard output."""
    sys.stdout.write(json.dumps(plain(answer), indent=2, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """What JSON can hold: NumPy numbers as Python's, NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def by_quantity(found: "xr.Dataset") -> dict[str, Any]:
    """Intervals by quantity, then by each group it varies over."""
    return {str(name): _by_group(found[name]) for name in found.data_vars}


def by_row(found: "xr.Dataset", dim: str) -> list[dict[str, Any]]:
    """One object for each position along a dim, of the variables that have it alone."""
    columns = {str(k): v.values.tolist() for k, v in found.variables.items() if v.dims == (dim,)}
    return [{name: cells[i] for name, cells in columns.items()} for i in range(found.sizes[dim])]


def by_budget(found: "xr.Dataset") -> list[dict[str, Any]]:
    """One object for each budget of an allocation."""
    budgets = [found.isel(flops=i) for i in range(found.sizes["flops"])]
    return [
        {"flops": float(budget["flops"])}
        | _told(budget.drop_dims("hump", errors="ignore"))
        | {"humps": _humps(budget) if "hump" in budget.dims else []}
        for budget in budgets
    ]


def records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """One object for each row of a frame; an empty cell is null."""
    return [{str(k): None if v != v else v for k, v in row.items()} for row in frame.to_dict("records")]


def _told(found: "xr.Dataset") -> dict[str, Any]:
    return {str(k): _bounds(v) if "bound" in v.dims else v.values for k, v in found.data_vars.items()}


def _humps(budget: "xr.Dataset") -> list[dict[str, Any]]:
    """One object for each place where the draws of an optimum gather."""
    names = {name: str(name).removeprefix("hump_") for name, v in budget.items() if "hump" in v.dims}
    humps = budget[list(names)].rename(names).dropna("hump")
    return [_told(humps.isel(hump=i)) for i in range(humps.sizes["hump"])]


def _bounds(values: "xr.DataArray") -> dict[str, Any]:
    return {str(bound): float(values.sel(bound=bound)) for bound in values["bound"].values}


def _by_group(values: "xr.DataArray") -> dict[str, Any]:
    groups = [dim for dim in values.dims if dim != "bound"]
    if not groups:
        return _bounds(values)
    first = groups[0]
    return {
        str(label): _by_group(values.isel({first: i}))
        for i, label in enumerate(values[first].values.tolist())
    }
