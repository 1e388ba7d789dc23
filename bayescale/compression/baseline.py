"""What standard compressors make of the same material: bits per byte of the plain signal."""

import io
import lzma
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.compression.files import found, paths_of, refuse_unreadable
from bayescale.compression.measure import check_modality, ratio_error, shown
from bayescale.compression.media import Unreadable, clips, picture, sound
from bayescale.compression.schema import MODALITIES
from bayescale.compression.tokenizers import needs
from bayescale.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COMPRESSORS", "Compressor", "codec_baseline"]

_ZSTD_LEVEL = 19
_XZ_LEVEL = 6


@dataclass(frozen=True)
class Compressor:
    """A lossless compressor.

    Attributes
    ----------
    setting : str
        Effort, as the compressor calls it.
    modalities : tuple of str
    size : function
        Bytes that a decoded file becomes; it takes what `_decoded` gives.
    """

    setting: str
    modalities: tuple[str, ...]
    size: Callable[[Any], int]


def codec_baseline(
    paths: Any,
    codecs: str | Iterable[str] | None = None,
    *,
    modality: str | None = None,
    material: str | None = None,
    random_seed: int = 0,
    progressbar: bool = True,
) -> "pd.DataFrame":
    """Bits per byte of files under standard lossless compressors.

    The yardstick for the claim that models which compress better perform better: what compression costs
    nothing to learn. The raw side is the plain signal, as in `measure_compression`; each file is packed by
    itself, headers included.

    Parameters
    ----------
    paths : path or sequence of paths
        Files, or folders that are walked; each path is a material.
    codecs : str or sequence of str, optional
        Of zstd, xz (all modalities), png, webp (images), flac (sound), ffv1 (video); by default all that
        suit.
    modality : {"text", "audio", "image", "video"}, optional
        These files only.
    material : str, optional
        Name of what the files are, all paths then counted as one.
    random_seed : int
        Of the bootstrap over files.
    progressbar : bool

    Returns
    -------
    DataFrame
        ``modality``, ``material``, ``codec``, ``setting``, ``raw_bytes``, ``packed_bytes``,
        ``file_bytes`` on disk, ``bits_per_byte``, ``se`` (of bits per byte; NaN for a single file),
        ``files``.

    Raises
    ------
    InputError
        If a file cannot be decoded (all such are named), a material is empty, a codec is not known, or a
        package is missing.
    """
    import pandas as pd

    check_modality(modality)
    names = _names(codecs)
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in paths_of(paths):
        for kind, files in found(path, modality).items():
            groups.setdefault((kind, material or path.resolve().stem), []).extend(files)
    useful = {kind: [n for n in names if kind in COMPRESSORS[n].modalities] for kind, _ in groups}
    if not any(useful.values()):
        kind = next(iter(useful))
        suited = ", ".join(name for name, codec in COMPRESSORS.items() if kind in codec.modalities)
        raise InputError(f"{', '.join(names)} packs no {' or '.join(useful)}. For {kind}: {suited}.")
    sizes: dict[tuple[str, str, str], list[tuple[int, int, int]]] = {}
    faults: list[tuple[Path, str]] = []
    work = [(key, path) for key, files in groups.items() for path in files if useful[key[0]]]
    for (kind, name), path in shown(work, "packing", progressbar):
        try:
            raw, packed = _packed(path, kind, useful[kind])
        except (Unreadable, OSError) as error:
            faults.append((path, getattr(error, "strerror", None) or str(error)))
            continue
        if not raw:
            continue  # an empty text adds nothing
        for codec, size in packed.items():
            sizes.setdefault((kind, name, codec), []).append((raw, size, path.stat().st_size))
    refuse_unreadable(faults, len(work))
    empty = [name for (kind, name) in groups if useful[kind] and (kind, name, useful[kind][0]) not in sizes]
    if empty:
        raise InputError(f"{empty[0]!r} is empty: a raw size of zero has no factor. Name other files.")
    return pd.DataFrame(
        [_row(key, np.array(found, dtype=float), random_seed) for key, found in sizes.items()]
    )


def _names(codecs: str | Iterable[str] | None) -> list[str]:
    names = [codecs] if isinstance(codecs, str) else list(codecs if codecs is not None else COMPRESSORS)
    unknown = [name for name in names if name not in COMPRESSORS]
    if unknown or not names:
        raise InputError(
            f"there is no compressor {unknown[0] if unknown else ''!r}. There are: {', '.join(COMPRESSORS)}."
        )
    return names


