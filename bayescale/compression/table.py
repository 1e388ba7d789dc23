"""The table of measurements: one row for each tokenizer on each material, checked and never changed."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.compression.check import check_measurements, mixed_units
from bayescale.compression.schema import COLUMNS, MODALITIES
from bayescale.errors import InputError
from bayescale.runs.condition import select_rows
from bayescale.runs.findings import Finding, raise_errors
from bayescale.runs.places import Places

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ["MeasurementTable", "table_of"]


@dataclass(frozen=True, eq=False, repr=False)
class MeasurementTable:
    """Measured sizes and tokens; see `bayescale.compression.schema.COLUMNS` for columns and units.

    Made by `read_measurements`, `load_measurements` and `measure_compression`. Methods return new tables.
    Each modality is in one raw unit.

    Attributes
    ----------
    frame : DataFrame
        Index 0, 1, 2, ...; first the columns ``modality``, ``tokenizer``, ``material``, ``raw_unit``,
        ``raw``, ``tokens``, ``log_factor`` (log of raw units per token), ``se_log`` (its standard error, 0
        where unknown) and ``source``, then others of the source. It is the table itself, not a copy: do
        not change it.
    findings : tuple of Finding
        What was noticed.
    """

    frame: "pd.DataFrame"
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        lacking = [name for name in COLUMNS if name not in self.frame.columns]
        if lacking:
            raise InputError(
                f"a table of measurements has the columns {', '.join(COLUMNS)}; this frame lacks "
                f"{', '.join(lacking)}. Let read_measurements(frame) check it and fill in defaults."
            )
        raise_errors(mixed_units(self.frame, Places()), "measurements cannot be used together:")

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(map(str, self.frame.columns))

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities with at least one row."""
        here = set(self.frame["modality"])
        return tuple(name for name in MODALITIES if name in here)

    @property
    def units(self) -> dict[str, str]:
        """The raw unit of each modality."""
        frame = self.frame
        return {m: str(frame.loc[frame["modality"] == m, "raw_unit"].iloc[0]) for m in self.modalities}

    def where(self, condition: Any) -> "MeasurementTable":
        """The rows that meet a condition, in their order.

        Parameters
        ----------
        condition : str, callable or array of bool
            ``"modality == text and raw > 1e5"``: comparisons of a column with a literal, joined by
            ``and``. Or a function of the frame that returns a mask, or a mask.

        Raises
        ------
        InputError
            If the condition cannot be read or names a column that is not there.
        """
        kept = self.frame[select_rows(self.frame, condition)].reset_index(drop=True)
        return replace(self, frame=kept)

    def join(self, *others: "MeasurementTable") -> "MeasurementTable":
        """One table of this and others below it.

        Raises
        ------
        InputError
            If a measurement stands twice, or a modality would be in several raw units.
        """
        import pandas as pd

        tables = (self, *others)
        for other in others:
            if not isinstance(other, MeasurementTable):
                raise InputError(
                    f"join takes tables of measurements, not {type(other).__name__}. "
                    "read_measurements(path) makes one."
                )
        frame = pd.concat([table.frame for table in tables], ignore_index=True)
        for name in frame.columns:
            if frame[name].dtype.kind not in "fiu":
                frame[name] = frame[name].fillna("").astype("str")
        faults = check_measurements(frame, Places())
        raise_errors(faults, "the tables cannot be joined (rows counted from 0):")
        return MeasurementTable(frame, tuple(f for table in tables for f in table.findings))

    def __add__(self, other: object) -> "MeasurementTable":
        return self.join(other) if isinstance(other, MeasurementTable) else NotImplemented

    def export(self, path: "str | Path") -> "Path":
        """Write a file that `read_measurements` reads back: ``.csv``, ``.tsv``, ``.parquet``, ``.jsonl``."""
        from bayescale.runs.write import write_runs

        return write_runs(self.frame, path)

    def __repr__(self) -> str:
        return f"MeasurementTable({self._summary()})"

    def _repr_html_(self) -> str:
        from bayescale.runs.html import table_html

        return table_html("MeasurementTable", self._summary(), self.frame, self.findings)

    def _summary(self) -> str:
        units = ", ".join(f"{m} in {unit}" for m, unit in self.units.items())
        tokenizers = len(self.frame[["modality", "tokenizer"]].drop_duplicates())
        materials = len(self.frame[["modality", "material"]].drop_duplicates())
        return f"{len(self)} rows, {tokenizers} tokenizers, {materials} materials, {units or 'empty'}"


def table_of(
    columns: dict[str, Any],
    places: Places | None = None,
    findings: Iterable[Finding] = (),
    heading: str = "the measurements cannot be used (rows counted from 0):",
) -> MeasurementTable:
    """The checked table of these columns; defaults are filled in and ``log_factor`` is worked out.

    Raises
    ------
    InputError
        One message with all faults.
    """
    import pandas as pd

    n = len(next(iter(columns.values())))
    filled = {
        name: columns.get(name, [known.default] * n)
        for name, known in COLUMNS.items()
        if name in columns or known.default is not None
    }
    frame = pd.DataFrame(filled | {name: v for name, v in columns.items() if name not in COLUMNS})
    for name, known in COLUMNS.items():
        if known.kind == "text":
            frame[name] = frame[name].astype("str")
            if isinstance(known.default, str):
                frame[name] = frame[name].where(frame[name] != "", known.default)
    frame["se_log"] = frame["se_log"].astype(float).fillna(0.0)
    raise_errors([*findings, *check_measurements(frame, places or Places())], heading)
    raw, tokens = frame["raw"].to_numpy(dtype=float), frame["tokens"].to_numpy(dtype=float)
    frame = frame.assign(raw=raw, tokens=tokens, log_factor=np.log(raw / tokens))
    return MeasurementTable(frame, tuple(findings))
