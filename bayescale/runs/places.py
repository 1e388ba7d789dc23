"""How a message names a row and a column, so that the reader finds them in what was given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Places", "shown"]


@dataclass(frozen=True)
class Places:
    """Names of rows and columns as the user knows them.

    Attributes
    ----------
    word : {"row", "line"}
        A line of a file as an editor counts it, or a row counted from 0.
    numbers : array of int, optional
        Number of each row; its position by default.
    theirs : mapping of str to str
        The user's name of a column that was renamed, by ours.
    """

    word: str = "row"
    numbers: np.ndarray | None = None
    theirs: Mapping[str, str] = field(default_factory=dict)

    def row(self, frame: "pd.DataFrame", position: int) -> str:
        """``row 3 (run 'r003')``, or ``line 5 (run 'r003')`` of a file."""
        number = position if self.numbers is None else int(self.numbers[position])
        run = f" (run {str(frame['run_id'].iloc[position])[:60]!r})" if "run_id" in frame.columns else ""
        return f"{self.word} {number}{run}"

    def rows(
        self, frame: "pd.DataFrame", positions: Sequence[int] | np.ndarray, cells: Any = None, limit: int = 6
    ) -> str:
        """Several rows, each with its cell if given; those beyond `limit` are counted."""
        named = [
            self.row(frame, int(i)) + ("" if cells is None else f" has {shown(cells[int(i)])}")
            for i in positions[:limit]
        ]
        more = len(positions) - len(named)
        return ", ".join(named) + (f", and {more:,} more" if more else "")

    def column(self, name: str, frame: "pd.DataFrame | None" = None) -> str:
        """``column 'value' (loss_nats)``, with the user's own name where it was renamed."""
        notes = []
        if name in self.theirs and self.theirs[name] != name:
            notes.append(f"your {self.theirs[name]!r}")
        if name == "value" and frame is not None and "metric" in frame.columns and len(frame):
            notes.append(", ".join(str(m)[:40] for m in frame["metric"].unique()[:3]))
        return f"column {name!r}" + (f" ({', '.join(notes)})" if notes else "")

    def select(self, mask: np.ndarray) -> "Places":
        """The places of the rows that a mask keeps."""
        numbers = np.arange(len(mask)) if self.numbers is None else self.numbers
        return Places(self.word, numbers[mask], self.theirs)


def shown(cell: Any) -> str:
    """A cell as it may stand in a message: short, and escaped if it is text."""
    if cell is None or (isinstance(cell, float) and cell != cell):
        return "nothing (missing, NaN)"
    if isinstance(cell, str):
        return repr(cell if len(cell) <= 60 else cell[:57] + "...") if cell else "nothing (an empty cell)"
    if isinstance(cell, (float, np.floating)):
        return f"{cell:g}"
    return repr(cell)[:60]
