"""What each law is about, by the module that it stands in."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayescale.laws.law import Law

__all__ = ["SUBJECTS", "subject_of"]

SUBJECTS: Mapping[str, str] = {
    "single": "one scale",
    "joint": "size and data",
    "repeated": "repeated data",
    "saturating": "curves with two ends",
    "broken": "curves that break",
    "steps": "learning curves",
    "mixture": "mixtures and modalities",
    "compression": "compression factors",
    "tokens": "visual tokens",
    "vision": "image and image-text",
    "experts": "experts",
    "precision": "cheaper models",
    "vocabulary": "vocabulary",
    "transfer": "transfer",
    "downstream": "scores",
    "allocation": "optima",
}
"""Subject of the laws of each module of this room, in the order in which they are listed."""


def subject_of(law: "Law") -> str:
    """Subject of a law; ``your own`` for one declared elsewhere."""
    room, _, module = law.formula.__module__.rpartition(".")
    return SUBJECTS.get(module, "your own") if room == "bayescale.laws" else "your own"
