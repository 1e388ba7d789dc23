"""Modalities, units of the raw side, and the columns of a table of measurements."""

from dataclasses import dataclass

__all__ = ["COLUMNS", "MODALITIES", "RAW_UNITS", "REQUIRED", "per_token"]

MODALITIES = ("text", "audio", "image", "video")

RAW_UNITS: dict[str, tuple[str, ...]] = {
    "bytes": MODALITIES,
    "characters": ("text",),
    "seconds": ("audio", "video"),
    "pixels": ("image", "video"),
}
"""Units of the raw side, and the modalities that can be counted in them. They are never mixed.

Bytes are those of the plain signal: UTF-8 text, 16-bit PCM sound at the rate and channels of the file,
8-bit RGB images and frames. Pixels of video are counted over all frames.
"""


@dataclass(frozen=True)
class Measured:
    """A column of a table of measurements."""

    meaning: str
    kind: str = "text"
    default: str | float | None = None


COLUMNS: dict[str, Measured] = {
    "modality": Measured("text, audio, image or video"),
    "tokenizer": Measured("name of what cut the material into tokens"),
    "material": Measured("what was cut, such as a language or a collection", default="unnamed"),
    "raw_unit": Measured("unit of the raw side", default="bytes"),
    "raw": Measured("raw size of the material", "number"),
    "tokens": Measured("tokens it became", "count"),
    "log_factor": Measured("log(raw / tokens)", "number", default=float("nan")),
    "se_log": Measured("standard error of log_factor; 0 where unknown", "number", default=0.0),
    "source": Measured("who measured it", default="own"),
}
"""The columns that every table has, in this order; `log_factor` is worked out."""

REQUIRED = tuple(name for name, column in COLUMNS.items() if column.default is None)


def per_token(raw_unit: str) -> str:
    """The unit of a factor: ``bytes per token``."""
    return f"{raw_unit} per token"
