"""Would the law have told us: fits to some runs, scored on others."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.comparison import backtest_words as words
from bayescale.comparison.backtest_dataset import dataset
from bayescale.comparison.executors import Places, Work, outcomes, quiet
from bayescale.comparison.kept import Kept, keys_of, open_kept
from bayescale.comparison.refits import Failure, Job, Refit, attempt, refit
from bayescale.comparison.schemes import Scheme, scheme_of
from bayescale.comparison.splits import Split, by_condition, checked
from bayescale.errors import InputError
from bayescale.laws import find
from bayescale.queries.scales import check_prob
from bayescale.runs.findings import Finding
from bayescale.runs.read import read_runs
from bayescale.runs.table import RunTable

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["backtest"]

_BINS = (0.5, 1.0, 2.0)


def backtest(
    runs: Any,
    law: Any = "chinchilla",
    *,
    train: Any = None,
    split: str | Scheme | Sequence[Split] | None = None,
    prob: float = 0.9,
    bins: Sequence[float] = _BINS,
    executor: Executor | None = None,
    workers: int | None = None,
    resume: str | Path | None = None,
    **options: Any,
) -> "xr.Dataset":
    """Fit some runs, predict the others, and score the predictions; once, or again and again.

    Parameters
    ----------
    runs : RunTable, path or frame
        Whatever `read_runs` takes.
    law : str or Law, default "chinchilla"
        See `laws`.
    train : str, callable or array of bool, optional
        One split: rows to fit, as in `RunTable.where`; the rest are held back. "flops <= 1e20" where
        neither this nor `split` is given. Where a table has no ``flops``, a condition on it reads 6ND. A
        row whose cell is empty belongs to neither side.
    split : {"rolling", "leave-family-out", "few-runs"}, scheme or sequence of Split, optional
        Many splits, with a refit for each: `Rolling` (fit below a budget, score above, budget by
        budget), `LeaveOut` (predict a family from all others), `FewRuns` (a new family with 0, 1, 3 and
        6 of its smallest runs and all of the others', against the same runs alone), or your own. The
        last two pool every parameter over the family unless ``pool`` is given.
    prob : float, default 0.9
        Mass of the predictive intervals.
    bins : sequence of float, default (0.5, 1, 2)
        Bounds between bins of distance, in powers of ten beyond the runs fitted.
    executor : concurrent.futures.Executor, optional
        Runs the refits; for a Dask cluster, ``client.get_executor()``. It is left running.
    workers : int, optional
        Processes in place of an executor; 1 refits here. By default as many as there are cores, where
        the refits take long enough to gain by it.
    resume : path, optional
        Folder that keeps every finished refit, so that the same call goes on where it was stopped. A
        refit is found again by its rows, law, options, seed and the code of the package.
    **options
        Of `fit`: pool, noise, priors, engine, draws, random_seed, progressbar, ... All refits take one
        seed; without `random_seed` it is drawn once, and 0 with `resume`.

    Returns
    -------
    Dataset
        Over dim ``run`` (the rows held back, split after split): ``observed``; ``median``, ``lower``,
        ``upper`` of one more run; ``covered``; ``covered_at`` (run, level); ``pit``, the share of draws
        at most the value; ``row_crps``; ``log_density``; ``decades``, the distance in powers of ten of
        compute beyond the runs fitted (beyond a new family's own, for few runs); ``decades_beyond``,
        the largest over the inputs of the law; ``new_group``, true where a row's group had no run to
        fit; ``row_split`` and ``row_case``; and the rows' own columns.
        Without dims: ``rmse``, root mean squared error of the median, in the unit of the metric;
        ``rmsle``, the same of its logarithm; ``bias``, mean log ratio of observed to predicted median
        (above 0: runs came out higher than foretold; these two are NaN unless all values are positive);
        ``coverage``, share of rows inside their interval; ``width``, mean upper less lower; ``crps``
        and ``log_score``, mean over rows; ``elpd``, summed log predictive density; ``n_train`` (rows
        fitted in any split) and ``n_test`` (rows scored). Over ``level``: ``coverage_at``. The same
        scores with ``_by_split``, ``_by_case`` and ``_by_distance``. Splits made for comparison only
        (runs alone) count in the first two and nowhere else.
        Over ``split``: ``status`` ("ok", "warned", "unsound" without convergence, "failed",
        "interrupted"), ``failure``, ``split_findings`` (JSON), ``engine``, ``seconds``, ``train_rows``,
        ``test_rows``, and what else is known, such as ``split_origin``. See `backtest_table`.

    Raises
    ------
    InputError
        If no row is left on either side, all refits fail, or an option is impossible; with one split,
        whatever `fit` refuses.

    Warns
    -----
    BayescaleWarning
        If refits failed or have findings, rows belong to neither side, few are held back, or a kept
        refit is damaged and was made anew.

    Notes
    -----
    The ranked probability score is the mean loss of 200 quantiles: heavy-tailed scatter of a log has no
    finite mean, and a score of raw draws would follow the one farthest out. Known standard errors of
    held-back values are not added to what is predicted. Rows of one split share a fit, and those of
    overlapping splits their runs: coverage scatters more than that many independent rows would. Ctrl-C
    returns what is finished, if anything is, with the rest marked "interrupted".
    """
    check_prob(prob)
    edges = _edges(bins)
    places = Places(executor, workers)
    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    splits, findings, pooled = _splits(table, train, split)
    if pooled and "pool" not in options:
        options["pool"] = pooled
    job = Job(table, find(law), _seeded(options, resume), prob)
    single = split is None and executor is None and workers is None
    kept = None if resume is None else open_kept(resume)
    found = _gathered(job, splits, kept, places, single)
    findings += words.of_refits(splits, found)
    held = sum(int(s.test.sum()) for s, o in zip(splits, found, strict=True) if isinstance(o, Refit))
    findings += words.on_size(held, prob)
    if pooled and job.options["pool"] is None:
        findings.append(words.unpooled(pooled))
    words.say(findings)
    return dataset(job, splits, found, edges).assign_attrs(
        train=splits[0].name if split is None else "",
        split=split if isinstance(split, str) else "" if split is None else type(split).__name__,
        findings=json.dumps([asdict(finding) for finding in findings]),
    )


def _splits(table: RunTable, train: Any, split: Any) -> tuple[list[Split], list[Finding], str | None]:
    """The splits, what is to be said of them, and the column to pool over unless told otherwise."""
    if split is None:
        return *by_condition(table, "flops <= 1e20" if train is None else train), None
    if train is not None:
        raise InputError(
            f"train={train!r} is one split and split= makes many: give one of them. To leave runs out of "
            "all, use runs.where(...) first."
        )
    scheme = scheme_of([split] if isinstance(split, Split) else split)
    if scheme is None:
        given = [split] if isinstance(split, Split) else list(split)
        return checked(given, len(table)), [], None
    splits, findings = scheme.splits(table)
    return checked(splits, len(table)), findings, scheme.pooled_over


def _gathered(
    job: Job,
    splits: list[Split],
    kept: Kept | None,
    places: Places,
    single: bool,
) -> list[Refit | Failure]:
    """The outcome of each split: kept ones as they are, the others made and kept."""
    keys = keys_of(job, splits) if kept else []
    found: dict[int, Refit | Failure] = dict(_read(kept, keys, splits)) if kept else {}
    left = [i for i in range(len(splits)) if i not in found]
    if single and left:
        found[0] = refit(job, splits[0])
        if kept:
            kept.put(keys[0], found[0])
    elif left:
        _make(job, splits, left, found, (kept, keys), places)
    stopped = Failure("stopped before it was finished.", "interrupted")
    every = [found.get(i, stopped) for i in range(len(splits))]
    if not any(isinstance(outcome, Refit) for outcome in every):
        raise InputError(words.all_failed(splits, every))
    return every


def _make(
    job: Job,
    splits: list[Split],
    left: list[int],
    found: dict[int, Refit | Failure],
    keeping: tuple[Kept | None, list[str]],
    places: Places,
) -> None:
    """Refit what is left into `found`, keeping each as it comes; Ctrl-C leaves it there."""
    from bayescale.inference.progress import progress

    kept, keys = keeping
    shown = bool(job.options.get("progressbar", True))
    quietly = Job(job.table, job.law, {**job.options, "progressbar": False}, job.prob)
    try:
        with quiet(), progress("refits", len(splits), shown) as advance:
            advance(len(found), "")
            work = Work(partial(attempt, quietly), (job.law,))
            for at, outcome in outcomes(work, [splits[i] for i in left], places):
                i = left[at]
                found[i] = outcome
                if kept and isinstance(outcome, Refit):
                    kept.put(keys[i], outcome)
                advance(1, splits[i].name[:40])
    except KeyboardInterrupt:
        if not any(isinstance(outcome, Refit) for outcome in found.values()):
            raise


def _read(kept: Kept, keys: list[str], splits: list[Split]) -> list[tuple[int, Refit]]:
    found, damaged = [], []
    for i, (key, split) in enumerate(zip(keys, splits, strict=True)):
        try:
            stored = kept.get(key, split)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            damaged.append(f"{split.name} ({key}.json): {error}")
            continue
        if stored is not None:
            found.append((i, stored))
    words.say_damaged(damaged)
    return found


def _seeded(options: Mapping[str, Any], resume: Any) -> dict[str, Any]:
    """The options with a seed that all refits share."""
    if options.get("random_seed") is not None:
        return dict(options)
    drawn = 0 if resume is not None else int(np.random.SeedSequence().generate_state(1)[0])
    return {**options, "random_seed": drawn}


def _edges(bins: Any) -> tuple[float, ...]:
    try:
        edges = tuple(float(edge) for edge in bins)
    except (TypeError, ValueError):
        edges = (float("nan"),)
    if not all(0 < edge < np.inf for edge in edges) or list(edges) != sorted(set(edges)):
        raise InputError(f"bins={bins!r} must be positive numbers that rise, such as (0.5, 1, 2).")
    return edges
