"""Value against model size at fixed compute, and where it is best."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.queries.members import lead, studies_of, told
from bayescale.queries.optimum import best_size, budgets_of, mixed_problem
from bayescale.queries.rows import compute_of, fitted_runs, of_group, run_inputs
from bayescale.queries.scales import check_prob

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["isoflop"]

_CLOUD = 300  # draws of the optimum that are kept for drawing
_WIDTH = 1.0  # decades to each side of the best size


def isoflop(
    posterior: "xr.DataTree",
    flops: float | Sequence[float] | None = None,
    *,
    group: Mapping[str, str] | None = None,
    given: Mapping[str, float] | None = None,
    points: int = 60,
    within: float = 0.25,
    prob: float = 0.9,
    random_seed: int = 0,
) -> "xr.Dataset":
    """The law over model size at fixed compute C = 6ND, with the optimum of every draw.

    Parameters
    ----------
    posterior : DataTree
        A study of a law that reads size and data, or an average of such (see `average`).
    flops : float or sequence of float, optional
        Budgets. By default up to five, spread over the runs' own.
    group, given
        As in `allocate`.
    points : int, default 60
        Sizes along each profile.
    within : float, default 0.25
        A run is shown with a budget if its 6ND lies within this share of it.
    prob : float, default 0.9
        Mass of the equal-tailed intervals.
    random_seed : int
        For unseen groups, and for the choice of the draws kept in the cloud.

    Returns
    -------
    Dataset
        ``n_params`` and the law's ``median``, ``lower``, ``upper`` with dims (flops, point);
        ``best_n_params`` and ``best_value`` (flops, bound); ``cloud_n_params`` and ``cloud_value``
        (flops, draw), optima of single draws. Over dim ``run``: ``run_n_params``, ``observed``,
        ``run_flops`` and ``run_budget``, the budget it is shown with, NaN for none.

    Raises
    ------
    InputError
        If the law reads no size or no data, or an option is impossible.
    """
    import xarray as xr

    check_prob(prob)
    if not isinstance(within, int | float) or not 0 < within < 10:
        raise InputError(f"within={within!r} must be a positive share, as in within=0.25 for 25 %.")
    studies, group = studies_of(posterior), dict(group or {})
    problem = mixed_problem(studies, group, given or {}, None, random_seed)
    runs = of_group(fitted_runs(posterior), group)
    inputs = run_inputs(lead(studies), runs)
    spent = np.asarray(compute_of(inputs | {"flops": 6.0 * inputs["n_params"] * inputs["n_tokens"]}))
    budgets = budgets_of(flops) if flops is not None else _usual(spent, within)
    edges = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    keep = np.random.default_rng([random_seed, 2]).permutation(problem.shape[0])[:_CLOUD]
    owner = _nearest(spent, budgets, within)
    rows = [_profile(problem, float(c), inputs["n_params"][owner == c], points, edges, keep) for c in budgets]
    return xr.Dataset(
        {name: (("flops", *dims), np.stack([row[name] for row in rows])) for name, dims in _SHAPES.items()}
        | {
            "run_n_params": ("run", inputs["n_params"]),
            "observed": ("run", runs["value"].to_numpy(dtype=float)),
            "run_flops": ("run", spent),
            "run_budget": ("run", owner),
        },
        {"flops": budgets, "bound": ["median", "lower", "upper"]},
        attrs={
            "prob": prob,
            "within": within,
            "group": ", ".join(f"{k}={v}" for k, v in group.items()),
        }
        | told(studies),
    )


_SHAPES: Mapping[str, tuple[str, ...]] = {
    "n_params": ("point",),
    "median": ("point",),
    "lower": ("point",),
    "upper": ("point",),
    "best_n_params": ("bound",),
    "best_value": ("bound",),
    "cloud_n_params": ("draw",),
    "cloud_value": ("draw",),
}


def _usual(spent: np.ndarray, within: float) -> np.ndarray:
    """Budgets spread over the runs, each moved to the middle of the runs near it."""
    found = []
    low, high = np.quantile(spent, [0.05, 0.95])
    for wanted in np.geomspace(low, high, 5):
        near = spent[np.abs(np.log(spent / wanted)) <= np.log1p(within)]
        found.append(float(np.median(near)) if near.size else float(wanted))
    kept = found[:1]
    for budget in sorted(found)[1:]:
        if budget > kept[-1] * (1 + within):
            kept.append(budget)
    return np.array(kept)


def _nearest(spent: np.ndarray, budgets: np.ndarray, within: float) -> np.ndarray:
    away = np.abs(np.log(spent[:, None] / budgets[None, :]))
    nearest = away.argmin(axis=1)
    close = away[np.arange(spent.size), nearest] <= np.log1p(within)
    return np.where(close, budgets[nearest], np.nan)


def _profile(
    problem: Any,
    budget: float,
    sizes: np.ndarray,
    points: int,
    edges: list[float],
    keep: np.ndarray,
) -> dict[str, np.ndarray]:
    best = np.exp(best_size(problem, budget)[0][:, :1])
    value = problem.value(best, problem.data_for(best, budget))
    low, _, high = np.quantile(best, [0.01, 0.5, 0.99])
    low, high = min([low / 10**_WIDTH, *sizes]), max([high * 10**_WIDTH, *sizes])
    grid = np.geomspace(low, high, points)[None, :]
    profile = problem.value(grid, problem.data_for(grid, budget))
    middle, lower, upper = np.quantile(np.broadcast_to(profile, (problem.shape[0], points)), edges, axis=0)
    return {
        "n_params": grid[0],
        "median": middle,
        "lower": lower,
        "upper": upper,
        "best_n_params": np.quantile(best, edges),
        "best_value": np.quantile(value, edges),
        "cloud_n_params": best[keep, 0],
        "cloud_value": np.broadcast_to(value, best.shape)[keep, 0],
    }
