"""The density of `bayescale.model.grouped` with its loops compiled: the same numbers, several times sooner.

Held to it by a test. What is compiled depends on the form of a study alone, so that another of that form
compiles nothing anew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from bayescale.laws.straight import NotStraight, Tape
from bayescale.model import group_loops as loops
from bayescale.model.group_facts import Placed
from bayescale.model.grouped import LOG_2PI, Form, Grouped
from bayescale.model.lanes import Pieces, bound, compiled
from bayescale.model.noise import forward
from bayescale.model.placing import placing
from bayescale.model.tangent import Tangent
from bayescale.priors import unlink

__all__ = ["Fused", "fused"]

_FEW, _MANY = 16, 64  # points that are placed side by side
_MOST_AWAY = 8_000_000  # points times runs whose distances from the law are kept


def fused(parts: Grouped) -> "Grouped":
    """The same density with compiled loops, or as it is where its law is no list of plain steps."""
    try:
        _loops(parts.form)
    except NotStraight:
        return parts
    return Fused(parts.form, parts.facts, parts.runs, parts.names, parts.effects, parts.order)


@dataclass(frozen=True, eq=False)
class Fused(Grouped):
    """Log density of a study with one factor, with compiled loops."""

    @cached_property
    def _k(self) -> "_Loops":
        return _loops(self.form)

    @cached_property
    def _numbers(self) -> list[Any]:
        """What the coordinates x of each group hang on: one number for all groups, or one for each."""
        near = self.near
        each = [*near.centre, *near.origin.T]
        for at in _bent(self.form):
            each += [*near.slopes[at].T, near.heights[at]]  # type: ignore[index]
        return each

    @cached_property
    def _near(self) -> np.ndarray:
        return _alike(self._k.near, self._numbers, self.n_groups)

    @cached_property
    def _to_x(self) -> np.ndarray:
        return _alike(self._k.to_x, self._numbers, self.n_groups)

    @cached_property
    def _rows(self) -> tuple[np.ndarray, ...]:
        """What runs give the law (run, number), values, squared known errors or none, and bends, in order."""
        assert self.runs is not None
        runs = self.runs
        inputs = _alike(self._k.of_runs, [np.asarray(x) for x in runs.inputs], runs.value.size)
        error2 = np.empty(0) if runs.error2 is None else runs.error2
        return inputs, runs.value, error2, np.ascontiguousarray(runs.bends), runs.edges

    @cached_property
    def _information(self) -> np.ndarray:
        return np.ascontiguousarray(self.facts.told.information)

    def _solved(self, spread: np.ndarray, letters: np.ndarray, drawn: np.ndarray, pull: np.ndarray) -> Any:
        points, h = len(spread), self._information
        groups, size, pooled = len(h), h.shape[-1], self.n_pooled
        upper, slope = np.empty((points, groups, pooled, pooled)), np.empty((points, groups, pooled))
        reach, log_root = np.empty((points, groups * pooled, size)), np.empty((points, groups))
        wide, told, log_width = np.empty((points, size, size)), np.empty((points, size)), np.empty(points)
        place = placing(_FEW if points <= 2 * _FEW else _MANY)
        chosen = np.array(self.form.pooled)
        place(spread, letters, pull, h.sum(0), h, chosen, drawn, upper, reach, slope, log_root, wide, told, log_width)
        return upper, reach, slope, log_root, wide, told, log_width

    def _bent(self, placed: Placed, half: np.ndarray) -> Placed:
        base, effect = np.empty((*half.shape[:2], placed.theta.shape[1])), np.empty(half.shape)
        self._k.bend(
            self._near,
            self._to_x,
            placed.base,
            placed.effect,
            placed.spread,
            placed.theta,
            self._shares(placed),
            placed.upper,
            placed.reach,
            half,
            base,
            effect,
        )
        return placed._replace(base=base, effect=effect)

    def _shares(self, placed: Placed) -> np.ndarray:
        """How far what bends is settled by a group's own runs, (point, group, letter that bends)."""
        shares = [placed.share[at] for at in sorted(placed.share)]
        shape = (len(placed.spread), self.n_groups)
        return np.stack(shares, axis=-1) if shares else np.empty((*shape, 0))

    def of_groups(self, placed: Placed, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density of each group's part but for its runs, and its parameters."""
        theta, found = np.empty((*q.shape[:2], placed.theta.shape[1])), np.empty(q.shape[:2])
        self._k.groups(
            self._near,
            placed.base,
            placed.effect,
            placed.spread,
            placed.theta,
            self._shares(placed),
            placed.upper,
            np.ascontiguousarray(q),
            theta,
            found,
        )
        found -= placed.log_width + 0.5 * self.n_pooled * LOG_2PI
        return np.where(found == found, found, -np.inf), theta

    def fit(self, placed: Placed, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density of the runs of each group, and how far each run lies from the law, where that is kept."""
        found, points = np.empty(theta.shape[:2]), len(theta)
        away = np.empty((self.n_rows if self.n_rows * points <= _MOST_AWAY else 0, points))
        if self.form.compressed:
            told = self.facts.told
            self._k.told(self._to_x, theta, told.theta, told.pull, self._information, found)
            found *= self._sharper(placed.noise, points)[:, None]
        else:
            assert self.runs is not None
            self._k.fit(*self._rows, self.runs.constant, theta, *self._noise(placed), away, found)
        return np.where(found == found, found, -np.inf), away

    def refit(self, placed: Placed, theta: np.ndarray, away: np.ndarray) -> np.ndarray:
        """The same log density where only the noise is another."""
        if self.form.compressed or not away.size:
            return self.fit(placed, theta)[0]
        assert self.runs is not None
        _, _, error2, _, edges = self._rows
        found = np.empty(theta.shape[:2])
        self._k.tails(error2, edges, self.runs.constant, *self._noise(placed), away, found)
        return np.where(found == found, found, -np.inf)

    def _noise(self, placed: Placed) -> tuple[np.ndarray, np.ndarray]:
        """Scale and degrees of freedom at each point; none of those for normal noise."""
        sigma, nu = placed.noise["sigma"], placed.noise.get("nu", self.form.fixed_nu)
        return sigma, np.broadcast_to(0.0 if nu is None else np.asarray(nu, dtype=float), sigma.shape).copy()


@dataclass(frozen=True)
class _Loops:
    """What is compiled for one form: pieces of formulas, and loops over points and groups."""

    near: Pieces
    to_x: Pieces
    of_runs: Pieces
    groups: Callable[..., None]
    bend: Callable[..., None]
    told: Callable[..., None]
    fit: Callable[..., None]
    tails: Callable[..., None]


@cache
def _loops(form: Form) -> _Loops:
    """Compiled for a form.

    Raises
    ------
    NotStraight
        If its law is no list of plain steps.
    """
    letters, pooled = len(form.law.parameters), np.array(form.pooled)
    near, to_x, of_runs = _near(form, letters), _to_x(form, letters), _of_runs(form)
    heavy = form.fixed_nu is not None or any(name == "nu" for name, _ in form.distributions)
    names: dict[str, Any] = {"letters": letters, "pooled": pooled, "heavy": heavy}
    for name, pieces in (("near", near), ("to_x", to_x), ("of_runs", of_runs)):
        names |= {name: pieces.piece, f"{name}_before": pieces.before, f"{name}_size": pieces.size}
    names["near_results"] = 2 * letters + pooled.size + len(_shared(form))
    key = f"{letters} {form.pooled} {heavy} {near.key} {to_x.key} {of_runs.key}"
    names["each"] = bound(loops.each_run, key, **names)
    made = [
        bound(loop, key, **names)
        for loop in (loops.groups_loop, loops.bend_loop, loops.told_loop, loops.fit_loop, loops.tails_loop)
    ]
    return _Loops(near, to_x, of_runs, *made)


def _bent(form: Form) -> list[int]:
    """Letters for which something else stands in the coordinates x of groups."""
    return [*form.near, *([] if form.floor is None else [form.floor])]


def _shared(form: Form) -> list[int]:
    """Those of them that vary between groups."""
    return sorted(at for at in _bent(form) if at in form.pooled)


def _alike(pieces: Pieces, given: list[Any], count: int) -> np.ndarray:
    """What is alike for all lanes, (group or run, number)."""
    with np.errstate(all="ignore"):
        found = pieces.alike({f"x{i}": np.asarray(x) for i, x in enumerate(given)})
    rows = [np.broadcast_to(x, count) for x in found]
    return np.stack(rows, axis=-1, dtype=float) if rows else np.empty((count, 0))


def _tangent(form: Form, letters: int, tape: Tape) -> Tangent:
    """The coordinates of one group, of stand-ins; their numbers are the inputs alike for all lanes."""
    inputs, bent = len(form.law.inputs), _bent(form)
    x = tape.inputs("x", inputs + letters + len(bent) * (letters + 1))
    origin, rest = x[inputs : inputs + letters], x[inputs + letters :].reshape(len(bent), letters + 1)
    slopes = {at: rest[i, :letters] for i, at in enumerate(bent)}
    heights = {at: rest[i, letters] for i, at in enumerate(bent)}
    return Tangent(form.law, tuple(x[:inputs]), origin, form.floor, form.near, slopes, heights)


def _near(form: Form, letters: int) -> Pieces:
    """From x, population values, spreads and shares to parameters, log density of the effects, and effects."""
    tape, pooled, shared = Tape(), np.array(form.pooled), _shared(form)
    p = tape.inputs("p", 2 * letters + pooled.size + len(shared))
    x, population, spread = p[:letters], p[letters : 2 * letters], p[2 * letters : 2 * letters + pooled.size]
    share = dict(zip(shared, p[2 * letters + pooled.size :], strict=True))
    held = {i: population[i] for i in range(letters) if i not in form.pooled}
    theta, log_jacobian = _tangent(form, letters, tape).to_theta(x, held, share)
    away = (theta - population)[pooled] / spread
    return compiled(tape.steps([theta, log_jacobian - 0.5 * (away * away).sum(), away]), p.size)


def _to_x(form: Form, letters: int) -> Pieces:
    """From parameters to x."""
    tape = Tape()
    theta = tape.inputs("p", letters)
    return compiled(tape.steps([_tangent(form, letters, tape).to_x(theta)]), letters)


def _of_runs(form: Form) -> Pieces:
    """From inputs of a run and parameters of its group to what is expected, on the scale of the noise."""
    law, tape = form.law, Tape()
    inputs, theta = tape.inputs("x", len(law.inputs)), tape.inputs("p", len(law.parameters))
    values = {k: unlink(kind, theta[i]) for i, (k, kind) in enumerate(law.parameters.items())}
    return compiled(tape.steps([forward(form.on, law(*inputs, **values))]), theta.size)
