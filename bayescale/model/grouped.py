r"""A pooled study as one common part and a part for each group, in coordinates close to standard normal.

As `bayescale.model.centring`, whose coordinates these are but for two things. They are taken in the
coordinates x of `bayescale.model.tangent`, in which what a group's runs say is nearer to a normal
distribution. And the log density is given group by group, so that a sampler can move, and accept, each
group by itself.

In NumPy; `bayescale.model.fused` has the same compiled. What a compiler must know stands in a `Form`, which
studies of one shape share; all numbers are in `Facts`, so that another study of that form compiles nothing
anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from bayescale.laws import Law
from bayescale.model.by_group import ByGroup
from bayescale.model.drift import EXCESS, SIZE, WEIGHTS, sizes_at
from bayescale.model.expected import law_key
from bayescale.model.given_groups import drawn_means, drawn_spreads, walked
from bayescale.model.group_facts import Facts, Placed
from bayescale.model.group_guess import guessed
from bayescale.model.noise import On
from bayescale.model.small_matrices import cholesky, inverse_lower, log_diagonal, swap
from bayescale.model.tangent import Tangent
from bayescale.priors import Prior

__all__ = ["LOG_2PI", "Form", "Grouped"]

LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True, eq=False)
class Form:
    """What is the same in all studies of one form; equal forms share what was compiled for them.

    Attributes
    ----------
    law : Law
    on : str
        Scale of the noise.
    fixed_nu : float or None
        Of Student-t noise, where it is not learnt.
    distributions : tuple of (str, Prior)
        Of the population values by letter, of the spreads, of the sizes of a drift, and of the noise; their
        arguments are facts.
    pooled : tuple of int
        Positions of the letters that vary.
    floor : int or None
    near, far : tuple of int
        Amplitudes of the coordinates x of groups, and of the population.
    bends : tuple of int
        Axis of each bend of a drift that all groups share.
    compressed : bool
        Whether what each group's runs say is taken to be normal.
    """

    law: Law
    on: On
    fixed_nu: float | None
    distributions: tuple[tuple[str, Prior], ...]
    pooled: tuple[int, ...]
    floor: int | None
    near: tuple[int, ...]
    far: tuple[int, ...]
    bends: tuple[int, ...] = ()
    compressed: bool = False

    @cached_property
    def _key(self) -> tuple[Any, ...]:
        kept = tuple((name, prior.distribution) for name, prior in self.distributions)
        return (
            *law_key(self.law),
            kept,
            self.on,
            self.fixed_nu,
            self.pooled,
            self.floor,
            self.near,
            self.far,
            self.bends,
            self.compressed,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@dataclass(frozen=True, eq=False)
class Grouped:
    """Log density of a study with one factor: common coordinates, and a few for each group.

    Attributes
    ----------
    form : Form
    facts : Facts
    runs : ByGroup, optional
    names : mapping of str to str
        What the study calls the population value of a letter.
    effects : tuple of str
        What it calls the effects of each pooled letter.
    order : tuple of str
        Names of the unknowns, in the order of the study.
    """

    form: Form
    facts: Facts
    runs: ByGroup | None = None
    names: dict[str, str] = field(default_factory=dict)
    effects: tuple[str, ...] = ()
    order: tuple[str, ...] = ()

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.facts.near.shape[0]

    @property
    def n_pooled(self) -> int:
        """Coordinates of one group."""
        return len(self.form.pooled)

    @property
    def n_rows(self) -> int:
        """Number of runs that an evaluation passes over."""
        return 0 if self.form.compressed or self.runs is None else self.runs.value.size

    @cached_property
    def _letters(self) -> list[str]:
        return list(self.form.law.parameters)

    @cached_property
    def _priors(self) -> list[tuple[str, Prior]]:
        arguments = self.facts.arguments
        return [(name, prior.over(arguments[name])) for name, prior in self.form.distributions]

    @property
    def _population(self) -> list[tuple[str, Prior]]:
        return self._priors[: len(self._letters)]

    @property
    def spreads(self) -> list[tuple[str, Prior]]:
        """Name and prior of each spread, in the order of the pooled letters."""
        first = len(self._letters)
        return self._priors[first : first + self.n_pooled]

    @property
    def sizes(self) -> list[tuple[str, Prior]]:
        """Name and prior of each size of a drift."""
        first = len(self._letters) + self.n_pooled
        return [(name, prior) for name, prior in self._priors[first:] if name in (SIZE, EXCESS)]

    @property
    def noises(self) -> list[tuple[str, Prior]]:
        """Name and prior of what the noise learns."""
        return self._priors[len(self._letters) + self.n_pooled + len(self.sizes) :]

    @property
    def near(self) -> Tangent:
        """Coordinates x of the groups."""
        f = self.facts
        form = self.form
        return Tangent(form.law, f.centre, f.near, form.floor, form.near, f.near_slopes, f.near_heights)

    @property
    def far(self) -> Tangent:
        """Coordinates x of the population."""
        f = self.facts
        form = self.form
        return Tangent(form.law, f.centre, f.far, form.floor, form.far, f.far_slopes, f.far_heights)

    @property
    def n_free(self) -> int:
        """Common coordinates without an adapted scale: spreads, sizes of a drift, then noise."""
        return len(self._priors) - len(self._letters)

    @property
    def n_noise(self) -> int:
        """The last of those, of the noise."""
        return len(self.noises)

    @property
    def n_common(self) -> int:
        """Those, one for each population value, and one for each bend."""
        return len(self._priors) + len(self.form.bends)

    @cached_property
    def _chosen(self) -> np.ndarray:
        """From effects to letters and bends, ones at the pooled."""
        return np.eye(len(self._letters) + len(self.form.bends))[list(self.form.pooled)]

    def place(self, common: np.ndarray) -> Placed:
        """Settle what the common part says; `common` (point, coordinate)."""
        values, density = self._free(common)
        placed = self.shifted(self._spread_out(values, density), common[:, self.n_free :])
        return self._with_noise(placed, common, values, density)

    def renoised(self, placed: Placed, common: np.ndarray) -> Placed:
        """The same groups with the noise of other common coordinates."""
        return self._with_noise(placed, common, *self._free(common))

    def redrawn(
        self, placed: Placed, common: np.ndarray, theta: np.ndarray, rng: np.random.Generator
    ) -> tuple[Placed, np.ndarray]:
        """Another common part, drawn given the groups' parameters: population values and spreads."""
        common, population, pooled = common.copy(), placed.theta.copy(), list(self.form.pooled)
        sample, spreads = theta[..., pooled], [prior for _, prior in self.spreads]
        about = self.facts.prior_mean[pooled], self.facts.prior_precision[pooled]
        priors = [self._population[at][1] for at in pooled]
        mean = drawn_means(priors, about, sample, placed.spread, population[:, pooled], rng)
        spread = drawn_spreads(spreads, sample, mean, placed.spread, rng)
        population[:, pooled] = mean
        for j, prior in enumerate(spreads):
            common[:, j] = prior.unconstrain(spread[:, j])
        letters, begin = len(self._letters), self.n_free
        if self.sizes:
            sizes = slice(self.n_pooled, begin - self.n_noise)
            common[:, sizes] = walked(self._of_sizes(population[:, letters:]), common[:, sizes], rng)
        mu = np.concatenate([self.far.to_x(population[:, :letters]), population[:, letters:]], axis=1)
        values, density = self._free(common)
        there = self._spread_out(values, density)
        common[:, begin:] = np.linalg.solve(there.wide, mu[..., None])[..., 0] - there.told
        there = self.shifted(there, common[:, begin:])
        return self._with_noise(there, common, values, density), common

    def _of_sizes(self, bends: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Log density of the sizes of a drift at their free coordinates, given its bends."""

        def log_density(q: np.ndarray) -> np.ndarray:
            found = sum(prior.log_density_free(q[:, i]) for i, (_, prior) in enumerate(self.sizes))
            values = {name: prior.constrain(q[:, i]) for i, (name, prior) in enumerate(self.sizes)}
            size = sizes_at(self.form.bends, values)
            return found - (np.log(size) + 0.5 * (bends / size) ** 2).sum(-1)

        return log_density

    def _with_noise(
        self, placed: Placed, common: np.ndarray, values: np.ndarray, density: np.ndarray
    ) -> Placed:
        begin = self.n_free - self.n_noise
        noise = {name: values[:, i] for i, (name, _) in enumerate(self.noises, start=begin)}
        found = density[:, begin:].sum(-1)
        if self.form.compressed:
            away = common[:, begin : self.n_free] - self.facts.middle
            found = found + away @ self.facts.rise + 0.5 * ((away @ self.facts.curve) * away).sum(-1)
        shared = placed.shared + (found - placed.of_noise)
        return placed._replace(noise=noise, of_noise=found, shared=shared)

    def _free(self, common: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values of the free coordinates, and their log densities, (point, free)."""
        priors = [prior for _, prior in (*self.spreads, *self.sizes, *self.noises)]
        values = np.stack([prior.constrain(common[:, i]) for i, prior in enumerate(priors)], axis=-1)
        return values, np.stack([p.log_density_free(common[:, i]) for i, p in enumerate(priors)], axis=-1)

    def _settled(self, mu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Population values on the link scale at coordinates x, (point, letter), and their log density."""
        theta, found = self.far.to_theta(mu)
        for i, (_, prior) in enumerate(self._population):
            found = found + prior.log_density_free(theta[:, i])
        return theta, found

    def shifted(self, placed: Placed, z: np.ndarray) -> Placed:
        """The same spreads and noise with other population values."""
        mu = _times(placed.wide, placed.told + z)
        half = placed.slope - (placed.reach @ mu[:, :, None])[..., 0].reshape(placed.slope.shape)
        letters = len(self._letters)
        theta, density = self._settled(mu[:, :letters])
        shared = placed.free + density
        if self.form.bends:
            shared = shared - 0.5 * ((mu[:, letters:] / placed.size) ** 2).sum(-1)
            theta = np.concatenate([theta, mu[:, letters:]], axis=1)
        base = np.repeat(mu[:, None], self.n_groups, axis=1)
        effect = _times(placed.upper, half)
        there = placed._replace(shared=_or_none(shared), theta=theta, base=base, effect=effect)
        return self._bent(there, half)

    def _bent(self, placed: Placed, half: np.ndarray) -> Placed:
        """Effects whose middle allows for the bends between coordinates, as they are at that middle.

        The prior of the effects is normal on the link scale, and what the runs say is normal in x. Where the
        coordinates in use part from either, the one is about the difference, and so is the other.
        """
        theta, _, away = self.parameters(placed, 0.0 * half)
        x = placed.base + (placed.spread[:, None] * placed.effect) @ self._chosen
        bend = (placed.spread[:, None] * (placed.effect - away)) @ self._chosen
        told = bend + self._to_x(theta) - x
        whole = np.isfinite(told.sum((-1, -2), keepdims=True))
        told, bend = np.where(whole, told, 0.0), np.where(whole, bend, 0.0)
        reach = placed.reach.reshape(*half.shape, -1)
        effect = _times(placed.upper, half - _times(reach, told))
        return placed._replace(base=placed.base + bend, effect=effect)

    def _spread_out(self, values: np.ndarray, density: np.ndarray) -> Placed:
        """What the spreads settle; population values are yet to come, and the noise."""
        f, points, begin = self.facts, len(values), self.n_free - self.n_noise
        spread = np.ascontiguousarray(values[:, : self.n_pooled])
        free = density[:, :begin].sum(-1)
        sizes = {name: values[:, i] for i, (name, _) in enumerate(self.sizes, start=self.n_pooled)}
        size = sizes_at(self.form.bends, sizes) if sizes else spread[:, :0]
        if sizes:
            free = free - (np.log(size) + 0.5 * LOG_2PI).sum(-1)
        letters = np.broadcast_to(f.prior_precision, (points, f.prior_precision.size))
        prior_precision = np.concatenate([letters, size**-2.0], axis=1)
        prior_pull = np.concatenate([letters * f.prior_mean, 0.0 * size], axis=1)
        drawn = self._drawn
        upper, reach, slope, log_root, wide, told, log_width = self._solved(
            spread, prior_precision, drawn, drawn.sum(0) + prior_pull
        )
        nothing = np.empty(0)
        return Placed(
            shared=nothing,
            theta=nothing,
            base=nothing,
            effect=nothing,
            free=free - log_width,
            spread=spread,
            size=size,
            upper=upper,
            slope=slope,
            reach=reach,
            log_width=log_root,
            wide=wide,
            told=told,
            noise={},
            of_noise=0.0 * free,
            share=self._share(spread),
        )

    @cached_property
    def _drawn(self) -> np.ndarray:
        """Where each group's runs draw its parameters, times their information."""
        told = self.facts.told
        return _times(told.information, told.theta) + told.pull

    def _solved(
        self, spread: np.ndarray, letters: np.ndarray, drawn: np.ndarray, pull: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Linear algebra of what the groups' runs say and the spreads.

        Parameters
        ----------
        spread : array of shape (point, pooled)
        letters : array of shape (point, letter)
            Precision of the prior of the population values.
        drawn : array of shape (group, letter)
            Where each group's runs draw its parameters, times their information.
        pull : array of shape (point, letter)
            The same of all groups and the prior.

        Returns
        -------
        upper, reach, slope, log_width, wide, told : array
            Those of `Placed`.
        log_volume : array of shape (point,)
            Log determinant of the factor of the precision of the population values.
        """
        h, pooled, points = self.facts.told.information, np.array(self.form.pooled), spread.shape[0]
        inside = h[:, pooled[:, None], pooled] * spread[:, None, :, None] * spread[:, None, None, :]
        root = cholesky(inside + np.eye(self.n_pooled))
        lower = inverse_lower(root)
        scaled = lower * spread[:, None, None]
        reach = (scaled @ h[:, pooled]).reshape(points, -1, h.shape[-1])  # (point, group x pooled, letter)
        precision = h.sum(0) + letters[..., None] * np.eye(h.shape[-1]) - swap(reach) @ reach
        slope = _times(scaled, drawn[:, pooled])
        width = cholesky(precision)
        inverse = inverse_lower(width)
        told = _times(inverse, pull - (slope.reshape(points, 1, -1) @ reach)[:, 0])
        return swap(lower), reach, slope, log_diagonal(root), swap(inverse), told, log_diagonal(width)

    def _share(self, spread: np.ndarray) -> dict[int, np.ndarray]:
        """How far a group's floor and amplitudes are settled by its own runs, (point, group)."""
        bent = {*self.form.near, *([] if self.form.floor is None else [self.form.floor])}
        information = self.facts.told.information
        told = {at: spread[:, j, None] ** 2 * information[:, at, at] for j, at in enumerate(self.form.pooled)}
        return {at: told[at] / (1.0 + told[at]) for at in sorted(bent) if at in told}

    def _sharper(self, noise: dict[str, np.ndarray], points: int) -> np.ndarray:
        """How much more the runs say at this noise than at that where what they say was worked out."""
        told, error2 = self.facts.told, self.facts.error2
        scale = (told.sigma**2 + error2) / (noise["sigma"] ** 2 + error2)
        if "nu" in noise and told.nu is not None:
            scale = scale * (noise["nu"] + 1) / (noise["nu"] + 3) * (told.nu + 3) / (told.nu + 1)
        return scale + np.zeros(points)

    def of_groups(self, placed: Placed, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density of each group's part but for its runs, (point, group), and its parameters.

        `q` is (point, group, pooled); the parameters, on the link scale, are (point, group, letter).
        """
        theta, log_jacobian, away = self.parameters(placed, q)
        prior = -0.5 * (away**2).sum(-1) - 0.5 * self.n_pooled * LOG_2PI
        return _or_none(prior + log_jacobian - placed.log_width), theta

    def standard(self, placed: Placed, theta: np.ndarray) -> np.ndarray:
        """Standard coordinates of groups with these parameters: what undoes `of_groups`."""
        letters, pooled = len(self._letters), list(self.form.pooled)
        held = {i: placed.base[..., i] for i in range(letters) if i not in self.form.pooled}
        with np.errstate(all="ignore"):
            x = self.near.from_theta(theta[..., :letters], held, placed.share)
            effect = (x[..., pooled] - placed.base[..., pooled]) / placed.spread[:, None]
        return np.linalg.solve(placed.upper, (effect - placed.effect)[..., None])[..., 0]

    def fit(self, placed: Placed, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density of the runs of each group, (point, group), at its parameters; no distances are kept."""
        noise = placed.noise
        none = np.empty((0, len(theta)))
        if self.form.compressed:
            told = self.facts.told
            away = self._to_x(theta) - told.theta
            sharp = self._sharper(noise, len(theta))[:, None]
            return _or_none(sharp * (away * (told.pull - 0.5 * _times(told.information, away))).sum(-1)), none
        assert self.runs is not None
        return self.runs.log_likelihood(theta, noise["sigma"], noise.get("nu", self.form.fixed_nu)), none

    def refit(self, placed: Placed, theta: np.ndarray, away: np.ndarray) -> np.ndarray:
        """The same log density where only the noise is another."""
        return self.fit(placed, theta)[0]

    @cached_property
    def group_of_run(self) -> np.ndarray:
        """The group of each run, in order."""
        assert self.runs is not None
        return np.repeat(np.arange(self.n_groups), np.diff(self.runs.edges))

    def _to_x(self, theta: np.ndarray) -> np.ndarray:
        """Coordinates x of the groups' parameters; the bends of a drift are their own."""
        letters = len(self._letters)
        x = self.near.to_x(theta[..., :letters])
        return np.concatenate([x, theta[..., letters:]], axis=-1)

    def parameters(self, placed: Placed, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each group's parameters on the link scale, log Jacobian, and effects in units of the spread."""
        effect = placed.effect + _times(placed.upper, q)
        x = placed.base + (placed.spread[:, None] * effect) @ self._chosen
        letters = len(self._letters)
        held = {i: placed.theta[:, None, i] for i in range(letters) if i not in self.form.pooled}
        with np.errstate(all="ignore"):
            theta, log_jacobian = self.near.to_theta(x[..., :letters], held, placed.share)
            theta = np.concatenate([theta, x[..., letters:]], axis=-1)
            pooled = np.array(self.form.pooled)
            away = (theta - placed.theta[:, None])[..., pooled] / placed.spread[:, None]
        return theta, log_jacobian, away

    def unknowns(self, common: np.ndarray, q: np.ndarray) -> dict[str, np.ndarray]:
        """Population values by letter, spreads and noise by name; effects, (point, group, pooled), by ""."""
        placed = self.place(common)
        found = dict(placed.noise)
        found |= {k: prior.constrain(placed.theta[:, i]) for i, (k, prior) in enumerate(self._population)}
        found |= {name: placed.spread[:, j] for j, (name, _) in enumerate(self.spreads)}
        for i, (name, prior) in enumerate(self.sizes, start=self.n_pooled):
            found[name] = prior.constrain(common[:, i])
        if self.form.bends:
            found[WEIGHTS] = placed.theta[:, len(self._letters) :] / placed.size
        return found | {"": self.parameters(placed, q)[2]}

    def blocks(self, unknowns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Unknowns of the study by name, from what `unknowns` found; leading axes are kept."""
        found = {self.names.get(name, name): value for name, value in unknowns.items() if name}
        found |= {self.effects[j]: unknowns[""][..., j] for j in range(self.n_pooled)}
        return {name: found[name] for name in self.order}

    def compressed(self) -> "Grouped":
        """The same with what the runs say taken to be normal, at no cost by the run."""
        from bayescale.model.compressed import noise_curve

        middle, rise, curve = noise_curve(self)
        facts = self.facts._replace(middle=middle, rise=rise, curve=curve)
        return replace(self, form=replace(self.form, compressed=True), facts=facts)

    def told_height(self, common: np.ndarray) -> np.ndarray:
        """Log density of the common part with what the runs say taken to be normal, but for the noise."""
        f, placed = self.facts, self.place(common)
        away = placed.base - f.told.theta + (placed.spread[:, None] * placed.effect) @ self._chosen
        bent = (away * (f.told.pull - 0.5 * _times(f.told.information, away))).sum(-1)
        letters = len(self._letters)
        prior = f.prior_precision * (placed.theta[:, :letters] - f.prior_mean) ** 2
        weights = placed.theta[:, letters:] / placed.size
        found = placed.free - 0.5 * prior.sum(-1) - 0.5 * (weights**2).sum(-1)
        return found + (bent - 0.5 * (placed.effect**2).sum(-1) - placed.log_width).sum(-1)

    def guess(self) -> tuple[np.ndarray, np.ndarray]:
        """Rough mean and covariance of the common coordinates: the mode of the spreads."""
        return guessed(self)


def _times(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Matrices times vectors along the last axes."""
    return (matrix @ vector[..., None])[..., 0]


def _or_none(log_density: np.ndarray) -> np.ndarray:
    """No density where there is no number."""
    return np.where(log_density == log_density, log_density, -np.inf)
