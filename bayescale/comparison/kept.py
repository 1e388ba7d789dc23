"""Finished refits in a folder, so that a backtest that was stopped goes on where it was."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from bayescale.comparison.refits import Job, Refit
from bayescale.comparison.splits import Split
from bayescale.errors import InputError
from bayescale.laws import Law
from bayescale.storage.replace import replace_file

__all__ = ["Kept", "keys_of", "open_kept"]

_FORMAT = 1
_LARGEST = 256 * 2**20  # bytes of one refit; no backtest comes near
_APART = ("progressbar",)  # options on which no answer hangs
_DEEPEST = 12  # of what a law's function calls and holds


@dataclass(frozen=True)
class Kept:
    """A folder of finished refits, one JSON file each, named by what it is an answer to."""

    folder: Path

    def get(self, key: str, split: Split) -> Refit | None:
        """The refit under that key, or None if there is none.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        path = self.folder / f"{key}.json"
        if not path.exists():
            return None
        if path.stat().st_size > _LARGEST:
            raise ValueError("it is too large to be a refit")
        stored = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(stored, dict) or stored.get("digest") != _digest(stored.get("refit")):
            raise ValueError("its content is not what was written")
        if stored.get("key") != key:
            raise ValueError("it is another refit's file")
        told = dict(stored["refit"])
        rows = {name: np.asarray(cells) for name, cells in told.pop("rows").items()}
        if any(len(cells) != int(split.test.sum()) for cells in rows.values()):
            raise ValueError("it has another number of rows")
        return Refit(rows=rows, findings=tuple(told.pop("findings")), **told)

    def put(self, key: str, refit: Refit) -> None:
        """Write a refit in one step: a process killed at any moment leaves it whole or not at all."""
        told = {f.name: getattr(refit, f.name) for f in fields(refit)}
        told |= {"rows": {k: v.tolist() for k, v in refit.rows.items()}, "findings": list(refit.findings)}
        stored = {"key": key, "digest": _digest(told), "refit": told}
        replace_file(self.folder / f"{key}.json", json.dumps(stored).encode())


def open_kept(folder: Any) -> Kept:
    """The folder, made if it is not there.

    Raises
    ------
    InputError
        If it cannot be one, or cannot be written to.
    """
    if not isinstance(folder, str | Path) or not str(folder):
        raise InputError(f"resume={folder!r} must be the path of a folder, such as 'done'.")
    path = Path(folder).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        replace_file(path / "README.txt", b"Finished refits of bayescale.backtest, for its resume=.\n")
    except OSError as error:
        raise InputError(
            f"resume={str(folder)!r} cannot be used as a folder for finished refits: "
            f"{error.strerror or error}. Name another."
        ) from error
    return Kept(path)


def keys_of(job: Job, splits: list[Split]) -> list[str]:
    """What names each refit: a hash of its rows, law, options and seed, and of the package's own code."""
    rows = _row_digests(job.table.frame)
    shared = _plain({"prob": job.prob, "law": _law(job.law), "package": _package()})
    found = []
    for split in splits:
        parts = {
            "format": _FORMAT,
            "shared": shared,
            "options": _plain({k: v for k, v in {**job.options, **split.options}.items() if k not in _APART}),
            "train": _digest([rows[i] for i in np.flatnonzero(split.train)]),
            "test": _digest([rows[i] for i in np.flatnonzero(split.test)]),
            "decades": None if split.decades is None else np.asarray(split.decades, dtype=float).tolist(),
        }
        found.append(_digest(parts)[:40])
    return found


@cache
def _package() -> str:
    """The code that makes a refit: an answer of other code is another answer."""
    home = Path(__file__).parents[1]
    told = hashlib.sha256(version("bayescale").encode())
    for path in sorted(home.rglob("*.py")):
        if path.relative_to(home).parts[0] not in ("cli", "plots"):
            told.update(path.read_bytes())
    return told.hexdigest()


def _row_digests(frame: Any) -> list[str]:
    names = [str(name) for name in frame.columns]
    columns = [frame[name].tolist() for name in frame.columns]
    return [
        _digest(dict(zip(names, (_plain(c) for c in cells), strict=True)))
        for cells in zip(*columns, strict=True)
    ]


def _law(law: Law) -> dict[str, Any]:
    return {
        "name": law.name,
        "inputs": list(law.inputs),
        "parameters": {k: _plain(kind) for k, kind in law.parameters.items()},
        "declared": _plain([law.declared_scaling, law.typical, law.stands_in]),
        "formula": _plain(law.formula),
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=repr).encode()).hexdigest()


def _plain(value: Any, depth: int = 0) -> Any:
    """What JSON can hold and two processes agree upon; what is unknown is told by its `repr`."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if depth > _DEEPEST:
        return getattr(value, "__qualname__", type(value).__qualname__)
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist(), depth + 1)
    if isinstance(value, Mapping):
        return {str(k): _plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, depth + 1) for v in value]
    if isinstance(value, FunctionType):
        return _function(value, depth + 1)
    if isinstance(value, CodeType):
        return [value.co_code.hex(), list(value.co_names), _plain(list(value.co_consts), depth + 1)]
    return _object(value, depth + 1)


def _object(value: Any, depth: int) -> Any:
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if is_dataclass(value) and not isinstance(value, type):
        held = {f.name: _plain(getattr(value, f.name), depth) for f in fields(value)}
    elif kind.__repr__ is not object.__repr__:
        return [name, repr(value)]
    else:
        held = {k: _plain(v, depth) for k, v in getattr(value, "__dict__", {}).items()}
    own = not kind.__module__.startswith("bayescale.")
    methods = [_plain(m, depth) for m in vars(kind).values() if isinstance(m, FunctionType)] if own else []
    return [name, held, methods]


def _function(function: FunctionType, depth: int) -> Any:
    """The code of a function and of what it calls; one of the package is told by its name."""
    name = f"{function.__module__}.{function.__qualname__}"
    if (function.__module__ or "").startswith("bayescale."):
        return name
    reads = {n: function.__globals__[n] for n in function.__code__.co_names if n in function.__globals__}
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return [
        name,
        _plain(function.__code__, depth),
        _plain([function.__defaults__, function.__kwdefaults__, cells], depth),
        {n: v.__name__ if isinstance(v, type(math)) else _plain(v, depth) for n, v in reads.items()},
    ]
