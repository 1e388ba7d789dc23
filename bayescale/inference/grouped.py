r"""Metropolis moves group by group, in coordinates where the posterior is close to standard normal.

A move turns coordinates towards fresh normal numbers, :math:`v' = v \cos a + \xi \sin a`, which leaves the
standard normal distribution as it is; the exact density accepts or refuses, by the ratio of its weights
over that distribution. Common coordinates move together; those of the groups all at once, and each group
accepts for itself, so that a hundred groups cost no more moves than one. No gradient is taken and nothing
is compiled: many walkers share every NumPy call. In a warm-up the coordinates are brought nearer still to
normal by the walkers' own draws.

Of many runs the same moves are first made over what the runs say taken to be normal, which costs nothing by
the run. Weights by the exact density at some of those draws then certify them, or send the walkers on to
the exact one.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from bayescale.errors import InputError
from bayescale.inference.mode import Mode
from bayescale.inference.progress import progress
from bayescale.inference.psis import effective_draws, pareto_khat
from bayescale.inference.shape import Shape, first_shape, fitted
from bayescale.inference.target import Draws, Settings, Target

__all__ = ["ENOUGH", "Parts", "grouped"]

ENOUGH = 0.1
"""Effective draws for each draw asked for, below which a sampler with gradients is worth its time."""

_WALKERS = 16  # for each chain that was asked for, and of many runs
_FEWER = 4
_STAGES = (15, 25, 40, 60)  # moves of the warm-up, between which coordinates are fitted anew
_BOLD, _TIMID = 0.5 * np.pi, 0.6  # how far moves turn: to an independent place, or nearby
_OFTEN = 0.8  # share of the bold ones
_PARTLY = 0.4  # share of common moves that leave half of the free coordinates where they are
_WANTED = 0.3  # effective draws for each draw asked for: with fewer, each kept draw takes twice the moves
_LONGEST = 16  # moves for each kept draw of a walker, at most
_MOST_WORK = 2_000_000_000  # runs times moves, after which a modest number of effective draws must do
_STUCK = 0.02  # share of moves accepted, below which they lead nowhere

_MANY = 4_000  # runs from which on what they say is first taken to be normal
_CHECKED = 400  # draws at which that is held against the exact density
_LEAST_CHECKED, _CHECKED_WORK = 200, 40_000_000  # fewer where runs times draws are more than that
_KHAT = 0.5
_UNEVEN = 0.7  # deviation of the log weights beyond which so few of them tell too little


class Parts(Protocol):
    """A log density in a common part and one for each group; coordinates are near normal but for the free."""

    @property
    def n_free(self) -> int:
        """Common coordinates that come first and have a scale of their own."""
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

    def guess(self) -> tuple[np.ndarray, np.ndarray]:
        """Rough mean and covariance of the common coordinates."""
        ...

    def place(self, common: np.ndarray) -> Any:
        """What the common part settles for the groups; carries ``shared``, its own log density by point."""
        ...

    def of_groups(self, placed: Any, q: np.ndarray) -> np.ndarray:
        """Log density of each group's part, (point, group)."""
        ...

    def blocks(self, common: np.ndarray, q: np.ndarray) -> Mapping[str, np.ndarray]:
        """Unknowns by name; leading axes are kept."""
        ...

    def compressed(self) -> "Parts":
        """The same with what the runs say taken to be normal, at no cost by the run."""
        ...


@dataclass(frozen=True, eq=False)
class _State:
    """Where all walkers are; leading axis the walker."""

    v: np.ndarray
    u: np.ndarray
    log_volume: np.ndarray
    placed: Any
    of_groups: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        """Log density over that of the standard normal in `v`, where `u` stays as it is."""
        return self.log_volume + self.placed.shared + self.of_groups.sum(-1) + 0.5 * (self.v**2).sum(-1)


@dataclass(frozen=True, eq=False)
class _Kept:
    """Draws of a run of walkers: common (walker, draw, coordinate), q (walker, draw, group, coordinate)."""

    common: np.ndarray
    q: np.ndarray
    shape: Shape
    moves: int
    accepted: np.ndarray
    partial: bool

    @property
    def worth(self) -> float:
        """Independent draws with means as precise, by how far the walkers' means differ; the least of all."""
        if self.common.shape[1] < 2:
            return 0.0
        flat = np.concatenate([self.common, self.q.reshape(*self.q.shape[:2], -1)], axis=2)
        between = flat.mean(1).var(0, ddof=1)
        whole = flat.reshape(-1, flat.shape[-1]).var(0)
        return float(np.min(len(flat) * whole / np.maximum(between, 1e-300)))


