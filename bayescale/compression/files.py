"""The files below a path, by modality."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bayescale.compression.schema import MODALITIES
from bayescale.errors import InputError

__all__ = ["SUFFIXES", "found", "paths_of", "refuse_unreadable"]

SUFFIXES: dict[str, tuple[str, ...]] = {
    "text": (
        *(".txt", ".md", ".rst", ".tex", ".html", ".htm", ".xml", ".json", ".jsonl", ".csv", ".tsv"),
        *(".py", ".r", ".jl", ".rs", ".go", ".c", ".h", ".cc", ".cpp", ".hpp", ".java", ".js", ".ts"),
        *(".css", ".sh", ".sql", ".toml", ".yaml", ".yml", ".cfg", ".ini", ".log", ".srt", ".vtt", ".po"),
    ),
    "image": (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"),
    "audio": (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"),
    "video": (".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".ogv", ".gif"),
}
"""What a file's name says it holds. A file named by itself may have any suffix if `modality` is given."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:/")


def paths_of(paths: Any) -> list[Path]:
    """The paths given: one, or several.

    Raises
    ------
    InputError
        If there is none, one is a URL, or one is not there.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    if not isinstance(given, Iterable) or not (given := list(given)):
        raise InputError("no path was given: name files or folders, such as measure_compression('corpus/').")
    found = []
    for path in given:
        if not isinstance(path, str | os.PathLike):
            raise InputError(f"a path was expected, such as 'corpus/'; got {type(path).__name__}.")
        text = os.fspath(path)
        if _URL.match(str(text)):
            raise InputError(
                f"{str(text)[:200]!r} is a URL, and bayescale connects to nothing. Download it and give its "
                "local path."
            )
        found.append(Path(text).expanduser())
    absent = [str(path) for path in found if not path.exists()]
    if absent:
        raise InputError(f"there is no file or folder {', '.join(absent[:5])}. Check the path.")
    return found


def found(path: Path, modality: str | None, assumed: str | None = None) -> dict[str, list[Path]]:
    """Files at or below a path, by modality, in the order of their names.

    Folders are walked without following links out of them; names that start with a dot are passed over.
    A single file is taken whatever its suffix if `modality` says what it holds; `assumed` says it for those
    whose suffix does not, and in folders.

    Raises
    ------
    InputError
        If nothing there can be measured.
    """
    if not path.is_dir():
        if not path.is_file():
            raise InputError(f"{path} is neither a regular file nor a folder. Name files or folders.")
        kind = modality or _kind(path) or assumed
        if kind is None:
            raise InputError(
                f"what {path} holds cannot be told from its suffix {path.suffix[:20]!r}. Say it: "
                f"modality='text' (or {', '.join(MODALITIES[1:])})."
            )
        return {kind: [path]}
    modality = modality or assumed
    below: dict[str, list[Path]] = {}
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            kind = _kind(Path(name))
            wanted = kind is not None and not name.startswith(".") and modality in (None, kind)
            if kind and wanted and (Path(folder) / name).is_file():
                below.setdefault(kind, []).append(Path(folder) / name)
    if not below:
        wanted = SUFFIXES[modality] if modality else [s for kinds in SUFFIXES.values() for s in kinds[:3]]
        raise InputError(
            f"no file below {path} can be measured: none ends in {', '.join(wanted[:12])} or the like. Name "
            "the files themselves and give modality=..."
        )
    return {kind: below[kind] for kind in MODALITIES if kind in below}


def _kind(path: Path) -> str | None:
    return next((kind for kind, ends in SUFFIXES.items() if path.suffix.lower() in ends), None)


def refuse_unreadable(faults: list[tuple[Path, str]], files: int) -> None:
    """One error that names every file which could not be read, and why; nothing if there is none."""
    if not faults:
        return
    told = "\n".join(f"- {path}: {why}" for path, why in faults[:12])
    more = f"\n… and {len(faults) - 12} more" if len(faults) > 12 else ""
    raise InputError(
        f"{len(faults)} of {files} files cannot be measured, so nothing was (the rest would be another "
        f"material):\n{told}{more}\nMend or move them, or name the others."
    )
