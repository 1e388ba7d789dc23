"""The exam before a law is trusted beyond its runs: whether the smaller ones foretell the largest."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.comparison.again import table_of
from bayescale.comparison.ahead import ahead
from bayescale.comparison.splits import decades_above, scale_of
from bayescale.queries.rows import compute_of
from bayescale.queries.scales import as_frame, check_prob, decades_beyond, inputs_of
from bayescale.queries.study import study_of
from bayescale.runs.findings import Finding, Judgement, gravest_first

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Extrapolation", "check_extrapolation"]

_ONE_WAY = 2.0  # standard deviations: a law that holds misses by more in one exam of twenty
_POOR = 0.05
_FEW = 5


@dataclass(frozen=True, eq=False)
class Extrapolation(Judgement):
    """What a study said of its largest runs before it saw them.

    Attributes
    ----------
    findings : tuple of Finding
        Warnings first, then notes.
    rows : Dataset
        Over dim ``run``, the rows held back: ``observed``, ``median``, ``lower``, ``upper``, ``covered``,
        ``error`` (on the scale of the noise, a log for losses), ``z`` (in standard deviations as
        foretold), ``log_density``, ``decades`` beyond the runs fitted. Without dims ``bias``,
        ``bias_z``, ``coverage``, ``coverage_p``, ``r2``, ``n_train``, ``n_test``.
    headline : str
        One sentence.
    """

    findings: tuple[Finding, ...]
    rows: "xr.Dataset"
    headline: str

    def _table_html(self) -> str:
        shown = self.rows[["observed", "median", "lower", "upper", "error", "z", "decades"]].to_dataframe()
        return shown.to_html(float_format="{:.4g}".format, border=0, max_rows=20)


def check_extrapolation(
    posterior: "xr.DataTree", scales: Any = None, *, held: float = 2, prob: float = 0.9, **options: Any
) -> Extrapolation:
    """Hold the largest runs back, fit again, and say in words whether the rest foretold them.

    A law can explain .99 of the variance of its runs and miss every larger one the same way, outside of
    every interval. Here that is seen before it matters.

    Parameters
    ----------
    posterior : DataTree
        A fitted study. It is fitted again, once, with its own law, pooling, noise, priors and
        discrepancy.
    scales : DataFrame, mapping or path, optional
        Scales at which the law shall be asked later, as for `predict`. It is told how far they lie beyond
        what was examined.
    held : int or float, default 2
        Largest budgets held back; or, below 1, the share of rows with the largest compute.
    prob : float, default 0.9
        Mass of the intervals.
    **options
        Of `fit`, in place of the study's own.

    Returns
    -------
    Extrapolation
        Print it. ``ok`` is False if there is a warning: the runs held back missed one way by more than
        two standard deviations of their mean, or were covered as poorly as one exam of twenty would be if
        the fit were right; or the scales lie farther beyond the runs than was examined.

    Raises
    ------
    InputError
        If the study holds no run table or too few rows, or `fit` refuses the rest.

    Notes
    -----
    Both tests are made with joint draws of the rows held back, since rows share a law and miss together.
    A law that passes has been tried as far as the runs reach and no farther.
    """
    check_prob(prob)
    study = study_of(posterior)
    rows = ahead(posterior, held=held, prob=prob, **options)
    findings = [Finding(**f) for f in json.loads(rows.attrs["findings"])]
    kept = [f for f in findings if f.code == "no-budgets" or f.severity == "error"]
    fails = [*_one_way(rows, study.structure.drift is not None), *_covered(rows, prob)]
    said = [*fails, *kept, *_on_size(rows)]
    if scales is not None:
        said += _on_distance(posterior, rows, scales)
    return Extrapolation(
        tuple(gravest_first(said)), rows, _headline(rows, any(f.severity != "note" for f in fails))
    )


def _one_way(rows: "xr.Dataset", drifts: bool) -> list[Finding]:
    """Whether the runs held back came out above or below, all together."""
    error, z = rows["error"].values, float(rows["bias_z"])
    above = int((error > 0).sum())
    same = max(above, error.size - above)
    way = "higher" if z > 0 else "lower"
    size = _size(float(rows["bias"]), rows.attrs["on"])
    if abs(z) > _ONE_WAY:
        mend = (
            "Its drift is too small for these runs: compare other laws, and leave far predictions be."
            if drifts
            else "The law is not exact: let it drift (discrepancy='auto'), or try another law."
        )
        message = (
            f"the largest runs came out {way} than foretold, by {size} on average, which is "
            f"{abs(z):.1f} standard deviations of what the fit said of their mean; {same} of {error.size} "
            f"miss to one side. {mend}"
        )
        return [Finding("misses-one-way", "warning", message)]
    message = (
        f"the largest runs came out {way} than foretold by {size} on average, {abs(z):.1f} standard "
        f"deviations of what the fit said of their mean ({same} of {error.size} to one side): within what "
        "it allowed for."
    )
    return [Finding("misses", "note", message)]


def _size(bias: float, on: str) -> str:
    return f"{abs(np.expm1(bias)):.2%}" if on == "log" else f"{abs(bias):.3g}"


def _covered(rows: "xr.Dataset", prob: float) -> list[Finding]:
    inside, many = int(rows["covered"].sum()), rows.sizes["run"]
    chance = float(rows["coverage_p"])
    message = f"{inside} of {many} lie inside their {prob:.0%} intervals"
    if chance < _POOR:
        message += (
            f"; were the fit right, so few would in {chance:.1%} of such exams. The intervals are too narrow "
            "there."
        )
        return [Finding("poor-coverage", "warning", message)]
    return [Finding("coverage", "note", f"{message}, as may happen if the fit is right.")]


def _on_size(rows: "xr.Dataset") -> list[Finding]:
    if rows.sizes["run"] >= _FEW:
        return []
    message = (
        f"only {rows.sizes['run']} held-back rows: the exam is an easy one. Hold more back, as in held=0.3."
    )
    return [Finding("few-held-back", "warning", message)]


def _on_distance(posterior: "xr.DataTree", rows: "xr.Dataset", scales: Any) -> list[Finding]:
    """How far the scales lie beyond the runs, against how far the exam reached."""
    study, frame = study_of(posterior), as_frame(scales)
    inputs = inputs_of(study, frame)
    spent = compute_of(inputs)
    if rows.attrs["column"] in ("flops", "6ND") and spent is not None:
        _, runs = scale_of(table_of(posterior).frame)
        asked = float(decades_above(spent, float(np.nanmax(runs))).max())
        along = "of compute"
    else:
        asked = float(decades_beyond(study, inputs).max())
        along = "along its inputs"
    reached = float(rows["decades"].max())
    told = f"the scales asked about lie up to {asked:.1f} decades {along} beyond the runs; the exam reached "
    if asked > reached + 0.05:
        message = (
            f"{told}{reached:.1f} beyond those it was fitted to. What lies between was not examined: read "
            "its intervals as a hope, or train a larger run first."
        )
        return [Finding("farther-than-examined", "warning", message)]
    return [Finding("within-what-was-examined", "note", f"{told}{reached:.1f}.")]


def _headline(rows: "xr.Dataset", failed: bool) -> str:
    verdict = "Failed: did not foretell" if failed else "Passed: foretold"
    return (
        f"{verdict} {rows.sizes['run']} runs up to {float(rows['decades'].max()):.1f} decades beyond. Law "
        f"{rows.attrs['law']!r}, fitted to {int(rows['n_train'])} runs ({rows.attrs['split']}), explains "
        f"{float(rows['r2']):.4f} of their variance."
    )
