"""Save a fitted study to one path and open it again."""

import errno
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescale.errors import InputError
from bayescale.storage.chains import refuse_ragged
from bayescale.storage.content import Groups, groups_of, item_path, tree_of
from bayescale.storage.direct import read_sealed
from bayescale.storage.netcdf import from_netcdf, read_netcdf, to_netcdf
from bayescale.storage.refusals import GIB, LARGEST, brief, damaged, unwritable
from bayescale.storage.replace import replace_file, replacing_folder
from bayescale.storage.seal import refuse_header, sealed, unsealed
from bayescale.storage.zarr_folder import from_zarr, is_zarr, needs_zarr, to_zarr

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["open_study", "save"]

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/|.*::")
_TRIES = 5
"""Readings of a folder that another process keeps replacing."""


def save(posterior: "xr.DataTree", path: str | os.PathLike[str], *, overwrite: bool = True) -> Path:
    """Write a fitted study, complete or not at all.

    The study goes to a temporary neighbour of `path`, is read back and compared, flushed to the disk,
    and then takes the place of what was there in one step. Floats keep every bit.

    Parameters
    ----------
    posterior : DataTree
        A fitted study, as returned by `fit`.
    path : path
        ``*.nc`` for one netCDF-4 file, ``*.zarr`` for a Zarr folder (needs the package zarr).
    overwrite : bool, default True
        Whether a study already at `path` may be replaced.

    Returns
    -------
    Path
        Where it stands.

    Raises
    ------
    InputError
        If `posterior` is no study or cannot be stored exactly, or `path` cannot be written. What was at
        `path` before is still there.
    """
    given, target = _local(path)
    groups = sealed(_checked(posterior, given))
    try:
        _refuse_target(given, target, overwrite)
        if _is_folder(given):
            _save_folder(groups, given, target)
        else:
            replace_file(target, _packed(groups, given))
    except OSError as error:
        raise unwritable(given, error) from error
    return given


def open_study(path: str | os.PathLike[str]) -> "xr.DataTree":
    """Read a saved study into memory; no file stays open.

    Parameters
    ----------
    path : path
        A ``*.nc`` file or ``*.zarr`` folder written by `save`, on this machine.

    Returns
    -------
    DataTree
        The study as it was saved, groups and variables in the same order.

    Raises
    ------
    InputError
        If there is no such file, it is no study, is damaged, needs a later version of this package, or
        holds anything that reaches outside it. It is inspected before any of it is used.

    Warns
    -----
    BayescaleWarning
        If another program wrote the file, so that it has no checksums.
    """
    given, target = _local(path)
    for _ in range(_TRIES):
        version = _version(given, target)
        try:
            return tree_of(_read(given, target))
        except InputError:
            if _version(given, target) == version:
                raise
        except OSError as error:
            if _version(given, target) == version:
                raise InputError(f"cannot read {given}: {brief(error)}. Check its permissions.") from error
        except MemoryError as error:
            raise InputError(f"{given} does not fit into memory. Open it on a larger machine.") from error
    raise InputError(f"{given} was replaced {_TRIES} times while it was being read. Try again.")


def _local(path: Any) -> tuple[Path, Path]:
    """The path as given, and where it leads once links are followed."""
    try:
        text = os.fspath(path)
    except TypeError as error:
        raise InputError(f"a path was expected, such as 'study.nc'; got {type(path).__name__}.") from error
    if not isinstance(text, str) or "\0" in text:
        raise InputError(f"a path is text without null characters, such as 'study.nc'; got {text!r:.200}.")
    if _ADDRESS.match(text):
        raise InputError(
            f"{text[:300]!r} looks like a URL; studies are read and written by local path only, and no "
            "connection was made. Download the file first and name it here."
        )
    given = Path(os.path.expanduser(text))
    if given.suffix.lower() not in (".nc", ".zarr"):
        raise InputError(
            f"{text[:300]!r} ends in {given.suffix[:20]!r}; a study ends in .nc (one netCDF file) or "
            ".zarr (a folder). Name it so."
        )
    return given, Path(os.path.realpath(given))


def _is_folder(given: Path) -> bool:
    return given.suffix.lower() == ".zarr"


