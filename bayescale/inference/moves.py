r"""Moves of many walkers over a density in parts: written once, for NumPy and for JAX's compiler.

A move turns coordinates towards fresh normal numbers, :math:`v' = v \cos a + \xi \sin a`, which leaves the
standard normal distribution as it is; the exact density accepts or refuses, by the ratio of its weights
over that distribution. The numbers a move needs are drawn by NumPy beforehand, so that a seed gives the
same walk in either library, to rounding.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from bayescale.inference.compiled import compiled_before
from bayescale.inference.shape import Shape, home_of

__all__ = ["BATCH", "Form", "Parts", "State", "Walk", "where"]

BATCH = 20
"""Moves in one go."""

_POINTS = 128  # of which all parts are held at once

_BOLD, _TIMID = 0.5 * np.pi, (0.1, 0.8)  # how far moves turn: to an independent place, or nearby
_OFTEN = 0.8  # share of the bold ones
_PARTLY = 0.4  # share of common moves that leave half of the free coordinates where they are


class Parts(Protocol):
    """A log density in a common part and one for each group; coordinates are near normal but for the free.

    Methods but `guess` and `blocks` take and give arrays of NumPy, or of JAX where its compiler follows them.
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
    def form(self) -> "Form":
        """What is compiled: equal for densities that differ in numbers only."""
        ...

    def for_compiler(self) -> Any:
        """The numbers in which they differ."""
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

    def fit(self, placed: Any, theta: Any) -> Any:
        """Log density of the runs of each group, (point, group), at its parameters."""
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


class Form(Protocol):
    """What densities of one form have in common; hashable."""

    def over(self, facts: Any) -> Parts:
        """The density with these numbers."""
        ...


class State(NamedTuple):
    """Where all walkers are; leading axis the walker."""

    v: Any
    u: Any
    log_volume: Any
    placed: Any
    theta: Any
    of_groups: Any
    fit: Any

    @property
    def weight(self) -> Any:
        """Log density over that of the standard normal in `v`, where `u` stays as it is."""
        groups = (self.of_groups + self.fit).sum(-1)
        return self.log_volume + self.placed.shared + groups + 0.5 * (self.v**2).sum(-1)


