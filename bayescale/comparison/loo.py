"""Leave-one-out cross-validation of a fitted study from its own draws, by Pareto-smoothed weights."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayescale.diagnostics.statistics import ess_mean
from bayescale.inference.psis import pareto_khat

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["KHAT_BAD", "Loo", "efficiency", "loo_of", "psis_loo", "standard_error"]

KHAT_BAD = 0.7  # from here on the estimate of a row is led by a few draws (Vehtari et al. 2024)
_BLOCK = 64  # rows laid out side by side at once

type Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Loo:
    """Log density of each row's value given all other rows.

    Attributes
    ----------
    pointwise : array of shape (row,)
        In nats, of the value in its own unit.
    khat : array of shape (row,)
        Pareto shape of the weights behind it; above 0.7 it cannot be trusted.
    full : array of shape (row,)
        Log density of the value given all rows, its own among them.
    """

    pointwise: Floats
    khat: Floats
    full: Floats

    @property
    def elpd(self) -> float:
        """Expected log predictive density: the sum over rows."""
        return float(self.pointwise.sum())

    @property
    def se(self) -> float:
        """Standard error of `elpd`, from the scatter between rows."""
        return standard_error(self.pointwise)

    @property
    def p(self) -> float:
        """Effective number of parameters: how much the rows gain by being in their own fit."""
        return float((self.full - self.pointwise).sum())


def psis_loo(log_likelihood: Floats, *, efficiency: float = 1.0) -> Loo:
    """Leave-one-out densities from pointwise log densities.

    Parameters
    ----------
    log_likelihood : array of shape (sample, row)
        Log density of each row's value at each draw.
    efficiency : float, default 1.0
        Effective draws over draws; 1 for independent draws.

    Returns
    -------
    Loo
    """
    n_samples, n_rows = log_likelihood.shape
    pointwise, khat, full = np.empty(n_rows), np.empty(n_rows), np.empty(n_rows)
    for start in range(0, n_rows, _BLOCK):
        block = np.ascontiguousarray(log_likelihood[:, start : start + _BLOCK].T)
        top = block.max(axis=1, keepdims=True)
        density = np.exp(block - top)
        for i, row in enumerate(block, start=start):
            khat[i], weights = pareto_khat(-row, efficiency=efficiency)
            pointwise[i] = weights @ density[i - start]
        part = slice(start, start + len(block))
        with np.errstate(divide="ignore"):
            pointwise[part] = np.log(pointwise[part]) + top[:, 0]
            full[part] = np.log(density.mean(axis=1)) + top[:, 0]
    return Loo(pointwise, khat, full)


def loo_of(study: "xr.DataTree", order: np.ndarray) -> Loo:
    """Leave-one-out densities of a study whose pointwise log likelihood was kept, its rows put in `order`."""
    values = study["log_likelihood"].dataset["value"].transpose("chain", "draw", ...).values
    flat = values.reshape(-1, values.shape[-1])
    found = psis_loo(flat, efficiency=efficiency(study["posterior"].to_dataset()))
    return Loo(found.pointwise[order], found.khat[order], found.full[order])


def efficiency(posterior: "xr.Dataset") -> float:
    """Effective draws over draws, averaged over all numbers of a posterior; 1 where it cannot be judged."""
    shares = [
        ess_mean(x := variable.transpose("chain", "draw", ...).values).ravel() / (x.shape[0] * x.shape[1])
        for variable in posterior.data_vars.values()
    ]
    every = np.concatenate(shares) if shares else np.array([np.nan])
    every = every[np.isfinite(every)]
    return float(every.mean()) if every.size else 1.0


def standard_error(pointwise: Floats, ddof: int = 1) -> float:
    """Standard error of a sum over rows, from the scatter between them; NaN for one row."""
    if pointwise.size < 2:
        return float("nan")
    return float(np.sqrt(pointwise.size * np.var(pointwise, ddof=ddof)))
