"""The checksums that go with a study, and the header that tells what it is.

The file holds what xarray, ArviZ and netCDF tools read without this package. Two things stand in its
root beside: the header (``bayescale``, one JSON text, written by the fit) and the seal
(``bayescale_sha256``), a JSON text with a sha256 of every variable and of the attributes of every group,
in the order of the tree. What is not listed in the seal was added later and is let through.
"""

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import BayescaleWarning, InputError
from bayescale.storage.content import Groups, dataset_of, item_path, plain, revived, storable
from bayescale.storage.refusals import damaged, listed

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT", "HEADER", "SEAL", "refuse_header", "sealed", "unsealed"]

FORMAT = 1
HEADER = "bayescale"
SEAL = "bayescale_sha256"


def refuse_header(attributes: Mapping[Any, Any], path: Path) -> None:
    """Refuse a tree that is no study, or one of a format that this version does not know."""
    text = attributes.get(HEADER)
    if text is None and SEAL in attributes:
        raise damaged(path, f"its attribute {HEADER!r} is lost")
    if text is None:
        raise InputError(
            f"{path} is no bayescale study, or damaged at its root: it has no attribute {HEADER!r}. "
            "A study is what bayescale.fit returns and bayescale.save writes."
        )
    try:
        number = json.loads(text)["format"]
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise damaged(path, f"its attribute {HEADER!r} is not the JSON text of a study") from error
    if type(number) is not int or number < 1:
        raise damaged(path, f"its format is {number!r}; formats are counted from 1")
    if number > FORMAT:
        raise InputError(
            f"{path} has format {number}, this version of bayescale knows formats up to {FORMAT}. "
            "Upgrade: pip install --upgrade bayescale."
        )


def sealed(groups: Groups) -> Groups:
    """The same study as files can hold it, with the checksums in the root.

    Raises
    ------
    InputError
        If a name, a variable or an attribute cannot be stored exactly; all such are named.
    """
    stored, as_json = storable(groups)
    stored["/"].attrs.pop(SEAL, None)
    stored["/"].attrs[SEAL] = json.dumps({"sha256": _checksums(stored), "json": as_json})
    return stored


def unsealed(groups: Groups, path: Path) -> Groups:
    """The study as it was before `sealed`, after comparing every checksum.

    Raises
    ------
    InputError
        If anything listed in the seal is missing or differs.

    Warns
    -----
    BayescaleWarning
        If there is no seal: another program wrote the file, and damage would go unseen.
    """
    text = groups["/"].attrs.pop(SEAL, None)
    if text is None:
        warnings.warn(
            f"{path} has no checksums (another program wrote it), so damage to it cannot be seen. "
            "Check its numbers and save it again with bayescale.save.",
            BayescaleWarning,
            stacklevel=3,
        )
        return groups
    try:
        seal = json.loads(text)
        expected, as_json = dict(seal["sha256"]), [tuple(pair) for pair in seal["json"]]
        found = _checksums(groups, expected)
        wrong = [item for item in expected if found.get(item) != expected[item]]
        if wrong:
            raise damaged(path, f"the checksum of {listed(wrong)} does not match")
        return revived(_ordered(groups, expected), as_json)
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise damaged(path, f"its attribute {SEAL!r} cannot be read") from error


def _checksums(groups: Groups, wanted: Mapping[str, str] | None = None) -> dict[str, str]:
    """A sha256 of the attributes of each group and of each variable, of those wanted."""
    sums = {}
    for path, group in groups.items():
        if wanted is None or path in wanted:
            sums[path] = hashlib.sha256(_text([_canonical(group.attrs)])).hexdigest()
        for name, variable in group.variables.items():
            where = item_path(path, name)
            if wanted is None or where in wanted:
                sums[where] = _checksum(variable, name in group.coords)
    return sums


def _checksum(variable: "xr.Variable", is_coord: bool) -> str:
    values = plain(variable)
    kind = "text" if values.dtype.kind == "U" else values.dtype.str[1:]
    sha = hashlib.sha256(_text([is_coord, variable.dims, values.shape, kind, _canonical(variable.attrs)]))
    little = values if kind == "text" else values.astype(values.dtype.newbyteorder("<"), copy=False)
    sha.update(_text(values.ravel().tolist()) if kind == "text" else little.tobytes())
    return sha.hexdigest()


def _canonical(attributes: Mapping[Any, Any]) -> list[list[Any]]:
    own = {k: v.item() if isinstance(v, np.generic) else v for k, v in attributes.items()}
    return [[k, type(v).__name__, v.hex() if isinstance(v, float) else v] for k, v in sorted(own.items())]


def _text(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode()


def _ordered(groups: Groups, order: Mapping[str, str]) -> Groups:
    """Groups and variables in the order in which they were saved, later additions last."""
    rank = {item: number for number, item in enumerate(order)}
    ordered = {}
    for path in sorted(groups, key=lambda p: rank.get(p, len(rank))):
        group = groups[path]
        names = sorted(group.variables, key=lambda n: rank.get(item_path(path, n), len(rank)))
        variables = {n: group.variables[n] for n in names}
        ordered[path] = dataset_of(variables, set(group.coords), group.attrs)
    return ordered
