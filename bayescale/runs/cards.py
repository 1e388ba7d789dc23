"""The card of a study: where its figures come from, what they count, and which traps they hold."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bayescale.errors import InputError

__all__ = ["NOT_IN_THE_WHEEL", "Card", "MetricNote", "Selection", "data_folder", "read_card"]

NOT_IN_THE_WHEEL: dict[str, str] = {
    "chinchilla-figure4": "its authors state no licence, so only the source repository carries it",
    "laion-clip": "its authors state no licence, so only the source repository carries it",
    "laion-comparison": "its authors state no licence, so only the source repository carries it",
    "vlm-visual-tokens": "its authors state no licence, so only the source repository carries it",
}
"""Studies that an installed package lacks, and why."""


@dataclass(frozen=True)
class MetricNote:
    """Unit of a study's values and what they measure."""

    unit: str
    meaning: str


@dataclass(frozen=True)
class Selection:
    """The rows that `load_runs` takes unless it is told to take all.

    Attributes
    ----------
    condition : str
        In the language of `RunTable.where`; empty for every row.
    exclude_flags : tuple of str
        Rows with one of these flags are left out.
    rows : int
        How many rows that leaves.
    """

    condition: str
    exclude_flags: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class Card:
    """What is known of a study: source, licence, units, conventions and traps.

    Attributes
    ----------
    name, title, citation : str
    arxiv : tuple of str
    year : int
    licence : str
        SPDX identifier, or "none stated".
    redistributable : bool
        Whether the package may carry the study's figures.
    url : str
        Where the authors publish them.
    obtained : str
        How the figures were obtained and re-expressed.
    modality : str
    rows, runs, families : int
        Of the whole table.
    laws : tuple of str
        Names of laws that the study suits.
    caveats : tuple of str
    selection : Selection
    metrics : mapping of str to MetricNote
    counts : mapping of str to str
        What columns such as ``n_params`` count here.
    hints : mapping of str to str
        Known answers and advice.
    """

    name: str
    title: str
    citation: str
    arxiv: tuple[str, ...]
    year: int
    licence: str
    redistributable: bool
    url: str
    obtained: str
    modality: str
    rows: int
    runs: int
    families: int
    laws: tuple[str, ...]
    caveats: tuple[str, ...]
    selection: Selection
    metrics: Mapping[str, MetricNote]
    counts: Mapping[str, str]
    hints: Mapping[str, str]

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: {self.title}", *(f"{k}: {v}" for k, v in self._lines())])

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in self._lines())
        return f"<div><p><b>{escape(self.name)}</b> {escape(self.title)}</p><table>{rows}</table></div>"

    def _lines(self) -> list[tuple[str, str]]:
        taken = self.selection.condition or "every row"
        without = (
            f", without {', '.join(self.selection.exclude_flags)}" if self.selection.exclude_flags else ""
        )
        return [
            ("citation", f"{self.citation} (arXiv {', '.join(self.arxiv)})"),
            ("licence", self.licence),
            ("source", self.url),
            ("obtained", self.obtained),
            ("size", f"{self.rows} rows, {self.runs} runs, {self.families} families, {self.modality}"),
            ("taken by default", f"{taken}{without} ({self.selection.rows} rows)"),
            *((f"metric {k}", f"{m.meaning}, in {m.unit}") for k, m in self.metrics.items()),
            *((f"column {k}", v) for k, v in self.counts.items()),
            *(("caveat", c) for c in self.caveats),
            *((f"hint, {k.replace('_', ' ')}", v) for k, v in self.hints.items()),
            ("laws", ", ".join(self.laws)),
        ]


def data_folder() -> Path:
    """Folder of the catalogue: inside the installed package, or ``data`` beside it in a checkout.

    Raises
    ------
    InputError
        If neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "data", package.parent / "data"):
        if folder.is_dir():
            return folder
    raise InputError(
        f"the catalogue is missing: neither {package / 'data'} nor {package.parent / 'data'} is a folder. "
        "Install the package again; read_runs(path) reads tables of your own without it."
    )


def read_card(path: Path) -> Card:
    """The card in a file.

    Raises
    ------
    InputError
        If it is not TOML or lacks a key.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        return Card(
            name=path.parent.name,
            **{
                key: told[key]
                for key in ("title", "citation", "year", "licence", "redistributable", "obtained")
            },
            arxiv=tuple(told["arxiv"]),
            url=told["url_of_source"],
            laws=tuple(told["laws"]),
            caveats=tuple(told["caveats"]),
            **told["size"],
            selection=Selection(
                condition=told["selection"]["default"],
                exclude_flags=tuple(told["selection"]["exclude_flags"]),
                rows=told["selection"]["rows"],
            ),
            metrics={name: MetricNote(**note) for name, note in told["metrics"].items()},
            counts=told["counts"],
            hints=told.get("hints", {}),
        )
    except (ValueError, KeyError, TypeError) as fault:
        raise InputError(
            f"the card {path} cannot be used: {type(fault).__name__}, {fault}. "
            f"Its keys are described in {path.parents[1] / 'README.md'}."
        ) from fault
