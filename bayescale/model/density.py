"""The log density of a study over one flat vector, of any array kind, with its gradient in NumPy.

The same posterior as `bayescale.model.build` writes in PyMC, for engines that need no symbols: NumPy for
the certified fast path, JAX for NumPyro. A test holds the two against one another.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bayescale.inference.slopes import STEP, by_steps
from bayescale.laws.elementwise import Array, exp, log, where
from bayescale.laws.powers import with_logs
from bayescale.laws.pure import pure_range
from bayescale.model.dependence import row_noise, row_offset, row_sigma, size_at
from bayescale.model.drift import WEIGHTS, conditional, delta, shifted
from bayescale.model.measured import SCATTER
from bayescale.model.noise import forward, scatter_of, total
from bayescale.model.noise_scale import SLOPE
from bayescale.model.spec import Spec
from bayescale.model.structure import Block, effect, measured_means, row_parameters
from bayescale.priors import link, unlink

__all__ = ["Density", "with_middle"]


@dataclass(frozen=True)
class Density:
    """Log density over unconstrained coordinates; last axis of a vector is the coordinate.

    Attributes
    ----------
    spec : Spec
    middle : str or None
        Letter of the floor whose coordinate is the log of the whole value at the reference scales
        instead of its own log (see `with_middle`): the runs fix that value, and the posterior is far
        nearer to a normal one. Floors at or below zero have no density.
    """

    spec: Spec
    middle: str | None = None

    @cached_property
    def slices(self) -> dict[str, tuple[Block, int]]:
        """Each block with its first place in the flat vector."""
        found, at = {}, 0
        for block in self.spec.structure.blocks:
            found[block.name] = (block, at)
            at += block.size
        return found

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return sum(b.size for b in self.spec.structure.blocks)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A name for each coordinate, with the group's label where there is one."""
        labels = self.spec.structure.labels
        return tuple(
            name
            for b in self.spec.structure.blocks
            for name in ([f"{b.name}[{g}]" for g in labels[b.factor]] if b.factor else [b.name])
        )

    @cached_property
    def _scaled(self) -> tuple[np.ndarray, ...]:
        return self.spec.scaled

    @cached_property
    def _powers(self) -> tuple[np.ndarray, ...]:
        """The same with their logs at hand, for values that are NumPy's."""
        return tuple(with_logs(x) for x in self._scaled)

    @cached_property
    def centre(self) -> tuple[float, ...]:
        """Scaled inputs at the middle of the runs: the reference scales, but for raw sizes of modalities.

        Pure numbers, such as shares, are divided by no reference: their middle is their mean.
        """
        s = self.spec.structure
        return tuple(
            float(np.mean(x))
            if pure_range(k) is not None
            else float(np.exp(np.mean(np.log(x[x > 0]))))
            if k in s.law.factors
            else 1.0
            for k, x in zip(s.law.inputs, self._scaled, strict=True)
        )

    def blocks(self, q: Array) -> dict[str, Array]:
        """Unknowns by name from the flat vector; effects keep their group axis last."""
        found = {}
        for name, (block, at) in self.slices.items():
            if block.factor:
                found[name] = q[..., at : at + block.size]
            else:
                found[name] = block.prior.constrain(q[..., at])  # type: ignore[union-attr]
        found |= self.floor(q, found)
        if bends := self.spec.structure.drift:
            middle, width = conditional(bends, found)
            found[WEIGHTS] = middle + width * found[WEIGHTS]
        return found

    @cached_property
    def bends(self) -> np.ndarray:
        """The bends at the runs, shape (run, bend)."""
        return self.spec.structure.bends_at(self.spec.inputs)

    @cached_property
    def _size(self) -> np.ndarray | None:
        """What the scatter grows with, at the runs."""
        return size_at(self.spec.structure, self.spec.inputs)

    def law(self, blocks: Mapping[str, Array]) -> Array:
        """The law at every row, without its misfit; last axis is the row, or of length 1."""
        learnt = row_parameters(self.spec.structure, blocks, self.spec.index)
        ours = all(isinstance(x, np.ndarray | np.generic) for x in learnt.values())
        return self.spec.structure.law(*(self._powers if ours else self._scaled), **learnt)

    def curve(self, blocks: Mapping[str, Array], law: Array = None) -> Array:
        """The law at every row, with its misfit; `law` without, where that is known."""
        s = self.spec.structure
        law = self.law(blocks) if law is None else law
        return shifted(s.noise.on, law, delta(s.drift, blocks, self.bends)) if s.drift else law

    def mean(self, blocks: Mapping[str, Array], law: Array = None) -> Array:
        """Expected value of every row, that of its groups; last axis is the row."""
        s = self.spec.structure
        offset, curve = row_offset(s, blocks, self.spec.index), self.curve(blocks, law)
        return curve if offset is None else shifted(s.noise.on, curve, offset)

    def noise(self, blocks: Mapping[str, Array]) -> dict[str, Array]:
        """What the noise part learnt, for every row; last axis is the row, or of length 1."""
        return row_noise(self.spec.structure, blocks, self.spec.index, self._size)

    def floor(self, q: Array, blocks: Mapping[str, Array]) -> dict[str, Array]:
        """The floor by name, where the loss at the middle of the runs stands for it in `q`."""
        if not self.middle:
            return {}
        block, at = self._floor
        return {block.name: exp(q[..., at]) - self.above_floor(blocks)}

    @cached_property
    def _floor(self) -> tuple[Block, int]:
        return self.slices[self.spec.structure.population(self.middle or "")]

    def above_floor(self, blocks: Mapping[str, Array]) -> Array:
        """The law at the middle of the runs, less its floor."""
        s = self.spec.structure
        here = {k: blocks[s.population(k)] for k in s.law.parameters if k != self.middle}
        return s.law(*self.centre, **here, **{self.middle or "": 0.0})

    def flatten(self, blocks: Mapping[str, np.ndarray]) -> np.ndarray:
        """Flat vector from unknowns by name: the inverse of `blocks`."""
        parts = []
        for name, (block, _) in self.slices.items():
            value = np.asarray(blocks[name], dtype=float)
            if self.middle and block is self._floor[0]:
                value = np.log(value + self.above_floor(blocks))[..., None]
            elif name == WEIGHTS and (bends := self.spec.structure.drift):
                middle, width = conditional(bends, blocks)
                value = (value - middle) / width
            elif not block.factor:
                value = block.prior.unconstrain(value)[..., None]  # type: ignore[union-attr]
            parts.append(value)
        return np.concatenate(parts, axis=-1)

    def log_prior(
        self, q: Array, blocks: Mapping[str, Array], moved: Mapping[str, Array] | None = None
    ) -> Array:
        """Log prior density of the coordinates, Jacobians included.

        `moved` holds unconstrained coordinates, by block, that are not those in `q`.
        """
        found = 0.0
        for name, (block, at) in self.slices.items():
            if block.prior is not None:
                x = (moved or {}).get(name, q[..., at])
                if self.middle is not None and block is self._floor[0]:
                    found = found + block.prior.log_density(blocks[name]) + x
                else:
                    found = found + block.prior.log_density_free(x)
            elif name == WEIGHTS:
                found = found + self._log_prior_bends(blocks)
            else:
                log_sd = self._log_spread(block, blocks)
                z = blocks[name] * exp(-log_sd)
                found = found + (-0.5 * z**2 - log_sd - 0.5 * math.log(2 * math.pi)).sum(-1)
        return found

    def _log_prior_bends(self, blocks: Mapping[str, Array]) -> Array:
        """Standard normal density of the weights of the bends, and the Jacobian of their coordinates."""
        bends, weights = self.spec.structure.drift, blocks[WEIGHTS]
        assert bends is not None
        _, width = conditional(bends, blocks)
        return (-0.5 * weights**2 - 0.5 * math.log(2 * math.pi) + log(width)).sum(-1)

    def _log_spread(self, block: Block, blocks: Mapping[str, Array]) -> Array:
        """Log prior deviation of each offset: 0 where not centred, log of the spread where centred."""
        weights = np.asarray(self.spec.structure.centring.get(block.name, np.zeros(block.size)))
        letter, factor = block.name.split("_offset_", 1)
        return weights * log(blocks[f"{letter}_sd_{factor}"])[..., None]

    def log_likelihood(self, blocks: Mapping[str, Array]) -> Array:
        """Log density of every row's value; last axis is the row."""
        mean, noise = self.mean(blocks), self.noise(blocks)
        return self.spec.structure.noise.log_density(self.spec.value, mean, self.spec.error, **noise)

    def log_measured(self, blocks: Mapping[str, Array], letter: str) -> Array:
        """Log density of the measurement rows of a letter; last axis is the row."""
        rows = self.spec.measured[letter]
        mean = measured_means(self.spec.structure, letter, blocks, rows.index)
        scatter = blocks[f"{letter}_scatter"][..., None]
        return SCATTER.log_density(rows.value, mean, rows.error, sigma=scatter)

    def _log_data(self, blocks: Mapping[str, Array], law: Array = None) -> Array:
        """Log density of all values and all measurement rows."""
        mean, noise = self.mean(blocks, law), self.noise(blocks)
        found = total(self.spec.structure.noise, self.spec.value, mean, self.spec.error, **noise)
        for letter in self.spec.measured:
            found = found + self.log_measured(blocks, letter).sum(-1)
        return found

    def __call__(self, q: Array) -> Array:
        """Log posterior density, up to a constant; leading axes of `q` are kept."""
        return self.of_blocks(q, self.blocks(q))

    def of_blocks(
        self,
        q: Array,
        blocks: Mapping[str, Array],
        moved: Mapping[str, Array] | None = None,
        *,
        law: Array = None,
    ) -> Array:
        """Log posterior density where the unknowns are worked out already; `moved` as in `log_prior`.

        `law` holds the law at the rows, without its misfit, where that is known too.
        """
        if not self.middle:
            return self.log_prior(q, blocks, moved) + self._log_data(blocks, law)
        safe = self.with_floor(blocks)
        found = self.log_prior(q, safe, moved) + self._log_data(safe, law)
        return where(blocks[self._floor[0].name] > 0, found, -math.inf)

    def with_floor(self, blocks: Mapping[str, Array]) -> dict[str, Array]:
        """The unknowns with some floor above zero where there is none, so that logs of the law are finite."""
        if not self.middle:
            return dict(blocks)
        name = self._floor[0].name
        return dict(blocks) | {name: where(blocks[name] > 0, blocks[name], 1.0)}

    def fitted(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log densities, expected values of the runs on the scale of the noise, and their scatter; NumPy."""
        return self.fitted_of_blocks(q, self.blocks(q))

    def fitted_of_blocks(
        self,
        q: np.ndarray,
        blocks: Mapping[str, np.ndarray],
        moved: Mapping[str, np.ndarray] | None = None,
        *,
        law: Any = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same where the unknowns are worked out already, as in `of_blocks`."""
        s, safe = self.spec.structure, self.with_floor(blocks)
        law = self.law(safe) if law is None else law
        rows = forward(s.noise.on, self.mean(safe, law))
        scatter = scatter_of(s.noise, self.spec.error, self.noise(safe))
        return self.of_blocks(q, blocks, moved, law=law), rows, scatter

    def gradient(self, q: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density and gradient at one point, shape ``(dim,)``.

        The law and the noise are differentiated by complex steps, row by row, in their few
        parameters; the chain rule to the blocks is written out.
        """
        blocks = self.blocks(q)
        if self.middle and not blocks[self._floor[0].name] > 0:
            return -math.inf, np.zeros_like(q)
        if self.spec.structure.drift or not self.spec.structure.plain_noise:
            return by_steps(self, q)
        total, by_row, by_noise = self.likelihood_steps(blocks)
        prior, grad = self._prior_steps(q, blocks)
        s = self.spec.structure
        for letter, kind in s.law.parameters.items():
            block, at = self.slices[s.population(letter)]
            along = by_row[letter]  # derivative in the link-scale value of each row
            if letter == self.middle:
                value = float(blocks[block.name])
                along_floor = along.sum() / value + _step(block.prior.log_density, value)  # type: ignore[union-attr]
                self._floor_gradient(grad, along_floor, q)
            else:
                d_link = _step(lambda x, b=block, k=kind: link(k, b.prior.constrain(x)), q[at])  # type: ignore[union-attr]
                grad[at] += along.sum() * d_link
            for factor in s.pool.get(letter, ()):
                rows = self.spec.index[factor]
                self._effect_gradient(grad, letter, factor, along, blocks, q, rows)
        for letter in self.spec.measured:
            total += self._measured_gradient(grad, letter, blocks, q)
        for name in s.noise_names:
            block, at = self.slices[name]
            grad[at] += by_noise[name] * _step(block.prior.constrain, q[at])  # type: ignore[union-attr]
        return total + prior, grad

    def information_rows(self, blocks: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Slope of each row's fitted value in each link-scale parameter, and each row's weight.

        On the scale of the noise; ``sum over rows of weight * slope_i * slope_j`` is the information.
        """
        s = self.spec.structure
        rows = row_parameters(s, blocks, self.spec.index)
        slopes = {}
        for letter, kind in s.law.parameters.items():
            moved = unlink(kind, link(kind, np.atleast_1d(rows[letter])) + 1j * STEP)
            value = forward(s.noise.on, s.law(*self._powers, **(rows | {letter: moved})))
            slopes[letter] = np.broadcast_to(value.imag / STEP, self.spec.value.shape)
        scatter = row_sigma(s, blocks, self.spec.index, self._size) if "sigma" in blocks else 0.05
        return slopes, 1.0 / (np.asarray(scatter) ** 2 + self.spec.error**2)

    def likelihood_steps(
        self, blocks: Mapping[str, np.ndarray]
    ) -> tuple[float, dict[str, np.ndarray], dict[str, float]]:
        """Log likelihood, its derivative by row in each link-scale parameter, and in each noise parameter."""
        s = self.spec.structure
        rows = row_parameters(s, blocks, self.spec.index)
        letters, noises = list(rows), list(s.noise_names)
        width = len(letters) + len(noises)
        stepped = {}
        for i, letter in enumerate(letters):
            kind = s.law.parameters[letter]
            eta = link(kind, np.atleast_1d(rows[letter]))
            shift = np.zeros((width, 1), dtype=complex)
            shift[i] = 1j * STEP
            stepped[letter] = unlink(kind, eta + shift)
        learnt = {}
        for j, name in enumerate(noises, start=len(letters)):
            shift = np.zeros((width, 1), dtype=complex)
            shift[j] = 1j * STEP
            learnt[name] = blocks[name] + shift
        if self._size is not None:
            learnt["sigma"] = learnt["sigma"] * self._size ** blocks[SLOPE]
        found = s.noise.log_density(
            self.spec.value, s.law(*self._powers, **stepped), self.spec.error, **learnt
        )
        every = np.broadcast_to(np.asarray(found, dtype=complex), (width, self.spec.value.size))
        slopes = np.imag(every) / STEP
        by_row = {k: slopes[i] for i, k in enumerate(letters)}
        by_noise = {k: float(slopes[len(letters) + j].sum()) for j, k in enumerate(noises)}
        return float(np.real(every[0]).sum()), by_row, by_noise

    def _prior_steps(self, q: np.ndarray, blocks: Mapping[str, np.ndarray]) -> tuple[float, np.ndarray]:
        """Log prior and its gradient; spreads and their offsets are coupled where centred."""
        total, grad = 0.0, np.zeros_like(q)
        for name, (block, at) in self.slices.items():
            if block.prior is not None and self.middle and block is self._floor[0]:
                total += float(block.prior.log_density(blocks[name])) + q[at]
                grad[at] += 1.0
            elif block.prior is not None:
                x = complex(q[at], STEP)
                value = block.prior.log_density(block.prior.constrain(x)) + block.prior.log_jacobian(x)
                total += value.real
                grad[at] += value.imag / STEP
            else:
                total += self._offset_prior(grad, block, at, blocks, q)
        return total, grad

    def _offset_prior(
        self, grad: np.ndarray, block: Block, at: int, blocks: Mapping[str, np.ndarray], q: np.ndarray
    ) -> float:
        """Log prior of one factor's offsets; adds its gradient in them and in their spread."""
        log_sd = self._log_spread(block, blocks)
        z2 = (blocks[block.name] * np.exp(-log_sd)) ** 2
        grad[at : at + block.size] -= blocks[block.name] * np.exp(-2 * log_sd)
        weights = np.asarray(self.spec.structure.centring.get(block.name, np.zeros(block.size)))
        letter, factor = block.name.split("_offset_", 1)
        sd_block, sd_at = self.slices[f"{letter}_sd_{factor}"]
        d_log = _step(lambda x: log(sd_block.prior.constrain(x)), q[sd_at])  # type: ignore[union-attr]
        grad[sd_at] += float((weights * (z2 - 1)).sum()) * d_log
        return float((-0.5 * z2 - log_sd - 0.5 * math.log(2 * math.pi)).sum())

    def _floor_gradient(self, grad: np.ndarray, along: float, q: np.ndarray) -> None:
        """Add the gradient that reaches the coordinates through the floor, which depends on them all."""
        block, at = self._floor
        grad[at] += along * math.exp(q[at])
        s = self.spec.structure
        places = {k: self.slices[s.population(k)] for k in s.law.parameters if k != self.middle}
        shifts = np.eye(len(places)) * 1j * STEP
        stepped = {
            b.name: b.prior.constrain(q[i] + shifts[j])  # type: ignore[union-attr]
            for j, (b, i) in enumerate(places.values())
        }
        slopes = np.imag(np.broadcast_to(np.asarray(self.above_floor(stepped)), len(places))) / STEP
        for slope, (_, i) in zip(slopes, places.values(), strict=True):
            grad[i] -= along * slope

    def _effect_gradient(
        self,
        grad: np.ndarray,
        letter: str,
        factor: str,
        along: np.ndarray,
        blocks: Mapping[str, np.ndarray],
        q: np.ndarray,
        rows: np.ndarray,
    ) -> None:
        """Add the likelihood's gradient in the offsets and the spread of one factor."""
        s = self.spec.structure
        name, sd_name = f"{letter}_offset_{factor}", f"{letter}_sd_{factor}"
        block, at = self.slices[name]
        sd_block, sd_at = self.slices[sd_name]
        by_group = np.bincount(rows, weights=along, minlength=block.size)
        power = 1.0 - np.asarray(s.centring.get(name, np.zeros(block.size)))
        grad[at : at + block.size] += by_group * blocks[sd_name] ** power
        d_log = _step(lambda x: log(sd_block.prior.constrain(x)), q[sd_at])  # type: ignore[union-attr]
        grad[sd_at] += float((by_group * power * effect(s, letter, factor, blocks)).sum()) * d_log

    def _measured_gradient(
        self, grad: np.ndarray, letter: str, blocks: Mapping[str, np.ndarray], q: np.ndarray
    ) -> float:
        """Log density of the measurement rows of one letter; adds its gradient."""
        s, rows = self.spec.structure, self.spec.measured[letter]
        mean = measured_means(s, letter, blocks, rows.index)
        sigma, shift = blocks[f"{letter}_scatter"], 1j * STEP
        by_mean = SCATTER.log_density(rows.value, mean + shift, rows.error, sigma=sigma)
        by_scatter = SCATTER.log_density(rows.value, mean, rows.error, sigma=sigma + shift)
        along = by_mean.imag / STEP
        block, at = self.slices[s.population(letter)]
        kind = s.law.parameters[letter]
        grad[at] += along.sum() * _step(lambda x: link(kind, block.prior.constrain(x)), q[at])  # type: ignore[union-attr]
        for factor in s.measured[letter]:
            self._effect_gradient(grad, letter, factor, along, blocks, q, rows.index[factor])
        block, at = self.slices[f"{letter}_scatter"]
        grad[at] += float(by_scatter.imag.sum() / STEP) * _step(block.prior.constrain, q[at])  # type: ignore[union-attr]
        return float(by_mean.real.sum())


def _step(function, x: float) -> float:
    """Derivative of an elementwise function of one number, by a complex step."""
    return function(complex(x, STEP)).imag / STEP


def with_middle(density: Density) -> Density:
    """The same posterior with the loss at the middle of the runs as a coordinate, where the law allows.

    It does where one floor is simply added to the rest and its prior is positive without a bound.
    """
    s = density.spec.structure
    floors = [k for k, kind in s.law.parameters.items() if kind.name == "irreducible"]
    if (
        len(floors) != 1
        or s.priors[floors[0]].support != "positive"
        or s.priors[floors[0]].constrain(-50.0) > 0.01
    ):
        return density
    rng = np.random.default_rng(0)
    here = {k: s.priors[k].sample(rng, 8) for k in s.law.parameters}
    rest = s.law(*density.centre, **(here | {floors[0]: 0.0}))
    whole = s.law(*density.centre, **here)
    if not np.allclose(whole - rest, here[floors[0]], rtol=1e-9):
        return density
    return replace(density, middle=floors[0])
