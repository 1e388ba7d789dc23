"""How to spend a budget: the size and the data that the posterior thinks best."""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayescale.errors import BayescaleWarning, InputError
from bayescale.queries.optimum import LEAST, Cost, Problem, best_size, budgets_of, problem_of, value_at
from bayescale.queries.scales import check_prob, decades_beyond
from bayescale.queries.study import study_of

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
    budgets = budgets_of(flops) if cost is None else budgets_of(flops, least=0.0)
    if not (isinstance(within, int | float) and within > 0):
        raise InputError(f"within={within!r} must be a positive share, as in within=0.01 for 1 %.")
    problem = problem_of(study, group or {}, given or {}, cost, np.random.default_rng([random_seed, 0]))
    edges = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    rows = [_one_budget(problem, budget, edges, within) for budget in budgets]
    found = xr.Dataset(
        {name: (("flops", *dims), np.stack([row[name] for row in rows])) for name, dims in _SHAPES.items()},
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
    }


def _warn(found: "xr.Dataset") -> None:
    said = []
    beyond = float(found["decades_beyond"].max())
    if beyond > 1:
        said.append(
            f"the optimum lies up to 10^{beyond:.1f} times beyond the runs: the interval holds only if the "
            "law does. Look at the answers of other laws too."
        )
    lost = float(found["no_optimum"].max())
    if lost > 0.01:
        said.append(
            f"{lost:.0%} of the draws have no inner optimum (more size or more data always wins): the law or "
            "the runs do not settle the question."
        )
    if said:
        warnings.warn(
            "\n".join(["this allocation asks for care:", *(f"- {m}" for m in said)]), BayescaleWarning, 3
        )
