"""One prediction of several laws, weighted by how each foretold the largest runs."""

import json
import warnings
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayescale.comparison.again import table_of
from bayescale.comparison.ahead import ahead_of_each, largest_out
from bayescale.comparison.executors import Places
from bayescale.comparison.loo import loo_of
from bayescale.comparison.rows import common_order, rows_of
from bayescale.errors import BayescaleWarning, InputError
from bayescale.inference.progress import progress
from bayescale.queries.study import AVERAGE, LAWS, study_of
from bayescale.runs.findings import Finding

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["average", "shrunk_weights"]

_FEW = 5  # held-back rows below which weights say little
_ONE_WAY = 2.0  # standard deviations of the mean error from which a law is said to miss one way

type Floats = NDArray[np.float64]


def average(
    studies: Mapping[str, "xr.DataTree"],
    *,
    weights: str | Mapping[str, float] = "ahead",
    held: float = 2,
    progressbar: bool = True,
    executor: Executor | None = None,
    workers: int | None = None,
    **options: Any,
) -> "xr.DataTree":
    r"""Several laws of the same runs as one prediction.

    Each law is fitted again without the largest budgets and scored on them. Weights maximise the log
    density that the mixture gave those runs, as if each law had foretold one run more, best of all:

    .. math:: \sum_i \log \sum_k w_k\, p_{ik} + \sum_k \log w_k

    So the weights of few rows, or of laws that foretold alike, stay near equal, and no law is left out.

    Parameters
    ----------
    studies : mapping of str to DataTree
        At least two fitted studies of the same rows, by the names they shall have. Laws may read different
        inputs and have different pooling, noise and discrepancy.
    weights : {"ahead", "loo"} or mapping of str to float, default "ahead"
        "ahead": as above. "loo": the same with each row foretold by all others (no refits), which
        judges within the range of the runs. Or weights of your own; they are brought to a sum of one.
    held : int or float, default 2
        For "ahead": largest budgets held back, or, below 1, the share of rows with the largest compute.
    progressbar : bool
    executor : concurrent.futures.Executor, optional
        Runs the refits, as in `backtest`.
    workers : int, optional
        Processes in place of an executor; 1 refits here. By default as many as there are cores, where
        the refits take long enough to gain by it.
    **options
        Of `fit`, for the refits, in place of each study's own.

    Returns
    -------
    DataTree
        The average, which `predict`, `predict_draws`, `curve`, `allocate`, `isoflop`, `save` and `open`
        take like a study. Questions about parameters belong to a law: ``average["laws/chinchilla"]`` is
        that study. Group ``weights``, dim ``member``: ``weight``; ``reads``, the inputs of its law (all must
        read size and data for `allocate` and `isoflop`); for "ahead" also ``log_density`` and
        ``z`` (member, run) of the rows held back, ``bias`` and ``bias_z`` (see `check_extrapolation`);
        for "loo" ``log_density`` (member, run).

    Raises
    ------
    InputError
        Fewer than two studies, other rows or metrics, impossible weights, or a refit that fails.

    Warns
    -----
    BayescaleWarning
        If few rows were held back, or every law missed them the same way, which no average mends.

    Notes
    -----
    Rows of one budget err together, so that weights are less sure than their number suggests. The
    intervals are those of the mixture: they hold what any law with weight holds, and no law that is not
    among them (Yao et al. 2018; ahead in time, Bürkner et al. 2020).
    """
    _refuse(studies)
    places = Places(executor, workers)
    metrics = {name: study_of(study).structure.metric for name, study in studies.items()}
    if len(set(metrics.values())) > 1:
        told = ", ".join(f"{name!r} {metric}" for name, metric in metrics.items())
        raise InputError(f"the studies do not measure the same thing: {told}. Average studies of one metric.")
    order = common_order({name: rows_of(study) for name, study in studies.items()})
    findings: list[Finding] = []
    if isinstance(weights, Mapping):
        table, how = _given(studies, weights), "given"
    elif weights == "ahead":
        table, findings = _ahead(studies, order, held, progressbar, places, options)
        how = weights
    elif weights == "loo":
        table, how = _loo(studies, order), weights
    else:
        raise InputError(f"weights={weights!r} must be 'ahead', 'loo', or a number for each study by name.")
    heard = [f.message for f in findings if f.severity == "warning"]
    if heard:
        said = "\n".join(["this average asks for care:", *(f"- {message}" for message in heard)])
        warnings.warn(said, BayescaleWarning, stacklevel=2)
    return _tree(studies, table, how, findings)


def shrunk_weights(log_density: Floats) -> Floats:
    """Stacking weights, drawn towards equal ones by as many rows as there are laws; see `average`.

    Parameters
    ----------
    log_density : array of shape (row, law)

    Returns
    -------
    array of shape (law,)
        All above zero, with sum 1.
    """
    rows, laws = log_density.shape
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    found = np.full(laws, 1.0 / laws)
    for _ in range(10_000):  # expectation and maximisation: the objective is concave
        share = density * found
        share /= share.sum(axis=1, keepdims=True)
        before, found = found, (share.sum(axis=0) + 1.0) / (rows + laws)
        if np.abs(found - before).max() < 1e-12:
            break
    return found


