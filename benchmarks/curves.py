"""Learning curves foretold: bayescale beside M1 to M4 and BNSL on the authors' own benchmark, in one run.

    uv run python benchmarks/curves.py
    uv run python benchmarks/curves.py --resume FOLDER         # keeps each answer there, and goes on
    uv run python benchmarks/curves.py --unthinned FILE        # the authors' own table of image curves

The curves and their split are those of Alabdulmohsin et al. 2022: the smaller part of a curve to fit, the larger
to foretell. Every method sees one curve at a time, and of it the part to fit alone. Rivals are in
`curve_rivals.py`. The error is that of the authors' notebook: of each curve the root of the mean square of
log(foretold) - log(seen), then the mean over curves. Writes docs/curves.md.
"""

import argparse
import os
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import curve_rivals as rivals
import numpy as np
import pandas as pd
import xarray as xr
from extrapolation import EDGES, LEVELS, scores

import bayescale as bs

MEDIAN = int(np.flatnonzero(EDGES == 0.5)[0])
AVERAGED = ("power_data", "m3", "bnsl_one")
SETS = {
    "image": "few-shot error of six networks on nine tasks",
    "BB": "few-shot error of one language model on BIG-Bench tasks",
    "LM": "loss of language models of five sizes",
    "NMT": "loss of translation models",
}


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve: data seen and value, to fit and to foretell."""

    name: str
    group: str
    metric: str
    seen: np.ndarray
    value: np.ndarray
    seen_above: np.ndarray
    value_above: np.ndarray

    @property
    def decades(self) -> float:
        """Distance from the largest point fitted to the largest foretold."""
        return float(np.log10(self.seen_above.max() / self.seen.max()))

    def rows(self) -> pd.DataFrame:
        """The part to fit as a run table."""
        return pd.DataFrame(
            {
                "n_tokens": self.seen,
                "value": self.value,
                "metric": self.metric,
                "run_id": [f"r{i}" for i in range(self.seen.size)],
            }
        )


def shipped() -> list[Curve]:
    """Image and language curves of the catalogue."""
    found = []
    for study in ("alabdulmohsin-vision", "alabdulmohsin-language"):
        frame = bs.load_runs(study, all_rows=True).frame
        seen = frame["n_samples"].astype(float)
        if "n_tokens" in frame:
            seen = frame["n_tokens"].astype(float).fillna(seen)
        frame = frame.assign(seen=seen, fit=frame["authors_split"] == "fit")
        for (task, run), rows in frame.groupby(["eval_name", "run_id"], sort=True):
            group = "image" if study.endswith("vision") else str(task).partition(":")[0]
            found.append(_curve(f"{task}, {str(run).rpartition('|')[2]}", group, rows))
    return found


def unthinned(file: Path) -> list[Curve]:
    """All points of the image curves, where the authors' table is at hand."""
    frame = pd.read_csv(file).rename(columns={"Seen Examples": "seen", "Loss": "value"})
    frame = frame[frame["Domain"] == "IC"].assign(metric="error_rate")
    frame = frame.assign(fit=frame["Training"] == 1)
    return [
        _curve(f"{task}, {model}", "image", rows)
        for (task, model), rows in frame.groupby(["Task", "Model"], sort=True)
    ]


def _curve(name: str, group: str, rows: pd.DataFrame) -> Curve:
    # Points of one size: the last counts, as in the authors' notebook.
    below = rows[rows["fit"]].drop_duplicates("seen", keep="last").sort_values("seen")
    above = rows[~rows["fit"]].sort_values("seen")
    parts = [part[k].to_numpy(float) for part in (below, above) for k in ("seen", "value")]
    return Curve(name, group, str(rows["metric"].iloc[0]), *parts)


def fitted(curve: Curve, law: str, discrepancy: str | None) -> xr.DataTree:
    """The plain call."""
    return bs.fit(curve.rows(), law, discrepancy=discrepancy, random_seed=0, progressbar=False)


def quantiles(study: xr.DataTree, curve: Curve) -> np.ndarray:
    """Of the log values of new points."""
    scales = pd.DataFrame({"n_tokens": curve.seen_above})
    return np.quantile(np.log(bs.predict_draws(study, scales, random_seed=0).values), EDGES, axis=0)


