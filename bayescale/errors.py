"""The two ways in which the package speaks to a user who has to act, and the word that was perhaps meant."""

from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave cannot be used; the message names it and the mend.

    The command line prints it alone, without a traceback, and exits with status 1.
    """


class BayescaleWarning(UserWarning):
    """A result that may mislead, with what to do about it."""


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A question to put behind a message, with the nearest of the known words; empty where none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, [*known], n=1, cutoff=cutoff)
    return f" Did you mean {near[0]!r}?" if near else ""