def _refuse(studies: Any) -> None:
    if not isinstance(studies, Mapping) or len(studies) < 2:
        raise InputError(
            "average takes at least two studies by name: average({'chinchilla': first, 'kaplan': second})."
        )
    for name in studies:
        if not isinstance(name, str) or not name or "/" in name or name.startswith("."):
            raise InputError(
                f"studies: {name!r} cannot name a member. Use text without '/', such as 'kaplan'."
            )


def _given(studies: Mapping[str, Any], weights: Mapping[str, float]) -> "xr.Dataset":
    import xarray as xr

    if set(weights) != set(studies):
        raise InputError(
            f"weights= names {', '.join(map(repr, weights))}, and the studies are "
            f"{', '.join(map(repr, studies))}: give one number for each."
        )
    try:
        numbers = np.array([float(weights[name]) for name in studies])
    except (TypeError, ValueError):
        numbers = np.array([np.nan])
    if not (np.isfinite(numbers) & (numbers >= 0)).all() or numbers.sum() <= 0:
        raise InputError(f"weights={dict(weights)!r} must be numbers of 0 or more, not all of them 0.")
    return xr.Dataset({"weight": ("member", numbers / numbers.sum())}, {"member": list(studies)})


def _loo(studies: Mapping[str, "xr.DataTree"], order: Mapping[str, np.ndarray]) -> "xr.Dataset":
    import xarray as xr

    columns = []
    for name, study in studies.items():
        if "log_likelihood" not in study.children:
            raise InputError(
                f"{name!r} has no pointwise log likelihood, which weights='loo' is made from. "
                "Use weights='ahead'."
            )
        columns.append(loo_of(study, order[name]).pointwise)
    return xr.Dataset(
        {
            "weight": ("member", shrunk_weights(np.stack(columns, axis=1))),
            "log_density": (("member", "run"), np.stack(columns)),
        },
        {"member": list(studies)},
    )


def _ahead(
    studies: Mapping[str, "xr.DataTree"],
    order: Mapping[str, np.ndarray],
    held: float,
    shown: bool,
    places: Places,
    options: Mapping[str, Any],
) -> tuple["xr.Dataset", list[Finding]]:
    import xarray as xr

    split, findings = largest_out(table_of(next(iter(studies.values()))), held)
    with progress("refits", len(studies), shown) as advance:
        told = {"places": places, "told": lambda name: advance(1, name[:40])}
        found = list(ahead_of_each(studies, split, order, **told, **options).values())
    density = np.stack([one["log_density"].values for one in found])
    table = xr.Dataset(
        {"weight": ("member", shrunk_weights(density.T)), "log_density": (("member", "run"), density)}
        | {"z": (("member", "run"), np.stack([one["z"].values for one in found]))}
        | {k: ("member", np.array([float(one[k]) for one in found])) for k in ("bias", "bias_z")},
        {"member": list(studies), "run": found[0]["run"].values},
        attrs={"split": split.name, "rows_fitted": int(split.train.sum())},
    )
    return table, findings + _on_misses(table)


def _on_misses(table: "xr.Dataset") -> list[Finding]:
    findings = []
    rows, bias_z = table.sizes["run"], table["bias_z"].values
    if rows < _FEW:
        message = (
            f"only {rows} row{' was' if rows == 1 else 's were'} held back: the weights stay near equal and "
            "say little. Hold more back, as in held=0.3."
        )
        findings.append(Finding("few-held-back", "warning", message))
    if (bias_z > _ONE_WAY).all() or (bias_z < -_ONE_WAY).all():
        way = "higher" if bias_z[0] > 0 else "lower"
        message = (
            f"every law missed the largest runs the same way: they came out {way} than each foretold, by "
            f"{np.abs(bias_z).min():.1f} standard deviations of their mean or more. No average of these laws "
            "mends that: add another law, or fit them with discrepancy='drift'."
        )
        findings.append(Finding("all-miss-one-way", "warning", message))
    return findings


def _tree(
    studies: Mapping[str, "xr.DataTree"], table: "xr.Dataset", how: str, findings: list[Finding]
) -> "xr.DataTree":
    import xarray as xr

    weights = dict(zip(studies, table["weight"].values.tolist(), strict=True))
    told = ", ".join(f"{name} {weight:.3f}" for name, weight in weights.items())
    record = {
        "format": 1,
        "kind": AVERAGE,
        "bayescale_version": version("bayescale"),
        "metric": study_of(next(iter(studies.values()))).structure.metric,
        "weights": weights,
        "weights_from": how,
        "findings": [asdict(finding) for finding in findings],
    }
    inputs = [", ".join(study_of(study).structure.law.inputs) for study in studies.values()]
    table = table.assign(reads=("member", np.array(inputs, dtype=str)))
    laws = xr.DataTree(children={name: study.copy() for name, study in studies.items()})
    tree = xr.DataTree(children={"weights": xr.DataTree(table), LAWS: laws})
    tree.attrs |= {"average": told, "bayescale": json.dumps(record)}
    return tree
