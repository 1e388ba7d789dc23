"""Wall time of every engine on the 240 Chinchilla points, each in a process of its own.

    uv run python benchmarks/engines.py

Writes docs/engines.md. `first`: from the start of `fit` in a fresh process (imports and compilation
included, caches of earlier runs allowed). `second`: the same fit again in that process. Effective draws are
the least over all quantities, bulk; those of weighted draws are the worth of the weights.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

ENGINES = ("auto", "numpyro", "nutpie", "pymc")

_ONE = """
import json, time, warnings
warnings.simplefilter("ignore")
import bayescale as bs
runs = bs.load_runs("chinchilla-figure4").where(lambda f: ~f["flag"].str.contains("authors_outlier"))
times = []
for seed in (0, 1):
    began = time.perf_counter()
    study = bs.fit(runs, discrepancy=None, engine=ENGINE, random_seed=seed, progressbar=False)
    times.append(time.perf_counter() - began)
told = json.loads(study.attrs["bayescale"])["engine"]
table = bs.convergence(study).table
least = told.get("effective_draws", float(table["ess_bulk"].min()))
found = bs.intervals(study)
quantities = {k: [float(x) for x in found[k].values] for k in ("E", "alpha", "beta", "a")}
print(json.dumps({"times": times, "least": least, "quantities": quantities, "ran": told["name"]}))
"""


def measure(engine: str) -> dict:
    """First and second wall time, effective draws and intervals of one engine."""
    code = _ONE.replace("ENGINE", repr(engine))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure all engines and write the table."""
    rows = {engine: measure(engine) for engine in ENGINES}
    slowest = rows["pymc"]
    lines = [
        "# Engines on the 240 Chinchilla points",
        "",
        "Written by `uv run python benchmarks/engines.py`; law `chinchilla`, taken as exact, Student-t noise, 4 chains of 1,000 draws "
        "after 1,000 of warm-up.",
        f"Machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}. Quote ratios, not "
        "seconds: machines differ and were shared.",
        "",
        "| engine | ran | first, s | second, s | effective draws | draws per s, second fit | ratio to pymc | E | alpha | beta | a |",
        "|---|---|--:|--:|--:|--:|--:|---|---|---|---|",
    ]
    for engine, row in rows.items():
        rate = row["least"] / row["times"][1]
        base = slowest["least"] / slowest["times"][1]
        cells = [f"{m:.3f} ({lo:.3f}, {hi:.3f})" for m, lo, hi in row["quantities"].values()]
        lines.append(
            f"| {engine} | {row['ran']} | {row['times'][0]:.1f} | {row['times'][1]:.2f} | {row['least']:,.0f} | "
            f"{rate:,.0f} | {rate / base:,.1f} | " + " | ".join(cells) + " |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    out = Path(__file__).parents[1] / "docs" / "engines.md"
    out.parent.mkdir(exist_ok=True)
    out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
