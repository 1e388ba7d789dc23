"""How to spend a budget of inference: a larger language model, or more visual tokens for each image."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import BayescaleWarning, InputError
from bayescale.queries.optimum import budgets_of
from bayescale.queries.scales import check_prob, decades_beyond
from bayescale.queries.study import Study, one_group, parameters_at, study_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["allocate_inference"]

_SIZE, _TOKENS = "n_params", "n_vision_tokens"
_STEPS = 241  # of the token axis; whole counts where there are fewer
_EDGE = 1e-6

type InferenceCost = Callable[[Any, Any, float], Any]


def inference_flops(n_params: Any, n_vision_tokens: Any, text_tokens: float) -> Any:
    """Operations of reading one prompt: 2 N (T + Q), without the vision encoder."""
    return 2.0 * n_params * (n_vision_tokens + text_tokens)


def allocate_inference(
    posterior: "xr.DataTree",
    flops: float | Sequence[float],
    *,
    text_tokens: float = 50,
    tokens: tuple[float, float] = (1, 576),
    prob: float = 0.9,
    within: float = 0.01,
    group: Mapping[str, str] | None = None,
    cost: InferenceCost | None = None,
    random_seed: int = 0,
) -> "xr.Dataset":
    r"""Best number of visual tokens and best language-model size for budgets of one answer.

    Parameters
    ----------
    posterior : DataTree
        A study of a law that reads ``n_params`` and ``n_vision_tokens``, such as ``tokens_params``.
    flops : float or sequence of float
        Operations for one prompt, in the unit of `cost`.
    text_tokens : float, default 50
        Tokens of the question, Q; 0 where they are cached or not there.
    tokens : pair of float, default (1, 576)
        Least and greatest number of visual tokens that are considered: those of the runs, as a rule.
    prob : float, default 0.9
        Mass of the equal-tailed intervals.
    within : float, default 0.01
        Share by which the expected value may be worse than the best one to count as nearly as good.
    group : mapping of str to str, optional
        Group for each pooled column; a new one from the population if not given.
    cost : callable, optional
        ``cost(n_params, n_vision_tokens, text_tokens)``, proportional to or at least rising in
        n_params; 2 N (T + Q) by default.
    random_seed : int
        For unseen groups.

    Returns
    -------
    Dataset
        Over dim ``flops``: ``n_vision_tokens``, ``n_params`` and ``value`` (of the law, at the optimum)
        with dim ``bound`` (median, lower, upper); ``expected_best``, tokens with the best expected value,
        and ``near_best`` (dim ``edge``); ``at_fewest`` and ``at_most``, shares of draws whose best number
        is the least or the greatest of `tokens`; ``decades_beyond``, how far the median size and tokens
        lie outside the runs.

    Raises
    ------
    InputError
        If the law reads other inputs, or an option is impossible.

    Warns
    -----
    BayescaleWarning
        Where the answer lies more than tenfold beyond the runs.

    Notes
    -----
    For ``tokens_params`` with alpha > beta the optimum is :math:`Q \beta / (\alpha - \beta)` whatever the
    budget and the floor; otherwise there is none, and more tokens always pay. The share ``at_most`` says
    how sure that is.
    """
    import xarray as xr

    check_prob(prob)
    study = study_of(posterior)
    _refuse_other_laws(study)
    budgets = budgets_of(flops, least=0.0)
    low, high = _checked_tokens(tokens)
    _check_number("text_tokens", text_tokens, 0.0)
    _check_number("within", within, 0.0)
    grid = _grid(low, high)
    values = _values(study, group or {}, random_seed)
    sign = -1.0 if _TOKENS in study.structure.law.rises_with else 1.0
    rows = [
        _one_budget(values, _sizes(cost or inference_flops, grid, b, text_tokens), grid, sign, prob, within)
        for b in budgets
    ]
    found = xr.Dataset(
        {k: (("flops", *dims), np.stack([row[k] for row in rows])) for k, dims in _SHAPES.items()},
        {"flops": budgets, "bound": ["median", "lower", "upper"], "edge": ["lower", "upper"]},
        attrs={
            "prob": prob,
            "within": within,
            "text_tokens": float(text_tokens),
            "tokens": [float(low), float(high)],
            "metric": study.structure.metric,
            "law": study.structure.law.name,
            "cost": "2 N (T + Q)" if cost is None else getattr(cost, "__name__", "own"),
        },
    )
    medians = {k: found[k].sel(bound="median").values for k in (_SIZE, _TOKENS)}
    found = found.assign(decades_beyond=("flops", decades_beyond(study, medians)))
    beyond = float(found["decades_beyond"].max())
    if beyond > 1:
        warnings.warn(
            f"the best size or number of tokens lies up to 10^{beyond:.1f} times beyond the runs: the answer "
            "holds only if the law does. Ask for smaller budgets, or add runs.",
            BayescaleWarning,
            stacklevel=2,
        )
    return found


_SHAPES: Mapping[str, tuple[str, ...]] = {
    _TOKENS: ("bound",),
    _SIZE: ("bound",),
    "value": ("bound",),
    "expected_best": (),
    "near_best": ("edge",),
    "at_fewest": (),
    "at_most": (),
}


def _refuse_other_laws(study: Study) -> None:
    law = study.structure.law
    if set(law.inputs) != {_SIZE, _TOKENS}:
        raise InputError(
            f"law {law.name!r} reads {', '.join(law.inputs)}: an inference budget is split by a law "
            f"that reads {_SIZE} and {_TOKENS}, such as 'tokens_params'. For training "
            "budgets: bayescale.allocate."
        )


def _checked_tokens(tokens: Any) -> tuple[float, float]:
    try:
        low, high = (float(t) for t in tokens)
    except (TypeError, ValueError) as error:
        raise InputError(f"tokens={tokens!r} must be a pair, the least and the greatest number.") from error
    if not 0 < low < high < float("inf"):
        raise InputError(f"tokens={tokens!r}: numbers above zero, the smaller first, as in (1, 576).")
    return low, high


def _check_number(name: str, value: Any, least: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not np.isfinite(value) or value < least or (name == "within" and value == 0):
        raise InputError(f"{name}={value!r} must be a number of {least:g} or more, as in {name}=0.01.")


def _grid(low: float, high: float) -> np.ndarray:
    """Whole numbers of tokens where they are few, steps of equal ratio between them where many."""
    fine = np.geomspace(low, high, _STEPS)
    return np.unique(np.concatenate([[low], np.round(fine[1:-1]), [high]]).clip(low, high))


def _values(
    study: Study, group: Mapping[str, str], random_seed: int
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The law's value at sizes and tokens of shape (row,), for each draw: shape (sample, row)."""
    s = study.structure
    index = one_group(study, group)
    parameters = parameters_at(study, index, np.random.default_rng([random_seed, 0]))

    def value(n: np.ndarray, t: np.ndarray) -> np.ndarray:
        raw = {_SIZE: n, _TOKENS: t}
        scaled = (raw[k] / s.reference[k] for k in s.law.inputs)
        return np.broadcast_to(s.law(*scaled, **parameters), (study.n_samples, n.size))

    return value


