"""Whether draws gather in one place or in several, and which draw belongs where."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["humps_of"]

_LEAST_SHARE = 0.05  # of the draws in a hump: fewer leave a 90 % interval as it is
_DEEPEST = 0.5  # a valley below this share of the lower peak divides
_FEW = 50  # draws below which nothing is told apart

type Floats = NDArray[np.float64]


def humps_of(values: Floats) -> NDArray[np.int_]:
    """Number of each draw's hump, counted upwards from 0.

    Humps are divided where the density (Gaussian kernel, width by Silverman's rule) falls below half of
    the lower of two peaks, with a twentieth of the draws at least on either side.

    Parameters
    ----------
    values : array of shape (sample,)
        Finite; logs where ratios matter.
    """
    spread = min(float(np.std(values)), float(np.subtract(*np.quantile(values, [0.75, 0.25]))) / 1.34)
    width = 0.9 * (spread or float(np.std(values))) * values.size**-0.2
    if values.size < _FEW or not width > 1e-9 * max(1.0, float(np.abs(values).max())):
        return np.zeros(values.size, dtype=int)
    at, density = _density(values, width)
    cuts = _cuts(density)
    while cuts:
        worst = _worst(cuts, density, at, values)
        if worst is None:
            break
        cuts.remove(worst)
    return np.searchsorted(at[cuts], values)


def _density(values: Floats, width: float) -> tuple[Floats, Floats]:
    """Density of the draws on an even grid, up to a constant."""
    low, high = values.min() - 4 * width, values.max() + 4 * width
    bins = int(np.clip(4 * (high - low) / width, 64, 8192))
    counts, edges = np.histogram(values, bins, (low, high))
    step = edges[1] - edges[0]
    reach = np.arange(-np.ceil(4 * width / step), np.ceil(4 * width / step) + 1)
    return 0.5 * (edges[:-1] + edges[1:]), np.convolve(
        counts, np.exp(-0.5 * (reach * step / width) ** 2), "same"
    )


def _cuts(density: Floats) -> list[int]:
    """The lowest place between each two neighbouring peaks."""
    inner = density[1:-1]
    peaks = 1 + np.flatnonzero((inner > density[:-2]) & (inner >= density[2:]))
    return [int(a + density[a:b].argmin()) for a, b in zip(peaks[:-1], peaks[1:], strict=True)]


def _worst(cuts: list[int], density: Floats, at: Floats, values: Floats) -> int | None:
    """The cut that divides least, or None if all of them divide."""
    ends = [0, *cuts, density.size]
    tops = [density[a:b].max() for a, b in zip(ends[:-1], ends[1:], strict=True)]
    shares = np.bincount(np.searchsorted(at[cuts], values), minlength=len(tops)) / values.size
    depth = np.array([density[c] / min(tops[i], tops[i + 1]) for i, c in enumerate(cuts)])
    if depth.max() >= _DEEPEST:
        return cuts[int(depth.argmax())]
    small = int(shares.argmin())
    if shares[small] >= _LEAST_SHARE:
        return None
    beside = [i for i in (small - 1, small) if 0 <= i < len(cuts)]
    return cuts[max(beside, key=lambda i: depth[i])]
