"""A fitted study as queries see it: its structure, its draws by name, its record."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError, did_you_mean
from bayescale.laws.elementwise import Array
from bayescale.model.drift import WEIGHTS, beyond, per_bend, shifted
from bayescale.model.measured import NOT_NAMED
from bayescale.model.structure import Structure, effect, from_dict
from bayescale.priors import link, unlink

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = [
    "AVERAGE",
    "LAWS",
    "NEW",
    "Study",
    "drifted",
    "groups_of",
    "one_group",
    "parameters_at",
    "record_of",
    "study_of",
]

NEW = "new"
"""Label that asks for a group not yet seen, drawn from the population."""

AVERAGE, LAWS = "average", "laws"
"""Kind of a tree that holds several studies with weights, and the group in which they stand."""


@dataclass(frozen=True, eq=False)
class Study:
    """What a query works on.

    Attributes
    ----------
    structure : Structure
    blocks : mapping of str to array of shape (sample,) or (sample, group)
        Draws of every unknown, chains laid end to end.
    record : mapping
        As saved with the study.
    """

    structure: Structure
    blocks: Mapping[str, np.ndarray]
    record: Mapping[str, Any]

    @property
    def n_samples(self) -> int:
        """Number of draws over all chains."""
        return next(iter(self.blocks.values())).shape[0]


def study_of(posterior: "xr.DataTree") -> Study:
    """Structure and draws of a fitted study.

    Raises
    ------
    InputError
        If `posterior` is none, or its law is not defined in this process.
    """
    record = record_of(posterior)
    if record.get("kind") == "compression":
        raise InputError(
            "this is a study of compression factors, which has no law of runs. Ask it with "
            "compression_factors(post) or predict_compression(post, modality=...)."
        )
    if record.get("kind") == AVERAGE:
        names = list(record["weights"])
        raise InputError(
            f"this is an average over {', '.join(map(repr, names))}, and what is asked belongs to one law: "
            f"ask a member, such as average['{LAWS}/{names[0]}']. predict, predict_draws, curve, allocate "
            "and isoflop answer for the average."
        )
    structure = from_dict(record)
    draws = posterior["posterior"].dataset
    blocks = {}
    for block in structure.blocks:
        values = draws[block.name].transpose("chain", "draw", ...).values
        blocks[block.name] = values.reshape(-1, *values.shape[2:])
    return Study(structure, blocks, record)


def record_of(posterior: "xr.DataTree") -> dict[str, Any]:
    """The record of a fitted study, or of an average.

    Raises
    ------
    InputError
        If `posterior` is neither.
    """
    text = getattr(posterior, "attrs", {}).get("bayescale")
    if text is None or not {"posterior", LAWS} & set(getattr(posterior, "children", {})):
        raise InputError(
            f"this {type(posterior).__name__} is no fitted study: it lacks the posterior or its record. "
            "Give what bayescale.fit returned, or bayescale.open(path)."
        )
    return json.loads(text)


def groups_of(study: Study, scales: "pd.DataFrame") -> dict[str, np.ndarray]:
    """Position of each row's group among the labels of each factor; -1, -2, ... for new ones.

    A factor whose columns are absent asks for one new group for all rows; or, where the runs did not name
    it either, for the one they shared. Within one call, equal new labels are one new group.

    Raises
    ------
    InputError
        If a label was not among those fitted and does not start with "new".
    """
    s, found = study.structure, {}
    for factor in s.factors:
        columns = factor.split(":")
        if not set(columns) <= set(scales.columns):
            shared = s.labels[factor].index(s.common[factor]) if factor in s.common else -1
            found[factor] = np.full(len(scales), shared)
            continue
        parts = [scales[c].fillna("").astype(str).to_numpy(dtype=str) for c in columns]
        rows = np.array([" : ".join(cells) for cells in zip(*parts, strict=True)], dtype=object)
        known = {label: i for i, label in enumerate(s.labels[factor])}
        if factor in s.common or _of_factors_only(s, factor):
            known.setdefault("", known.get(NOT_NAMED, -1))
        fresh = [r for r in dict.fromkeys(rows) if r not in known]
        for row in fresh:
            _refuse_unseen(s, factor, columns, row)
        known |= {row: -1 - i for i, row in enumerate(fresh)}
        found[factor] = np.array([known[r] for r in rows], dtype=int)
    return found


def one_group(study: Study, group: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Position of one group, named by the columns over which the study was pooled; new where not named.

    Raises
    ------
    InputError
        If a column was not pooled over, or a label is unknown.
    """
    import pandas as pd

    pooled = study.structure.factors
    unknown = sorted(set(group) - {c for f in pooled for c in f.split(":")})
    if unknown:
        raise InputError(
            f"group= names {unknown[0]!r}, over which nothing is pooled here "
            f"(pooled over: {', '.join(pooled) or 'nothing'})."
        )
    return groups_of(study, pd.DataFrame({k: [str(v)] for k, v in group.items()}, index=[0]))


def _of_factors_only(s: Structure, factor: str) -> bool:
    """Whether only compression factors differ over it: a run without that modality names none."""
    letters = [k for k, factors in s.pool.items() if factor in factors]
    return all(s.law.parameters[k].name == "compression" for k in letters)


def _refuse_unseen(s: Structure, factor: str, columns: list[str], row: str) -> None:
    if ":" in factor or row.lower().startswith(NEW):
        return  # a new pair of known parts has a spread of its own; single columns are checked by themselves
    hint = did_you_mean(row, s.labels[factor])
    names = ", ".join(s.labels[factor][:12]) + (", …" if len(s.labels[factor]) > 12 else "")
    raise InputError(
        f"{columns[0]} {row!r} was not among the runs (fitted: {names}).{hint} For a group not seen yet, "
        f"drawn from the population, write {columns[0]} = 'new' (or 'new: {row}')."
    )


def parameters_at(
    study: Study, index: Mapping[str, np.ndarray], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The law's parameters for each row, at the reference scales: shape (sample, row) or (sample, 1)."""
    s = study.structure
    found = {}
    for letter, kind in s.law.parameters.items():
        value: Array = study.blocks[s.population(letter)][:, None]
        factors = s.pool.get(letter, ())
        if factors:
            value = link(kind, value)
            for factor in factors:
                value = value + _effects(study, letter, factor, index[factor], rng)
            value = unlink(kind, value)
        found[letter] = value
    return found


def drifted(study: Study, inputs: Mapping[str, np.ndarray], mean: np.ndarray) -> np.ndarray:
    """The law's value with its misfit, where the study has one: shape (sample, row).

    Inputs in raw units, of shape (row,) or (sample, row).
    """
    s = study.structure
    if s.drift is None:
        return mean
    here = {k: np.asarray(inputs[k], dtype=float) for k in s.law.inputs}
    bends = s.bends_at(here)
    weights = per_bend(s.drift, study.blocks) * study.blocks[WEIGHTS]
    among = weights @ bends.T if bends.ndim == 2 else (bends * weights[:, None, :]).sum(-1)
    return shifted(s.noise.on, mean, among + beyond(s.drift, here, s.drift.sizes(study.blocks)))


def _effects(
    study: Study, letter: str, factor: str, rows: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Effects of known groups as drawn; of new ones from the population, one draw for each sample."""
    known = effect(study.structure, letter, factor, study.blocks)
    fresh = -int(min(rows.min(initial=0), 0))
    if not fresh:
        return known[:, rows]
    spread = study.blocks[f"{letter}_sd_{factor}"][:, None]
    new = spread * rng.standard_normal((study.n_samples, fresh))
    return np.concatenate([known, new[:, ::-1]], axis=1)[:, rows]
