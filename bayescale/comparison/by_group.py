"""Which law holds where: a comparison taken apart by the groups of a column."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayescale.comparison.compare import compare
from bayescale.comparison.loo import KHAT_BAD, standard_error
from bayescale.errors import InputError
from bayescale.queries.rows import fitted_runs

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["compare_by", "pooled_weights"]


def compare_by(
    studies: Mapping[str, "xr.DataTree"], by: str, *, compared: "xr.Dataset | None" = None
) -> "xr.Dataset":
    """The comparison of studies, group by group of a column.

    Parameters
    ----------
    studies : mapping of str to DataTree
        As for `compare`: fitted studies of the same rows.
    by : str
        Column of the runs that tells the groups, such as ``eval_name``.
    compared : Dataset, optional
        What `compare` gave for the same studies, to save its work and its warnings.

    Returns
    -------
    Dataset
        Dims (group named `by`, model), models in the order of `compare`: ``elpd``, the sum of the group's
        leave-one-out log densities; ``elpd_diff`` to the best model of the group and its ``diff_se``;
        ``weight``, the share of each model in the mixture that predicts the group's rows best, partially
        pooled over groups (see `pooled_weights`); ``khat_bad``, rows with k-hat above 0.7. Over groups:
        ``best``, ``rows`` and ``settled``: whether the best leads the second by 4 nats and by two standard
        errors. Over models: ``weight_all``, the weights about which those of the groups scatter.

    Raises
    ------
    InputError
        As for `compare`; or if the column is not there, or `compared` is of other studies.

    Notes
    -----
    A group has few rows, so that most single verdicts are open; standard errors from fewer than a dozen
    rows are themselves rough. Densities are those of the joint fits: pooling has done its work on them.
    """
    import xarray as xr

    table = compare(studies) if compared is None else compared
    labels = _labels(studies, table, by)
    models = [str(m) for m in table["model"].values]
    pointwise, khat = table["loo_pointwise"].values, table["khat"].values
    groups, index = np.unique(labels, return_inverse=True)
    rows = [np.flatnonzero(index == g) for g in range(len(groups))]
    elpd = np.stack([pointwise[:, r].sum(axis=1) for r in rows])
    best = elpd.argmax(axis=1)
    behind = [pointwise[:, r] - pointwise[b, r] for r, b in zip(rows, best, strict=True)]
    error = np.array([[standard_error(d) for d in part] for part in behind])
    pooled, common = pooled_weights(pointwise.T, index)
    both = (by, "model")
    return xr.Dataset(
        {
            "elpd": (both, elpd),
            "elpd_diff": (both, elpd - elpd.max(axis=1, keepdims=True)),
            "diff_se": (both, error),
            "weight": (both, pooled),
            "khat_bad": (both, np.stack([(khat[:, r] > KHAT_BAD).sum(axis=1) for r in rows])),
            "best": (by, np.array(models, dtype=str)[best]),
            "settled": (by, _settled(elpd, error)),
            "rows": (by, np.array([len(r) for r in rows])),
            "weight_all": ("model", common),
        },
        {by: [str(g) for g in groups], "model": models},
        attrs={"metric": table.attrs.get("metric", ""), "by": by},
    )


def _labels(studies: Mapping[str, "xr.DataTree"], table: "xr.Dataset", by: str) -> NDArray[Any]:
    """Label of each row of the comparison, whose rows are in the order of the first study."""
    models = {str(m) for m in table["model"].values}
    if models != set(studies):
        raise InputError(
            f"compared= holds {', '.join(sorted(models))}, but the studies are {', '.join(sorted(studies))}: "
            "give what compare returned for these studies, or leave it out."
        )
    runs = fitted_runs(next(iter(studies.values())))
    if by not in runs:
        raise InputError(f"by={by!r} is no column of the runs (they have: {', '.join(map(str, runs))}).")
    if len(runs) != table.sizes["run"]:
        raise InputError(f"compared= holds {table.sizes['run']} rows, but the studies have {len(runs)}.")
    return runs[by].astype(str).to_numpy(dtype=str)


def _settled(elpd: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.bool_]:
    order = np.argsort(-elpd, axis=1)
    lead = np.take_along_axis(elpd, order[:, :1], 1) - np.take_along_axis(elpd, order[:, 1:2], 1)
    at_second = np.take_along_axis(error, order[:, 1:2], 1)
    return ((lead >= 4.0) & (lead >= 2 * at_second))[:, 0]


def pooled_weights(
    pointwise: NDArray[np.float64], index: NDArray[np.intp], spread: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Stacking weights by group, drawn towards common ones (Yao, Pirs, Vehtari and Gelman, 2022).

    The weights of group g are the softmax of :math:`\mu + \tau z_g` over models, with standard normal
    :math:`z_g` and a wide normal prior on :math:`\mu`; the most probable values are found. With few rows
    a group keeps the common weights, with many it has its own.

    Parameters
    ----------
    pointwise : array of shape (row, model)
        Leave-one-out log densities.
    index : int array of shape (row,)
        Group of each row, 0, 1, ...
    spread : float, default 1.0
        The :math:`\tau`: standard deviation between groups of the log odds between models.

    Returns
    -------
    by_group : array of shape (group, model)
    common : array of shape (model,)
        The softmax of :math:`\mu`.
    """
    from scipy.optimize import minimize

    n_groups, n_models = int(index.max()) + 1, pointwise.shape[1]
    density = np.exp(pointwise - pointwise.max(axis=1, keepdims=True))

    def uphill(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mu, z = flat[:n_models], flat[n_models:].reshape(n_groups, n_models)
        weights = _softmax(mu + spread * z)[index]
        mixed = np.maximum((density * weights).sum(axis=1, keepdims=True), 1e-300)
        pull = weights * (density / mixed - 1.0)  # derivative of log mixed by the log odds
        by_group = np.zeros((n_groups, n_models))
        np.add.at(by_group, index, pull)
        value = -float(np.log(mixed).sum()) + 0.5 * float((z**2).sum() + (mu**2).sum() / 9)
        slopes = np.concatenate([mu / 9 - by_group.sum(axis=0), (z - spread * by_group).ravel()])
        return value, slopes

    start = np.zeros(n_models * (1 + n_groups))
    found = minimize(uphill, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000}).x
    mu, z = found[:n_models], found[n_models:].reshape(n_groups, n_models)
    return _softmax(mu + spread * z), _softmax(mu)


def _softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)
