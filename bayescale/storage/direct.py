"""A sealed netCDF-4 study read without xarray's decoder, which takes most of the time of opening one.

Only what `save` writes is read this way, and only if every variable and attribute then has the checksum that
the seal gives it. Anything else is left to the reader for all files.
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.storage.content import Groups, dataset_of, item_path
from bayescale.storage.netcdf import refuse_odd
from bayescale.storage.seal import SEAL, unsealed

if TYPE_CHECKING:
    import h5py

__all__ = ["read_sealed"]

_OF_NETCDF = ("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST")
_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable."
_CF = ("_FillValue", "missing_value", "scale_factor", "add_offset", "coordinates", "_Unsigned")


class _OtherwiseMadeError(Exception):
    """The file holds what `save` does not write."""


def read_sealed(content: bytes, path: Path) -> Groups | None:
    """The study in the content of a netCDF-4 file, proved by its seal; None where another way must tell.

    Raises
    ------
    InputError
        If the content holds links, outside storage, unknown filters or odd types.
    """
    import h5py

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            refuse_odd(file, path, len(content))
            groups = {where: _group(file, group) for where, group in _walked(file).items()}
    except (InputError, MemoryError):
        raise
    except Exception:  # h5py raises many kinds of error on damaged files, which the other reader names
        return None
    try:
        _refuse_unsealed(groups)
        return unsealed(groups, path)
    except (InputError, _OtherwiseMadeError, ValueError, TypeError, KeyError):
        return None


def _walked(file: "h5py.File") -> "dict[str, h5py.Group]":
    """Groups by path, each after the one it stands in."""
    import h5py

    found: dict[str, h5py.Group] = {"/": file}
    waiting: list[tuple[str, h5py.Group]] = [("/", file)]
    while waiting:
        where, group = waiting.pop()
        for name, item in group.items():
            if isinstance(item, h5py.Group):
                found[item_path(where, name)] = item
                waiting.append((item_path(where, name), item))
    return found


def _group(file: "h5py.File", group: "h5py.Group") -> Any:
    import h5py

    variables, coords = {}, set()
    for name, item in group.items():
        if not isinstance(item, h5py.Dataset) or bytes(item.attrs.get("NAME", b"")).startswith(_NO_VARIABLE):
            continue
        attributes = _attributes(item)
        dims = _dims(file, item, name)
        variables[name] = (dims, _values(item, attributes.pop("dtype", None)), attributes)
        if dims == (name,):
            coords.add(name)
    return dataset_of(variables, coords, _attributes(group))


def _dims(file: "h5py.File", item: "h5py.Dataset", name: str) -> tuple[str, ...]:
    if item.ndim == 0:
        return ()
    if "DIMENSION_LIST" in item.attrs:
        listed: Any = item.attrs["DIMENSION_LIST"]
        scales = [file[references[0]] for references in listed]
        return tuple(str(scale.name).rpartition("/")[2] for scale in scales)
    if item.ndim == 1 and "CLASS" in item.attrs:
        return (name,)
    raise _OtherwiseMadeError(name)


def _values(item: "h5py.Dataset", kind: Any) -> np.ndarray:
    if item.dtype.kind == "O":
        return np.array(item.asstr()[()], dtype=str)
    if item.dtype.kind not in "fiub" or kind not in (None, "bool"):
        raise _OtherwiseMadeError(item.name)
    return np.asarray(item[()], dtype=bool if kind else item.dtype.newbyteorder("="))


def _attributes(item: "h5py.Dataset | h5py.Group") -> dict[str, Any]:
    found = {}
    for name, value in item.attrs.items():
        if name in _OF_NETCDF or name.startswith(("_Netcdf4", "_NCProperties")):
            continue
        value = value[0] if isinstance(value, np.ndarray) and value.shape == (1,) else value
        if name in _CF or not isinstance(value, str | np.integer | np.floating):
            raise _OtherwiseMadeError(name)
        found[name] = value
    return found


def _refuse_unsealed(groups: Groups) -> None:
    """Refuse what the seal does not speak of."""
    listed: Mapping[str, str] = json.loads(groups["/"].attrs[SEAL])["sha256"]
    found = [
        *groups,
        *(item_path(where, name) for where, group in groups.items() for name in group.variables),
    ]
    if set(map(str, found)) - set(listed):
        raise _OtherwiseMadeError
