"""The two ways in which the package speaks to a user who has to act."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message names it and the mend.

    The command line prints it alone, without a traceback, and exits with status 1.
    """


class BayescaleWarning(UserWarning):
    """A result that may mislead, with what to do about it."""
