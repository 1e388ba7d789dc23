"""Studies with known pointwise densities, made without a fit."""

import json

import numpy as np
import xarray as xr


def made_study(log_likelihood, value=None, run_ids=None, *, metric="loss_nats", findings=(), **table):
    """A study of that many (chain, draw, run); further columns go into its run table."""
    log_likelihood = np.asarray(log_likelihood, dtype=float)
    chains, draws, rows = log_likelihood.shape
    value = np.linspace(2.0, 3.0, rows) if value is None else np.asarray(value, dtype=float)
    run_ids = [f"r{i:03d}" for i in range(rows)] if run_ids is None else list(run_ids)
    noise = np.random.default_rng(7).normal(size=(chains, draws))
    columns = {"run_id": run_ids, **table}
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"E": (("chain", "draw"), noise)}),
            "log_likelihood": xr.Dataset(
                {"value": (("chain", "draw", "run"), log_likelihood)}, {"run": run_ids}
            ),
            "observed_data": xr.Dataset({"value": ("run", value)}, {"run": run_ids}),
            "runs": xr.Dataset({k: ("row", np.asarray(v)) for k, v in columns.items()}),
        }
    )
    tree.attrs["bayescale"] = json.dumps({"metric": metric, "findings": list(findings)})
    return tree


def normal_densities(value, mean, sd, *, seed=0, draws=500, wobble=0.02):
    """Densities of values about a mean that each draw knows within `wobble`."""
    value = np.asarray(value, dtype=float)
    rng = np.random.default_rng(seed)
    mean = mean + wobble * rng.normal(size=(4, draws, 1))
    return -0.5 * ((value - mean) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi)) + np.zeros(value.size)
