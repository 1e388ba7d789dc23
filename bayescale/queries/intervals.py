"""Credible intervals of everything that was learnt, and of what follows from it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.diagnostics.compression import compression_line
from bayescale.errors import InputError
from bayescale.model.drift import WEIGHTS
from bayescale.queries.optimum import slopes_at
from bayescale.queries.scales import check_prob
from bayescale.queries.study import Study, study_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["derived", "intervals"]


def intervals(
    posterior: "xr.DataTree", *, prob: float = 0.9, loss_at: Mapping[str, Mapping[str, Any]] | None = None
) -> "xr.Dataset":
    """Median and equal-tailed interval of every parameter and derived quantity.

    Parameters
    ----------
    posterior : DataTree
        A fitted study.
    prob : float, default 0.9
        Mass of the interval.
    loss_at : mapping, optional
        Named scales at which the law's value is wanted too: ``{"7B": {"n_params": 7e9, "n_tokens": 2e12}}``
        gives ``loss_at_7B``.

    Returns
    -------
    Dataset
        One variable for each quantity, with dim ``bound`` (median, lower, upper) first, then the groups
        it varies over: the law's parameters as in its paper; for pooled ones also the population's
        value and the spread between groups; the noise. For laws of size and data: ``a`` and ``b``, the
        powers of compute at which the best size and data grow, and ``tokens_per_param`` at the middle
        compute of the runs (C = 6ND). For laws with compression factors the attribute ``compression``
        says in words what is known of them, and by what (see `identify`).

    Raises
    ------
    InputError
        If this is no fitted study or `prob` is impossible.
    """
    import xarray as xr

    check_prob(prob)
    study = study_of(posterior)
    draws = posterior["posterior"].dataset
    wanted = [str(v) for v in draws.data_vars if _is_reported(study, str(v))]
    edges = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    found = {}
    for name in wanted:
        values = draws[name].transpose("chain", "draw", ...)
        found[name] = _summary(values.values.reshape(-1, *values.shape[2:]), edges, values.dims[2:])
    for name, (values, dims) in derived(study).items():
        found.setdefault(name, _summary(values, edges, dims))
    for name, scale in (loss_at or {}).items():
        found[f"loss_at_{name}"] = _summary(_curve(posterior, name, scale), edges, ())
    coords = {k: list(v) for k, v in study.structure.labels.items() if any(k in d for d, _ in found.values())}
    return xr.Dataset(
        found,
        {"bound": ["median", "lower", "upper"], **coords},
        attrs={"prob": prob, "metric": study.structure.metric, "law": study.structure.law.name}
        | _on_factors(posterior, study),
    )


def _on_factors(posterior: "xr.DataTree", study: Study) -> dict[str, str]:
    """What the runs tell of compression factors, in words, for a law that has some."""
    line = compression_line(posterior, study.structure.law, study.record)
    return {"compression": line} if line else {}


def derived(study: Study) -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
    """Draws of what follows from the parameters, with the dims after the first (sample).

    A law whose best size and data at given compute have no interior optimum has none.
    """
    s = study.structure
    further = set(s.law.inputs) - {"n_params", "n_tokens", "tokens_unique"}
    if further or not {"n_params", "n_tokens"} <= set(s.law.inputs):
        return {}
    spread = study.record.get("input_range", {})
    size, data = spread.get("n_params", [1e9, 1e9]), spread.get("n_tokens", [2e10, 2e10])
    middle = 6.0 * np.sqrt(size[0] * size[1]) * np.sqrt(data[0] * data[1])
    factors = tuple(f for f in s.factors if ":" not in f)
    labels = [s.labels[f] for f in factors]
    if len(factors) > 1 or len(factors) != len(s.factors) or (labels and len(labels[0]) > 60):
        return {}
    index = {f: np.arange(len(s.labels[f])) for f in factors}
    found = slopes_at(study, middle, index)
    if not factors:
        return {k: (v[:, 0], ()) for k, v in found.items()}
    return {k: (v, factors) for k, v in found.items()}


def _is_reported(study: Study, name: str) -> bool:
    """Effects in standard units and values at the reference scales are inside matters."""
    s = study.structure
    inner = {s.base(k) for k in s.law.scaling} | {s.population(k) for k in s.law.scaling}
    return "_offset_" not in name and name not in {*inner, WEIGHTS}


def _summary(
    values: np.ndarray, edges: list[float], dims: tuple[Any, ...]
) -> tuple[tuple[str, ...], np.ndarray]:
    return ("bound", *map(str, dims)), np.quantile(values, edges, axis=0)


def _curve(posterior: "xr.DataTree", name: str, scale: Mapping[str, Any]) -> np.ndarray:
    from bayescale.queries.predict import predict_draws

    if not isinstance(scale, Mapping):
        raise InputError(f"loss_at[{name!r}] must be a mapping of inputs, as in {{'n_params': 7e9, ...}}.")
    return predict_draws(posterior, [dict(scale)], kind="curve").values[:, 0]
