"""What a fitted study is, without its rows: law, units, groups, priors and noise.

A law's parameter is one number (unpooled), or a population value with an effect for each group of each
factor, added on the link scale. The unknowns are named *blocks*:

``alpha`` or ``alpha_population``
    the value shared by all runs; ``A_ref`` where the parameter carries the unit of an input, since it
    is stated at the reference scales.
``alpha_sd_family``
    standard deviation of the family effects, on the link scale.
``alpha_offset_family``
    the family effects divided by a power of that deviation (see `Structure.centring`).
``C_text_scatter``
    scatter of measured log factors, where measurements are joined (`bayescale.model.measured`).
``drift``, ``drift_compute``, ``drift_weights``
    sizes and bends of the misfit, where there is one (`bayescale.model.drift`).
``sigma``, ``nu``, ``precision``
    the noise.
``offset_sd_run_id``, ``offset_offset_run_id``, ``sigma_sd_study``, ``sigma_offset_study``, ``sigma_slope``
    how the scatter hangs together (`bayescale.model.dependence`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bayescale.errors import InputError
from bayescale.laws import Kind, Law, find
from bayescale.laws.elementwise import Array
from bayescale.model import noise as noise_parts
from bayescale.model.drift import EXCESS, PART, SIZE, WEIGHTS, Bends, bends_at
from bayescale.model.noise import Noise
from bayescale.model.noise_scale import SLOPE
from bayescale.priors import Prior, as_prior, link, unlink

__all__ = [
    "Block",
    "Structure",
    "effect",
    "from_dict",
    "group_values",
    "kind_beside",
    "law_of",
    "measured_means",
    "row_parameters",
    "to_dict",
]


@dataclass(frozen=True)
class Block:
    """One named unknown: a number, or one number for each label of `factor`."""

    name: str
    prior: Prior | None
    factor: str | None = None
    size: int = 1


@dataclass(frozen=True)
class Structure:
    """Everything that a posterior needs in order to be questioned.

    Attributes
    ----------
    law : Law
    columns : mapping of str to str
        Column that was read for each input of the law.
    reference : mapping of str to float
        Scale by which each input was divided.
    metric : str
        What `value` is; its unit.
    noise : Noise
    pool : mapping of str to tuple of str
        Factors over which a parameter varies; ``"family:eval_name"`` is a pair of columns.
    labels : mapping of str to tuple of str
        Groups of each factor.
    nesting : mapping of str to mapping of str to tuple of int
        For a pair of columns, the position of each pair's parts among the labels of the parts.
    priors : mapping of str to Prior
        By law letter, by ``<letter>_sd_<factor>`` and by noise parameter.
    centring : mapping of str to tuple of float
        By ``<letter>_offset_<factor>``: 0 samples a group's effect in units of the spread between
        groups, 1 samples the effect itself.
    measured : mapping of str to tuple of str
        Letters with measurement rows of their own, and the factors by which those rows differ.
    common : mapping of str to str
        Factors that the run table does not name, and the label under which all runs stand: one
        tokenizer, or one material, drawn like the measured ones.
    drift : Bends, optional
        How the law may go wrong; None where it is taken to hold.
    noise_pool : mapping of str to tuple of str
        Factors over which the scatter hangs together: ``offset`` of the runs of a group, and ``sigma``.
    size_middle : float
        Middle of the input with which the scatter grows, where it does.
    """

    law: Law
    columns: Mapping[str, str]
    reference: Mapping[str, float]
    metric: str
    noise: Noise
    pool: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nesting: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    priors: Mapping[str, Prior] = field(default_factory=dict)
    centring: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    measured: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    common: Mapping[str, str] = field(default_factory=dict)
    drift: Bends | None = None
    noise_pool: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    size_middle: float = 1.0

    def base(self, letter: str) -> str:
        """Name of a parameter at the reference scales: ``A_ref`` for A, ``alpha`` for alpha."""
        return f"{letter}_ref" if letter in self.law.scaling else letter

    def population(self, letter: str) -> str:
        """Name of the block with the value shared by all groups."""
        return f"{self.base(letter)}_population" if self.pool.get(letter) else self.base(letter)

    @property
    def factors(self) -> tuple[str, ...]:
        """All factors of the law's parameters, in the order in which they first occur."""
        return tuple(dict.fromkeys(f for factors in self.pool.values() for f in factors))

    @property
    def noise_factors(self) -> tuple[str, ...]:
        """All factors of the scatter, in the order in which they first occur."""
        return tuple(dict.fromkeys(f for factors in self.noise_pool.values() for f in factors))

    @property
    def every_factor(self) -> tuple[str, ...]:
        """Factors of the law's parameters, and after them those of the scatter alone."""
        return tuple(dict.fromkeys((*self.factors, *self.noise_factors)))

    @property
    def plain_noise(self) -> bool:
        """Whether all runs scatter alike and by themselves."""
        return not self.noise_pool and SLOPE not in self.priors

    @property
    def noise_names(self) -> tuple[str, ...]:
        """Names of what the noise part learns, one value for all runs."""
        others = {*self.law.parameters, *(f"{k}_scatter" for k in self.measured), SIZE, EXCESS, SLOPE}
        return tuple(k for k in self.priors if k not in others and "_sd_" not in k)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The unknowns, in the order of the flat vector."""
        found = [Block(self.population(k), self.priors[k]) for k in self.law.parameters]
        found += self._of_groups(self.pool)
        if self.drift:
            found += [Block(k, self.priors[k]) for k in (SIZE, EXCESS) if k in self.priors]
            found.append(Block(WEIGHTS, None, PART, len(self.drift.labels)))
        slope = (SLOPE,) if SLOPE in self.priors else ()
        names = (*(f"{k}_scatter" for k in self.measured), *self.noise_names, *slope)
        found += [Block(name, self.priors[name]) for name in names]
        return tuple(found + self._of_groups(self.noise_pool))

    def _of_groups(self, pool: Mapping[str, tuple[str, ...]]) -> list[Block]:
        """Spread and effects of the groups of each factor."""
        found = []
        for letter, factors in pool.items():
            for factor in factors:
                sd = f"{letter}_sd_{factor}"
                found.append(Block(sd, self.priors[sd]))
                found.append(Block(f"{letter}_offset_{factor}", None, factor, len(self.labels[factor])))
        return found

    def bends_at(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Bends of the misfit at scales in raw units; last axis is the bend."""
        assert self.drift is not None
        return bends_at(self.drift, self.law, self.reference, inputs, self.noise.on)

    def dims(self, letter: str) -> tuple[str, ...]:
        """Factors that label the values of a parameter; a pair of columns takes its parts in.

        A factor under whose one label all runs stand has no dim: the value is the one of the runs.
        """
        factors = [f for f in self.pool.get(letter, ()) if f not in self.common]
        inside = {part for f in factors if ":" in f for part in f.split(":")}
        return tuple(f for f in factors if f not in inside)


