"""How often stated intervals hold real runs at larger scale: bayescale beside its rivals, in one run.

    uv run --group bench python benchmarks/extrapolation.py
    uv run --group bench python benchmarks/extrapolation.py --data FOLDER   # further sets, CSV in our schema
    uv run --group bench python benchmarks/extrapolation.py --workers 8

Fits below, scores above. On isoFLOP sets the two largest budgets are held out, on others the last decade of
compute (two of gadre-overtraining, .7 of laion-clip, whose runs lie within 2.6). Contrastive models are read
as error against size and samples. Rivals: the field's procedure (Huber loss of the log residual, L-BFGS from a grid of starts), its
bootstrap with residuals added, and simple-scaling-laws 0.2.0 with kind "new-run". All scores are of log values.
Writes docs/extrapolation.md.
"""

import argparse
import itertools
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize

import bayescale as bs

LEVELS = (0.5, 0.8, 0.9, 0.95)
_BANDS = [e for p in LEVELS for e in ((1 - p) / 2, (1 + p) / 2)]
EDGES = np.unique(np.round([0.5, *_BANDS, *np.arange(0.02, 1, 0.04)], 6))
_BUDGET_GAP = 0.08  # decades between two budgets
_DELTA = 1e-3
_BOOTSTRAP = 100


@dataclass(frozen=True)
class Split:
    """Runs below and above, on one law."""

    name: str
    train: pd.DataFrame
    test: pd.DataFrame
    law: str = "chinchilla"
    budgets: bool = True

    @property
    def decades(self) -> float:
        """Distance from the largest compute fitted to the largest scored."""
        return float(np.log10(compute(self.test).max() / compute(self.train).max()))


def compute(frame: pd.DataFrame) -> np.ndarray:
    """FLOPs of each run."""
    return (6 * frame["n_params"] * frame["n_tokens"]).to_numpy()


def budget_of(flops: np.ndarray) -> np.ndarray:
    """Number of each run's budget, from the smallest."""
    order = np.argsort(flops)
    steps = np.diff(np.log10(flops[order])) > _BUDGET_GAP
    found = np.empty(len(flops), dtype=int)
    found[order] = np.concatenate([[0], np.cumsum(steps)])
    return found


def below_two_budgets(flops: np.ndarray) -> tuple[np.ndarray, int]:
    """Runs below the two largest budgets with at least three runs (none where there are no two), and their number."""
    budget = budget_of(flops)
    full = [b for b in np.unique(budget) if (budget == b).sum() >= 3]
    return budget < (full[-2] if len(full) > 1 else 0), len(full)


def two_budgets(name: str, frame: pd.DataFrame) -> Split:
    """The two largest budgets with at least three runs held out, and whatever lies above them."""
    flops = frame["flops"].fillna(6 * frame["n_params"] * frame["n_tokens"]).to_numpy()
    below, _ = below_two_budgets(flops)
    return Split(name, frame[below], frame[~below])


def last_decade(name: str, frame: pd.DataFrame, law: str = "chinchilla", decades: float = 1.0) -> Split:
    """Runs of the last decade of compute held out."""
    flops = compute(frame)
    below = flops <= flops.max() / 10**decades
    return Split(name, frame[below], frame[~below], law, budgets=False)


def shipped() -> Iterator[Split]:
    """Sets that come with the package."""
    points = bs.load_runs("chinchilla-figure4").frame
    points = points[~points["flag"].fillna("").str.contains("authors_outlier")]
    yield last_decade("chinchilla-figure4", points)
    for family, runs in bs.load_runs("porian-isoflop").frame.groupby("family"):
        yield two_budgets(f"porian {str(family).partition('|')[0]}", runs)
    for family, runs in bs.load_runs("gadre-overtraining").frame.groupby("family"):
        yield last_decade(f"gadre {family}", runs, decades=2.0)
    once = bs.load_runs("datablations", all_rows=True).frame
    yield last_decade("datablations, one epoch", once[(once["epochs"] <= 1) & (once["flag"] == "")])
    yield last_decade("gemstones, annealed", bs.load_runs("gemstones").frame)
    for study, decades in (("laion-clip", 0.7), ("laion-comparison", 1.0)):
        pairs = bs.load_runs(study).frame
        for family, runs in pairs.assign(n_tokens=pairs["n_samples"]).groupby("family"):
            yield last_decade(f"{study} {family}", runs, decades=decades)


