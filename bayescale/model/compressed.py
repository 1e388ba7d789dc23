"""A pooled study with each group's runs replaced by their information: no cost by the run, and not exact."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bayescale.model.grouped import LOG_2PI, Grouped, Placed, times

__all__ = ["Compressed"]


@dataclass(frozen=True, eq=False)
class Compressed(Grouped):
    """The study with each group's runs replaced by their information at its mode."""

    @property
    def n_rows(self) -> int:
        """None: no evaluation passes over the runs."""
        return 0

    @cached_property
    def _noise_curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Middle, slope and curvature of the log likelihood in the noise, at the groups' modes."""
        count = len(self.noises)
        given = {"sigma": self.told.sigma, "nu": self.told.nu or 6.0}
        middle = np.array([prior.unconstrain(np.float64(given[name])) for name, prior in self.noises])
        step = 3.0 / np.sqrt(self.runs.value.size)
        shifts = [np.zeros(count)]
        for i in range(count):
            for j in range(i, count):
                unit = np.eye(count)[i] + (np.eye(count)[j] if i != j else 0.0)
                shifts += [step * unit, -step * unit]
        found = self._at_modes(middle + np.array(shifts))
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
        return middle, rise, curve, float(found[0])

    def _at_modes(self, free: np.ndarray) -> np.ndarray:
        """Log likelihood of all runs at their groups' modes, for noise (point, coordinate)."""
        noise = {name: prior.constrain(free[:, i]) for i, (name, prior) in enumerate(self.noises)}
        theta = np.broadcast_to(self.told.theta, (len(free), *self.told.theta.shape))
        nu = noise.get("nu", self._fixed_nu(len(free)))
        return self.runs.log_likelihood(theta, noise["sigma"], nu).sum(-1)

    def place(self, common: np.ndarray) -> Placed:
        """Settle what the common part says, and how well its noise fits the runs."""
        placed = super().place(common)
        middle, rise, curve, _ = self._noise_curve
        away = common[:, len(self.spreads) : self.n_free] - middle
        fit = away @ rise + 0.5 * ((away @ curve) * away).sum(-1)
        return replace(placed, shared=placed.shared + fit)

    def of_groups(self, placed: Placed, q: np.ndarray) -> np.ndarray:
        """Log density of each group's part, of its runs by their information."""
        theta, log_jacobian, effect = self.parameters(placed, q)
        away = self.near.to_x(theta) - self.told.theta
        sharp = self._sharper(placed.noise, len(q))[:, None]
        fit = sharp * (away * (self.told.pull - 0.5 * times(self.told.information, away))).sum(-1)
        prior = -0.5 * (effect**2).sum(-1) - 0.5 * self.n_pooled * LOG_2PI
        return np.nan_to_num(prior + log_jacobian - placed.log_width + fit, nan=-np.inf)