def _checked(posterior: Any, given: Path) -> Groups:
    import xarray as xr

    if not isinstance(posterior, xr.DataTree):
        raise InputError(
            "save takes the DataTree that bayescale.fit returned, then a path; "
            f"got {type(posterior).__name__}."
        )
    groups = groups_of(posterior)
    try:
        refuse_header(groups["/"].attrs, given)
    except InputError as error:
        raise InputError(f"this tree cannot be saved as a study: {error}") from error
    refuse_ragged(groups, given)
    sizes = {item_path(p, n): v.nbytes for p, group in groups.items() for n, v in group.variables.items()}
    if sum(sizes.values()) > LARGEST:
        largest = max(sizes, key=lambda name: sizes[name])
        raise InputError(
            f"the study holds {sum(sizes.values()) / GIB:.1f} GB, the limit of a file is "
            f"{LARGEST / GIB:.0f} GB; the largest part is {largest!r}. "
            f"Leave its group out: del posterior[{largest.split('/')[1]!r}]."
        )
    return groups


def _refuse_target(given: Path, target: Path, overwrite: bool) -> None:
    """Refuse a path on which something else stands."""
    if not target.parent.is_dir():
        target.parent.stat()
        raise NotADirectoryError(errno.ENOTDIR, "not a folder")
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    if not overwrite:
        raise InputError(f"{given} exists already and overwrite=False. Choose another name.")
    if _is_folder(given):
        if not stat.S_ISDIR(mode) or not is_zarr(target):
            raise InputError(f"{given} is there already and is no Zarr group. Choose another name.")
    elif not stat.S_ISREG(mode):
        raise InputError(f"{given} is there already and is no regular file. Choose another name.")


def _packed(groups: Groups, given: Path) -> bytes:
    """The netCDF content, proved to give back what went in."""
    try:
        content = to_netcdf(groups)
        if read_sealed(content, given) is None:
            unsealed(from_netcdf(content, given), given)
    except Exception as error:
        raise _unfaithful(given, error) from error
    return content


def _save_folder(groups: Groups, given: Path, target: Path) -> None:
    with replacing_folder(target) as folder:
        try:
            to_zarr(groups, folder)
            unsealed(from_zarr(folder, given), given)
        except OSError:
            raise
        except ImportError as error:
            raise needs_zarr(given) from error
        except Exception as error:
            raise _unfaithful(given, error) from error


def _unfaithful(given: Path, error: Exception) -> InputError:
    return InputError(
        f"the study cannot be written to {given} so that it comes back the same ({brief(error)}). Rename "
        "variables, dims or attributes that netCDF gives a meaning of its own ('_FillValue', 'scale_factor', "
        "names with spaces among coordinates), then save again. Nothing was changed at that path."
    )


def _read(given: Path, target: Path) -> Groups:
    if _is_folder(given):
        groups = from_zarr(target, given)
    else:
        content = read_netcdf(target)
        proved = read_sealed(content, given)
        if proved is not None:
            refuse_header(proved["/"].attrs, given)
            refuse_ragged(proved, given)
            return proved
        groups = from_netcdf(content, given)
    refuse_header(groups["/"].attrs, given)
    try:
        groups = unsealed(groups, given)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise damaged(given, error) from error
    refuse_ragged(groups, given)
    return groups


def _version(given: Path, target: Path) -> tuple[int, int, int]:
    """What tells one version of the file from the next; refuses what is not there or of the wrong kind."""
    try:
        status = os.stat(target)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise InputError(f"there is no {given} (looked for {target}). Check the name.") from error
        raise InputError(
            f"cannot read {given}: {brief(error)}. Check that its symbolic links form no loop and that you "
            "may read it."
        ) from error
    wanted, kind = (stat.S_ISDIR, "folder") if _is_folder(given) else (stat.S_ISREG, "file")
    if not wanted(status.st_mode):
        other = "folder" if stat.S_ISDIR(status.st_mode) else "something else"
        raise InputError(
            f"{given} should be a {kind} but is {'a ' if other == 'folder' else ''}{other}. "
            "A netCDF study is one file ending in .nc, a Zarr study a folder ending in .zarr."
        )
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns
