"""How a law's parameters carry the units of its inputs, found by asking the formula."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bayescale.laws.pure import pure_range

if TYPE_CHECKING:
    from bayescale.laws.kinds import Kind
    from bayescale.laws.law import Law

__all__ = ["SAME_REFERENCE", "infer_scaling", "reference_homes"]

SAME_REFERENCE: Mapping[str, str] = {"tokens_unique": "n_tokens"}
"""Columns that are divided by the reference scale of another column, because laws read their ratio."""

_DRAWS = 6
_STEP = 1e-30
_LARGEST = 1e6
_TOLERANCE = 1e-5


def reference_homes(law: "Law") -> dict[str, str]:
    """Input whose reference scale each input is divided by: mostly its own.

    Raw sizes of modalities share one, that of the first which the law reads, since a law adds up what
    they come to in tokens.
    """
    addends = [c for c in law.inputs if c in law.factors]
    homes = {c: SAME_REFERENCE.get(c, c) for c in law.inputs}
    homes = {c: home if home in law.inputs else c for c, home in homes.items()}
    return homes | dict.fromkeys(addends, addends[0] if addends else "")


def infer_scaling(law: "Law") -> dict[str, dict[str, str | float]] | None:
    r"""The `scaling` of a law, from its formula alone.

    A change of unit multiplies an input x by a factor. If the parameters can make up for it, there are
    rates v with :math:`x\, \partial L / \partial x + \sum_P v_P\, \partial L / \partial P = 0`
    wherever x lies. The rates are solved for at several draws of the parameters; each must then be, at
    every draw, P times a constant, or P times plus or minus one of the parameters (for an intercept:
    without the P).

    Parameters
    ----------
    law : Law

    Returns
    -------
    dict or None
        As in `Law.scaling`; None if the formula fails on numbers, or no such rates exist, or more
        than one set does.
    """
    rng = np.random.default_rng(20220329)
    scaling: dict[str, dict[str, str | float]] = {}
    draws = [{letter: _draw(rng, kind) for letter, kind in law.parameters.items()} for _ in range(_DRAWS)]
    spread = np.linspace(0.5, 3, 12 * len(law.parameters) + 24)
    points = np.exp(spread * rng.standard_normal((len(law.inputs), len(spread))))
    _draw_pure(rng, law, points)
    homes = reference_homes(law)
    for position, column in enumerate(law.inputs):
        if homes[column] != column or pure_range(column) is not None:
            continue
        moved = [i for i, c in enumerate(law.inputs) if homes[c] == column]
        rates = [_rates(law, points, moved, draw) for draw in draws]
        if any(rate is None for rate in rates):
            return None
        for index, (letter, kind) in enumerate(law.parameters.items()):
            power = _power_of(
                np.array([rate[index] for rate in rates if rate is not None]), draws, letter, kind
            )
            if power is None:
                return None
            if power != 0:
                scaling.setdefault(letter, {})[law.arguments[position]] = power
    return scaling


def _draw(rng: np.random.Generator, kind: "Kind") -> float:
    if kind.support == "unit" or kind.name == "exponent":
        return float(rng.uniform(0.2, 0.8))
    normal = float(rng.standard_normal())
    return normal if kind.support == "real" else float(np.exp(normal / 2))


def _draw_pure(rng: np.random.Generator, law: "Law", points: np.ndarray) -> None:
    """Let rows of inputs without unit stay within the numbers that they can be, some at the ends."""
    for row, column in zip(points, law.inputs, strict=True):
        ends = pure_range(column)
        if ends is not None:
            margin = (ends[1] - ends[0]) / 4
            row[:] = np.clip(rng.uniform(ends[0] - margin, ends[1] + margin, len(row)), *ends)


def _rates(law: "Law", points: np.ndarray, moved: list[int], draw: dict[str, float]) -> np.ndarray | None:
    """Rates of the parameters that undo a growth of the `moved` inputs, or None."""
    try:
        with np.errstate(all="ignore"):
            grown = [x * (1 + _STEP * 1j) if i in moved else x for i, x in enumerate(points)]
            pull = np.imag(law(*grown, **draw)) / _STEP
            columns = [
                np.broadcast_to(
                    np.imag(law(*points, **{**draw, p: draw[p] + _STEP * 1j})) / _STEP, pull.shape
                )
                for p in draw
            ]
    except Exception:  # a formula that refuses NumPy's complex numbers has no answer here
        return None
    jacobian = np.stack(columns, axis=-1)
    table = np.column_stack([jacobian, pull])
    within = (np.abs(table) < _LARGEST).all(axis=1)  # False for NaN too: far points may overflow
    jacobian, pull = jacobian[within], pull[within]
    size = np.linalg.norm(jacobian, axis=0)
    if within.mean() < 0.5 or not (size > 0).all():
        return None
    solution, _, rank, _ = np.linalg.lstsq(jacobian / size, -pull, rcond=1e-12)
    left = np.linalg.norm(jacobian / size @ solution + pull)
    if rank < len(draw) or left > _TOLERANCE * np.linalg.norm(pull):
        return None
    return solution / size


def _power_of(
    rates: np.ndarray, draws: list[dict[str, float]], letter: str, kind: "Kind"
) -> str | float | None:
    """What the rates of one parameter are at every draw: a number, a letter, or neither (None)."""
    if kind.name != "intercept":
        rates = rates / np.array([draw[letter] for draw in draws])
    if np.allclose(rates, rates.mean(), rtol=_TOLERANCE, atol=_TOLERANCE):
        return round(float(rates.mean()), 4) + 0.0
    for other in draws[0]:
        values = np.array([draw[other] for draw in draws])
        if np.allclose(rates, values, rtol=_TOLERANCE, atol=_TOLERANCE):
            return other
        if np.allclose(rates, -values, rtol=_TOLERANCE, atol=_TOLERANCE):
            return f"-{other}"
    return None
