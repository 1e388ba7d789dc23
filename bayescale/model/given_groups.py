r"""Population values and spreads given the groups' own parameters.

Those are a normal sample, whose mean and deviation follow from it at once, but for the priors; these accept
or refuse. What the runs say needs no look. Beside moves in which the groups' parameters follow the common
ones it is the other half of interweaving (Yu and Meng 2011, doi:10.1198/jcgs.2011.203main): one is quick
where the groups tell their spread well, the other where they do not.
"""

from collections.abc import Callable, Sequence

import numpy as np

from bayescale.priors import Prior

__all__ = ["drawn_means", "drawn_spreads", "walked"]

_STRIDES = (1.0, 0.4, 0.15)  # of steps where nothing tells how far they should go


def drawn_means(
    priors: Sequence[Prior],
    about: tuple[np.ndarray, np.ndarray],
    sample: np.ndarray,
    spread: np.ndarray,
    mean: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Population values on the link scale, (point, letter), each by its own.

    Parameters
    ----------
    priors : sequence of Prior
        By letter.
    about : tuple of array of shape (letter,)
        Mean and precision of normal distributions near to those, on the link scale.
    sample : array of shape (point, group, letter)
        The groups' values.
    spread, mean : array of shape (point, letter)
        Their deviations, and the population values so far.
    rng : numpy.random.Generator
    """
    centre, precision = about
    told = sample.shape[1] / spread**2
    whole = told + precision
    middle = (told * sample.mean(1) + precision * centre) / whole
    there = middle + rng.standard_normal(mean.shape) / np.sqrt(whole)

    def over_normal(x: np.ndarray) -> np.ndarray:
        return _each(priors, Prior.log_density_free, x) + 0.5 * precision * (x - centre) ** 2

    chosen = np.log(rng.random(mean.shape)) < over_normal(there) - over_normal(mean)
    return np.where(chosen, there, mean)


def drawn_spreads(
    priors: Sequence[Prior],
    sample: np.ndarray,
    mean: np.ndarray,
    spread: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Deviations between groups, (point, letter), given their values (point, group, letter) and the means."""
    half = 0.5 * ((sample - mean[:, None]) ** 2).sum(1)
    there = np.sqrt(half / rng.gamma(0.5 * sample.shape[1], size=mean.shape))
    with np.errstate(all="ignore"):
        inside = np.isfinite(_each(priors, Prior.unconstrain, there))
        gain = _each(priors, Prior.log_density, there) - _each(priors, Prior.log_density, spread)
    return np.where(inside & (np.log(rng.random(mean.shape)) < gain + np.log(there / spread)), there, spread)


def walked(
    log_density: Callable[[np.ndarray], np.ndarray], q: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Coordinates (point, coordinate) after a few steps at random, some long and some short."""
    here = log_density(q)
    for stride in _STRIDES:
        there = q + stride * rng.standard_normal(q.shape)
        height = log_density(there)
        chosen = np.log(rng.random(len(q))) < height - here
        q, here = np.where(chosen[:, None], there, q), np.where(chosen, height, here)
    return q


def _each(
    priors: Sequence[Prior], function: Callable[[Prior, np.ndarray], np.ndarray], x: np.ndarray
) -> np.ndarray:
    """A function of each letter's prior at its own numbers, (point, letter)."""
    return np.stack([function(prior, x[:, i]) for i, prior in enumerate(priors)], axis=-1)
