"""The best size under a budget, draw by draw, for any law that reads size and data."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale.errors import InputError
from bayescale.model.drift import held_near
from bayescale.queries.members import answering
from bayescale.queries.study import Study, drifted, one_group, parameters_at

__all__ = [
    "LEAST",
    "Cost",
    "Problem",
    "best_size",
    "budgets_of",
    "mixed_problem",
    "problem_of",
    "slopes_at",
    "value_at",
]

LEAST = math.log(1e3)  # no smaller model and no smaller data set is considered
_COARSE, _FINE = 96, 44  # points of the first pass, halvings of the second
_GOLDEN = (math.sqrt(5) - 1) / 2

type Cost = Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Problem:
    """The law's value as a function of size and data alone."""

    value: Callable[[np.ndarray, np.ndarray], np.ndarray]
    data_for: Callable[[np.ndarray, float], np.ndarray]
    largest: Callable[[float], float]  # log of the largest size that a budget pays for
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
        ``a``, ``b``, ``tokens_per_param`` of the law itself, without its misfit; empty where draws
        lack an inner optimum.
    """
    rows = max([len(v) for v in index.values()] or [1])
    problem = _assembled(study, index or {}, {}, None, np.random.default_rng(0), rows, drift=False)
    low, edge_low = best_size(problem, flops / 10)
    high, edge_high = best_size(problem, flops * 10)
    if (edge_low | edge_high).mean() > 0.01:
        return {}
    middle, _ = best_size(problem, flops)
    a = (high - low) / math.log(100.0)
    return {"a": a, "b": 1.0 - a, "tokens_per_param": flops / 6 / np.exp(2 * middle)}


def budgets_of(flops: Any, least: float = 1e8) -> np.ndarray:
    """Budgets as an array of shape (budget,), refused where they are no plain counts above `least`."""
    try:
        budgets = np.atleast_1d(np.asarray(flops, dtype=float))
    except (TypeError, ValueError) as error:
        raise InputError(f"flops={flops!r} must be a number or a list of numbers, such as 1e24.") from error
    if budgets.ndim != 1 or budgets.size == 0 or not (np.isfinite(budgets) & (budgets > least)).all():
        raise InputError(
            f"flops={flops!r}: budgets are plain counts of operations above {least:g}, such as 1e24; with a "
            "cost of your own, amounts above zero in its unit."
        )
    return budgets


def problem_of(
    study: Study,
    group: Mapping[str, str],
    given: Mapping[str, float],
    cost: Cost | None,
    rng: np.random.Generator,
) -> Problem:
    """The value over size and data for one group, with the law's other inputs given."""
    index = one_group(study, group)
    return _assembled(study, index, given, cost, rng, 1)


def mixed_problem(
    studies: Mapping[str, Study],
    group: Mapping[str, str],
    given: Mapping[str, float],
    cost: Cost | None,
    random_seed: int,
) -> Problem:
    """The problem of a study, or of the members of an average: the draws of one below those of another.

    A member that is not pooled over a column of `group` answers for all groups.
    """
    pooled = {name: _pooled_over(study) for name, study in studies.items()}
    every = set().union(*pooled.values())
    parts = []
    for name, study in studies.items():
        mine = {k: v for k, v in group.items() if k in pooled[name] or k not in every}
        with answering(name):
            parts.append(problem_of(study, mine, given, cost, np.random.default_rng([random_seed, 0])))
    first = parts[0]
    if len(parts) == 1:
        return first
    if len({part.sign for part in parts}) > 1:
        raise InputError("the laws of this average do not agree whether more is better; ask them one by one.")
    ends = np.cumsum([0, *(part.shape[0] for part in parts)])
    rows = [slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]

    def value(n: np.ndarray, d: np.ndarray) -> np.ndarray:
        columns = np.broadcast_shapes(np.shape(n), np.shape(d))[-1]
        found = []
        for part, mine in zip(parts, rows, strict=True):
            own = [x if np.shape(x)[0] == 1 else x[mine] for x in (n, d)]
            found.append(np.broadcast_to(part.value(*own), (part.shape[0], columns)))
        return np.concatenate(found)

    return Problem(value, first.data_for, first.largest, first.sign, (int(ends[-1]), first.shape[1]))


def _pooled_over(study: Study) -> set[str]:
    return {column for factor in study.structure.factors for column in factor.split(":")}


