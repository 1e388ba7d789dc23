r"""Coordinates of a law's parameters in which what runs say of them is nearly normal.

Runs fix the whole loss in their middle far better than the floor, and what an amplitude adds there better
than the amplitude. With :math:`M` the law at the middle of the runs and :math:`g_a` what amplitude
:math:`a` adds there per unit, the coordinates are :math:`\log M` in place of the log floor, :math:`\log a +
\log g_a` in place of :math:`\log a`, and the link scale of the others, turned so that at a given point they
touch the link scale: same value, same slope. A prior that is normal on the link scale is so near that point
here too.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bayescale.inference.slopes import STEP
from bayescale.laws import Law
from bayescale.laws.elementwise import Array, exp, log, where
from bayescale.priors import unlink

__all__ = ["Tangent", "tangent_at"]

_NEWTON = 10  # steps, of which a few do


@dataclass(frozen=True, eq=False)
class Tangent:
    """Smooth coordinates x of a law's parameters on their link scale, theta; the last axis is the letter.

    Attributes
    ----------
    law : Law
    centre : tuple of float
        Scaled inputs at the middle of the runs.
    origin : array of shape (letter,) or (group, letter)
        Where x and theta agree, and their slopes too; for each group by itself, if it has groups.
    floor : int or None
        Position of the letter for which the whole loss at the middle stands.
    amplitudes : tuple of int
        Positions of those for which what they add at the middle stands.
    """

    law: Law
    centre: tuple[Array, ...]
    origin: Array
    floor: int | None = None
    amplitudes: tuple[int, ...] = ()
    slopes: Mapping[int, Array] | None = None
    heights: Mapping[int, Array] | None = None

    def values(self, theta: Array) -> dict[str, Array]:
        """The law's parameters by letter."""
        return {k: unlink(kind, theta[..., i]) for i, (k, kind) in enumerate(self.law.parameters.items())}

    def added(self, at: int, values: Mapping[str, Array]) -> Array:
        """What one unit of an amplitude adds to the law at the middle of the runs."""
        letters = list(self.law.parameters)
        none = {letters[i]: 0.0 for i in (*self.amplitudes, *([] if self.floor is None else [self.floor]))}
        unit = self._at_middle(dict(values) | none | {letters[at]: 1.0})
        return unit - self._at_middle(dict(values) | none) if len(self.amplitudes) else unit

    def above_floor(self, values: Mapping[str, Array]) -> Array:
        """The law at the middle of the runs, less its floor."""
        assert self.floor is not None
        return self._at_middle(dict(values) | {list(self.law.parameters)[self.floor]: 0.0})

    def _at_middle(self, values: Mapping[str, Array]) -> Array:
        return self.law(*self.centre, **values)

    def remainder(self, at: int, theta: Array) -> Array:
        """Log of what a unit of an amplitude adds, less its tangent at the origin."""
        assert self.slopes is not None
        assert self.heights is not None
        here = log(self.added(at, self.values(theta)))
        return here - self.heights[at] - ((theta - self.origin) * self.slopes[at]).sum(-1)

    def to_x(self, theta: Array) -> Array:
        """Coordinates of parameters on the link scale."""
        x = theta
        for at in self.amplitudes:
            x = _with(x, at, theta[..., at] + self.remainder(at, theta))
        if self.floor is not None:
            assert self.slopes is not None
            assert self.heights is not None
            values, slope = self.values(theta), self.slopes[self.floor]
            whole = exp(theta[..., self.floor]) + self.above_floor(values)
            others = ((x - self.origin) * slope).sum(-1)
            gained = (log(whole) - self.heights[self.floor] - others) / slope[..., self.floor]
            x = _with(x, self.floor, x[..., self.floor] + gained)
        return x

    def to_theta(
        self,
        x: Array,
        held: Mapping[int, Array] | None = None,
        share: Mapping[int, Array] | None = None,
    ) -> tuple[Array, Array]:
        """Parameters on the link scale, and the log Jacobian; minus infinity where no floor is left.

        Letters in `held` have these values on the link scale, whatever their coordinate is. Those in `share`
        go that share of the way from their coordinate, taken as the link scale, to what it stands for here.
        """
        held, share, theta = held or {}, share or {}, x
        for at, value in held.items():
            theta = _with(theta, at, value)
        for at in self.amplitudes:
            if at not in held:
                theta = _with(theta, at, x[..., at] - share.get(at, 1.0) * self.remainder(at, theta))
        log_jacobian = 0.0 * x[..., 0]
        if self.floor is not None and self.floor not in held:
            assert self.slopes is not None
            assert self.heights is not None
            log_whole = self.heights[self.floor] + ((x - self.origin) * self.slopes[self.floor]).sum(-1)
            floor = exp(log_whole) - self.above_floor(self.values(theta))
            inside = floor > 0
            whole = log(where(inside, floor, 1.0))
            part, slope = share.get(self.floor, 1.0), self.slopes[self.floor][..., self.floor]
            theta = _with(theta, self.floor, x[..., self.floor] + part * (whole - x[..., self.floor]))
            steepness = 1.0 + part * (slope * exp(log_whole - whole) - 1.0)
            log_jacobian = where(inside, log(steepness), -np.inf)
        return theta, log_jacobian

    def from_theta(
        self,
        theta: Array,
        held: Mapping[int, Array] | None = None,
        share: Mapping[int, Array] | None = None,
    ) -> Array:
        """Coordinates x from which `to_theta` makes these parameters; NaN where there are none.

        Letters in `held`, which are those that are held there, have these coordinates.
        """
        held, share, x = held or {}, share or {}, theta
        for at, value in held.items():
            x = _with(x, at, value)
        for at in self.amplitudes:
            if at not in held:
                x = _with(x, at, theta[..., at] + share.get(at, 1.0) * self.remainder(at, theta))
        if self.floor is not None and self.floor not in held:
            assert self.slopes is not None
            assert self.heights is not None
            slopes, part = self.slopes[self.floor], share.get(self.floor, 1.0)
            own = slopes[..., self.floor]
            above, wanted = self.above_floor(self.values(theta)), theta[..., self.floor]
            away = (x - self.origin) * slopes
            others = self.heights[self.floor] + away.sum(-1) - away[..., self.floor]
            origin, log_floor = self.origin[..., self.floor], wanted
            for _ in range(_NEWTON):  # convex and rising, so that steps come from above, after the first
                whole = exp(log_floor) + above
                x_floor = origin + (log(whole) - others) / own
                gain = part * log_floor + (1.0 - part) * x_floor - wanted
                steep = part + (1.0 - part) * exp(log_floor) / (whole * own)
                log_floor = log_floor - gain / steep
            x = _with(x, self.floor, origin + (log(exp(log_floor) + above) - others) / own)
        return x


