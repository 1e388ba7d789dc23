"""Loops over many points at once, compiled by numba: plain steps side by side, in lanes.

A processor works on several numbers at a time where a loop of fixed length does plain steps only, and sooner
where they do not wait for one another. So the exponential and the logarithm are written out here, exact to
rounding, and a formula followed by `bayescale.laws.straight` becomes a few such loops. The source that is
compiled is made of the steps' names and numbers, and of nothing that a user wrote.
"""

import hashlib
import math
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np

from bayescale.laws.straight import Name, Steps

__all__ = ["LANES", "Pieces", "alike", "bound", "compiled"]

LANES = 32
"""Points side by side."""

_LN2_HIGH, _LN2_LOW, _LOG2E = 6.93147180369123816490e-01, 1.90821492927058770002e-10, 1.4426950408889634
_MAGIC = 6755399441055744.0  # 1.5 * 2**52: added to a number, its low bits are the nearest whole number
_MAGIC_BITS, _ROOT_HALF_BITS = 0x4338000000000000, 0x3FE6A09E667F3BCD
_FACTORIALS = tuple(
    1.0 / x for x in (479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2, 1, 1)
)
_LOG_SERIES = (
    1.479819860511658591e-01,
    1.531383769920937332e-01,
    1.818357216161805012e-01,
    2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01,
    6.666666666666735130e-01,
)  # of log((1+s)/(1-s)), as in the freely distributable libm
_INFIX = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "greater": ">",
    "greater_equal": ">=",
    "less": "<",
    "less_equal": "<=",
    "equal": "==",
    "not_equal": "!=",
}
_LONG = frozenset(("exp", "log", "log1p", "expm1"))
_FLAGS = {"contract", "nsz"}  # a product and a sum in one step; no order of sums is changed


@cache
def tools() -> SimpleNamespace:
    """What loops are written with: ``njit``, and the functions of one number by name."""
    import numba
    from numba.extending import intrinsic

    njit = numba.njit(fastmath=_FLAGS, error_model="numpy", nogil=True)
    inline = numba.njit(fastmath=_FLAGS, error_model="numpy", forceinline=True)
    bits: Any = intrinsic(_bits)
    number: Any = intrinsic(_number)
    c12, c11, c10, c9, c8, c7, c6, c5, c4, c3, c2, c1, c0 = _FACTORIALS
    s0, s1, s2, s3, s4, s5, s6 = _LOG_SERIES
    log2e, high, low, magic, inf, nan = _LOG2E, _LN2_HIGH, _LN2_LOW, _MAGIC, float("inf"), float("nan")
    magic_bits, half_bits, shift = _MAGIC_BITS, _ROOT_HALF_BITS, 52

    @inline
    def exp(x):
        inside = min(max(x, -708.0), 709.0)
        t = inside * log2e + magic
        k = t - magic
        r = (inside - k * high) - k * low
        r2 = r * r
        r4 = r2 * r2
        low4 = (c0 + c1 * r) + (c2 + c3 * r) * r2
        next4 = (c4 + c5 * r) + (c6 + c7 * r) * r2
        high4 = (c8 + c9 * r) + (c10 + c11 * r) * r2
        p = (low4 + next4 * r4) + (high4 + c12 * r4) * (r4 * r4)
        y = number(bits(p) + (bits(t) << shift))
        y = y if x > -708.0 else 0.0
        y = y if x < 709.0 else inf
        return y if x == x else x

    @inline
    def log(x):
        whole = bits(x)
        e = (whole - half_bits) >> shift
        k = number(e + magic_bits) - magic
        f = number(whole - (e << shift)) - 1.0
        s = f / (2.0 + f)
        z = s * s
        z2 = z * z
        r = (s6 + s5 * z) + (s4 + s3 * z) * z2 + ((s2 + s1 * z) + s0 * z2) * (z2 * z2)
        half = 0.5 * f * f
        y = k * high - ((half - (s * (half + r * z) + k * low)) - f)
        y = y if x >= 2.3e-308 else (-inf if x >= 0.0 else nan)
        return y if x < inf else x

    @inline
    def log1p(x):
        u = 1.0 + x
        y = log(u) + (x - (u - 1.0)) / u
        return y if 0.0 < u < inf else log(u)

    @inline
    def expm1(x):
        u = exp(x)
        y = (u - 1.0) * x / log(u)
        y = y if u != 1.0 else x
        return y if 0.0 < u < inf else u - 1.0

    @inline
    def greatest(x, y):
        found = x if not x < y else y
        return found if y == y else y

    @inline
    def least(x, y):
        found = x if not x > y else y
        return found if y == y else y

    words = {"exp": exp, "log": log, "log1p": log1p, "expm1": expm1, "maximum": greatest, "minimum": least}
    return SimpleNamespace(njit=njit, words=words)


