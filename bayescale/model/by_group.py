"""Runs sorted by group: their log likelihood at many parameter values, and each group's own mode.

Nothing here holds more than a block of numbers at once, whatever the number of runs.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from bayescale.laws.elementwise import lgamma, log1p, sum_log1p
from bayescale.laws.powers import with_logs
from bayescale.laws.straight import NotStraight
from bayescale.model.expected import expected
from bayescale.model.group_loops import look_loop
from bayescale.model.group_rows import Chunks, chunked
from bayescale.model.lanes import LANES, alike, bound
from bayescale.model.noise_scale import forward, log_slope
from bayescale.model.spec import Spec
from bayescale.priors import unlink

__all__ = ["ByGroup", "Mode", "looked", "modes", "residuals"]

_BLOCK = 30_000  # numbers worked on at once: a few such arrays stay in a core's own cache
_COMPILED = 20_000  # runs from which on compiled loops look at them
_STEP = 1e-5  # of slopes by differences: they shape proposals only
_LEAST = 0.02  # of the scatter at the start: groups of a run or two leave none


@dataclass(frozen=True, eq=False)
class ByGroup:
    """The runs of a specification with Student-t or normal noise, sorted by the groups of one factor.

    Attributes
    ----------
    spec : Spec
    factor : str
    """

    spec: Spec
    factor: str

    @cached_property
    def order(self) -> np.ndarray:
        """Positions of the runs, group after group."""
        return np.argsort(self.spec.index[self.factor], kind="stable")

    @cached_property
    def edges(self) -> np.ndarray:
        """Where each group begins in that order, and where the last one ends."""
        counts = np.bincount(self.spec.index[self.factor], minlength=self.n_groups)
        return np.concatenate([[0], np.cumsum(counts)])

    @property
    def n_groups(self) -> int:
        """Number of groups, with those that have no run."""
        return len(self.spec.structure.labels[self.factor])

    @cached_property
    def inputs(self) -> tuple[np.ndarray, ...]:
        """Scaled inputs in order."""
        return tuple(with_logs(x[self.order]) for x in self.spec.scaled)

    @cached_property
    def value(self) -> np.ndarray:
        """Values in order, on the scale of the noise."""
        return forward(self.spec.structure.noise.on, self.spec.value[self.order])

    @cached_property
    def error2(self) -> np.ndarray | None:
        """Squared known errors in order; None where there are none."""
        error = self.spec.error[self.order]
        return error**2 if error.any() else None

    @cached_property
    def constant(self) -> np.ndarray:
        """Log slope of the scale of the noise, summed by group."""
        slope = np.asarray(log_slope(self.spec.structure.noise.on, self.spec.value[self.order]))
        return np.add.reduceat(np.append(slope, 0.0), self.edges[:-1]) * (np.diff(self.edges) > 0)

    @cached_property
    def bends(self) -> np.ndarray:
        """Bends of a drift at the runs in order, shape (run, bend); none without a drift."""
        s = self.spec.structure
        if s.drift is None:
            return np.empty((self.value.size, 0))
        return s.bends_at(self.spec.inputs)[self.order]

    @cached_property
    def chunks(self) -> Chunks:
        """The runs as a compiler wants them."""
        inputs = tuple(np.asarray(x) for x in self.inputs)
        return chunked(inputs, self.value, self.error2, self.bends, self.edges, self.constant)

    @cached_property
    def chunk_inputs(self) -> tuple[np.ndarray, ...]:
        """Scaled inputs in chunks."""
        return tuple(with_logs(x) for x in self.chunks.inputs)

    @cached_property
    def look(self) -> tuple[Callable[..., None], np.ndarray]:
        """`look_loop` for the law, and what of the runs it reads, (chunk, place, number)."""
        law, rows = self.spec.structure.law, self.chunks
        pieces = expected(law, self.spec.structure.noise.on)
        names = {"of_runs": pieces.piece, "of_runs_before": pieces.before, "of_runs_size": pieces.size}
        inputs = alike(pieces, [np.asarray(x).ravel() for x in rows.inputs], rows.value.size)
        loop = bound(look_loop, pieces.key, letters=len(law.parameters), **names)
        return loop, inputs.reshape(*rows.value.shape, -1)

    def values(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """The law's parameters by letter, from the link scale along the last axis."""
        kinds = self.spec.structure.law.parameters
        return {
            k: np.asarray(unlink(kind, theta[..., i]))[..., None] for i, (k, kind) in enumerate(kinds.items())
        }

    def deviations(self, letters: Mapping[str, np.ndarray], rows: slice) -> np.ndarray:
        """Value less law on the scale of the noise; letters (point, 1), result (point, run)."""
        law = self.spec.structure.law
        mean = law(*(x[rows] for x in self.inputs), **letters)
        return self.value[rows] - forward(self.spec.structure.noise.on, np.asarray(mean))

    def log_likelihood(
        self, theta: np.ndarray, sigma: np.ndarray, nu: np.ndarray | float | None
    ) -> np.ndarray:
        """Log density of the runs of each group.

        Parameters
        ----------
        theta : array of shape (point, group, letter)
            On the link scale; after the letters, how far the runs lie off along each bend.
        sigma, nu : array of shape (point,)
            Of the noise; no `nu` for normal noise.

        Returns
        -------
        array of shape (point, group)
            Minus infinity where the law has no value.
        """
        points, size = theta.shape[0], len(self.spec.structure.law.parameters)
        drifted = theta.shape[-1] > size
        nu = None if nu is None else np.broadcast_to(nu, points)
        found = np.empty((points, self.n_groups))
        step = max(1, _BLOCK // points)
        wide = sigma if nu is None else sigma * np.sqrt(nu)
        over = (1.0 / wide)[:, None]
        with np.errstate(all="ignore"):
            values = self.values(theta)
            for group in range(self.n_groups):
                letters = {k: v[:, group] for k, v in values.items()}
                total = np.zeros(points)
                for low in range(self.edges[group], self.edges[group + 1], step):
                    rows = slice(low, min(low + step, self.edges[group + 1]))
                    away = self.deviations(letters, rows)
                    if drifted:
                        away -= theta[:, group, size:] @ self.bends[rows].T
                    if self.error2 is None:
                        away *= over
                    else:
                        spread2 = sigma[:, None] ** 2 + self.error2[rows]
                        total -= 0.5 * np.log(spread2).sum(-1)
                        away /= np.sqrt(spread2 if nu is None else spread2 * nu[:, None])
                    away *= away
                    total -= 0.5 * away.sum(-1) if nu is None else (nu + 1) / 2 * _sum_log1p(away)
                found[:, group] = total
            each = -0.5 * np.log(2 * np.pi) * np.ones(points)
            if nu is not None:
                each = lgamma((nu + 1) / 2) - lgamma(nu / 2) - 0.5 * np.log(nu * np.pi)
            if self.error2 is None:
                each = each - np.log(sigma)
            found += self.constant + each[:, None] * np.diff(self.edges)
        return np.nan_to_num(found, nan=-np.inf, posinf=-np.inf)


def _sum_log1p(z: np.ndarray) -> np.ndarray:
    """`sum_log1p`, term by term where a product of several overflows."""
    total = sum_log1p(z)
    return total if np.isfinite(total).all() else log1p(z).sum(-1)


class Mode(NamedTuple):
    """Where the runs of each group alone, near a common point, put the law's parameters.

    Attributes
    ----------
    theta : array of shape (group, letter)
        On the link scale.
    information : array of shape (group, letter, letter)
    pull : array of shape (group, letter)
        Slope of the log likelihood there.

    With a drift its bends follow the letters, at zero.
    sigma : float
    nu : float or None
        Of the noise common to all groups.
    """

    theta: np.ndarray
    information: np.ndarray
    pull: np.ndarray
    sigma: float
    nu: float | None


def modes(
    runs: ByGroup,
    start: np.ndarray,
    precision: np.ndarray,
    sigma: float,
    nu: float | None,
    *,
    steps: int = 30,
    about: np.ndarray | None = None,
) -> Mode:
    """Climb to every group's mode under a normal prior about `start` (or `about`), all groups at once.

    Parameters
    ----------
    runs : ByGroup
    start : array of shape (letter,) or (group, letter)
    precision : array of shape (letter,)
        Of the prior.
    sigma, nu : float
        Of the noise; sigma is learnt on the way.
    """
    size = start.shape[-1]
    theta = np.broadcast_to(start, (runs.n_groups, size)).copy()
    start = start if about is None else about
    damping, least = np.full(runs.n_groups, 1e-3), _LEAST * sigma
    mode, away = looked(runs, theta, sigma, nu)
    for _ in range(steps):
        slope = mode.pull - precision * (theta - start)
        matrix = mode.information + np.diag(precision)
        diagonal = np.einsum("gii->gi", matrix)
        damped = matrix + (damping[:, None] * diagonal)[..., None] * np.eye(size)
        step = np.linalg.solve(damped, slope[..., None])[..., 0]
        step *= np.minimum(1.0, 2.0 / np.maximum(np.abs(step).max(-1, keepdims=True), 1e-300))
        other, away_there = looked(runs, theta + step, sigma, nu)
        gain = _height(runs, away_there, other.theta, start, precision, sigma, nu)
        better = gain >= _height(runs, away, theta, start, precision, sigma, nu)
        theta = np.where(better[:, None], theta + step, theta)
        damping = np.where(better, damping / 10, np.minimum(damping * 10, 1e6))
        settled = bool(np.all((np.abs(step * slope).sum(-1) < 1e-6) | ~better))
        away = np.where(better[runs.chunks.group][:, None], away_there, away)
        sigma = max(_scatter(runs, away, sigma, nu), least)
        mode = Mode(
            theta,
            np.where(better[:, None, None], other.information, mode.information),
            np.where(better[:, None], other.pull, mode.pull),
            sigma,
            nu,
        )
        if settled and better.all():
            break
    return looked(runs, theta, sigma, nu)[0]


def _height(
    runs: ByGroup,
    away: np.ndarray,
    theta: np.ndarray,
    start: np.ndarray,
    precision: np.ndarray,
    sigma: float,
    nu: float | None,
) -> np.ndarray:
    """Log density of each group, up to a constant, with its runs that far from the law."""
    rows = runs.chunks
    with np.errstate(all="ignore"):
        z2 = away**2 / (sigma**2 + (0.0 if rows.error2 is None else rows.error2))
        each = -0.5 * z2 if nu is None else -0.5 * (nu + 1) * np.log1p(z2 / nu)
        found = np.bincount(rows.group, (each * rows.here).sum(-1), runs.n_groups)
    found = np.where(np.isfinite(found), found, -np.inf)
    return found - 0.5 * (precision * (theta - start) ** 2).sum(-1)


def residuals(runs: ByGroup, theta: np.ndarray) -> np.ndarray:
    """Value less law of every run at its group's parameters, group after group."""
    away = looked(runs, theta, 1.0, None, curved=False)[1]
    return away[runs.chunks.here > 0]


def _scatter(runs: ByGroup, away: np.ndarray, sigma: float, nu: float | None) -> float:
    """Scatter that fits the deviations, by a few steps of expectation and maximisation."""
    rows = runs.chunks
    with np.errstate(all="ignore"):
        away2 = np.nan_to_num(away**2, nan=0.0)
    error2 = 0.0 if rows.error2 is None else rows.error2
    for _ in range(5):
        spread2 = sigma**2 + error2
        weight = 1.0 if nu is None else (nu + 1) / (nu + away2 / spread2)
        excess = np.sum((weight * away2 - error2) * rows.here) / runs.value.size
        sigma = float(np.sqrt(max(excess, 1e-4 * sigma**2)))
    return sigma


def looked(
    runs: ByGroup,
    theta: np.ndarray,
    sigma: float,
    nu: float | None,
    *,
    drifting: bool = False,
    curved: bool = True,
) -> tuple[Mode, np.ndarray]:
    """What the runs say at each group's parameters, and how far each lies from the law.

    Parameters
    ----------
    theta : array of shape (group, letter)
    drifting : bool, default False
        Whether the bends of the drift are to follow the letters.
    curved : bool, default True
        Whether information and slope are wanted; zero otherwise.

    Returns
    -------
    mode : Mode
    away : array of shape (chunk, place)
    """
    if curved and runs.value.size >= _COMPILED and theta.shape[1] < LANES:
        with suppress(NotStraight):
            return _looked_compiled(runs, theta, sigma, nu, drifting)
    rows, size, on = runs.chunks, theta.shape[1], runs.spec.structure.noise.on
    bends = rows.bends if drifting else rows.bends[..., :0]
    whole = size + bends.shape[-1]
    information, pull = np.zeros((len(theta), whole, whole)), np.zeros((len(theta), whole))
    shifts = np.concatenate([np.zeros((1, size)), _STEP * np.eye(size)]) if curved else np.zeros((1, size))
    away = np.empty(rows.value.shape)
    step = max(1, _BLOCK // (2 * len(shifts) * rows.value.shape[1]))
    inputs = runs.chunk_inputs
    with np.errstate(all="ignore"):
        for low in range(0, len(away), step):
            part = slice(low, low + step)
            group = rows.group[part]
            letters = runs.values(theta[group] + shifts[:, None])
            mean = np.asarray(runs.spec.structure.law(*(x[part] for x in inputs), **letters))
            apart = np.broadcast_to(
                rows.value[part] - forward(on, mean), (len(shifts), *rows.value[part].shape)
            )
            away[part] = real = apart[0]
            if not curved:
                continue
            along = np.nan_to_num((real - apart[1:]) / _STEP)
            spread2 = sigma**2 + (0.0 if rows.error2 is None else rows.error2[part])
            weight = 1 / spread2 if nu is None else (nu + 1) / (nu * spread2 + real**2)
            weight = np.nan_to_num(np.broadcast_to(weight, real.shape)) * rows.here[part]
            along = np.concatenate([along, bends[part].transpose(2, 0, 1)]).swapaxes(0, 1)
            weighed = along * weight[:, None]
            np.add.at(information, group, weighed @ along.swapaxes(1, 2))
            np.add.at(pull, group, (weighed @ np.nan_to_num(real)[..., None])[..., 0])
    return _mode(theta, information, pull, sigma, nu), away


def _mode(
    theta: np.ndarray, information: np.ndarray, pull: np.ndarray, sigma: float, nu: float | None
) -> Mode:
    """Weights at the mode are those of reweighted least squares; the curvature of a heavy tail is less."""
    bent = 1.0 if nu is None else (nu + 1) / (nu + 3)
    theta = np.concatenate([theta, np.zeros((len(theta), pull.shape[1] - theta.shape[1]))], axis=1)
    return Mode(theta, bent * information, pull, sigma, nu)


def _looked_compiled(
    runs: ByGroup, theta: np.ndarray, sigma: float, nu: float | None, drifting: bool
) -> tuple[Mode, np.ndarray]:
    """`looked` for many runs; see `look_loop`."""
    loop, inputs = runs.look
    rows = runs.chunks
    bends = np.ascontiguousarray(rows.bends if drifting else rows.bends[..., :0])
    whole = theta.shape[1] + bends.shape[-1]
    information, pull = np.zeros((len(theta), whole, whole)), np.zeros((len(theta), whole))
    away, error2 = np.empty(rows.value.shape), np.empty((0, 0)) if rows.error2 is None else rows.error2
    given = (inputs, rows.value, rows.here, error2, bends, rows.group, np.ascontiguousarray(theta))
    loop(*given, _STEP, float(sigma), 0.0 if nu is None else float(nu), away, information, pull)
    lower = np.tril(information, -1)
    return _mode(theta, information + lower.swapaxes(1, 2), pull, sigma, nu), away
