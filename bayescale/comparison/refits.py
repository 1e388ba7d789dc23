"""One refit of a backtest: fit a split's rows, predict those held back, score them row by row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.comparison.scores import row_scores
from bayescale.comparison.splits import Split
from bayescale.errors import InputError
from bayescale.fitting import fit
from bayescale.laws import Law
from bayescale.queries.scales import decades_beyond, inputs_of
from bayescale.queries.study import NEW, Study, study_of
from bayescale.runs.table import RunTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Failure", "Job", "Refit", "attempt", "refit"]


@dataclass(frozen=True, eq=False)
class Job:
    """What all refits of a backtest share.

    Attributes
    ----------
    table : RunTable
    law : Law
    options : mapping
        Of `fit`, its `random_seed` among them.
    prob : float
        Mass of the predictive intervals.
    """

    table: RunTable
    law: Law
    options: Mapping[str, Any]
    prob: float


@dataclass(frozen=True, eq=False)
class Refit:
    """What a refit said of the rows held back.

    Attributes
    ----------
    rows : mapping of str to array
        Over the rows held back, in the order of the table.
    engine, metric : str
    random_seed : int
    seconds : float
    findings : tuple of mapping
        What `fit` found, as ``code``, ``severity`` and ``message``.
    """

    rows: Mapping[str, np.ndarray]
    engine: str
    metric: str
    random_seed: int
    seconds: float
    findings: tuple[Mapping[str, str], ...] = ()

    @property
    def status(self) -> str:
        """One of ok, warned, and unsound: draws that have not converged."""
        severities = {finding["severity"] for finding in self.findings}
        return "unsound" if "error" in severities else "warned" if "warning" in severities else "ok"


@dataclass(frozen=True)
class Failure:
    """A refit that came to nothing, and why."""

    message: str
    status: str = "failed"


def refit(job: Job, split: Split) -> Refit:
    """Fit, predict and score one split.

    Raises
    ------
    InputError
        Whatever `fit` refuses, or a held-back row that cannot be predicted or scored.
    KeyboardInterrupt
        If the fit was stopped, also where it kept some draws.
    """
    import time

    began = time.perf_counter()
    held = job.table.frame.loc[split.test].reset_index(drop=True)
    observed = _observed(held)
    posterior = fit(job.table.where(split.train), job.law, **{**job.options, **split.options})
    study = study_of(posterior)
    if study.record.get("partial"):
        raise KeyboardInterrupt(f"interrupted while {split.name!r} was fitted")
    frame, fresh = as_known(study, held)
    beyond = decades_beyond(study, inputs_of(study, frame))
    seed = int(study.record["random_seed"])
    rows = row_scores(posterior, study, frame, observed, job.prob, seed)
    rows |= {"observed": observed, "decades_beyond": beyond, "new_group": fresh}
    rows["decades"] = beyond if split.decades is None else np.asarray(split.decades, dtype=float)
    return Refit(
        rows=rows,
        engine=str(study.record["engine"]["name"]),
        metric=study.structure.metric,
        random_seed=seed,
        seconds=time.perf_counter() - began,
        findings=tuple(study.record.get("findings", ())),
    )


def attempt(job: Job, split: Split) -> Refit | Failure:
    """A refit, or why there is none: one failure is not fatal for the others."""
    try:
        return refit(job, split)
    except InputError as error:
        return Failure(str(error))
    except Exception as error:  # a law of the user's own may raise anything
        return Failure(f"{type(error).__name__}: {error}"[:2000])


def as_known(study: Study, frame: "pd.DataFrame") -> tuple["pd.DataFrame", np.ndarray]:
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
