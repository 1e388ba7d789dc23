r"""Coordinates for groups that adapt to how much each group's runs say (conditional Laplace).

With H the information of a group's runs about its parameters (link scale), m where those runs alone put
them, :math:`\mu` the population values and D the diagonal of the spreads, the group's effects in units of
the spread are

.. math:: r = L^{-T}\,(L^{-1} D H (m - \mu) + z), \qquad L L^T = D H D + I

with z the coordinate that is sampled, close to standard normal. Where H is small this is non-centred,
where it is large it is centred, in each direction by itself. The width of the population values depends on
the spreads in the same way; with one factor they too are sampled in units of their conditional width,
with precision :math:`\sum_g (H_g^{-1} + D^2)^{-1}` plus that of the prior. It is only a change of
coordinates: a poor H costs speed, never correctness.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bayescale.inference.mode import find_mode
from bayescale.inference.slopes import by_steps
from bayescale.laws.elementwise import Array, log, sqrt, stack
from bayescale.model.bent import Bent, bent
from bayescale.model.density import Density, with_middle
from bayescale.model.measured_frame import Level, Rows, in_order, level_for, rows_for, told_by_rows
from bayescale.model.noise_frame import Offsets, Scatters, offsets_for, placed, scatters_for
from bayescale.model.noise_scale import SIGMA
from bayescale.model.small_matrices import cholesky, log_diagonal, solve_lower, solve_upper, swap
from bayescale.model.spec import Spec, some_rows, without_pooling
from bayescale.model.start import climbed
from bayescale.model.structure import Structure
from bayescale.priors import Prior, link, unlink

__all__ = ["Adapted", "Frame", "adapt", "away_from_groups", "width_between"]


@dataclass(frozen=True)
class Frame:
    """What the runs of each group of one factor say by themselves, and what the priors say of all.

    Attributes
    ----------
    pooled : tuple of int
        Which of the law's parameters vary over the factor, by position.
    information : array of shape (group, letter, letter)
        Over all parameters of the law, on the link scale.
    middle : array of shape (group, letter)
        Where they were taken: the mode of the group's runs, near that of all runs.
    pull : array of shape (group, letter)
        Slope of the log likelihood there, which is not zero where few runs leave a say to the prior.
    prior_mean, prior_precision : array of shape (letter,)
        Of the population values.
    rows : tuple of Rows
        Measurement rows that speak of the groups too.
    """

    pooled: tuple[int, ...]
    information: np.ndarray
    middle: np.ndarray
    pull: np.ndarray
    prior_mean: np.ndarray
    prior_precision: np.ndarray
    rows: tuple[Rows, ...] = ()


@dataclass(frozen=True)
class Adapted:
    """A density in adapted coordinates: same names, same posterior, another shape.

    Attributes
    ----------
    density : Density
        Without centring of its own.
    frames : mapping of str to Frame
        By factor.
    population : bool
        Whether the population values are adapted too.
    levels : mapping of str to Level
        By letter: measured populations, which are adapted to their rows where the others are not.
    offsets : tuple of Offsets
    scatters : tuple of Scatters
        Effects of groups on the scatter, adapted after the law's parameters.
    """

    density: Density
    frames: Mapping[str, Frame]
    population: bool
    levels: Mapping[str, Level] = field(default_factory=dict)
    offsets: tuple[Offsets, ...] = ()
    scatters: tuple[Scatters, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each coordinate."""
        return self.density.names

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return self.density.dim

    def blocks(self, p: Array) -> dict[str, Array]:
        """Unknowns by name from the adapted vector."""
        return self._carry(p)[0]

    def __call__(self, p: Array) -> Array:
        """Log posterior density, up to a constant."""
        blocks, moved, log_jacobian = self._carry(p)
        return self.density.of_blocks(p, blocks, moved) + log_jacobian

    def fitted(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log densities, expected values of the runs on the scale of the noise, and their scatter; NumPy."""
        blocks, moved, log_jacobian = self._carry(p)
        heights, rows, scatter = self.density.fitted_of_blocks(p, blocks, moved)
        return heights + log_jacobian, rows, scatter

    def gradient(self, p: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density and gradient at one point, by a complex step along each coordinate."""
        return by_steps(self, p)

    def _carry(self, p: Array) -> tuple[dict[str, Array], dict[str, Array], Array]:
        """Unknowns, the population's unconstrained coordinates where moved, and the log Jacobian."""
        s = self.density.spec.structure
        letters = list(s.law.parameters)
        blocks, moved, total = self.density.blocks(p), {}, 0.0
        for letter, level in self.levels.items():
            name, at = s.population(letter), self.density.slices[s.population(letter)][1]
            middle, precision = level.place(letter, blocks)
            moved[name] = middle + (p[..., at] - level.prior_mean) / sqrt(precision)
            blocks[name] = unlink(s.law.parameters[letter], moved[name])
            total = total - 0.5 * log(precision)
        if self.levels:
            blocks |= self.density.floor(p, blocks)
        for factor, fixed in self.frames.items():
            frame = _with_rows(fixed, s, blocks)
            names = [f"{letters[i]}_offset_{factor}" for i in frame.pooled]
            spread = stack([blocks[f"{letters[i]}_sd_{factor}"] for i in frame.pooled])[..., None, :]
            root = cholesky(_within(frame, spread))
            if self.population:
                z = stack([p[..., self.density.slices[s.population(k)][1]] for k in letters])
                mu, log_width = _population(frame, spread, root, z)
                moved |= {s.population(k): mu[..., i] for i, k in enumerate(letters)}
                blocks |= {
                    name: unlink(s.law.parameters[k], moved[name])
                    for k, name in zip(letters, moved, strict=True)
                }
                total = total - log_width
            here = stack([link(s.law.parameters[k], blocks[s.population(k)]) for k in letters])
            away = frame.middle - here[..., None, :]
            drawn = (frame.information * away[..., None, :]).sum(-1) + frame.pull
            right = spread * drawn[..., np.array(frame.pooled)]
            half = solve_lower(root, right) + stack([blocks[n] for n in names])
            offsets = solve_upper(root, half)
            blocks.update({name: offsets[..., i] for i, name in enumerate(names)})
            total = total - log_diagonal(root).sum(-1)
        if self.offsets or self.scatters:
            blocks, log_jacobian = placed(self.density, blocks, self.offsets, self.scatters)
            total = total + log_jacobian
        return blocks, moved, total


def _with_rows(frame: Frame, s: Structure, blocks: Mapping[str, Array]) -> Frame:
    """The frame with what measurement rows say at the present scatter."""
    information, pull = frame.information, frame.pull
    for rows in frame.rows:
        unit = np.eye(pull.shape[-1])[rows.at]
        weight, drawn = told_by_rows(rows, s, blocks, frame.middle[:, rows.at])
        information = information + weight[..., None, None] * (unit[:, None] * unit)
        pull = pull + drawn[..., None] * unit
    return replace(frame, information=information, pull=pull)


def _within(frame: Frame, spread: Array) -> Array:
    """D H D + I over the pooled parameters: dims (..., group, letter, letter)."""
    pooled = np.array(frame.pooled)
    inside = frame.information[..., pooled, :][..., pooled]
    return spread[..., :, None] * spread[..., None, :] * inside + np.eye(len(pooled))


def _population(frame: Frame, spread: Array, root: Array, z: Array) -> tuple[Array, Array]:
    """Population values on the link scale from standard coordinates, and the log of their width."""
    pooled = np.array(frame.pooled)
    reach = spread[..., None] * frame.information[..., pooled, :]  # (..., group, pooled, letter)
    columns = solve_lower(root, swap(reach))  # (..., group, letter, pooled)
    known = frame.information - (columns[..., :, None, :] * columns[..., None, :, :]).sum(-1)
    precision = known.sum(-3) + np.diag(frame.prior_precision)
    slope = solve_lower(root, spread * frame.pull[..., pooled])
    told = (known * frame.middle[:, None, :]).sum(-1) + frame.pull - (columns * slope[..., None, :]).sum(-1)
    pull = told.sum(-2) + frame.prior_precision * frame.prior_mean
    width = cholesky(precision)
    return solve_upper(width, solve_lower(width, pull) + z), log_diagonal(width)


def adapt(density: Density) -> Adapted | Bent | Density:
    """Adapted coordinates for a pooled specification; the density itself where nothing is pooled."""
    spec = density.spec
    s = spec.structure
    offsets = offsets_for(spec)
    if not s.pool and SIGMA not in s.noise_pool:
        if s.drift and not offsets:
            return bent(density)
        return Adapted(density, {}, False, {}, offsets) if offsets else density
    plain = all(_on_link_scale(s, k) for k in s.law.parameters)
    population = plain and len(s.factors) == 1
    bare = with_middle(Density(without_pooling(spec)))
    everyone = find_mode(climbed(bare)).point
    away = [bare.spec.away(bare.mean(bare.blocks(everyone)))]
    frames = {}
    for factor in in_order(s):
        frames[factor], apart = _frame(spec, bare, factor, everyone)
        away.append(apart)
    scatters = scatters_for(spec, min(away, key=lambda rows: float(np.median(np.abs(rows)))))
    own = {} if population else {k: level_for(spec, k) for k in s.measured if _on_link_scale(s, k)}
    density = replace(density, middle=None) if population else density
    return Adapted(density, frames, population, own, offsets, scatters)


def _on_link_scale(s: Structure, letter: str) -> bool:
    """Whether the prior's own coordinate is the link scale of the parameter."""
    prior = s.priors[letter]
    return prior.support == s.law.parameters[letter].support and prior.distribution != "TruncatedNormal"


def _frame(spec: Spec, bare: Density, factor: str, everyone: np.ndarray) -> tuple[Frame, np.ndarray]:
    """Fit each group's runs alone, not too far from all the others, and keep mode and information.

    Also how far each run then lies from the law of its group.
    """
    s = spec.structure
    letters = list(s.law.parameters)
    fits, away, common = _groups_alone(spec, bare, factor, everyone)
    here = _link_values(s, bare.blocks(everyone), bare.spec.structure)
    nothing = np.zeros((len(letters), len(letters))), here, np.zeros(len(letters))
    apart = factor in s.noise_pool.get(SIGMA, ())
    found = [_told(fit[0], fit[1] | _own_noise(fit, common, apart)) if fit else nothing for fit in fits]
    free = [link(s.law.parameters[k], s.priors[k].sample(np.random.default_rng(0), 4000)) for k in letters]
    frame = Frame(
        pooled=tuple(i for i, k in enumerate(letters) if factor in s.pool.get(k, ())),
        information=np.stack([f[0] for f in found]),
        middle=np.stack([f[1] for f in found]),
        pull=np.stack([f[2] for f in found]),
        prior_mean=np.array([np.mean(x) for x in free]),
        prior_precision=np.array([1 / np.var(x) for x in free]),
        rows=rows_for(spec, factor),
    )
    return frame, away


def away_from_groups(
    spec: Spec, bare: Density, factor: str, everyone: np.ndarray
) -> tuple[np.ndarray, float]:
    """How far each run lies from the law of its group, and the scatter common to all groups.

    `bare` is the density without groups, `everyone` its mode. On the scale of the noise.
    """
    _, away, common = _groups_alone(spec, bare, factor, everyone)
    return away, float(common["sigma"])


def _groups_alone(
    spec: Spec, bare: Density, factor: str, everyone: np.ndarray
) -> tuple[list[Any], np.ndarray, dict[str, np.ndarray]]:
    """The fit of each group's runs, None where it has none; each run's distance from it; common scatter."""
    s = spec.structure
    near = _near(s, bare, factor, everyone)
    rows = [np.flatnonzero(spec.index[factor] == g) for g in range(len(s.labels[factor]))]
    fits = [_alone(near, own, everyone) if own.size else None for own in rows]
    away = np.zeros(spec.value.size)
    for own, fit in zip(rows, fits, strict=True):
        if fit:
            density, blocks = fit
            away[own] = density.spec.away(density.mean(blocks))
    return fits, away, _common_noise([fit for fit in fits if fit])


def _link_values(s: Structure, blocks: Mapping[str, np.ndarray], own: Structure) -> np.ndarray:
    """A law's parameters without groups, on the link scale."""
    return np.array([float(link(kind, blocks[own.population(k)])) for k, kind in s.law.parameters.items()])


def _near(s: Structure, bare: Density, factor: str, everyone: np.ndarray) -> Density:
    """The unpooled density with priors about the common mode, as wide as groups are thought to differ.

    Under wide priors the mode of a few runs lies anywhere, and says nothing of where the group will be.
    """
    own = bare.spec.structure
    blocks = bare.blocks(everyone)
    priors = dict(own.priors)
    shapes = {"positive": "LogNormal", "unit": "LogitNormal", "real": "Normal"}
    for letter, kind in s.law.parameters.items():
        width = width_between(s, letter, factor)
        centre = float(link(kind, blocks[own.population(letter)]))
        priors[letter] = Prior(shapes[kind.support], mu=centre, sigma=width)
    return replace(bare, spec=replace(bare.spec, structure=replace(own, priors=priors)))


def width_between(s: Structure, letter: str, factor: str) -> float:
    """How far groups are thought to differ in a parameter, on the link scale."""
    stated = s.priors.get(f"{letter}_sd_{factor}", _COMMON)
    return float(np.sqrt(np.mean(stated.sample(np.random.default_rng(0), 4000) ** 2)))


_COMMON = Prior("HalfNormal", sigma=0.1)  # how far a parameter that is common to all may move for one group


def _alone(bare: Density, rows: np.ndarray, start: np.ndarray) -> tuple[Density, dict[str, np.ndarray]]:
    """One group's runs under the given priors: the density and its mode."""
    density = replace(bare, spec=some_rows(bare.spec, rows))
    return density, density.blocks(find_mode(climbed(density, start[None])).point)


def _common_noise(fits: list[tuple[Density, dict[str, np.ndarray]]]) -> dict[str, np.ndarray]:
    """Scatter common to all groups: a group of few runs, fitted alone, seems to have none."""
    if not fits or "sigma" not in fits[0][1]:
        return {}
    logs = [np.log(blocks["sigma"]) for _, blocks in fits]
    return {"sigma": np.exp(np.average(logs, weights=[d.spec.value.size for d, _ in fits]))}


def _own_noise(
    fit: tuple[Density, dict[str, np.ndarray]], common: dict[str, np.ndarray], apart: bool
) -> dict[str, np.ndarray]:
    """Scatter of one group: the common one, or between it and its own where groups scatter differently."""
    if not (apart and common):
        return common
    density, blocks = fit
    weight = density.spec.value.size / (density.spec.value.size + 4.0)
    return {"sigma": np.exp(weight * np.log(blocks["sigma"]) + (1 - weight) * np.log(common["sigma"]))}


def _told(density: Density, blocks: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Information, middle and slope of the log likelihood at one point, on the link scale."""
    s = density.spec.structure
    slopes, weight = density.information_rows(blocks)
    along = np.stack([slopes[k] for k in s.law.parameters])
    middle = _link_values(s, blocks, s)
    by_row = density.likelihood_steps(blocks)[1]
    return (along * weight) @ along.T, middle, np.array([by_row[k].sum() for k in s.law.parameters])
