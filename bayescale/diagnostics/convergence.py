"""Has the sampler done its work: the answer in words, with what to do.

Whatever cannot be computed counts as a fault: NaN, constant or missing statistics never pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.diagnostics import faults
from bayescale.diagnostics.scalars import Scalars, record, scalars
from bayescale.diagnostics.statistics import ess_tail, mcse_mean, mixing
from bayescale.errors import InputError
from bayescale.runs.findings import Finding, Judgement, gravest_first

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Verdict", "convergence", "faults_found"]


@dataclass(frozen=True, eq=False)
class Verdict(Judgement):
    """Whether the draws of a fitted study can be used.

    Attributes
    ----------
    findings : tuple of Finding
        Errors first, then warnings, then notes.
    table : DataFrame
        One row for each number: mean, sd, mcse (of the mean), rhat, ess_bulk, ess_tail.
    headline : str
        One sentence.
    """

    findings: tuple[Finding, ...]
    table: "pd.DataFrame"
    headline: str

    def _table_html(self) -> str:
        worst = self.table.sort_values("ess_bulk", na_position="first").head(10)
        return worst.to_html(float_format="{:.4g}".format, border=0)


def convergence(
    posterior: "xr.DataTree", *, rhat_limit: float = 1.01, ess_limit: float = 400.0, khat_limit: float = 0.7
) -> Verdict:
    """Judge the draws of a fitted study, and say what to do where they fall short.

    Parameters
    ----------
    posterior : DataTree
        A fitted study, as returned by `fit`.
    rhat_limit : float, default 1.01
        Largest R-hat without a finding. A number above it by no more than its effective draws make
        likely gets a note, not a warning.
    ess_limit : float, default 400
        Least effective draws, in the bulk and in the 5 % tails.
    khat_limit : float, default 0.7
        Largest Pareto k-hat of an engine that reweights draws.

    Returns
    -------
    Verdict
        ``ok``, ``findings`` and the ``table`` behind them; printing it gives the words.

    Raises
    ------
    InputError
        If there is no posterior, or a limit is not positive.
    """
    for name, limit in {"rhat_limit": rhat_limit, "ess_limit": ess_limit, "khat_limit": khat_limit}.items():
        if not limit > 0:
            raise InputError(f"{name} is {limit!r}, but must be a positive number, such as the default.")
    findings, drawn, engine = _judged(posterior, rhat_limit, ess_limit, khat_limit)
    table = _table(drawn)
    return Verdict(tuple(findings), table, _headline(findings, table, drawn.draws.shape, engine))


def faults_found(posterior: "xr.DataTree") -> tuple[Finding, ...]:
    """The findings of `convergence` alone, which of weighted draws cost next to nothing."""
    return tuple(_judged(posterior)[0])


def _judged(
    posterior: "xr.DataTree", rhat_limit: float = 1.01, ess_limit: float = 400.0, khat_limit: float = 0.7
) -> tuple[list[Finding], Scalars, Mapping[str, Any]]:
    """Findings, gravest first, with the draws they are of and what the engine said."""
    told = record(posterior)
    engine = told.get("engine")
    engine = engine if isinstance(engine, Mapping) else {}
    drawn = scalars(posterior)
    fixed = set(told.get("fixed") or ())
    drawn = drawn.where(name not in fixed for name in drawn.names)
    findings = list(faults.of_chains(drawn, told, weighted="khat" in engine))
    drawn = faults.common_length(drawn)
    findings += faults.of_values(drawn)
    if "khat" in engine:
        findings += faults.of_weights(engine, khat_limit, ess_limit)
    else:
        findings += faults.of_mixing(_table(drawn), drawn.draws.shape, rhat_limit, ess_limit)
        if engine.get("gradients", True):
            findings += faults.of_sampler(posterior, engine)
    return gravest_first(findings), drawn, engine


def _table(drawn: Scalars) -> "pd.DataFrame":
    import pandas as pd

    x = drawn.draws
    with np.errstate(invalid="ignore", over="ignore"):
        rhats, bulk = mixing(x)
        columns = {
            "mean": x.mean(axis=(0, 1)),
            "sd": x.std(axis=(0, 1), ddof=1) if x[..., 0].size > 1 else np.full(x.shape[2], np.nan),
            "mcse": mcse_mean(x) if x[..., 0].size > 1 else np.full(x.shape[2], np.nan),
            "rhat": rhats,
            "ess_bulk": bulk,
            "ess_tail": ess_tail(x),
        }
    return pd.DataFrame(columns, index=pd.Index(drawn.labels, name="quantity"))


def _headline(
    findings: list[Finding], table: "pd.DataFrame", shape: tuple[int, ...], engine: Mapping[str, Any]
) -> str:
    n_chains, n_draws, n_numbers = shape
    size = f"{n_numbers:,} quantities, {n_chains} chain{'s' * (n_chains > 1)} of {n_draws:,} draws"
    n_errors = sum(f.severity == "error" for f in findings)
    n_warnings = sum(f.severity == "warning" for f in findings)
    if n_errors:
        return f"Not converged: do not use these draws ({size}; faults: {n_errors + n_warnings})."
    if n_warnings:
        return f"Use with care ({size}; warnings: {n_warnings})."
    if "khat" in engine:
        return f"Draws are sound ({size}); Pareto k-hat {engine['khat']:.2f}."
    ess = table[["ess_bulk", "ess_tail"]].min(axis=1)
    return (
        f"Converged ({size}); largest R-hat {table['rhat'].max():.3f} ({table['rhat'].idxmax()}), "
        f"least effective draws {ess.min():,.0f} ({ess.idxmin()}), no divergences."
    )