def further(folder: Path) -> Iterator[Split]:
    """Sets that may not be shipped, where a folder has them."""
    for study in ("llama3-isoflop", "marin-isoflop", "misfitting", "xlstm-isoflop"):
        path = folder / f"{study}.csv"
        if not path.exists():
            continue
        frame = pd.read_csv(path, low_memory=False)
        frame = frame[frame["is_final"] == 1].dropna(subset=["n_params", "n_tokens", "value"])
        for family, runs in frame.groupby("family"):
            budgets = budget_of(compute(runs)).max() + 1
            if budgets >= 5 and len(runs) >= 30:
                yield two_budgets(f"{study} {family}" if frame["family"].nunique() > 1 else study, runs)


def ours(discrepancy: str | None) -> Callable[[Split], np.ndarray]:
    """Quantiles of log values by bayescale."""

    def quantiles(split: Split) -> np.ndarray:
        train = split.train[["n_params", "n_tokens", "value", "metric"]].assign(
            run_id=[f"r{i}" for i in range(len(split.train))]
        )
        study = bs.fit(train, split.law, discrepancy=discrepancy, random_seed=0, progressbar=False)
        draws = bs.predict_draws(study, split.test[["n_params", "n_tokens"]], random_seed=0)
        return np.quantile(np.log(draws.values), EDGES, axis=0)

    return quantiles


def objective(p: np.ndarray, n: np.ndarray, d: np.ndarray, y: np.ndarray) -> float:
    """Huber loss of the log residuals, parameters (log A, log B, log E, alpha, beta)."""
    away = y - np.logaddexp(np.logaddexp(p[0] - p[3] * n, p[1] - p[4] * d), p[2])
    small = np.abs(away) <= _DELTA
    return float(np.where(small, 0.5 * away**2, _DELTA * (np.abs(away) - 0.5 * _DELTA)).sum()) * 1e6


def huber_fit(split: Split) -> np.ndarray:
    """The best of a grid of starts, as in Hoffmann et al. 2022 (32 of its starts)."""
    data = tuple(np.log(split.train[k].to_numpy()) for k in ("n_params", "n_tokens", "value"))
    grid = itertools.product((5, 15), (5, 15), (0.0, 0.7), (0.2, 0.6), (0.2, 0.6))
    starts = [np.array(start) for start in grid]
    ends = [minimize(objective, s, data, method="L-BFGS-B", options={"maxiter": 400}) for s in starts]
    return min(ends, key=lambda end: end.fun).x


def curve(p: np.ndarray, frame: pd.DataFrame) -> np.ndarray:
    """Log of the law."""
    n, d = np.log(frame["n_params"].to_numpy()), np.log(frame["n_tokens"].to_numpy())
    return np.logaddexp(np.logaddexp(p[0] - p[3] * n, p[1] - p[4] * d), p[2])


def huber_bootstrap(split: Split) -> np.ndarray:
    """Quantiles by resampling runs, refitting from the best point, and adding resampled residuals."""
    best, rng = huber_fit(split), np.random.default_rng(0)
    residuals = np.log(split.train["value"].to_numpy()) - curve(best, split.train)
    draws = []
    for _ in range(_BOOTSTRAP):
        again = split.train.iloc[rng.integers(0, len(split.train), len(split.train))]
        data = tuple(np.log(again[k].to_numpy()) for k in ("n_params", "n_tokens", "value"))
        fitted = minimize(objective, best, data, method="L-BFGS-B", options={"maxiter": 200}).x
        draws.append(curve(fitted, split.test) + rng.choice(residuals, (20, len(split.test))))
    found = np.quantile(np.concatenate(draws), EDGES, axis=0)
    found[np.flatnonzero(EDGES == 0.5)] = curve(best, split.test)
    return found


def simple_scaling_laws(split: Split) -> np.ndarray:
    """Quantiles of a new run by simple-scaling-laws."""
    import polars as pl
    from simple_scaling_laws import fit

    def table(frame: pd.DataFrame) -> dict[str, list[float]]:
        return {
            "model_size__n_params": frame["n_params"].tolist(),
            "dataset_size__n_tokens": frame["n_tokens"].tolist(),
        }

    rows = table(split.train) | {"test_loss__ce": split.train["value"].tolist()}
    model = fit(pl.DataFrame({"training_run_id": [f"r{i}" for i in range(len(split.train))]} | rows), seed=0)
    found = model.predict(pl.DataFrame(table(split.test)), kind="new-run", quantiles=EDGES.tolist(), seed=0)
    columns = [c for c in found.columns if c.startswith("test_loss__ce__")]
    return np.log(np.maximum(found.select(columns).to_numpy().T, 1e-9))


METHODS: dict[str, Callable[[Split], np.ndarray]] = {
    "bayescale": ours("auto"),
    "bayescale, law exact": ours(None),
    "Huber, bootstrap": huber_bootstrap,
    "simple-scaling-laws": simple_scaling_laws,
}


