"""Effective draws for each CPU second on a hierarchical compression law, each engine in a process of its own.

    uv run python benchmarks/hierarchy.py            # writes docs/hierarchy.md
    uv run python benchmarks/hierarchy.py --keep     # the peers' rows as they stand on the page
    uv run python benchmarks/hierarchy.py grouped    # one engine, printed only

Twelve families, four modalities, 1,008 simulated runs, every parameter of `compression_power` pooled over
families: 128 unknowns. Peers are the same model as written in PyMC (`build_model`), sampled by PyMC's NUTS and
by nutpie, and NumPyro in adapted coordinates. CPU seconds are those of a fit with all that `fit` does around the
sampling: the first in its process, with imports and compilation, and for `grouped` the second too. Effective draws
are the least of all unknowns, in the bulk. The peers get two chains of 250 draws after 500 of warm-up: read their
rates. More rows and more families are measured for `grouped` alone.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

ENGINES = ("grouped", "numpyro", "nutpie", "pymc")
SHORT = "chains=2, tune=500, draws=250"
FAMILIES, RUNS = 12, 1_008
LARGER = (  # families, runs
    (12, 10_008),
    (12, 100_008),
    (12, 1_000_008),
    (100, 100_000),
    (500, 50_000),
)
TWICE = 200_000  # runs up to which a larger table is fitted a second time, in the same process
SLOWEST = 480  # seconds of wall time after which a measurement is given up

_ONE = """
import json, resource, time, warnings
warnings.simplefilter("ignore")
import bayescale as bs
runs = bs.simulate_compression("four", families=FAMILIES, runs=RUNS)
found = []
for seed in range(FITS):
    began, wall = time.process_time(), time.perf_counter()
    study = bs.fit(runs, law="compression_power", pool="family", engine=ENGINE, random_seed=seed, progressbar=False, SETTINGS)
    spent, passed = time.process_time() - began, time.perf_counter() - wall
    table = bs.convergence(study).table
    told = json.loads(study.attrs["bayescale"])["engine"]
    stats = study["sample_stats"]
    diverging = int(stats["diverging"].sum()) if "diverging" in stats else 0
    found.append({
        "cpu": spent, "wall": passed, "ess": float(table["ess_bulk"].min()), "rhat": float(table["rhat"].max()),
        "diverging": diverging, "compressed": told.get("compressed"), "khat": told.get("checked_khat"),
        "E": float(study["posterior"]["E_population"].mean()),
    })
print(json.dumps({"fits": found, "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
"""


def measure(engine: str, families: int, rows: int, fits: int) -> dict | None:
    """What each fit cost and what its draws are worth; None where it was given up."""
    values = {"FAMILIES": families, "RUNS": rows // families, "FITS": fits, "ENGINE": repr(engine)}
    values["SETTINGS"] = "" if engine == "grouped" else SHORT
    code = _ONE
    for name, value in values.items():
        code = code.replace(name, str(value))
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=SLOWEST
        )
    except subprocess.TimeoutExpired:
        return None
    return json.loads(done.stdout.splitlines()[-1])


def engines_table(kept: list[str]) -> list[str]:
    """One row for each engine at 1,008 rows but for those that are kept."""
    there = {engine: line for line in kept for engine in ENGINES[1:] if line.startswith(f"| {engine} |")}
    wanted = [engine for engine in ENGINES if engine not in there]
    found = {engine: measure(engine, FAMILIES, RUNS, 2 if engine == "grouped" else 1) for engine in wanted}
    rates = {k: v["fits"][-1]["ess"] / v["fits"][-1]["cpu"] for k, v in found.items() if v}
    lines = [
        "| engine | first fit, CPU s | last, CPU s | last, wall s | effective draws | R-hat | divergences "
        "| draws per CPU s | E |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for engine, told in found.items():
        if told is None:
            lines.append(f"| {engine} | given up after {SLOWEST} s |" + " |" * 7)
            continue
        first, last = told["fits"][0], told["fits"][-1]
        lines.append(
            f"| {engine} | {first['cpu']:.1f} | {last['cpu']:.1f} | {last['wall']:.1f} | {last['ess']:,.0f} | "
            f"{last['rhat']:.3f} | {last['diverging']} | {rates[engine]:,.1f} | {last['E']:.4f} |"
        )
    return [*lines, *there.values()]


def larger_table() -> list[str]:
    """One row for each larger table, for `grouped`."""
    lines = [
        "| families | rows | first fit, CPU s | last, CPU s | wall s | effective draws | R-hat | compressed "
        "| k-hat of the check | largest memory, GB |",
        "|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|",
    ]
    for families, rows in LARGER:
        told = measure("grouped", families, rows, 2 if rows <= TWICE and families <= FAMILIES else 1)
        if told is None:
            lines.append(f"| {families} | {rows:,} | given up after {SLOWEST} s |" + " |" * 7)
            continue
        first, fit = told["fits"][0], told["fits"][-1]
        khat = "–" if fit["khat"] is None else f"{fit['khat']:.2f}"
        kept = "yes" if fit["compressed"] else "refused, exact" if fit["khat"] is not None else "exact"
        lines.append(
            f"| {families} | {rows:,} | {first['cpu']:.1f} | {fit['cpu']:.1f} | {fit['wall']:.1f} | "
            f"{fit['ess']:,.0f} | {fit['rhat']:.3f} | {kept} | {khat} | {told['gigabytes']:.1f} |"
        )
    return lines


def main() -> None:
    """Measure all and write the page, or one engine and print it."""
    page = Path(__file__).parents[1] / "docs" / "hierarchy.md"
    keep = sys.argv[1:] == ["--keep"] and page.exists()
    if len(sys.argv) > 1 and not keep:
        print(json.dumps(measure(sys.argv[1], FAMILIES, RUNS, 2), indent=1))
        return
    lines = [
        "# A hierarchical compression law",
        "",
        "Written by `uv run python benchmarks/hierarchy.py`; law `compression_power`, 12 families, 4 modalities, 128 "
        "unknowns, Student-t noise, 4 chains of 1,000 draws.",
        f"Machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}. Quote ratios, not "
        "seconds: machines differ and were shared.",
        "",
        *engines_table(page.read_text(encoding="utf-8").splitlines() if keep else []),
        "",
        "## More rows, more families",
        "",
        "By `grouped`. Compressed: each group's runs were first summed up as a normal distribution, and the draws "
        "held against the exact density at some hundred points.",
        "",
        *larger_table(),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
