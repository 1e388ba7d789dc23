r"""Coordinates for the bends of a drift that follow what the runs say of them (conditional Laplace).

Given the law, the scatter and the sizes of the drift, the weights w of the bends are normal where the noise
is, with precision :math:`P = 1 + S \Phi^T W \Phi S` and middle :math:`P^{-1} S \Phi^T W r`, r the distance
of each run from the law. Heavy-tailed noise weighs each run by how far it lies: W is taken from a first
solution with weights worked out once, so that the coordinates are near standard normal wherever the law,
the scatter and the sizes go. The density of a run bends by less than that weight, on average by the share
(nu + 1) / (nu + 3) of it, which P takes in. A poor W costs speed, never correctness.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bayescale.inference.mode import find_mode
from bayescale.inference.slopes import by_steps
from bayescale.laws.elementwise import Array, log
from bayescale.model.density import Density
from bayescale.model.drift import WEIGHTS, conditional, per_bend
from bayescale.model.small_matrices import cholesky, log_diagonal, rows_times, solve_lower, solve_upper
from bayescale.model.start import climbed, starting_points

__all__ = ["Bent", "bent"]

_CLIMBS = 3  # from the law that the drift leaves alone


@dataclass(frozen=True, eq=False)
class Bent:
    """A density with a drift in coordinates that are near standard normal given the others.

    Attributes
    ----------
    density : Density
    weight : array of shape (run,)
        Of each run in the first solution, against one of normal scatter.
    top : array of shape (dim,), optional
        Where the density is high: a place from which to climb.
    """

    density: Density
    weight: np.ndarray
    top: np.ndarray | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each coordinate."""
        return self.density.names

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return self.density.dim

    @property
    def inner(self) -> tuple[int, ...]:
        """Places of the coordinates that are near standard normal given the others."""
        block, at = self.density.slices[WEIGHTS]
        return tuple(range(at, at + block.size))

    def blocks(self, p: Array) -> dict[str, Array]:
        """Unknowns by name from the vector."""
        return self._carry(p)[0]

    def __call__(self, p: Array) -> Array:
        """Log posterior density, up to a constant."""
        blocks, log_jacobian, law = self._carry(p)
        return self.density.of_blocks(p, blocks, law=law) + log_jacobian

    def gradient(self, p: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density and gradient at one point, by a complex step along each coordinate."""
        return by_steps(self, p)

    def fitted(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log densities, expected values of the runs on the scale of the noise, and their scatter; NumPy."""
        blocks, log_jacobian, law = self._carry(p)
        heights, rows, scatter = self.density.fitted_of_blocks(p, blocks, law=law)
        return heights + log_jacobian, rows, scatter

    def _carry(self, p: Array) -> tuple[dict[str, Array], Array, Array]:
        """Unknowns, the log Jacobian over that of the density's own coordinates, and the law at the runs."""
        bends = self.density.spec.structure.drift
        assert bends is not None
        blocks = self.density.blocks(p)
        root, half, law = self._frame(blocks)
        blocks[WEIGHTS] = solve_upper(root, half + p[..., self.inner[0] : self.inner[-1] + 1])
        width = conditional(bends, blocks)[1]
        return blocks, -log_diagonal(root) - log(width).sum(-1), law

    def _frame(self, blocks: Mapping[str, Array]) -> tuple[Array, Array, Array]:
        """Factor of the precision of the weights, its solution for their middle, and the law at the runs."""
        d, s = self.density, self.density.spec.structure
        assert s.drift is not None
        law = d.law(d.with_floor(blocks))
        away = d.spec.away(law)
        variance = d.noise(blocks)["sigma"] ** 2
        variance = variance + d.spec.error**2 if d.spec.error.any() else variance
        size = per_bend(s.drift, blocks)
        told = self.weight / variance
        alike = variance.shape[-1] == 1  # all runs scatter alike
        first = self._at_first / variance[..., None] if alike else self._information(told)
        bent = size * solve_upper(*self._normal(first, told, size, away))
        left = away - rows_times(bent, d.bends.T)
        told = self.told_at(left**2 / variance, blocks) / variance
        share = self._curvature_share(blocks)
        seen = left + share * (away - left)  # of which the solution is one step of scoring from the first
        return *self._normal(self._information(share * told), told, size, seen), law

    def flatten(self, q: np.ndarray, blocks: Mapping[str, np.ndarray]) -> np.ndarray:
        """The vector in these coordinates of one point of the density's own, with its unknowns."""
        root, half, _ = self._frame(blocks)
        found = q.copy()
        found[list(self.inner)] = root.T @ blocks[WEIGHTS] - half
        return found

    def told_at(self, z2: Array, blocks: Mapping[str, Array]) -> Array:
        """Weight of each run at its distance from the law and the first bends."""
        noise = self.density.spec.structure.noise
        weigh = getattr(noise, "weight", None)
        nu = blocks.get("nu")
        return self.weight if weigh is None else weigh(z2, nu=None if nu is None else nu[..., None])

    def _curvature_share(self, blocks: Mapping[str, Array]) -> Array:
        """Curvature of a run's log density, on average, over the weight by which it pulls."""
        if "nu" in blocks:
            return ((blocks["nu"] + 1.0) / (blocks["nu"] + 3.0))[..., None]
        nu = getattr(self.density.spec.structure.noise, "nu", None)
        return 1.0 if nu is None else (nu + 1.0) / (nu + 3.0)

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Products of each two bends at the runs, shape (run, pair), and the place of each pair."""
        at = self.density.bends
        first, second = np.triu_indices(at.shape[1])
        place = np.empty((at.shape[1],) * 2, dtype=int)
        place[first, second] = place[second, first] = np.arange(first.size)
        return at[:, first] * at[:, second], place

    @cached_property
    def _at_first(self) -> np.ndarray:
        """What the runs say of the bends at unit scatter and the first weights."""
        return self._information(self.weight)

    def _information(self, told: Array) -> Array:
        """What the runs say of the bends, when each is worth `told`."""
        pairs, place = self._pairs
        return rows_times(told, pairs)[..., place.ravel()].reshape(*told.shape[:-1], *place.shape)

    def _normal(self, information: Array, told: Array, size: Array, away: Array) -> tuple[Array, Array]:
        """Factor L of the precision, and the solution h of L h = S Phi' W r."""
        scaled = information * size[..., :, None] * size[..., None, :]
        root = cholesky(scaled + np.eye(size.shape[-1]))
        return root, solve_lower(root, size * rows_times(told * away, self.density.bends))


def bent(density: Density) -> Bent:
    """The coordinates of these runs, with weights from near the top of the density."""
    spec = density.spec
    top = find_mode(climbed(density, starting_points(density, _CLIMBS)), 1).point
    blocks = density.blocks(top)
    away = spec.away(density.mean(blocks))
    coordinates = Bent(density, np.ones_like(spec.value))
    weight = coordinates.told_at(away**2 / (density.noise(blocks)["sigma"] ** 2 + spec.error**2), blocks)
    coordinates = Bent(density, np.asarray(weight))
    return replace(coordinates, top=coordinates.flatten(top, blocks))
