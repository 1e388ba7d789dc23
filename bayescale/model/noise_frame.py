"""Coordinates for the effects of groups on the scatter, given the law (see `bayescale.model.centring`).

What the runs of a group say of its offset follows from their distances from the law, whatever the law is at
that point: given the law, the scatter and the spread between groups, the offset is normal where the scatter
is, with middle and width in closed form, and the coordinate is standard normal. So the law's parameters see
the runs as if offsets had been summed over. Scatters of groups are nearly normal about where their own runs
put them once, beforehand.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bayescale.laws.elementwise import Array, log, sqrt
from bayescale.model.density import Density
from bayescale.model.noise import forward
from bayescale.model.noise_scale import OFFSET, SIGMA
from bayescale.model.spec import Spec
from bayescale.model.structure import effect

__all__ = ["Offsets", "Scatters", "offsets_for", "placed", "scatters_for"]

_ROUNDS = 3  # of weighting anew, with noise whose tails are heavy
_LEAST_RATIO = 1e-3  # of a group's scatter to the common one
_TOLD = 1.2  # information of a run about the log of a scatter: 2 if normal, 1 if of Laplace's shape


@dataclass(frozen=True, eq=False)
class Offsets:
    """The groups of one factor of the offsets, as their runs see them.

    Attributes
    ----------
    factor : str
    member : array of shape (row, group)
        1 where a row is of a group.
    later : mapping of str to array of shape (row,)
        For the factors that are worked out after this one: the share of their variance in each row.
    """

    factor: str
    member: np.ndarray
    later: Mapping[str, np.ndarray]

    def place(
        self, away: Array, variance: Array, density: Density, blocks: Mapping[str, Array]
    ) -> tuple[Array, Array]:
        """Middle and width of the offsets in units of their spread; last axis is the group.

        Parameters
        ----------
        away : array of shape (..., row)
            Distance of each run from the law and the offsets worked out before.
        variance : array of shape (..., row)
            Of the scatter, known errors included.
        """
        s = density.spec.structure
        spread = blocks[f"{OFFSET}_sd_{self.factor}"][..., None]
        for factor, share in self.later.items():
            variance = variance + share * blocks[f"{OFFSET}_sd_{factor}"][..., None] ** 2
        learnt = {k: blocks[k][..., None] for k in s.noise_names}
        reweigh = getattr(s.noise, "weight", None)
        weight = 1.0 / variance
        middle, told = self._told(away, weight, spread)
        for _ in range(_ROUNDS if reweigh else 0):
            beyond = (away - middle @ self.member.T) ** 2 / variance
            middle, told = self._told(away, reweigh(beyond, **learnt) / variance, spread)  # type: ignore[misc]
        return middle / spread, 1.0 / sqrt(1.0 + spread**2 * told)

    def _told(self, away: Array, weight: Array, spread: Array) -> tuple[Array, Array]:
        """Most likely offsets and the precision with which runs of these weights put them there."""
        told = weight @ self.member
        return ((weight * away) @ self.member) * spread**2 / (1.0 + spread**2 * told), told


@dataclass(frozen=True, eq=False)
class Scatters:
    """The groups of one factor of the scatter.

    Attributes
    ----------
    factor : str
    middle, information : array of shape (group,)
        Log scatter of each group by its own runs, and how much they say of it.
    """

    factor: str
    middle: np.ndarray
    information: np.ndarray

    def place(self, blocks: Mapping[str, Array]) -> tuple[Array, Array]:
        """Middle and width of the effects in units of their spread; last axis is the group."""
        spread = blocks[f"{SIGMA}_sd_{self.factor}"][..., None]
        away = self.middle - log(blocks[SIGMA])[..., None]
        whole = 1.0 + spread**2 * self.information
        return spread * self.information * away / whole, 1.0 / sqrt(whole)


def placed(
    density: Density,
    blocks: Mapping[str, Array],
    offsets: tuple[Offsets, ...],
    scatters: tuple[Scatters, ...],
) -> tuple[dict[str, Array], Array]:
    """The unknowns with effects in place of their coordinates, and the log Jacobian."""
    spec, found, total = density.spec, dict(blocks), 0.0
    for part in scatters:
        name = f"{SIGMA}_offset_{part.factor}"
        middle, width = part.place(found)
        found[name] = middle + width * found[name]
        total = total + log(width).sum(-1)
    if not offsets:
        return found, total
    on = spec.structure.noise.on
    away = forward(on, spec.value) - forward(on, density.curve(density.with_floor(found)))
    variance = density.noise(found)[SIGMA] ** 2 + spec.error**2
    for part in offsets:
        name = f"{OFFSET}_offset_{part.factor}"
        middle, width = part.place(away, variance, density, found)
        found[name] = middle + width * found[name]
        total = total + log(width).sum(-1)
        away = away - effect(spec.structure, OFFSET, part.factor, found)[..., spec.index[part.factor]]
    return found, total


def offsets_for(spec: Spec) -> tuple[Offsets, ...]:
    """The factors of the offsets, those of few groups first."""
    s = spec.structure
    factors = sorted(s.noise_pool.get(OFFSET, ()), key=lambda factor: len(s.labels[factor]))
    return tuple(
        Offsets(
            factor=factor,
            member=np.eye(len(s.labels[factor]))[spec.index[factor]],
            later={f: _share(spec.index[factor], spec.index[f]) for f in factors[i + 1 :]},
        )
        for i, factor in enumerate(factors)
    )


def _share(coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """Rows over finer groups within the coarse group of each row: what its mean does not average out."""
    pairs = np.unique(np.stack([coarse, fine]), axis=1)
    rows, groups = np.bincount(coarse), np.bincount(pairs[0], minlength=coarse.max() + 1)
    return (rows / np.maximum(groups, 1))[coarse]


def scatters_for(spec: Spec, away: np.ndarray) -> tuple[Scatters, ...]:
    """The factors of the scatter, given how far each run lies from the law.

    Parameters
    ----------
    away : array of shape (run,)
        On the scale of the noise.
    """
    s, left, lost = spec.structure, away, np.zeros(away.size)
    for factor in s.noise_pool.get(OFFSET, ()):
        rows = spec.index[factor]
        count = np.bincount(rows)
        left = left - (np.bincount(rows, weights=left) / np.maximum(count, 1))[rows]
        lost = lost + (1.0 / np.maximum(count, 1))[rows]
    common = max(1.4826 * float(np.median(np.abs(left))), 1e-12)
    found = []
    for factor in s.noise_pool.get(SIGMA, ()):
        rows, n = spec.index[factor], len(s.labels[factor])
        free = np.bincount(rows, weights=np.maximum(1.0 - lost, 0.0), minlength=n)
        own = [1.4826 * np.median(np.abs(left[rows == g])) if (rows == g).any() else common for g in range(n)]
        found.append(
            Scatters(
                factor, np.log(np.maximum(own, _LEAST_RATIO * common)), _TOLD * np.maximum(free - 1.0, 0.0)
            )
        )
    return tuple(found)
