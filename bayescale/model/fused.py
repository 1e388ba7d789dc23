"""The density of `bayescale.model.grouped` with its loops compiled: the same numbers, several times sooner.

Held to it by a test. What is compiled depends on the form of a study alone, so that another of that form
compiles nothing anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from bayescale.laws import Law
from bayescale.laws.straight import NotStraight, Tape
from bayescale.model import group_loops as loops
from bayescale.model.expected import expected
from bayescale.model.group_facts import Placed
from bayescale.model.grouped import LOG_2PI, Form, Grouped
from bayescale.model.lanes import Pieces, alike, bound, compiled
from bayescale.model.placing import placing
from bayescale.model.tangent import Tangent
from bayescale.priors import Prior

__all__ = ["Fused", "fused"]

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
    def _near(self) -> np.ndarray:
        return alike(self._k.near, _numbers(self.near), self.n_groups)

    @cached_property
    def _back(self) -> np.ndarray:
        return alike(self._k.back, _numbers(self.near), self.n_groups)

    @cached_property
    def _to_x(self) -> np.ndarray:
        return alike(self._k.to_x, _numbers(self.near), self.n_groups)

    @cached_property
    def _of_far(self) -> np.ndarray:
        priors = [x for _, prior in self._population for x in prior.arguments.values()]
        return alike(self._k.far, [*_numbers(self.far), *priors], 1)[0]

    @cached_property
    def _of_free(self) -> np.ndarray:
        priors = [x for _, p in (*self.spreads, *self.sizes, *self.noises) for x in p.arguments.values()]
        return alike(self._k.free, priors, 1)[0]

    @cached_property
    def _rows(self) -> tuple[np.ndarray, ...]:
        """What runs give the law (run, number), values, squared known errors or none, and bends, in order."""
        assert self.runs is not None
        runs = self.runs
        inputs = alike(self._k.of_runs, [np.asarray(x) for x in runs.inputs], runs.value.size)
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
        found = upper, reach, slope, log_root, wide, told, log_width
        placing()(spread, letters, pull, h.sum(0), h, np.array(self.form.pooled), drawn, *found)
        return found

    def _free(self, common: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        given = np.ascontiguousarray(common[:, : self.n_free])
        found = np.empty((len(common), 2 * self.n_free))
        self._k.points_free(self._of_free, given, found)
        return found[:, : self.n_free], found[:, self.n_free :]

    def _settled(self, mu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = np.empty((len(mu), mu.shape[1] + 1))
        self._k.points_far(self._of_far, np.ascontiguousarray(mu), found)
        return np.ascontiguousarray(found[:, :-1]), found[:, -1]

    def _bent(self, placed: Placed, half: np.ndarray) -> Placed:
        base, effect = np.empty((*half.shape[:2], placed.theta.shape[1])), np.empty(half.shape)
        self._k.bend(self._near, self._to_x, *self._standing(placed), placed.reach, half, base, effect)
        return placed._replace(base=base, effect=effect)

    def _standing(self, placed: Placed) -> tuple[np.ndarray, ...]:
        """Where groups stand, as loops take it; last but one, how far what bends is settled by own runs."""
        shares = [placed.share[at] for at in sorted(placed.share)]
        share = np.stack(shares, axis=-1) if shares else np.empty((len(placed.spread), self.n_groups, 0))
        return placed.base, placed.effect, placed.spread, placed.theta, share, placed.upper

    def of_groups(self, placed: Placed, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density of each group's part but for its runs, and its parameters."""
        theta, found = np.empty((*q.shape[:2], placed.theta.shape[1])), np.empty(q.shape[:2])
        self._k.groups(self._near, *self._standing(placed), np.ascontiguousarray(q), theta, found)
        found -= placed.log_width + 0.5 * self.n_pooled * LOG_2PI
        return np.where(found == found, found, -np.inf), theta

    def standard(self, placed: Placed, theta: np.ndarray) -> np.ndarray:
        """Standard coordinates of groups with these parameters."""
        q, theta = np.empty((*theta.shape[:2], self.n_pooled)), np.ascontiguousarray(theta)
        self._k.undo(self._back, *self._standing(placed), theta, q)
        return q

    def fit(self, placed: Placed, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density of the runs of each group, and how far each lies from the law, where that is kept."""
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
        tails = np.broadcast_to(0.0 if nu is None else np.asarray(nu, dtype=float), sigma.shape)
        return sigma.copy(), tails.copy()


@dataclass(frozen=True)
class _Loops:
    """What is compiled for one form: pieces of formulas, and loops over points and groups."""

    near: Pieces
    back: Pieces
    to_x: Pieces
    of_runs: Pieces
    far: Pieces
    free: Pieces
    points_far: Callable[..., None]
    points_free: Callable[..., None]
    groups: Callable[..., None]
    undo: Callable[..., None]
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
    near, back = _near(form, letters), _back(form, letters)
    to_x, of_runs = _to_x(form, letters), expected(form.law, form.on)
    heavy = form.fixed_nu is not None or any(name == "nu" for name, _ in form.distributions)
    names: dict[str, Any] = {"letters": letters, "pooled": pooled, "heavy": heavy}
    for name, pieces in (("near", near), ("back", back), ("to_x", to_x), ("of_runs", of_runs)):
        names |= {name: pieces.piece, f"{name}_before": pieces.before, f"{name}_size": pieces.size}
    names["near_results"] = 2 * letters + pooled.size + len(_shared(form))
    key = f"{letters} {form.pooled} {heavy} {near.key} {back.key} {to_x.key} {of_runs.key}"
    parts = {"each": loops.each_run, "lay_out": loops.near_inputs, "lay_theta": loops.theta_inputs}
    names |= {name: bound(part, key, **names) for name, part in parts.items()}
    made = [
        bound(loop, key, **names)
        for loop in (
            loops.groups_loop,
            loops.back_loop,
            loops.bend_loop,
            loops.told_loop,
            loops.fit_loop,
            loops.tails_loop,
        )
    ]
    far, free = _far(form, letters), _free(form, letters)
    points = [
        bound(loops.points_loop, p.key, piece=p.piece, before=p.before, size=p.size) for p in (far, free)
    ]
    return _Loops(near, back, to_x, of_runs, far, free, *points, *made)


def _bent(tangent: Tangent) -> list[int]:
    """Letters for which something else stands in the coordinates x."""
    return [*tangent.amplitudes, *([] if tangent.floor is None else [tangent.floor])]


def _shared(form: Form) -> list[int]:
    """Letters that vary between groups for which something else stands in their coordinates x."""
    bent = {*form.near, *([] if form.floor is None else [form.floor])}
    return sorted(bent & set(form.pooled))


def _numbers(tangent: Tangent) -> list[Any]:
    """What coordinates x hang on, as `_tangent` takes it: each one number, or one for each group."""
    found = [*tangent.centre, *tangent.origin.T]
    assert tangent.slopes is not None
    assert tangent.heights is not None
    for at in _bent(tangent):
        found += [*tangent.slopes[at].T, tangent.heights[at]]
    return found


def _tangent(law: Law, floor: int | None, amplitudes: tuple[int, ...], x: np.ndarray) -> Tangent:
    """The coordinates of one group, or of the population, of stand-ins for their numbers."""
    inputs, letters = len(law.inputs), len(law.parameters)
    bare = Tangent(law, tuple(x[:inputs]), x[inputs : inputs + letters], floor, amplitudes)
    rest = x[inputs + letters :].reshape(-1, letters + 1)
    slopes = {at: rest[i, :letters] for i, at in enumerate(_bent(bare))}
    return replace(bare, slopes=slopes, heights={at: rest[i, letters] for i, at in enumerate(_bent(bare))})


def _size(law: Law, floor: int | None, amplitudes: tuple[int, ...]) -> int:
    """How many numbers those are."""
    letters = len(law.parameters)
    return len(law.inputs) + letters + (len(amplitudes) + (floor is not None)) * (letters + 1)


def _far(form: Form, letters: int) -> Pieces:
    """From coordinates x of the population to its values and their log density."""
    tape, form_far = Tape(), (form.law, form.floor, form.far)
    priors = form.distributions[:letters]
    count = _size(*form_far)
    x = tape.inputs("x", count + sum(len(prior.arguments) for _, prior in priors))
    mu = tape.inputs("p", letters)
    theta, density = _tangent(*form_far, x[:count]).to_theta(mu)
    for i, prior in enumerate(_with_stand_ins(priors, x[count:])):
        density = density + prior.log_density_free(theta[i])
    return compiled(tape.steps([theta, density]), letters)


def _free(form: Form, letters: int) -> Pieces:
    """From free coordinates to their values and log densities."""
    tape, priors = Tape(), form.distributions[letters:]
    q = tape.inputs("p", len(priors))
    x = tape.inputs("x", sum(len(prior.arguments) for _, prior in priors))
    stood = _with_stand_ins(priors, x)
    values = [prior.constrain(q[i]) for i, prior in enumerate(stood)]
    return compiled(
        tape.steps([values, [p.log_density_free(q[i]) for i, p in enumerate(stood)]]), len(priors)
    )


def _with_stand_ins(priors: tuple[tuple[str, Prior], ...], x: np.ndarray) -> list[Prior]:
    """The priors with stand-ins, taken in turn, for their arguments."""
    rest = iter(x)
    return [prior.over({k: next(rest) for k in prior.arguments}) for _, prior in priors]


def _near(form: Form, letters: int) -> Pieces:
    """From x, population values, spreads and shares to parameters, log density, and effects."""
    tape, pooled, shared = Tape(), np.array(form.pooled), _shared(form)
    p = tape.inputs("p", 2 * letters + pooled.size + len(shared))
    x, population, spread = p[:letters], p[letters : 2 * letters], p[2 * letters : 2 * letters + pooled.size]
    share = dict(zip(shared, p[2 * letters + pooled.size :], strict=True))
    held = {i: population[i] for i in range(letters) if i not in form.pooled}
    form_near = (form.law, form.floor, form.near)
    tangent = _tangent(*form_near, tape.inputs("x", _size(*form_near)))
    theta, log_jacobian = tangent.to_theta(x, held, share)
    away = (theta - population)[pooled] / spread
    return compiled(tape.steps([theta, log_jacobian - 0.5 * (away * away).sum(), away]), p.size)


def _back(form: Form, letters: int) -> Pieces:
    """From parameters, the x of letters that do not vary, and shares to x."""
    tape, shared, form_near = Tape(), _shared(form), (form.law, form.floor, form.near)
    p = tape.inputs("p", 2 * letters + len(shared))
    share = dict(zip(shared, p[2 * letters :], strict=True))
    held = {i: p[letters + i] for i in range(letters) if i not in form.pooled}
    tangent = _tangent(*form_near, tape.inputs("x", _size(*form_near)))
    return compiled(tape.steps([tangent.from_theta(p[:letters], held, share)]), p.size)


def _to_x(form: Form, letters: int) -> Pieces:
    """From parameters to x."""
    tape, form_near = Tape(), (form.law, form.floor, form.near)
    tangent = _tangent(*form_near, tape.inputs("x", _size(*form_near)))
    return compiled(tape.steps([tangent.to_x(tape.inputs("p", letters))]), letters)
