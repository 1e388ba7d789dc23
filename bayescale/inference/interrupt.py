"""Hearing an interrupt that compiled code swallows."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Ears", "listening"]


class Ears:
    """Whether Ctrl-C came since `listening` began."""

    heard = False

    def check(self, *_: Any, **__: Any) -> None:
        """Raise `KeyboardInterrupt` if it came; takes and ignores what a sampler's callback is given."""
        if self.heard:
            raise KeyboardInterrupt("interrupted before the first draw was kept")


@contextmanager
def listening() -> Iterator[Ears]:
    """Remember Ctrl-C, which Numba's compiler and compiled functions may drop, to be checked later.

    Python's own handler acts as before. In another thread, or under a handler of the caller's, nothing
    is remembered.
    """
    ears = Ears()
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield ears
        return

    def listen(number: int, frame: FrameType | None) -> None:
        ears.heard = True
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, listen)
    try:
        yield ears
    finally:
        signal.signal(signal.SIGINT, before)
