"""Tokenizers that count by a grid or a clock: patches of images, tubelets of video, codes of sound."""

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

from bayescale.errors import InputError

__all__ = ["FORMS", "NAMED", "FrameCodec", "PatchGrid", "Tubelet", "grid_of"]


@dataclass(frozen=True)
class PatchGrid:
    """Square patches of an image, as in a vision transformer.

    Attributes
    ----------
    patch : int
        Pixels on a side.
    size : int, optional
        Pixels on a side after resizing; none for the image's own size.
    resize : {"square", "longest"}
        "square": squeezed or cropped to a square, so that every image gives the same tokens. "longest":
        the longer side becomes `size`, the shape is kept, and the last patches are padded.
    merge : int
        Patches on a side that become one token.
    """

    patch: int
    size: int | None = None
    resize: Literal["square", "longest"] = "square"
    merge: int = 1

    def count(self, width: int, height: int) -> int:
        """Tokens of an image; those that stand for the whole image are not counted."""
        if self.size is None or self.resize == "longest":
            scale = 1.0 if self.size is None else self.size / max(width, height)
            across, down = (max(1, math.ceil(round(side * scale) / self.patch)) for side in (width, height))
        else:
            across = down = self.size // self.patch
        return math.ceil(across / self.merge) * math.ceil(down / self.merge)


@dataclass(frozen=True)
class Tubelet:
    """Blocks of video in space and time.

    Attributes
    ----------
    frames : int
        Frames of a block.
    grid : PatchGrid
        Its patches.
    clip : int, optional
        Frames taken from the whole video, evenly; all by default.
    fps : float, optional
        Frames taken from each second.
    """

    frames: int
    grid: PatchGrid
    clip: int | None = None
    fps: float | None = None

    def count(self, width: int, height: int, frames: int, seconds: float) -> int:
        """Tokens of a video."""
        taken = frames
        if self.clip is not None:
            taken = min(frames, self.clip)
        if self.fps is not None:
            taken = min(frames, max(1, round(seconds * self.fps)))
        return math.ceil(taken / self.frames) * self.grid.count(width, height)


@dataclass(frozen=True)
class FrameCodec:
    """Codes of a sound codec, all codebooks counted.

    Attributes
    ----------
    frames_per_second : tuple of float
        One for each level of a codec with several rates.
    codebooks : int
        Codes of a frame on each level.
    """

    frames_per_second: tuple[float, ...]
    codebooks: int = 1

    def count(self, seconds: float) -> int:
        """Tokens of a sound; a last frame that is begun counts."""
        return sum(math.ceil(round(seconds * rate, 9)) * self.codebooks for rate in self.frames_per_second)


type Grid = PatchGrid | Tubelet | FrameCodec

NAMED: dict[str, tuple[Grid, str]] = {
    "encodec-24khz-1.5kbps": (FrameCodec((75.0,), 2), "arXiv 2210.13438"),
    "encodec-24khz-3kbps": (FrameCodec((75.0,), 4), "arXiv 2210.13438"),
    "encodec-24khz-6kbps": (FrameCodec((75.0,), 8), "arXiv 2210.13438"),
    "encodec-24khz-12kbps": (FrameCodec((75.0,), 16), "arXiv 2210.13438"),
    "encodec-24khz-24kbps": (FrameCodec((75.0,), 32), "arXiv 2210.13438"),
    "encodec-48khz-6kbps": (FrameCodec((150.0,), 4), "arXiv 2210.13438"),
    "dac-16khz": (FrameCodec((50.0,), 12), "arXiv 2306.06546"),
    "dac-24khz": (FrameCodec((75.0,), 32), "arXiv 2306.06546"),
    "dac-44khz": (FrameCodec((44100 / 512,), 9), "arXiv 2306.06546"),
    "mimi": (FrameCodec((12.5,), 8), "arXiv 2410.00037"),
    "mimi-32": (FrameCodec((12.5,), 32), "arXiv 2410.00037"),
    "snac-24khz": (FrameCodec((24000 / 2048, 24000 / 1024, 24000 / 512)), "arXiv 2410.14411"),
    "wavtokenizer-40": (FrameCodec((40.0,)), "arXiv 2408.16532"),
    "wavtokenizer-75": (FrameCodec((75.0,)), "arXiv 2408.16532"),
    "speechtokenizer": (FrameCodec((50.0,), 8), "arXiv 2308.16692"),
    "vit-b16-224": (PatchGrid(16, 224), "arXiv 2010.11929"),
    "clip-l14-224": (PatchGrid(14, 224), "arXiv 2103.00020"),
    "clip-l14-336": (PatchGrid(14, 336), "arXiv 2103.00020"),
    "siglip-so400m-384": (PatchGrid(14, 384), "arXiv 2303.15343"),
    "dinov2-l14-518": (PatchGrid(14, 518), "arXiv 2304.07193"),
    "vivit-b16x2": (Tubelet(2, PatchGrid(16, 224), clip=32), "arXiv 2103.15691"),
    "videomae-b": (Tubelet(2, PatchGrid(16, 224), clip=16), "arXiv 2203.12602"),
}
"""Tokenizers by name, with the paper that gives their numbers."""

