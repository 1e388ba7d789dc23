r"""Metropolis moves group by group, in coordinates where the posterior is close to standard normal.

Moves are those of `bayescale.inference.moves`. Common coordinates move together; those of the groups all at
once, and each group accepts for itself, so that a hundred groups cost no more moves than one. No gradient is
taken; many walkers share every call. In a warm-up the coordinates are brought nearer still to normal by the
walkers' own draws.

Of many runs the same moves are first made over what the runs say taken to be normal, which costs nothing by
the run. Weights by the exact density at some of those draws then certify them, or send the walkers on to
the exact one.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bayescale.errors import InputError
from bayescale.inference.mode import Mode
from bayescale.inference.moves import BATCH, Parts, State, Walk, where
from bayescale.inference.progress import progress
from bayescale.inference.psis import effective_draws, pareto_khat
from bayescale.inference.shape import Shape, first_shape, fitted
from bayescale.inference.target import Draws, Settings, Target

__all__ = ["ENOUGH", "by_chance", "grouped"]

ENOUGH = 0.1
"""Effective draws for each draw asked for, below which a sampler with gradients is worth its time."""

_WALKERS, _FEWER = 32, 8  # for each chain that was asked for, and where moves are costly
_STAGES = (1, 1, 2, 2)  # batches of moves of the warm-up, between which coordinates are fitted anew
_USUAL = 128  # walkers that those are meant for
_FORGOTTEN = 4  # batches after which walkers at draws of another density have forgotten where they began
_LENGTHS = 4  # times what walkers remember that a warm-up must last
_MORE = 2  # times that it is made longer for that
_WANTED = 0.7  # effective draws for each draw asked for: with fewer, each kept draw takes twice the moves
_LESS = 0.85  # of that, each time
_LONGEST = 16  # moves for each kept draw of a walker, at most
_MOST_WORK = 500_000_000  # runs times moves, after which a modest number of effective draws must do
_MODEST = 800.0  # of them
_STUCK = 0.02  # share of moves accepted, below which they lead nowhere

_MANY, _MANY_EACH = 4_000, 300  # runs, and runs of a group, from which on they are first taken as normal
_GROUP_COST, _COSTLY = 100, 20_000  # runs that a group costs as much as, and beyond which walkers are few
_CHECKED = 400  # draws at which that is held against the exact density
_LEAST_CHECKED, _CHECKED_WORK = 200, 40_000_000  # fewer where runs times draws are more than that
_TOGETHER = 50  # of those at once
_KHAT = 0.5
_UNEVEN = 0.7  # deviation of the log weights beyond which so few of them tell too little


@dataclass(frozen=True, eq=False)
class _Kept:
    """Draws of a run of walkers: v (walker, draw, coordinate), u (walker, draw, group, coordinate)."""

    v: np.ndarray
    u: np.ndarray
    shape: Shape
    moves: int
    accepted: np.ndarray
    partial: bool = False

    @cached_property
    def flat(self) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of all draws, walker after walker."""
        return where(self.shape, *(x.reshape(-1, *x.shape[2:]) for x in (self.v, self.u)))

    @property
    def worth(self) -> float:
        """Independent draws with means as precise, by how far the walkers' means differ.

        The least of all common coordinates, and of those of the groups, each over what the least of so many
        is by chance where all are worth the same.
        """
        if self.v.shape[1] < 2:
            return 0.0
        apart = [_apart(x.reshape(*x.shape[:2], -1)) for x in (self.v, self.u)]
        return float(min(each.min() * by_chance(len(self.v) - 1, each.size) for each in apart))


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
            "with Student-t or normal noise that is alike for all runs and no joined measurements. Use "
            "engine='auto'."
        )
    began = time.perf_counter()
    parts = target.parts()
    rng = np.random.default_rng(settings.random_seed)
    notes: dict[str, Any] = {}
    exact = Walk(parts)
    if parts.n_rows < max(_MANY, _MANY_EACH * parts.n_groups):
        costly = _cost(parts) > _COSTLY
        kept = _walked(exact, settings, rng, (_FEWER if costly else _WALKERS) * settings.chains)
    else:
        rough = Walk(parts.compressed())
        kept = _walked(rough, settings, rng, _WALKERS * settings.chains)
        notes, moved = _certified(exact, rough, kept, rng)
        if moved is not None and not kept.partial:
            kept = moved
        else:
            kept = _walked(exact, settings, rng, _FEWER * settings.chains, kept)
    common, q = (_laid_out(x, settings) for x in kept.flat)
    notes |= {
        "walkers": len(kept.v),
        "moves": kept.moves,
        "accepted": [round(float(a), 3) for a in kept.accepted],
        "effective": kept.worth,
        "gradients": 0,
        "seconds": time.perf_counter() - began,
    }
    return Draws("grouped", named=exact.blocks(common, q), notes=notes, partial=kept.partial)


