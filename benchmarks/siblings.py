"""What published siblings are worth: a family with three runs of its own, and three corpora fitted jointly.

    uv run python benchmarks/siblings.py
    uv run python benchmarks/siblings.py --data FOLDER --workers 8   # further sets, CSV in our schema

Few runs: the three smallest runs of a family, alone and beside all runs of its siblings, foretell its runs
about ten times further (half a decade to one and a half beyond the largest of the three) and farther still.
Jointly: each corpus without its two largest budgets, alone and all in one fit. All scores are of log values.
Writes docs/few-runs.md.
"""

import argparse
import os
import platform
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from extrapolation import below_two_budgets, compute

import bayescale as bs

OWN = 3
_COMMON = {"E": "family", "A": "family", "B": "family"}
_EXACT = {"discrepancy": None}
ARMS: dict[str, tuple[bool, dict[str, Any]]] = {
    "alone": (False, _EXACT),
    "siblings": (True, {"pool": "family", **_EXACT}),
    "siblings, drift": (True, {"pool": "family", "discrepancy": "drift"}),
    "siblings, common exponents": (True, {"pool": _COMMON, **_EXACT}),
    "siblings, common exponents, drift": (True, {"pool": _COMMON, "discrepancy": "drift"}),
}
_DRAWS = {"draws": 500, "tune": 500}  # of NUTS, where it is needed: three runs leave a wide posterior
_KEY = ["kind", "study", "of", "arm"]
_COLUMNS = ["family", "n_params", "n_tokens", "value", "metric"]


@dataclass(frozen=True)
class Task:
    """Rows to fit and to foretell, in one way."""

    kind: str
    study: str
    family: str
    arm: str
    train: pd.DataFrame
    test: pd.DataFrame

    @property
    def of(self) -> str:
        """Which family it is about."""
        return self.family or "all"


def studies(folder: Path | None) -> Iterator[tuple[str, pd.DataFrame]]:
    """Studies of several families under one recipe each."""
    for name in ("gadre-overtraining", "porian-isoflop"):
        yield name, bs.load_runs(name).frame
    for name in ("laion-clip", "laion-comparison"):
        pairs = bs.load_runs(name).frame
        yield name, pairs.assign(n_tokens=pairs["n_samples"])
    for name in ("marin-isoflop", "xlstm-isoflop") if folder else ():
        path = (folder or Path()) / f"{name}.csv"
        if path.exists():
            frame = pd.read_csv(path, low_memory=False)
            keep = (frame["is_final"] == 1) & ~frame["flag"].fillna("").str.contains("diverged")
            yield name, frame[keep].dropna(subset=["n_params", "n_tokens", "value"])


def few(name: str, frame: pd.DataFrame) -> Iterator[Task]:
    """Each family in turn with its smallest runs alone, if it has some ten times further."""
    for family, runs in frame.groupby("family"):
        runs = runs.iloc[np.argsort(compute(runs), kind="stable")]
        own, rest = runs.iloc[:OWN], runs.iloc[OWN:]
        test = rest[compute(rest) >= compute(own).max() * 10**0.5]
        if len(test) < 3:
            continue
        others = frame[frame["family"] != family]
        for arm, (with_siblings, _) in ARMS.items():
            train = pd.concat([own, others]) if with_siblings else own
            yield Task("few", name, str(family), arm, train[_COLUMNS], test[_COLUMNS])


def joint(name: str, frame: pd.DataFrame) -> Iterator[Task]:
    """Every family without its two largest budgets: one by one, and all at once."""
    below = np.zeros(len(frame), dtype=bool)
    for family in frame["family"].unique():
        mine = (frame["family"] == family).to_numpy()
        below[mine], budgets = below_two_budgets(compute(frame[mine]))
        if budgets < 5:
            return
    train, test = frame[below], frame[~below]
    for arm, (with_siblings, _) in ARMS.items():
        if with_siblings:
            yield Task("joint", name, "", arm, train[_COLUMNS], test[_COLUMNS])
            continue
        for family in frame["family"].unique():
            mine = (f[f["family"] == family][_COLUMNS] for f in (train, test))
            yield Task("joint", name, str(family), arm, *mine)


def answer(task: Task) -> pd.DataFrame | str:
    """Each row foretold with its quantiles, or why not."""
    began = time.perf_counter()
    table = task.train.assign(run_id=[f"r{i}" for i in range(len(task.train))])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = bs.fit(
                table, "chinchilla", random_seed=0, progressbar=False, **_DRAWS, **ARMS[task.arm][1]
            )
            draws = bs.predict_draws(study, task.test[["family", "n_params", "n_tokens"]], random_seed=0)
    except (ValueError, RuntimeError, bs.InputError) as error:
        return f"{task.study} {task.family} {task.arm}: {str(error)[:200]}"
    own = task.train[task.train["family"] == task.family] if task.family else task.train
    logs = np.log(draws.values)
    low, middle, high = np.quantile(logs, [0.05, 0.5, 0.95], axis=0)
    far = np.log10(compute(task.test) / compute(own).max())
    said = {"low": low, "middle": middle, "high": high, "far": far, "seconds": time.perf_counter() - began}
    about = {k: getattr(task, k) for k in _KEY}
    bad = not bs.convergence(study).ok
    found = task.test.assign(**about, **said, unsound=bad, truth=np.log(task.test["value"]))
    return found.reset_index(drop=True)


