"""Chains that do not all have the same number of draws."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bayescale.errors import InputError
from bayescale.storage.content import Groups

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["refuse_ragged"]


def refuse_ragged(groups: Groups, path: Path) -> None:
    """Refuse a study without a posterior, or with chains that end in draws that are all NaN.

    Such a tail is what an interrupted sampler leaves when its store is opened at full length, and what
    joining chains of different length gives.
    """
    drawn = [name for name in groups if name.endswith("/posterior")]
    if not drawn:
        raise InputError(
            f"{path}: the study has no group 'posterior' (it has: {', '.join(sorted(groups))}). "
            "A study is what bayescale.fit returns."
        )
    for name in drawn:
        _refuse_ragged(groups[name], path)


def _refuse_ragged(posterior: "xr.Dataset", path: Path) -> None:
    missing = _missing(posterior)
    if missing is None or not missing.size:
        return
    draws = missing.shape[1]
    lengths = draws - np.logical_and.accumulate(missing[:, ::-1], axis=1).sum(axis=1)
    short = np.flatnonzero(lengths < draws)
    if not short.size:
        return
    labels = posterior["chain"].values
    told = ", ".join(f"chain {labels[i]} has {lengths[i]} draws" for i in short[:5])
    more = f" and {len(short) - 5} more" if len(short) > 5 else ""
    raise InputError(
        f"{path}: the chains differ in length: {told}{more} out of {draws}, the rest are NaN. "
        f"Cut all groups to the shortest chain, as in group.isel(draw=slice(0, {lengths.min()})), "
        "or leave that chain out, before saving."
    )


def _missing(posterior: "xr.Dataset") -> np.ndarray | None:
    """Whether every parameter is NaN, by chain and draw; None if no parameter can be."""
    drawn = [
        v.transpose("chain", "draw", ...)
        for v in posterior.data_vars.values()
        if v.dtype.kind == "f" and {"chain", "draw"} <= set(v.dims)
    ]
    missing = [np.isnan(v.values).reshape(*v.shape[:2], -1).all(axis=2) for v in drawn if v.size]
    return np.logical_and.reduce(missing) if missing else None