def _bits(_: Any, x: Any) -> Any:
    """The bits of a number."""
    from numba import types

    def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        from llvmlite import ir

        return builder.bitcast(given[0], ir.IntType(64))

    return types.int64(types.float64), made


def _number(_: Any, x: Any) -> Any:
    """The number of some bits."""
    from numba import types

    def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        from llvmlite import ir

        return builder.bitcast(given[0], ir.DoubleType())

    return types.float64(types.int64), made


@dataclass(frozen=True)
class Pieces:
    """A formula's steps as loops over the lanes.

    Inputs of the formula are ``x0, x1, ...``, alike for all lanes, and ``p0, p1, ...``, of which each lane
    has its own. These and the results stand in one flat array `s`, number ``i`` of lane ``w`` at place
    ``i * LANES + w``: first the inputs, then the results, then what is worked out on the way.

    Attributes
    ----------
    alike : Steps
        What is the same for all lanes: from every ``x``, the numbers that `piece` reads.
    before : function of s
        Takes the steps that no ``x`` goes into.
    piece : function of (numbers, s)
        Takes all others.
    size : int
        Numbers of a lane.
    key : str
        Differs where the steps do.
    """

    alike: Steps
    before: Callable[..., Any]
    piece: Callable[..., Any]
    size: int
    key: str


def bound(loop: Callable[..., Any], key: str = "", **names: Any) -> Callable[..., Any]:
    """A loop compiled with what its free names stand for; `key` differs where those do."""
    given = {**loop.__globals__, "n": LANES, "log": tools().words["log"], **names}
    made = FunctionType(loop.__code__, given, loop.__name__)
    made.__qualname__ = f"{loop.__name__}_{_digest(key)}"
    return _compiled(made)


def _made(*lines: str) -> Callable[..., Any]:
    """A function from its source."""
    text = "\n".join(lines)
    given = {"__name__": __name__, **tools().words} | {
        "inf": float("inf"),
        "nan": float("nan"),
        "sqrt": math.sqrt,
    }
    exec(compile(text, __file__, "exec"), given)  # noqa: S102 (made of steps and numbers only)
    made = given[lines[0].removeprefix("def ").partition("(")[0]]
    made.__qualname__ = f"{made.__name__}_{_digest(text)}"
    return _compiled(made)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled when first called, and kept beside the package's bytecode for the next process."""
    made = tools().njit(function)
    if os.environ.get("BAYESCALE_CACHE") != "":
        with suppress(RuntimeError):  # nowhere to write
            made.enable_caching()
    return made


@cache
def _here() -> bytes:
    return Path(__file__).read_bytes()


def _digest(text: str) -> str:
    """Differs where the text or this file does."""
    return hashlib.sha256(_here() + text.encode()).hexdigest()[:16]


type Step = tuple[str, str, tuple[Name, ...]]


def compiled(steps: Steps, first: int) -> Pieces:
    """The loops of a formula, with results from number `first` on."""
    steps = _reciprocal(steps)
    kinds = _kinds(steps)
    whole = [step for step in steps.steps if kinds[step[0]] in ("", "x")]
    early = [step for step in steps.steps if kinds[step[0]] == "p"]
    late = [step for step in steps.steps if kinds[step[0]] == "px"]
    results = list(steps.results)
    used = {g for _, _, given in late for g in given} | set(results)
    numbers = sorted(g for g in used if isinstance(g, str) and _kind(g, kinds) in ("", "x"))
    places: dict[Name, int] = {}
    free = first + len(results)
    before = ["def before(s):", *_loops(early, used, places, free)]
    piece = ["def piece(x, s):", *(f"    {name} = x[{i}]" for i, name in enumerate(numbers))]
    piece += _loops(late, set(results), places, free)
    piece += [f"    for w in range({LANES}):", *_loads(set(results), places)]
    piece += [f"        s[{(first + i) * LANES} + w] = {_text(r)}" for i, r in enumerate(results)]
    size = max([first + len(results), *(at + 1 for at in places.values())])
    return Pieces(
        Steps(tuple(whole), tuple(numbers)),
        _made(*before),
        _made(*piece),
        size,
        _digest("".join(before + piece)),
    )


