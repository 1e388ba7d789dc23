"""Larger, smaller, or practically equal: what a posterior says of a difference."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.queries.scales import check_prob

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["practically_equal"]

_SAMPLES = ("chain", "draw", "sample")


def practically_equal(
    difference: Any,
    rope: float | Sequence[float],
    *,
    prob: float = 0.9,
    sure: float = 0.95,
) -> "xr.Dataset":
    """Probabilities that a quantity lies below, inside or above a region of practical equivalence.

    The region holds the differences that would change no decision. It belongs to the question and is
    stated by the user, before looking. The three probabilities add up to one. "Equal" can be shown here,
    which a test of a null hypothesis cannot do, and "undecided" is an answer too.

    Parameters
    ----------
    difference : DataArray or array
        Draws of a difference: dims ``sample``, or ``chain`` and ``draw``, and any others; of a plain array,
        the first axis. Draws of one study stand pairwise: subtract those of two groups, or of two
        scales. Draws of two studies are independent of each other.
    rope : float or pair of float
        Region of practical equivalence in the unit of the difference: ``0.01`` is from -0.01 to 0.01.
    prob : float, default 0.9
        Mass of the equal-tailed interval that is reported beside.
    sure : float, default 0.95
        Probability from which one of the three is the verdict.

    Returns
    -------
    Dataset
        ``below``, ``equal`` and ``above``, the probabilities; ``verdict``, one of these words or
        "undecided"; ``interval`` with dim ``bound`` (median, lower, upper). Other dims as they came. For
        losses and errors below is better, for scores above.

    Raises
    ------
    InputError
        If there are no draws, or some are no numbers, or the region is empty.

    Examples
    --------
    >>> import numpy as np
    >>> import bayescale as bs
    >>> draws = np.random.default_rng(0).normal(0.002, 0.003, 4000)  # late less early fusion, in nats
    >>> str(bs.practically_equal(draws, rope=0.01)["verdict"].values)
    'equal'
    """
    import xarray as xr

    check_prob(prob)
    if not isinstance(sure, int | float) or not 0.5 < sure < 1:
        raise InputError(f"sure={sure!r} must be a probability above 0.5 and below 1, as in sure=0.95.")
    low, high = _region(rope)
    draws = _draws(difference)
    below = (draws < low).mean("sample")
    above = (draws > high).mean("sample")
    equal = ((draws >= low) & (draws <= high)).mean("sample")
    edges = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    interval = draws.quantile(edges, "sample").drop_vars("quantile").rename(quantile="bound")
    said = xr.concat([below, equal, above], "word", coords="minimal", compat="override")
    words = np.array(["below", "equal", "above"], dtype=object)
    verdict = xr.where(said.max("word") >= sure, words[said.argmax("word").values], "undecided")
    return xr.Dataset(
        {
            "below": below,
            "equal": equal,
            "above": above,
            "verdict": verdict.astype(str),
            "interval": interval,
        },
        {"bound": ["median", "lower", "upper"]},
        attrs={"rope": [low, high], "prob": prob, "sure": sure, "draws": draws.sizes["sample"]},
    )


def _region(rope: Any) -> tuple[float, float]:
    try:
        bounds = np.atleast_1d(np.asarray(rope, dtype=float))
    except (TypeError, ValueError) as error:
        raise InputError(f"rope={rope!r} must be a number or a pair of numbers, as in rope=0.01.") from error
    if bounds.shape == (1,) and bounds[0] > 0 and np.isfinite(bounds[0]):
        return -float(bounds[0]), float(bounds[0])
    if bounds.shape == (2,) and np.isfinite(bounds).all() and bounds[0] < bounds[1]:
        return float(bounds[0]), float(bounds[1])
    raise InputError(
        f"rope={rope!r}: give half the width of the region, such as 0.01 for -0.01 to 0.01, or its two ends "
        "in order. A region without width holds no draw."
    )


def _draws(difference: Any) -> "xr.DataArray":
    import xarray as xr

    if isinstance(difference, xr.DataArray):
        over = [d for d in _SAMPLES if d in difference.dims]
        if not over:
            raise InputError(
                f"the difference has the dims {', '.join(map(str, difference.dims)) or 'none'}, and none of "
                f"{', '.join(_SAMPLES)}: give draws, not a summary of them."
            )
        draws = difference.drop_vars([k for k in _SAMPLES if k in difference.coords], errors="ignore")
        draws = draws.stack(sample=over, create_index=False) if over != ["sample"] else draws
    else:
        try:
            values = np.asarray(difference, dtype=float)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"a {type(difference).__name__} is no array of draws: give a DataArray, such as the "
                "difference of two predict_draws(...)."
            ) from error
        if values.ndim == 0:
            raise InputError(f"difference={difference!r} is one number: give draws of it.")
        draws = xr.DataArray(values, dims=("sample", *(f"axis_{i}" for i in range(1, values.ndim))))
    draws = draws.transpose("sample", ...).astype(float)
    lost = int((~np.isfinite(draws)).sum())
    if draws.sizes["sample"] == 0 or lost:
        what = f"{lost} of {draws.size} draws are not finite" if lost else "there are no draws"
        raise InputError(f"{what}: leave out those without an answer, and say how many they were.")
    return draws
