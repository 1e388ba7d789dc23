"""A study fitted again with its own choices, to some of its rows."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.model.drift import EXCESS, SIZE, Drift
from bayescale.model.spec import specify
from bayescale.model.structure import Structure
from bayescale.queries.study import study_of
from bayescale.runs.table import RunTable

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["fit_again", "options_of", "table_of"]


def table_of(posterior: "xr.DataTree") -> RunTable:
    """The run table that a study holds, row by row as it was fitted.

    Raises
    ------
    InputError
        If it holds none.
    """
    import pandas as pd

    if "runs" not in getattr(posterior, "children", {}):
        raise InputError(
            "this study holds no run table, and cannot be fitted again. Give what bayescale.fit returned, or "
            "bayescale.open(path)."
        )
    table = posterior["runs"].dataset
    return RunTable(pd.DataFrame({str(k): np.asarray(v.values) for k, v in table.data_vars.items()}))


def options_of(posterior: "xr.DataTree") -> dict[str, Any]:
    """Arguments of `fit` with which a study was made, read from its record, the law among them.

    Priors are those that its user gave: defaults follow the rows, and are settled anew for others. What
    was stated at the reference scales is stated at those of the new rows.
    """
    study = study_of(posterior)
    s, record = study.structure, study.record
    settings = record.get("settings", {})
    kept = {k: settings[k] for k in ("draws", "tune", "chains", "target_accept") if k in settings}
    engine = record.get("engine", {})
    drift = {k: s.priors[name] for k, name in (("size", SIZE), ("compute", EXCESS)) if name in s.priors}
    return kept | {
        "law": s.law,
        "pool": _pool(s) or None,
        "noise": s.noise,
        "priors": _given_priors(posterior, s) or None,
        "measurements": _measurements(posterior),
        "discrepancy": Drift(**drift) if s.drift else None,
        "engine": engine.get("asked", "auto"),
        "random_seed": int(record.get("random_seed", 0)),
        "progressbar": False,
    }


def fit_again(posterior: "xr.DataTree", rows: np.ndarray, **options: Any) -> "xr.DataTree":
    """A study's own fit, of some of its rows.

    Parameters
    ----------
    posterior : DataTree
        A fitted study.
    rows : array of bool, shape (row,)
    **options
        Of `fit`, in place of the study's own.

    Raises
    ------
    InputError
        If the study holds no run table, or whatever `fit` refuses of these rows.
    """
    from bayescale.fitting import fit

    return fit(table_of(posterior).where(rows), **{**options_of(posterior), **options})


def _pool(s: Structure) -> dict[str, list[str]]:
    """What varies over which columns: letters of the law, and the scatter."""
    return {k: list(v) for k, v in (*s.pool.items(), *s.noise_pool.items())}


def _given_priors(posterior: "xr.DataTree", s: Structure) -> dict[str, Any]:
    """Priors other than the defaults of the rows."""
    usual = specify(
        table_of(posterior),
        s.law,
        pool=_pool(s),
        noise=s.noise,
        measurements=_measurements(posterior),
    ).structure.priors
    return {k: v for k, v in s.priors.items() if k in usual and v != usual[k]}


def _measurements(posterior: "xr.DataTree") -> Any:
    import pandas as pd

    from bayescale.compression.table import MeasurementTable

    if "measurements" not in posterior.children:
        return None
    table = posterior["measurements"].dataset
    frame = {str(k): np.asarray(v.values) for k, v in table.data_vars.items() if k != "letter"}
    return MeasurementTable(pd.DataFrame(frame))