class _Turns(NamedTuple):
    """Fresh normal numbers, how far to turn towards them, the logs of the chances, and what is not turned."""

    fresh: np.ndarray
    angle: np.ndarray
    chance: np.ndarray
    held: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Walk:
    """Walkers over a density; each part of a move is one call of NumPy, or compiled by JAX."""

    parts: Parts
    compiled: bool
    facts: Any = None

    @classmethod
    def over(cls, parts: Parts, compiled: bool) -> "Walk":
        """With the numbers of the density where the compiler wants them."""
        if not compiled:
            return cls(parts, False)
        import jax

        with jax.enable_x64(True):
            return cls(parts, True, jax.device_put(parts.for_compiler()))

    @contextmanager
    def calls(self) -> Iterator[Callable[..., Any]]:
        """A function that calls another with the density and what else it is given."""
        if not self.compiled:
            yield lambda function, *given: function(self.parts, *given)
            return
        import jax

        with jax.enable_x64(True), compiled_before():
            yield lambda function, *given: _compiled(function)(self.parts.form, self.facts, *given)

    def begin(self, shape: Shape, v: np.ndarray, u: np.ndarray) -> State:
        """Walkers at these places."""
        with self.calls() as call:
            c, log_volume = call(_common, shape, v)
            placed = call(_placed, c)
            return State(v, u, log_volume, placed, *call(_of_groups, shape, placed, u))

    def weight(self, state: State) -> np.ndarray:
        """Log weight of each walker."""
        with self.calls():
            return np.asarray(state.weight)

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
        trail, numbers = [], self._fresh(rng, len(state.v))
        with self.calls() as call:
            for common, noise, groups in numbers:
                v = call(_turned_common, state.v, common)
                c, log_volume = call(_common, shape, v)
                placed = call(_placed, c)
                there = (v, log_volume, placed, *call(_of_groups, shape, placed, state.u))
                state, of_common = call(_chosen, state, there, common.chance)
                state = call(_renoised, shape, state, noise)
                u = call(_turned_groups, state.u, groups)
                state, of_groups = call(
                    _taken, state, u, call(_of_groups, shape, state.placed, u), groups.chance
                )
                trail.append((state.v, state.u, of_common, of_groups))
        v, u, *accepted = (np.stack([np.asarray(x) for x in part]) for part in zip(*trail, strict=True))
        return state, v, u, np.sum(accepted, axis=1)

    def heights(self, common: np.ndarray, q: np.ndarray) -> np.ndarray:
        """Log density at points."""
        with self.calls() as call:
            return np.asarray(call(_height, common, q))

    def blocks(self, common: np.ndarray, q: np.ndarray) -> Mapping[str, np.ndarray]:
        """Unknowns by name at points; leading axes are kept."""
        lead = common.shape[:-1]
        common, q = common.reshape(-1, common.shape[-1]), q.reshape(-1, *q.shape[-2:])
        filled = np.arange(-(-len(common) // _POINTS) * _POINTS) % len(common)
        parts = []
        with self.calls() as call:
            for some in filled.reshape(-1, _POINTS):
                found = call(_unknowns, common[some], q[some])
                parts.append({k: np.asarray(v) for k, v in found.items()})
        joined = {k: np.concatenate([part[k] for part in parts])[: len(common)] for k in parts[0]}
        return self.parts.blocks({k: v.reshape(*lead, *v.shape[1:]) for k, v in joined.items()})

    def _fresh(self, rng: np.random.Generator, walkers: int) -> Iterator[tuple[_Turns, _Turns, _Turns]]:
        """Numbers for a batch of moves: of everything common, of the noise, and of the groups."""
        parts = self.parts
        spreads = parts.n_free - parts.n_noise
        for _ in range(BATCH):
            common = _turns(rng, (walkers,), parts.n_common)
            held = rng.random((walkers, spreads)) < np.where(rng.random((walkers, 1)) < _PARTLY, 0.5, 0.0)
            rest = np.arange(parts.n_common - spreads) < parts.n_noise
            held = np.concatenate([held, np.broadcast_to(rest, (walkers, rest.size))], axis=1)
            noise = _turns(rng, (walkers,), parts.n_noise)
            yield common._replace(held=held), noise, _turns(rng, (walkers, parts.n_groups), parts.n_pooled)


def where(shape: Shape, v: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Common coordinates and those of the groups; leading axes are kept."""
    common = shape.common(v.reshape(-1, v.shape[-1]))[0].reshape(v.shape)
    return common, shape.q(u)


def _turns(rng: np.random.Generator, lead: tuple[int, ...], size: int) -> _Turns:
    angle = np.where(rng.random((*lead, 1)) < _OFTEN, _BOLD, rng.uniform(*_TIMID, (*lead, 1)))
    return _Turns(rng.standard_normal((*lead, size)), angle, np.log(rng.random(lead)))


def _turned(x: Any, by: _Turns) -> Any:
    home = home_of(x)
    return x * home.cos(by.angle) + by.fresh * home.sin(by.angle)


def _turned_common(parts: Parts, v: Any, by: _Turns) -> Any:
    return home_of(v).where(by.held, v, _turned(v, by))


def _turned_groups(parts: Parts, u: Any, by: _Turns) -> Any:
    return _turned(u, by)


def _common(parts: Parts, shape: Shape, v: Any) -> tuple[Any, Any]:
    """Common coordinates, and their log volume; by itself, lest a compiler mingle it with the rest."""
    return shape.common(v)


def _placed(parts: Parts, c: Any) -> Any:
    return parts.place(c)


def _of_groups(parts: Parts, shape: Shape, placed: Any, u: Any) -> tuple[Any, Any, Any]:
    """Parameters of the groups, and the two parts of their log density."""
    of_groups, theta = parts.of_groups(placed, shape.q(u))
    return theta, of_groups, parts.fit(placed, theta)


def _height(parts: Parts, common: Any, q: Any) -> Any:
    placed = parts.place(common)
    of_groups, theta = parts.of_groups(placed, q)
    return placed.shared + (of_groups + parts.fit(placed, theta)).sum(-1)


def _unknowns(parts: Parts, common: Any, q: Any) -> dict[str, Any]:
    return parts.unknowns(common, q)


def _chosen(parts: Parts, state: State, there: tuple[Any, ...], chance: Any) -> tuple[State, Any]:
    """Walker by walker, the proposal for everything common or what was."""
    v, *others = there
    proposed = State(v, state.u, *others)
    chosen = chance < proposed.weight - state.weight
    return _either(home_of(v), chosen, proposed, state), chosen.mean()


def _renoised(parts: Parts, shape: Shape, state: State, by: _Turns) -> State:
    """A move of the noise alone."""
    home, end = home_of(state.v), parts.n_free
    begin = end - parts.n_noise
    noise = _turned(state.v[:, begin:end], by)
    v = home.concatenate([state.v[:, :begin], noise, state.v[:, end:]], axis=1)
    c, log_volume = shape.common(v)
    placed = parts.renoised(state.placed, c)
    fit = parts.fit(placed, state.theta)
    there = state._replace(v=v, log_volume=log_volume, placed=placed, fit=fit)
    return _either(home, by.chance < there.weight - state.weight, there, state)


def _taken(parts: Parts, state: State, u: Any, found: tuple[Any, Any, Any], chance: Any) -> tuple[State, Any]:
    """Group by group, the proposal or what was."""
    home, (theta, of_groups, fit) = home_of(u), found
    gain = of_groups + fit - state.of_groups - state.fit + 0.5 * ((u**2).sum(-1) - (state.u**2).sum(-1))
    taken = chance < gain
    state = state._replace(
        u=home.where(taken[..., None], u, state.u),
        theta=home.where(taken[..., None], theta, state.theta),
        of_groups=home.where(taken, of_groups, state.of_groups),
        fit=home.where(taken, fit, state.fit),
    )
    return state, taken.mean()


def _either(home: Any, chosen: Any, there: Any, here: Any) -> Any:
    """Walker by walker, what is there where chosen; tuples and mappings part by part."""
    if there is here:
        return here
    if isinstance(there, tuple):
        return type(there)(*(_either(home, chosen, a, b) for a, b in zip(there, here, strict=True)))
    if isinstance(there, dict):
        return {k: _either(home, chosen, a, here[k]) for k, a in there.items()}
    return home.where(chosen.reshape(chosen.shape + (1,) * (there.ndim - 1)), there, here)


@cache
def _compiled(function: Callable[..., Any]) -> Any:
    """A function of form, numbers and what else is given, compiled once for each form and size."""
    import jax

    # On a CPU the last passes of the compiler double its time and gain nothing here.
    options = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else {}
    return jax.jit(
        lambda form, facts, *given: function(form.over(facts), *given),
        static_argnums=0,
        compiler_options=options,
    )
