"""The command ``bayescale``: runs a verb, and turns what may go wrong into one message and a status."""

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from bayescale.cli.parser import parse
from bayescale.cli.words import in_options, printable
from bayescale.errors import BayescaleWarning, InputError

__all__ = ["command", "main"]

OK, FAULT, USAGE, INTERRUPTED = 0, 1, 2, 130


def command() -> int:
    """`main` as all that this process will do: the entry of ``bayescale``."""
    # Loading libraries makes 80,000 objects that stay: looking for garbage among them takes a twelfth of it.
    gc.set_threshold(200_000)
    return _run(None, alone=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        Words after ``bayescale``; those of this process by default.

    Returns
    -------
    int
        0 on success, 1 on a fault (told in one message on standard error, without a traceback unless
        the environment has ``BAYESCALE_DEBUG=1``), 2 on wrong usage, 130 when interrupted (Ctrl-C or
        SIGTERM) before there was anything to keep.
    """
    return _run(argv, alone=False)


def _run(argv: Sequence[str] | None, alone: bool) -> int:
    _write_anything()
    try:
        given = parse(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE
    try:
        with _plain_warnings(), _stoppable():
            module, verb = given.verb
            if alone:
                # Where Dask is installed, xarray loads it to see that no array is one of Dask's: most of the
                # time of a question. No verb has any use for it.
                sys.modules.setdefault("dask", None)  # pyright: ignore[reportArgumentType]
            status = getattr(import_module(f"bayescale.cli.{module}"), verb)(given)
            sys.stdout.flush()
            return status
    except KeyboardInterrupt:
        _say("interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who read us has gone, as head does
        return FAULT
    except Exception as error:
        if _debugging():
            raise
        _say(_fault(error))
        return FAULT


def _fault(error: Exception) -> str:
    """One readable message for whatever went wrong."""
    if isinstance(error, InputError):
        return f"error: {in_options(str(error))}"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"error: {where}{error.strerror or error}. Check the path, its permissions and the free space."
    if isinstance(error, MemoryError):
        return "error: out of memory. Fewer draws (--draws 500) or fewer rows (--where) need less."
    text = str(error).partition("\n")[0][:300]
    return (
        f"error: unexpected {type(error).__name__}: {text}. This is a fault of bayescale; run with "
        "BAYESCALE_DEBUG=1 for the traceback."
    )


def _debugging() -> bool:
    return os.environ.get("BAYESCALE_DEBUG", "") not in ("", "0")


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr)


def _write_anything() -> None:
    """Let a terminal without Unicode show escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Say each `BayescaleWarning` once, as text; leave other libraries' warnings to whoever debugs."""
    import warnings

    told: set[str] = set()

    def tell(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
        text = str(message)
        ours = issubclass(category, BayescaleWarning)
        if text not in told and (ours or _debugging()):
            told.add(text)
            _say(f"warning: {text}" if ours else f"{category.__name__}: {text}")

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=BayescaleWarning)
        warnings.showwarning = tell
        yield


@contextmanager
def _stoppable() -> Iterator[None]:
    """Take the SIGTERM of a batch queue as Ctrl-C, so that a fit keeps and saves the draws it has."""
    import signal
    import threading

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(command())