def scored(rows: pd.DataFrame) -> pd.Series:
    """Scores of some rows."""
    away = rows["truth"] - rows["middle"]
    held = (rows["truth"] >= rows["low"]) & (rows["truth"] <= rows["high"])
    return pd.Series(
        {
            "rows": len(rows),
            "RMSE": np.sqrt(np.mean(away**2)),
            "RMSE, unit of the metric": np.sqrt(
                np.mean((np.exp(rows["truth"]) - np.exp(rows["middle"])) ** 2)
            ),
            "bias": away.mean(),
            "90 %": held.mean(),
            "width": (rows["high"] - rows["low"]).mean(),
            "unsound": rows[rows["unsound"]][_KEY].drop_duplicates().shape[0],
            "fits": rows[_KEY].drop_duplicates().shape[0],
            "s": rows["seconds"].median(),
        }
    )


def table_of(rows: pd.DataFrame, by: list[str]) -> str:
    """Scores by group, in Markdown."""
    found = rows.groupby(by, sort=False)[rows.columns.tolist()].apply(scored).reset_index()
    lines = [
        "| " + " | ".join(found.columns) + " |",
        "|" + "---|" * len(by) + "--:|" * (len(found.columns) - len(by)),
    ]
    for row in found.to_dict("records"):
        cells = [
            f"{v:.4f}" if k.startswith("RMSE") else f"{v:+.4f}" if k == "bias" else f"{v:.0f}"
            if k in ("rows", "unsound", "fits") else f"{v:.1f}" if k == "s" else f"{v:.3f}" if isinstance(v, float) else str(v)
            for k, v in row.items()
        ]  # fmt: skip
        lines.append("| " + " | ".join(c.replace("|", ", ") for c in cells) + " |")
    return "\n".join(lines) + "\n"


def ratios(rows: pd.DataFrame) -> str:
    """Median over families of the error with siblings over that alone."""
    each = rows.groupby(["study", "family", "arm"])[rows.columns.tolist()].apply(scored)["RMSE"].unstack()
    found = []
    for arm in (a for a, (with_siblings, _) in ARMS.items() if with_siblings and a in each):
        ratio = (each[arm] / each["alone"]).dropna()
        found.append(
            f"* {arm}: median over {len(ratio)} families of the error over that of the runs alone "
            f"{ratio.median():.2f}; at most half in {int((ratio <= 0.5).sum())}; larger in {int((ratio > 1).sum())}."
        )
    return "\n".join(found) + "\n"


def written(rows: pd.DataFrame) -> str:
    """The report."""
    order = {arm: i for i, arm in enumerate(ARMS)}
    rows = rows.assign(distance=np.where(rows["far"] <= 1.5, "ten times", "farther"))
    rows = rows.sort_values(
        ["kind", "study", "family", "distance", "arm"], key=lambda c: c.map(order) if c.name == "arm" else c
    )
    some, near = rows[rows["kind"] == "few"], rows[(rows["kind"] == "few") & (rows["far"] <= 1.5)]
    parts = [
        "# Few runs and published siblings\n",
        "Written by `benchmarks/siblings.py`; what is fitted and foretold stands there. Machine: "
        f"{os.cpu_count()} cores, {platform.machine()}. Scores of log values; *unsound* counts fits that did not "
        "converge with 500 draws a chain; seconds are those of a shared machine, and rows may have been "
        "gathered over several runs of the script (`--rows`).\n",
        f"## {OWN} runs of its own\n",
        ratios(near),
        table_of(some, ["distance", "arm"]),
        "### About ten times further, by study\n",
        table_of(near, ["study", "arm"]),
        "### By family\n",
        table_of(near, ["study", "family", "arm"]),
    ]
    jointly = rows[rows["kind"] == "joint"]
    if len(jointly):
        parts += ["## Fitted jointly\n", table_of(jointly, ["study", "family", "arm"])]
    return "\n".join(parts)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, help="folder with further sets, one CSV each in the common schema"
    )
    parser.add_argument("--only", help="studies whose name holds this text; nothing is written")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rows", type=Path, help="CSV that keeps the rows foretold, so that a rerun goes on")
    options = parser.parse_args()
    tasks = [
        task
        for name, frame in studies(options.data)
        if not options.only or options.only in name
        for way in (few, joint)
        for task in way(name, frame)
    ]
    tasks.sort(key=lambda task: task.kind == "few")  # the longest first
    found = [pd.read_csv(options.rows)] if options.rows and options.rows.exists() else []
    done = {key for rows in found for key in zip(*(rows[k] for k in _KEY), strict=True)}
    tasks = [t for t in tasks if not {(t.kind, t.study, t.of, t.arm)} & done]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for finished in as_completed([pool.submit(answer, task) for task in tasks]):
            rows = finished.result()
            if isinstance(rows, str):
                print(rows, flush=True)
                continue
            found.append(rows)
            print(" | ".join(map(str, rows[[*_KEY, "seconds"]].iloc[0])), flush=True)
            if options.rows:
                pd.concat(found).to_csv(options.rows, index=False)
    text = written(pd.concat(found, ignore_index=True))
    print(text)
    if not options.only:
        (Path(__file__).parents[1] / "docs" / "few-runs.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