def _with(theta: Array, at: int, value: Array) -> Array:
    """Another array with `value` at one place along the last axis."""
    if theta.dtype == object:  # stand-ins for the numbers of one point
        theta = theta.copy()
        theta[at] = value
        return theta
    lead = np.broadcast_shapes(theta.shape[:-1], np.shape(value))
    theta = np.array(np.broadcast_to(theta, (*lead, theta.shape[-1])))
    theta[..., at] = value
    return theta


def tangent_at(law: Law, centre: tuple[float, ...], origin: np.ndarray, floor: str | None) -> Tangent:
    """The coordinates that touch the link scale at `origin`.

    `floor` is the letter that is simply added to the rest, if there is one.
    """
    letters = list(law.parameters)
    at = None if floor is None else letters.index(floor)
    bare = Tangent(law, centre, origin, at)
    amplitudes = tuple(i for i in range(len(letters)) if i != at and _adds(bare, i))
    bare = Tangent(law, centre, origin, at, amplitudes)
    stepped = origin[..., None, :] + 1j * STEP * np.eye(origin.shape[-1])
    values = bare.values(stepped)
    found = {i: bare.added(i, values) for i in amplitudes}
    if at is not None:
        found[at] = np.exp(stepped[..., at]) + bare.above_floor(values)
    logs = {i: np.log(np.broadcast_to(v, origin.shape).astype(complex)) for i, v in found.items()}
    slopes = {i: np.imag(v) / STEP for i, v in logs.items()}
    heights = {i: np.real(v[..., 0]) for i, v in logs.items()}
    return Tangent(law, centre, origin, at, amplitudes, slopes, heights)


def _adds(bare: Tangent, at: int) -> bool:
    """Whether a letter is an amplitude whose part of the law is its multiple of what other letters say."""
    letters = list(bare.law.parameters)
    letter = letters[at]
    if bare.law.parameters[letter].name != "amplitude":
        return False
    rng = np.random.default_rng(0)
    middle = bare.origin.reshape(-1, len(letters)).mean(0)
    theta = middle + 0.3 * rng.standard_normal((8, len(letters)))
    values = bare.values(theta)
    none, one, two = (
        np.asarray(bare.law(*bare.centre, **(values | {letter: np.full(8, a)})), dtype=float)
        for a in (0.0, 1.0, 2.0)
    )
    if not (np.isfinite(two).all() and (one > none).all() and np.allclose(two - one, one - none, rtol=1e-9)):
        return False
    return bool(np.ptp(one - none) > 1e-12 * np.abs(one).max())
