"""Storage: a fitted study written to one path, and read back with nothing lost or taken on trust."""

from bayescale.storage.file import open_study, save

__all__ = ["open_study", "save"]
