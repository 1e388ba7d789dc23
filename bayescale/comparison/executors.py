"""Where refits run: here, in processes of this machine, or wherever an executor sends them.

What is to be done travels as bytes that cloudpickle wrote, so that a law from a notebook cell or a script
travels as it is; nothing is ever read back from a disk that way.
"""

import os
import secrets
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

import numpy as np

from bayescale.comparison.refits import Failure
from bayescale.errors import BayescaleWarning, InputError
from bayescale.laws import Law
from bayescale.laws.law import register

__all__ = ["Places", "Work", "cores", "outcomes", "quiet"]

type Outcome = tuple[int, Any]

_HERE = secrets.token_hex(16)
"""Names this process, so that a job knows whether it has left home."""

_START = 8.0  # seconds that processes have to save before they are worth starting
_LOADING = 8.0  # seconds that the first refit in a process may take to load libraries
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


@dataclass(frozen=True, eq=False)
class Places:
    """Where refits shall run.

    Attributes
    ----------
    executor : Executor, optional
        Sends the refits; it is left running.
    workers : int, optional
        Processes to start. None refits here as long as what is left is quickly done, by the time of
        the last refit, and starts as many as there are cores where it is not.

    Raises
    ------
    InputError
        If one of the two is impossible, or both are given.
    """

    executor: Executor | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if hasattr(self.executor, "get_executor"):
            raise InputError("executor= takes an executor, not a Dask client: pass client.get_executor().")
        if self.executor is not None and (
            isinstance(self.executor, type) or not hasattr(self.executor, "submit")
        ):
            raise InputError(
                f"executor={self.executor!r} is no executor of concurrent.futures: pass one that has been "
                "made, such as ThreadPoolExecutor(4), or leave it out and say workers=4."
            )
        if self.executor is not None and self.workers is not None:
            raise InputError("executor= brings its own workers: leave workers= out.")
        whole = isinstance(self.workers, int | np.integer) and not isinstance(self.workers, bool)
        if self.workers is not None and not (whole and self.workers >= 1):
            raise InputError(f"workers={self.workers!r} must be a whole number of at least 1.")


@dataclass(frozen=True, eq=False)
class Work:
    """What all refits share.

    Attributes
    ----------
    do : callable
        From an item to its outcome, a `Failure` where it came to nothing.
    laws : tuple of Law
        Those that it finds by name.
    """

    do: Callable[[Any], Any]
    laws: tuple[Law, ...]


def outcomes(work: Work, items: Sequence[Any], places: Places) -> Iterator[Outcome]:
    """Position and outcome of each item, as they come."""
    left = list(range(len(items)))
    if places.executor is not None:
        yield from _submitted(places.executor, work, items, left)
        return
    count = min(places.workers or cores(), len(items))
    loading = _LOADING
    while left and (count == 1 or places.workers is None):
        i, began = left.pop(0), time.perf_counter()
        outcome = work.do(items[i])
        seconds, loading = time.perf_counter() - began - loading, 0.0
        yield i, outcome
        if count > 1 and seconds * len(left) * (1 - 1 / count) > _START:
            break
    if left:
        yield from _in_processes(work, items, left, count)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _submitted(
    executor: Executor, work: Work, items: Sequence[Any], which: Sequence[int]
) -> Iterator[Outcome]:
    """Outcomes from an executor; what had not begun is cancelled if nobody asks for more."""
    packed = _packed(work)
    futures: dict[Any, int] = {}
    try:
        for i in which:
            futures[executor.submit(_sent, packed, items[i])] = i
        for future in as_completed(futures):
            yield futures[future], _told(future)
    finally:
        for future in futures:
            future.cancel()


def _told(future: Any) -> Any:
    try:
        return future.result()
    except BrokenExecutor:
        raise
    except Exception as error:  # lost on the way, such as a worker of a cluster that was killed
        return Failure(f"it did not come back: {type(error).__name__}: {error}"[:2000])


def _in_processes(work: Work, items: Sequence[Any], left: list[int], count: int) -> Iterator[Outcome]:
    """Outcomes from processes of this machine. If one dies, the rest are refitted one at a time."""
    while left:
        context = _Detached()
        pool = ProcessPoolExecutor(min(count, len(left)), mp_context=context, initializer=_prepare)
        try:
            for i, outcome in _submitted(pool, work, items, tuple(left)):
                left.remove(i)
                yield i, outcome
        except BrokenExecutor:
            if count == 1:
                yield left.pop(0), Failure("the process that refitted it died; out of memory, perhaps.")
            count = 1
        except BaseException:
            for process in context.started:
                with suppress(Exception):
                    process.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Process(SpawnProcess):
    """A fresh Python with one thread for linear algebra, which does not run the user's script again."""

    def start(self) -> None:
        with _one_thread(), _script_unknown():
            super().start()


class _Detached(SpawnContext):
    """Starts such processes, and remembers them."""

    def __init__(self) -> None:
        self.started: list[SpawnProcess] = []
        super().__init__()

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # noqa: N802 (the name is multiprocessing's)
        process = _Process(*args, **kwargs)
        self.started.append(process)
        return process


@contextmanager
def _one_thread() -> Iterator[None]:
    """What is started within has one thread for linear algebra."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _script_unknown() -> Iterator[None]:
    """What is started within is not told of the script that runs here.

    A spawned process otherwise runs that script again, and one without a guard would start its own
    backtest. What it needs from there comes by value.
    """
    main = sys.modules["__main__"]
    before = {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
    for name in before:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(main, name, value)


def _prepare() -> None:
    """In a new process: Ctrl-C is for the parent to hear, and if that is gone, so is this."""
    import signal
    import threading
    from multiprocessing import connection, parent_process

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _sent(packed: bytes, item: Any) -> Any:
    """A refit away from home. Its laws are known there from then on; warnings are left to the findings."""
    home, work = _unpacked(packed)
    if home != _HERE:
        for law in work.laws:
            if not _ours(law):
                register(law)  # a query finds the law of a study by its name
        warnings.filterwarnings("ignore", category=BayescaleWarning)
    return work.do(item)


def _packed(work: Work) -> bytes:
    """Work as bytes, with the user's own laws in them."""
    import cloudpickle

    found = [sys.modules.get(law.formula.__module__) for law in work.laws if not _ours(law)]
    modules = {m.__name__: m for m in found if m is not None and m.__name__ != "__main__"}
    for module in modules.values():
        cloudpickle.register_pickle_by_value(module)
    try:
        return cloudpickle.dumps((_HERE, work))
    except Exception as error:
        told = ", ".join(repr(law.name) for law in work.laws)
        raise InputError(
            f"the law {told} or an option cannot be sent to another process: {error}. Refit here "
            "with workers=1, or write the law without what cannot be copied (open files, locks)."
        ) from error
    finally:
        for module in modules.values():
            cloudpickle.unregister_pickle_by_value(module)


@lru_cache(maxsize=4)
def _unpacked(packed: bytes) -> tuple[str, Work]:
    import cloudpickle

    return cloudpickle.loads(packed)


def _ours(law: Law) -> bool:
    """Whether a law comes with the package, and so is known wherever that is."""
    return str(getattr(law.formula, "__module__", "")).startswith("bayescale.")


@contextmanager
def quiet() -> Iterator[None]:
    """Warnings of single refits are collected as findings, not shown hundreds of times."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=BayescaleWarning)
        yield
