"""A group that is new to the law: left out whole, or with a few of its own runs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.comparison.splits import Split, Splits, decades_above, refuse_small, scale_of, unplaced
from bayescale.errors import InputError
from bayescale.runs.findings import Finding
from bayescale.runs.table import RunTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FewRuns", "LeaveOut"]


@dataclass(frozen=True)
class LeaveOut:
    """One group after another left out: the runs of all others predict it as a group not yet seen.

    Attributes
    ----------
    factor : str, default "family"
        The column of groups. Parameters vary over it unless ``pool=`` says otherwise.
    """

    factor: str = "family"

    @property
    def pooled_over(self) -> str:
        """The factor."""
        return self.factor

    def splits(self, table: RunTable) -> Splits:
        """One split for each group."""
        labels = _labels(table.frame, self.factor)
        scale = _scale_or_none(table.frame)
        names = list(dict.fromkeys(labels[labels != ""]))
        if len(names) < 2:
            raise InputError(
                f"leaving one {self.factor} out needs two or more, and this table has {len(names)} "
                f"({', '.join(map(str, names)) or 'empty cells only'}). Take another column: "
                "LeaveOut('study'), or split='rolling'."
            )
        found = []
        for name in names:
            test, train = labels == name, (labels != name) & (labels != "")
            decades = None if scale is None else decades_above(scale[test], _largest(scale[train]))
            found.append(
                Split(f"without {name}", train, test, decades=decades, meta={self.factor: str(name)})
            )
        return found, [
            *unplaced(labels != "", f"the column {self.factor!r}"),
            *_few_groups(names, self.factor),
        ]


@dataclass(frozen=True)
class FewRuns:
    """A new group with its few smallest runs and all runs of the others, against the same runs alone.

    Every case is scored on the same rows: runs of the new group larger than the most it was given.

    Attributes
    ----------
    own : tuple of int, default (0, 1, 3, 6)
        Numbers of smallest runs of the new group that are fitted, by compute.
    factor : str, default "family"
        The column of groups. Parameters vary over it unless ``pool=`` says otherwise.
    groups : tuple of str, optional
        Groups to treat as new, one after another; all with enough runs by default.
    """

    own: tuple[int, ...] = (0, 1, 3, 6)
    factor: str = "family"
    groups: tuple[str, ...] | None = None

    @property
    def pooled_over(self) -> str:
        """The factor."""
        return self.factor

    def splits(self, table: RunTable) -> Splits:
        """For each group and number of own runs, one split with siblings and one without."""
        if not isinstance(self.own, tuple | list) or not self.own:
            raise InputError(f"own={self.own!r} must hold numbers of runs, as in FewRuns(own=(0, 1, 3, 6)).")
        for count in self.own:
            refuse_small("own", count, 0)
        frame = table.frame
        labels = _labels(frame, self.factor)
        column, scale = scale_of(frame)
        asked = self._asked(labels)
        found, short = [], []
        for name in asked:
            here = self._of_group(frame, labels, scale, name)
            short += [] if here else [name]
            found += here
        most = max(self.own)
        if not found:
            raise InputError(
                f"few runs of a new {self.factor}: none has more than {most} runs of different {column}, so "
                f"none is left to score. Give fewer: FewRuns(own=(0, 1, {max(2, most // 2)}))."
            )
        findings = unplaced(
            np.isfinite(scale) & (labels != ""), f"few runs by {column!r} and {self.factor!r}"
        )
        if short:
            told = ", ".join(map(repr, short[:8])) + (", …" if len(short) > 8 else "")
            message = f"{len(short)} of {len(asked)} groups have no run beyond their {most} smallest: {told}."
            findings.append(Finding("groups-too-small", "note", message))
        return found, [*findings, *_few_groups(set(labels[labels != ""]), self.factor)]

    def _asked(self, labels: np.ndarray) -> list[str]:
        names = list(dict.fromkeys(labels[labels != ""]))
        if len(names) < 2:
            raise InputError(
                f"few runs of a new {self.factor} need others beside it, and this table has "
                f"{len(names)}. Join published studies: runs + load_runs('...')."
            )
        for name in self.groups or ():
            if name not in names:
                raise InputError(
                    f"there is no {self.factor} {name!r} (there are: {', '.join(names[:12])}"
                    f"{', …' if len(names) > 12 else ''})."
                )
        return list(self.groups or names)

    def _of_group(
        self, frame: "pd.DataFrame", labels: np.ndarray, scale: np.ndarray, name: str
    ) -> list[Split]:
        here = (labels == name) & np.isfinite(scale)
        others = (labels != name) & (labels != "")
        runs = _by_size(frame, here, scale)
        most = runs[: max(self.own)]
        bound = float(scale[[i for run in most for i in run]].max(initial=0.0))
        test = here & (scale > bound)
        if not test.any() or len(runs) <= len(most):
            return []
        smallest = float(scale[here].min())
        found = []
        for count in dict.fromkeys(self.own):
            own = np.zeros(len(frame), dtype=bool)
            own[[i for run in runs[:count] for i in run]] = True
            decades = decades_above(scale[test], float(scale[own].max()) if count else smallest)
            for alone in (False, True) if count else (False,):
                arm = "alone" if alone else "with siblings"
                runs_told = f"{count} run{'' if count == 1 else 's'}"
                found.append(
                    Split(
                        f"{name}, {runs_told} {arm}",
                        own if alone else own | others,
                        test,
                        decades=decades,
                        case=f"{runs_told} {arm}",
                        meta={"own_runs": count, "arm": arm, self.factor: name},
                        options={"pool": None} if alone else {},
                        reference=alone,
                    )
                )
        return found


def _by_size(frame: "pd.DataFrame", here: np.ndarray, scale: np.ndarray) -> list[list[int]]:
    """Rows of each run of a group, the run with the least compute first."""
    rows: dict[tuple[str, str], list[int]] = {}
    for i in np.flatnonzero(here):
        rows.setdefault((str(frame["study"].iloc[i]), str(frame["run_id"].iloc[i])), []).append(int(i))
    return sorted(rows.values(), key=lambda run: float(scale[run].max()))


def _labels(frame: "pd.DataFrame", factor: str) -> np.ndarray:
    if not isinstance(factor, str) or factor not in frame.columns:
        raise InputError(
            f"there is no column {factor!r} of groups to leave out (the table has: "
            f"{', '.join(map(str, frame.columns))})."
        )
    return frame[factor].fillna("").astype(str).to_numpy(dtype=str)


def _scale_or_none(frame: "pd.DataFrame") -> np.ndarray | None:
    try:
        scale = scale_of(frame)[1]
    except InputError:
        return None
    return scale if np.isfinite(scale).all() else None


def _largest(scale: np.ndarray) -> float:
    return float(np.nanmax(scale))


def _few_groups(names: Any, factor: str) -> list[Finding]:
    if len(names) > 4:
        return []
    message = (
        f"each fit sees {len(names) - 1} or {len(names)} groups of {factor!r}: with so few, the spread "
        "between them, and so the width of what is said of a new one, is mostly prior."
    )
    return [Finding("few-groups-to-learn-from", "note", message)]
