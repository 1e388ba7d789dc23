"""Ways to part runs again and again, by name; a new one is a class with these members and a row here."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bayescale.comparison.groups_out import FewRuns, LeaveOut
from bayescale.comparison.rolling import Rolling
from bayescale.comparison.splits import Splits
from bayescale.errors import InputError
from bayescale.runs.table import RunTable

__all__ = ["SCHEMES", "Scheme", "scheme_of"]


class Scheme(Protocol):
    """The contract of a way to split."""

    @property
    def pooled_over(self) -> str | None:
        """The column over which parameters vary unless the caller says otherwise."""
        ...

    def splits(self, table: RunTable) -> Splits:
        """The splits of a table, and what is to be said of them."""
        ...


SCHEMES: Mapping[str, Scheme] = {"rolling": Rolling(), "leave-family-out": LeaveOut(), "few-runs": FewRuns()}


def scheme_of(split: Any) -> Scheme | None:
    """The scheme of that name; a scheme is passed through; None for a sequence of splits.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if isinstance(split, str):
        if split not in SCHEMES:
            raise InputError(
                f"there is no split {split!r}. Available: {', '.join(SCHEMES)}; or Rolling(...), "
                "LeaveOut(...), FewRuns(...), or a list of Split(...)."
            )
        return SCHEMES[split]
    if hasattr(split, "splits") and not isinstance(split, type):
        return split
    if isinstance(split, Sequence):
        return None
    raise InputError(
        f"split= takes {', '.join(SCHEMES)}, Rolling(...), LeaveOut(...), FewRuns(...), or a list of "
        f"Split(...); a {type(split).__name__} is none of these."
    )
