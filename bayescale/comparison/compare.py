"""Which law the runs speak for, by what each expects of runs it has not seen."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.comparison.loo import KHAT_BAD, Loo, efficiency, psis_loo, standard_error
from bayescale.comparison.rows import common_order, rows_of
from bayescale.comparison.stacking import stacking_weights
from bayescale.errors import BayescaleWarning, InputError
from bayescale.runs.findings import Finding
from bayescale.runs.schema import metric_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["compare"]

_SMALL = 4.0  # nats: differences below it are within the error of the estimate (Sivula et al. 2025)
_FEW_ROWS = 100  # below it the standard errors themselves are uncertain (same source)


def compare(studies: Mapping[str, "xr.DataTree"]) -> "xr.Dataset":
    """Studies of the same runs, ranked by leave-one-out log density.

    Each run's value is scored by the density that a study gives it when fitted to all other runs
    (Pareto-smoothed importance sampling, no refits). Densities are of the values in their own unit, so
    that studies with scatter on the log and on the value itself can stand side by side.

    Parameters
    ----------
    studies : mapping of str to DataTree
        At least two fitted studies, by the names they shall have here. They must have been fitted to
        the same rows; the order of rows does not matter.

    Returns
    -------
    Dataset
        Over dim ``model``, best first: ``elpd`` (sum of log densities, nats; higher is better) and its
        standard error ``se``; ``elpd_diff`` to the best and ``diff_se``; ``weight`` (stacking: the
        mixture of the studies that predicts best); ``p``, effective parameters; ``khat_max`` and
        ``khat_bad``, the number of runs with k-hat above 0.7. Over (model, run): ``loo_pointwise`` and
        ``khat``. Attributes: ``metric``, ``rows``, and ``findings`` as JSON text.

    Raises
    ------
    InputError
        Fewer than two studies; other rows, values or metrics; no pointwise log likelihood.

    Warns
    -----
    BayescaleWarning
        Where the runs do not settle the question, or where k-hat says that a density cannot be
        trusted.
    """
    _refuse_few(studies)
    records = {name: _record(name, study) for name, study in studies.items()}
    metric = _common_metric(records)
    for name, study in studies.items():
        _refuse_without_densities(name, study, records[name])
    rows = {name: rows_of(study) for name, study in studies.items()}
    order = common_order(rows)
    scores = {name: _score(study, order[name]) for name, study in studies.items()}
    best_first = sorted(scores, key=lambda name: -scores[name].elpd)
    table = _table({name: scores[name] for name in best_first}, _labels(next(iter(studies.values()))))
    findings = _findings(table, records)
    _say(findings)
    return table.assign_attrs(
        metric=metric,
        rows=len(next(iter(rows.values()))),
        findings=json.dumps([asdict(finding) for finding in findings]),
    )


def _refuse_few(studies: Any) -> None:
    if not isinstance(studies, Mapping):
        raise InputError(
            f"compare takes studies by name, not a {type(studies).__name__}: "
            "compare({'one law': first, 'another': second})."
        )
    if len(studies) < 2:
        have = f"only {next(iter(studies))!r}" if studies else "none"
        raise InputError(
            f"compare needs at least two studies and got {have}. Fit another law, pooling or noise to "
            "the same runs: compare({'chinchilla': first, 'kaplan': second})."
        )


def _record(name: str, study: Any) -> dict[str, Any]:
    text = getattr(study, "attrs", {}).get("bayescale")
    if text is None or "observed_data" not in getattr(study, "children", {}):
        raise InputError(
            f"{name!r} is a {type(study).__name__}, not a fitted study with its record: give what "
            "bayescale.fit returned, or bayescale.open(path)."
        )
    return json.loads(text)


def _common_metric(records: Mapping[str, Mapping[str, Any]]) -> str:
    metrics = {name: str(record["metric"]) for name, record in records.items()}
    if len(set(metrics.values())) > 1:
        told = "; ".join(f"{name!r} {metric} ({metric_of(metric).unit})" for name, metric in metrics.items())
        raise InputError(
            f"the studies do not measure the same thing: {told[:1200]}. Densities of values in different "
            "units cannot be compared: bring the runs to one metric before fitting."
        )
    return next(iter(metrics.values()))


def _refuse_without_densities(name: str, study: "xr.DataTree", record: Mapping[str, Any]) -> None:
    if "log_likelihood" in study.children and "value" in study["log_likelihood"]:
        if not np.isnan(study["log_likelihood"].dataset["value"].values).any():
            return
        raise InputError(
            f"{name!r} has NaN among its pointwise log likelihoods: its draws are broken, fit it again."
        )
    told = [f["message"] for f in record.get("findings", ()) if f["code"] == "no-pointwise"]
    why = told[0] if told else "It was left out when the study was made or saved; fit it again."
    raise InputError(f"{name!r} has no pointwise log likelihood, which the comparison is made from. {why}")


def _score(study: "xr.DataTree", order: np.ndarray) -> Loo:
    values = study["log_likelihood"].dataset["value"].transpose("chain", "draw", ...).values
    flat = values.reshape(-1, values.shape[-1])
    found = psis_loo(flat, efficiency=efficiency(study["posterior"].to_dataset()))
    return Loo(found.pointwise[order], found.khat[order], found.full[order])


def _labels(study: "xr.DataTree") -> list[str]:
    observed = study["observed_data"].dataset["value"]
    return [str(r) for r in (observed["run"].values if "run" in observed.coords else range(observed.size))]


def _table(scores: Mapping[str, Loo], runs: list[str]) -> "xr.Dataset":
    import xarray as xr

    pointwise = np.stack([score.pointwise for score in scores.values()])
    khat = np.stack([score.khat for score in scores.values()])
    behind = pointwise - pointwise[0]
    columns = {
        "elpd": [score.elpd for score in scores.values()],
        "se": [score.se for score in scores.values()],
        "elpd_diff": behind.sum(axis=1),
        "diff_se": [standard_error(difference, ddof=0) for difference in behind],  # as ArviZ counts
        "weight": stacking_weights(pointwise.T),
        "p": [score.p for score in scores.values()],
        "khat_max": khat.max(axis=1),
        "khat_bad": (khat > KHAT_BAD).sum(axis=1),
    }
    return xr.Dataset(
        {name: ("model", np.asarray(column)) for name, column in columns.items()}
        | {"loo_pointwise": (("model", "run"), pointwise), "khat": (("model", "run"), khat)},
        {"model": list(scores), "run": runs},
    )


def _findings(table: "xr.Dataset", records: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    return [
        *_of_draws(records),
        *_of_khat(table),
        *_of_differences(table),
        Finding(
            "weights",
            "note",
            "weight is the share of each study in the mixture that predicts best. It is no probability that "
            "a law is true: of two laws that predict alike, one may get nothing.",
        ),
        Finding(
            "inside-the-range",
            "note",
            "each run was judged by runs all around it: this ranks the laws within the range of the runs and "
            "says nothing of extrapolation. For that, fit below and score above: bayescale.backtest.",
        ),
    ]


def _of_draws(records: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Studies whose own draws were found wanting."""
    unsound = [
        name
        for name, record in records.items()
        if record.get("partial") or any(f["severity"] == "error" for f in record.get("findings", ()))
    ]
    if not unsound:
        return []
    return [
        Finding(
            "unsound-draws",
            "warning",
            f"the draws of {', '.join(map(repr, unsound))} are partial or have not converged, and their "
            "place in the ranking may be due to that alone. Fit again with more draws.",
        )
    ]


