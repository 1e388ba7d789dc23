"""How to spend a budget: the size and the data that the posterior thinks best."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import BayescaleWarning, InputError
from bayescale.queries.scales import check_prob, decades_beyond
from bayescale.queries.study import Study, groups_of, parameters_at, study_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["allocate", "slopes_at"]

_LEAST = math.log(1e3)  # no smaller model and no smaller data set is considered
_COARSE, _FINE = 96, 44  # points of the first pass, halvings of the second
_GOLDEN = (math.sqrt(5) - 1) / 2

type Cost = Callable[[Any, Any], Any]


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
        A study of a law that reads size and data.
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

    Raises
    ------
    InputError
        If the law reads no size or no data, or an option is impossible.

    Warns
    -----
    BayescaleWarning
        Where the budget lies more than tenfold beyond the runs, or draws have no inner optimum.
    """
    import xarray as xr

    check_prob(prob)
    study = study_of(posterior)
    budgets = _budgets(flops)
    if not (isinstance(within, int | float) and within > 0):
        raise InputError(f"within={within!r} must be a positive share, as in within=0.01 for 1 %.")
    problem = _problem(study, group or {}, given or {}, cost, np.random.default_rng([random_seed, 0]))
    edges = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    rows = [_one_budget(problem, budget, edges, within) for budget in budgets]
    found = xr.Dataset(
        {
            name: (("flops", *dims), np.stack([row[name] for row in rows]))
            for name, dims in _SHAPES.items()
        },
        {"flops": budgets, "bound": ["median", "lower", "upper"], "edge": ["lower", "upper"]},
        attrs={
            "prob": prob,
            "within": within,
            "metric": study.structure.metric,
            "law": study.structure.law.name,
            "cost": "6 N D" if cost is None else getattr(cost, "__name__", "own"),
            "group": ", ".join(f"{k}={v}" for k, v in (group or {}).items())
            or ("new" if study.structure.factors else "all"),
        },
    )
    medians = {k: found[k].sel(bound="median").values for k in ("n_params", "n_tokens")}
    found["decades_beyond"] = ("flops", decades_beyond(study, medians))
    _warn(found)
    return found


_SHAPES: Mapping[str, tuple[str, ...]] = {
    "n_params": ("bound",),
    "n_tokens": ("bound",),
    "tokens_per_param": ("bound",),
    "loss": ("bound",),
    "expected_best": (),
    "near_best": ("edge",),
    "no_optimum": (),
}


@dataclass(frozen=True, eq=False)
class _Problem:
    """The law's value as a function of size and data alone."""

    value: Callable[[np.ndarray, np.ndarray], np.ndarray]
    data_for: Callable[[np.ndarray, float], np.ndarray]
    sign: float
    shape: tuple[int, ...]


