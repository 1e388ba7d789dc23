"""Values expected at new scales, for known and unseen groups."""

import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayescale.errors import BayescaleWarning, InputError
from bayescale.queries.scales import as_frame, check_prob, decades_beyond, inputs_of
from bayescale.queries.study import Study, groups_of, parameters_at, study_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["curve_draws", "predict", "predict_draws"]

_BATCH = 8_000_000  # numbers held at once
_FAR = 1.0  # decades beyond the runs from which a warning is due


def predict(
    posterior: "xr.DataTree",
    scales: Any,
    *,
    prob: float = 0.9,
    kind: Literal["run", "curve"] = "run",
    random_seed: int = 0,
) -> "xr.Dataset":
    """Value of the law, or of a new run, at given scales.

    Parameters
    ----------
    posterior : DataTree
        A fitted study.
    scales : DataFrame, Dataset, mapping, list of mappings or path
        One row for each scale: the law's inputs in raw units (``n_params``, ``n_tokens``; ``flops`` is
        worked out as 6ND where only these are given), and the columns of the groups it was pooled
        over. A group label starting with "new", or an absent group column, asks for a group drawn
        from the population.
    prob : float, default 0.9
        Mass of the equal-tailed interval.
    kind : {"run", "curve"}
        "curve": the law itself. "run": one more run, with its scatter.
    random_seed : int
        For scatter and unseen groups.

    Returns
    -------
    Dataset
        ``median``, ``mean``, ``lower``, ``upper`` over dim ``scale``, in the unit of the metric;
        ``decades_beyond``: how far, in powers of ten, the scale lies outside the runs; and the columns
        of `scales`.

    Raises
    ------
    InputError
        Missing columns, unusable cells, unknown groups, or an impossible `prob` or `kind`.

    Warns
    -----
    BayescaleWarning
        If a scale lies more than tenfold beyond the runs. On published runs, held back tenfold and
        more, 90 % intervals of a plain law held 30 to 86 % of them.
    """
    import xarray as xr

    check_prob(prob)
    study, frame = study_of(posterior), as_frame(scales)
    edges = [(1 - prob) / 2, 0.5, (1 + prob) / 2]
    found = {name: np.empty(len(frame)) for name in ("median", "mean", "lower", "upper")}
    width = max(1, _BATCH // study.n_samples)
    for i, draws in _batches(study, frame, kind, random_seed, width):
        low, middle, high = _quantiles(draws, edges)
        part = slice(i, i + draws.shape[1])
        found["lower"][part], found["median"][part], found["upper"][part] = low, middle, high
        found["mean"][part] = draws.mean(0)
    beyond = decades_beyond(study, inputs_of(study, frame))
    _warn_if_far(beyond)
    variables = {k: ("scale", v) for k, v in found.items()} | {"decades_beyond": ("scale", beyond)}
    columns = {
        str(c): ("scale", _plain(frame[c])) for c in frame.columns if str(c) not in {*variables, "scale"}
    }
    return xr.Dataset(
        variables | columns,
        attrs={
            "prob": prob,
            "kind": kind,
            "metric": study.structure.metric,
            "law": study.structure.law.name,
            "random_seed": random_seed,
        },
    )


def predict_draws(
    posterior: "xr.DataTree",
    scales: Any,
    *,
    kind: Literal["run", "curve"] = "run",
    random_seed: int = 0,
) -> "xr.DataArray":
    """All draws behind `predict`: dims (sample, scale), in the unit of the metric.

    Parameters and errors are those of `predict`. Holds 8 bytes × draws × scales.
    """
    import xarray as xr

    study, frame = study_of(posterior), as_frame(scales)
    parts = [draws for _, draws in _batches(study, frame, kind, random_seed, len(frame))]
    return xr.DataArray(
        np.concatenate(parts, axis=1), dims=("sample", "scale"), attrs={"metric": study.structure.metric}
    )


def curve_draws(
    study: Study, inputs: dict[str, np.ndarray], index: dict[str, np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """The law's value: shape (sample, row)."""
    s = study.structure
    scaled = [inputs[k] / s.reference[k] for k in s.law.inputs]
    rows = len(scaled[0])
    with np.errstate(over="ignore", under="ignore"):
        mean = s.law(*scaled, **parameters_at(study, index, rng))
    return np.broadcast_to(mean, (study.n_samples, rows))


def _batches(study: Study, frame: "pd.DataFrame", kind: str, random_seed: int, width: int):
    """Draws for runs of consecutive rows, few enough to hold; new groups keep their draws throughout."""
    if kind not in ("run", "curve"):
        raise InputError(f"kind={kind!r} must be 'run' (a new run, with scatter) or 'curve' (the law itself).")
    inputs, index = inputs_of(study, frame), groups_of(study, frame)
    s = study.structure
    scatter = np.random.default_rng([random_seed, 1])
    for i in range(0, len(frame), width):
        part = slice(i, i + width)
        rows = {k: v[part] for k, v in index.items()}
        groups = np.random.default_rng([random_seed, 0])  # anew for each batch: same groups, same draws
        padded = {k: np.concatenate([v, [min(index[k].min(), 0)]]) for k, v in rows.items()}
        extended = {k: np.append(v[part], v[part][-1]) for k, v in inputs.items()}
        draws = curve_draws(study, extended, padded, groups)[:, :-1]
        if kind == "run":
            noise = {k: study.blocks[k][:, None] for k in s.noise_names}
            draws = s.noise.sample(scatter, draws, **noise)
        yield i, draws


def _quantiles(draws: np.ndarray, edges: list[float]) -> np.ndarray:
    """Quantiles over the first axis, shape (edge, row): the transpose makes each row's draws contiguous."""
    return np.quantile(np.ascontiguousarray(draws.T), edges, axis=1)


def _plain(column: "pd.Series") -> np.ndarray:
    if column.dtype.kind in "fiub":
        return column.to_numpy()
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    return (
        numbers.to_numpy(dtype=float)
        if numbers.notna().all()
        else np.asarray(column.fillna("").astype(str), dtype=str)
    )


def _warn_if_far(beyond: np.ndarray) -> None:
    if beyond.max() <= _FAR:
        return
    warnings.warn(
        f"{int((beyond > _FAR).sum())} of {beyond.size} scales lie more than tenfold beyond the runs "
        f"(the farthest 10^{beyond.max():.1f} times). The interval holds if the law does; on published runs plain "
        "laws were wrong there more often than their intervals say. Backtest: fit below, score above.",
        BayescaleWarning,
        stacklevel=3,
    )
