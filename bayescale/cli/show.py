"""Answers as tables and lines for people."""

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bayescale.cli.words import printable

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayescale.runs.findings import Finding

__all__ = ["fields", "figure", "findings", "frame", "interval", "intervals", "line", "table"]

_WIDE = 120  # characters of a line where nobody says how wide the screen is


def line(text: str = "") -> None:
    """A line of text."""
    print(printable(text))


def figure(value: Any) -> str:
    """A cell: four digits of a number, nothing for a missing one."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return "" if value is None else str(value)
    number = float(value)
    if number != number:
        return ""
    return f"{int(number)}" if number == int(number) and abs(number) < 1e6 else f"{number:.4g}"


def interval(lower: float, upper: float) -> str:
    """``0.325 to 0.358``."""
    return f"{figure(lower)} to {figure(upper)}"


def table(columns: Mapping[str, Sequence[Any]], title: str = "") -> None:
    """Columns of equal length as a table; numbers to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    found = Table(box=SIMPLE_HEAD, title=printable(title) or None, title_justify="left", pad_edge=False)
    for name, cells in columns.items():
        right = len(cells) > 0 and all(isinstance(c, int | float) or hasattr(c, "dtype") for c in cells)
        found.add_column(Text(printable(name)), justify="right" if right else "left", overflow="fold")
    for row in zip(*columns.values(), strict=True):
        found.add_row(*(Text(printable(figure(cell))) for cell in row))
    width = shutil.get_terminal_size((_WIDE, 24)).columns if sys.stdout.isatty() else _WIDE
    Console(file=sys.stdout, width=width, highlight=False, markup=False).print(found)


def frame(rows: "pd.DataFrame", title: str = "") -> None:
    """A data frame as a table."""
    table({str(name): list(rows[name]) for name in rows.columns}, title)


def fields(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and what they are, one a line, with long ones wrapped under themselves."""
    from textwrap import fill

    pairs = [(name, text) for name, text in pairs if text]
    wide = min(24, max((len(name) for name, _ in pairs), default=0)) + 2
    for name, text in pairs:
        line(fill(text, _WIDE, initial_indent=name.ljust(wide), subsequent_indent=" " * wide))


def findings(found: Iterable["Finding"]) -> None:
    """What was noticed, the gravest first."""
    from bayescale.runs.findings import gravest_first

    for finding in gravest_first(found):
        line(f"{finding.severity}: {finding.message}")


def foretold(rows: "xr.Dataset", title: str, **columns: list[Any]) -> None:
    """Rows held back, with what was foretold of each; `columns` stand after these, ``_`` for a blank."""
    ends = zip(rows["lower"].values, rows["upper"].values, strict=True)
    told = {
        "run": [str(name) for name in rows["run"].values],
        "observed": rows["observed"].values.tolist(),
        "median": rows["median"].values.tolist(),
        "interval": [interval(*pair) for pair in ends],
    }
    table(told | {name.replace("_", " "): cells for name, cells in columns.items()}, title)


def intervals(found: "xr.Dataset") -> None:
    """Median and interval of each quantity, group by group."""
    rows: list[tuple[str, str, float, str]] = []
    for name in found.data_vars:
        flat = found[name].transpose("bound", ...).values.reshape(3, -1)
        for i, label in enumerate(_labels(found[name])):
            rows.append((str(name), label, float(flat[0, i]), interval(flat[1, i], flat[2, i])))
    columns: dict[str, Any] = {
        "quantity": [row[0] for row in rows],
        "group": [row[1] for row in rows],
        "median": [row[2] for row in rows],
        f"{found.attrs['prob']:.0%} interval": [row[3] for row in rows],
    }
    if not any(columns["group"]):
        del columns["group"]
    table(columns, f"law {found.attrs['law']}, metric {found.attrs['metric']}")
    if "compression" in found.attrs:
        line(found.attrs["compression"])


def _labels(values: "xr.DataArray") -> list[str]:
    """Groups of a quantity, in the order of its flattened values."""
    from itertools import product

    dims = [dim for dim in values.dims if dim != "bound"]
    return [", ".join(map(str, labels)) for labels in product(*(values[dim].values for dim in dims))]
