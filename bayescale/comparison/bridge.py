r"""The normalising constant of a density from draws of it, by an optimal bridge.

Meng and Wong (1996): with p the density up to its constant Z, q a normalised one and n1, n2 numbers of
draws from each,

.. math:: Z = \frac{E_q[p\, h]}{E_p[q\, h]}, \qquad h \propto \frac{1}{n_1 p / Z + n_2 q}

which is solved for Z; q is normal, with mean and covariance of draws that are not used in the averages,
and p is first made symmetric about that mean (warp-III: Meng and Schilling, 2002), so that skewness costs
nothing. The error is that of Frühwirth-Schnatter (2004), with effective sample sizes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayescale.diagnostics.statistics import ess_mean
from bayescale.errors import InputError

__all__ = ["Bridge", "bridge"]

type Floats = NDArray[np.float64]
type LogDensity = Callable[[Floats], Floats]

_BATCH = 2000  # points at once


@dataclass(frozen=True)
class Bridge:
    """A log normalising constant.

    Attributes
    ----------
    log_evidence : float
        In nats: the mean of two answers, each with one half of the draws fitted and the other used.
    error : float
        Its Monte Carlo standard error.
    apart : float
        One answer less the other.
    overlap : float
        Share that the density and the normal have in common, as the bridge sees it: 1 if they are the
        same, 0 if they do not touch.
    effective_draws : float
        Independent draws that those used are worth.
    """

    log_evidence: float
    error: float
    apart: float
    overlap: float
    effective_draws: float


def bridge(
    log_density: LogDensity,
    draws: Floats,
    *,
    random_seed: int = 0,
    independent: bool = False,
    worth: float = float("inf"),
) -> Bridge:
    """The log of the integral of a density.

    Parameters
    ----------
    log_density : callable
        Array of shape (point, coordinate) to (point,); minus infinity or NaN where there is none.
    draws : array of shape (chain, draw, coordinate)
        From the density, on coordinates without bounds.
    random_seed : int
    independent : bool
        Whether the draws are those of no chain; then equal ones are one point with more weight.
    worth : float
        Independent draws that they are worth at most: of weighted points drawn again.

    Raises
    ------
    InputError
        If the draws are too few for their coordinates, or differ in none.
    """
    rng = np.random.default_rng(random_seed)
    halves = _halves(draws, independent)
    _refuse_few(halves, draws.shape[-1])
    ways = [_one_way(log_density, halves[i], halves[1 - i], rng, independent, worth / 2) for i in (0, 1)]
    return Bridge(
        log_evidence=float(np.mean([way.log_evidence for way in ways])),
        error=float(np.sqrt(np.mean([way.error**2 for way in ways]))),  # they share draws: no gain is claimed
        apart=ways[0].log_evidence - ways[1].log_evidence,
        overlap=min(way.overlap for way in ways),
        effective_draws=sum(way.effective_draws for way in ways),
    )


def _halves(draws: Floats, independent: bool) -> tuple[Floats, Floats]:
    """First and second half of each chain; of independent draws, two halves without a point in common."""
    if not independent:
        half = draws.shape[1] // 2
        return draws[:, :half], draws[:, draws.shape[1] - half :]
    flat = draws.reshape(-1, draws.shape[-1])
    _, point = np.unique(flat, axis=0, return_inverse=True)
    even = point.ravel() % 2 == 0
    return flat[even][None], flat[~even][None]


def _refuse_few(halves: tuple[Floats, Floats], dim: int) -> None:
    least = min(len(np.unique(half.reshape(-1, dim), axis=0)) for half in halves)
    if least < 2 * dim + 10:
        raise InputError(
            f"too few draws for {dim} unknowns: each half needs {2 * dim + 10} different ones, and one has "
            f"{least}. Fit again with more draws: draws={max(1000, 20 * dim)}."
        )


def _one_way(
    log_density: LogDensity,
    fitted: Floats,
    used: Floats,
    rng: np.random.Generator,
    independent: bool,
    worth: float,
) -> Bridge:
    """The answer of one half of the draws, with the normal that fits the other."""
    flat = used.reshape(-1, used.shape[-1])
    centre, root = _normal(fitted.reshape(-1, fitted.shape[-1]))
    here = np.linalg.solve(root, (flat - centre).T).T
    there = rng.standard_normal(here.shape)
    at_draws = _log_ratio(log_density, centre, root, here)
    at_normal = _log_ratio(log_density, centre, root, there)
    if not np.isfinite(at_draws).all():
        raise InputError(
            f"{int((~np.isfinite(at_draws)).sum())} draws have no density: they are not draws of this "
            "study's posterior. Fit it again."
        )

    def effective(x: Floats) -> float:
        return _effective(x.reshape(used.shape[:2]), flat if independent else None, worth)

    n1, n2 = effective(at_draws), float(len(there))
    log_z = _solved(at_draws, at_normal, n1, n2)
    share1, share2 = n1 / (n1 + n2), n2 / (n1 + n2)
    of_normal = _share(at_normal - log_z, share1, share2)  # p over the mixture, at draws of q
    of_draws = _share(log_z - at_draws, share2, share1)  # q over the mixture, at draws of p
    variance = of_normal.var() / of_normal.mean() ** 2 / n2
    variance += of_draws.var() / of_draws.mean() ** 2 / effective(of_draws)
    return Bridge(log_z, float(np.sqrt(variance)), 0.0, float(min(of_draws.mean(), 1.0)), n1)


def _normal(points: Floats) -> tuple[Floats, Floats]:
    """Mean and a root of the covariance, whose directions all have some width."""
    centre = points.mean(axis=0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(points.T)))
    if not values[-1] > 0:
        raise InputError("the draws are all alike: there is no posterior to integrate. Fit again.")
    return centre, vectors * np.sqrt(np.maximum(values, 1e-12 * values[-1]))


def _log_ratio(log_density: LogDensity, centre: Floats, root: Floats, steps: Floats) -> Floats:
    """Log of the density, made symmetric about the centre, over the normal."""
    both = []
    for sign in (1.0, -1.0):
        points = centre + sign * steps @ root.T
        with np.errstate(all="ignore"):
            found = [log_density(points[i : i + _BATCH]) for i in range(0, len(points), _BATCH)]
        both.append(np.nan_to_num(np.concatenate(found), nan=-np.inf, posinf=-np.inf))
    log_normal = -0.5 * (steps**2).sum(-1) - 0.5 * steps.shape[-1] * np.log(2 * np.pi)
    scale = np.linalg.slogdet(root)[1]
    return np.logaddexp(*both) - np.log(2.0) + scale - log_normal


def _solved(at_draws: Floats, at_normal: Floats, n1: float, n2: float) -> float:
    """The log constant at which both averages agree: the zero of a function that only falls."""
    from scipy.optimize import brentq
    from scipy.special import expit

    tilt = np.log(n1 / n2)

    def surplus(log_z: float) -> float:
        return n2 * expit(at_normal - log_z + tilt).mean() - n1 * expit(log_z - at_draws - tilt).mean()

    touched = at_normal[np.isfinite(at_normal)]
    if not touched.size:
        raise InputError(
            "the posterior lies where no normal distribution of its mean and spread reaches: its evidence "
            "cannot be told from these draws. Fit again with more draws, or with other priors."
        )
    finite = np.concatenate([at_draws, touched])
    low, high = finite.min() + tilt - 40.0, finite.max() + tilt + 40.0
    return float(brentq(surplus, low, high, xtol=1e-10, rtol=1e-14))  # type: ignore[arg-type]


def _share(log_ratio: Floats, own: float, other: float) -> Floats:
    """Share of a ratio r in a mixture, r / (own r + other), from its log."""
    from scipy.special import expit

    return expit(log_ratio + np.log(own / other)) / own


def _effective(series: Floats, points: Floats | None, worth: float) -> float:
    """Independent draws that these are worth, at most their number."""
    count = float(series.size)
    if points is None:
        found = float(ess_mean(series))
        return min(found, count) if np.isfinite(found) and found >= 1 else count
    repeats = np.unique(points, axis=0, return_counts=True)[1]
    return 1.0 / (float((repeats**2).sum()) / count**2 + 1.0 / worth)
