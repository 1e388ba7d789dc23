"""The shipped catalogue of published training runs: one folder a study, a card and a table of runs."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.runs.cards import NOT_IN_THE_WHEEL, Card, data_folder, read_card
from bayescale.runs.findings import Finding
from bayescale.runs.schema import COLUMNS
from bayescale.runs.table import RunTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Card", "card", "data_folder", "list_studies", "load_runs"]


def list_studies() -> "pd.DataFrame":
    """The catalogue, one row a study.

    Returns
    -------
    DataFrame
        ``study``, ``title``, ``modality``, ``runs``, ``rows``, ``families``, ``metrics``, ``licence`` and
        ``laws`` (names of laws that the study suits); several names in a cell are joined by commas.
    """
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "study": c.name,
                "title": c.title,
                "modality": c.modality,
                "runs": c.runs,
                "rows": c.rows,
                "families": c.families,
                "metrics": ", ".join(c.metrics),
                "licence": c.licence,
                "laws": ", ".join(c.laws),
            }
            for c in map(card, _names())
        ]
    )


def card(study: str) -> Card:
    """What is known of a study.

    Raises
    ------
    InputError
        If the catalogue has no study of that name; the message names near ones.
    """
    names = _names()
    if study not in names:
        raise InputError(_unknown(study, names))
    return read_card(data_folder() / study / "card.toml")


def load_runs(
    *studies: str,
    where: Any = None,
    all_rows: bool = False,
    exclude_flags: str | Iterable[str] = (),
) -> RunTable:
    """Runs of one or several shipped studies.

    Parameters
    ----------
    *studies : str
        Names as in `list_studies`.
    where : str, callable or array of bool, optional
        Condition on the rows, as in `RunTable.where`, applied after the studies' own selections.
    all_rows : bool, default False
        Take every row of the files instead of the selection that each card states (as a rule finished
        runs on one evaluation, without corrupt values).
    exclude_flags : str or iterable of str
        Leave out rows with one of these flags, such as ``"authors_outlier"``. Flagged rows are kept
        otherwise.

    Returns
    -------
    RunTable
        With a note on what each selection left out and which flags are among the rows, and another if
        the values have several units: such a table can be looked at, but a fit refuses it.

    Raises
    ------
    InputError
        If a study or a flag is unknown, or no row is left.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("gadre-overtraining", where="n_params <= 5e8")
    """
    if not studies:
        raise InputError(f"load_runs needs the name of a study. There are: {', '.join(_names())}.")
    if len(set(map(str, studies))) < len(studies):
        raise InputError(
            f"a study is named twice in {', '.join(map(repr, studies))}: its runs would count twice."
        )
    unwanted = (exclude_flags,) if isinstance(exclude_flags, str) else tuple(exclude_flags)
    cards = [card(study) for study in studies]
    whole = [_read_table(c) for c in cards]
    _check_flags(unwanted, whole)
    if not all_rows:
        whole = [_selected(table, c) for table, c in zip(whole, cards, strict=True)]
    table = whole[0].join(*whole[1:])
    if unwanted:
        table = table.where(lambda frame: ~_carries(frame, unwanted))
    if where is not None:
        table = table.where(where)
    if not len(table):
        raise InputError(
            f"no row of {', '.join(studies)} is left by where={where!r} and exclude_flags={unwanted!r}."
        )
    return RunTable(table.frame, findings=(*table.findings, *_notes(table)), source=", ".join(studies))


def _names() -> list[str]:
    return sorted(path.parent.name for path in data_folder().glob("*/runs.csv"))


def _unknown(study: str, names: list[str]) -> str:
    from difflib import get_close_matches

    if str(study) in NOT_IN_THE_WHEEL:
        return (
            f"the study {study!r} is not in this installation: {NOT_IN_THE_WHEEL[str(study)]}. "
            f"Work from a checkout, or read your own copy with read_runs(path). Here are: {', '.join(names)}."
        )
    if str(study) == "tokenizers":
        return "'tokenizers' holds measurements, not runs: bayescale.load_measurements() reads it."
    asked = str(study)[:80]
    near = get_close_matches(asked.lower(), names, n=3, cutoff=0.4) or [
        n for n in names if asked.lower() in n
    ]
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return (
        f"there is no study called {asked!r} in the catalogue.{hint} Studies: {', '.join(names)}. "
        "A table of your own is read by read_runs(path)."
    )


def _read_table(of: Card) -> RunTable:
    """The study's whole file. It was checked when it was added, so it is read without the door checks."""
    import pandas as pd

    frame = pd.read_csv(data_folder() / of.name / "runs.csv", dtype="str", keep_default_na=False)
    return RunTable(pd.DataFrame({n: _typed(str(n), cells) for n, cells in frame.items()}), source=of.name)


def _typed(name: str, cells: "pd.Series") -> Any:
    """Text, or numbers with NaN for an empty cell; a column of a study's own is text if one cell is."""
    known = COLUMNS.get(name)
    if known is not None and known.kind == "text":
        return cells
    try:
        return np.array([float(cell or "nan") for cell in cells])
    except ValueError:
        return cells


def _selected(table: RunTable, of: Card) -> RunTable:
    picked = of.selection
    rows = table.where(picked.condition) if picked.condition else table
    if picked.exclude_flags:
        rows = rows.where(lambda frame: ~_carries(frame, picked.exclude_flags))
    if len(rows) == len(table):
        return rows
    reasons = [f"where {picked.condition}"] if picked.condition else []
    reasons += [f"without the flag {flag}" for flag in picked.exclude_flags]
    note = Finding(
        "study-selection",
        "note",
        f"{of.name}: {len(rows)} of {len(table)} rows are taken, {', '.join(reasons)}. "
        "load_runs(..., all_rows=True) takes all.",
    )
    return RunTable(rows.frame, findings=(note,), source=of.name)


def _carries(frame: "pd.DataFrame", flags: tuple[str, ...]) -> Any:
    if "flag" not in frame.columns:
        return (frame["value"] != frame["value"]).to_numpy()
    unwanted = set(flags)
    return frame["flag"].map(lambda cell: not unwanted.isdisjoint(cell.split(";"))).to_numpy(dtype=bool)


def _flags(frame: "pd.DataFrame") -> dict[str, int]:
    if "flag" not in frame.columns:
        return {}
    counts = frame["flag"].str.split(";").explode().value_counts()
    return {str(flag): int(n) for flag, n in counts.items() if flag}


def _check_flags(unwanted: tuple[str, ...], tables: list[RunTable]) -> None:
    known = sorted({flag for table in tables for flag in _flags(table.frame)})
    unknown = [flag for flag in unwanted if flag not in known]
    if unknown:
        raise InputError(
            f"exclude_flags names {', '.join(map(repr, unknown))}, which no row carries. "
            f"Flags of {', '.join(t.source for t in tables)}: {', '.join(known) or 'none'}."
        )


def _notes(table: RunTable) -> list[Finding]:
    notes = []
    flags = _flags(table.frame)
    if flags:
        counted = ", ".join(f"{flag} ({n})" for flag, n in flags.items())
        notes.append(
            Finding(
                "flagged-rows",
                "note",
                f"rows with flags are among the runs: {counted}. "
                "load_runs(..., exclude_flags=(...)) leaves them out.",
            )
        )
    metrics = sorted(table.frame["metric"].unique())
    if len(metrics) > 1:
        notes.append(
            Finding(
                "mixed-metrics",
                "note",
                f"the values are of several metrics ({', '.join(metrics)}): they can be looked at together, "
                f"but not fitted together. Choose one: runs.where('metric == \"{metrics[0]}\"').",
            )
        )
    return notes