def effect(structure: Structure, letter: str, factor: str, blocks: Mapping[str, Array]) -> Array:
    """Effects of the groups of a factor, on the link scale; last axis is the group."""
    name = f"{letter}_offset_{factor}"
    sd = blocks[f"{letter}_sd_{factor}"][..., None]
    weights = structure.centring.get(name)
    if weights is None or not any(weights):
        return sd * blocks[name]
    return sd ** (1.0 - np.asarray(weights)) * blocks[name]


def row_parameters(
    structure: Structure, blocks: Mapping[str, Array], index: Mapping[str, np.ndarray]
) -> dict[str, Array]:
    """A law's parameters for each row, at the reference scales; last axis is the row, or of length 1."""
    found = {}
    for letter, kind in structure.law.parameters.items():
        value = blocks[structure.population(letter)][..., None]
        factors = structure.pool.get(letter, ())
        if factors:
            value = link(kind, value)
            for factor in factors:
                value = value + effect(structure, letter, factor, blocks)[..., index[factor]]
            value = unlink(kind, value)
        found[letter] = value
    return found


def measured_means(
    structure: Structure, letter: str, blocks: Mapping[str, Array], index: Mapping[str, np.ndarray]
) -> Array:
    """Expected log factor of each measurement row of a letter; last axis is the row, or of length 1."""
    value = link(structure.law.parameters[letter], blocks[structure.population(letter)][..., None])
    for factor in structure.measured[letter]:
        value = value + effect(structure, letter, factor, blocks)[..., index[factor]]
    return value