_SPACE = r"(?P<patch>\d+)(?:-(?P<size>\d+)(?P<longest>-longest)?)?(?:-merge(?P<merge>\d+))?"
_PATCH = re.compile(rf"patch{_SPACE}")
_TUBE = re.compile(rf"tubelet(?P<frames>\d+)x{_SPACE}(?:@(?P<many>\d+(?:\.\d+)?)(?P<what>f|fps))?")
_CLOCK = re.compile(r"(?P<rate>\d+(?:\.\d+)?)hz(?:x(?P<books>\d+))?")
FORMS = (
    "patch16-224 (patches of 16 pixels, image resized to 224; -longest keeps its shape, no size keeps both; "
    "-merge2 joins 2 x 2), tubelet2x16-224@16f (2 frames by 16 pixels, 16 frames of each video; @2fps: two "
    "a second), 75hzx8 (75 frames a second of 8 codebooks)"
)
"""How tokenizers without a name are written."""


def grid_of(name: str) -> tuple[str, Grid] | None:
    """Modality and grid of a name or a form such as ``patch14-336``; none if it is neither.

    Raises
    ------
    InputError
        If it has such a form with numbers that cannot be.
    """
    word = name.strip().lower()
    if word in NAMED:
        return _modality(NAMED[word][0]), NAMED[word][0]
    if match := _PATCH.fullmatch(word):
        return "image", _patches(name, match)
    if match := _TUBE.fullmatch(word):
        many, what = match["many"], match["what"]
        if int(match["frames"]) == 0 or (many and float(many) == 0):
            raise _impossible(name)
        tube = Tubelet(int(match["frames"]), _patches(name, match))
        if many and what == "f":
            return "video", replace(tube, clip=round(float(many)))
        return "video", replace(tube, fps=float(many)) if many else tube
    if match := _CLOCK.fullmatch(word):
        rate, books = float(match["rate"]), int(match["books"] or 1)
        if rate == 0 or books == 0:
            raise _impossible(name)
        return "audio", FrameCodec((rate,), books)
    return None


def _modality(grid: Grid) -> str:
    return {PatchGrid: "image", Tubelet: "video", FrameCodec: "audio"}[type(grid)]


def _patches(name: str, match: re.Match[str]) -> PatchGrid:
    patch, size, merge = int(match["patch"]), match["size"], int(match["merge"] or 1)
    if patch == 0 or merge == 0 or (size is not None and int(size) < patch):
        raise _impossible(name)
    rule: Literal["square", "longest"] = "longest" if match["longest"] else "square"
    return PatchGrid(patch, int(size) if size else None, rule, merge)


def _impossible(name: str) -> InputError:
    return InputError(f"the tokenizer {name!r} has a size that cannot be. Forms: {FORMS}.")
