"""The runs behind a study, as the law read them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.queries.members import members_of
from bayescale.queries.scales import inputs_of
from bayescale.queries.study import Study

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["compute_of", "fitted_runs", "of_group", "run_inputs"]


def fitted_runs(posterior: "xr.DataTree") -> "pd.DataFrame":
    """One row for each run that was fitted, in its order: ``value`` and every column known of it."""
    import pandas as pd

    posterior = next(iter(members_of(posterior).values()))  # an average is of studies of the same rows
    kept = "runs" if "runs" in posterior.children else "constant_data"
    table = posterior[kept].dataset
    frame = pd.DataFrame({str(k): np.asarray(v.values) for k, v in table.data_vars.items()})
    return frame.assign(value=np.asarray(posterior["observed_data"]["value"].values, dtype=float))


def run_inputs(study: Study, runs: "pd.DataFrame") -> dict[str, np.ndarray]:
    """Raw inputs of the law for each run."""
    return inputs_of(study, runs)


def compute_of(inputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Training compute of each run: as read, or 6ND; None where the law reads neither."""
    if "flops" in inputs:
        return inputs["flops"]
    if {"n_params", "n_tokens"} <= set(inputs):
        return 6.0 * inputs["n_params"] * inputs["n_tokens"]
    return None


def of_group(runs: "pd.DataFrame", group: Mapping[str, Any]) -> "pd.DataFrame":
    """The runs whose columns hold these labels.

    Raises
    ------
    InputError
        If a column is absent.
    """
    absent = [k for k in group if k not in runs]
    if absent:
        raise InputError(
            f"group= names the column {absent[0]!r}, which the runs lack "
            f"(they have: {', '.join(map(str, runs))})."
        )
    kept = np.ones(len(runs), dtype=bool)
    for column, label in group.items():
        if not str(label).lower().startswith("new"):
            kept &= runs[column].astype(str).to_numpy() == str(label)
    return runs.loc[kept]
