"""A made table of scales for any law: what a small sweep would vary, within what its columns can hold."""

from collections.abc import Mapping

import numpy as np

from bayescale.laws import Law
from bayescale.laws.pure import pure_range
from bayescale.runs.schema import column_of

__all__ = ["cells_of", "design"]

_COUNTED = {"n_experts", "granularity"}
_LOSSES = {"teacher_loss", "supervised_loss", "validation_loss"}


def cells_of(column: str, rng: np.random.Generator, n: int) -> np.ndarray:
    """Numbers such as a column of that kind holds."""
    known = column_of(column)
    ends = pure_range(column)
    if ends is not None and column not in ("n_experts", "teacher_loss"):
        return ends[0] + (ends[1] - ends[0]) * rng.uniform(0.1, 0.3, n)
    if known and known.plausible:
        return 10 ** rng.uniform(7.5, 10, n)
    if known and known.kind == "count":
        return rng.integers(1, 64, n)
    return rng.uniform(0.1, 0.8, n)


def design(law: Law, rng: np.random.Generator, n: int) -> Mapping[str, np.ndarray]:
    """Scales of `n` runs for the inputs of a law, wide enough to tell its parameters apart.

    Sizes over two and a half decades, data over three, compute as six times both; counts on a log grid;
    shares of a mixture anywhere within the simplex; bits from 2 to 16.
    """
    columns: dict[str, np.ndarray] = {}
    size, data = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9, 12, n)
    shares = [c for c in law.inputs if c.startswith("share_")]
    mixture = dict(zip(shares, rng.dirichlet(np.ones(len(shares) + 1), n).T[:-1], strict=True))
    for column in law.inputs:
        columns[column] = _cells(column, rng, n, size, data) if column not in mixture else mixture[column]
    return columns


def _cells(column: str, rng: np.random.Generator, n: int, size: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Cells of one column."""
    sizes = {"n_params": size, "n_active_params": size, "dense_params": size, "n_tokens": data}
    sizes |= {"n_params_nonembed": size, "n_samples": data, "chars_text": data, "flops": 6 * size * data}
    sizes |= {"tokens_unique": np.minimum(data, 10 ** rng.uniform(9, 11, n))}
    if column in sizes:
        return sizes[column]
    if column.startswith(("bytes_", "tokens_")):
        return 10 ** rng.uniform(8, 12, n)
    if column in _LOSSES:
        return rng.uniform(1.8, 3.6, n)
    if column in _COUNTED:
        return 2.0 ** rng.integers(0, 6, n)
    if column.startswith("precision_"):
        return rng.choice([2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0], n)
    if column == "sparsity":
        return rng.uniform(0.0, 0.95, n)
    if column == "year":
        return rng.uniform(2014, 2024, n)
    if column == "step":
        return np.round(10 ** rng.uniform(2.5, 5, n))
    if column == "n_vision_tokens":
        return 2.0 ** rng.integers(0, 11, n)
    if column == "n_params_vocab":
        return 10 ** rng.uniform(6.5, 9, n)
    return cells_of(column, rng, n)
