"""Reading material: what a file holds, piece by piece, decoded by the library of its format."""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayescale.compression.tokenizers import needs

__all__ = ["BLOCK", "READERS", "Piece", "Unreadable", "clips", "picture", "sound"]

BLOCK = 4096
"""Characters of a block of text: a page or two, beyond which words hardly depend on one another."""

_CHUNK = 1 << 20


class Unreadable(Exception):
    """Why a file cannot be measured, in words."""


@dataclass(frozen=True)
class Piece:
    """A part of a file, in all raw units that its modality has.

    Attributes
    ----------
    sizes : dict of str to float
        By raw unit; bytes are those of the plain signal.
    text : str
        For text.
    shape : dict
        What grids count by: width, height, frames, seconds.
    """

    sizes: dict[str, float]
    text: str = ""
    shape: dict[str, Any] = field(default_factory=dict)


def read_text(path: Path) -> Iterator[Piece]:
    """Blocks of about `BLOCK` characters that end at a line, or failing that between words; none if empty."""
    rest = ""
    with path.open(encoding="utf-8", newline="") as stream:
        try:
            while chunk := stream.read(_CHUNK):
                if "\0" in chunk:
                    raise Unreadable("holds null characters, so it is no text")
                blocks, rest = _blocks(rest + chunk)
                yield from blocks
        except UnicodeDecodeError as error:
            bad = error.object[error.start : error.start + 1].hex()
            raise Unreadable(f"is not UTF-8 (byte 0x{bad}). Convert it first") from error
    if rest:
        yield _block(rest)


def _blocks(text: str) -> tuple[list[Piece], str]:
    """Whole blocks from the beginning of a text, and what is left."""
    blocks, at = [], 0
    while len(text) - at > 2 * BLOCK:
        end = at + _cut(text[at : at + BLOCK])
        blocks.append(_block(text[at:end]))
        at = end
    return blocks, text[at:]


def _cut(text: str) -> int:
    """Where to end a block: after the last line in its second half, else before the last gap."""
    line = text.rfind("\n", BLOCK // 2, BLOCK)
    if line >= 0:
        return line + 1
    gap = text.rfind(" ", BLOCK // 2, BLOCK)
    return gap if gap > 0 else BLOCK


def _block(text: str) -> Piece:
    return Piece({"bytes": len(text.encode("utf-8")), "characters": len(text)}, text)


def picture(path: Path) -> Any:
    """The decoded image as 8-bit RGB, upright."""
    pillow = needs("PIL.Image", f"reading {path}")
    turned = needs("PIL.ImageOps", f"reading {path}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", pillow.DecompressionBombWarning)
        try:
            with pillow.open(path) as image:
                if getattr(image, "n_frames", 1) > 1:
                    raise Unreadable(
                        f"moves ({image.n_frames} frames). Measure it as video: modality='video'"
                    )
                return turned.exif_transpose(image).convert("RGB")
        except Unreadable:
            raise
        except Exception as error:
            raise Unreadable(f"cannot be decoded as an image ({_brief(error)})") from error


def read_image(path: Path) -> Iterator[Piece]:
    """One piece: the whole image."""
    width, height = picture(path).size
    sizes = {"bytes": width * height * 3, "pixels": width * height}
    yield Piece(sizes, shape={"width": width, "height": height})


def sound(path: Path) -> tuple[Any, int]:
    """Samples as 16-bit integers, dims (time, channel), and the rate."""
    library = needs("soundfile", f"reading {path}")
    try:
        return library.read(str(path), dtype="int16", always_2d=True)
    except Exception as error:
        raise Unreadable(f"cannot be decoded as sound ({_brief(error)})") from error


def read_audio(path: Path) -> Iterator[Piece]:
    """One piece: the whole recording, decoded to its end."""
    library = needs("soundfile", f"reading {path}")
    try:
        with library.SoundFile(str(path)) as recording:
            rate, channels, told = recording.samplerate, recording.channels, recording.frames
            samples = sum(len(block) for block in recording.blocks(1 << 16, dtype="int16", always_2d=True))
    except Exception as error:
        raise Unreadable(f"cannot be decoded as sound ({_brief(error)})") from error
    if samples == 0:
        raise Unreadable("holds no samples: a raw size of zero has no factor")
    if samples < told:
        raise Unreadable(f"is cut off: {samples:,} of {told:,} samples are there")
    sizes = {"bytes": samples * channels * 2, "seconds": samples / rate}
    yield Piece(sizes, shape={"seconds": samples / rate})


def clips(path: Path) -> Iterator[tuple[Any, float]]:
    """Decoded frames of a video, and the seconds each lasts (0 if the file does not say)."""
    av = needs("av", f"reading {path}")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise Unreadable("holds no video")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            rate = stream.average_rate or stream.guessed_rate
            for frame in container.decode(stream):
                yield frame, (1 / float(rate) if rate else 0.0)
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(f"cannot be decoded as video ({_brief(error)})") from error


def read_video(path: Path) -> Iterator[Piece]:
    """One piece: all frames, decoded and counted."""
    frames, seconds, width, height = 0, 0.0, 0, 0
    for frame, lasting in clips(path):
        frames, seconds = frames + 1, seconds + lasting
        width, height = frame.width, frame.height
    if not frames:
        raise Unreadable("holds no frames: a raw size of zero has no factor")
    pixels = width * height * frames
    sizes = {"bytes": 3.0 * pixels, "pixels": float(pixels)}
    sizes |= {"seconds": seconds} if seconds > 0 else {}
    yield Piece(
        sizes, shape={"width": width, "height": height, "frames": frames, "seconds": seconds or math.nan}
    )


READERS: dict[str, Callable[[Path], Iterator[Piece]]] = {
    "text": read_text,
    "audio": read_audio,
    "image": read_image,
    "video": read_video,
}


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
