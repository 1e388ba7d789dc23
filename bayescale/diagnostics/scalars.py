"""A posterior taken apart: one row of draws for each number, with a name a reader knows."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayescale.errors import InputError
from bayescale.laws.law import Law, find

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Scalars", "law_in", "listed", "record", "scalars"]


@dataclass(frozen=True, eq=False)
class Scalars:
    """Draws of many numbers.

    Attributes
    ----------
    names : tuple of str
        Variable of each number, ``alpha``.
    groups : tuple of str
        Where in the variable it stands, ``llama``; empty if the variable is a single number.
    draws : array
        Dims (chain, draw, number).
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    draws: NDArray[np.float64]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names to show: ``alpha[llama]``."""
        return tuple(
            f"{name}[{group}]" if group else name for name, group in zip(self.names, self.groups, strict=True)
        )

    def where(self, keep: Iterable[bool]) -> "Scalars":
        """Those numbers for which `keep` is true."""
        kept = np.flatnonzero(np.fromiter(keep, dtype=bool))
        return Scalars(
            names=tuple(self.names[i] for i in kept),
            groups=tuple(self.groups[i] for i in kept),
            draws=self.draws[..., kept],
        )


def scalars(posterior: "xr.DataTree", group: str = "posterior") -> Scalars:
    """All numeric variables of one group of a fitted study, number by number.

    Raises
    ------
    InputError
        If the group is missing or holds no variable with the dims chain and draw.
    """
    if group not in posterior.children:
        raise InputError(
            f"this has no group {group!r} (it has: {', '.join(posterior.children) or 'none'}). "
            "Give a fitted study, as returned by bayescale.fit or bayescale.open."
        )
    names: list[str] = []
    groups: list[str] = []
    columns: list[NDArray[np.float64]] = []
    for name, variable in posterior[group].data_vars.items():
        if not {"chain", "draw"} <= set(variable.dims) or variable.dtype.kind not in "fiu":
            continue
        rest = [dim for dim in variable.dims if dim not in ("chain", "draw")]
        values = variable.transpose("chain", "draw", *rest)
        places = [", ".join(map(str, place)) for place in product(*(values[dim].values for dim in rest))]
        names += [str(name)] * len(places)
        groups += places
        columns.append(values.values.reshape(*values.shape[:2], -1).astype(float))
    if not names:
        raise InputError(
            f"the group {group!r} holds no numeric variable with the dims chain and draw; "
            "there is nothing to judge."
        )
    return Scalars(tuple(names), tuple(groups), np.concatenate(columns, axis=2))


def record(posterior: "xr.DataTree") -> Mapping[str, Any]:
    """What the study says of itself: the JSON text in its attributes, empty if it has none."""
    text = posterior.attrs.get("bayescale")
    if text is None:
        return {}
    try:
        told = json.loads(text)
    except (TypeError, ValueError) as fault:
        raise InputError(
            "the attribute 'bayescale' of this study is no JSON text, so its law and priors cannot be "
            "read. Open the file it was saved to again, or fit anew."
        ) from fault
    return told if isinstance(told, dict) else {}


def law_in(told: Mapping[str, Any]) -> Law | None:
    """Law named in a study's record, reading the columns that were read; none if it is not defined here."""
    named, columns = told.get("law"), told.get("columns") or {}
    try:
        law = find(named).holding(**told.get("held", {})) if isinstance(named, str) else None
    except InputError:
        return None
    return law and law.reading(*(columns.get(name, name) for name in told.get("inputs") or law.inputs))


def listed(items: Iterable[str], most: int = 6) -> str:
    """``a, b, c and 4 more``."""
    items = list(items)
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
