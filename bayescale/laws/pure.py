"""Inputs that are pure numbers: shares, counts and bits, which no reference scale divides."""

from collections.abc import Mapping

__all__ = ["PURE", "pure_range"]

PURE: Mapping[str, tuple[float, float]] = {
    "sparsity": (0.0, 1.0),
    "n_experts": (1.0, 512.0),
    "granularity": (1.0, 64.0),
    "precision_weights": (1.0, 16.0),
    "precision_activations": (1.0, 16.0),
    "precision_kv": (1.0, 16.0),
    "precision_post": (1.0, 16.0),
    "teacher_loss": (1.0, 5.0),
    "supervised_loss": (1.0, 5.0),
    "year": (2012.0, 2030.0),
}
"""Columns that a law reads as they are, with the least and greatest value one may meet."""

_SHARE = "share_"  # shares of a mixture, whatever of


def pure_range(column: str) -> tuple[float, float] | None:
    """Least and greatest value of a column without unit; None for one that has a unit.

    Dividing such a column by a scale would change what it says, so laws read it raw.
    """
    return (0.0, 1.0) if column.startswith(_SHARE) else PURE.get(column)
