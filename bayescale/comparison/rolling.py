"""Rolling origin: fit below a budget, score above it, for one budget after another."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from bayescale.comparison.splits import Split, Splits, decades_above, refuse_small, scale_of, unplaced
from bayescale.errors import InputError
from bayescale.runs.table import RunTable

__all__ = ["Rolling", "levels"]

_SAME_LEVEL = 0.05  # decades: budgets within 12 % of one another are one budget, as flops are often counted
_HELD = 5  # rows above the last cut, where there are ten times as many
_ROWS_A_LEVEL = 3  # on average; fewer, and the numbers are no levels but a scatter


@dataclass(frozen=True)
class Rolling:
    """Rolling origin: fit all runs up to a budget, score all runs above it, for one budget after another.

    Attributes
    ----------
    column : str, optional
        Along which runs are small or large. ``flops`` by default; 6ND where the table does not state it,
        else tokens, samples or parameters.
    origins : int, default 5
        Most origins. Where runs come in distinct budgets (within 12 % of one another), each budget but
        the last is one, the largest first if they are more than this; elsewhere cuts evenly spaced in
        the log.
    least : int, default 12
        Fewest rows to fit.
    """

    column: str | None = None
    origins: int = 5
    least: int = 12

    pooled_over = None

    def splits(self, table: RunTable) -> Splits:
        """One split for each origin."""
        refuse_small("origins", self.origins, 1)
        refuse_small("least", self.least, 1)
        column, scale = scale_of(table.frame, self.column)
        known = np.isfinite(scale)
        found = {}
        for origin in self._origins(np.sort(scale[known])):
            train = known & (scale <= origin)
            test = known & (scale > origin)
            top = float(scale[train].max())
            found[train.tobytes()] = Split(
                f"{column} <= {top:.3g}",
                train,
                test,
                decades=decades_above(scale[test], top),
                meta={"column": column, "origin": top},
            )
        if not found:
            raise InputError(
                f"rolling over {column!r}: no origin leaves {self.least} rows to fit and a larger one to "
                f"score ({int(known.sum())} rows with a number there, from {np.nanmin(scale):.3g} to "
                f"{np.nanmax(scale):.3g}). Lower it: Rolling(least=4)."
            )
        return list(_told_apart(found.values())), unplaced(known, f"rolling over {column!r}")

    def _origins(self, ordered: np.ndarray) -> np.ndarray:
        budgets = levels(ordered)
        if budgets is None:
            held = max(1, min(_HELD, ordered.size // 10))
            low, high = ordered[min(self.least, ordered.size) - 1], ordered[max(ordered.size - 1 - held, 0)]
            return np.geomspace(low, max(low, high), self.origins) * (1 + 1e-12)
        enough = np.searchsorted(ordered, budgets, side="right") >= self.least
        return budgets[:-1][enough[:-1]][-self.origins :]


def _told_apart(splits: Iterable[Split]) -> Iterator[Split]:
    """Splits under names that differ, where rounding made two alike."""
    seen: dict[str, int] = {}
    for split in splits:
        seen[split.name] = seen.get(split.name, 0) + 1
        yield (
            split if seen[split.name] == 1 else replace(split, name=f"{split.name} (no. {seen[split.name]})")
        )


def levels(ordered: np.ndarray) -> np.ndarray | None:
    """The upper ends of distinct budgets, or None where numbers do not come in such."""
    if ordered.size == 0:
        return None
    at = np.log10(ordered)
    starts = [0]
    for i in range(1, at.size):
        if at[i] - at[i - 1] > 1e-9 and at[i] - at[starts[-1]] > _SAME_LEVEL:
            starts.append(i)
    ends = np.array([*starts[1:], at.size]) - 1
    gaps = at[np.array(starts[1:], dtype=int)] - at[ends[:-1]]
    apart = gaps.size > 0 and bool((gaps > _SAME_LEVEL).all())
    if len(starts) < 2 or not apart or ordered.size < _ROWS_A_LEVEL * len(starts):
        return None
    return ordered[ends]