def one_law(law: str, discrepancy: str | None = "auto") -> Callable[[Curve], np.ndarray]:
    """Answer of one law."""
    return lambda curve: quantiles(fitted(curve, law, discrepancy), curve)


def several_laws(curve: Curve) -> np.ndarray:
    """Answer of several laws, each with the same weight."""
    studies = {law: fitted(curve, law, "auto") for law in AVERAGED}
    return quantiles(bs.average(studies, weights=dict.fromkeys(AVERAGED, 1.0)), curve)


def rival(fit: Callable[..., rivals.Fitted]) -> Callable[[Curve], np.ndarray]:
    """A curve without intervals: all quantiles are one."""

    def answer(curve: Curve) -> np.ndarray:
        bounded = {"most": 1.0} if fit is rivals.m4 and curve.metric == "error_rate" else {}
        foretold = fit(curve.seen, curve.value, **bounded)(curve.seen_above)
        if not (np.isfinite(foretold) & (foretold > 0)).all():
            raise ValueError("foretells values that are not positive")
        return np.tile(np.log(foretold), (EDGES.size, 1))

    return answer


OURS: dict[str, Callable[[Curve], np.ndarray]] = {
    "bayescale": one_law("m3"),
    "bayescale, power_data": one_law("power_data"),
    "bayescale, three laws": several_laws,
    "bayescale, law exact": one_law("m3", None),
}
RIVALS: dict[str, Callable[[Curve], np.ndarray]] = {
    "M1": rival(rivals.m1),
    "M2": rival(rivals.m2),
    "M3": rival(rivals.m3),
    "M4": rival(rivals.m4),
    "BNSL": rival(rivals.bnsl),
    "BNSL, bounded": rival(rivals.bnsl_bounded),
}
METHODS = OURS | RIVALS


def answered(method: str, curve: Curve, folder: Path | None) -> tuple[np.ndarray, float]:
    """Quantiles by a method and the CPU seconds they took, from the folder where it has them."""
    name = "".join(
        c if c.isalnum() else "-" for c in f"{method} {curve.group} {curve.name} {curve.seen.size}"
    )
    kept = folder / f"{name}.npz" if folder else None
    if kept and kept.exists():
        with np.load(kept) as stored:
            return stored["quantiles"], float(stored["seconds"])
    began = time.process_time()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = METHODS[method](curve)
    seconds = time.process_time() - began
    if kept:
        np.savez(kept, quantiles=found, seconds=seconds)
    return found, seconds


