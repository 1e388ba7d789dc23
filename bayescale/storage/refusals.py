"""What is said when a path, a file or a tree is refused."""

import errno
from collections.abc import Iterable
from pathlib import Path

from bayescale.errors import InputError

__all__ = ["LARGEST", "damaged", "refuse_size", "unsafe", "unwritable"]

GIB = 2**30
LARGEST = 8 * GIB
"""Bytes that the arrays of one study may hold once unpacked."""

_MOST_PACKED = 2000
"""How many times smaller than its arrays a file may be; zlib packs zeros about 1030-fold."""

_ALWAYS_FINE = GIB // 4
"""Declared bytes below which the packing is not questioned."""


def damaged(path: Path, detail: object) -> InputError:
    """The error for content that cannot be what was saved."""
    return InputError(
        f"{path} is damaged (truncated or corrupt), nothing of it was used: {brief(detail)}. "
        "Take it from a backup or copy it again from where it was made; failing that, fit again and save."
    )


def unsafe(path: Path, where: str, what: str) -> InputError:
    """The error for a construct that no study needs and that reaches outside the file or runs code."""
    return InputError(
        f"{path} is refused as unsafe: {where!r} is {what}, which is not allowed in a bayescale study. "
        "Open only files written by bayescale.save; ask whoever made this one for such a file."
    )


def unwritable(path: Path, error: OSError) -> InputError:
    """The error for a save that the system refused; the old file, if any, is as it was."""
    reasons = {
        errno.ENOSPC: "the disk is full. Free some space or save on another disk",
        errno.EDQUOT: "the disk quota is used up. Free some space or save on another disk",
        errno.EFBIG: "the file would be larger than the system allows. Save elsewhere",
        errno.ENOENT: f"the folder {path.parent} does not exist. Make it first",
        errno.ENOTDIR: f"{path.parent} is not a folder. Name a path inside a folder",
        errno.EACCES: f"the folder {path.parent} is not writable for you. Save elsewhere",
        errno.EPERM: f"the folder {path.parent} is not writable for you. Save elsewhere",
        errno.EROFS: f"the disk of {path.parent} is read-only. Save elsewhere",
        errno.ELOOP: "its symbolic links form a loop. Name the file itself",
        errno.ENAMETOOLONG: "the name is too long. Choose a shorter one",
    }
    reason = reasons.get(error.errno or 0, f"{brief(error)}. Save elsewhere")
    return InputError(f"cannot save to {path}: {reason}. Nothing was changed there.")


def refuse_size(path: Path, declared: int, stored: int) -> None:
    """Refuse arrays larger than a study may be, or than so small a file can hold."""
    if declared > LARGEST:
        raise InputError(
            f"{path} declares {declared / GIB:.1f} GB of numbers; the limit of a study is "
            f"{LARGEST / GIB:.0f} GB. If it is genuine, write it again without its largest group "
            "(the pointwise log_likelihood, as a rule)."
        )
    if declared > max(_ALWAYS_FINE, _MOST_PACKED * stored):
        raise damaged(
            path, f"it declares {declared / GIB:.1f} GB of numbers but holds only {stored:,} bytes of them"
        )


def brief(detail: object, longest: int = 300) -> str:
    """One line of a detail or of another library's error."""
    text = " ".join(str(detail).split()).rstrip(".") or type(detail).__name__
    return text if len(text) <= longest else text[: longest - 1] + "…"


def listed(names: Iterable[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + rest