def scores(quantiles: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Coverage by level, width at 95 %, RMSE, bias and CRPS (twice the mean pinball loss)."""
    place = {round(float(e), 6): i for i, e in enumerate(EDGES)}
    found = {}
    for p in LEVELS:
        low, high = (quantiles[place[round(e, 6)]] for e in ((1 - p) / 2, (1 + p) / 2))
        found[f"{p:.0%}"] = float(np.mean((truth >= low) & (truth <= high)))
    found["width"] = float(np.mean(quantiles[place[0.975]] - quantiles[place[0.025]]))
    away = truth - quantiles[place[0.5]]
    found |= {"rmse": float(np.sqrt(np.mean(away**2))), "bias": float(away.mean())}
    grid = np.array([place[round(float(e), 6)] for e in np.arange(0.02, 1, 0.04)])
    gap = truth - quantiles[grid]
    found["crps"] = float(2 * np.maximum(EDGES[grid][:, None] * gap, (EDGES[grid][:, None] - 1) * gap).mean())
    return found


def one(split: Split, method: str) -> dict[str, object] | str:
    """Scores of one method on one set, or why there are none."""
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = scores(METHODS[method](split), np.log(split.test["value"].to_numpy()))
    except (ValueError, RuntimeError, bs.InputError) as error:
        return f"{split.name}: {method} failed: {str(error)[:100]}"
    about = {"set": split.name, "method": method, "runs": len(split.train), "held out": len(split.test)}
    return about | {"decades": split.decades} | found | {"seconds": time.perf_counter() - began}


def measure(splits: list[Split], workers: int) -> pd.DataFrame:
    """All methods on all sets; a method that fails on a set is said so and left out there."""
    rows = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(one, split, method) for split in splits for method in METHODS]
        for task in tasks:
            found = task.result()
            if isinstance(found, str):
                print(found, flush=True)
                continue
            rows.append(found)
            told = ", ".join(f"{k} {v:.3f}" for k, v in found.items() if isinstance(v, float))
            print(f"{found['set']} | {found['method']}: {told}", flush=True)
    return pd.DataFrame(rows)


def written(table: pd.DataFrame) -> str:
    """The report in Markdown."""
    lines = [
        "# Intervals at larger scale",
        "",
        "Written by `benchmarks/extrapolation.py`; what is held out and who the rivals are stands there.",
        f"Machine: {os.cpu_count()} cores, {platform.machine()}. Scores of log values, mean over sets; a set counts "
        "once however many runs it holds. Seconds are those of a shared machine.",
        "",
        "| method | sets | 50 % | 80 % | 90 % | 95 % | least, 95 % | width, 95 % | RMSE | CRPS | s per set |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for method in METHODS:
        mine = table[table["method"] == method]
        means = mine[[*(f"{p:.0%}" for p in LEVELS)]].mean()
        lines.append(
            f"| {method} | {len(mine)} | "
            + " | ".join(f"{v:.2f}" for v in means)
            + f" | {mine['95%'].min():.2f} | "
            f"{mine['width'].mean():.3f} | {mine['rmse'].mean():.4f} | {mine['crps'].mean():.4f} | "
            f"{mine['seconds'].median():.1f} |"
        )
    wide = table.pivot(index="set", columns="method", values="rmse")
    better = (wide["bayescale"] <= wide["Huber, bootstrap"]).sum()
    lines += ["", f"RMSE at most that of the Huber fit on {better} of {len(wide)} sets.", "", "## By set", ""]
    lines += ["| set | runs | held out | decades | method | 95 % | 80 % | width | RMSE | bias | CRPS |"]
    lines += ["|---|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|"]
    for row in table.to_dict("records"):
        lines.append(
            f"| {row['set'].replace('|', ', ')} | {row['runs']} | {row['held out']} | {row['decades']:.1f} | {row['method']} | "
            f"{row['95%']:.2f} | {row['80%']:.2f} | {row['width']:.3f} | {row['rmse']:.4f} | {row['bias']:+.4f} | {row['crps']:.4f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, help="folder with further sets, one CSV each in the common schema"
    )
    parser.add_argument("--only", help="sets whose name holds this text")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes (seconds are then those of busy cores)"
    )
    options = parser.parse_args()
    splits = [*shipped(), *(further(options.data) if options.data else ())]
    splits = [s for s in splits if not options.only or options.only in s.name]
    table = measure(splits, options.workers)
    text = written(table)
    print(text)
    if not options.only:
        (Path(__file__).parents[1] / "docs" / "extrapolation.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