def grouped(target: Target, settings: Settings, mode: Mode | None = None) -> Draws:
    """Posterior of a study pooled over one column, group by group.

    Draws are those of many walkers laid end to end, so many to a chain. ``notes`` carry ``walkers``,
    ``moves``, ``accepted`` (shares of common moves and of the groups'), ``effective`` and, of many runs,
    ``checked``: at how many draws the exact density was held against the compressed one, with
    ``checked_khat``, ``uneven`` (deviation of the log weights) and ``compressed``: whether that certified it.

    Raises
    ------
    InputError
        If the study is not of that form.
    """
    if target.parts is None:
        raise InputError(
            "engine='grouped' samples studies in which parameters of the law are pooled over one column, "
            "with Student-t or normal noise, no drift (discrepancy=None) and no joined measurements. Use "
            "engine='auto'."
        )
    began = time.perf_counter()
    parts = target.parts()
    rng = np.random.default_rng(settings.random_seed)
    notes: dict[str, Any] = {}
    if parts.n_rows < _MANY:
        kept = _walked(parts, settings, rng, _WALKERS * settings.chains)
    else:
        kept = _walked(parts.compressed(), settings, rng, _WALKERS * settings.chains)
        notes, moved = _certified(parts, kept, rng)
        if moved is not None and not kept.partial:
            kept = moved
        else:
            kept = _walked(parts, settings, rng, _FEWER * settings.chains, kept)
    common, q = _laid_out(kept.common, settings), _laid_out(kept.q, settings)
    notes |= {
        "walkers": len(kept.common),
        "moves": kept.moves,
        "accepted": [round(float(a), 3) for a in kept.accepted],
        "effective": kept.worth,
        "gradients": 0,
        "seconds": time.perf_counter() - began,
    }
    return Draws("grouped", named=parts.blocks(common, q), notes=notes, partial=kept.partial)


def _laid_out(draws: np.ndarray, settings: Settings) -> np.ndarray:
    """Walkers end to end, so many to a chain."""
    draws = draws.reshape(settings.chains, -1, *draws.shape[2:])
    return draws[:, : settings.draws]


