"""Pooled parameters by group, beside what the population says of them."""

from typing import TYPE_CHECKING

import numpy as np

from bayescale.errors import InputError
from bayescale.queries.rows import fitted_runs
from bayescale.queries.scales import check_prob
from bayescale.queries.study import parameters_at, study_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["pooling"]


def pooling(posterior: "xr.DataTree", *, prob: float = 0.9, random_seed: int = 0) -> "xr.Dataset":
    """Every pooled parameter by group, for the population, and for a group not yet seen.

    Parameters
    ----------
    posterior : DataTree
        A study with pooled parameters.
    prob : float, default 0.9
        Mass of the equal-tailed intervals.
    random_seed : int
        For the group not yet seen.

    Returns
    -------
    Dataset
        With dim ``bound`` (median, lower, upper) first, for each pooled letter as in the paper:
        ``alpha`` (and its groups), ``alpha_population``, ``alpha_new`` (one more group, so the spread
        between groups in the parameter's own unit); ``runs_<factor>``, the number of runs of each group.

    Raises
    ------
    InputError
        If nothing is pooled here, or `prob` is impossible.
    """
    import xarray as xr

    check_prob(prob)
    study = study_of(posterior)
    s = study.structure
    if not s.pool:
        raise InputError(
            "nothing is pooled in this study, so there are no groups to set side by side. "
            "Fit with pool={'alpha': 'family'}, or use intervals()."
        )
    edges = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    fresh = {f: np.array([s.labels[f].index(s.common[f]) if f in s.common else -1]) for f in s.factors}
    new = parameters_at(study, fresh, np.random.default_rng([random_seed, 0]))
    shared = {k: study.blocks[s.population(k)] for k in s.law.parameters}
    shared = s.law.undo_reference(shared, s.reference)
    new = s.law.undo_reference({k: v[:, 0] for k, v in new.items()}, s.reference)
    draws, found = posterior["posterior"].dataset, {}
    for letter in s.pool:
        values = draws[letter].transpose("chain", "draw", ...)
        flat = values.values.reshape(-1, *values.shape[2:])
        found[letter] = (("bound", *map(str, values.dims[2:])), np.quantile(flat, edges, axis=0))
        found[f"{letter}_population"] = ("bound", np.quantile(shared[letter], edges))
        found[f"{letter}_new"] = ("bound", np.quantile(new[letter], edges))
    runs = {f: _count(fitted_runs(posterior), f, s.labels[f]) for f in s.factors}
    return xr.Dataset(
        found | {f"runs_{f}": (f, n) for f, n in runs.items() if n is not None},
        {"bound": ["median", "lower", "upper"]} | {f: list(s.labels[f]) for f in s.factors},
        attrs={"prob": prob, "metric": s.metric, "law": s.law.name, "letters": list(s.pool)},
    )


def _count(runs: "pd.DataFrame", factor: str, labels: tuple[str, ...]) -> np.ndarray | None:
    columns = factor.split(":")
    if not set(columns) <= set(runs):
        return None
    cells = [runs[c].astype(str).to_numpy(dtype=str) for c in columns]
    rows = [" : ".join(parts) for parts in zip(*cells, strict=True)]
    return np.array([rows.count(label) for label in labels])
