r"""Moves of many walkers over a density in parts.

A move turns coordinates towards fresh normal numbers, :math:`v' = v \cos a + \xi \sin a`, which leaves the
standard normal distribution as it is; the exact density accepts or refuses, by the ratio of its weights
over that distribution.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from bayescale.inference.shape import Shape

__all__ = ["BATCH", "Parts", "State", "Walk", "where"]

BATCH = 20
"""Moves in one go."""

_POINTS = 128  # of which all parts are held at once

_BOLD, _TIMID = 0.5 * np.pi, (0.1, 0.8)  # how far moves turn: to an independent place, or nearby
_OFTEN = 0.8  # share of the bold ones
_PARTLY = 0.4  # share of common moves that leave half of the free coordinates where they are


class Parts(Protocol):
    """A log density in a common part and one for each group; coordinates are near normal but for the free."""

    @property
    def n_free(self) -> int:
        """Common coordinates that come first and have a scale of their own."""
        ...

    @property
    def n_noise(self) -> int:
        """How many of those, at their end, are of the noise and settle nothing for the groups."""
        ...

    @property
    def n_common(self) -> int:
        """Common coordinates."""
        ...

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        ...

    @property
    def n_pooled(self) -> int:
        """Coordinates of each group."""
        ...

    @property
    def n_rows(self) -> int:
        """Number of runs that an evaluation passes over."""
        ...

    @property
    def group_of_run(self) -> np.ndarray:
        """The group of each run that `fit` tells the distance of."""
        ...

    def guess(self) -> tuple[np.ndarray, np.ndarray]:
        """Rough mean and covariance of the common coordinates."""
        ...

    def place(self, common: Any) -> Any:
        """What the common part settles for the groups; carries ``shared``, its own log density by point.

        A named tuple, of which every array has points first.
        """
        ...

    def renoised(self, placed: Any, common: Any) -> Any:
        """The same with the noise of other common coordinates."""
        ...

    def of_groups(self, placed: Any, q: Any) -> tuple[Any, Any]:
        """Log density of each group's part but for its runs, (point, group), and its parameters."""
        ...

    def fit(self, placed: Any, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density of the runs of each group, (point, group), at its parameters, and each run's distance.

        Distances are (run, point), or empty where the density has no use for them.
        """
        ...

    def refit(self, placed: Any, theta: np.ndarray, away: np.ndarray) -> np.ndarray:
        """The same log density with other noise, of runs at these distances."""
        ...

    def unknowns(self, common: Any, q: Any) -> dict[str, Any]:
        """What stands for the unknowns at each point."""
        ...

    def blocks(self, unknowns: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Unknowns by name, from these; leading axes are kept."""
        ...

    def compressed(self) -> "Parts":
        """The same with what the runs say taken to be normal, at no cost by the run."""
        ...


class State(NamedTuple):
    """Where all walkers are; leading axis the walker, but for `away`, where it is the last."""

    v: Any
    u: Any
    log_volume: Any
    placed: Any
    theta: Any
    of_groups: Any
    fit: Any
    away: Any

    @property
    def weight(self) -> Any:
        """Log density over that of the standard normal in `v`, where `u` stays as it is."""
        groups = (self.of_groups + self.fit).sum(-1)
        return self.log_volume + self.placed.shared + groups + 0.5 * (self.v**2).sum(-1)


@dataclass(frozen=True, eq=False)
class Walk:
    """Walkers over a density."""

    parts: Parts

    def begin(self, shape: Shape, v: np.ndarray, u: np.ndarray) -> State:
        """Walkers at these places."""
        c, log_volume = shape.common(v)
        placed = self.parts.place(c)
        return State(v, u, log_volume, placed, *self._of_groups(shape, placed, u))

    def moved(
        self, shape: Shape, state: State, rng: np.random.Generator
    ) -> tuple[State, np.ndarray, np.ndarray, np.ndarray]:
        """A batch of moves: where they lead, `v` and `u` after each, and the shares accepted in all.

        Returns
        -------
        state : State
        v : array of shape (move, walker, coordinate)
        u : array of shape (move, walker, group, coordinate)
        accepted : array of shape (2,)
            Of common moves and of the groups', summed over the batch.
        """
        trail, accepted = [], np.zeros(2)
        for _ in range(BATCH):
            state, of_common = self._moved_common(shape, state, rng)
            state = self._moved_noise(shape, state, rng)
            state, of_groups = self._moved_groups(shape, state, rng)
            accepted += of_common, of_groups
            trail.append((state.v, state.u))
        v, u = (np.stack(part) for part in zip(*trail, strict=True))
        return state, v, u, accepted

    def heights(self, common: np.ndarray, q: np.ndarray) -> np.ndarray:
        """Log density at points."""
        placed = self.parts.place(common)
        of_groups, theta = self.parts.of_groups(placed, q)
        return placed.shared + (of_groups + self.parts.fit(placed, theta)[0]).sum(-1)

    def blocks(self, common: np.ndarray, q: np.ndarray) -> Mapping[str, np.ndarray]:
        """Unknowns by name at points; leading axes are kept."""
        lead = common.shape[:-1]
        common, q = common.reshape(-1, common.shape[-1]), q.reshape(-1, *q.shape[-2:])
        parts = [
            self.parts.unknowns(common[low : low + _POINTS], q[low : low + _POINTS])
            for low in range(0, len(common), _POINTS)
        ]
        joined = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
        return self.parts.blocks({k: v.reshape(*lead, *v.shape[1:]) for k, v in joined.items()})

    def _of_groups(self, shape: Shape, placed: Any, u: np.ndarray) -> tuple[np.ndarray, ...]:
        """Parameters of the groups, the two parts of their log density, and distances of the runs."""
        of_groups, theta = self.parts.of_groups(placed, shape.q(u))
        return theta, of_groups, *self.parts.fit(placed, theta)

    def _moved_common(
        self, shape: Shape, state: State, rng: np.random.Generator
    ) -> tuple[State, np.floating[Any]]:
        """A move of everything common but the noise."""
        parts, walkers = self.parts, len(state.v)
        spreads = parts.n_free - parts.n_noise
        v = _turned(state.v, rng)
        held = rng.random((walkers, spreads)) < np.where(rng.random((walkers, 1)) < _PARTLY, 0.5, 0.0)
        v[:, :spreads] = np.where(held, state.v[:, :spreads], v[:, :spreads])
        v[:, spreads : parts.n_free] = state.v[:, spreads : parts.n_free]
        there = self.begin(shape, v, state.u)
        chosen = np.log(rng.random(walkers)) < there.weight - state.weight
        return _either(chosen, there, state), chosen.mean()

    def _moved_noise(self, shape: Shape, state: State, rng: np.random.Generator) -> State:
        """A move of the noise alone."""
        v, end = state.v.copy(), self.parts.n_free
        begin = end - self.parts.n_noise
        v[:, begin:end] = _turned(v[:, begin:end], rng)
        c, log_volume = shape.common(v)
        placed = self.parts.renoised(state.placed, c)
        fit = self.parts.refit(placed, state.theta, state.away)
        there = state._replace(v=v, log_volume=log_volume, placed=placed, fit=fit)
        return _either(np.log(rng.random(len(v))) < there.weight - state.weight, there, state)

    def _moved_groups(
        self, shape: Shape, state: State, rng: np.random.Generator
    ) -> tuple[State, np.floating[Any]]:
        """A move of every group, each accepted by itself."""
        u = _turned(state.u, rng)
        theta, of_groups, fit, away = self._of_groups(shape, state.placed, u)
        gain = of_groups + fit - state.of_groups - state.fit + 0.5 * ((u**2).sum(-1) - (state.u**2).sum(-1))
        taken = np.log(rng.random(gain.shape)) < gain
        state = state._replace(
            u=np.where(taken[..., None], u, state.u),
            theta=np.where(taken[..., None], theta, state.theta),
            of_groups=np.where(taken, of_groups, state.of_groups),
            fit=np.where(taken, fit, state.fit),
            away=np.where(taken.T[self.parts.group_of_run], away, state.away) if away.size else away,
        )
        return state, taken.mean()


def where(shape: Shape, v: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Common coordinates and those of the groups; leading axes are kept."""
    common = shape.common(v.reshape(-1, v.shape[-1]))[0].reshape(v.shape)
    return common, shape.q(u)


def _turned(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Coordinates, along the last axis, turned towards fresh normal numbers; each row by its own angle."""
    lead = (*x.shape[:-1], 1)
    angle = np.where(rng.random(lead) < _OFTEN, _BOLD, rng.uniform(*_TIMID, lead))
    return x * np.cos(angle) + rng.standard_normal(x.shape) * np.sin(angle)


def _either(chosen: np.ndarray, there: Any, here: Any) -> Any:
    """Walker by walker, what is there where chosen; tuples and mappings part by part."""
    if there is here:
        return here
    if isinstance(there, State):
        away = here.away if there.away is here.away else np.where(chosen, there.away, here.away)
        parts = (_either(chosen, a, b) for a, b in zip(there[:-1], here[:-1], strict=True))
        return State(*parts, away if there.away.size else there.away)
    if isinstance(there, tuple):
        return type(there)(*(_either(chosen, a, b) for a, b in zip(there, here, strict=True)))
    if isinstance(there, dict):
        return {k: _either(chosen, a, here[k]) for k, a in there.items()}
    return np.where(chosen.reshape(chosen.shape + (1,) * (there.ndim - 1)), there, here)