def _loops(steps: list[Step], wanted: set[Name], places: dict[Name, int], free: int) -> list[str]:
    """Lines of loops over the lanes, one for each function that takes long.

    Short loops overlap, where steps of a long one would wait for one another. What goes from one to the next,
    and what is `wanted`, stands in `s`; its place is added to `places`.
    """
    lines, rest = [], list(steps)
    while rest:
        long = [i for i, (_, function, _) in enumerate(rest) if function in _LONG]
        part, rest = rest[: long[0] + 1 if long else None], rest[long[0] + 1 if long else len(rest) :]
        after = {g for _, _, given in rest for g in given} | wanted
        lines += [
            f"    for w in range({LANES}):",
            *_loads({g for _, _, given in part for g in given}, places),
        ]
        for name, function, given in part:
            lines.append(f"        {_step(name, function, given)}")
            if name in after:
                at = places.setdefault(name, max(places.values(), default=free - 1) + 1)
                lines.append(f"        s[{at * LANES} + w] = {name}")
    return lines or ["    pass"]


def alike(pieces: Pieces, given: list[Any], count: int) -> np.ndarray:
    """What is alike for all lanes, (count, number), from each ``x``: one number, or `count` of them."""
    with np.errstate(all="ignore"):
        found = pieces.alike({f"x{i}": np.asarray(x) for i, x in enumerate(given)})
    rows = [np.broadcast_to(x, count) for x in found]
    return np.stack(rows, axis=-1, dtype=float) if rows else np.empty((count, 0))


def _reciprocal(steps: Steps) -> Steps:
    """Divisions by what each lane has once, as products: those are taken anew for every ``x``."""
    kinds, found = _kinds(steps), []
    for name, function, given in steps.steps:
        if function == "divide" and kinds[name] == "px" and _kind(given[1], kinds) == "p":
            over = f"{given[1]}_over"
            if all(step[0] != over for step in found):
                found.append((over, "reciprocal", (given[1],)))
            function, given = "multiply", (given[0], over)
        found.append((name, function, given))
    return Steps(tuple(found), steps.results)


def _kinds(steps: Steps) -> dict[Name, str]:
    """What goes into each step: "x", "p", both ("px"), or neither."""
    kinds: dict[Name, str] = {}
    for name, _, given in steps.steps:
        kinds[name] = "".join(sorted({c for g in given for c in _kind(g, kinds)}))
    return kinds


def _kind(name: Name, kinds: dict[Name, str]) -> str:
    return kinds.get(name, name[0]) if isinstance(name, str) else ""


def _loads(names: set[Name], kept: dict[Name, int]) -> list[str]:
    """Lines that read what stands in `s`."""
    lines = []
    for name in sorted(map(str, names)):
        at = kept.get(name, int(name[1:]) if name[0] == "p" and name[1:].isdigit() else None)
        if at is not None:
            lines.append(f"        {name} = s[{at * LANES} + w]")
    return lines


def _text(name: Name) -> str:
    return name if isinstance(name, str) else repr(name)


def _step(name: str, function: str, given: tuple[Name, ...]) -> str:
    """A line of source."""
    a, *others = map(_text, given)
    if function in _INFIX:
        right = f"{a} {_INFIX[function]} {others[0]}"
    elif function == "negative":
        right = f"-({a})"
    elif function == "where":
        right = f"{others[0]} if {a} else {others[1]}"
    elif function == "square":
        right = f"{a} * {a}"
    elif function == "reciprocal":
        right = f"1.0 / {a}"
    elif function == "absolute":
        right = f"abs({a})"
    else:
        right = f"{function}({', '.join([a, *others])})"
    return f"{name} = {right}"