def _assembled(
    study: Study,
    index: Mapping[str, np.ndarray],
    given: Mapping[str, float],
    cost: Cost | None,
    rng: np.random.Generator,
    rows: int,
    drift: bool = True,
) -> Problem:
    s = study.structure
    if not {"n_params", "n_tokens"} <= set(s.law.inputs):
        raise InputError(
            f"law {s.law.name!r} reads {', '.join(s.law.inputs)}: an allocation needs a law that reads both "
            "n_params and n_tokens, such as 'chinchilla'."
        )
    missing = [
        k for k in s.law.inputs if k not in ("n_params", "n_tokens", "tokens_unique") and k not in given
    ]
    if missing:
        raise InputError(
            f"law {s.law.name!r} also reads {missing[0]!r}: give it, as in given={{{missing[0]!r}: …}}."
        )
    parameters = parameters_at(study, index, rng)

    def value(n: np.ndarray, d: np.ndarray) -> np.ndarray:
        raw = {"n_params": n, "n_tokens": d, "tokens_unique": d} | {
            k: np.float64(v) for k, v in given.items()
        }
        with np.errstate(all="ignore"):
            law = s.law(*(raw[k] / s.reference[k] for k in s.law.inputs), **parameters)
            return (
                drifted(study, held_near(s.drift, {k: np.asarray(v) for k, v in raw.items()}), law)
                if s.drift and drift
                else law
            )

    def data_for(n: np.ndarray, budget: float) -> np.ndarray:
        return budget / 6.0 / n if cost is None else _solve_cost(cost, n, budget)

    def largest(budget: float) -> float:
        return math.log(budget / 6.0) - LEAST if cost is None else _largest_paid(cost, budget)

    return Problem(value, data_for, largest, -1.0 if s.law.rises_with else 1.0, (study.n_samples, rows))


def _solve_cost(cost: Cost, n: np.ndarray, budget: float) -> np.ndarray:
    """Data that use up the budget beside a model of size n."""
    return np.exp(_last_within(lambda log_d: cost(n, np.exp(log_d)), budget, np.shape(n)))


def _largest_paid(cost: Cost, budget: float) -> float:
    return float(_last_within(lambda log_n: cost(np.exp(log_n), math.exp(LEAST)), budget, ()))


def _last_within(cost_at: Callable[[np.ndarray], Any], budget: float, shape: tuple[int, ...]) -> np.ndarray:
    """Log of the amount that uses up the budget, by bisection on the log axis."""
    low, high = np.full(shape, LEAST), np.full(shape, math.log(1e20))
    for _ in range(60):
        middle = 0.5 * (low + high)
        over = np.asarray(cost_at(middle)) > budget
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return 0.5 * (low + high)


def best_size(problem: Problem, budget: float) -> tuple[np.ndarray, np.ndarray]:
    """Log of the best size for each draw, and where it lies at the edge: shapes (sample, row)."""
    grid = np.linspace(LEAST, max(problem.largest(budget), LEAST + 1.0), _COARSE)
    best, place = np.full(problem.shape, np.inf), np.zeros(problem.shape, dtype=int)
    for i, log_n in enumerate(grid):
        value = value_at(problem, np.full((1, 1), log_n), budget)
        better = value < best
        best, place = np.where(better, value, best), np.where(better, i, place)
    edge = (place == 0) | (place == _COARSE - 1)
    low, high = grid[np.maximum(place - 1, 0)], grid[np.minimum(place + 1, _COARSE - 1)]
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = value_at(problem, left, budget), value_at(problem, right, budget)
    for _ in range(_FINE):
        down = at_left < at_right
        low, high = np.where(down, low, left), np.where(down, right, high)
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        fresh = value_at(problem, np.where(down, left, right), budget)
        at_left, at_right = np.where(down, fresh, at_right), np.where(down, at_left, fresh)
    return 0.5 * (low + high), edge


def value_at(problem: Problem, log_n: np.ndarray, budget: float) -> np.ndarray:
    """Value to be minimised at given log sizes under a budget, shape (sample, row); never NaN."""
    n = np.exp(log_n)
    value = problem.sign * problem.value(n, problem.data_for(n, budget))
    return np.broadcast_to(np.where(np.isnan(value), np.inf, value), problem.shape)
