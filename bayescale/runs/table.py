"""The run table: one row for each evaluation of each training, checked and never changed."""

from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.runs.condition import select_rows
from bayescale.runs.findings import Finding
from bayescale.runs.schema import REQUIRED

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SIMULATED", "RunTable"]

SIMULATED = "simulated-"
"""How the name of every study of made-up runs begins."""

_KEY = ("study", "family", "run_id", "eval_name", "metric", "step")


@dataclass(frozen=True, eq=False, repr=False)
class RunTable:
    """Training runs in one schema; see `bayescale.runs.schema.COLUMNS` for columns and units.

    Made by `read_runs` and `load_runs`. Methods return new tables.

    Attributes
    ----------
    frame : DataFrame
        One row for each evaluation, index 0, 1, 2, ...; always has ``study``, ``family``, ``run_id``,
        ``metric`` and ``value``. Text columns are empty and number columns NaN where the source does not
        say. It is the table itself, not a copy: do not change it.
    findings : tuple of Finding
        What was noticed at reading.
    source : str
        Where the runs come from.
    """

    frame: "pd.DataFrame"
    findings: tuple[Finding, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        lacking = [name for name in REQUIRED if name not in self.frame.columns]
        if lacking:
            raise InputError(
                f"a run table needs the columns {', '.join(REQUIRED)}; this frame lacks {
                    ', '.join(lacking)
                }. "
                "Let read_runs(frame) check it and fill in defaults."
            )
        _refuse_made_up_among_real(self.frame)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(map(str, self.frame.columns))

    def where(self, condition: Any = None, /, **equal: Any) -> "RunTable":
        """The rows that meet a condition, in their order.

        Parameters
        ----------
        condition : str, callable or array of bool, optional
            ``"flops <= 1e20 and modality in (text, image)"``: comparisons of a column with a literal,
            joined by ``and``. Or a function of the frame that returns a mask, or a mask. A missing cell
            meets no comparison but ``!=``.
        **equal
            Columns and the value they must have: ``where(family="llama")``.

        Raises
        ------
        InputError
            If the condition cannot be read or names a column that is not there.
        """
        mask = np.ones(len(self), dtype=bool)
        if condition is not None:
            mask &= select_rows(self.frame, condition)
        for column, wanted in equal.items():
            if column not in self.frame.columns:
                raise InputError(
                    f"where reads the column {column!r}, which this table lacks (it has: {
                        ', '.join(self.columns)
                    })."
                )
            mask &= (self.frame[column] == wanted).to_numpy(dtype=bool)
        return replace(self, frame=self.frame[mask].reset_index(drop=True))

    def join(self, *others: "RunTable") -> "RunTable":
        """One table of this and others below it, with the columns of all, empty where one lacks them.

        Raises
        ------
        InputError
            If a run's evaluation stands in two of the tables: joined, it would count twice; or if one
            holds simulated runs and another real ones.
        """
        return reduce(_join, others, self)

    def __add__(self, other: object) -> "RunTable":
        return self.join(other) if isinstance(other, RunTable) else NotImplemented

    def export(self, path: str | Path) -> Path:
        """Write a file that `read_runs` reads back: ``.csv``, ``.tsv``, ``.parquet`` or ``.jsonl``.

        In the text formats a name that a spreadsheet would take for a formula gets a quote in front,
        which reading takes away again.
        """
        from bayescale.runs.write import write_runs

        return write_runs(self.frame, path)

    def to_csv(self, path: str | Path) -> Path:
        """Write comma-separated values, whatever the name of the file; see `export`."""
        from bayescale.runs.write import write_delimited

        return write_delimited(self.frame, path, delimiter=",")

    def __repr__(self) -> str:
        return f"RunTable({self._summary()})"

    def _repr_html_(self) -> str:
        from bayescale.runs.html import table_html

        return table_html("RunTable", self._summary(), self.frame, self.findings)

    def _summary(self) -> str:
        frame = self.frame
        runs = len(frame[["study", "family", "run_id"]].drop_duplicates())
        metrics = ", ".join(str(m)[:40] for m in frame["metric"].unique()[:4])
        warned = sum(f.severity == "warning" for f in self.findings)
        return (
            f"{len(frame)} rows, {runs} runs, {frame['family'].nunique()} families, metric {metrics}"
            + (f", from {self.source}" if self.source else "")
            + (f", {warned} warnings" if warned else "")
        )


def _refuse_made_up_among_real(frame: "pd.DataFrame") -> None:
    """Made-up runs are known by a column or by their study's name; beside real ones they would mislead."""
    named = [name for name in frame["study"].unique() if str(name).startswith(SIMULATED)]
    if not named and "simulated" not in frame.columns:
        return
    made_up = frame["study"].isin(named).to_numpy(dtype=bool)
    if "simulated" in frame.columns:
        told = frame["simulated"].astype(str).isin(("1", "1.0", "True"))
        made_up = made_up | told.to_numpy(dtype=bool)
    if not made_up.any() or made_up.all():
        return
    study = frame["study"].astype(str).to_numpy(dtype=str)
    one, other = (", ".join(np.unique(study[rows])[:3]) for rows in (made_up, ~made_up))
    raise InputError(
        f"{made_up.sum():,} simulated runs ({one[:200]}) would stand among {(~made_up).sum():,} real ones "
        f"({other[:200]}). They are never mixed: fit them apart and set the answers side by side."
    )


def _join(first: RunTable, second: RunTable) -> RunTable:
    import pandas as pd

    shared = _keys(first.frame).merge(_keys(second.frame), on=list(_KEY))
    if len(shared):
        named = ", ".join(
            f"{run!r} of {study!r}" for run, study in shared[["run_id", "study"]].head(3).to_numpy()
        )
        raise InputError(
            f"{len(shared)} evaluations stand in both tables and would count twice, such as run {named}. "
            "Read each table with its own study name, read_runs(path, study=...), or leave rows out with "
            "where."
        )
    frame = pd.concat([first.frame, second.frame], ignore_index=True)
    for name in frame.columns:
        if frame[name].dtype.kind != "f":
            frame[name] = frame[name].fillna("").astype("str")
    sources = ", ".join(dict.fromkeys(s for s in (first.source, second.source) if s))
    return RunTable(frame, findings=(*first.findings, *second.findings), source=sources)


def _keys(frame: "pd.DataFrame") -> "pd.DataFrame":
    keys = frame.reindex(columns=list(_KEY)).drop_duplicates()
    labels = keys.drop(columns="step").astype(object)
    return labels.where(labels.notna(), "").astype("str").assign(step=keys["step"].astype(float))
