"""A study as plain arrays and attributes, such as every file format can hold exactly."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Groups", "dataset_of", "groups_of", "item_path", "plain", "revived", "storable", "tree_of"]

type Groups = dict[str, "xr.Dataset"]
"""The datasets of a tree by path, ``/`` first."""

_NUMBERS = ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")


def groups_of(tree: "xr.DataTree") -> Groups:
    """The datasets of a tree, each without what it inherits."""
    return {node.path: node.to_dataset(inherit=False) for node in tree.subtree}


def tree_of(groups: Groups) -> "xr.DataTree":
    """The tree of these datasets."""
    import xarray as xr

    return xr.DataTree.from_dict(groups)


def dataset_of(variables: Mapping[Any, Any], coords: set[Any], attributes: Mapping[Any, Any]) -> "xr.Dataset":
    """The dataset of these variables, those named in `coords` as coordinates."""
    import xarray as xr

    return xr.Dataset(
        {name: content for name, content in variables.items() if name not in coords},
        {name: content for name, content in variables.items() if name in coords},
        attributes,
    )


def storable(groups: Groups) -> tuple[Groups, list[tuple[str, str]]]:
    """The same study as files can hold it, and the attributes that became JSON text for it.

    Raises
    ------
    InputError
        If a name, a variable or an attribute cannot be stored exactly; all such are named.
    """
    faults: list[str] = []
    stored, as_json = {}, []
    for path, group in groups.items():
        faults += _name_faults(path, path.split("/")[1:] if path != "/" else [])
        variables = {}
        for name, variable in group.variables.items():
            where = item_path(path, name)
            faults += _name_faults(where, [name, *variable.dims])
            try:
                variables[name] = (variable.dims, plain(variable), _stored(where, variable.attrs, as_json))
            except (TypeError, ValueError) as error:
                faults.append(f"{where!r} {error}")
        try:
            attributes = _stored(path, group.attrs, as_json)
        except (TypeError, ValueError) as error:
            faults.append(f"{path!r} {error}")
        else:
            stored[path] = dataset_of(variables, set(group.coords), attributes)
    if faults:
        shown = "; ".join(fault[:150] for fault in faults[:8])
        more = f"; and {len(faults) - 8} more" if len(faults) > 8 else ""
        raise InputError(f"cannot save this study, nothing was written: {shown}{more}.")
    return stored, as_json


def item_path(path: str, name: Any) -> str:
    """Where a variable of a group stands: ``/posterior/E``."""
    return f"{path.rstrip('/')}/{name}"


def _name_faults(where: str, names: list[Any]) -> list[str]:
    bad = [n for n in names if not isinstance(n, str) or not n or "/" in n or "\0" in n or n.startswith(".")]
    return [
        f"{where!r} has the name {n!r} (names are text without '/' and without a leading dot)" for n in bad
    ]


def plain(variable: "xr.Variable") -> np.ndarray:
    """Numbers, truth values or text as a NumPy array of the machine's byte order."""
    values = np.asarray(variable.values)
    if values.dtype.str[1:] in _NUMBERS:
        return np.asarray(values, values.dtype.newbyteorder("="), order="C")
    if values.dtype.kind not in "UOT":
        raise TypeError(f"is of type {values.dtype} (convert it to float64, int64, bool or str)")
    items = values.ravel().tolist()
    odd = next((item for item in items if not isinstance(item, str)), None)
    if odd is not None or None in items:
        raise TypeError(f"holds {odd!r} among its values (all of them must be text)")
    if not _clean("".join(items)):
        raise ValueError("holds text with a null character or half a character")
    return np.array(items, dtype=str).reshape(values.shape)


def _stored(where: str, attributes: Mapping[Any, Any], as_json: list[tuple[str, str]]) -> dict[str, Any]:
    """Attributes as text and numbers; what is neither becomes JSON text and is noted in `as_json`."""
    stored = {}
    for name, value in attributes.items():
        if not isinstance(name, str) or not name or "/" in name or not _clean(name):
            raise TypeError(f"has an attribute named {name!r} (names are text without '/')")
        value = value.item() if isinstance(value, np.generic) else value
        if _fits(value):
            stored[name] = value
            continue
        try:
            stored[name] = json.dumps(value.tolist() if isinstance(value, np.ndarray) else value)
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"has an attribute {name!r} that JSON cannot hold ({error})") from error
        as_json.append((where, name))
    return stored


def _fits(value: Any) -> bool:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, bool):
        return False
    return isinstance(value, int) and abs(value) < 2**63 or isinstance(value, float) and math.isfinite(value)


def _clean(text: str) -> bool:
    """Whether files can hold the text as it is."""
    try:
        return b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False


def revived(groups: Groups, as_json: list[tuple[str, str]]) -> Groups:
    """Attributes as they were before they became JSON text, numbers as Python's own."""
    holders = {
        item_path(path, name): variable.attrs
        for path, group in groups.items()
        for name, variable in group.variables.items()
    } | {path: group.attrs for path, group in groups.items()}
    for attributes in holders.values():
        attributes.update({k: v.item() for k, v in attributes.items() if isinstance(v, np.generic)})
    for where, name in as_json:
        holders[where][name] = json.loads(holders[where][name])
    return groups