def _of_khat(table: "xr.Dataset") -> list[Finding]:
    findings = []
    for name in table["model"].values:
        khat = table["khat"].sel(model=name).values
        bad = np.flatnonzero(khat > KHAT_BAD)
        bad = bad[np.argsort(-khat[bad])]
        if bad.size:
            runs = ", ".join(f"{str(table['run'].values[i])[:40]} ({khat[i]:.2f})" for i in bad[:5])
            findings.append(
                Finding(
                    "high-khat",
                    "warning",
                    f"{str(name)!r}: the density of {bad.size} of {khat.size} runs cannot be trusted, k-hat "
                    f"above {KHAT_BAD}: {runs}{', …' if bad.size > 5 else ''}. These runs move the fit by "
                    "themselves, and the score flatters it. Look at them; use noise='student_t'; or leave "
                    "them out of all studies and compare again.",
                )
            )
    return findings


def _of_differences(table: "xr.Dataset") -> list[Finding]:
    best, *others = (str(name) for name in table["model"].values)
    behind = {
        name: (-float(table["elpd_diff"].sel(model=name)), float(table["diff_se"].sel(model=name)))
        for name in others
    }
    close = {name: (diff, se) for name, (diff, se) in behind.items() if diff < max(_SMALL, 2 * se)}
    findings = []
    if close:
        told = ", ".join(
            f"{name!r} by {diff:.1f} (standard error {se:.1f})"
            for name, (diff, se) in list(close.items())[:6]
        )
        findings.append(
            Finding(
                "not-settled",
                "warning",
                f"the runs do not settle it: {best!r} leads {told}{', …' if len(close) > 6 else ''}, and a "
                f"lead counts from {_SMALL:.0f} nats and two standard errors. Keep these laws side by side, "
                "or use their weights; runs at other scales would tell them apart.",
            )
        )
    if table.sizes["run"] < _FEW_ROWS:
        findings.append(
            Finding(
                "few-rows",
                "note",
                f"with {table.sizes['run']} rows (fewer than {_FEW_ROWS}) the standard errors of differences "
                "are themselves uncertain, and usually too small.",
            )
        )
    return findings


def _say(findings: list[Finding]) -> None:
    heard = [finding.message for finding in findings if finding.severity == "warning"]
    if heard:
        told = "\n".join(["this comparison asks for care:", *(f"- {message}" for message in heard)])
        warnings.warn(told, BayescaleWarning, stacklevel=3)
