"""What a study would have said of its own largest runs, had it not seen them."""

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayescale.comparison.again import fit_again, table_of
from bayescale.comparison.executors import Places, Work, outcomes
from bayescale.comparison.refits import Failure, as_known
from bayescale.comparison.rolling import levels
from bayescale.comparison.scores import LEVELS, row_scores
from bayescale.comparison.splits import Split, checked, decades_above, scale_of
from bayescale.errors import BayescaleWarning, InputError
from bayescale.laws import find
from bayescale.model.noise import forward
from bayescale.queries.predict import predict, predict_draws
from bayescale.queries.rows import fitted_runs
from bayescale.queries.scales import decades_beyond, inputs_of
from bayescale.queries.scatter import new_run_density
from bayescale.queries.study import study_of
from bayescale.runs.findings import Finding
from bayescale.runs.table import RunTable

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ahead", "ahead_in_order", "ahead_of_each", "largest_out"]

_SHARE = 0.2  # of rows held back where compute comes in no budgets
_LEAST = 8  # rows to fit
_SIGMA = 0.8413447460685429  # share of a normal below one standard deviation

type Floats = NDArray[np.float64]


def ahead(
    posterior: "xr.DataTree",
    *,
    held: float = 2,
    split: Split | None = None,
    prob: float = 0.9,
    **options: Any,
) -> "xr.Dataset":
    """A study's own fit, without its largest budgets, scored on those.

    Parameters
    ----------
    posterior : DataTree
        A fitted study. It is fitted again with its own law, pooling, noise, priors and discrepancy, and
        judged by joint draws for the rows held back.
    held : int or float, default 2
        Number of largest budgets held back; or, below 1, the share of rows with the largest compute. Where
        compute comes in no budgets, a number of them holds a fifth of the rows back.
    split : Split, optional
        Own rows to fit and to hold back, in place of `held`.
    prob : float, default 0.9
        Mass of the intervals.
    **options
        Of `fit`, in place of the study's own.

    Returns
    -------
    Dataset
        Over dim ``run``, the rows held back: ``observed``; ``median``, ``lower``, ``upper`` of one more
        run; ``covered``; ``covered_at`` (run, level); ``pit``; ``crps``; ``log_density``, of the value in
        its own unit; ``error``, observed less median on the scale of the noise (log for losses); ``z``,
        that over the predicted standard deviation on its side; ``row``, its place in the table;
        ``decades``, how far beyond the compute fitted; ``decades_beyond``, the same over the inputs of
        the law; ``new_group``.
        Without dims: ``bias``, mean error; ``bias_z``, the same over the predicted standard deviation of
        the mean of these runs together, which knows that they share one law; ``coverage``, and
        ``coverage_p``, how often runs as foretold would be covered as poorly together;
        ``joint_log_density`` of all rows together (a mean over draws: rough where the rows are many);
        ``r2``, the share of the variance of the rows fitted that the law explains, on the scale of the
        noise; ``n_train``, ``n_test``.
        Attributes: ``split``, ``column``, ``origin`` (the largest fitted), ``law``, ``metric``, ``on``,
        ``prob``, ``findings`` (JSON; those of the fit among them).

    Raises
    ------
    InputError
        If the study holds no run table or too few rows, or whatever `fit` refuses.
    """
    table = table_of(posterior)
    findings: list[Finding] = []
    if split is None:
        split, findings = largest_out(table, held)
    else:
        checked([split], len(table))
    with warnings.catch_warnings():  # what it finds is kept below
        warnings.filterwarnings("ignore", category=BayescaleWarning)
        again = fit_again(posterior, split.train, **options)
        scored = _scored(again, table, split, prob)
    found = [f for f in study_of(again).record.get("findings", ()) if f["severity"] != "note"]
    return scored.assign_attrs(
        split=split.name,
        column=str(split.meta.get("column", "")),
        origin=float(split.meta.get("origin", np.nan)),
        findings=json.dumps([*map(asdict, findings), *found]),
    )


