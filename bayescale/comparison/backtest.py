"""Would the law have told us: a fit to some runs, scored on the others."""

import json
import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import BayescaleWarning, InputError
from bayescale.fitting import fit
from bayescale.queries.predict import predict_draws
from bayescale.queries.scales import check_prob, decades_beyond, inputs_of
from bayescale.queries.study import NEW, Study, study_of
from bayescale.runs.condition import parse_condition, select_rows
from bayescale.runs.findings import Finding
from bayescale.runs.read import read_runs
from bayescale.runs.table import RunTable

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["backtest"]

_LEVELS = 200  # quantiles behind a continuous ranked probability score
_BATCH = 8_000_000  # numbers held at once
_FEW = 10  # held-back rows below which a coverage says little


def backtest(
    runs: Any,
    law: Any = "chinchilla",
    *,
    train: Any = "flops <= 1e20",
    prob: float = 0.9,
    **options: Any,
) -> "xr.Dataset":
    """Fit the runs that meet a condition, predict all others, and score the predictions.

    Parameters
    ----------
    runs : RunTable, path or frame
        Whatever `read_runs` takes.
    law : str or Law, default "chinchilla"
        See `laws`.
    train : str, callable or array of bool, default "flops <= 1e20"
        Rows to fit, as in `RunTable.where`; the rest are held back. Where a table has no ``flops``, a
        condition on it reads 6ND. A row whose cell is empty belongs to neither side.
    prob : float, default 0.9
        Mass of the predictive intervals.
    **options
        Of `fit`: pool, noise, priors, engine, draws, random_seed, ...

    Returns
    -------
    Dataset
        Over dim ``run`` (the rows held back): ``observed``, ``median``, ``lower``, ``upper`` of one more
        run; ``covered``; ``row_crps``; ``log_density``; ``decades_beyond`` the runs fitted; ``new_group``,
        true where a row's group had no run to fit; and the rows' own columns.
        Without dims: ``rmse``, root mean squared error of the median, in the unit of the metric;
        ``rmsle``, the same of its logarithm; ``bias``, mean log ratio of observed to predicted median
        (above 0: runs came out higher than foretold; these two are NaN unless all values are positive);
        ``coverage``, share of rows inside their interval; ``width``, mean upper less lower; ``crps``,
        mean over rows; ``elpd``, summed log predictive density; ``n_train`` and ``n_test``.

    Raises
    ------
    InputError
        If no row is left on either side, or a row cannot be predicted; and whatever `fit` refuses.

    Warns
    -----
    BayescaleWarning
        If rows belong to neither side, or few are held back.

    Notes
    -----
    The ranked probability score is the mean loss of 200 quantiles: heavy-tailed scatter of a log has no
    finite mean, and a score of raw draws would follow the one farthest out. Known standard errors of
    held-back values are not added to what is predicted.
    """
    check_prob(prob)
    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    fitted, held, findings = _split(table, train)
    posterior = fit(fitted, law, **options)
    study = study_of(posterior)
    frame, fresh = _as_known(study, held.frame)
    observed = _observed(frame)
    beyond = decades_beyond(study, inputs_of(study, frame))
    rows = _rows(posterior, study, frame, observed, prob, int(study.record["random_seed"]))
    found = _table(rows | {"decades_beyond": beyond, "new_group": fresh}, observed, held.frame)
    findings += _on_size(found.sizes["run"], prob)
    _say(findings)
    return found.assign(n_train=len(fitted), n_test=len(held)).assign_attrs(
        law=study.structure.law.name,
        train=train if isinstance(train, str) else "own",
        prob=prob,
        metric=study.structure.metric,
        engine=str(study.record["engine"]["name"]),
        random_seed=int(study.record["random_seed"]),
        findings=json.dumps([asdict(finding) for finding in findings]),
    )


def _split(table: RunTable, train: Any) -> tuple[RunTable, RunTable, list[Finding]]:
    """Rows to fit, rows held back, and what is to be said about rows on neither side."""
    frame = _with_flops(table.frame, train)
    chosen = select_rows(frame, train)
    placed = np.ones(len(frame), dtype=bool)
    if isinstance(train, str):
        for column in {comparison.column for comparison in parse_condition(train)}:
            cells = frame[column]
            placed &= (cells.notna() & (cells.astype(str) != "")).to_numpy(dtype=bool)
    fitted, held = placed & chosen, placed & ~chosen
    empty = int((~placed).sum())
    if not fitted.any() or not held.any():
        fault = (
            "no row meets it, so none is left to fit" if not fitted.any() else "no row is held back to score"
        )
        told = f"{len(table)} rows" + (f", {empty} with an empty cell there" if empty else "")
        raise InputError(f"train={train!r}: {fault} ({told}{_range(frame, train)}). Move the bound.")
    findings = []
    if empty:
        message = (
            f"{empty} of {len(table)} rows have an empty cell where train={train!r} looks: they are neither "
            "fitted nor scored. Fill the cells in, or choose another column."
        )
        findings.append(Finding("unplaced-rows", "warning", message))
    return table.where(fitted), table.where(held), findings


def _with_flops(frame: "pd.DataFrame", train: Any) -> "pd.DataFrame":
    """A frame in which a condition on compute can be read, as 6ND where the table does not state it."""
    reads = {c.column for c in parse_condition(train)} if isinstance(train, str) else set()
    if "flops" in reads - set(frame.columns) and {"n_params", "n_tokens"} <= set(frame.columns):
        return frame.assign(flops=6.0 * frame["n_params"] * frame["n_tokens"])
    return frame