def _apart(x: np.ndarray) -> np.ndarray:
    """Independent draws with means as precise, by coordinate of (walker, draw, coordinate)."""
    between = x.mean(1).var(0, ddof=1)
    return len(x) * x.reshape(-1, x.shape[-1]).var(0) / np.maximum(between, 1e-300)


def by_chance(degrees: int, count: int) -> float:
    """Largest of so many chi-square numbers over their mean, about its middle."""
    from scipy.special import gammaincinv

    return float(2 * gammaincinv(degrees / 2, 0.5 ** (1 / count)) / degrees)


def _cost(parts: Parts) -> int:
    """What a move of one walker costs, in runs."""
    return parts.n_rows + _GROUP_COST * parts.n_groups


def _laid_out(draws: np.ndarray, settings: Settings) -> np.ndarray:
    """Walkers end to end, so many to a chain."""
    draws = draws.reshape(settings.chains, -1, *draws.shape[1:])
    return draws[:, : settings.draws]


def _walked(
    walk: Walk, settings: Settings, rng: np.random.Generator, walkers: int, before: _Kept | None = None
) -> _Kept:
    """A warm-up, unless there are draws from before to begin at, and the draws to keep."""
    each = -(-settings.draws * settings.chains // walkers)
    bar = progress(f"{walkers} walkers", each * _LONGEST, settings.progressbar)
    with np.errstate(all="ignore"), bar as advance:
        advance(0, "warming up; the first time for a law its loops are compiled")
        walk, shape, state = (
            _warmed(walk, rng, walkers) if before is None else _continued(walk, rng, walkers, before)
        )
        trail: list[tuple[np.ndarray, np.ndarray]] = []
        accepted, moves, thin, partial, kept = np.zeros(2), 0, 1, False, None
        warm, more = BATCH * (sum(_stages(walkers)) if before is None else _FORGOTTEN), _MORE
        try:
            while True:
                while len(trail) < each:
                    state, v, u, shares = walk.moved(shape, state, rng)
                    chosen = np.arange(moves + 1, moves + 1 + BATCH) % thin == 0
                    trail += list(zip(v[chosen], u[chosen], strict=True))
                    accepted, moves = accepted + shares, moves + BATCH
                    advance(BATCH, "")
                kept = _kept(trail[:each], shape, moves, accepted)
                costly = _costly(walk.parts, kept)
                if warm * kept.worth < _LENGTHS * kept.moves and more and not costly:
                    # The warm-up was short beside how long walkers remember: these moves are part of it.
                    shape, state = _refitted(walk, _places(shape, trail))
                    warm, more, moves, thin, accepted, trail = warm + moves, more - 1, 0, 1, np.zeros(2), []
                elif _enough(kept, settings, thin, costly) or thin >= _LONGEST:
                    break
                else:
                    trail, thin = trail[1::2], 2 * thin
        except KeyboardInterrupt:
            if not trail and kept is None:
                raise KeyboardInterrupt("interrupted before the first draw was kept") from None
            if trail:
                kept = _kept(trail[:each], shape, moves, accepted)
            partial = True
    assert kept is not None
    return replace(kept, partial=partial)


def _enough(kept: _Kept, settings: Settings, thin: int, costly: bool) -> bool:
    """Whether draws so far apart do; twice as far costs as much as all before, so each time less does."""
    wanted = _WANTED * _LESS ** np.log2(thin) * settings.draws * settings.chains
    if costly:
        wanted = min(wanted, _MODEST)
    return kept.worth >= wanted or kept.accepted.min() < _STUCK


def _costly(parts: Parts, kept: _Kept) -> bool:
    return kept.moves * _cost(parts) > _MOST_WORK


def _kept(
    trail: list[tuple[np.ndarray, np.ndarray]], shape: Shape, moves: int, accepted: np.ndarray
) -> _Kept:
    v, u = (np.stack(part, axis=1) for part in zip(*trail, strict=True))
    return _Kept(v, u, shape, moves * len(v), accepted / max(moves, 1))


def _warmed(walk: Walk, rng: np.random.Generator, walkers: int) -> tuple[Walk, Shape, State]:
    """Walkers about the mode, and the coordinates fitted to their draws, a few times."""
    parts = walk.parts
    shape = first_shape(*parts.guess(), parts.n_free, parts.n_noise, parts.n_groups, parts.n_pooled)
    state = _begin(walk, shape, rng, walkers)
    trail: list[tuple[np.ndarray, np.ndarray]] = []
    for batches in _stages(walkers):
        for _ in range(batches):
            state, v, u, accepted = walk.moved(shape, state, rng)
            walk = walk.used_to(accepted[0] / BATCH)
            trail += _places(shape, zip(v, u, strict=True))
        shape, state = _refitted(walk, trail[len(trail) // 3 :])
    return walk, shape, state


def _stages(walkers: int) -> tuple[int, ...]:
    """Batches of moves of the warm-up: few walkers need more of them for as many draws."""
    return tuple(max(1, _USUAL // walkers) * batches for batches in _STAGES)


def _places(
    shape: Shape, trail: Iterable[tuple[np.ndarray, np.ndarray]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Common coordinates and those of the groups, move by move."""
    return [where(shape, v, u) for v, u in trail]


def _refitted(walk: Walk, places: list[tuple[np.ndarray, np.ndarray]]) -> tuple[Shape, State]:
    """The shape of these draws, and walkers where the last of them are."""
    c, q = (np.concatenate(part) for part in zip(*places, strict=True))
    shape = fitted(c, q, walk.parts.n_free, walk.parts.n_noise)
    return shape, walk.begin(shape, shape.of_common(places[-1][0]), shape.of_q(places[-1][1]))


def _continued(
    walk: Walk, rng: np.random.Generator, walkers: int, before: _Kept
) -> tuple[Walk, Shape, State]:
    """Walkers at draws of another density, moved until they have forgotten it."""
    v, u = (x.reshape(-1, *x.shape[2:]) for x in (before.v, before.u))
    chosen = rng.choice(len(v), walkers, replace=False)
    state = walk.begin(before.shape, v[chosen], u[chosen])
    for _ in range(_FORGOTTEN):
        state, _, _, accepted = walk.moved(before.shape, state, rng)
    return walk.used_to(accepted[0] / BATCH), before.shape, state


def _begin(walk: Walk, shape: Shape, rng: np.random.Generator, walkers: int) -> State:
    """Walkers drawn from the first shape, nearer to its middle where the density has no value there."""
    v = rng.standard_normal((walkers, shape.root.shape[0]))
    u = rng.standard_normal((walkers, walk.parts.n_groups, walk.parts.n_pooled))
    state = walk.begin(shape, v, u)
    for _ in range(20):
        lost = ~np.isfinite(state.weight)
        if not lost.any():
            break
        v, u = np.where(lost[:, None], 0.7 * v, v), np.where(lost[:, None, None], 0.7 * u, u)
        state = walk.begin(shape, v, u)
    return state


def _certified(
    exact: Walk, rough: Walk, kept: _Kept, rng: np.random.Generator
) -> tuple[dict[str, Any], _Kept | None]:
    """Draws of the compressed density, moved to what the exact one makes of them; None where it disagrees.

    Where the weights are nearly even, all that they change, to that order, is the mean and the deviation of
    each coordinate. These are carried over from the draws that were weighed to all.
    """
    c, q = kept.flat
    count = int(np.clip(_CHECKED_WORK // exact.parts.n_rows, _LEAST_CHECKED, _CHECKED))
    count = max(min(count, len(c)) // _TOGETHER, 1) * _TOGETHER
    some = rng.choice(len(c), count, replace=len(c) < count)
    ratios = []
    with np.errstate(all="ignore"):
        for part in some.reshape(-1, _TOGETHER):
            ratios.append(exact.heights(c[part], q[part]) - rough.heights(c[part], q[part]))
    ratio = np.concatenate(ratios)
    khat, weights = pareto_khat(ratio)
    uneven = float(np.std(ratio)) if np.isfinite(ratio).all() else np.inf
    sound = bool(khat <= _KHAT and uneven <= _UNEVEN)
    notes = {"checked": int(some.size), "checked_khat": float(khat), "uneven": uneven, "compressed": sound}
    if not sound:
        return notes, None
    notes["checked_worth"] = effective_draws(weights)
    v, u = (_moved(x.reshape(len(c), -1), some, weights).reshape(x.shape) for x in (kept.v, kept.u))
    return notes, replace(kept, v=v, u=u)


def _moved(x: np.ndarray, some: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """All of `x` with the change of mean and deviation that weights make to some of it."""
    seen = x[some]
    mean, before = weights @ seen, seen.mean(0)
    stretch = np.sqrt((weights @ (seen - mean) ** 2) / ((seen - before) ** 2).mean(0))
    middle = x.mean(0)
    return middle + (mean - before) + stretch * (x - middle)
