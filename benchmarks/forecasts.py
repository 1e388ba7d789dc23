"""Two forecasts of a public ladder of runs, from its first three to six: does the interval hold, and at what width?

    uv run python benchmarks/forecasts.py

Losses by training compute, 1e18 to 3e20 FLOP, and two runs trained later, at 1e21 and 1e23. The field pins
the floor of such a ladder by hand; the range that floors of 1.2 to 1.8 give is beside ours. Writes
docs/forecasts.md.
"""

import warnings
from pathlib import Path

import numpy as np

import bayescale as bs

LADDER = {1e18: 3.522, 3e18: 3.339, 1e19: 3.154, 3e19: 3.000, 1e20: 2.848, 3e20: 2.725}
LATER = {1e21: 2.599, 1e23: 2.234}
FLOORS = (1.2, 1.8)


def pinned(floor: float, flops: np.ndarray, loss: np.ndarray, at: float) -> float:
    """Least squares of log(loss - floor) in log compute."""
    line = np.polyfit(np.log(flops), np.log(loss - floor), 1)
    return float(floor + np.exp(np.polyval(line, np.log(at))))


def interval(first: int, discrepancy: str | None) -> np.ndarray:
    """Lower, median, upper (rows) at the later runs."""
    flops, loss = (np.array([*x])[:first] for x in (LADDER, LADDER.values()))
    columns = {"run_id": [f"r{i}" for i in range(first)], "flops": flops, "value": loss}
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # fewer runs than parameters: the prior then speaks, which is the point
        runs = bs.read_runs(columns | {"metric": ["loss_nats"] * first})
        study = bs.fit(runs, "power_compute", discrepancy=discrepancy, random_seed=0, progressbar=False)
        found = bs.predict(study, {"flops": [*LATER]}, prob=0.9)
    return np.stack([found[k].values for k in ("lower", "median", "upper")])


def main() -> None:
    """Forecast from three to six runs and write the table."""
    lines = [
        "# Forecasts of two larger runs",
        "",
        "Written by `uv run python benchmarks/forecasts.py`. Law `power_compute`, 90 % intervals of a new run. "
        "The last column is what least squares gives with the floor pinned at 1.2 and at 1.8.",
        "",
        "| runs | at, FLOP | loss came out | law may drift | holds | law exact | holds | floor pinned |",
        "|--:|--:|--:|---|---|---|---|---|",
    ]
    for first in range(3, len(LADDER) + 1):
        drift, exact = interval(first, "auto"), interval(first, None)
        flops, loss = (np.array([*x])[:first] for x in (LADDER, LADDER.values()))
        for i, (at, came) in enumerate(LATER.items()):
            told = [
                cell
                for low, middle, high in (drift[:, i], exact[:, i])
                for cell in (f"{middle:.3f} ({low:.3f}, {high:.3f})", "yes" if low <= came <= high else "no")
            ]
            low, high = (pinned(floor, flops, loss, at) for floor in FLOORS)
            lines.append(
                f"| {first} | {at:.0e} | {came} | " + " | ".join(told) + f" | {low:.3f}, {high:.3f} |"
            )
    text = "\n".join(lines) + "\n"
    print(text)
    (Path(__file__).parents[1] / "docs" / "forecasts.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