def _range(frame: Any, train: Any) -> str:
    """Ranges of the columns that a condition reads, to help move its bound."""
    if not isinstance(train, str):
        return ""
    told = ""
    for column in dict.fromkeys(c.column for c in parse_condition(train)):
        if frame[column].dtype.kind in "fiu" and frame[column].notna().any():
            told += f"; {column} runs from {frame[column].min():.3g} to {frame[column].max():.3g}"
    return told


def _as_known(study: Study, frame: "pd.DataFrame") -> tuple["pd.DataFrame", np.ndarray]:
    """The frame with labels of groups not fitted marked as new, and which rows those are."""
    fresh = np.zeros(len(frame), dtype=bool)
    for factor in study.structure.factors:
        if ":" in factor or factor not in frame.columns:
            continue
        labels = frame[factor].fillna("").astype(str)
        unseen = ~labels.isin(study.structure.labels[factor]).to_numpy(dtype=bool)
        frame = frame.assign(**{factor: labels.where(~unseen, f"{NEW}: " + labels)})
        fresh |= unseen
    return frame, fresh


def _observed(frame: "pd.DataFrame") -> np.ndarray:
    observed = frame["value"].to_numpy(dtype=float)
    empty = np.flatnonzero(~np.isfinite(observed))
    if empty.size:
        raise InputError(
            f"{empty.size} of {len(frame)} held-back rows have no value to be scored against, the first run "
            f"{str(frame['run_id'].iloc[empty[0]])[:80]!r}. Leave them out: runs.where('value > 0')."
        )
    return observed


def _rows(
    posterior: "xr.DataTree",
    study: Study,
    frame: "pd.DataFrame",
    observed: np.ndarray,
    prob: float,
    seed: int,
) -> dict[str, np.ndarray]:
    """Predictions and scores, row by row, a batch of rows at a time."""
    width = max(1, _BATCH // study.n_samples)
    edges = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    levels = (np.arange(_LEVELS) + 0.5) / _LEVELS
    parts = []
    for i in range(0, len(frame), width):
        batch, seen = frame.iloc[i : i + width], observed[i : i + width]
        draws = predict_draws(posterior, batch, kind="run", random_seed=seed).values
        curve = predict_draws(posterior, batch, kind="curve", random_seed=seed).values
        middle, low, high = np.quantile(draws, edges, axis=0)
        parts.append(
            {
                "median": middle,
                "lower": low,
                "upper": high,
                "covered": (low <= seen) & (seen <= high),
                "crps": _crps(np.quantile(draws, levels, axis=0), levels, seen),
                "log_density": _log_density(study, seen, curve),
            }
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _crps(quantiles: np.ndarray, levels: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score: twice the mean pinball loss of evenly spaced quantiles."""
    off = observed - quantiles
    return 2 * np.mean(np.where(off >= 0, levels[:, None] * off, (levels[:, None] - 1) * off), axis=0)


def _log_density(study: Study, observed: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Log of the mean density over draws; of the value itself, in its unit."""
    from scipy.special import logsumexp

    s = study.structure
    noise = {name: study.blocks[name][:, None] for name in s.noise_names}
    with np.errstate(all="ignore"):
        density = s.noise.log_density(observed, curve, np.zeros_like(observed), **noise)
    return np.asarray(logsumexp(density, axis=0)) - np.log(len(curve))


def _table(rows: dict[str, np.ndarray], observed: np.ndarray, frame: "pd.DataFrame") -> "xr.Dataset":
    import xarray as xr

    middle = rows["median"]
    positive = bool((observed > 0).all() and (middle > 0).all())
    ratio = np.log(observed / middle) if positive else np.full(observed.size, np.nan)
    scores = {
        "rmse": np.sqrt(np.mean((observed - middle) ** 2)),
        "rmsle": np.sqrt(np.mean(ratio**2)),
        "bias": ratio.mean(),
        "coverage": rows["covered"].mean(),
        "width": (rows["upper"] - rows["lower"]).mean(),
        "crps": rows["crps"].mean(),
        "elpd": rows["log_density"].sum(),
    }
    by_row = {("row_crps" if name == "crps" else name): ("run", values) for name, values in rows.items()}
    own = {}
    for name in map(str, frame.columns):
        cells = frame[name]
        if name in {"value", "run_id", *scores, *by_row, "observed", "run", "n_train", "n_test"}:
            continue
        numeric = cells.dtype.kind in "fiub"
        own[name] = ("run", cells.to_numpy() if numeric else cells.fillna("").astype(str).to_numpy(dtype=str))
    return xr.Dataset(
        {"observed": ("run", observed)} | by_row | own | scores,
        {"run": frame["run_id"].astype(str).to_numpy(dtype=str)},
    )


def _on_size(n_test: int, prob: float) -> list[Finding]:
    if n_test >= _FEW:
        return []
    message = (
        f"only {n_test} row{'s are' if n_test > 1 else ' is'} held back: with so few, the share inside a "
        f"{prob:.0%} interval says little. Move the bound so that more are."
    )
    return [Finding("few-held-back", "warning", message)]


def _say(findings: list[Finding]) -> None:
    heard = [finding.message for finding in findings if finding.severity == "warning"]
    if heard:
        told = "\n".join(["this backtest asks for care:", *(f"- {message}" for message in heard)])
        warnings.warn(told, BayescaleWarning, stacklevel=3)
