r"""Coordinates for groups that adapt to how much each group's runs say (conditional Laplace).

With H the information of a group's runs about its own parameters (link scale), m where those runs alone
put them, :math:`\mu` the population value and :math:`\tau` the spread, the group's effects in units of
the spread are

.. math:: r = L^{-T}\,(L^{-1} \tau H (m - \mu) + z), \qquad L L^T = \tau H \tau + I

with z the coordinate that is sampled, close to standard normal. Where H is small this is non-centred,
where it is large it is centred, in each direction by itself. It is only a change of coordinates: a poor H
costs speed, never correctness.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bayescale.inference.mode import find_mode
from bayescale.inference.target import Target
from bayescale.laws.elementwise import Array, log, sqrt
from bayescale.model.density import Density, with_middle
from bayescale.model.spec import Spec, without_pooling
from bayescale.model.start import starting_points
from bayescale.priors import link

__all__ = ["Adapted", "Frame", "adapt"]


@dataclass(frozen=True)
class Frame:
    """What the runs of each group of one factor say by themselves.

    Attributes
    ----------
    letters : tuple of str
        Parameters that vary over the factor.
    information : array of shape (group, letter, letter)
    middle : array of shape (group, letter)
        On the link scale.
    """

    letters: tuple[str, ...]
    information: np.ndarray
    middle: np.ndarray


@dataclass(frozen=True)
class Adapted:
    """A density in adapted coordinates: same names, same posterior, another shape.

    Attributes
    ----------
    density : Density
        Without centring of its own.
    frames : mapping of str to Frame
        By factor.
    """

    density: Density
    frames: Mapping[str, Frame]

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each coordinate."""
        return self.density.names

    @cached_property
    def dim(self) -> int:
        """Number of coordinates."""
        return self.density.dim

    def blocks(self, p: Array) -> dict[str, Array]:
        """Unknowns by name from the adapted vector."""
        return self._carry(p)[0]

    def __call__(self, p: Array) -> Array:
        """Log posterior density, up to a constant."""
        blocks, log_jacobian = self._carry(p)
        return self.density.of_blocks(p, blocks) + log_jacobian

    def gradient(self, p: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density and gradient at one point, by a complex step along each coordinate."""
        if not np.isfinite(height := float(self(p))):
            return -np.inf, np.zeros_like(p)
        stepped = self(p + 1e-30j * np.eye(p.size))
        return height, stepped.imag / 1e-30

    def _carry(self, p: Array) -> tuple[dict[str, Array], Array]:
        s = self.density.spec.structure
        blocks = self.density.blocks(p)
        total = 0.0
        for factor, frame in self.frames.items():
            names = [f"{k}_offset_{factor}" for k in frame.letters]
            spread = [blocks[f"{k}_sd_{factor}"][..., None] for k in frame.letters]
            away = [
                frame.middle[:, i] - link(s.law.parameters[k], blocks[s.population(k)])[..., None]
                for i, k in enumerate(frame.letters)
            ]
            offsets, log_jacobian = _offsets(frame.information, spread, away, [blocks[n] for n in names])
            blocks.update(zip(names, offsets, strict=True))
            total = total + log_jacobian
        return blocks, total


def _offsets(
    information: np.ndarray, spread: list[Array], away: list[Array], z: list[Array]
) -> tuple[list[Array], Array]:
    """Offsets from coordinates, with the log Jacobian; the few parameters are looped over by hand.

    Written out so that it serves every array kind, complex numbers included.
    """
    k = len(spread)
    lower: list[list[Array]] = [[None] * k for _ in range(k)]
    half: list[Array] = []
    log_jacobian = 0.0
    for i in range(k):
        for j in range(i + 1):
            entry = spread[i] * spread[j] * information[:, i, j] + (1.0 if i == j else 0.0)
            for m in range(j):
                entry = entry - lower[i][m] * lower[j][m]
            lower[i][j] = sqrt(entry) if i == j else entry / lower[j][j]
        right = spread[i] * sum(information[:, i, j] * away[j] for j in range(k))
        for m in range(i):
            right = right - lower[i][m] * half[m]
        half.append(right / lower[i][i])
        log_jacobian = log_jacobian - log(lower[i][i]).sum(-1)
    offsets: list[Array] = [None] * k
    for i in reversed(range(k)):
        value = half[i] + z[i]
        for m in range(i + 1, k):
            value = value - lower[m][i] * offsets[m]
        offsets[i] = value / lower[i][i]
    return offsets, log_jacobian


def adapt(density: Density) -> Adapted | Density:
    """Adapted coordinates for a pooled specification; the density itself where nothing is pooled."""
    spec = density.spec
    if not spec.structure.pool:
        return density
    bare = with_middle(Density(without_pooling(spec)))
    frames = {factor: _frame(spec, bare, factor) for factor in spec.structure.factors}
    return Adapted(density, frames)


def _frame(spec: Spec, bare: Density, factor: str) -> Frame:
    """Fit each group's runs alone, under the population's priors, and keep mode and information."""
    s = spec.structure
    letters = tuple(k for k in s.law.parameters if factor in s.pool.get(k, ()))
    everyone = find_mode(_target(bare)).point
    found = [
        _alone(spec, bare, letters, np.flatnonzero(spec.index[factor] == g), everyone)
        for g in range(len(s.labels[factor]))
    ]
    return Frame(letters, np.stack([f[0] for f in found]), np.stack([f[1] for f in found]))


def _alone(
    spec: Spec, bare: Density, letters: tuple[str, ...], rows: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Information and middle of one group's runs about `letters`, on the link scale."""
    own = replace(
        bare.spec,
        inputs={k: v[rows] for k, v in spec.inputs.items()},
        value=spec.value[rows],
        error=spec.error[rows],
        run_ids=tuple(spec.run_ids[i] for i in rows),
    )
    density = replace(bare, spec=own)
    blocks = density.blocks(find_mode(_target(density, start[None])).point)
    kinds = spec.structure.law.parameters
    middle = np.array([float(link(kinds[k], blocks[own.structure.population(k)])) for k in letters])
    slopes, weight = density.information_rows(blocks)
    along = np.stack([slopes[k] for k in letters])
    return (along * weight) @ along.T, middle


def _target(density: Density, starts: np.ndarray | None = None) -> Target:
    points = starting_points(density, 24) if starts is None else starts
    return Target(density.names, density, density.gradient, points, lambda: None)
