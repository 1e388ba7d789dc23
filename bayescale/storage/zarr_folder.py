"""Zarr: a study as a folder of small files.

Written in Zarr format 2, whose text and truth values every Zarr version reads; format 3 is read too.
"""

import json
import math
import os
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bayescale.errors import InputError
from bayescale.storage.content import Groups, groups_of, tree_of
from bayescale.storage.refusals import damaged, refuse_size, unsafe

__all__ = ["from_zarr", "is_zarr", "to_zarr"]

_CODECS = {"zlib", "gzip", "zstd", "blosc", "lz4", "shuffle", "fletcher32", "crc32", "crc32c", "adler32"}
_CODECS |= {"bytes", "transpose", "vlen-utf8", "sharding_indexed"}
_TYPE = re.compile(r"[<>|=]?(?:[fiu]([1248])|b1|U(\d{1,6}))")
_TYPE_3 = re.compile(r"(?:bool|(?:u?int|float)(\d{1,2})|string)")
_META = {".zgroup", ".zarray", ".zattrs", ".zmetadata", "zarr.json"}
_LONGEST_META = 2**26


def to_zarr(groups: Groups, folder: Path) -> None:
    """Write the groups into an empty folder, every numeric array packed and with a checksum."""
    import zarr
    from numcodecs import Fletcher32, Zlib

    def encoding(variable: Any) -> dict[str, Any]:
        checked = [Fletcher32()] if variable.dtype.kind in "fiub" else []
        return {"filters": checked, "compressors": [Zlib(4)], "_FillValue": None}

    by_path = {
        path: {name: encoding(variable) for name, variable in group.variables.items()}
        for path, group in groups.items()
    }
    with zarr.config.set({"array.write_empty_chunks": True}):
        tree_of(groups).to_zarr(folder, mode="w", zarr_format=2, consolidated=False, encoding=by_path)


def is_zarr(folder: Path) -> bool:
    """Whether the folder is empty or a Zarr group: one that may be replaced by another."""
    return not any(folder.iterdir()) or any((folder / name).is_file() for name in (".zgroup", "zarr.json"))


def from_zarr(folder: Path, path: Path) -> Groups:
    """The groups in a Zarr folder; `path` is for messages.

    Raises
    ------
    InputError
        If the folder is damaged, or holds links, unknown codecs or odd types, or Zarr is not installed.
    """
    _refuse_odd(folder, path)
    try:
        import zarr  # noqa: F401
    except ImportError as error:
        raise needs_zarr(path) from error
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Object at .* is not recognized"
            )  # a stray file, such as .DS_Store
            return _loaded(folder)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # zarr, numcodecs and xarray raise many kinds of error on damaged folders
        raise damaged(path, error) from error


def _loaded(folder: Path) -> Groups:
    import xarray as xr

    options: dict[str, Any] = {"decode_times": False, "decode_timedelta": False, "chunks": None}
    with xr.open_datatree(folder, engine="zarr", consolidated=False, **options) as tree:
        return {where: group.load().drop_encoding() for where, group in groups_of(tree).items()}


def needs_zarr(path: Path) -> InputError:
    """The error for a Zarr path without Zarr."""
    return InputError(
        f"{path} ends in .zarr, which needs the package zarr (3 or later), not installed here: "
        "pip install 'bayescale[zarr]', or use a path that ends in .nc."
    )


def _refuse_odd(folder: Path, path: Path) -> None:
    """Look at every file name and every description of an array before Zarr sees any."""
    declared = stored = 0
    for place, folders, files in os.walk(folder, onerror=_raise):
        for name in (*folders, *files):
            if Path(place, name).is_symlink():
                raise unsafe(path, _inside(Path(place, name), folder), "a symbolic link")
        for name in files:
            file = Path(place, name)
            if not file.is_file():
                raise unsafe(path, _inside(file, folder), "no regular file")
            stored += file.stat().st_size
        for name in _META.intersection(files):
            declared += _refuse_description(Path(place, name), folder, path)
    if not any((folder / name).is_file() for name in (".zgroup", "zarr.json")):
        raise damaged(path, "it has no .zgroup or zarr.json, so it is incomplete or no Zarr group")
    refuse_size(path, declared, stored)


def _raise(error: OSError) -> None:
    raise error


def _inside(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _refuse_description(file: Path, folder: Path, path: Path) -> int:
    """Refuse odd codecs and types; else the bytes that the array declares, with those of one chunk."""
    where = _inside(file, folder)
    if file.stat().st_size > _LONGEST_META:
        raise damaged(path, f"its {where} is longer than 64 MB")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if file.name == ".zarray":
            return _refuse_format_2(content, path, where)
        if file.name == "zarr.json" and content["node_type"] == "array":
            return _refuse_format_3(content, path, where)
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise damaged(path, f"its {where} is no description of Zarr") from error
    return 0


def _refuse_format_2(array: dict[str, Any], path: Path, where: str) -> int:
    codecs = [*(array["filters"] or []), *([array["compressor"]] if array["compressor"] else [])]
    names = [codec["id"] for codec in codecs]
    _refuse_codecs(names, path, where)
    if array["dtype"] == "|O" and names[:1] == ["vlen-utf8"]:
        size = 16
    elif isinstance(array["dtype"], str) and (match := _TYPE.fullmatch(array["dtype"])):
        size = int(match[1] or 4 * int(match[2] or 0) or 1)
    else:
        raise unsafe(path, where, f"of the type {str(array['dtype'])[:60]!r}")
    return size * (math.prod(array["shape"]) + math.prod(array["chunks"]))


def _refuse_format_3(array: dict[str, Any], path: Path, where: str) -> int:
    _refuse_codecs(_names_3(array["codecs"]), path, where)
    if array.get("storage_transformers"):
        raise unsafe(path, where, "stored through a transformer")
    kind = array["data_type"]
    if isinstance(kind, dict) and kind["name"] == "fixed_length_utf32":
        size = int(kind["configuration"]["length_bytes"])
    elif isinstance(kind, str) and (match := _TYPE_3.fullmatch(kind)):
        size = int(match[1] or 64) // 8
    else:
        raise unsafe(path, where, f"of the type {str(kind)[:60]!r}")
    chunk = array["chunk_grid"]["configuration"]["chunk_shape"]
    return size * (math.prod(array["shape"]) + math.prod(chunk))


def _names_3(codecs: Iterable[dict[str, Any]]) -> list[str]:
    names = []
    for codec in codecs:
        inner = codec.get("configuration", {})
        names += [codec["name"], *_names_3(inner.get("codecs", [])), *_names_3(inner.get("index_codecs", []))]
    return names


def _refuse_codecs(names: Iterable[Any], path: Path, where: str) -> None:
    for name in names:
        if name not in _CODECS:
            known = ", ".join(sorted(_CODECS))
            raise unsafe(path, where, f"packed with the codec {str(name)[:60]!r} (known: {known})")