def group_values(structure: Structure, letter: str, blocks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Values of a pooled parameter by group; trailing axes are `Structure.dims`."""
    kind, dims = structure.law.parameters[letter], structure.dims(letter)
    value = link(kind, blocks[structure.population(letter)])
    value = value.reshape(value.shape + (1,) * len(dims))
    for factor in structure.pool[letter]:
        part = effect(structure, letter, factor, blocks)
        if factor in structure.common:
            place = structure.labels[factor].index(structure.common[factor])
            value = value + part[..., place].reshape(part.shape[:-1] + (1,) * len(dims))
            continue
        home = next(d for d in dims if factor == d or factor in d.split(":"))
        if factor != home:
            part = part[..., np.asarray(structure.nesting[home][factor])]
        place = dims.index(home)
        value = value + part.reshape(
            part.shape[:-1] + (1,) * place + part.shape[-1:] + (1,) * (len(dims) - 1 - place)
        )
    return unlink(kind, value)


def to_dict(structure: Structure) -> dict[str, Any]:
    """A mapping that JSON can hold; `from_dict` reads it back."""
    return {
        "law": structure.law.name,
        "inputs": list(structure.law.inputs),
        "parameters": {k: kind.name for k, kind in structure.law.parameters.items()},
        "columns": dict(structure.columns),
        "reference": dict(structure.reference),
        "metric": structure.metric,
        "noise": noise_parts.to_dict(structure.noise),
        "pool": {k: list(v) for k, v in structure.pool.items()},
        "labels": {k: list(v) for k, v in structure.labels.items()},
        "nesting": {k: {p: list(i) for p, i in v.items()} for k, v in structure.nesting.items()},
        "priors": {k: v.to_dict() for k, v in structure.priors.items()},
        "centring": {k: list(v) for k, v in structure.centring.items()},
        "held": dict(structure.law.held),
        "measured": {k: list(v) for k, v in structure.measured.items()},
        "common": dict(structure.common),
        "drift": structure.drift.to_dict() if structure.drift else None,
        "noise_pool": {k: list(v) for k, v in structure.noise_pool.items()},
        "size_middle": structure.size_middle,
    }


def from_dict(stored: Mapping[str, Any]) -> Structure:
    """The structure from its mapping.

    Raises
    ------
    InputError
        If its law is not defined in this process, or is defined with other parameters.
    """
    law = law_of(stored)
    return Structure(
        law=law,
        columns=dict(stored["columns"]),
        reference=dict(stored["reference"]),
        metric=stored["metric"],
        noise=noise_parts.from_dict(stored["noise"]),
        pool={k: tuple(v) for k, v in stored["pool"].items()},
        labels={k: tuple(v) for k, v in stored["labels"].items()},
        nesting={k: {p: tuple(i) for p, i in v.items()} for k, v in stored["nesting"].items()},
        priors={k: Prior(**v) for k, v in stored["priors"].items()},
        centring={k: tuple(v) for k, v in stored["centring"].items()},
        measured={k: tuple(v) for k, v in stored.get("measured", {}).items()},
        common=dict(stored.get("common", {})),
        drift=Bends.from_dict(stored["drift"]) if stored.get("drift") else None,
        noise_pool={k: tuple(v) for k, v in stored.get("noise_pool", {}).items()},
        size_middle=float(stored.get("size_middle", 1.0)),
    )


def law_of(stored: Mapping[str, Any]) -> Law:
    """The law of a stored structure, without what was left out of it, reading the inputs it read.

    Raises
    ------
    InputError
        If it is not defined in this process, or is defined with other parameters.
    """
    try:
        law = find(stored["law"]).holding(**stored.get("held", {}))
    except InputError as error:
        raise InputError(
            f"this study was fitted with the law {stored['law']!r}, which is not defined here (parameters: "
            f"{', '.join(stored['parameters'])}; inputs: {', '.join(stored['inputs'])}). Define it with "
            "@bayescale.law(...) as it was, then open the study again."
        ) from error
    here = {k: kind.name for k, kind in law.parameters.items()}
    if here != dict(stored["parameters"]):
        raise InputError(
            f"the law {law.name!r} defined here learns {here}, but this study was fitted with one that "
            f"learns {dict(stored['parameters'])}. Define it as it was, or give the new one another name."
        )
    return law if law.inputs == tuple(stored["inputs"]) else law.reading(*stored["inputs"])


def prior_of(structure: Structure, letter: str, value: Any) -> Prior:
    """A user's prior for one of the structure's unknowns, checked against its support."""
    if letter in structure.law.parameters:
        return as_prior(value, letter, structure.law.parameters[letter])
    return as_prior(value, letter, kind_beside(structure.priors[letter]))


def kind_beside(prior: Prior) -> Kind:
    """What kind of number an unknown is that is not the law's, by the support of its default prior."""
    if prior.support == "real":
        return Kind("slope", "real", "a power, of either sign")
    if prior.support == "unit":
        return Kind("fraction", "unit", "a share, between 0 and 1")
    return Kind("scale", "positive", "a scale or spread, above zero")