def _walked(
    parts: Parts, settings: Settings, rng: np.random.Generator, walkers: int, before: _Kept | None = None
) -> _Kept:
    """A warm-up, unless there are draws from before to begin at, and the draws to keep."""
    each = -(-settings.draws * settings.chains // walkers)
    with np.errstate(all="ignore"):
        shape, state = (
            _warmed(parts, rng, walkers) if before is None else _continued(parts, rng, walkers, before)
        )
        trail: list[tuple[np.ndarray, np.ndarray]] = []
        accepted, moves, thin, partial = np.zeros(2), 0, 1, False
        with progress(f"{walkers} walkers", each * _LONGEST, settings.progressbar) as advance:
            try:
                while True:
                    while len(trail) < each:
                        for _ in range(thin):
                            state, shares = _move(parts, shape, state, rng)
                            accepted, moves = accepted + shares, moves + 1
                        trail.append(_where(shape, state))
                        advance(thin, "")
                    kept = _kept(trail, shape, moves, accepted, partial)
                    if _enough(parts, kept, settings) or thin >= _LONGEST:
                        break
                    trail, thin = trail[1::2], 2 * thin
            except KeyboardInterrupt:
                partial = True
                if not trail:
                    raise KeyboardInterrupt("interrupted before the first draw was kept") from None
    return _kept(trail, shape, moves, accepted, partial)


def _enough(parts: Parts, kept: _Kept, settings: Settings) -> bool:
    wanted = _WANTED * settings.draws * settings.chains
    if kept.moves * parts.n_rows > _MOST_WORK:
        wanted = min(wanted, 400.0)
    return kept.worth >= wanted or kept.accepted.min() < _STUCK


def _kept(
    trail: list[tuple[np.ndarray, np.ndarray]], shape: Shape, moves: int, accepted: np.ndarray, partial: bool
) -> _Kept:
    common, q = (np.stack(part, axis=1) for part in zip(*trail, strict=True))
    return _Kept(common, q, shape, moves * len(common), accepted / max(moves, 1), partial)


def _warmed(parts: Parts, rng: np.random.Generator, walkers: int) -> tuple[Shape, _State]:
    """Walkers about the mode, and the coordinates fitted to their draws, a few times."""
    shape = first_shape(*parts.guess(), parts.n_free, parts.n_groups, parts.n_pooled)
    state = _begin(parts, shape, rng, walkers)
    trail: list[tuple[np.ndarray, np.ndarray]] = []
    for length in _STAGES:
        for _ in range(length):
            state, _ = _move(parts, shape, state, rng)
            trail.append(_where(shape, state))
        late = trail[len(trail) // 3 :]
        shape = fitted(
            np.concatenate([c for c, _ in late]), np.concatenate([q for _, q in late]), parts.n_free
        )
        state = _at(parts, shape, shape.of_common(trail[-1][0]), shape.of_q(trail[-1][1]))
    return shape, state


def _continued(parts: Parts, rng: np.random.Generator, walkers: int, before: _Kept) -> tuple[Shape, _State]:
    """Walkers at draws of another density, moved until they have forgotten it."""
    c, q = before.common.reshape(-1, before.common.shape[-1]), before.q.reshape(-1, *before.q.shape[2:])
    chosen = rng.choice(len(c), walkers, replace=False)
    shape = before.shape
    state = _at(parts, shape, shape.of_common(c[chosen]), shape.of_q(q[chosen]))
    for _ in range(_STAGES[0]):
        state, _ = _move(parts, shape, state, rng)
    return shape, state


def _begin(parts: Parts, shape: Shape, rng: np.random.Generator, walkers: int) -> _State:
    """Walkers drawn from the first shape, nearer to its middle where the density has no value there."""
    v = rng.standard_normal((walkers, shape.root.shape[0]))
    u = rng.standard_normal((walkers, parts.n_groups, parts.n_pooled))
    state = _at(parts, shape, v, u)
    for _ in range(20):
        lost = ~np.isfinite(state.weight)
        if not lost.any():
            break
        v, u = np.where(lost[:, None], 0.7 * v, v), np.where(lost[:, None, None], 0.7 * u, u)
        state = _at(parts, shape, v, u)
    return state


def _at(parts: Parts, shape: Shape, v: np.ndarray, u: np.ndarray) -> _State:
    c, log_volume = shape.common(v)
    placed = parts.place(c)
    return _State(v, u, log_volume, placed, parts.of_groups(placed, shape.q(u)))


def _where(shape: Shape, state: _State) -> tuple[np.ndarray, np.ndarray]:
    return shape.common(state.v)[0], shape.q(state.u)


def _move(parts: Parts, shape: Shape, state: _State, rng: np.random.Generator) -> tuple[_State, np.ndarray]:
    """One move of everything common, and one of every group; with the shares that were accepted."""
    v = _turned(state.v, rng, (len(state.v), 1))
    held = rng.random((len(v), parts.n_free)) < np.where(rng.random((len(v), 1)) < _PARTLY, 0.5, 0.0)
    v[:, : parts.n_free] = np.where(held, state.v[:, : parts.n_free], v[:, : parts.n_free])
    there = _at(parts, shape, v, state.u)
    chosen = np.log(rng.random(len(v))) < there.weight - state.weight
    some = chosen[:, None]
    state = _State(
        np.where(some, v, state.v),
        state.u,
        np.where(chosen, there.log_volume, state.log_volume),
        state.placed.where(chosen, there.placed),
        np.where(some, there.of_groups, state.of_groups),
    )
    u = _turned(state.u, rng, (*state.u.shape[:2], 1))
    found = parts.of_groups(state.placed, shape.q(u))
    gain = found - state.of_groups + 0.5 * ((u**2).sum(-1) - (state.u**2).sum(-1))
    taken = np.log(rng.random(gain.shape)) < gain
    state = replace(
        state, u=np.where(taken[..., None], u, state.u), of_groups=np.where(taken, found, state.of_groups)
    )
    return state, np.array([chosen.mean(), taken.mean()])


def _turned(v: np.ndarray, rng: np.random.Generator, angles: tuple[int, ...]) -> np.ndarray:
    angle = np.where(rng.random(angles) < _OFTEN, _BOLD, _TIMID)
    return v * np.cos(angle) + rng.standard_normal(v.shape) * np.sin(angle)


def _certified(parts: Parts, kept: _Kept, rng: np.random.Generator) -> tuple[dict[str, Any], _Kept | None]:
    """Draws of the compressed density, moved to what the exact one makes of them; None where it disagrees.

    Where the weights are nearly even, all that they change, to that order, is the mean and the deviation of
    each coordinate. These are carried over from the draws that were weighed to all.
    """
    c, q = kept.common.reshape(-1, kept.common.shape[-1]), kept.q.reshape(-1, *kept.q.shape[2:])
    count = int(np.clip(_CHECKED_WORK // parts.n_rows, _LEAST_CHECKED, _CHECKED))
    some = rng.choice(len(c), min(count, len(c)), replace=False)
    rough = parts.compressed()
    ratios = []
    with np.errstate(all="ignore"):
        for part in np.array_split(some, max(1, some.size // 50)):
            heights = []
            for density in (parts, rough):
                placed = density.place(c[part])
                heights.append(placed.shared + density.of_groups(placed, q[part]).sum(-1))
            ratios.append(heights[0] - heights[1])
    ratio = np.concatenate(ratios)
    khat, weights = pareto_khat(ratio)
    uneven = float(np.std(ratio)) if np.isfinite(ratio).all() else np.inf
    sound = bool(khat <= _KHAT and uneven <= _UNEVEN)
    notes = {"checked": int(some.size), "checked_khat": float(khat), "uneven": uneven, "compressed": sound}
    if not sound:
        return notes, None
    notes["checked_worth"] = effective_draws(weights)
    v, u = kept.shape.of_common(c), kept.shape.of_q(q)
    v, u = _moved(v, some, weights), _moved(u.reshape(len(u), -1), some, weights).reshape(u.shape)
    common, q = kept.shape.common(v)[0], kept.shape.q(u)
    return notes, replace(kept, common=common.reshape(kept.common.shape), q=q.reshape(kept.q.shape))


def _moved(x: np.ndarray, some: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """All of `x` with the change of mean and deviation that weights make to some of it."""
    seen = x[some]
    mean, before = weights @ seen, seen.mean(0)
    stretch = np.sqrt((weights @ (seen - mean) ** 2) / ((seen - before) ** 2).mean(0))
    middle = x.mean(0)
    return middle + (mean - before) + stretch * (x - middle)
