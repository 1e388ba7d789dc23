"""How far each run lies from the fitted law, and whether the distance has a pattern."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.model.noise import forward
from bayescale.queries.predict import predict, predict_draws
from bayescale.queries.rows import compute_of, fitted_runs, run_inputs
from bayescale.queries.scales import check_prob
from bayescale.queries.scatter import kin_of, learnt_at
from bayescale.queries.study import Study, study_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["residuals"]

_ONE_DEVIATION = 0.6827  # the share of a normal within one standard deviation
_ROWS = 500  # runs whose draws are held at once


def residuals(posterior: "xr.DataTree", *, prob: float = 0.9, random_seed: int = 0) -> "xr.Dataset":
    """Observed against fitted, run by run.

    Parameters
    ----------
    posterior : DataTree
        A fitted study.
    prob : float, default 0.9
        Mass of the interval in which a new run at the same scale is expected.
    random_seed : int
        For the scatter of new runs.

    Returns
    -------
    Dataset
        Over dim ``run``: ``observed``; ``fitted`` (median of the law), ``lower`` and ``upper`` (of a new
        run), in the unit of the metric; ``residual``, ``residual_lower``, ``residual_upper``: their
        distances from the fitted value on the scale of the noise (attribute ``on``: a log residual of
        0.01 is 1 %); ``width``, half of the central 68 % of new runs on that scale, and the three divided
        by it: ``deviations``, ``deviations_lower``, ``deviations_upper``; ``inside``, whether the interval
        holds the run; ``rank``, the share of new runs expected below it; the law's inputs, ``flops`` where
        they give it, ``decade`` (whole powers of ten of compute, else of the first input), and the run's
        labels; with noise that tells outliers apart (`Contaminated`) also ``outlying``, the probability
        that the run is one. With pooled offsets, fitted values and new runs are those of the run's own
        groups. Over dim ``decade_of_scale``, for each decade with runs: ``decade_runs``,
        ``decade_median`` (of the deviations), ``decade_inside`` (the share within the interval; `prob`
        is expected).

    Raises
    ------
    InputError
        If this is no fitted study or `prob` is impossible.
    """
    import xarray as xr

    check_prob(prob)
    study, runs = study_of(posterior), fitted_runs(posterior)
    inputs, value = run_inputs(study, runs), runs["value"].to_numpy(dtype=float)
    law = predict(posterior, runs, kind="curve")
    new = predict(posterior, runs, prob=prob, random_seed=random_seed)
    near = predict(posterior, runs, prob=_ONE_DEVIATION, random_seed=random_seed)
    fitted, lower, upper = law["median"].values, new["lower"].values, new["upper"].values
    on = study.structure.noise.on
    middle = forward(on, fitted)
    unit = 0.5 * (forward(on, near["upper"].values) - forward(on, near["lower"].values))
    residual = forward(on, value) - middle
    compute = compute_of(inputs)
    scale = compute if compute is not None else next(iter(inputs.values()))
    columns = {
        "observed": value,
        "fitted": fitted,
        "lower": lower,
        "upper": upper,
        "residual": residual,
        "residual_lower": forward(on, lower) - middle,
        "residual_upper": forward(on, upper) - middle,
        "width": unit,
        "deviations": residual / unit,
        "deviations_lower": (forward(on, lower) - middle) / unit,
        "deviations_upper": (forward(on, upper) - middle) / unit,
        "inside": (lower <= value) & (value <= upper),
        "rank": _rank(posterior, runs, value, random_seed),
        "decade": np.floor(np.log10(np.where(scale > 0, scale, 1.0))).astype(int),
        **inputs,
    }
    columns |= {"flops": compute} if compute is not None else {}
    if hasattr(study.structure.noise, "outlying"):
        columns["outlying"] = _outlying(posterior, study, runs, value)
    labels = {c: runs[c].astype(str).to_numpy(dtype=str) for c in runs if runs[c].dtype.kind not in "fiub"}
    found = xr.Dataset(
        {k: ("run", v) for k, v in ({str(k): v for k, v in labels.items()} | columns).items()},
        attrs={"prob": prob, "on": on, "metric": study.structure.metric, "law": study.structure.law.name}
        | {
            "columns": dict(study.structure.columns),
            "scale": "flops" if compute is not None else next(iter(inputs)),
        },
    )
    return found.merge(_by_decade(found))


def _rank(posterior: "xr.DataTree", runs: "pd.DataFrame", value: np.ndarray, random_seed: int) -> np.ndarray:
    """Share of new runs that would lie below each run."""
    parts = []
    for i in range(0, len(runs), _ROWS):
        rows = runs.iloc[i : i + _ROWS].reset_index(drop=True)
        new = predict_draws(posterior, rows, kind="run", random_seed=random_seed + i).values
        parts.append((new < value[None, i : i + _ROWS]).mean(axis=0))
    return np.concatenate(parts)


def _outlying(posterior: "xr.DataTree", study: Study, runs: "pd.DataFrame", value: np.ndarray) -> np.ndarray:
    """Probability that each run is an outlying one, over the draws."""
    noise: Any = study.structure.noise
    error = posterior["constant_data"].dataset["value_se_on_noise_scale"].values
    parts = []
    for i in range(0, len(runs), _ROWS):
        rows = runs.iloc[i : i + _ROWS].reset_index(drop=True)
        mean = predict_draws(posterior, rows, kind="curve").values
        learnt = learnt_at(study, kin_of(study, rows), run_inputs(study, rows), 0)
        mine = slice(i, i + _ROWS)
        parts.append(noise.outlying(value[mine], mean, error[mine], **learnt).mean(axis=0))
    return np.concatenate(parts)


def _by_decade(found: "xr.Dataset") -> "xr.Dataset":
    import xarray as xr

    decade, dim = found["decade"].values, "decade_of_scale"
    present = np.unique(decade)
    members = [decade == k for k in present]
    return xr.Dataset(
        {
            "decade_runs": (dim, np.array([m.sum() for m in members])),
            "decade_median": (dim, np.array([np.median(found["deviations"].values[m]) for m in members])),
            "decade_inside": (dim, np.array([found["inside"].values[m].mean() for m in members])),
        },
        {dim: present},
    )
