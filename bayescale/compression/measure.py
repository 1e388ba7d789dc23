"""Measuring files: raw units per token, with the error of sampling."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bayescale.compression.files import found, paths_of, refuse_unreadable
from bayescale.compression.media import READERS, Unreadable
from bayescale.compression.schema import MODALITIES, RAW_UNITS
from bayescale.compression.table import MeasurementTable, table_of
from bayescale.compression.tokenizers import DEFAULTS, Tokenizer, tokenizers_of
from bayescale.errors import BayescaleWarning, InputError, did_you_mean
from bayescale.runs.findings import Finding, listed

__all__ = ["check_modality", "measure_compression", "ratio_error", "shown"]

_RESAMPLES = 1000
_FILES = 8  # from which whole files are resampled: blocks of one file are alike
_MOST = 4000  # resampled parts; neighbours are added up beyond
_UNKNOWN = 0.01  # share of unknown tokens from which a factor means little


@dataclass
class _Tally:
    """What was counted of one material by one tokenizer: parts in order, and where each file begins."""

    raw: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    file_bytes: int = 0
    unknown: int = 0


def measure_compression(
    paths: Any,
    tokenizer: Any = None,
    *,
    modality: str | None = None,
    raw_unit: Literal["bytes", "characters", "seconds", "pixels"] = "bytes",
    material: str | None = None,
    source: str = "measured",
    random_seed: int = 0,
    progressbar: bool = True,
) -> MeasurementTable:
    """Raw units per token of tokenizers on files, each path a material of its own.

    Raw size is that of the plain signal, not of the file: UTF-8 bytes of text; 16-bit PCM of sound at the
    file's own rate and channels; 8-bit RGB of every pixel of an image, and of every frame of a video. Text
    is cut at line ends into blocks of about 4,096 characters, without special tokens; images, sounds and
    videos are decoded to the end, so that a damaged one is noticed.

    Parameters
    ----------
    paths : path or sequence of paths
        Files, or folders that are walked; in these, suffixes say what a file holds and others are passed
        over.
    tokenizer : str, path, object, function, sequence or mapping of these, optional
        For text: the path of a Hugging Face ``tokenizer.json``, an encoding of tiktoken that is in its
        cache, ``bytes``, ``characters``, an object of either package, or a function of a text that returns
        its tokens. For images ``patch16-224`` and the like, for video ``tubelet2x16-224@16f``, for sound
        ``75hzx8``, or a name such as ``mimi`` (see `bayescale.compression.grids.NAMED`). A mapping gives
        them names. By default one simple tokenizer for each modality found.
    modality : {"text", "audio", "image", "video"}, optional
        Measure these files only; needed for a file whose suffix does not tell.
    raw_unit : {"bytes", "characters", "seconds", "pixels"}
        Of the raw side.
    material : str, optional
        Name of what the files are, all paths then counted as one; by default each path's own name.
    source : str, default "measured"
    random_seed : int
        Of the bootstrap.
    progressbar : bool

    Returns
    -------
    MeasurementTable
        A row for each tokenizer and material. ``se_log`` is by bootstrap of whole files, or of blocks
        where there are fewer than 8 files; 0 where there is only one to resample. Further columns:
        ``file_bytes`` on disk, ``files``, ``parts`` resampled, and ``unknown_fraction`` of tokens.

    Raises
    ------
    InputError
        If a file cannot be decoded (all such are named and nothing is measured), a material is empty, a
        tokenizer is not known or meets no file of its modality, or a package is missing. Empty text files
        among others add nothing and are passed over.

    Warns
    -----
    BayescaleWarning
        If a tokenizer could not write more than 1 % of a material.
    """
    check_modality(modality)
    if raw_unit not in RAW_UNITS:
        raise InputError(f"raw_unit is {raw_unit!r}, but must be one of {', '.join(RAW_UNITS)}.")
    given = [] if tokenizer is None else tokenizers_of(tokenizer)
    wanted = {t.modality for t in given}
    assumed = wanted.pop() if len(wanted) == 1 else None
    materials = _materials(paths_of(paths), modality, assumed, material)
    chosen = _chosen(given, sorted({kind for files in materials.values() for kind in files}), raw_unit)
    tallies, faults, n_files = {}, [], sum(len(f) for kinds in materials.values() for f in kinds.values())
    work = [
        (name, kind, path)
        for name, kinds in materials.items()
        for kind, files in kinds.items()
        for path in (files if kind in chosen else ())
    ]
    for name, kind, path in shown(work, "measuring", progressbar):
        try:
            _count(
                path,
                kind,
                raw_unit,
                {t: tallies.setdefault((name, t.name, kind), _Tally()) for t in chosen[kind]},
            )
        except (Unreadable, OSError) as error:
            faults.append((path, getattr(error, "strerror", None) or str(error)))
    refuse_unreadable(faults, n_files)
    empty = [name for (name, _, _), tally in tallies.items() if not tally.raw]
    if empty:
        raise InputError(f"{empty[0]!r} is empty: a raw size of zero has no factor. Name other files.")
    rows = [_row(key, tally, raw_unit, source, random_seed) for key, tally in tallies.items()]
    table = table_of({name: [row[name] for row in rows] for name in rows[0]}, findings=_notes(rows))
    told = [f.message for f in table.findings if f.severity == "warning"]
    if told:
        warnings.warn(listed("factors may mislead.", told), BayescaleWarning, stacklevel=2)
    return table


def check_modality(modality: str | None) -> None:
    """Refuse a modality that is not known."""
    if modality is not None and modality not in MODALITIES:
        hint = did_you_mean(str(modality).lower(), MODALITIES, cutoff=0.5)
        raise InputError(f"modality is {modality!r}, but must be one of {', '.join(MODALITIES)}.{hint}")


def shown[T](work: Sequence[T], what: str, progressbar: bool) -> Iterable[T]:
    """The items, with a bar on standard error while they are worked on."""
    if not progressbar or len(work) < 2:
        return work
    from rich.console import Console
    from rich.progress import track

    return track(work, what, console=Console(stderr=True), transient=True)


def _materials(
    paths: list[Path], modality: str | None, assumed: str | None, material: str | None
) -> dict[str, dict[str, list[Path]]]:
    """Files by material and modality."""
    names = [material or path.resolve().stem for path in paths]
    if material is None and len(set(names)) < len(names):
        names = [str(path) for path in paths]
    materials: dict[str, dict[str, list[Path]]] = {}
    for name, path in zip(names, paths, strict=True):
        for kind, files in found(path, modality, assumed).items():
            mine = materials.setdefault(name, {}).setdefault(kind, [])
            twice = {f.resolve() for f in mine} & {f.resolve() for f in files}
            if twice:
                raise InputError(f"{min(twice)} is given twice and would count twice. Name it once.")
            mine += files
    return materials


def _chosen(given: list[Tokenizer], kinds: list[str], raw_unit: str) -> dict[str, list[Tokenizer]]:
    """Tokenizers by modality, those without files refused."""
    for each in given:
        if each.modality not in kinds:
            raise InputError(
                f"the tokenizer {each.name!r} is for {each.modality}, but the files are "
                f"{' and '.join(kinds)}. Name files of {each.modality}, or a tokenizer for {kinds[0]}, such "
                f"as {DEFAULTS[kinds[0]]!r}."
            )
    tokenizers = given or tokenizers_of([DEFAULTS[kind] for kind in kinds])
    chosen: dict[str, list[Tokenizer]] = {}
    for each in tokenizers:
        chosen.setdefault(each.modality, []).append(each)
    for kind in chosen:
        if kind not in RAW_UNITS[raw_unit]:
            allowed = ", ".join(u for u, of in RAW_UNITS.items() if kind in of)
            raise InputError(
                f"{kind} cannot be counted in {raw_unit} (allowed: {allowed}). Measure it by itself: "
                f"modality={kind!r}."
            )
    return chosen


def _count(path: Path, kind: str, raw_unit: str, tallies: dict[Tokenizer, _Tally]) -> None:
    for tally in tallies.values():
        tally.file_bytes += path.stat().st_size
    for number, piece in enumerate(READERS[kind](path)):
        if raw_unit not in piece.sizes:
            raise Unreadable(f"does not say its size in {raw_unit}")
        if number == 0:
            for tally in tallies.values():
                tally.starts.append(len(tally.raw))
        for each, tally in tallies.items():
            tally.raw.append(piece.sizes[raw_unit])
            tally.tokens.append(each.count(piece.text) if kind == "text" else each.count(**piece.shape))
            tally.unknown += each.unknown(piece.text) if each.unknown else 0


def _row(
    key: tuple[str, str, str], tally: _Tally, raw_unit: str, source: str, random_seed: int
) -> dict[str, Any]:
    material, name, kind = key
    raw, tokens = np.array(tally.raw, dtype=float), np.array(tally.tokens, dtype=float)
    if len(tally.starts) >= _FILES:
        raw, tokens = (np.add.reduceat(v, tally.starts) for v in (raw, tokens))
    return {
        "modality": kind,
        "tokenizer": name,
        "material": material,
        "raw_unit": raw_unit,
        "raw": raw.sum(),
        "tokens": tokens.sum(),
        "se_log": ratio_error(raw, tokens, random_seed),
        "source": source,
        "file_bytes": float(tally.file_bytes),
        "files": float(len(tally.starts)),
        "parts": float(len(raw)),
        "unknown_fraction": tally.unknown / tokens.sum() if tokens.sum() else 0.0,
    }


def ratio_error(above: np.ndarray, below: np.ndarray, random_seed: int) -> float:
    """Standard error of log(sum above / sum below) by bootstrap of the parts; 0 for a single one.

    Parts follow one another; above 4,000 neighbours are added up, so that blocks only get longer.
    """
    if len(above) > _MOST:
        edges = np.linspace(0, len(above), _MOST + 1).astype(int)[:-1]
        above, below = np.add.reduceat(above, edges), np.add.reduceat(below, edges)
    n = len(above)
    if n < 2:
        return 0.0
    rng = np.random.default_rng(random_seed)
    times = rng.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES).astype(float)
    logs = np.log(times @ above) - np.log(times @ below)
    return float(np.std(logs) * np.sqrt(n / (n - 1)))


def _notes(rows: list[dict[str, Any]]) -> list[Finding]:
    found = []
    single = [f"{row['tokenizer']} on {row['material']}" for row in rows if row["parts"] < 2]
    if single:
        found.append(
            Finding(
                "no-sampling-error",
                "note",
                f"one part alone was measured, so its sampling error is not known (se_log 0): "
                f"{', '.join(single[:5])}{' …' if len(single) > 5 else ''}. More files tell it.",
            )
        )
    for row in rows:
        if row["unknown_fraction"] > _UNKNOWN:
            found.append(
                Finding(
                    "unknown-tokens",
                    "warning",
                    f"{row['unknown_fraction']:.1%} of the tokens of {row['tokenizer']!r} on "
                    f"{row['material']!r} are unknown, each of which may hide a word of any length: the "
                    "factor means little. Use a tokenizer that can write this material.",
                )
            )
    return found
