"""A comparison as a plain table."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["as_frame"]


def as_frame(comparison: "xr.Dataset") -> "pd.DataFrame":
    """One row for each model, best first, without what is known of single runs.

    Parameters
    ----------
    comparison : Dataset
        As returned by `compare`.

    Returns
    -------
    DataFrame
        Index ``model``; columns ``elpd``, ``se``, ``elpd_diff``, ``diff_se``, ``weight``, ``p``,
        ``khat_max``, ``khat_bad``.
    """
    by_model = [name for name, variable in comparison.data_vars.items() if variable.dims == ("model",)]
    return comparison[by_model].to_dataframe()
