"""Simulation-based calibration of every law, each on a design of its own inputs.

Draws the truth from priors as narrow as a user with one published fit would state, simulates runs, fits
them with the same priors, and ranks the truth among the draws (Talts et al. 2018, arXiv:1804.06788).

    uv run python benchmarks/calibration_laws.py                       # 60 simulations a law: about an hour
    uv run python benchmarks/calibration_laws.py --count 20 --laws skills routed_experts

Writes docs/calibration-laws.md.
"""

import argparse
import json
import time
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from calibration import calibrate
from designs import design
from scipy.stats import binom

import bayescale as bs
from bayescale.laws import Law, find, registered
from bayescale.model.noise import Normal
from bayescale.model.spec import Spec, specify
from bayescale.model.structure import row_parameters
from bayescale.priors import Outcome, Prior, default_prior

RUNS = 40
NARROWER = 0.4
"""Width of the priors here over that of the defaults."""

BELOW_ZERO = {"vocabulary"}
"""Laws of losses less those of another model: values have no log."""

LAST = {"accuracy_from_loss", "bnsl_one", "bnsl_two", "mixed_modal"}
"""Laws whose posteriors mostly need a sampler: done after the others."""

BROKEN = 0.5
"""Width of the priors of broken laws over that of the others: looser ones leave a posterior in two pieces."""

OUTCOME = Outcome(least=2.0, middle=3.0, spread=1.5)


def narrowed(prior: Prior, width: float) -> Prior:
    """The same centre, and a width as after one published fit; orders of magnitude become factors."""
    sigma = min(prior.arguments["sigma"], 1.0) * width
    return Prior(prior.distribution, **(prior.arguments | {"sigma": sigma}))


def priors_of(law: Law) -> dict[str, Prior]:
    """Priors of a law's parameters and of the scatter, about .8 % of a loss or .01 of a score."""
    width = NARROWER * (BROKEN if law.name.startswith("bnsl") else 1.0)
    own = {
        k: narrowed(default_prior(kind, OUTCOME, law.typical.get(k)), width)
        for k, kind in law.parameters.items()
    }
    return own | {"sigma": Prior("LogNormal", mu=np.log(0.008), sigma=0.4)}


@cache
def specified(name: str) -> Spec:
    """The law on its design, with values that stand in for those to be simulated."""
    law, rng = find(name), np.random.default_rng(1)
    frame = pd.DataFrame(dict(design(law, rng, RUNS)))
    frame = frame.assign(run_id=[f"r{i}" for i in range(RUNS)], metric="made", value=rng.uniform(2, 3, RUNS))
    noise = Normal(on="value" if law.rises_with or name in BELOW_ZERO else "log")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return specify(bs.read_runs(frame), law, noise=noise, priors=priors_of(law))


def simulate(name: str, seed: int) -> tuple[Spec, dict[str, np.ndarray]]:
    """Runs of a law drawn from its priors, and the truth. Draws without a value are not runs: redrawn."""
    spec, rng = specified(name), np.random.default_rng(seed)
    s = spec.structure
    for _ in range(1000):
        blocks = {b.name: b.prior.sample(rng, 1) for b in s.blocks if b.prior is not None}
        with np.errstate(all="ignore"):
            mean = np.asarray(s.law(*spec.scaled, **row_parameters(s, blocks, spec.index)))
        if np.isfinite(mean).all() and (s.noise.on == "value" or (mean > 0).all()):
            value = s.noise.sample(rng, mean, sigma=blocks["sigma"])
            truth = {k: np.asarray(v).ravel() for k, v in blocks.items()}
            density = s.noise.log_density(value, mean, 0.0, sigma=blocks["sigma"])
            truth["log_likelihood"] = np.array([float(np.sum(density))])
            return replace(spec, value=np.broadcast_to(value.ravel(), RUNS)), truth
    raise RuntimeError(f"{name}: no draw of the priors has values on its design")


