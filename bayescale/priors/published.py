"""Published estimates with their standard errors: what others fitted, as data."""

from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SETS", "checked_estimates", "load_estimates"]

SETS: dict[str, str] = {
    "exponents": "Exponents, floors and amplitudes of L(N, D) in five papers; standard errors where printed",
    "nmm": "Native multimodal models (Shukor 2025, arXiv 2504.07951): tables 2, 3, 11, 12, frontiers",
}
"""Shipped tables of estimates, and what is in them."""

_NEEDED = ("group", "parameter", "estimate", "se")


def load_estimates(name: str | None = None) -> "pd.DataFrame":
    """Printed estimates with their standard errors, one row for each.

    Parameters
    ----------
    name : str, optional
        "nmm" or "exponents"; without it, the list of these tables.

    Returns
    -------
    DataFrame
        ``group`` (whose law it is), ``source``, ``place`` (table or figure), ``architecture``, ``mixture``
        (image-caption, interleaved and text in percent), ``target``, ``parameter``, ``estimate``, ``se``
        (NaN where none is known), ``se_basis`` (who says so) and ``note``. Parameters are in the units of
        the paper.

    Raises
    ------
    InputError
        If there is no table of that name.

    Notes
    -----
    The paper of "nmm" resampled one dense law only (table 11). Its standard deviations stand with that
    law. Every other row has them borrowed, as the same share of the estimate, and ``se_basis`` says so.
    Laws of text, image-caption, interleaved and average come from the same runs, and rows of table 2, 3
    and 11 partly repeat each other: choose rows that were fitted to different runs before pooling them.

    Examples
    --------
    >>> import bayescale as bs
    >>> table = bs.load_estimates("nmm")
    >>> mixtures = table[(table["place"] == "table 3") & table["parameter"].isin(["alpha", "beta"])]
    """
    import pandas as pd

    if name is None:
        return pd.DataFrame({"holds": SETS}).rename_axis("name").reset_index()
    if name not in SETS:
        hint = did_you_mean(str(name)[:80], SETS)
        raise InputError(
            f"there is no table of estimates called {str(name)[:80]!r}.{hint} There are: {', '.join(SETS)}. "
            "One of your own is a DataFrame with the columns group, parameter, estimate and se."
        )
    path = files("bayescale") / "priors" / "estimates" / f"{name}.csv"
    with path.open(encoding="utf-8") as lines:
        frame = pd.read_csv(lines, dtype="str", keep_default_na=False)
    for column in ("estimate", "se"):
        frame[column] = [float(cell or "nan") for cell in frame[column]]
    return frame


def checked_estimates(estimates: Any, group: str) -> "pd.DataFrame":
    """The columns group, parameter, estimate and se of a user's table, with every fault of it in one message.

    Raises
    ------
    InputError
        Missing columns, empty labels, estimates or standard errors that are no usable numbers, or two
        estimates of one parameter for one group.
    """
    import pandas as pd

    try:
        frame = estimates.frame if hasattr(estimates, "frame") else pd.DataFrame(estimates)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"estimates: {error}. Give a DataFrame with the columns {', '.join(_NEEDED)}."
        ) from error
    missing = [name for name in (group, *_NEEDED[1:]) if name not in frame.columns]
    if missing:
        raise InputError(
            f"estimates lack the column {missing[0]!r} (they have: "
            f"{', '.join(map(str, frame.columns))[:400]}). Give {group}, parameter, estimate and se, one row "
            "for each estimate; group= names another label."
        )
    if not len(frame):
        raise InputError("estimates: the table has no rows; give at least one, with its standard error.")
    found = pd.DataFrame(
        {
            "group": ["" if cell is None or cell != cell else str(cell) for cell in frame[group]],
            "parameter": ["" if cell is None or cell != cell else str(cell) for cell in frame["parameter"]],
            "estimate": [_number(cell) for cell in frame["estimate"]],
            "se": [_number(cell) for cell in frame["se"]],
        }
    )
    faults = _faults(found, frame)
    if faults:
        more = f"\n… and {len(faults) - 8} more of the kind." if len(faults) > 8 else ""
        raise InputError("\n".join(["the estimates cannot be used:", *(f"- {f}" for f in faults[:8])]) + more)
    return found


def _number(cell: Any) -> float:
    if isinstance(cell, bool) or cell is None:
        return float("nan")
    try:
        return float(cell)
    except (TypeError, ValueError):
        return float("nan")


def _faults(found: "pd.DataFrame", given: "pd.DataFrame") -> list[str]:
    told = []
    cells: Any = given[["estimate", "se"]].astype(object)
    for i, row in enumerate(found.to_dict(orient="records")):
        where = f"row {i} ({row['parameter'] or '?'} of {row['group'] or '?'})"
        if not row["group"] or not row["parameter"]:
            told.append(f"{where}: the group or the parameter is empty; name both.")
        if not np.isfinite(row["estimate"]):
            told.append(f"{where}: estimate {cells['estimate'].iloc[i]!r} is not a number.")
        if not (np.isfinite(row["se"]) and row["se"] > 0):
            told.append(
                f"{where}: se {cells['se'].iloc[i]!r} must be a number above 0, in the unit of the estimate. "
                "An estimate without one cannot be weighed: leave it out, or say what you take it to be."
            )
    twice: Any = found[found.duplicated(["group", "parameter"])]
    for row in twice.head(3).to_dict(orient="records"):
        told.append(
            f"{row['parameter']} of {row['group']} stands twice: it would count twice. Keep one, or give the "
            "second a group of its own if other runs stand behind it."
        )
    return told
