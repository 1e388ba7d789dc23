"""A table with its findings, as a notebook shows it."""

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

from bayescale.runs.findings import Finding

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["table_html"]

_MOST = 10  # rows, and findings


def table_html(name: str, summary: str, frame: "pd.DataFrame", findings: Iterable[Finding]) -> str:
    """Name, summary, first findings and first rows; every cell escaped."""
    head = "".join(f"<th>{escape(str(column))}</th>" for column in frame.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(_shown(cell))}</td>" for cell in row) + "</tr>"
        for row in frame.head(_MOST).itertuples(index=False)
    )
    found = "".join(f"<li>{escape(f.severity)}: {escape(f.message)}</li>" for f in [*findings][:_MOST])
    return (
        f"<div><p><b>{escape(name)}</b> {escape(summary)}</p><ul>{found}</ul>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _shown(cell: Any) -> str:
    if isinstance(cell, float):
        return "" if cell != cell else f"{cell:.6g}"
    return str(cell)[:80]
