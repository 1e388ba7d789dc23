"""Shares of a mixture, which are parts of one whole."""

from typing import TYPE_CHECKING

import numpy as np

from bayescale.runs.findings import Finding
from bayescale.runs.magnitudes import numbers
from bayescale.runs.places import Places

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["shares_of_one"]

_ROUNDING = 0.005  # shares printed with two digits


def shares_of_one(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Rows whose shares exceed the whole, and rows that leave a part of it without a name."""
    names = [str(name) for name in frame.columns if str(name).startswith("share_")]
    if len(names) < 2:
        return []
    shares = np.stack([numbers(frame, name) for name in names])
    total = np.nansum(shares, axis=0)
    known = np.isfinite(shares).all(axis=0)
    above = np.flatnonzero(total > 1 + _ROUNDING)
    below = np.flatnonzero(known & (total < 1 - _ROUNDING))
    columns, found = ", ".join(names), []
    if len(above):
        told = (
            f"the shares of a mixture ({columns}) must sum to 1, but come to more: "
            f"{places.rows(frame, above, total)}. "
            "Divide them by their sum, or drop a column that counts twice."
        )
        found.append(Finding("shares-above-one", "error", told))
    if len(below):
        told = (
            f"the shares {columns} sum to less than 1: {places.rows(frame, below, total)}. The rest has no "
            "name; a law that reads the share of every domain, such as 'mixture_additive', needs it too."
        )
        found.append(Finding("shares-below-one", "note", told))
    return found