def measure(curves: Sequence[Curve], methods: Sequence[str], folder: Path | None) -> pd.DataFrame:
    """All methods on all curves; one that fails on a curve is said so and left out there."""
    rows = []
    for i, curve in enumerate(curves):
        for method in methods:
            try:
                found, seconds = answered(method, curve, folder)
            except (ValueError, RuntimeError, bs.InputError) as error:
                print(f"{curve.name}: {method} failed: {str(error)[:100]}", flush=True)
                continue
            about = {"group": curve.group, "curve": curve.name, "half": "odd" if i % 2 else "even"}
            about |= {"method": method, "points": curve.seen.size, "foretold": curve.seen_above.size}
            scored = scores(found, np.log(curve.value_above))
            rows.append(about | {"decades": curve.decades} | scored | {"seconds": seconds})
            print(f"{curve.name} | {method}: rmsle {scored['rmse']:.4f}, {seconds:.1f} s", flush=True)
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> list[str]:
    """One line for each method, over the curves that it answered: their number stands first."""
    heads = ["curves", "RMSLE", "median", "pooled", "CRPS", *(f"{p:.0%}" for p in LEVELS), "width, 95 %", "s"]
    lines = ["| method | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(heads)]
    for method in [m for m in METHODS if m in set(table["method"])]:
        mine = table[table["method"] == method]
        pooled = np.sqrt(np.average(mine["rmse"] ** 2, weights=mine["foretold"]))
        cells = [
            f"{len(mine)}",
            f"{mine['rmse'].mean():.4f}",
            f"{mine['rmse'].median():.4f}",
            f"{pooled:.4f}",
        ]
        cells += [f"{mine['crps'].mean():.4f}"]
        if method in OURS:
            cells += [f"{mine[f'{p:.0%}'].mean():.2f}" for p in LEVELS] + [f"{mine['width'].mean():.3f}"]
        else:
            cells += ["–"] * (len(LEVELS) + 1)
        lines.append(f"| {method} | " + " | ".join([*cells, f"{mine['seconds'].median():.1f}"]) + " |")
    return lines


def side_by_side(table: pd.DataFrame, by: str, title: str) -> list[str]:
    """Mean RMSLE of each method over parts of the curves."""
    methods = [m for m in METHODS if m in set(table["method"])]
    wide = table.pivot_table(index=by, columns="method", values="rmse", aggfunc="mean", sort=False)[methods]
    lines = [f"| {title} | " + " | ".join(methods) + " |", "|---|" + "--:|" * len(methods)]
    for part, row in wide.iterrows():
        lines.append(f"| {part} | " + " | ".join(f"{v:.4f}" if np.isfinite(v) else "–" for v in row) + " |")
    return lines


def written(table: pd.DataFrame, thinned: bool) -> str:
    """The report in Markdown."""
    lines = [
        "# Learning curves",
        "",
        "Written by `benchmarks/curves.py`; whose curves, whose split, and how the rivals are fitted stands there and",
        "in `benchmarks/curve_rivals.py`. Every method sees one curve at a time, below the authors' split alone.",
        "RMSLE: of each curve the root of the mean square of log(foretold) - log(seen), mean over curves, as in the",
        "authors' notebook; then the median over curves, and the root of the mean square over all points. What is",
        "foretold is the posterior median. CRPS, coverage and width are of log values, mean over curves. Seconds are",
        f"of CPU, median over curves. Machine: {os.cpu_count()} cores, {platform.machine()}.",
        "",
        '`bayescale` is `bs.fit(curve, "m3")` and nothing more, `power_data` the same with a floor and one power, and',
        "`three laws` is `bs.average` of "
        + ", ".join(f"`{law}`" for law in AVERAGED)
        + ", each fitted by the plain",
        "call, with equal weights; `law exact` has `discrepancy=None`. BNSL is fitted as by its authors' script (a brute",
        "grid, then least squares without bounds); `bounded` holds that fit within the ranges of the grid, and which",
        "bounds it has was chosen on these image curves, the foretold parts among them: help that bayescale did not have.",
        "The law of `bayescale` was chosen among power_data, m3 and m4 by rough posteriors (importance weights not certified) of",
        "the language curves, those of the image curves having been seen too; the laws of the average by those of the image curves.",
        "",
    ]
    if thinned:
        lines += [
            "The curves are those shipped: at most 16 points on either side of the split. The 18 ImageNet curves of the",
            "authors' 72 are not in the copy that this package ships.",
            "",
        ]
    for group, what in SETS.items():
        mine = table[table["group"] == group]
        if mine.empty:
            continue
        lines += [f"## {group}: {what}", "", *summary(mine), ""]
        if group == "image":
            tasks = mine["curve"].str.partition(", ")[0]
            lines += ["By task, and by halves of the curves taken by turns:", ""]
            parts = pd.concat([mine.assign(part=tasks), mine.assign(part=mine["half"] + " curves")])
            lines += [*side_by_side(parts, "part", "RMSLE"), ""]
    lines += ["## By curve", "", *side_by_side(table, "curve", "RMSLE")]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--resume", type=Path, help="folder that keeps every answer, read before anything is fitted"
    )
    parser.add_argument(
        "--unthinned", type=Path, help="the authors' table of image curves, in place of the shipped"
    )
    parser.add_argument("--only", default="", help="curves whose set and name hold this text")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    if options.resume:
        options.resume.mkdir(parents=True, exist_ok=True)
    curves = unthinned(options.unthinned) if options.unthinned else shipped()
    curves = [c for c in curves if options.only in f"{c.group} {c.name}"]
    rivals.m2(np.arange(1.0, 9.0), 0.9 / np.arange(1.0, 9.0))  # compiled before anything is timed
    table = measure(curves, options.methods, options.resume)
    text = written(table, thinned=options.unthinned is None)
    print(text)
    if not (options.only or options.unthinned):
        (Path(__file__).parents[1] / "docs" / "curves.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
