"""How much data of one kind buys how many parameters, at equal expected value."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.queries.scales import as_frame, check_prob, inputs_of
from bayescale.queries.study import Study, groups_of, parameters_at, study_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["exchange"]

_SIZE = "n_params"
_WIDEST = 12.0  # decades of data that are tried, up and down
_STEPS = 60

type Law = Callable[[Mapping[str, np.ndarray]], np.ndarray]


def exchange(
    posterior: "xr.DataTree",
    at: Mapping[str, Any],
    *,
    params_factor: float | None = None,
    params_cap: float | None = None,
    memory_gb: float | None = None,
    bytes_per_param: float = 2.0,
    prob: float = 0.9,
    random_seed: int = 0,
) -> "xr.Dataset":
    """Data that make up for a smaller model: the same expected value at another size.

    For each draw and each kind of data that the law reads, by itself, the amount is found at which a model of
    the new size is expected to be as good as the one of `at`. The question of a device with little memory:
    what must be paid in text, image, audio or video for a model that fits into it?

    Parameters
    ----------
    posterior : DataTree
        A study of a law of ``n_params`` and data.
    at : mapping
        The run to be matched: the law's inputs in raw units, and a label for each pooled column.
    params_factor : float, optional
        New size over the one of `at`, such as 0.5.
    params_cap : float, optional
        Most parameters allowed; the new size is the smaller of it and the one of `at`.
    memory_gb : float, optional
        Memory for the weights, in 10^9 bytes; with `bytes_per_param` it is a cap on parameters. Give one of
        the three.
    bytes_per_param : float, default 2.0
        2 for 16-bit weights, 0.5 for 4-bit ones.
    prob : float, default 0.9
        Mass of the equal-tailed interval.
    random_seed : int
        For unseen groups.

    Returns
    -------
    Dataset
        Dims (data, bound): ``factor``, the new amount over the one of `at`; ``amount``, in the unit of the
        column. Infinite where no amount is enough; ``impossible`` (data) is the share of draws of which that
        is true. ``new_params``; ``value`` (bound), the expected value that is kept.

    Raises
    ------
    InputError
        If the law does not read a size and data, `at` lacks an input, or not exactly one new size is given.

    Notes
    -----
    Of the law itself: noise and drift cancel at equal value only if the law holds over the whole exchange.
    A kind of data that `at` has none of is left out. Source of the question: arXiv 2409.06754.
    """
    import xarray as xr

    check_prob(prob)
    study = study_of(posterior)
    inputs, index = _asked(study, at)
    kinds = [k for k in _data_of(study) if inputs[k][0] > 0]
    if not kinds:
        raise InputError("exchange: `at` has no data of any kind that the law reads; give some above zero.")
    size = float(inputs[_SIZE][0])
    new = _new_size(size, params_factor, params_cap, memory_gb, bytes_per_param)
    law = _law(study, index, random_seed)
    target = law(inputs)
    edges = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    factors, impossible = [], []
    for kind in kinds:
        found, unreachable = _solved(law, inputs, kind, new, target)
        factors.append(np.quantile(found, edges, method="nearest"))
        impossible.append(unreachable)
    amounts = np.array(factors) * np.array([[inputs[k][0]] for k in kinds])
    columns = [study.structure.columns.get(k, k) for k in kinds]
    return xr.Dataset(
        {
            "factor": (("data", "bound"), np.array(factors)),
            "amount": (("data", "bound"), amounts),
            "impossible": ("data", np.array(impossible)),
            "new_params": new,
            "value": ("bound", np.quantile(target, edges)),
        },
        {"data": columns, "bound": ["median", "lower", "upper"]},
        attrs={
            "prob": prob,
            "metric": study.structure.metric,
            "law": study.structure.law.name,
            "n_params": size,
            "random_seed": random_seed,
        },
    )


def _data_of(study: Study) -> list[str]:
    """Inputs that are amounts of data."""
    known = ("n_tokens", "n_samples")
    return [k for k in study.structure.law.inputs if k in known or k.startswith(("bytes_", "tokens_"))]


def _asked(study: Study, at: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    s = study.structure
    if _SIZE not in s.law.inputs or not _data_of(study):
        raise InputError(
            f"law {s.law.name!r} reads {', '.join(s.law.inputs)}: an exchange needs a law of n_params "
            "and data, such as 'chinchilla' or 'compression_power'."
        )
    if not isinstance(at, Mapping):
        raise InputError(
            f"at={at!r} must be one run as a mapping, such as at={{'n_params': 7e9, 'n_tokens': 2e12}}."
        )
    frame = as_frame({k: [v] for k, v in at.items()})
    return inputs_of(study, frame), groups_of(study, frame)


def _new_size(
    size: float,
    factor: float | None,
    cap: float | None,
    memory_gb: float | None,
    bytes_per_param: float,
) -> float:
    """The size that is allowed."""
    named = {"params_factor": factor, "params_cap": cap, "memory_gb": memory_gb}
    given = {k: v for k, v in named.items() if v is not None}
    if len(given) != 1:
        have = ", ".join(given) or "none"
        raise InputError(f"exchange: give one of params_factor, params_cap and memory_gb (given: {have}).")
    for name, value in {**given, "bytes_per_param": bytes_per_param}.items():
        if not isinstance(value, int | float | np.number) or not np.isfinite(value) or value <= 0:
            raise InputError(f"{name}={value!r} must be a number above zero.")
    if factor is not None:
        return size * float(factor)
    most = float(cap) if cap is not None else float(memory_gb or 0.0) * 1e9 / bytes_per_param
    return min(size, most)


def _law(study: Study, index: Mapping[str, np.ndarray], seed: int) -> Law:
    """The law's value for each draw, of inputs in raw units of shape (1,) or (sample, 1)."""
    s = study.structure
    parameters = parameters_at(study, index, np.random.default_rng([seed, 0]))

    def value(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        with np.errstate(over="ignore", under="ignore"):
            found = s.law(*(inputs[k] / s.reference[k] for k in s.law.inputs), **parameters)
        return np.broadcast_to(found, (study.n_samples, 1))[:, 0]

    return value


def _solved(
    law: Law, inputs: Mapping[str, np.ndarray], kind: str, new: float, target: np.ndarray
) -> tuple[np.ndarray, float]:
    """Factor on one kind of data for each draw, infinite where none is enough, and the share of those."""

    def value(log_factor: np.ndarray) -> np.ndarray:
        more = inputs[kind][0] * 10.0 ** log_factor[:, None]
        return law({**inputs, _SIZE: np.full(1, new), kind: more})

    low, high = np.full(target.size, -_WIDEST), np.full(target.size, _WIDEST)
    at_low, at_high = value(low), value(high)
    better = np.sign(at_high - at_low)  # direction in which more data move the value
    reached = better * (at_high - target) >= 0
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        short = better * (value(middle) - target) < 0
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    factor = np.where(reached & (better != 0), 10.0 ** (0.5 * (low + high)), np.inf)
    return factor, float(np.mean(~np.isfinite(factor)))
