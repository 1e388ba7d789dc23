"""Which law the runs speak for, by what each expects of runs it has not seen."""

import json
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayescale.comparison import compare_words as words
from bayescale.comparison.criteria import Compared, by_evidence, by_future, by_groups, by_rows, with_refits
from bayescale.comparison.executors import Places
from bayescale.comparison.rows import common_order, rows_of
from bayescale.errors import InputError
from bayescale.runs.schema import metric_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["compare"]

CRITERIA = ("loo", "future", "evidence")


def compare(
    studies: Mapping[str, "xr.DataTree"],
    criterion: Literal["loo", "future", "evidence"] = "loo",
    *,
    by: str | None = None,
    refit: bool = False,
    held: float = 2,
    random_seed: int = 0,
    progressbar: bool = True,
    executor: Executor | None = None,
    workers: int | None = None,
) -> "xr.Dataset":
    """Studies of the same runs, ranked by the log density that they give to runs left out.

    Densities are of the values in their own unit, so that studies with scatter on the log and on the value
    itself can stand side by side.

    Parameters
    ----------
    studies : mapping of str to DataTree
        At least two fitted studies, by the names they shall have here. They must have been fitted to
        the same rows; the order of rows does not matter.
    criterion : {"loo", "future", "evidence"}, default "loo"
        "loo": each run's value, given all others, by Pareto-smoothed importance sampling without refits.
        "future": the runs with the largest budgets, given those below: one refit of each study (see
        `backtest` for many cuts). "evidence": all values together, given nothing (see `evidence`).
    by : str, optional
        Only with "loo": a column of the runs, such as "family". Each of its groups is left out whole, by an
        exact refit, and scored by the joint density of its values, with its own effects drawn from the
        population. For rows that are not exchangeable.
    refit : bool, default False
        Only with "loo": rows whose k-hat is above 0.7 are left out by an exact refit each, the worst 20 of
        a study at most.
    held : int or float, default 2
        Only with "future": number of largest budgets, or (below 1) share of the rows, held back.
    random_seed : int, default 0
        For the bridges behind evidences.
    progressbar : bool, default True
        Of refits.
    executor : concurrent.futures.Executor, optional
        Runs the refits, as in `backtest`.
    workers : int, optional
        Processes in place of an executor; 1 refits here. By default as many as there are cores, where
        the refits take long enough to gain by it.

    Returns
    -------
    Dataset
        Over dim ``model``, best first: ``elpd``, the sum of log densities (nats; higher is better; under
        "evidence", the log evidence) and its standard error ``se``; ``elpd_diff`` to the best and
        ``diff_se``; ``weight``: the share in the mixture of the studies that predicts best (stacking), under
        "evidence" the probability if all were equally likely beforehand.
        "loo" adds ``p``, effective parameters; ``khat_max`` and ``khat_bad``, of the runs that were not
        refitted, the largest k-hat and the number above 0.7; over (model, run) ``loo_pointwise``, ``khat``
        and, with `refit`, ``refitted``. With `by`: over (model, group) ``group_log_density`` and its Monte
        Carlo error ``group_error``; ``mc_error``, that of the sum; ``group_rows``. "future" adds
        ``ahead_pointwise`` and ``z``, deviations from the median, over (model, run); ``decades`` beyond the
        runs fitted; ``bias``, ``bias_z`` and ``joint_log_density`` as in `ahead`. "evidence" adds
        ``overlap``, and ``by_prior`` over (model, parameter). Attributes: ``criterion``, ``metric``,
        ``rows``, and ``findings`` as JSON text.

    Raises
    ------
    InputError
        Fewer than two studies; other rows, values or metrics; no pointwise log likelihood; an option that
        does not belong to the criterion; whatever a refit refuses.

    Warns
    -----
    BayescaleWarning
        Where the runs do not settle the question, where k-hat says that a density cannot be trusted, where
        priors could decide it, or where a law misses the larger runs one way.
    """
    _refuse_options(criterion, by, refit, held)
    places = Places(executor, workers)
    _refuse_few(studies)
    records = {name: _record(name, study) for name, study in studies.items()}
    metric = _common_metric(records)
    if criterion == "loo" and by is None:
        for name, study in studies.items():
            _refuse_without_densities(name, study, records[name])
    rows = {name: rows_of(study) for name, study in studies.items()}
    given = Compared(studies, common_order(rows), progressbar, places)
    if criterion == "evidence":
        table, found = by_evidence(given, random_seed)
    elif criterion == "future":
        table, found = by_future(given, held)
    elif by is not None:
        table, found = by_groups(given, by, random_seed)
    else:
        table, found = with_refits(given, random_seed) if refit else by_rows(given)
    findings = [
        *words.of_draws(records),
        *words.of_drift(records, "warning" if criterion == "evidence" else "note"),
        *words.of_differences(table, few=criterion != "evidence"),
        *found,
    ]
    words.say(findings)
    return table.assign_attrs(
        criterion=criterion,
        metric=metric,
        rows=len(next(iter(rows.values()))),
        findings=json.dumps([asdict(finding) for finding in findings]),
    )


def _refuse_options(criterion: Any, by: Any, refit: Any, held: Any) -> None:
    if criterion not in CRITERIA:
        raise InputError(
            f"criterion={criterion!r} must be 'loo' (each run, given all others), 'future' (the largest "
            "budgets, given those below) or 'evidence' (all values, given the priors)."
        )
    if by is not None and criterion != "loo":
        raise InputError(
            f"by={by!r} leaves groups out, which goes with criterion='loo' and not with {criterion!r}: "
            "leave one of the two away."
        )
    if by is not None and not isinstance(by, str):
        raise InputError(f"by={by!r} must be the name of one column of the runs, such as 'family'.")
    if not isinstance(refit, bool | np.bool_):
        raise InputError(f"refit={refit!r} must be True (fit again without each bad row) or False.")
    if refit and (criterion != "loo" or by is not None):
        raise InputError(
            "refit=True is for single rows under criterion='loo'. With by=, or criterion='future', all is "
            "refitted anyway; evidence needs no refits: leave it away."
        )
    if held != 2 and criterion != "future":
        raise InputError(f"held={held!r} goes with criterion='future', not with {criterion!r}.")


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
    record = {} if text is None else json.loads(text)
    if record.get("kind") == "average":
        raise InputError(
            f"{name!r} is an average over laws: compare the studies that it was made of, which it holds with "
            "their weights."
        )
    if text is None or "observed_data" not in getattr(study, "children", {}):
        raise InputError(
            f"{name!r} is a {type(study).__name__}, not a fitted study with its record: give what "
            "bayescale.fit returned, or bayescale.open(path)."
        )
    return record


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
