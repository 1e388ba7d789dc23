"""The log density of every run at every draw, worked out when it is first read.

It takes as long as the rest of a fit, and most fits are never asked for it: refits of a backtest, or a study
from which predictions alone are wanted. Held as xarray holds what it has not yet read from a file.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from bayescale.model.density import Density

__all__ = ["pointwise"]

_BATCH = 60_000  # numbers worked out at once: they fit a cache


class _Pointwise(BackendArray):
    """Log densities of shape (chain, draw, run), found at the first reading and kept."""

    def __init__(self, density: Density, blocks: Mapping[str, np.ndarray]) -> None:
        self.dtype = np.dtype(float)
        self.shape = (*next(iter(blocks.values())).shape[:2], density.spec.value.size)
        self._of: tuple[Density, Mapping[str, np.ndarray]] | None = (density, dict(blocks))
        self._values: np.ndarray | None = None

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        basic: Any = indexing.IndexingSupport.BASIC
        return indexing.explicit_indexing_adapter(key, self.shape, basic, self._at)

    def _at(self, key: Any) -> Any:
        return self.values[key]

    @property
    def values(self) -> np.ndarray:
        """All of them."""
        if self._values is None:
            assert self._of is not None
            self._values = _worked_out(*self._of).reshape(self.shape)
            self._of = None
        return self._values

    def __reduce__(self) -> tuple[Any, ...]:
        """What travels to another process, or is copied, is numbers: a law of one's own may not travel."""
        return indexing.NumpyIndexingAdapter, (self.values,)


def pointwise(density: Density, blocks: Mapping[str, np.ndarray]) -> xr.Variable:
    """Log density of every run's value at every draw, dims (chain, draw, run)."""
    lazy: Any = indexing.LazilyIndexedArray(_Pointwise(density, blocks))
    kept: Any = indexing.MemoryCachedArray(indexing.CopyOnWriteArray(lazy))
    return xr.Variable(("chain", "draw", "run"), kept)


def _worked_out(density: Density, blocks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Shape (sample, run)."""
    flat = {k: v.reshape(-1, *v.shape[2:]) for k, v in blocks.items()}
    n_runs = density.spec.value.size
    values = np.empty((math.prod(next(iter(blocks.values())).shape[:2]), n_runs))
    step = max(1, _BATCH // n_runs)
    for i in range(0, len(values), step):
        values[i : i + step] = density.log_likelihood({k: v[i : i + step] for k, v in flat.items()})
    return values
