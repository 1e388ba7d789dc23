"""The point fit of the field, and its bootstrap: what a posterior is compared with."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayescale.errors import InputError
from bayescale.laws import Law
from bayescale.laws.powers import with_logs
from bayescale.model.density import Density
from bayescale.model.spec import Spec, specify
from bayescale.model.start import starting_points
from bayescale.priors import link, unlink

if TYPE_CHECKING:
    import xarray as xr

    from bayescale.runs.table import RunTable

__all__ = ["huber_fit"]

type Floats = np.ndarray

_DELTA = 1e-3
_STARTS = 64
_REFITS_AT_ONCE = 64  # refits that one thread works on at once: their rows fit in its cache
_REFITS_IN_TURN = 512  # and one after the other, the next as soon as one is done
_STEP = 1e-7  # of a forward difference, in link coordinates
_MOST = 400
_SETTLED = 1e-9  # share of the objective that a step must gain to be followed by another
_REWEIGHTED = 5  # steps of plain reweighted least squares before those of Newton
_BEYOND = 0.1  # share of their weight that runs beyond delta, which bend nothing, keep in those
_KEEP_SLOPES = 3  # steps taken with the same slopes


def huber_fit(
    runs: "RunTable",
    law: str | Law = "chinchilla",
    *,
    delta: float = _DELTA,
    bootstrap: int = 0,
    prob: float = 0.9,
    random_seed: int = 0,
) -> "xr.Dataset":
    """Least Huber loss of the log residuals, and its bootstrap over runs: no posterior, for comparison.

    The procedure of Hoffmann et al. (arXiv:2203.15556), by reweighted least squares from many starts at
    once; every resampled table is refitted from the best of them. Its intervals are those of the curve's
    parameters only: on published runs held back, they hold far less than they state
    (docs/extrapolation.md).

    Parameters
    ----------
    runs : RunTable
    law : str or Law, default "chinchilla"
        A law of positive values.
    delta : float, default 0.001
        Absolute log residual beyond which the loss is linear.
    bootstrap : int, default 0
        Number of tables resampled with replacement.
    prob : float, default 0.9
        Mass of the percentile interval.
    random_seed : int

    Returns
    -------
    Dataset
        Over dim ``parameter`` (the paper's letters, raw inputs): ``estimate``; with a bootstrap also
        ``lower``, ``upper`` and ``draws`` (replicate, parameter). ``loss``: the objective, summed over
        runs. Attributes: ``law``, ``delta``, ``metric``, ``starts_at_best``, the share of starts that
        ended within a thousandth of the least loss.

    Raises
    ------
    InputError
        If the runs do not serve the law, values are not positive, or an option is impossible.
    """
    import xarray as xr

    _check(delta, bootstrap, prob)
    spec = specify(runs, law, noise="normal", pool=None)
    fit = _Fit.of(spec, delta)
    whole = np.ones((1, spec.value.size))
    points = fit.starts(random_seed)
    ends, losses = fit.settle(points, np.broadcast_to(whole, (len(points), spec.value.size)))
    best = int(np.nanargmin(losses))
    near = float(np.mean(losses <= 1.001 * losses[best]))
    estimate = fit.as_printed(ends[best : best + 1])
    letters = list(estimate)
    found = xr.Dataset(
        {"estimate": ("parameter", [float(v[0]) for v in estimate.values()]), "loss": float(losses[best])},
        {"parameter": letters},
        attrs={
            "law": spec.structure.law.name,
            "delta": delta,
            "metric": spec.structure.metric,
            "starts_at_best": near,
        },
    )
    if not bootstrap:
        return found
    counts = np.random.default_rng(random_seed).multinomial(
        spec.value.size, np.full(spec.value.size, 1 / spec.value.size), size=bootstrap
    )
    refitted, _ = fit.settle(np.repeat(ends[best : best + 1], bootstrap, axis=0), counts.astype(float))
    draws = np.stack(list(fit.as_printed(refitted).values()), axis=-1)
    lower, upper = np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    return found.assign(
        lower=("parameter", lower), upper=("parameter", upper), draws=(("replicate", "parameter"), draws)
    ).assign_attrs(prob=prob)


def _check(delta: float, bootstrap: int, prob: float) -> None:
    if not (isinstance(delta, int | float) and np.isfinite(delta) and delta > 0):
        raise InputError(f"delta={delta!r} must be a positive log residual, as in delta=1e-3.")
    if isinstance(bootstrap, bool) or not isinstance(bootstrap, int) or not 0 <= bootstrap <= 1_000_000:
        raise InputError(f"bootstrap={bootstrap!r} must be a whole number of tables, as in bootstrap=1000.")
    if not 0 < prob < 1:
        raise InputError(f"prob={prob!r} must lie between 0 and 1, as in prob=0.9.")


@dataclass(frozen=True, eq=False)
class _Fit:
    """Many refits of one table, side by side; parameters in link coordinates, shape (refit, letter)."""

    spec: Spec
    letters: tuple[str, ...]
    value: Floats
    delta: float

    @classmethod
    def of(cls, spec: Spec, delta: float) -> "_Fit":
        if not (spec.value > 0).all():
            raise InputError(
                f"huber_fit works on log values, and {int((spec.value <= 0).sum())} of the runs' are not "
                "positive. Use bayescale.fit(runs, law, noise='student_t')."
            )
        return cls(spec, tuple(spec.structure.law.parameters), np.log(spec.value), float(delta))

    @cached_property
    def _inputs(self) -> tuple[Floats, ...]:
        return tuple(with_logs(x) for x in self.spec.scaled)

    def starts(self, random_seed: int) -> Floats:
        """Plausible points, as for the climb to a posterior's mode."""
        blocks = Density(self.spec).blocks(starting_points(Density(self.spec), _STARTS, random_seed))
        s = self.spec.structure
        return np.stack([link(s.law.parameters[k], blocks[s.population(k)]) for k in self.letters], axis=-1)

    def as_printed(self, points: Floats) -> Mapping[str, Floats]:
        """Parameters as in the paper, for raw inputs."""
        s = self.spec.structure
        at_reference = {k: unlink(s.law.parameters[k], points[:, i]) for i, k in enumerate(self.letters)}
        with np.errstate(over="ignore"):
            return s.law.undo_reference(at_reference, s.reference)

    def settle(self, points: Floats, counts: Floats) -> tuple[Floats, Floats]:
        """Ends of all refits and their losses; `counts` says how often each row stands in each table."""
        parts = range(0, len(points), _REFITS_IN_TURN)

        def one(at: int) -> tuple[Floats, Floats]:
            part = slice(at, at + _REFITS_IN_TURN)
            with np.errstate(all="ignore"):
                return self._descend(points[part].copy(), counts[part])

        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            ends = list(pool.map(one, parts))
        return np.concatenate([e[0] for e in ends]), np.concatenate([e[1] for e in ends])

    def _descend(self, points: Floats, counts: Floats) -> tuple[Floats, Floats]:
        """Reweighted least squares, then nearly Newton's steps, both with Levenberg's damping.

        Reweighting alone closes a constant share of what is left with each step; the loss is quadratic in
        the runs within delta and straight beyond, so that steps by its own curvature end in a few. A refit
        that no longer gains makes room for another, when slopes are next taken.
        """
        loss, damping = np.full(len(points), np.inf), np.full(len(points), 1e-3)
        steps = np.zeros(len(points), dtype=int)
        open_, away, met = np.empty(0, dtype=int), np.empty((0, self.value.size)), 0
        while open_.size or met < len(points):
            fresh = np.arange(met, min(met + _REFITS_AT_ONCE - open_.size, len(points)))
            if fresh.size:
                met, begun = met + fresh.size, self._away(points[fresh])
                loss[fresh] = self._loss(begun, counts[fresh])
                fine = np.isfinite(loss[fresh])
                open_, away = np.append(open_, fresh[fine]), np.concatenate([away, begun[fine]])
            slopes, mine = self._slopes(points[open_], away), counts[open_]
            for _ in range(_KEEP_SLOPES):
                share = np.minimum(1.0, self.delta / np.maximum(np.abs(away), 1e-300))
                bent = (share < 1.0) & (steps[open_, None] >= _REWEIGHTED)
                pull = mine * share
                moved = points[open_] + _step(
                    slopes, pull, np.where(bent, _BEYOND * pull, pull), away, damping[open_]
                )
                new, before = self._away(moved), loss[open_]
                reached = self._loss(new, mine)
                better = reached < before
                gain = np.where(better, (before - reached) / np.maximum(before, 1e-300), 0.0)
                points[open_[better]], loss[open_[better]] = moved[better], reached[better]
                damping[open_] = np.where(better, damping[open_] / 5, damping[open_] * 10)
                steps[open_] += 1
                on = np.where(better, gain > _SETTLED, damping[open_] < 1e8) & (steps[open_] < _MOST)
                away = np.where(better[:, None], new, away)[on]
                open_, mine, slopes = open_[on], mine[on], slopes[on]
        return points, loss

    def _away(self, points: Floats) -> Floats:
        """Log residuals, shape (..., row)."""
        s = self.spec.structure
        learnt = {k: unlink(s.law.parameters[k], points[..., i, None]) for i, k in enumerate(self.letters)}
        return self.value - np.log(s.law(*self._inputs, **learnt))

    def _slopes(self, points: Floats, away: Floats) -> Floats:
        """Derivatives of the log of the law, shape (refit, letter, row)."""
        dim = len(self.letters)
        moved = points[:, None, :] + _STEP * np.eye(dim)
        return (away[:, None, :] - self._away(moved)) / _STEP

    def _loss(self, away: Floats, counts: Floats) -> Floats:
        size = np.abs(away)
        within = np.minimum(size, self.delta)
        loss = np.einsum("...i,...i,...i->...", counts, within, size - 0.5 * within)
        return np.where(np.isfinite(loss), loss, np.inf)


def _step(slopes: Floats, pull: Floats, bend: Floats, away: Floats, damping: Floats) -> Floats:
    """Damped steps, shape (refit, letter); none where slopes are not finite. Weights are (refit, row)."""
    normal = (slopes * bend[:, None, :]) @ np.swapaxes(slopes, 1, 2)
    towards = (slopes @ (pull * away)[..., None])[..., 0]
    own = np.einsum("bii->bi", normal)
    normal = normal + (damping[:, None] * own + 1e-12 * own.max(1, keepdims=True) + 1e-300)[
        :, :, None
    ] * np.eye(own.shape[1])
    bad = ~(np.isfinite(normal).all((1, 2)) & np.isfinite(towards).all(1))
    normal[bad], towards[bad] = np.eye(own.shape[1]), 0.0
    steps = np.linalg.solve(normal, towards[..., None])[..., 0]
    return np.clip(steps, -3.0, 3.0)