def _sizes(cost: InferenceCost, grid: np.ndarray, budget: float, text_tokens: float) -> np.ndarray:
    """Size that uses up the budget beside each number of tokens, by bisection on the log axis."""
    low, high = np.zeros_like(grid), np.full_like(grid, np.log(1e20))
    for _ in range(80):
        middle = 0.5 * (low + high)
        over = np.asarray(cost(np.exp(middle), grid, text_tokens)) > budget
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    sizes = np.exp(0.5 * (low + high))
    if not (sizes > 1 + _EDGE).any():
        raise InputError(
            f"flops={budget:g} pays for no model at all: budgets are operations for one prompt, such as 1e12."
        )
    return sizes


def _one_budget(
    values: Callable[[np.ndarray, np.ndarray], np.ndarray],
    sizes: np.ndarray,
    grid: np.ndarray,
    sign: float,
    prob: float,
    within: float,
) -> dict[str, Any]:
    edges = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    value = values(sizes, grid)
    best = (sign * value).argmin(axis=1)
    expected = sign * value.mean(axis=0)
    top = int(expected.argmin())
    near = np.flatnonzero(expected <= expected[top] + within * abs(expected[top]))
    return {
        _TOKENS: np.quantile(grid[best], edges),
        _SIZE: np.quantile(sizes[best], edges),
        "value": np.quantile(np.take_along_axis(value, best[:, None], axis=1)[:, 0], edges),
        "expected_best": grid[top],
        "near_best": grid[near[[0, -1]]],
        "at_fewest": (best == 0).mean(),
        "at_most": (best == len(grid) - 1).mean(),
    }