def _row(key: tuple[str, str, str], sizes: np.ndarray, random_seed: int) -> dict[str, Any]:
    kind, material, codec = key
    raw, packed, on_disk = sizes.T
    bits = 8 * packed.sum() / raw.sum()
    error = bits * ratio_error(packed, raw, random_seed) if len(raw) > 1 else float("nan")
    return {
        "modality": kind,
        "material": material,
        "codec": codec,
        "setting": COMPRESSORS[codec].setting,
        "raw_bytes": int(raw.sum()),
        "packed_bytes": int(packed.sum()),
        "file_bytes": int(on_disk.sum()),
        "bits_per_byte": float(bits),
        "se": float(error),
        "files": len(raw),
    }


def _packed(path: Path, kind: str, names: list[str]) -> tuple[int, dict[str, int]]:
    """Bytes of the plain signal, and what each compressor makes of them."""
    if kind == "video":
        raw = sum(frame.width * frame.height * 3 for frame, _ in clips(path))
        whole: Any = path
    else:
        whole = _DECODED[kind](path)
        raw = len(whole) if isinstance(whole, bytes) else whole[0].nbytes
    if raw == 0 and kind != "text":
        raise Unreadable("holds nothing: a raw size of zero has no factor")
    return raw, {name: COMPRESSORS[name].size(whole) for name in names}


def _pixels(path: Path) -> tuple[np.ndarray, Any]:
    image = picture(path)
    return np.asarray(image, dtype=np.uint8), image


_DECODED: dict[str, Callable[[Path], Any]] = {"text": Path.read_bytes, "image": _pixels, "audio": sound}


def _stream(whole: Any) -> Iterator[bytes]:
    """The plain signal, part by part."""
    if isinstance(whole, bytes):
        yield whole
    elif isinstance(whole, Path):
        for frame, _ in clips(whole):
            yield frame.to_ndarray(format="rgb24").tobytes()
    else:
        yield np.ascontiguousarray(whole[0]).tobytes()


def _by(packer: Any, whole: Any) -> int:
    return sum(len(packer.compress(part)) for part in _stream(whole)) + len(packer.flush())


def _zstd(whole: Any) -> int:
    return _by(needs("zstandard", "the codec zstd").ZstdCompressor(level=_ZSTD_LEVEL).compressobj(), whole)


def _xz(whole: Any) -> int:
    return _by(lzma.LZMACompressor(preset=_XZ_LEVEL), whole)


def _image(**settings: Any) -> Callable[[Any], int]:
    def size(whole: Any) -> int:
        into = io.BytesIO()
        whole[1].save(into, **settings)
        return len(into.getvalue())

    return size


def _flac(whole: Any) -> int:
    library, into = needs("soundfile", "the codec flac"), io.BytesIO()
    samples, rate = whole
    if samples.shape[1] > 8:
        raise Unreadable(f"has {samples.shape[1]} channels, FLAC holds 8")
    library.write(into, samples, rate, format="FLAC", subtype="PCM_16")
    return len(into.getvalue())


def _ffv1(whole: Path) -> int:
    av, into = needs("av", "the codec ffv1"), io.BytesIO()
    with av.open(into, "w", format="matroska") as container:
        stream: Any = None
        for frame, lasting in clips(whole):
            if stream is None:
                stream = container.add_stream("ffv1", rate=round(1 / lasting) if lasting else 25)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "bgr0"
            plain = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
            container.mux(stream.encode(plain.reformat(format="bgr0")))
        if stream is not None:
            container.mux(stream.encode(None))
    return len(into.getvalue())


COMPRESSORS: dict[str, Compressor] = {
    "zstd": Compressor(f"level {_ZSTD_LEVEL}", MODALITIES, _zstd),
    "xz": Compressor(f"preset {_XZ_LEVEL}", MODALITIES, _xz),
    "png": Compressor("optimised", ("image",), _image(format="PNG", optimize=True)),
    "webp": Compressor("lossless, method 4", ("image",), _image(format="WEBP", lossless=True, method=4)),
    "flac": Compressor("level 5", ("audio",), _flac),
    "ffv1": Compressor("version 3, RGB", ("video",), _ffv1),
}
"""Compressors by name."""
