"""What an engine is given, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Draws", "Settings", "Target"]

# An array so large, freed untouched, has the C library keep the memory of smaller ones for the next, where it
# would give it back after every batch: fetching the pages anew took a quarter of a fit.
_FREED = 1_000_000
_BATCH = 60_000  # numbers worked on at once when the density is evaluated at many points: they fit a cache


@dataclass(frozen=True)
class Target:
    """A log density over unconstrained coordinates; what a coordinate means, no engine knows.

    Attributes
    ----------
    names : tuple of str
        One for each coordinate.
    log_density : callable
        Array of shape ``(..., dim)`` to ``(...)``; NumPy or a JAX tracer.
    gradient : callable
        Array of shape ``(dim,)`` to the log density and its gradient; NumPy.
    starts : array of shape (start, dim)
        Plausible points, best first or in any order.
    symbolic : callable
        Makes the same posterior as a ``pymc.Model``; called only by engines that need it.
    width : int, default 64
        Numbers that the density works on for one point, such as one for each run.
    fitted : callable, optional
        Array of shape ``(point, dim)`` to the log densities, what each run is expected to be, shape
        ``(point, run)`` on the scale of the scatter, and that scatter; NumPy. Climbs take their curvature
        from it.
    inner : tuple of int
        Places of coordinates that are near standard normal given the others, without heavy tails.
    parts : callable, optional
        Makes the same posterior in a common part and one for each group (`inference.grouped.Parts`),
        where it has that form; called only by engines that need it.
    """

    names: tuple[str, ...]
    log_density: Callable[[Any], Any]
    gradient: Callable[[np.ndarray], tuple[float, np.ndarray]]
    starts: np.ndarray
    symbolic: Callable[[], Any]
    width: int = 64
    fitted: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]] | None = None
    inner: tuple[int, ...] = ()
    parts: Callable[[], Any] | None = None

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.names)

    def heights(self, points: np.ndarray) -> np.ndarray:
        """Log density of each of many points, shape ``(point, dim)``, by parts that memory holds."""
        step = max(1, _BATCH // max(16 * self.dim, self.width))
        np.empty(_FREED)
        with np.errstate(all="ignore"):
            parts = [self.log_density(points[i : i + step]) for i in range(0, len(points), step)]
        return np.concatenate([np.asarray(part) for part in parts])


@dataclass(frozen=True)
class Settings:
    """How long and how carefully to sample."""

    draws: int = 1000
    tune: int = 1000
    chains: int = 4
    random_seed: int = 0
    target_accept: float = 0.9
    progressbar: bool = True


@dataclass(frozen=True)
class Draws:
    """Draws from a posterior, as points of a `Target` or by the names of its symbolic model.

    Attributes
    ----------
    engine : str
    points : array of shape (chain, draw, dim) or None
    named : mapping of str to array of shape (chain, draw, ...) or None
        Values of the free variables, where the engine worked on the symbolic model.
    statistics : mapping of str to array of shape (chain, draw)
        Under ArviZ's names: ``diverging``, ``energy``, ``lp``, ``tree_depth``, ``acceptance_rate``,
        ``n_steps``.
    notes : mapping
        What the engine says of itself: k-hat, effective draws, seconds.
    certified : bool
        False where the engine knows that its draws are not to be used.
    partial : bool
        True where it was interrupted.
    """

    engine: str
    points: np.ndarray | None = None
    named: Mapping[str, np.ndarray] | None = None
    statistics: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    certified: bool = True
    partial: bool = False
