r"""A pooled study as one common part and a part for each group, in coordinates close to standard normal.

As `bayescale.model.centring`, whose coordinates these are but for two things. They are taken in the
coordinates x of `bayescale.model.tangent`, in which what a group's runs say is nearer to a normal
distribution. And the log density is given group by group, so that a sampler can move, and accept, each
group by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from bayescale.model.by_group import ByGroup, Mode
from bayescale.model.density import Density
from bayescale.model.tangent import Tangent
from bayescale.priors import Prior

__all__ = ["LOG_2PI", "Grouped", "Placed", "times"]

LOG_2PI = float(np.log(2 * np.pi))
_POINTS = 128  # of which all parts are held at once


@dataclass(frozen=True, eq=False)
class Placed:
    """What is settled for all groups by the common part of each point.

    Attributes
    ----------
    shared : array of shape (point,)
        Log density of the common part, without its groups.
    theta : array of shape (point, letter)
        Population values on the link scale.
    base : array of shape (point, group, letter)
        Coordinates x of a group without effects.
    effect : array of shape (point, group, pooled)
        A group's effects in units of the spread where its standard coordinates are zero.
    free : array of shape (point,)
        Log density without that of the population values.
    spread : array of shape (point, pooled)
        Deviation between groups.
    upper : array of shape (point, group, pooled, pooled)
        From a group's standard coordinates to its effects.
    slope, reach, wide, told : array
        From a point's coordinates to its population values, and from those to the effects.
    log_width : array of shape (point, group)
    noise : mapping of str to array of shape (point,)
    share : mapping of int to array of shape (point, group)
        By letter: how far it is taken in the coordinates x, and not on the link scale.
    """

    shared: np.ndarray
    theta: np.ndarray
    base: np.ndarray
    effect: np.ndarray
    free: np.ndarray
    spread: np.ndarray
    upper: np.ndarray
    slope: np.ndarray
    reach: np.ndarray
    log_width: np.ndarray
    wide: np.ndarray
    told: np.ndarray
    noise: dict[str, np.ndarray]
    share: dict[int, np.ndarray]

    def where(self, chosen: np.ndarray, other: "Placed") -> "Placed":
        """Point by point, `other` where chosen."""

        def pick(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
            return np.where(chosen.reshape(chosen.shape + (1,) * (mine.ndim - 1)), theirs, mine)

        def each(mine: Any, theirs: Any) -> Any:
            return (
                {k: pick(v, theirs[k]) for k, v in mine.items()}
                if isinstance(mine, dict)
                else pick(mine, theirs)
            )

        return Placed(**{k: each(v, getattr(other, k)) for k, v in vars(self).items()})


@dataclass(frozen=True, eq=False)
class Grouped:
    """Log density of a study with one factor: common coordinates, and a few for each group.

    Attributes
    ----------
    density : Density
        Without a middle and without centring of its own.
    runs : ByGroup
    near, far : Tangent
        Coordinates x of each group, which touch the link scale at its mode, and those of the population.
    told : Mode
        What each group's runs say.
    pooled : tuple of int
        Positions of the letters that vary.
    prior_mean, prior_precision : array of shape (letter,)
        Of the population values on the link scale.
    """

    density: Density
    runs: ByGroup
    near: Tangent
    far: Tangent
    told: Mode
    pooled: tuple[int, ...]
    prior_mean: np.ndarray
    prior_precision: np.ndarray

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.runs.n_groups

    @property
    def n_pooled(self) -> int:
        """Coordinates of one group."""
        return len(self.pooled)

    @cached_property
    def spreads(self) -> tuple[tuple[str, Prior], ...]:
        """Name and prior of each spread, in the order of the pooled letters."""
        s = self.density.spec.structure
        letters = list(s.law.parameters)
        names = [f"{letters[i]}_sd_{self.runs.factor}" for i in self.pooled]
        return tuple((name, s.priors[name]) for name in names)

    @cached_property
    def noises(self) -> tuple[tuple[str, Prior], ...]:
        """Name and prior of what the noise learns."""
        s = self.density.spec.structure
        return tuple((name, s.priors[name]) for name in s.noise_names)

    @property
    def n_free(self) -> int:
        """Common coordinates without an adapted scale: spreads, then noise."""
        return len(self.spreads) + len(self.noises)

    @property
    def n_common(self) -> int:
        """Those, and one for each population value."""
        return self.n_free + len(self.prior_mean)

    def place(self, common: np.ndarray) -> Placed:
        """Settle what the common part says; `common` (point, coordinate)."""
        return self.shifted(self._spread_out(common), common[:, self.n_free :])

    def shifted(self, placed: Placed, z: np.ndarray) -> Placed:
        """The same spreads and noise with other population values."""
        s = self.density.spec.structure
        mu = times(placed.wide, placed.told + z)
        half = placed.slope - (placed.reach @ mu[:, :, None])[..., 0].reshape(placed.slope.shape)
        theta, log_jacobian = self.far.to_theta(mu)
        shared = placed.free + log_jacobian
        for i, letter in enumerate(s.law.parameters):
            prior = s.priors[letter]
            value = prior.constrain(theta[:, i])
            shared += prior.log_density(value) + prior.log_jacobian(theta[:, i])
        base = np.repeat(mu[:, None], self.n_groups, axis=1)
        there = replace(
            placed,
            shared=np.nan_to_num(shared, nan=-np.inf),
            theta=theta,
            base=base,
            effect=times(placed.upper, half),
        )
        return self._bent(there, half)

    def _bent(self, placed: Placed, half: np.ndarray) -> Placed:
        """Effects whose middle allows for the bends between coordinates, as they are at that middle.

        The prior of the effects is normal on the link scale, and what the runs say is normal in x. Where the
        coordinates in use part from either, the one is about the difference, and so is the other.
        """
        pooled = np.array(self.pooled)
        theta, _, away = self.parameters(placed, np.zeros(half.shape))
        x = placed.base.copy()
        x[..., pooled] += placed.spread[:, None] * placed.effect
        bend = np.zeros(x.shape)
        bend[..., pooled] = placed.spread[:, None] * (placed.effect - away)
        told = bend + self.near.to_x(theta) - x
        finite = np.isfinite(told).all((-1, -2), keepdims=True) & np.isfinite(bend).all(
            (-1, -2), keepdims=True
        )
        told, bend = np.where(finite, told, 0.0), np.where(finite, bend, 0.0)
        reach = placed.reach.reshape(*half.shape, -1)
        return replace(placed, base=placed.base + bend, effect=times(placed.upper, half - times(reach, told)))

    def _spread_out(self, common: np.ndarray) -> Placed:
        """What spreads and noise settle; population values are yet to come."""
        count = len(self.spreads)
        free = np.zeros(len(common))
        spread = np.empty((len(common), count))
        for i, (_, prior) in enumerate(self.spreads):
            spread[:, i] = prior.constrain(common[:, i])
            free += prior.log_density(spread[:, i]) + prior.log_jacobian(common[:, i])
        noise = {}
        for i, (name, prior) in enumerate(self.noises, start=count):
            noise[name] = prior.constrain(common[:, i])
            free += prior.log_density(noise[name]) + prior.log_jacobian(common[:, i])
        pooled, h = np.array(self.pooled), self.told.information
        sharp = self._sharper(noise, len(common))
        scaled = spread * np.sqrt(sharp)[:, None]
        inside = h[:, pooled[:, None], pooled] * scaled[:, None, :, None] * scaled[:, None, None, :]
        inside[..., np.arange(count), np.arange(count)] += 1.0
        root = np.linalg.cholesky(inside)
        lower = np.linalg.inv(root)
        several = sharp[:, None] * spread
        reach = (lower * several[:, None, None]) @ h[:, pooled]  # (point, group, pooled, letter)
        reach = reach.reshape(len(common), -1, h.shape[-1])
        precision = sharp[:, None, None] * h.sum(0) + np.diag(self.prior_precision) - _swap(reach) @ reach
        slope = times(lower, several[:, None] * self._drawn[:, pooled])
        pull = sharp[:, None] * self._drawn.sum(0) + self.prior_precision * self.prior_mean
        pull -= (slope.reshape(len(common), 1, -1) @ reach)[:, 0]
        width = np.linalg.cholesky(precision)
        inverse = np.linalg.inv(width)
        nothing = np.empty(0)
        return Placed(
            nothing,
            nothing,
            nothing,
            nothing,
            free - _log_diagonal(width),
            spread,
            _swap(lower),
            slope,
            reach,
            _log_diagonal(root),
            _swap(inverse),
            times(inverse, pull),
            noise,
            self._share(scaled),
        )

    @cached_property
    def _drawn(self) -> np.ndarray:
        return np.einsum("gij,gj->gi", self.told.information, self.told.theta) + self.told.pull

    def _share(self, scaled: np.ndarray) -> dict[int, np.ndarray]:
        """How far a group's floor and amplitudes are settled by its own runs, (point, group)."""
        bent = {*self.near.amplitudes, *([] if self.near.floor is None else [self.near.floor])}
        told = {
            at: scaled[:, j, None] ** 2 * self.told.information[:, at, at] for j, at in enumerate(self.pooled)
        }
        return {at: told[at] / (1.0 + told[at]) for at in bent if at in told}

    def _sharper(self, noise: Mapping[str, np.ndarray], points: int) -> np.ndarray:
        """How much more the runs say at this noise than at that where what they say was worked out."""
        error2 = 0.0 if self.runs.error2 is None else float(np.median(self.runs.error2))
        scale = (self.told.sigma**2 + error2) / (noise["sigma"] ** 2 + error2)
        if "nu" in noise and self.told.nu is not None:
            scale = scale * (noise["nu"] + 1) / (noise["nu"] + 3) * (self.told.nu + 3) / (self.told.nu + 1)
        return np.broadcast_to(scale, points)

    def of_groups(self, placed: Placed, q: np.ndarray) -> np.ndarray:
        """Log density of each group's part; `q` (point, group, pooled), result (point, group)."""
        theta, log_jacobian, away = self.parameters(placed, q)
        nu = placed.noise.get("nu", self._fixed_nu(len(q)))
        prior = -0.5 * (away**2).sum(-1) - 0.5 * self.n_pooled * LOG_2PI
        found = prior + log_jacobian - placed.log_width
        return np.nan_to_num(found + self.runs.log_likelihood(theta, placed.noise["sigma"], nu), nan=-np.inf)

    def parameters(self, placed: Placed, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each group's parameters on the link scale, log Jacobian, and effects in units of the spread."""
        pooled = np.array(self.pooled)
        effect = placed.effect + times(placed.upper, q)
        x = placed.base.copy()
        x[..., pooled] += placed.spread[:, None] * effect
        held = {i: placed.theta[:, None, i] for i in range(x.shape[-1]) if i not in self.pooled}
        with np.errstate(all="ignore"):
            theta, log_jacobian = self.near.to_theta(x, held, placed.share)
            away = (theta - placed.theta[:, None])[..., pooled] / placed.spread[:, None]
        return theta, log_jacobian, away

    def blocks(self, common: np.ndarray, q: np.ndarray) -> dict[str, np.ndarray]:
        """Unknowns by name; leading axes are kept."""
        lead = common.shape[:-1]
        common, q = common.reshape(-1, common.shape[-1]), q.reshape(-1, *q.shape[-2:])
        parts = [
            self._blocks(common[i : i + _POINTS], q[i : i + _POINTS]) for i in range(0, len(common), _POINTS)
        ]
        joined = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
        return {k: v.reshape(*lead, *v.shape[1:]) for k, v in joined.items()}

    def _blocks(self, common: np.ndarray, q: np.ndarray) -> dict[str, np.ndarray]:
        s = self.density.spec.structure
        placed = self.place(common)
        _, _, away = self.parameters(placed, q)
        letters = list(s.law.parameters)
        found = {s.population(k): s.priors[k].constrain(placed.theta[:, i]) for i, k in enumerate(letters)}
        found |= placed.noise
        for j, (name, _) in enumerate(self.spreads):
            found[name] = placed.spread[:, j]
            found[f"{letters[self.pooled[j]]}_offset_{self.runs.factor}"] = away[..., j]
        return {block.name: found[block.name] for block in s.blocks}

    @property
    def n_rows(self) -> int:
        """Number of runs."""
        return self.runs.value.size

    def compressed(self) -> "Grouped":
        """The same with what the runs say taken to be normal."""
        from bayescale.model.compressed import Compressed

        return Compressed(**{field.name: getattr(self, field.name) for field in fields(self)})

    def told_height(self, common: np.ndarray) -> np.ndarray:
        """Log density of the common part with what the runs say taken to be normal, but for the noise."""
        placed = self.place(common)
        away = placed.base - self.told.theta
        away[..., np.array(self.pooled)] += placed.spread[:, None] * placed.effect
        bent = (away * (self.told.pull - 0.5 * times(self.told.information, away))).sum(-1)
        prior = self.prior_precision * (placed.theta - self.prior_mean) ** 2
        found = placed.free - 0.5 * prior.sum(-1)
        return found + (bent - 0.5 * (placed.effect**2).sum(-1) - placed.log_width).sum(-1)

    def guess(self) -> tuple[np.ndarray, np.ndarray]:
        """Rough mean and covariance of the common coordinates: the mode of the spreads."""
        from scipy.optimize import minimize

        count, size = len(self.spreads), self.n_common
        middle, covariance = np.zeros(size), np.eye(size)
        rows = self.runs.value.size
        for i, (name, prior) in enumerate(self.noises, start=count):
            value, wide = (self.told.sigma, 1.3) if name == "sigma" else (self.told.nu or 6.0, 3.5)
            middle[i] = prior.unconstrain(np.float64(value))
            covariance[i, i] = min(wide**2 / rows, 0.5)

        def slope(s: np.ndarray, step: float = 1e-3) -> tuple[float, np.ndarray]:
            points = np.tile(middle, (2 * count + 1, 1))
            points[:, :count] = s + step * np.concatenate(
                [np.zeros((1, count)), np.eye(count), -np.eye(count)]
            )
            found = self.told_height(points)
            return -float(found[0]), (found[count + 1 :] - found[1 : count + 1]) / (2 * step)

        first = np.array(
            [
                prior.unconstrain(np.median(prior.sample(np.random.default_rng(0), 400)))
                for _, prior in self.spreads
            ]
        )
        best = minimize(slope, first - 1.0, jac=True, method="BFGS", options={"gtol": 1e-2}).x
        curve = (
            np.stack([slope(best + 0.01 * e)[1] - slope(best - 0.01 * e)[1] for e in np.eye(count)]) / 0.02
        )
        values, vectors = np.linalg.eigh(0.5 * (curve + curve.T))
        covariance[:count, :count] = (vectors / np.clip(np.abs(values), 0.3, None)) @ vectors.T
        middle[:count] = best
        return middle, covariance

    def _fixed_nu(self, points: int) -> np.ndarray | None:
        fixed = getattr(self.density.spec.structure.noise, "nu", None)
        return None if fixed is None else np.full(points, float(fixed))


def _swap(matrix: np.ndarray) -> np.ndarray:
    return matrix.swapaxes(-1, -2)


def times(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Matrices times vectors along the last axes."""
    return (matrix @ vector[..., None])[..., 0]


def _log_diagonal(lower: np.ndarray) -> np.ndarray:
    return np.log(np.diagonal(lower, axis1=-2, axis2=-1)).sum(-1)
