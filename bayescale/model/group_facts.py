"""The numbers of a study sampled group by group, and what a point of its common part settles."""

from typing import NamedTuple

import numpy as np

from bayescale.model.by_group import Mode

__all__ = ["Facts", "Placed"]

_NONE = np.empty(0)


class Placed(NamedTuple):
    """What is settled for all groups by the common part of each point.

    Attributes
    ----------
    shared : array of shape (point,)
        Log density of the common part, without its groups.
    theta : array of shape (point, letter)
        Population values on the link scale; with a drift, after them how far runs lie off along each bend.
    base : array of shape (point, group, letter)
        Coordinates x of a group without effects.
    effect : array of shape (point, group, pooled)
        A group's effects in units of the spread where its standard coordinates are zero.
    free : array of shape (point,)
        Log density without that of the population values.
    spread : array of shape (point, pooled)
        Deviation between groups.
    size : array of shape (point, bend)
        Of the drift's bends.
    upper : array of shape (point, group, pooled, pooled)
        From a group's standard coordinates to its effects.
    slope, reach, wide, told : array
        From a point's coordinates to its population values, and from those to the effects.
    log_width : array of shape (point, group)
    noise : mapping of str to array of shape (point,)
    of_noise : array of shape (point,)
        Part of `shared` that the noise settles.
    share : mapping of int to array of shape (point, group)
        By letter: how far it is taken in the coordinates x, and not on the link scale.
    """

    shared: np.ndarray
    theta: np.ndarray
    base: np.ndarray
    effect: np.ndarray
    free: np.ndarray
    spread: np.ndarray
    size: np.ndarray
    upper: np.ndarray
    slope: np.ndarray
    reach: np.ndarray
    log_width: np.ndarray
    wide: np.ndarray
    told: np.ndarray
    noise: dict[str, np.ndarray]
    of_noise: np.ndarray
    share: dict[int, np.ndarray]


class Facts(NamedTuple):
    """The numbers of one study.

    Attributes
    ----------
    arguments : mapping of str to mapping of str to float
        Of the priors, by name.
    centre : tuple of float
        Scaled inputs at the middle of the runs.
    near, far : array of shape (group, letter) and (letter,)
        Where the coordinates x touch the link scale: at each group's mode, and at the population's.
    near_slopes, far_slopes, near_heights, far_heights : mapping of int to array
        See `Tangent`.
    told : Mode
        What each group's runs say.
    prior_mean, prior_precision : array of shape (letter,)
        Of the population values on the link scale.
    error2 : float
        Square of the usual known error of a run.
    middle, rise, curve : array
        Of the log likelihood in the noise, where the runs are compressed.
    first : array of shape (free,)
        Where to look for the mode of the spreads and sizes; empty where it is yet to be found.
    """

    arguments: dict[str, dict[str, float]]
    centre: tuple[float, ...]
    near: np.ndarray
    far: np.ndarray
    near_slopes: dict[int, np.ndarray]
    far_slopes: dict[int, np.ndarray]
    near_heights: dict[int, np.ndarray]
    far_heights: dict[int, np.ndarray]
    told: Mode
    prior_mean: np.ndarray
    prior_precision: np.ndarray
    error2: float
    middle: np.ndarray = _NONE
    rise: np.ndarray = _NONE
    curve: np.ndarray = _NONE
    first: np.ndarray = _NONE