def ranks(name: str, seed: int) -> tuple[dict[str, np.ndarray], str]:
    """Share of draws below the truth, by name, and the engine that ran."""
    spec, truth = simulate(name, seed)
    frame = pd.DataFrame(dict(spec.inputs)).assign(run_id=spec.run_ids, metric="made", value=spec.value)
    s = spec.structure
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = bs.fit(
            bs.read_runs(frame),
            law=name,
            noise=s.noise,
            priors=dict(s.priors),
            discrepancy=None,
            random_seed=seed,
            progressbar=False,
        )
    found = {k: (study["posterior"][k].values < truth[k]).mean() for k in truth if k != "log_likelihood"}
    whole = study["log_likelihood"]["value"].sum("run").values
    found["log_likelihood"] = (whole < truth["log_likelihood"]).mean()
    record: dict[str, Any] = json.loads(study.attrs["bayescale"])
    return {k: np.atleast_1d(v) for k, v in found.items()}, record["engine"]["name"]


def affordable(name: str, count: int, seconds: float) -> int:
    """Simulations that fit into the time, a sixth of `count` at the least, judged by the first three."""
    began = time.perf_counter()
    for seed in range(3):
        ranks(name, seed)
    each = (time.perf_counter() - began) / 3
    return min(count, max(count // 6, int(seconds / each)))


def row(name: str, count: int) -> dict[str, object]:
    """One row of the report: how often intervals held, and the least p-value of uniform ranks."""
    table = calibrate(name, count, ranks)
    tests = table[["p (uniform)", "p (mean of scores)", "p (variance of scores)"]]
    worst = tests.min(axis=1).idxmin()
    low, high = binom.ppf([0.0005, 0.9995], count, 0.9) / count
    outside = [q for q in table.index if not low <= table["90 %"][q] <= high]
    return {
        "law": f"`{name}`",
        "simulations": count,
        "engines": ", ".join(f"{k} {v}" for k, v in table.attrs["engines"].items()),
        "50 %": f"{table['50 %'].mean():.3f}",
        "90 %": f"{table['90 %'].mean():.3f}",
        "least, most of 90 %": f"{table['90 %'].min():.2f}, {table['90 %'].max():.2f}",
        "least p, times its tests": f"{min(1.0, tests.size * tests.min().min()):.2f} ({worst})",
        "outside": ", ".join(outside) or "-",
        "s each": f"{table.attrs['seconds']:.1f}",
    }


def main() -> None:
    """Calibrate the laws and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=300, help="for one law; it then gets fewer")
    parser.add_argument("--laws", nargs="*", default=sorted(registered()))
    out = Path(__file__).parents[1] / "docs" / "calibration-laws.md"
    parser.add_argument("--out", type=Path, default=out)
    options = parser.parse_args()
    rows = kept(options.out, set(options.laws))
    for name in sorted(options.laws, key=lambda name: (name in LAST, name)):
        rows.append(row(name, affordable(name, options.count, options.seconds)))
        print(" | ".join(str(cell) for cell in rows[-1].values()), flush=True)
        options.out.write_text("\n".join(report(rows, options.count)) + "\n", encoding="utf-8")


def kept(out: Path, again: set[str]) -> list[dict[str, object]]:
    """Rows of an earlier report on laws that are not done again."""
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    rows = [dict(zip(table[0], cells, strict=True)) for cells in table[1:]]
    return [dict(row) for row in rows if row["law"].strip("`") not in again]


def report(rows: list[dict[str, object]], count: int) -> list[str]:
    """Lines of the report on the laws that are done."""
    return [
        "# Calibration of every law on simulated runs",
        "",
        f"Written by `uv run python benchmarks/calibration_laws.py --count {count}`. For each law, "
        f"up to {count} truths from priors {NARROWER} as wide as the defaults (broken laws: "
        f"{NARROWER * BROKEN}), {RUNS} simulated runs each, fitted with the same priors, normal scatter, "
        "engine chosen by `auto`. Shares of truths inside the central 50 % and 90 % intervals, averaged over "
        "the law's quantities (its parameters, the scatter, the log likelihood), and the least and greatest of them; the least p-value of three tests of uniform "
        "ranks, multiplied by the number of tests; quantities whose 90 % share lies outside what chance gives "
        "one time in a thousand.",
        "",
        "| " + " | ".join(rows[0]) + " |",
        "|" + "---|" * len(rows[0]),
        *(
            "| " + " | ".join(str(cell) for cell in cells.values()) + " |"
            for cells in sorted(rows, key=lambda cells: str(cells["law"]))
        ),
    ]


if __name__ == "__main__":
    main()
