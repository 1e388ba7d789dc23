"""What a meta-analysis says: intervals of every group, and priors for the next fit."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.laws import Law, find
from bayescale.priors.meta import SHAPE, scale_kind
from bayescale.priors.prior import Prior, as_prior, unlink

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["meta_intervals", "prior_from"]


def meta_intervals(meta: "xr.DataTree", *, prob: float = 0.9) -> "xr.Dataset":
    """Median and interval of each group's own value, of the population, and of one more group.

    Parameters
    ----------
    meta : DataTree
        From `meta_analysis`.
    prob : float, default 0.9
        Mass of the equal-tailed intervals.

    Returns
    -------
    Dataset
        With dim ``bound`` (median, lower, upper) first, for each parameter: ``alpha`` (group, shrunk),
        ``alpha_population``, ``alpha_new``, ``alpha_sd``, and ``alpha_alone`` (group: the estimate with
        its own error only). `plots.plot_forest` draws it.
    """
    import xarray as xr

    if not isinstance(prob, int | float) or isinstance(prob, bool) or not 0 < prob < 1:
        raise InputError(f"prob={prob!r} must lie between 0 and 1, as in prob=0.9.")
    told = _told(meta)
    edges, draws = [0.5, (1 - prob) / 2, (1 + prob) / 2], meta["posterior"].dataset
    found = {}
    for name, values in draws.data_vars.items():
        flat = values.transpose("chain", "draw", ...)
        found[name] = (
            ("bound", *flat.dims[2:]),
            np.quantile(flat.values.reshape(-1, *flat.shape[2:]), edges, axis=0),
        )
    for name, row in told.items():
        alone = _alone(row, [str(label) for label in draws["group"].values], prob)
        found[f"{name}_alone"] = (("bound", "group"), alone)
    return xr.Dataset(
        found,
        {"bound": ["median", "lower", "upper"], "group": draws["group"].values},
        attrs={"prob": prob, "letters": list(told)},
    )


def prior_from(
    meta: "xr.DataTree", parameter: str, *, of: str = "new", law: str | Law = "chinchilla"
) -> Prior:
    """A prior for `fit` from a meta-analysis of published estimates.

    Parameters
    ----------
    meta : DataTree
        From `meta_analysis`.
    parameter : str
        A letter of the law that carries no unit of an input: an exponent or a floor.
    of : str, default "new"
        "new": one more group, for ``priors={"alpha": ...}`` where the runs are one family. "population"
        and "spread": for ``alpha`` and ``alpha_sd_family`` where families are pooled. Or the name of a
        group of the analysis, for more runs of that very group.
    law : str or Law, default "chinchilla"
        Law whose parameter it is.

    Returns
    -------
    Prior
        Log-normal, logit-normal or normal with the mean and the standard deviation of the posterior on
        that scale; a gamma for the spread. The tails of the prediction are a little heavier.

    Raises
    ------
    InputError
        If the analysis or the law has no such parameter, or it carries units: an amplitude belongs to the
        reference scale of the runs, and moves with its exponent.
    """
    told, law = _told(meta), find(law)
    if parameter not in told:
        raise InputError(f"{parameter!r} was not analysed here; there are: {', '.join(told)}.")
    kind = law.parameters.get(parameter)
    if kind is None or parameter in law.scaling:
        free = ", ".join(k for k in law.parameters if k not in law.scaling)
        why = (
            "moves with its exponent and belongs to the reference scale of the runs it was fitted to"
            if kind
            else f"is not learnt by law {law.name!r}"
        )
        raise InputError(f"{parameter!r} {why}, so no prior follows from it. Possible here: {free}.")
    row = told[parameter]
    if of == "spread":
        mean, sd = row["spread"]
        return Prior("Gamma", alpha=(mean / sd) ** 2, beta=mean / sd**2)
    if of not in ("new", "population") and of not in row["groups"]:
        raise InputError(
            f"of={of!r}: give 'new', 'population', 'spread' or a group with an estimate of {parameter}: "
            f"{', '.join(row['groups'])}."
        )
    mean, sd = row[of] if of in ("new", "population") else row["groups"][of]
    return as_prior(Prior(SHAPE[row["scale"]], mu=mean, sigma=sd), parameter, kind)


def _told(meta: Any) -> dict[str, Any]:
    text = getattr(meta, "attrs", {}).get("meta_analysis")
    if text is None:
        raise InputError(
            f"this {type(meta).__name__} is no meta-analysis. Give what meta_analysis(estimates) returned."
        )
    return json.loads(text)["parameters"]


def _alone(row: Mapping[str, Any], labels: list[str], prob: float) -> np.ndarray:
    """Median, lower and upper of each estimate by its own error; NaN for a group without one."""
    from statistics import NormalDist

    z, kind = NormalDist().inv_cdf((1 + prob) / 2), scale_kind(row["scale"])
    held = [row["estimates"].get(label, (math.nan, math.nan)) for label in labels]
    return np.array([[float(unlink(kind, np.float64(y + k * z * s))) for y, s in held] for k in (0, -1, 1)])
