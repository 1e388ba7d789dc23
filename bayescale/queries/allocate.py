"""How to spend a budget: the size and the data that the posterior thinks best."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import BayescaleWarning, InputError
from bayescale.queries.humps import humps_of
from bayescale.queries.members import studies_of, told
from bayescale.queries.optimum import LEAST, Cost, Problem, best_size, budgets_of, mixed_problem, value_at
from bayescale.queries.scales import check_prob, decades_beyond
from bayescale.runs.findings import Finding

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["allocate"]


def allocate(
    posterior: "xr.DataTree",
    flops: float | Sequence[float],
    *,
    prob: float = 0.9,
    within: float = 0.01,
    group: Mapping[str, str] | None = None,
    given: Mapping[str, float] | None = None,
    cost: Cost | None = None,
    random_seed: int = 0,
) -> "xr.Dataset":
    """Best model size and data size for training budgets.

    Two answers that differ: where the optimum lies, draw by draw (``n_params``, ``n_tokens``), and
    which sizes are nearly as good as the best (``near_best``), since the valley is flat.

    Parameters
    ----------
    posterior : DataTree
        A study of a law that reads size and data, or an average of such (see `average`).
    flops : float or sequence of float
        Budgets, in the unit of `cost`.
    prob : float, default 0.9
        Mass of the equal-tailed intervals.
    within : float, default 0.01
        Share by which the expected value may exceed the best one to count as nearly as good.
    group : mapping of str to str, optional
        Group for each pooled column, ``{"family": "llama"}``; a new one from the population if not given.
    given : mapping of str to float, optional
        Values of the law's other inputs. ``tokens_unique`` is taken equal to the tokens (fresh data)
        unless given.
    cost : callable, optional
        ``cost(n_params, n_tokens)`` of arrays, rising in both; 6 N D by default.
    random_seed : int
        For unseen groups.

    Returns
    -------
    Dataset
        Over dim ``flops``: ``n_params``, ``n_tokens``, ``tokens_per_param`` and ``loss`` (of the law, at
        the optimum) with dim ``bound`` (median, lower, upper); ``expected_best`` and ``near_best``
        (dim ``edge``: lower, upper), sizes by the loss expected over all draws; ``decades_beyond``;
        ``no_optimum``, the share of draws whose best size lies at the edge of what was searched.
        Over dim ``hump``, from the smallest size up: ``hump_share``, the share of the draws that gather
        there; ``hump_n_params`` and ``hump_tokens_per_param`` (dim ``bound``), by the draws of that hump
        alone. NaN where a budget has fewer humps than another; one hump is the usual case. Attribute
        ``findings``: JSON.

    Raises
    ------
    InputError
        If the law reads no size or no data, or an option is impossible.

    Warns
    -----
    BayescaleWarning
        Where the budget lies more than tenfold beyond the runs, draws have no inner optimum, or the optimum
        is two-humped: then the median lies where no draw puts the optimum.
    """
    import xarray as xr

    check_prob(prob)
    studies = studies_of(posterior)
    budgets = budgets_of(flops) if cost is None else budgets_of(flops, least=0.0)
    if not (isinstance(within, int | float) and within > 0):
        raise InputError(f"within={within!r} must be a positive share, as in within=0.01 for 1 %.")
    problem = mixed_problem(studies, group or {}, given or {}, cost, random_seed)
    edges = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    rows = [_one_budget(problem, budget, edges, within) for budget in budgets]
    found = xr.Dataset(
        {name: (("flops", *dims), _stacked(rows, name, dims)) for name, dims in _SHAPES.items()},
        {"flops": budgets, "bound": ["median", "lower", "upper"], "edge": ["lower", "upper"]},
        attrs={
            "prob": prob,
            "within": within,
            "cost": "6 N D" if cost is None else getattr(cost, "__name__", "own"),
            "group": ", ".join(f"{k}={v}" for k, v in (group or {}).items())
            or ("new" if any(s.structure.factors for s in studies.values()) else "all"),
        }
        | told(studies),
    )
    medians = {k: found[k].sel(bound="median").values for k in ("n_params", "n_tokens")}
    far = [decades_beyond(study, medians) for study in studies.values()]
    found["decades_beyond"] = ("flops", np.max(far, axis=0))
    findings = _findings(found)
    if findings:
        said = ["this allocation asks for care:", *(f"- {f.message}" for f in findings)]
        warnings.warn("\n".join(said), BayescaleWarning, 2)
    return found.assign_attrs(findings=json.dumps([asdict(f) for f in findings]))


_SHAPES: Mapping[str, tuple[str, ...]] = {
    "n_params": ("bound",),
    "n_tokens": ("bound",),
    "tokens_per_param": ("bound",),
    "loss": ("bound",),
    "expected_best": (),
    "near_best": ("edge",),
    "no_optimum": (),
    "hump_share": ("hump",),
    "hump_n_params": ("hump", "bound"),
    "hump_tokens_per_param": ("hump", "bound"),
}


def _stacked(rows: list[dict[str, Any]], name: str, dims: tuple[str, ...]) -> np.ndarray:
    """The answers of all budgets, filled up with NaN where one has fewer humps."""
    parts = [np.asarray(row[name], dtype=float) for row in rows]
    if dims[:1] != ("hump",):
        return np.stack(parts)
    found = np.full((len(parts), max(len(part) for part in parts), *parts[0].shape[1:]), np.nan)
    for i, part in enumerate(parts):
        found[i, : len(part)] = part
    return found


def _one_budget(
    problem: Problem, budget: float, edges: list[float], within: float
) -> dict[str, np.ndarray | float]:
    log_n, edge = best_size(problem, budget)
    n = np.exp(log_n[:, :1])
    d = problem.data_for(n, budget)
    loss = problem.value(n, d)
    low, high = float(log_n.min()) - 3.0, float(log_n.max()) + 3.0
    grid = np.linspace(max(low, LEAST), min(high, problem.largest(budget)), 241)
    expected = np.array([float(np.mean(value_at(problem, np.full((1, 1), g), budget))) for g in grid])
    best = int(expected.argmin())
    near = np.flatnonzero(expected <= expected[best] + within * abs(expected[best]))
    return {
        "n_params": np.quantile(n, edges),
        "n_tokens": np.quantile(d, edges),
        "tokens_per_param": np.quantile(d / n, edges),
        "loss": np.quantile(loss, edges),
        "expected_best": float(np.exp(grid[best])),
        "near_best": np.exp(grid[[near[0], near[-1]]]),
        "no_optimum": float(edge.mean()),
    } | _humps(log_n[:, 0], (d / n)[:, 0], edge[:, 0], edges)


def _humps(
    log_n: np.ndarray, ratio: np.ndarray, edge: np.ndarray, edges: list[float]
) -> dict[str, np.ndarray]:
    """Where the optima gather; those at the edge of what was searched are counted elsewhere."""
    inner = ~edge if (~edge).any() else np.ones(edge.size, dtype=bool)
    hump = humps_of(log_n[inner])
    each = [hump == i for i in range(int(hump.max()) + 1)]
    return {
        "hump_share": np.array([mine.sum() / edge.size for mine in each]),
        "hump_n_params": np.array([np.quantile(np.exp(log_n[inner][mine]), edges) for mine in each]),
        "hump_tokens_per_param": np.array([np.quantile(ratio[inner][mine], edges) for mine in each]),
    }


def _findings(found: "xr.Dataset") -> list[Finding]:
    findings = []
    beyond = float(found["decades_beyond"].max())
    if beyond > 1:
        message = (
            f"the optimum lies up to 10^{beyond:.1f} times beyond the runs: the interval holds only if the "
            "law does. Look at the answers of other laws too."
        )
        findings.append(Finding("far-beyond", "warning", message))
    lost = float(found["no_optimum"].max())
    if lost > 0.01:
        message = (
            f"{lost:.0%} of the draws have no inner optimum (more size or more data always wins): the law or "
            "the runs do not settle the question."
        )
        findings.append(Finding("no-optimum", "warning", message))
    several = np.flatnonzero(found["hump_share"].notnull().sum("hump").values > 1)
    return findings + ([_two_humped(found, several)] if several.size else [])


def _two_humped(found: "xr.Dataset", several: np.ndarray) -> Finding:
    """The humps of the largest budget that has more than one."""
    one = found.isel(flops=several[found["flops"].values[several].argmax()]).dropna("hump")
    told = " and ".join(
        f"near {float(size):.3g} parameters ({float(ratio):.3g} tokens per parameter, "
        f"{float(share):.0%} of the draws)"
        for size, ratio, share in zip(
            one["hump_n_params"].sel(bound="median"),
            one["hump_tokens_per_param"].sel(bound="median"),
            one["hump_share"],
            strict=True,
        )
    )
    message = (
        f"the optimum is {'two' if one.sizes['hump'] == 2 else 'many'}-humped at {several.size} of "
        f"{found.sizes['flops']} budgets: at {float(one['flops']):.3g} it lies {told}. The median between "
        "them is nobody's answer: see hump_n_params, and settle it with runs at sizes that tell them apart."
    )
    return Finding("two-humped", "warning", message)
