"""How the noise fits the runs about their groups' modes, for a likelihood without a cost by the run."""

import numpy as np

from bayescale.model.grouped import Grouped

__all__ = ["noise_curve"]


def noise_curve(parts: Grouped) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle, slope and curvature of the log likelihood in the noise, at the groups' modes.

    Returns
    -------
    middle, rise : array of shape (noise,)
    curve : array of shape (noise, noise)
        All in unconstrained coordinates.
    """
    assert parts.runs is not None
    told, count = parts.facts.told, len(parts.noises)
    given = {"sigma": told.sigma, "nu": told.nu or 6.0}
    middle = np.array([prior.unconstrain(np.float64(given[name])) for name, prior in parts.noises])
    step = 3.0 / np.sqrt(parts.runs.value.size)
    shifts = [np.zeros(count)]
    for i in range(count):
        for j in range(i, count):
            unit = np.eye(count)[i] + (np.eye(count)[j] if i != j else 0.0)
            shifts += [step * unit, -step * unit]
    found = _at_modes(parts, middle + np.array(shifts))
    rise, curve, at = np.zeros(count), np.zeros((count, count)), 1
    second = {}
    for i in range(count):
        for j in range(i, count):
            second[i, j] = (found[at] + found[at + 1] - 2 * found[0]) / step**2
            if i == j:
                rise[i] = (found[at] - found[at + 1]) / (2 * step)
            at += 2
    for i in range(count):
        curve[i, i] = second[i, i]
        for j in range(i + 1, count):
            curve[i, j] = curve[j, i] = 0.5 * (second[i, j] - second[i, i] - second[j, j])
    return middle, rise, curve


def _at_modes(parts: Grouped, free: np.ndarray) -> np.ndarray:
    """Log likelihood of all runs at their groups' modes, for noise (point, coordinate)."""
    assert parts.runs is not None
    noise = {name: prior.constrain(free[:, i]) for i, (name, prior) in enumerate(parts.noises)}
    theta = parts.facts.told.theta
    theta = np.broadcast_to(theta, (len(free), *theta.shape))
    nu = noise.get("nu", parts.form.fixed_nu)
    return parts.runs.log_likelihood(theta, noise["sigma"], nu).sum(-1)
