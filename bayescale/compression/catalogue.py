"""The shipped measurements of tokenizers, and their card."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from bayescale.compression.schema import RAW_UNITS
from bayescale.compression.table import MeasurementTable, table_of
from bayescale.errors import InputError
from bayescale.runs.cards import data_folder
from bayescale.runs.findings import Finding

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MeasurementCard", "load_measurements", "measurement_card"]


@dataclass(frozen=True)
class MeasurementCard:
    """Where the shipped measurements come from, under which licences, and their traps.

    Attributes
    ----------
    title, citation, obtained : str
    arxiv, caveats : tuple of str
    licences : mapping of str to str
        By source, as in the column ``source``.
    copies : mapping of str to str
        Tokenizers that give the same counts as another one, which is named.
    left_out : mapping of str to str
        Sources that are not shipped, and why.
    rows : int
        Of the whole catalogue, copies included, each raw unit of a row counted once.
    """

    title: str
    citation: str
    obtained: str
    arxiv: tuple[str, ...]
    caveats: tuple[str, ...]
    licences: Mapping[str, str]
    copies: Mapping[str, str]
    left_out: Mapping[str, str]
    rows: int

    def __str__(self) -> str:
        parts = [
            self.title,
            f"citation: {self.citation}",
            f"obtained: {self.obtained}",
            *(f"caveat: {text}" for text in self.caveats),
            *(f"licence of {name}: {text}" for name, text in self.licences.items()),
            *(f"copy: {name} counts as {of}" for name, of in self.copies.items()),
            *(f"left out: {name}, {why}" for name, why in self.left_out.items()),
        ]
        return "\n".join(parts)


@cache
def measurement_card() -> MeasurementCard:
    """The card of the shipped measurements."""
    told = tomllib.loads((data_folder() / "tokenizers" / "card.toml").read_text(encoding="utf-8"))
    return MeasurementCard(
        **{name: told[name] for name in ("title", "citation", "obtained", "rows")},
        **{name: tuple(told[name]) for name in ("arxiv", "caveats")},
        **{name: told[name] for name in ("licences", "copies", "left_out")},
    )


def load_measurements(
    *,
    where: Any = None,
    raw_unit: Literal["bytes", "characters", "seconds", "pixels"] = "bytes",
    copies: bool = False,
) -> MeasurementTable:
    """The shipped measurements of tokenizers: text in 204 languages, sound, images, video.

    Text is FLORES-200, the same sentences in every language, so the language is the material (arXiv
    2305.15425); in characters there are also 31 language models on English and Japanese web text. See
    `measurement_card` for sources, licences and traps.

    Parameters
    ----------
    where : str, callable or array of bool, optional
        Rows to keep, as in `MeasurementTable.where`.
    raw_unit : {"bytes", "characters", "seconds", "pixels"}
        Unit of the raw side; modalities that the sources do not give in it have no rows.
    copies : bool, default False
        Keep tokenizers that give the same counts as another (``r50k_base`` and ``GPT-2``). They are not
        further evidence on how tokenizers differ, so a fit goes without.

    Returns
    -------
    MeasurementTable

    Raises
    ------
    InputError
        If the unit is not known or no row is left.

    Examples
    --------
    >>> import bayescale as bs
    >>> bs.load_measurements(where="modality == audio").units
    {'audio': 'bytes'}
    """
    if raw_unit not in RAW_UNITS:
        raise InputError(f"raw_unit is {raw_unit!r}, but must be one of {', '.join(RAW_UNITS)}.")
    frame = _catalogue()
    frame = frame.loc[frame[raw_unit].notna()]
    same = measurement_card().copies
    left_out = sorted(set(frame["tokenizer"]) & set(same)) if not copies else []
    frame = frame.loc[~frame["tokenizer"].isin(left_out)].reset_index(drop=True)
    frame = frame.assign(raw_unit=raw_unit, raw=frame[raw_unit])
    kept = frame.drop(columns=[name for name in RAW_UNITS if name in frame])
    table = table_of({str(name): kept[name] for name in kept.columns})
    notes = []
    if left_out:
        told = ", ".join(f"{name} (as {same[name]})" for name in left_out)
        notes.append(
            Finding("copies-left-out", "note", f"left out as copies: {told}. copies=True keeps them.")
        )
    table = MeasurementTable(table.frame, tuple(notes))
    if where is not None:
        table = table.where(where)
    if not len(table):
        raise InputError(f"no shipped measurement in {raw_unit} is left by where={where!r}.")
    return table


@cache
def _catalogue() -> "pd.DataFrame":
    """Every shipped measurement, with its sizes in all units."""
    import pandas as pd

    folder = data_folder() / "tokenizers"
    if not folder.is_dir():
        raise InputError(f"the shipped measurements are missing: {folder} is no folder. Install again.")
    wide = pd.read_csv(folder / "flores200.csv")
    text = wide.melt(["material", "bytes", "characters"], var_name="tokenizer", value_name="tokens").dropna()
    text = text.assign(
        material="FLORES-200 " + text["material"], modality="text", flag="", source="petrov2023"
    )
    rest = pd.read_csv(folder / "measurements.csv", keep_default_na=False, dtype="str")
    for name in ("tokens", *RAW_UNITS):
        rest[name] = pd.to_numeric(rest[name])
    return pd.concat([text, rest], ignore_index=True)
