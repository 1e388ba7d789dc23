"""Tokenizers by name, file, object or function, brought to one shape."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from bayescale.compression.grids import FORMS, NAMED, FrameCodec, PatchGrid, Tubelet, grid_of
from bayescale.errors import InputError

__all__ = ["DEFAULTS", "Tokenizer", "needs", "tokenizers_of"]

DEFAULTS = {
    "text": "characters",
    "audio": "encodec-24khz-6kbps",
    "image": "vit-b16-224",
    "video": "videomae-b",
}
"""What each modality is measured with if nothing is said."""

_TIKTOKEN = ("gpt2", "r50k_base", "p50k_base", "p50k_edit", "cl100k_base", "o200k_base", "o200k_harmony")


@dataclass(frozen=True)
class Tokenizer:
    """What turns material into tokens.

    Attributes
    ----------
    name : str
    modality : str
    count : function
        Tokens of a text; or of what a grid asks for, as keywords.
    unknown : function, optional
        How many tokens of a text stand for what it cannot write.
    """

    name: str
    modality: str
    count: Callable[..., int]
    unknown: Callable[[str], int] | None = None


def tokenizers_of(given: Any) -> list[Tokenizer]:
    """Tokenizers from whatever was given: one, several, or a mapping of names to them.

    Raises
    ------
    InputError
        If one is not known, cannot be read or needs a package that is not there, or two share a name.
    """
    if isinstance(given, Mapping):
        found = [_tokenizer(each, str(name)) for name, each in given.items()]
    elif isinstance(given, list | tuple | set | frozenset):
        found = [_tokenizer(each) for each in given]
    else:
        found = [_tokenizer(given)]
    if not found:
        raise InputError("no tokenizer was given: leave the argument out, or name one.")
    names = [(t.modality, t.name) for t in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"two tokenizers are called {name[1]!r}; name them apart: tokenizer={{'a': ..., 'b': ...}}."
            )
    return found


def _tokenizer(given: Any, name: str = "") -> Tokenizer:
    if isinstance(given, PatchGrid | Tubelet | FrameCodec):
        modality = {PatchGrid: "image", Tubelet: "video", FrameCodec: "audio"}[type(given)]
        return Tokenizer(name or str(given), modality, given.count)
    if isinstance(given, Path):
        return _from_file(given, name or given.stem)
    if isinstance(given, str):
        return _from_name(given, name)
    kind = f"{type(given).__module__}.{type(given).__name__}"
    if hasattr(given, "encode_ordinary"):
        return _tiktoken(given, name or str(getattr(given, "name", "tiktoken")))
    if kind.startswith("tokenizers.") and hasattr(given, "encode"):
        return _hugging_face(given, name or "tokenizer")
    if callable(given):
        return Tokenizer(name or getattr(given, "__name__", "function"), "text", _counted(given, name))
    raise InputError(
        f"a tokenizer is a name, the path of a tokenizer.json, an object of the packages tokenizers or "
        f"tiktoken, a PatchGrid, Tubelet or FrameCodec, or a function of a text; got {kind}."
    )


def _from_name(text: str, name: str) -> Tokenizer:
    builtin: dict[str, Callable[[str], int]] = {
        "bytes": lambda text: len(text.encode("utf-8")),
        "characters": len,
    }
    if text in builtin:
        return Tokenizer(name or text, "text", builtin[text])
    grid = grid_of(text)
    if grid:
        return Tokenizer(name or text, grid[0], grid[1].count)
    path = Path(text).expanduser()
    if path.is_dir() and (path / "tokenizer.json").is_file():
        return _from_file(path / "tokenizer.json", name or path.name)
    if path.suffix.lower() == ".json" or path.is_file():
        stem = path.parent.name if path.stem == "tokenizer" and path.parent.name else path.stem
        return _from_file(path, name or stem)
    if text in _TIKTOKEN:
        return _tiktoken(_offline(text), name or text)
    raise InputError(_unknown(text))


def _unknown(text: str) -> str:
    known = ["bytes", "characters", *_TIKTOKEN, *NAMED]
    near = get_close_matches(text.lower(), known, n=2, cutoff=0.6)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    if text.count("/") == 1 and not near:
        hint = (
            " If it is a model on a hub: nothing is downloaded here. Fetch its tokenizer.json yourself and "
            "name that file."
        )
    return (
        f"there is no tokenizer {text[:100]!r}, and no such file.{hint} Known: the path of a tokenizer.json; "
        f"bytes, characters; {', '.join(_TIKTOKEN)} (package tiktoken); {', '.join(NAMED)}; or a form: "
        f"{FORMS}."
    )


def needs(package: str, what: str) -> ModuleType:
    """The package, or an error that says how to get it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = {"PIL": "pillow"}.get(package, package)
        raise InputError(
            f"{what} needs the package {name}, which is not installed. Install what measuring needs: "
            "pip install 'bayescale[measure]'."
        ) from error


def _from_file(path: Path, name: str) -> Tokenizer:
    library = needs("tokenizers", f"reading {path}")
    if not path.is_file():
        raise InputError(f"there is no tokenizer file {path}. Check the path.")
    try:
        found = library.Tokenizer.from_file(str(path))
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as a tokenizer.json of the package tokenizers: {str(error)[:200]}. "
            "Vocabulary files of other kinds are converted by transformers: "
            "AutoTokenizer.from_pretrained(folder).save_pretrained(other)."
        ) from error
    return _hugging_face(found, name)


def _hugging_face(found: Any, name: str) -> Tokenizer:
    """Without padding, cut and special tokens, which are no part of the material."""
    found = type(found).from_str(found.to_str())
    found.no_padding()
    found.no_truncation()
    encode = getattr(found, "encode_batch_fast", found.encode_batch)

    def ids(text: str) -> list[int]:
        return encode([text], add_special_tokens=False)[0].ids

    token = getattr(found.model, "unk_token", None)
    unknown = found.token_to_id(token) if isinstance(token, str) else None
    marked = None if unknown is None else (lambda text: ids(text).count(unknown))
    return Tokenizer(name, "text", lambda text: len(ids(text)), marked)


def _tiktoken(found: Any, name: str) -> Tokenizer:
    return Tokenizer(name, "text", lambda text: len(found.encode_ordinary(text)))


def _offline(name: str) -> Any:
    """An encoding of tiktoken from its cache; the package would fetch a missing one, which is refused."""
    library = needs("tiktoken", f"the tokenizer {name!r}")
    loader: Any = importlib.import_module("tiktoken.load")
    fetch = loader.read_file

    def refuse(place: str) -> bytes:
        if "://" not in place:
            return fetch(place)
        raise InputError(
            f"the vocabulary of {name!r} is not in the cache of tiktoken, and nothing is downloaded here. "
            f"Run once, with a connection: python -c \"import tiktoken; tiktoken.get_encoding('{name}')\"."
        )

    loader.read_file = refuse
    try:
        return library.get_encoding(name)
    finally:
        loader.read_file = fetch


def _counted(function: Callable[[str], Any], name: str) -> Callable[[str], int]:
    """A function of a text that returns its tokens, or how many there are."""

    def count(text: str) -> int:
        tokens: Any = function(text)
        if type(tokens) is int:
            return tokens
        try:
            return len(tokens)
        except TypeError as error:
            raise InputError(
                f"the function {name or getattr(function, '__name__', '')!r} returned {tokens!r:.60}; a "
                "tokenizer returns the tokens of a text, or their number."
            ) from error

    return count
