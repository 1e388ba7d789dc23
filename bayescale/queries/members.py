"""The studies that answer a question: one, or those of an average in proportion to their weights."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayescale.errors import InputError
from bayescale.queries.scales import decades_beyond, inputs_of
from bayescale.queries.study import AVERAGE, LAWS, Study, record_of, study_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["answering", "farthest", "lead", "members_of", "studies_of", "told"]


def members_of(posterior: "xr.DataTree") -> dict[str, "xr.DataTree"]:
    """The fitted studies of an average by name; a study alone is its own, without a name."""
    if record_of(posterior).get("kind") != AVERAGE:
        return {"": posterior}
    laws = posterior.children[LAWS].children
    return {name: laws[name] for name in record_of(posterior)["weights"]}


def studies_of(posterior: "xr.DataTree") -> dict[str, Study]:
    """What a query works on, by name: a study alone, or the members of an average.

    Members bring draws in proportion to their weights, as many in all as the largest of them has, spread
    evenly over its own; one without weight brings none and is left out.

    Raises
    ------
    InputError
        If this is neither, or a law is not defined in this process.
    """
    members = members_of(posterior)
    studies = {name: study_of(member) for name, member in members.items()}
    if "" in studies:
        return studies
    weights = record_of(posterior)["weights"]
    total = max(study.n_samples for study in studies.values())
    counts = _shared_out([float(weights[name]) for name in studies], total)
    return {
        name: _thinned(study, count)
        for (name, study), count in zip(studies.items(), counts, strict=True)
        if count
    }


def lead(studies: Mapping[str, Study]) -> Study:
    """The study whose law reads most, by which runs are shown."""
    return max(studies.values(), key=lambda study: len(study.structure.law.inputs))


def told(studies: Mapping[str, Study]) -> dict[str, str]:
    """Metric and law of an answer, in words, as attributes."""
    if "" in studies:
        law = studies[""].structure.law.name
    else:
        total = sum(study.n_samples for study in studies.values())
        shares = ", ".join(f"{name} {study.n_samples / total:.0%}" for name, study in studies.items())
        law = f"average of {shares}"
    return {"metric": lead(studies).structure.metric, "law": law}


def farthest(studies: Mapping[str, Study], frame: "pd.DataFrame") -> np.ndarray:
    """How far each row lies beyond the runs, over the inputs of all laws."""
    return np.max([decades_beyond(study, inputs_of(study, frame)) for study in studies.values()], axis=0)


@contextmanager
def answering(name: str) -> Iterator[None]:
    """Refusals of one member of an average name it."""
    try:
        yield
    except InputError as error:
        if not name:
            raise
        raise InputError(
            f"{name!r}, a member of this average, cannot answer: {error} Ask it of an average of the others."
        ) from error


def _shared_out(weights: Iterable[float], total: int) -> list[int]:
    """Whole numbers in proportion to weights, by the largest remainder."""
    shares = np.asarray(list(weights), dtype=float)
    exact = shares / shares.sum() * total
    counts = np.floor(exact).astype(int)
    most_left = np.argsort(counts - exact, kind="stable")[: total - int(counts.sum())]
    counts[most_left] += 1
    return counts.tolist()


def _thinned(study: Study, count: int) -> Study:
    if count == study.n_samples:
        return study
    rows = np.linspace(0, study.n_samples - 1, count).round().astype(int)
    return replace(study, blocks={k: v[rows] for k, v in study.blocks.items()})
