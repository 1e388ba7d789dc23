"""Estimates of one quantity from several sources, in one table."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["beside_published"]


def beside_published(
    found: "xr.Dataset",
    published: Any = None,
    *,
    quantities: Sequence[str] | None = None,
    ours: str = "this fit",
) -> "pd.DataFrame":
    """Our intervals and published estimates, row under row.

    Parameters
    ----------
    found : Dataset
        From `intervals`.
    published : DataFrame or list of mappings, optional
        Columns ``quantity``, ``source``, ``estimate``, and either ``se`` (a normal interval of the same
        mass is made of it) or ``lower`` and ``upper``; an estimate alone has no interval.
    quantities : sequence of str, optional
        Which ones, in this order; by default those that were published and are ours too, else all.
    ours : str
        Source under which our rows are listed.

    Returns
    -------
    DataFrame
        Columns ``quantity``, ``source``, ``median``, ``lower``, ``upper``, ``published``.

    Raises
    ------
    InputError
        If a column is missing, or a quantity is not among ours.
    """
    import pandas as pd

    printed = pd.DataFrame(published) if published is not None else pd.DataFrame()
    missing = [c for c in ("quantity", "source", "estimate") if len(printed) and c not in printed]
    if missing:
        raise InputError(
            f"published estimates lack the column {missing[0]!r} "
            f"(they have: {', '.join(map(str, printed.columns))}). "
            "Give quantity, source, estimate, and se or lower and upper."
        )
    here = [str(k) for k in found.data_vars]
    wanted = list(quantities or [k for k in here if not len(printed) or k in set(printed["quantity"])])
    unknown = [k for k in wanted if k not in here]
    if unknown:
        raise InputError(
            f"there is no quantity {unknown[0]!r} here; these intervals hold: {', '.join(here)}."
        )
    if not wanted:
        raise InputError(
            f"no published quantity ({', '.join(sorted(set(printed['quantity'])))}) is among ours: "
            f"{', '.join(here)}."
        )
    z = NormalDist().inv_cdf((1 + float(found.attrs.get("prob", 0.9))) / 2)
    rows = []
    for name in wanted:
        rows += _ours(found[name], name, ours)
        if len(printed):
            rows += [_row(name, row, z) for row in printed.to_dict("records") if row["quantity"] == name]
    return pd.DataFrame(rows).assign(prob=float(found.attrs.get("prob", 0.9)))


def _ours(values: "xr.DataArray", name: str, source: str) -> list[dict[str, Any]]:
    dims = [d for d in values.dims if d != "bound"]
    rows = []
    for at in np.ndindex(*(values.sizes[d] for d in dims)):
        one = values.isel(dict(zip(dims, at, strict=True)))
        text = ", ".join(str(one[d].item()) for d in dims)
        bounds = {k: float(one.sel(bound=k)) for k in ("median", "lower", "upper")}
        named = f"{source}: {text}" if text else source
        rows.append({"quantity": name, "source": named, **bounds, "published": False})
    return rows


def _row(name: str, row: dict[Any, Any], z: float) -> dict[str, Any]:
    estimate = float(row["estimate"])
    half = z * _number(row.get("se"))
    lower, upper = _number(row.get("lower")), _number(row.get("upper"))
    return {
        "quantity": name,
        "source": str(row["source"]),
        "median": estimate,
        "lower": lower if np.isfinite(lower) else estimate - half,
        "upper": upper if np.isfinite(upper) else estimate + half,
        "published": True,
    }


def _number(cell: Any) -> float:
    return float("nan") if cell is None or cell == "" else float(cell)
