"""``bayescale laws``: the laws by subject, and one of them in full."""

import inspect
import re
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from bayescale.cli import machine, show

if TYPE_CHECKING:
    from bayescale.laws import Law
    from bayescale.laws.published import Published

__all__ = ["laws"]


def laws(given: Namespace) -> int:
    """Every law with what it reads, or the one that is named."""
    from bayescale.laws import find

    return _one(find(given.name), given.json) if given.name else _every(given.json)


def _every(as_json: bool) -> int:
    from bayescale.laws import registered
    from bayescale.laws.subjects import SUBJECTS, subject_of

    known = registered().values()
    order = [*SUBJECTS.values(), "your own"]
    listed = sorted(known, key=lambda law: (order.index(subject_of(law)), law.name))
    if as_json:
        machine.tell([_told(law) for law in sorted(known, key=lambda law: law.name)])
        return 0
    subjects = [subject_of(law) for law in listed]
    heads = [s if i == 0 or subjects[i - 1] != s else "" for i, s in enumerate(subjects)]
    show.table(
        {
            "subject": heads,
            "law": [law.name for law in listed],
            "reads": [", ".join(law.inputs) for law in listed],
            "summary": [law.summary for law in listed],
        }
    )
    show.line(f"{len(listed)} laws. bayescale laws NAME tells what one learns, and what was published of it.")
    return 0


def _told(law: "Law") -> dict[str, Any]:
    from bayescale.laws.subjects import subject_of

    return {
        "law": law.name,
        "subject": subject_of(law),
        "reads": list(law.inputs),
        "learns": {letter: kind.name for letter, kind in law.parameters.items()},
        "summary": law.summary,
        "reference": law.reference,
    }


def _one(law: "Law", as_json: bool) -> int:
    """A law with its formula, columns, letters, and the coefficients that sources printed."""
    from bayescale.runs.schema import column_of

    printed = _printed(law)
    formulas, text = _formulas(law)
    columns = {name: column_of(name) for name in law.inputs}
    if as_json:
        meanings = {k: {"meaning": c.meaning, "unit": c.unit} if c else None for k, c in columns.items()}
        more = {"formula": formulas, "text": text, "columns": meanings, "typical": dict(law.typical)}
        more |= {"falls_with": list(law.falls_with), "rises_with": list(law.rises_with)}
        machine.tell(_told(law) | more | {"published": [_told_of(p) for p in printed]})
        return 0
    show.line(f"{law.name}: {law.summary}")
    show.line()
    for formula in formulas:
        show.line(f"  {formula}")
    for paragraph in text:
        show.line()
        show.fields([("", paragraph)])
    reads = {"reads": list(columns), "unit": [c.unit if c else "" for c in columns.values()]}
    show.table(reads | {"meaning": [c.meaning if c else "a column of your own" for c in columns.values()]})
    learns: dict[str, Any] = {"learns": list(law.parameters)}
    learns["kind"] = [kind.name for kind in law.parameters.values()]
    learns["usually"] = [show.figure(law.typical.get(letter)) for letter in law.parameters]
    show.table(learns | {"meaning": [kind.meaning for kind in law.parameters.values()]})
    _show_printed(printed)
    show.line(f"reference: {law.reference or 'none'}")
    return 0


def _printed(law: "Law") -> "list[Published]":
    """What sources printed of the law."""
    from bayescale.laws.published import published

    rows = published()
    return [published(row.key, row.variant) for row in rows[rows["law"] == law.name].itertuples()]


def _told_of(printed: "Published") -> dict[str, Any]:
    return {
        "key": printed.key,
        "variant": printed.variant,
        "parameters": dict(printed.parameters),
        "missing": list(printed.missing),
        "unit": printed.unit,
        "domain": {name: list(ends) for name, ends in printed.domain.items()},
        "citation": printed.citation,
        "caveats": list(printed.caveats),
    }


def _show_printed(printed: "list[Published]") -> None:
    if not printed:
        return
    columns = {
        "published": [p.key for p in printed],
        "variant": [p.variant for p in printed],
        "coefficients": [
            ", ".join(f"{letter} {show.figure(v)}" for letter, v in p.parameters.items()) for p in printed
        ],
    }
    if any(p.missing for p in printed):
        columns["not given"] = [", ".join(p.missing) for p in printed]
    show.table(columns)
    show.line(f"bayescale.published({printed[0].key!r}) tells citation, range and caveats.")


def _formulas(law: "Law") -> tuple[list[str], list[str]]:
    """Displayed formulas of a docstring, each on one line, and its paragraphs of text."""
    formulas, text = [], []
    body = (inspect.getdoc(law.formula) or "").partition("\n")[2]
    for block in body.split("\n\n"):
        words = " ".join(block.split())
        if words.startswith(".. math::"):
            formulas.append(words.removeprefix(".. math::").strip())
        elif words:
            text.append(re.sub(r":math:`([^`]*)`", r"\1", words))
    return formulas, text
