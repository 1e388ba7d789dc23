"""Files and folders that appear at their path complete, or not at all.

What is written goes to a temporary neighbour, is flushed to the disk, and takes the place of the old
version in one step. A process killed at any moment leaves the old or the new version, never a mixture.
"""

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["replace_file", "replacing_folder"]

_LEFTOVER_AFTER = 3600.0
"""Seconds without a write after which a temporary neighbour is taken for a killed process's."""


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step; `OSError` leaves what was there."""
    _sweep(path.parent)
    temporary = _neighbour(path)
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A fresh folder to fill; on leaving without an error it stands at `path` in place of the old one."""
    _sweep(path.parent)
    temporary = _neighbour(path)
    try:
        temporary.mkdir()
        yield temporary
        for folder, _, files in os.walk(temporary):
            for name in files:
                _flush(Path(folder, name))
            _flush(Path(folder))
        _swap(temporary, path)
        _flush(path.parent)
    except BaseException:
        _remove_for_good(temporary)
        raise
    else:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_for_good(folder: Path) -> None:
    """Remove a folder again and again: threads of a writer that failed may still write, and make it anew."""
    for pause in (0.05, 0.1, 0.2, 0.4, 0.8):
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(pause)
    shutil.rmtree(folder, ignore_errors=True)


def _swap(temporary: Path, path: Path) -> None:
    """Move the new folder to `path` and the old one, if any, to `temporary`."""
    try:
        os.rename(temporary, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    else:
        return
    if not _exchange(temporary, path):  # a system without the one-step exchange: a moment without a folder
        aside = _neighbour(path)
        os.rename(path, aside)
        try:
            os.rename(temporary, path)
        except OSError:
            os.rename(aside, path)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two paths in one step, where system and disk can (Linux and macOS)."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return library.renamex_np(os.fsencode(one), os.fsencode(other), 2) == 0
        here = -100  # AT_FDCWD; the last argument is RENAME_EXCHANGE
        return library.renameat2(here, os.fsencode(one), here, os.fsencode(other), 2) == 0
    except (OSError, TypeError, AttributeError):
        return False


def _neighbour(path: Path) -> Path:
    return path.with_name(f".bayescale-{secrets.token_hex(8)}.part")


def _flush(path: Path) -> None:
    """Force a file, or the names in a folder, onto the disk."""
    if path.is_dir() and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove what killed processes left here long ago."""
    for leftover in folder.glob(".bayescale-*.part"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.lstat().st_mtime < _LEFTOVER_AFTER:
                continue
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink()
