"""Powers of compute at which the best size, the best data and the least loss move."""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayescale.errors import BayescaleWarning, InputError
from bayescale.queries.optimum import Cost, best_size, budgets_of, problem_of
from bayescale.queries.scales import check_prob
from bayescale.queries.study import study_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["compute_exponent_draws", "compute_exponents"]


def compute_exponents(
    posterior: "xr.DataTree",
    flops: Sequence[float],
    *,
    prob: float = 0.9,
    group: Mapping[str, str] | None = None,
    given: Mapping[str, float] | None = None,
    cost: Cost | None = None,
    random_seed: int = 0,
) -> "xr.Dataset":
    r"""Compute-optimal exponents: :math:`N \propto C^a,\; D \propto C^b,\; L \propto C^c,\; D \propto N^d`.

    Straight lines through the optima of several budgets, on logarithmic axes, draw by draw. Under
    C = 6ND a plain power law has a + b = 1 and d = b / a; under another cost neither holds. The
    exponent c is that of the whole loss, without its floor: a summary over the budgets given, which
    flattens as the floor comes nearer, and not αβ/(α+β).

    Parameters
    ----------
    posterior : DataTree
        A study of a law that reads size and data.
    flops : sequence of float
        At least two budgets, in the unit of `cost`; the lines go through their optima.
    prob : float, default 0.9
        Mass of the equal-tailed intervals.
    group, given, cost, random_seed
        As in `allocate`.

    Returns
    -------
    Dataset
        ``a``, ``b``, ``c``, ``d``, ``a_plus_b`` and ``tokens_per_param`` (at the geometric middle of the
        budgets) with dim ``bound`` (median, lower, upper).

    Raises
    ------
    InputError
        If the law reads no size or no data, fewer than two budgets are given, or an option is impossible.

    Warns
    -----
    BayescaleWarning
        Where draws have no inner optimum; these are left out.
    """
    import xarray as xr

    check_prob(prob)
    draws = compute_exponent_draws(
        posterior, flops, group=group, given=given, cost=cost, random_seed=random_seed
    )
    edges = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    return xr.Dataset(
        {k: ("bound", _quantiles(v.values, edges)) for k, v in draws.data_vars.items()},
        {"bound": ["median", "lower", "upper"]},
        attrs=dict(draws.attrs) | {"prob": prob},
    )


def compute_exponent_draws(
    posterior: "xr.DataTree",
    flops: Sequence[float],
    *,
    group: Mapping[str, str] | None = None,
    given: Mapping[str, float] | None = None,
    cost: Cost | None = None,
    random_seed: int = 0,
) -> "xr.Dataset":
    """All draws behind `compute_exponents`: dim (sample), NaN where a draw has no inner optimum.

    Draws of two groups of one study stand pairwise, so that differences between groups are theirs:
    `practically_equal` takes them.
    """
    import xarray as xr

    study = study_of(posterior)
    budgets = budgets_of(flops) if cost is None else budgets_of(flops, least=0.0)
    if np.unique(budgets).size < 2:
        raise InputError(
            f"flops={flops!r}: an exponent needs at least two budgets, as in np.geomspace(1e19, 1e22, 7)."
        )
    problem = problem_of(study, group or {}, given or {}, cost, np.random.default_rng([random_seed, 0]))
    size, data, loss, edge = [], [], [], np.zeros(study.n_samples, dtype=bool)
    for budget in map(float, budgets):
        log_n, at_edge = best_size(problem, budget)
        n = np.exp(log_n[:, :1])
        d = problem.data_for(n, budget)
        value = problem.value(n, d)
        edge |= at_edge[:, 0]
        size.append(log_n[:, 0])
        data.append(np.log(d[:, 0]))
        loss.append(np.log(np.where(value > 0, value, np.nan))[:, 0])
    _warn_of(edge)
    compute = np.log(budgets)
    a, b, c = (_slope(compute, np.stack(rows, axis=1)) for rows in (size, data, loss))
    log_n, log_d = np.stack(size, axis=1), np.stack(data, axis=1)
    found = {
        "a": a,
        "b": b,
        "c": c,
        "d": _slopes(log_n, log_d),
        "a_plus_b": a + b,
        "tokens_per_param": np.exp(log_d.mean(axis=1) - log_n.mean(axis=1)),
    }
    return xr.Dataset(
        {k: ("sample", np.where(edge, np.nan, v)) for k, v in found.items()},
        attrs={
            "law": study.structure.law.name,
            "metric": study.structure.metric,
            "cost": "6 N D" if cost is None else getattr(cost, "__name__", "own"),
            "group": ", ".join(f"{k}={v}" for k, v in (group or {}).items())
            or ("new" if study.structure.factors else "all"),
            "no_optimum": float(edge.mean()),
        },
    )


def _quantiles(draws: np.ndarray, edges: list[float]) -> np.ndarray:
    known = draws[np.isfinite(draws)]
    return np.quantile(known, edges) if known.size else np.full(len(edges), np.nan)


def _slope(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    away = x - x.mean()
    return (rows * away).sum(axis=1) / (away**2).sum()


def _slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    away = x - x.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (y * away).sum(axis=1) / (away**2).sum(axis=1)


def _warn_of(edge: np.ndarray) -> None:
    if edge.mean() > 0.01:
        warnings.warn(
            f"{edge.mean():.0%} of the draws have no inner optimum at one of these budgets (more size or "
            "more data always wins) and are left out: the law or the runs do not settle the question there.",
            BayescaleWarning,
            stacklevel=4,
        )
