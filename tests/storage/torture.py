"""Processes that save over one path and are killed or race: `python torture.py kill|race PATH ROUNDS`.

They run apart from the tests, in a process that imports once and forks without any thread running.
"""

import os
import random
import runpy
import signal
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
_made = runpy.run_path(str(Path(__file__).with_name("make_format1.py")))


def study(mark):
    tree = _made["study"](draws=20, mark=mark)
    del tree["constant_data"]
    return tree


def save_for_ever(path, versions):
    from bayescale.storage import save

    trees = {mark: study(mark=mark) for mark in versions}
    while True:
        for tree in trees.values():
            save(tree, path)


def child(work, *arguments):
    number = os.fork()
    if number == 0:
        try:
            work(*arguments)
        finally:
            os._exit(1)
    return number


def mark_of(path):
    """Which version stands at the path, after checking that it is one version throughout."""
    import json

    import numpy as np

    from bayescale.storage import open_study

    tree = open_study(path)
    mark = json.loads(tree.attrs["bayescale"])["mark"]
    expected = study(mark=mark)["posterior"]
    for name in ("E", "alpha", "B"):
        np.testing.assert_array_equal(tree["posterior"][name], expected[name])
    return mark


def stop(numbers):
    for number in numbers:
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)


def kill(path, rounds):
    """Kill a saver at random moments; what stands there is always one complete version."""
    moments = random.Random(0)
    seen = []
    for _ in range(rounds):
        before = os.stat(path)
        number = child(save_for_ever, path, (1, 2))
        until = time.monotonic() + 30
        while os.stat(path).st_ino == before.st_ino and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(moments.uniform(0.0, 0.4))
        stop([number])
        seen.append(child_result(path))
    return seen


def race(path, rounds):
    """Let two processes save over each other while this one reads."""
    numbers = [child(save_for_ever, path, (10 + k,)) for k in range(2)]
    seen = []
    try:
        while len(seen) < rounds:
            seen.append(child_result(path))
            time.sleep(0.05)
    finally:
        stop(numbers)
    return seen


def child_result(path):
    """Read in a process of its own, so that this one starts no thread before it forks again."""
    out, into = os.pipe()
    number = child(lambda: os.write(into, str(mark_of(path)).encode()))
    os.close(into)
    os.waitpid(number, 0)
    with os.fdopen(out, "rb") as pipe:
        return int(pipe.read() or -1)


if __name__ == "__main__":
    import h5netcdf  # noqa: F401
    import h5py  # noqa: F401
    import xarray  # noqa: F401

    from bayescale.storage import open_study, save

    what, path, rounds = sys.argv[1:]
    study(mark=0)  # so that what xarray imports at first use is here before any process is forked
    if path.endswith(".zarr"):
        import numcodecs  # noqa: F401
        import zarr.storage  # noqa: F401

        first = child(lambda: save(study(mark=0), path))  # zarr writes through threads
        os.waitpid(first, 0)
    else:
        save(study(mark=0), path)
        open_study(path)
    print(*{"kill": kill, "race": race}[what](path, int(rounds)))
