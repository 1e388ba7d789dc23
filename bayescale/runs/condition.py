"""The small language that selects rows: comparisons of a column with a literal, joined by ``and``.

``flops <= 1e20 and family == "llama"``, ``modality in (text, image)``. It is parsed here word by word;
nothing in it is ever evaluated as Python.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "parse_condition", "select_rows"]

_TOKEN = re.compile(
    r"""\s*(?:(?P<op><=|>=|==|!=|<|>)|(?P<mark>[()\[\],])"""
    r"""|"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<word>[^\s<>=!()\[\],"']+))"""
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_OPERATORS = ("<=", ">=", "==", "!=", "<", ">", "in")
_SHAPE = (
    "Write comparisons of a column with a number or a name, joined by 'and': "
    'flops <= 1e20 and family == "llama". Operators: ' + " ".join(_OPERATORS) + "."
)


@dataclass(frozen=True)
class Comparison:
    """One comparison: a column, an operator, and the literals it is held against, as written."""

    column: str
    operator: str
    literals: tuple[str, ...]


def parse_condition(text: str) -> tuple[Comparison, ...]:
    """The comparisons in a condition.

    Raises
    ------
    InputError
        If the text is anything but comparisons joined by ``and``; the message says where it stops.
    """
    tokens = _tokens(text)
    comparisons: list[Comparison] = []
    while True:
        comparison, tokens = _comparison(text, tokens)
        comparisons.append(comparison)
        if not tokens:
            return tuple(comparisons)
        if tokens[0] != ("word", "and") or len(tokens) == 1:
            raise _refusal(text, f"'and' and another comparison was expected at {tokens[0][1]!r}")
        tokens = tokens[1:]


def select_rows(frame: "pd.DataFrame", condition: Any) -> np.ndarray:
    """Boolean mask of the rows that meet a condition.

    Parameters
    ----------
    frame : DataFrame
    condition : str, callable or array of bool
        A text in the language above, a function of the frame that returns a mask, or a mask.

    Raises
    ------
    InputError
        If the condition does not parse, names a column that is not there, or has another length.
    """
    if isinstance(condition, str):
        mask = np.ones(len(frame), dtype=bool)
        for comparison in parse_condition(condition):
            mask &= _holds(frame, comparison)
        return mask
    mask = np.asarray(condition(frame) if callable(condition) else condition)
    if mask.dtype != bool or mask.shape != (len(frame),):
        raise InputError(
            f"where takes a condition in words, a function of the frame, or {len(frame)} values true or "
            "false "
            f"(one a row); it got {mask.dtype} of shape {mask.shape}."
        )
    return mask


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _refusal(text, f"{text[at : at + 20]!r} is not understood")
        kind = str(match.lastgroup)
        tokens.append(("text" if kind in ("double", "single") else kind, match[kind]))
        at = match.end()
    return tokens


def _comparison(text: str, tokens: list[tuple[str, str]]) -> tuple[Comparison, list[tuple[str, str]]]:
    if len(tokens) < 3:
        raise _refusal(text, "it is not a complete comparison")
    (kind, column), (_, operator), *rest = tokens
    if kind not in ("word", "text"):
        raise _refusal(text, f"a column was expected at {column!r}")
    if operator not in _OPERATORS:
        raise _refusal(text, f"an operator was expected at {operator!r}")
    if operator == "in":
        literals, rest = _list(text, rest)
        return Comparison(column, operator, literals), rest
    if rest[0][0] not in ("word", "text"):
        raise _refusal(text, f"a number or a name was expected at {rest[0][1]!r}")
    return Comparison(column, operator, (rest[0][1],)), rest[1:]


def _list(text: str, tokens: list[tuple[str, str]]) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    closing = {"(": ")", "[": "]"}.get(tokens[0][1]) if tokens[0][0] == "mark" else None
    ends = [i for i, token in enumerate(tokens) if token == ("mark", closing)]
    inside = tokens[1 : ends[0]] if ends else []
    if inside and inside[-1] == ("mark", ","):
        inside = inside[:-1]
    literals, commas = inside[::2], inside[1::2]
    proper = all(kind in ("word", "text") for kind, _ in literals) and all(c == ("mark", ",") for c in commas)
    if not literals or not proper or len(literals) != len(commas) + 1:
        raise _refusal(text, "after 'in' comes a list in brackets, such as (text, image)")
    return tuple(literal for _, literal in literals), tokens[ends[0] + 1 :]


def _refusal(text: str, problem: str) -> InputError:
    return InputError(f"the condition {text[:200]!r} cannot be read: {problem}. {_SHAPE}")


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "<": np.less,
    ">": np.greater,
    "==": np.equal,
    "!=": np.not_equal,
}


def _holds(frame: "pd.DataFrame", comparison: Comparison) -> np.ndarray:
    column, operator, literals = comparison.column, comparison.operator, comparison.literals
    if column not in frame.columns:
        raise InputError(
            f"the condition reads the column {column!r}, which this table lacks "
            f"(it has: {', '.join(map(str, frame.columns))})."
        )
    series = frame[column]
    if series.dtype.kind in "fiub":
        return _numbers_hold(series.to_numpy(dtype=float), column, operator, literals)
    if operator not in ("==", "!=", "in"):
        raise InputError(
            f"the column {column!r} holds text: compare it with ==, != or in, not with {operator}."
        )
    held = series.isin(literals).to_numpy(dtype=bool)
    return ~held if operator == "!=" else held


def _numbers_hold(values: np.ndarray, column: str, operator: str, literals: tuple[str, ...]) -> np.ndarray:
    for literal in literals:
        if not _NUMBER.fullmatch(literal):
            raise InputError(
                f"the column {column!r} holds numbers; it cannot be compared with {literal[:100]!r}."
            )
    numbers = [float(literal) for literal in literals]
    if operator == "in":
        return np.isin(values, numbers)
    return _COMPARE[operator](values, numbers[0])
