"""Words in and out: the small forms that an argument takes, and text that is safe to show."""

import math
import re
from argparse import ArgumentTypeError
from collections.abc import Iterable

__all__ = ["in_options", "number", "pair", "pooled", "pooling", "printable", "prior", "whole"]

_NUMBER = r"[+-]?(?:\d+\.?\d*?|\.\d+)(?:[eE][+-]?\d+)?"
_BOUNDS = re.compile(rf"({_NUMBER})\.\.({_NUMBER})")


# What messages written for Python call an argument, and the option that is meant here.
_OPTIONS = {
    "rename=": "--rename theirs=ours",
    "where=": "--where 'flops <= 1e20'",
    "where(": "--where 'flops <= 1e20'",
    "with where.": "--where 'flops <= 1e20'",
    "exclude_flags=": "--exclude-flag authors_outlier",
    "all_rows=": "--all-rows",
    "metric=": "--metric loss_nats",
    "pool=": "--pool alpha=family",
    "between(": "--prior alpha=0.1..0.6",
    "priors=": "--prior alpha=0.1..0.6",
    "noise=": "--noise normal",
    "engine=": "--engine numpyro",
    "draws=": "--draws 1000",
    "chains=": "--chains 4",
    "target_accept": "--target-accept 0.95",
    "random_seed=": "--seed 0",
    "prob=": "--prob 0.9",
    "within=": "--within 0.01",
    "group=": "--group family=llama",
    "given=": "--given tokens_unique=1e11",
    "train=": "--train 'flops <= 1e20'",
    "modality=": "--modality text",
    "tokenizer=": "--tokenizer FILE|NAME",
    "split=": "--split rolling",
    "workers=": "--workers 4",
    "resume=": "--resume folder",
    "Rolling(": "--split rolling --over n_params --least 4",
    "LeaveOut(": "--split leave-family-out --over study",
    "FewRuns(": "--split few-runs --own 0 1 3",
}


def in_options(message: str) -> str:
    """A message written for Python, and how its arguments are given on the command line."""
    meant = {o: None for word, o in _OPTIONS.items() if re.search(rf"\b{re.escape(word)}", message)}
    return f"{message}\nOn the command line: {', '.join(meant)}." if meant else message


def number(text: str) -> int | float:
    """A whole number as int, any other as float: ``4``, ``0.9``, ``1e3``."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ArgumentTypeError(f"{text!r} is no number")
    return found


def whole(text: str) -> int:
    """A whole number from 0 on."""
    found = number(text)
    if found < 0 or found != int(found):
        raise ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(found)


def pair(text: str) -> tuple[str, str]:
    """``theirs=ours``."""
    left, mark, right = text.partition("=")
    if not (mark and left.strip() and right.strip()):
        raise ArgumentTypeError(f"{text!r} has not the form name=name, such as loss=value")
    return left.strip(), right.strip()


def pooled(text: str) -> tuple[str, list[str]]:
    """``alpha=family``, ``alpha=family,eval_name``, or ``family`` alone (then the letter is empty)."""
    letter, mark, columns = text.rpartition("=")
    found = [column.strip() for column in columns.split(",")]
    if not all(found) or bool(mark) != bool(letter.strip()):
        raise ArgumentTypeError(f"{text!r} has not the form letter=column, such as alpha=family")
    return letter.strip(), found


def pooling(words: Iterable[tuple[str, list[str]]]) -> dict[str, list[str]] | str | None:
    """What `fit` takes as ``pool``; the same letter twice crosses its columns."""
    words = list(words)
    alone = [columns for letter, columns in words if not letter]
    if alone:
        from bayescale.errors import InputError

        if len(words) > 1 or len(alone[0]) > 1:
            raise InputError(
                f"--pool {','.join(alone[0])} pools every parameter over one column, and can stand only once "
                "and alone. Name the letters instead: --pool alpha=family --pool E=family,eval_name."
            )
        return alone[0][0]
    found: dict[str, list[str]] = {}
    for letter, columns in words:
        found.setdefault(letter, []).extend(columns)
    return found or None


def prior(text: str) -> tuple[str, tuple[float, float]]:
    """``alpha=0.1..0.6``: bounds that hold 90 % of the mass."""
    name, _, bounds = text.partition("=")
    match = _BOUNDS.fullmatch(bounds.strip())
    if not name.strip() or match is None:
        raise ArgumentTypeError(f"{text!r} has not the form name=low..high, such as alpha=0.1..0.6")
    return name.strip(), (float(match[1]), float(match[2]))


def printable(text: str) -> str:
    """Text in which nothing but line breaks steers a terminal: other control characters are escaped."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