def ahead_in_order(posterior: "xr.DataTree", split: Split, order: np.ndarray, **options: Any) -> "xr.Dataset":
    """`ahead` of a split of rows that `order` picks from the study's, its rows in the order of the split."""
    found = ahead(posterior, split=_carried(split, order), **options)
    return found.isel(run=np.argsort(np.argsort(order)[found["row"].values]))


def ahead_of_each(
    studies: Mapping[str, "xr.DataTree"],
    split: Split,
    order: Mapping[str, np.ndarray],
    *,
    places: Places | None = None,
    told: Callable[[str], None] = lambda name: None,
    **options: Any,
) -> dict[str, "xr.Dataset"]:
    """`ahead_in_order` of each study, wherever refits run.

    Raises
    ------
    InputError
        Whatever a refit refuses, with the name of the study.
    """
    names = list(studies)
    found: dict[str, xr.Dataset] = {}
    laws = tuple(find(study_of(study).structure.law.name) for study in studies.values())
    work = Work(partial(_attempt, split, options), laws)
    for at, outcome in outcomes(work, [(studies[name], order[name]) for name in names], places or Places()):
        if isinstance(outcome, Failure):
            raise InputError(f"{names[at]!r} could not be fitted without the largest runs: {outcome.message}")
        found[names[at]] = outcome
        told(names[at])
    return {name: found[name] for name in names}


def _attempt(
    split: Split, options: Mapping[str, Any], asked: tuple["xr.DataTree", np.ndarray]
) -> "xr.Dataset | Failure":
    try:
        return ahead_in_order(asked[0], split, asked[1], **options)
    except InputError as error:
        return Failure(str(error))


def _carried(split: Split, order: np.ndarray) -> Split:
    """The same split of rows that stand in another order."""
    train, test = np.empty_like(split.train), np.empty_like(split.test)
    train[order], test[order] = split.train, split.test
    decades = None
    if split.decades is not None:
        every = np.zeros(split.test.size)
        every[split.test] = split.decades
        own = np.empty_like(every)
        own[order] = every
        decades = own[test]
    return replace(split, train=train, test=test, decades=decades)


