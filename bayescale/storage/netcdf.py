"""netCDF-4: a study as the bytes of one HDF5 file.

Both ways go through memory. Written straight to a full disk, HDF5 leaves the process in a state in which
it dies on exit; read from memory, the file that was checked is the file that is used, and none stays open.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescale.errors import InputError
from bayescale.storage.content import Groups, groups_of, tree_of
from bayescale.storage.refusals import LARGEST, damaged, refuse_size, unsafe

if TYPE_CHECKING:
    import h5py

__all__ = ["from_netcdf", "read_netcdf", "refuse_odd", "to_netcdf"]

_MAGIC = b"\x89HDF\r\n\x1a\n"
_PACKED = {"zlib": True, "complevel": 4, "shuffle": True, "fletcher32": True}
_FILTERS = {1: "zlib", 2: "shuffle", 3: "fletcher32"}
_NETCDF_OWN = {"DIMENSION_LIST", "REFERENCE_LIST"}
"""Attributes by which netCDF-4 ties dims to variables; the only ones that hold references."""


def to_netcdf(groups: Groups) -> bytes:
    """The content of a netCDF-4 file, every numeric array packed and with HDF5's own checksum."""
    encoding = {
        path: {name: _encoding(variable) for name, variable in group.variables.items()}
        for path, group in groups.items()
    }
    buffer = io.BytesIO()
    tree_of(groups).to_netcdf(buffer, engine="h5netcdf", encoding=encoding)
    return buffer.getvalue()


def _encoding(variable: Any) -> dict[str, Any]:
    if variable.dtype.kind not in "fiub":
        return {}
    return {"_FillValue": None} | (_PACKED if variable.ndim and variable.size else {})


def read_netcdf(path: Path) -> bytes:
    """The bytes of a file that looks like netCDF-4."""
    if path.stat().st_size > LARGEST:
        refuse_size(path, path.stat().st_size, path.stat().st_size)
    content = path.read_bytes()
    if not content:
        raise damaged(path, "it is empty")
    if not content.startswith(_MAGIC):
        raise damaged(path, "it does not begin as a netCDF-4 (HDF5) file does, or it is of another kind")
    return content


def from_netcdf(content: bytes, path: Path) -> Groups:
    """The groups in the content of a netCDF-4 file; `path` is for messages.

    Raises
    ------
    InputError
        If the content is damaged, or holds links, outside storage, unknown filters or odd types.
    """
    import h5py
    import xarray as xr

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            refuse_odd(file, path, len(content))
        with xr.open_datatree(
            io.BytesIO(content),
            engine="h5netcdf",
            decode_times=False,
            decode_timedelta=False,
            phony_dims="access",  # arrays that other programs added need no named dims
        ) as tree:
            return {where: group.load().drop_encoding() for where, group in groups_of(tree).items()}
    except (InputError, MemoryError):
        raise
    except Exception as error:  # h5py, h5netcdf and xarray raise nine kinds of error on damaged files
        raise damaged(path, error) from error


def refuse_odd(file: "h5py.File", path: Path, stored: int) -> None:
    """Look at every object of the file without reading any values."""
    import h5py

    declared, seen = 0, set()
    waiting: list[tuple[str, Any]] = [("/", file)]
    while waiting:
        where, group = waiting.pop()
        _refuse_attributes(group, path, where)
        for name in group:
            inner = f"{where.rstrip('/')}/{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise unsafe(path, inner, "a soft or external link")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr  # pyright: ignore[reportAttributeAccessIssue]
            if address in seen:
                raise unsafe(path, inner, "a second link to an object that stands elsewhere")
            seen.add(address)
            if isinstance(item, h5py.Group):
                waiting.append((inner, item))
            elif isinstance(item, h5py.Dataset):
                declared += _refuse_dataset(item, path, inner)
                refuse_size(path, declared, stored)
                _refuse_attributes(item, path, inner)
            else:
                raise unsafe(path, inner, "a named data type")


def _refuse_dataset(dataset: "h5py.Dataset", path: Path, where: str) -> int:
    """Refuse an array with odd storage; else the bytes it declares, with those of one chunk."""
    import h5py

    storage = dataset.id.get_create_plist()
    if storage.get_layout() == h5py.h5d.VIRTUAL:
        raise unsafe(path, where, "a virtual dataset, which reads other files")
    if storage.get_external_count():
        raise unsafe(path, where, "an array with external storage, which reads other files")
    for number in range(storage.get_nfilters()):
        if (code := storage.get_filter(number)[0]) not in _FILTERS:
            raise unsafe(
                path, where, f"packed with the unknown filter {code} (known: {', '.join(_FILTERS.values())})"
            )
    _refuse_type(dataset.id.get_type(), path, where)
    size = dataset.dtype.itemsize
    chunk = size
    for length in dataset.chunks or ():
        chunk *= length
    return size * dataset.size + chunk if dataset.size is not None else 0


def _refuse_attributes(item: Any, path: Path, where: str) -> None:
    import h5py

    for name in item.attrs:
        if name not in _NETCDF_OWN:
            _refuse_type(h5py.h5a.open(item.id, name.encode()).get_type(), path, f"{where}@{name}")


def _refuse_type(kind: Any, path: Path, where: str) -> None:
    import h5py

    plain = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM)
    if kind.get_class() not in plain:
        name = type(kind).__name__.removeprefix("Type").removesuffix("ID").lower()
        raise unsafe(path, where, f"of the type {name}")
