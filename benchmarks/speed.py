"""How long users wait: fits, predictions, bootstraps and cold starts, with peers in the same run.

    uv run --group bench python benchmarks/speed.py

Each line is the least wall time of a few, in this process once warm, or of a new process where it says cold. A
million scales are asked for once, in a new process that tells the most memory it held. Where Dask is installed,
as here by the tests, xarray loads it in the first process; a plain install has none.
Peers: the field's point fit (Huber loss, L-BFGS from 32 of the grid's 4,500 starts), its bootstrap, and
simple-scaling-laws 0.2.0. General engines on the same posterior: benchmarks/engines.py; pooled fits:
benchmarks/hierarchy.py. Writes docs/speed.md.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from extrapolation import Split, huber_fit, objective
from scipy.optimize import minimize

import bayescale as bs

_COLD = """
import bayescale as bs
runs = bs.load_runs("chinchilla-figure4").where(lambda f: ~f["flag"].str.contains("authors_outlier"))
print(bs.intervals(bs.fit(runs, discrepancy=None, random_seed=0, progressbar=False)))
"""


_MILLION = """
import resource, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np, pandas as pd
import bayescale as bs
study, rng = bs.open(sys.argv[1]), np.random.default_rng(0)
draw = lambda low, high, rows: 10 ** rng.uniform(low, high, rows)
ask = lambda rows: pd.DataFrame({"n_params": draw(8, 11, rows), "n_tokens": draw(9, 12, rows)})
few, many = ask(1_000), ask(1_000_000)
bs.predict(study, few)
held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
bs.predict(study, many)
print(time.perf_counter() - began, held, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def least(work: Callable[[], object], times: int = 3) -> float:
    """Least wall seconds of a few."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def process(*command: str) -> Callable[[], object]:
    """A new process that must succeed."""
    return lambda: subprocess.run(command, check=True, capture_output=True)


def bootstrap_by_hand(split: Split, count: int) -> None:
    """The field's bootstrap: every resampled table refitted by L-BFGS from the best point."""
    best, rng = huber_fit(split), np.random.default_rng(0)
    logs = np.log(split.train[["n_params", "n_tokens", "value"]].to_numpy())
    for _ in range(count):
        again = logs[rng.integers(0, len(logs), len(logs))]
        minimize(objective, best, tuple(again.T), method="L-BFGS-B", options={"maxiter": 200})


def simple_scaling_laws(frame: pd.DataFrame) -> None:
    """The peer's fit, with its own bootstrap."""
    import polars as pl
    from simple_scaling_laws import fit

    table = {
        "training_run_id": [f"r{i}" for i in range(len(frame))],
        "model_size__n_params": frame["n_params"].tolist(),
        "dataset_size__n_tokens": frame["n_tokens"].tolist(),
        "test_loss__ce": frame["value"].tolist(),
    }
    fit(pl.DataFrame(table), seed=0)


def grid(rows: int) -> pd.DataFrame:
    """Scales between and beyond the runs."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"n_params": 10 ** rng.uniform(8, 11, rows), "n_tokens": 10 ** rng.uniform(9, 12, rows)}
    )


def backtested(runs: bs.RunTable, refits: int, discrepancy: str | None) -> float:
    """Seconds for each of so many refits to halves of the runs."""
    rng = np.random.default_rng(0)
    splits = []
    for i in range(refits):
        train = rng.permuted(np.arange(len(runs)) % 2 == 0)
        splits.append(bs.Split(f"half {i}", train, ~train))
    work = lambda: bs.backtest(  # noqa: E731
        runs, split=splits, discrepancy=discrepancy, random_seed=0, progressbar=False
    )
    return least(work, 1) / refits


def million(study: xr.DataTree) -> tuple[float, str]:
    """Seconds for a million scales in a process of its own, and its memory in words."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "study.nc")
        bs.save(study, path)
        done = subprocess.run(
            [sys.executable, "-c", _MILLION, path], check=True, capture_output=True, text=True
        )
    seconds, held, most = map(float, done.stdout.split())
    return seconds, f"{most / 1024:.0f} MB at most, {held / 1024:.0f} before"


def lines() -> list[tuple[str, float, str]]:
    """What was done, its seconds, and its ratio to something else or its memory."""
    runs = bs.load_runs("chinchilla-figure4").where(lambda f: ~f["flag"].str.contains("authors_outlier"))
    split = Split("all", runs.frame, runs.frame)
    found: list[tuple[str, float, str]] = []

    def tell(what: str, seconds: float, than: float | None = None, peer: str = "", told: str = "") -> float:
        ratio = told if than is None else f"{than / seconds:.1f} × as fast as {peer}"
        print(f"{what}: {seconds:.2f} s {ratio}", flush=True)
        found.append((what, seconds, ratio))
        return seconds

    grid_s = tell("peer: Huber fit, L-BFGS from 32 starts", least(lambda: huber_fit(split), 1))
    hand = tell("peer: its bootstrap, 100 refits", least(lambda: bootstrap_by_hand(split, 100), 1) - grid_s)
    peer = tell("peer: simple-scaling-laws, fit", least(lambda: simple_scaling_laws(runs.frame), 1))
    exact = {"discrepancy": None, "random_seed": 0, "progressbar": False}
    tell("posterior of 240 runs, law exact", least(lambda: bs.fit(runs, **exact)), grid_s, "the Huber fit")
    tell(
        "the same, and the log likelihood of every run, found when first read",
        least(lambda: bs.fit(runs, **exact)["log_likelihood"]["value"].values),
    )
    tell(
        "posterior with the default drift",
        least(lambda: bs.fit(runs, random_seed=0, progressbar=False)),
        peer,
        "simple-scaling-laws",
    )
    many = least(lambda: bs.huber_fit(runs, bootstrap=4000), 1)
    tell("huber_fit with a bootstrap of 4,000", many, 40 * hand, "the peer's bootstrap")
    study, drifting = bs.fit(runs, **exact), bs.fit(runs, random_seed=0, progressbar=False)
    few, more = grid(10_000), grid(100_000)
    tell("predict, 4,000 draws × 10,000 scales, law exact", least(lambda: bs.predict(study, few)))
    tell("predict, 4,000 draws × 100,000 scales, law exact", least(lambda: bs.predict(study, more)))
    seconds, memory = million(study)
    tell("predict, 4,000 draws × 1,000,000 scales, law exact", seconds, told=memory)
    tell("predict, 4,000 draws × 10,000 scales, with drift", least(lambda: bs.predict(drifting, few)))
    tell("one refit of a backtest, of 100, law exact", backtested(runs, 100, None))
    tell("one refit of a backtest, of 20, with drift", backtested(runs, 20, "drift"))
    tell("cold: python -c to printed intervals", least(process(sys.executable, "-W", "ignore", "-c", _COLD)))
    plain = "import sys; sys.modules['dask'] = None" + _COLD
    tell("cold: the same without Dask", least(process(sys.executable, "-W", "ignore", "-c", plain)))
    with tempfile.TemporaryDirectory() as folder:
        path, scales = str(Path(folder) / "study.nc"), str(Path(folder) / "scales.csv")
        bs.save(drifting, path)
        grid(10).to_csv(scales, index=False)
        cli = str(Path(sys.executable).with_name("bayescale"))
        tell("cold: bayescale predict on a saved study", least(process(cli, "predict", path, scales)))
        tell("cold: bayescale show", least(process(cli, "show", path)))
    told = json.loads(drifting.attrs["bayescale"])["engine"]
    print(f"the drift by {told['name']}, k-hat {told.get('khat', float('nan')):.2f}")
    return found


def main() -> None:
    """Measure, print and write."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = lines()
    text = [
        "# How long users wait",
        "",
        "Written by `uv run --group bench python benchmarks/speed.py`; what is timed stands there.",
        f"Machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}. Quote ratios.",
        "",
        "| what | s | |",
        "|---|--:|---|",
        *(f"| {what} | {seconds:.2f} | {ratio} |" for what, seconds, ratio in found),
    ]
    (Path(__file__).parents[1] / "docs" / "speed.md").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
