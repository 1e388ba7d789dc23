"""``bayescale runs ...``: what there is to fit."""

import warnings
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescale.cli import machine, show
from bayescale.cli.words import in_options, pooling
from bayescale.errors import BayescaleWarning, InputError

if TYPE_CHECKING:
    from bayescale.runs.findings import Finding
    from bayescale.runs.table import RunTable

__all__ = ["check", "list_studies", "show_study", "tables"]

# What a reader looks for first in a row.
_SHOWN = ("run_id", "family", "eval_name", "n_params", "n_tokens", "n_samples", "flops", "metric", "value")


def tables(given: Namespace) -> "RunTable":
    """The runs named on the command line, files and studies, joined, studies first.

    An existing file is read; another name is looked up in the catalogue.

    Raises
    ------
    InputError
        If a name is neither, or a table cannot be used.
    """
    from bayescale.runs.catalogue import load_runs
    from bayescale.runs.read import read_runs

    files = [source for source in given.sources if _is_file(source)]
    studies = [source for source in given.sources if source not in files]
    _refuse_idle(given, files, studies)
    found = []
    if studies:
        narrowed = {"all_rows": given.all_rows, "exclude_flags": tuple(given.exclude_flag)}
        found.append(load_runs(*studies, where=given.where, **narrowed))
    rename = dict(given.rename)
    found += [read_runs(f, rename=rename, where=given.where, metric=given.metric) for f in files]
    return found[0].join(*found[1:])


def _refuse_idle(given: Namespace, files: list[str], studies: list[str]) -> None:
    """Refuse options that nothing named on the command line would heed."""
    for_files = {"--rename": given.rename, "--metric": given.metric}
    for_studies = {"--all-rows": given.all_rows, "--exclude-flag": given.exclude_flag}
    idle = [
        name
        for name, value in (for_files if not files else for_studies if not studies else {}).items()
        if value
    ]
    if not idle:
        return
    if files:
        raise InputError(
            f"{idle[0]} is for studies of the catalogue, and {', '.join(files)} is read as a file. "
            "Select its rows with --where instead."
        )
    raise InputError(
        f"{idle[0]} is for files. The catalogue ({', '.join(studies)}) has our names already: leave it out."
    )


def _is_file(source: str) -> bool:
    """Whether to read a path: it exists, or its name could not be that of a study."""
    from bayescale.runs.catalogue import data_folder

    path = Path(source)
    if path.is_dir():
        return not (data_folder() / source / "card.toml").is_file()
    return path.is_file() or bool(path.suffix) or any(mark in source for mark in "/\\:")


def list_studies(given: Namespace) -> int:
    """The catalogue."""
    from bayescale.runs.catalogue import list_studies

    studies = list_studies()
    if given.json:
        machine.tell(machine.records(studies))
        return 0
    columns = ("study", "modality", "runs", "families", "metrics", "laws")
    show.table({name: list(studies[name]) for name in columns})
    show.line("bayescale runs show STUDY tells more; bayescale fit STUDY fits one.")
    return 0


def show_study(given: Namespace) -> int:
    """The card of a study, and its first rows."""
    from bayescale.runs.catalogue import card, load_runs

    known = card(given.study)
    rows = load_runs(given.study).frame.head(given.rows)
    if given.json:
        machine.tell(asdict(known) | {"first_rows": machine.records(rows)})
        return 0
    heading, *told = str(known).splitlines()
    show.line(heading)
    pairs = (text.partition(": ") for text in told)
    show.fields((name, text) for name, _, text in pairs)
    if len(rows):
        told = {name: list(rows[name]) for name in _SHOWN if name in rows}
        show.table(
            {name: cells for name, cells in told.items() if any(map(show.figure, cells))}, "first rows"
        )
    return 0


def check(given: Namespace) -> int:
    """Findings about a table, and about what a law can learn from it; 1 if there are errors."""
    table, found = None, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)  # they are among the findings
        try:
            table = tables(given)
            found = _found(table, given)
        except InputError as error:
            found = [*(table.findings if table is not None else ()), _error(error)]
    usable = not any(finding.severity == "error" for finding in found)
    if given.json:
        machine.tell(
            {"usable": usable, "law": given.law} | _size(table) | {"findings": [asdict(f) for f in found]}
        )
        return 0 if usable else 1
    if table is not None:
        show.line(repr(table))
    show.findings(found)
    what = f"law {given.law!r} can be fitted to it" if given.law else "it can be read"
    show.line(f"{what}." if usable else "It cannot be used as it is.")
    return 0 if usable else 1


def _error(error: InputError) -> "Finding":
    from bayescale.runs.findings import Finding

    return Finding("not-usable", "error", in_options(str(error)))


def _found(table: "RunTable", given: Namespace) -> list[Any]:
    pool: Any = pooling(given.pool)
    if not given.law:
        if pool:
            raise InputError("--pool needs --law, whose parameters it names.")
        return list(table.findings)
    from bayescale.laws import find
    from bayescale.model.spec import specify

    return list(specify(table, find(given.law), pool=pool).findings)


def _size(table: "RunTable | None") -> dict[str, Any]:
    if table is None:
        return {}
    frame: Any = table.frame
    return {
        "source": table.source,
        "rows": len(table),
        "runs": len(frame[["study", "family", "run_id"]].drop_duplicates()),
        "families": frame["family"].nunique(),
        "metrics": sorted(map(str, frame["metric"].unique())),
        "columns": list(table.columns),
    }