def slopes_at(study: Study, flops: float, index: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Powers of compute at which best size and data grow, and tokens per parameter, near one budget.

    Parameters
    ----------
    study : Study
    flops : float
        C = 6ND about which the powers are taken (for power laws they are the same everywhere).
    index : mapping of str to int array of shape (group,)
        Groups, by factor.

    Returns
    -------
    dict of arrays of shape (sample, group)
        ``a``, ``b``, ``tokens_per_param``; empty where draws lack an inner optimum.
    """
    rows = max([len(v) for v in index.values()] or [1])
    problem = _assembled(study, index or {}, {}, None, np.random.default_rng(0), rows)
    low, edge_low = _best_size(problem, flops / 10)
    high, edge_high = _best_size(problem, flops * 10)
    if (edge_low | edge_high).mean() > 0.01:
        return {}
    middle, _ = _best_size(problem, flops)
    a = (high - low) / math.log(100.0)
    return {"a": a, "b": 1.0 - a, "tokens_per_param": flops / 6 / np.exp(2 * middle)}


def _budgets(flops: Any) -> np.ndarray:
    try:
        budgets = np.atleast_1d(np.asarray(flops, dtype=float))
    except (TypeError, ValueError) as error:
        raise InputError(f"flops={flops!r} must be a number or a list of numbers, such as 1e24.") from error
    if budgets.ndim != 1 or budgets.size == 0 or not (np.isfinite(budgets) & (budgets > 1e8)).all():
        raise InputError(f"flops={flops!r}: budgets are plain counts of operations above 1e8, such as 1e24.")
    return budgets


def _problem(
    study: Study,
    group: Mapping[str, str],
    given: Mapping[str, float],
    cost: Cost | None,
    rng: np.random.Generator,
) -> _Problem:
    import pandas as pd

    unknown = sorted(set(group) - {c for f in study.structure.factors for c in f.split(":")})
    if unknown:
        raise InputError(
            f"group= names {unknown[0]!r}, over which nothing is pooled here "
            f"(pooled over: {', '.join(study.structure.factors) or 'nothing'})."
        )
    index = groups_of(study, pd.DataFrame({k: [str(v)] for k, v in group.items()}, index=[0]))
    return _assembled(study, index, given, cost, rng, 1)


def _assembled(
    study: Study,
    index: Mapping[str, np.ndarray],
    given: Mapping[str, float],
    cost: Cost | None,
    rng: np.random.Generator,
    rows: int,
) -> _Problem:
    s = study.structure
    if not {"n_params", "n_tokens"} <= set(s.law.inputs):
        raise InputError(
            f"law {s.law.name!r} reads {', '.join(s.law.inputs)}: an allocation needs a law that reads both "
            "n_params and n_tokens, such as 'chinchilla'."
        )
    missing = [k for k in s.law.inputs if k not in ("n_params", "n_tokens", "tokens_unique") and k not in given]
    if missing:
        raise InputError(f"law {s.law.name!r} also reads {missing[0]!r}: give it, as in given={{{missing[0]!r}: …}}.")
    parameters = parameters_at(study, index, rng)

    def value(n: np.ndarray, d: np.ndarray) -> np.ndarray:
        raw = {"n_params": n, "n_tokens": d, "tokens_unique": d} | {k: np.float64(v) for k, v in given.items()}
        with np.errstate(all="ignore"):
            return s.law(*(raw[k] / s.reference[k] for k in s.law.inputs), **parameters)

    def data_for(n: np.ndarray, budget: float) -> np.ndarray:
        return budget / 6.0 / n if cost is None else _solve_cost(cost, n, budget)

    return _Problem(value, data_for, -1.0 if s.law.rises_with else 1.0, (study.n_samples, rows))


def _solve_cost(cost: Cost, n: np.ndarray, budget: float) -> np.ndarray:
    """Data that use up the budget beside a model of size n, by bisection on the log axis."""
    low, high = np.full_like(n, _LEAST), np.full_like(n, math.log(1e20))
    for _ in range(60):
        middle = 0.5 * (low + high)
        over = np.asarray(cost(n, np.exp(middle))) > budget
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return np.exp(0.5 * (low + high))


def _best_size(problem: _Problem, budget: float) -> tuple[np.ndarray, np.ndarray]:
    """Log of the best size for each draw, and where it lies at the edge: shapes (sample, row)."""
    top = math.log(budget / 6.0) - _LEAST
    grid = np.linspace(_LEAST, max(top, _LEAST + 1.0), _COARSE)
    best, place = np.full(problem.shape, np.inf), np.zeros(problem.shape, dtype=int)
    for i, log_n in enumerate(grid):
        value = _value(problem, np.full((1, 1), log_n), budget)
        better = value < best
        best, place = np.where(better, value, best), np.where(better, i, place)
    edge = (place == 0) | (place == _COARSE - 1)
    low, high = grid[np.maximum(place - 1, 0)], grid[np.minimum(place + 1, _COARSE - 1)]
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = _value(problem, left, budget), _value(problem, right, budget)
    for _ in range(_FINE):
        down = at_left < at_right
        low, high = np.where(down, low, left), np.where(down, right, high)
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        fresh = _value(problem, np.where(down, left, right), budget)
        at_left, at_right = np.where(down, fresh, at_right), np.where(down, at_left, fresh)
    return 0.5 * (low + high), edge


def _value(problem: _Problem, log_n: np.ndarray, budget: float) -> np.ndarray:
    n = np.exp(log_n)
    value = problem.sign * problem.value(n, problem.data_for(n, budget))
    return np.broadcast_to(np.where(np.isnan(value), np.inf, value), problem.shape)


def _one_budget(
    problem: _Problem, budget: float, edges: list[float], within: float
) -> dict[str, np.ndarray | float]:
    log_n, edge = _best_size(problem, budget)
    n = np.exp(log_n[:, :1])
    d = problem.data_for(n, budget)
    loss = problem.value(n, d)
    low, high = float(log_n.min()) - 3.0, float(log_n.max()) + 3.0
    grid = np.linspace(max(low, _LEAST), min(high, math.log(budget / 6.0) - _LEAST), 241)
    expected = np.array([float(np.mean(_value(problem, np.full((1, 1), g), budget))) for g in grid])
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
    }


def _warn(found: "xr.Dataset") -> None:
    said = []
    beyond = float(found["decades_beyond"].max())
    if beyond > 1:
        said.append(
            f"the optimum lies up to 10^{beyond:.1f} times beyond the runs: the interval holds only if the law "
            "does. Look at the answers of other laws too."
        )
    lost = float(found["no_optimum"].max())
    if lost > 0.01:
        said.append(
            f"{lost:.0%} of the draws have no inner optimum (more size or more data always wins): the law or the "
            "runs do not settle the question."
        )
    if said:
        warnings.warn("\n".join(["this allocation asks for care:", *(f"- {m}" for m in said)]), BayescaleWarning, 3)
