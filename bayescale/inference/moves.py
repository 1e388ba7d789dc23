r"""Moves of many walkers over a density in parts.

A move turns coordinates towards fresh normal numbers, :math:`v' = v \cos a + \xi \sin a`, which leaves the
standard normal distribution as it is; the exact density accepts or refuses, by the ratio of its weights
over that distribution. Now and then the common part is also drawn given the groups' own parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from bayescale.inference.shape import Shape

__all__ = ["BATCH", "Parts", "State", "Walk", "where"]

BATCH = 10
"""Moves in one go."""

_EVERY = 2  # moves after which the common part is drawn given the groups
_SAME = 1e-9  # parameters that do not differ
_POINTS = 128  # of which all parts are held at once

_BOLD, _TIMID = 0.5 * np.pi, (0.1, 0.8)  # how far moves turn: to an independent place, or nearby
_OFTEN, _MOSTLY = 0.8, 0.9  # share of the bold ones, and where moves are easy
_PARTLY, _SELDOM = 0.4, 0.2  # share of common moves that leave half of the free coordinates where they are
_EASY = 0.4  # share of common moves accepted, from which on they are


class Parts(Protocol):
    """A log density in a common part and one for each group; coordinates are near normal but for the free.

    Arrays that its methods give are the walkers', who write over them.
    """

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

    def redrawn(
        self, placed: Any, common: np.ndarray, theta: np.ndarray, rng: np.random.Generator
    ) -> tuple[Any, np.ndarray]:
        """Another common part, drawn given the groups' parameters, and what it settles."""
        ...

    def standard(self, placed: Any, theta: np.ndarray) -> np.ndarray:
        """The groups' coordinates at which `of_groups` finds these parameters."""
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
    """Walkers over a density.

    Attributes
    ----------
    parts : Parts
    often : float
        Share of moves that go to an independent place.
    partly : float
        Share of common moves that leave half of the free coordinates where they are.
    """

    parts: Parts
    often: float = _OFTEN
    partly: float = _PARTLY

    def used_to(self, accepted: float) -> "Walk":
        """The same, bolder where that share of the common moves is accepted."""
        often, partly = (_MOSTLY, _SELDOM) if accepted > _EASY else (_OFTEN, _PARTLY)
        return replace(self, often=often, partly=partly)

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
        for i in range(BATCH):
            state, of_common = self._moved_common(shape, state, rng)
            if i % _EVERY == 0:
                state = self._redrawn(shape, state, rng)
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
        v = _turned(state.v, self.often, rng)
        held = rng.random((walkers, spreads)) < np.where(rng.random((walkers, 1)) < self.partly, 0.5, 0.0)
        v[:, :spreads] = np.where(held, state.v[:, :spreads], v[:, :spreads])
        v[:, spreads : parts.n_free] = state.v[:, spreads : parts.n_free]
        there = self.begin(shape, v, state.u)
        chosen = np.log(rng.random(walkers)) < there.weight - state.weight
        return _kept(chosen, there, state), chosen.mean()

    def _redrawn(self, shape: Shape, state: State, rng: np.random.Generator) -> State:
        """Another common part, drawn given the groups' parameters, which stay."""
        parts = self.parts
        placed, c = parts.redrawn(state.placed, shape.common(state.v)[0], state.theta, rng)
        q = parts.standard(placed, state.theta)
        of_groups, theta = parts.of_groups(placed, q)
        v, u = shape.of_common(c), shape.of_q(q)
        log_volume = shape.common(v)[1]
        there = state._replace(v=v, u=u, log_volume=log_volume, placed=placed, of_groups=of_groups)
        # Beyond where the coordinates reach there is no way back to the same parameters.
        same = np.isclose(theta, state.theta, rtol=_SAME, atol=_SAME).all((1, 2))
        return _kept(same & np.isfinite(there.weight), there, state)

    def _moved_noise(self, shape: Shape, state: State, rng: np.random.Generator) -> State:
        """A move of the noise alone."""
        v, end = state.v.copy(), self.parts.n_free
        begin = end - self.parts.n_noise
        v[:, begin:end] = _turned(v[:, begin:end], self.often, rng)
        c, log_volume = shape.common(v)
        placed = self.parts.renoised(state.placed, c)
        fit = self.parts.refit(placed, state.theta, state.away)
        there = state._replace(v=v, log_volume=log_volume, placed=placed, fit=fit)
        return _kept(np.log(rng.random(len(v))) < there.weight - state.weight, there, state)

    def _moved_groups(
        self, shape: Shape, state: State, rng: np.random.Generator
    ) -> tuple[State, np.floating[Any]]:
        """A move of every group, each accepted by itself."""
        u = _turned(state.u, self.often, rng)
        theta, of_groups, fit, away = self._of_groups(shape, state.placed, u)
        gain = of_groups + fit - state.of_groups - state.fit + 0.5 * ((u**2).sum(-1) - (state.u**2).sum(-1))
        taken = np.log(rng.random(gain.shape)) < gain
        before = ~taken
        there = {"u": u, "theta": theta, "of_groups": of_groups, "fit": fit}
        for name, part in there.items():
            part[before] = getattr(state, name)[before]
        if away.size:
            np.copyto(away, state.away, where=before.T[self.parts.group_of_run])
        state = state._replace(**there, away=away)
        return state, taken.mean()


def where(shape: Shape, v: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Common coordinates and those of the groups; leading axes are kept."""
    common = shape.common(v.reshape(-1, v.shape[-1]))[0].reshape(v.shape)
    return common, shape.q(u)


def _turned(x: np.ndarray, often: float, rng: np.random.Generator) -> np.ndarray:
    """Coordinates, along the last axis, turned towards fresh normal numbers; each row by its own angle."""
    lead = (*x.shape[:-1], 1)
    angle = np.where(rng.random(lead) < often, _BOLD, rng.uniform(*_TIMID, lead))
    return x * np.cos(angle) + rng.standard_normal(x.shape) * np.sin(angle)


def _kept(chosen: np.ndarray, there: State, here: State) -> State:
    """Walker by walker, what is there where chosen; what is not is written over what is there."""
    back = np.flatnonzero(~chosen)
    if there.away.size and there.away is not here.away:
        there.away[:, back] = here.away[:, back]
    _put_back(back, there[:-1], here[:-1])
    return there


def _put_back(back: np.ndarray, there: Any, here: Any) -> None:
    """Points `back` as they were; tuples and mappings part by part."""
    if there is here:
        return
    if isinstance(there, tuple):
        for a, b in zip(there, here, strict=True):
            _put_back(back, a, b)
    elif isinstance(there, dict):
        _put_back(back, tuple(there.values()), tuple(here[k] for k in there))
    else:
        there[back] = here[back]