def largest_out(table: RunTable, held: float = 2) -> tuple[Split, list[Finding]]:
    """Rows below the largest budgets, and those of them; see `ahead`.

    Fewer budgets are held back where the rest would be fewer than 8 rows.

    Raises
    ------
    InputError
        If `held` is neither a whole number above 0 nor a share, or too few rows are left.
    """
    number = isinstance(held, int | float | np.number) and not isinstance(held, bool)
    share = number and 0 < held < 1
    if not share and not (number and held >= 1 and held == held // 1):
        raise InputError(f"held={held!r} must be a number of budgets, such as 2, or a share, such as 0.2.")
    column, scale = scale_of(table.frame)
    scale = np.where(np.isfinite(table.frame["value"].to_numpy(dtype=float)), scale, np.nan)
    known = np.isfinite(scale)
    ordered = np.sort(scale[known])
    budgets = None if share else levels(ordered)
    findings = []
    if budgets is None:
        origins = [_share_origin(ordered, float(held) if share else _SHARE)]
        if not share:
            findings.append(_no_budgets(column))
    else:
        origins = list(budgets[max(budgets.size - 1 - int(held), 0) : -1])
    for origin in origins:
        train, test = known & (scale <= origin), known & (scale > origin)
        if train.sum() >= _LEAST and test.any():
            top = float(scale[train].max())
            meta = {"column": column, "origin": top}
            name = f"{column} <= {top:.3g}"
            return Split(name, train, test, decades=decades_above(scale[test], top), meta=meta), findings
    raise InputError(
        f"held={held!r}: without the largest runs by {column!r}, fewer than {_LEAST} of {int(known.sum())} "
        "rows are left to fit. Hold fewer back: held=1, or held=0.1 for a tenth of the rows."
    )


def _share_origin(ordered: Floats, share: float) -> float:
    """The largest number below the share of rows that is held back."""
    above = max(1, round(share * ordered.size))
    below = ordered[ordered < ordered[-above]] if ordered.size else ordered
    return float(below[-1]) if below.size else -np.inf


def _no_budgets(column: str) -> Finding:
    message = (
        f"{column} comes in no distinct budgets: the fifth of the rows where it is largest was held back. "
        "Choose another share with held=0.3."
    )
    return Finding("no-budgets", "note", message)


def _scored(again: "xr.DataTree", table: RunTable, split: Split, prob: float) -> "xr.Dataset":
    import xarray as xr

    study = study_of(again)
    held = table.frame.loc[split.test].reset_index(drop=True)
    observed = held["value"].to_numpy(dtype=float)
    frame, fresh = as_known(study, held)
    seed = int(study.record["random_seed"])
    beyond = decades_beyond(study, inputs_of(study, frame))
    rows = row_scores(again, study, frame, observed, prob, seed)
    on = study.structure.noise.on
    with np.errstate(all="ignore"):
        drawn = forward(on, predict_draws(again, frame, kind="run", random_seed=seed).values)
    seen = forward(on, observed)
    error, z = _away(seen, drawn)
    bias, bias_z = _away(seen.mean(keepdims=True), drawn.mean(axis=1, keepdims=True))
    with np.errstate(all="ignore"):
        low, high = (forward(on, rows[name]) for name in ("lower", "upper"))
        held_in = ((low <= drawn) & (drawn <= high)).mean(axis=1)
    over_levels = {"covered_at": (("run", "level"), rows.pop("covered_at"))}
    rows |= {"observed": observed, "error": error, "z": z, "row": np.flatnonzero(split.test)}
    rows |= {"decades_beyond": beyond, "new_group": fresh}
    rows["decades"] = beyond if split.decades is None else np.asarray(split.decades, dtype=float)
    return xr.Dataset(
        {name: ("run", values) for name, values in rows.items()}
        | over_levels
        | {
            "bias": float(bias[0]),
            "bias_z": float(bias_z[0]),
            "coverage": float(rows["covered"].mean()),
            "coverage_p": float(np.mean(held_in <= rows["covered"].mean() + 1e-9)),
            "r2": _explained(again, seed),
            "joint_log_density": _joint(again, frame, observed, seed),
            "n_train": int(split.train.sum()),
            "n_test": int(split.test.sum()),
        },
        {"run": held["run_id"].astype(str).to_numpy(dtype=str), "level": list(LEVELS)},
        attrs={"prob": prob, "metric": study.structure.metric, "law": study.structure.law.name, "on": on},
    )


def _away(seen: Floats, drawn: Floats) -> tuple[Floats, Floats]:
    """Distance from the median of draws (sample, row), plain and in standard deviations of that side."""
    low, middle, high = np.quantile(drawn, [1 - _SIGMA, 0.5, _SIGMA], axis=0)
    error = seen - middle
    side = np.where(error >= 0, high - middle, middle - low)
    return error, error / np.maximum(side, 1e-300)


def _explained(again: "xr.DataTree", seed: int) -> float:
    """Share of the variance of the rows fitted that the law explains, on the scale of the noise."""
    runs, on = fitted_runs(again), study_of(again).structure.noise.on
    fitted = predict(again, runs, kind="curve", random_seed=seed)["median"].values
    seen = forward(on, runs["value"].to_numpy(dtype=float))
    return float(1 - np.var(seen - forward(on, fitted)) / max(np.var(seen), 1e-300))


def _joint(again: "xr.DataTree", frame: Any, observed: Floats, seed: int) -> float:
    """Log of the mean over draws of the density of all rows together."""
    from scipy.special import logsumexp

    with np.errstate(all="ignore"):
        curve = predict_draws(again, frame, kind="curve", random_seed=seed).values
        density = new_run_density(study_of(again), frame, observed, curve, seed)
    return float(logsumexp(density.sum(axis=1)) - np.log(len(density)))
