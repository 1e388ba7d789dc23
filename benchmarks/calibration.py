"""Simulation-based calibration of pooled and unpooled fits.

Draws the truth from the priors, simulates runs, fits them with the same priors, and ranks the truth among
the draws. With correct inference ranks are uniform (Talts et al. 2018, arXiv:1804.06788).

    uv run python benchmarks/calibration.py            # 200 simulations, 60 of pooled cases: about a quarter of an hour
    uv run python benchmarks/calibration.py --count 40 --pooled 10

Writes docs/calibration.md. The joint model of losses and measured compression factors has a command of its
own, benchmarks/calibration_compression.py.
"""

import argparse
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale.model.spec import specify
from bayescale.model.structure import group_values, row_parameters

PRIORS: dict[str, Any] = {
    "E": bs.between(1.2, 2.4),
    "A": bs.between(0.2, 0.7),
    "B": bs.between(0.2, 0.7),
    "alpha": bs.between(0.22, 0.5),
    "beta": bs.between(0.22, 0.5),
    "sigma": bs.between(0.004, 0.02),
    "nu": bs.between(3.0, 20.0),
}
SPREADS: dict[str, Any] = {
    "E_sd_family": bs.Prior("HalfNormal", sigma=0.15),
    "A_sd_family": bs.Prior("HalfNormal", sigma=0.2),
    "B_sd_family": bs.Prior("HalfNormal", sigma=0.2),
    "alpha_sd_family": bs.Prior("HalfNormal", sigma=0.05),
    "beta_sd_family": bs.Prior("HalfNormal", sigma=0.05),
}


@dataclass(frozen=True)
class Case:
    """One model to calibrate: how it pools, how many families, how many runs in each."""

    name: str
    pool: tuple[str, ...]
    families: int
    runs: int


CASES = (
    Case("chinchilla, one family, 24 runs", (), 1, 24),
    Case("chinchilla, one family, 60 runs", (), 1, 60),
    Case("chinchilla, E, A and B pooled over 5 families of 12 runs", ("E", "A", "B"), 5, 12),
    Case(
        "chinchilla, all five pooled over 8 families of 80 runs (compiled loops)",
        ("E", "A", "alpha", "B", "beta"),
        8,
        80,
    ),
)


def design(case: Case, rng: np.random.Generator) -> pd.DataFrame:
    """A plausible table of scales without values: sizes over two and data over two and a half decades."""
    count = case.families * case.runs
    return pd.DataFrame(
        {
            "run_id": [f"r{i}" for i in range(count)],
            "family": [f"f{i % case.families}" for i in range(count)],
            "n_params": 10 ** rng.uniform(7.5, 9.7, count),
            "n_tokens": 10 ** rng.uniform(9.0, 11.5, count),
            "value": 1.0,
        }
    )


def simulate(case: Case, seed: int) -> tuple[pd.DataFrame, dict[str, np.ndarray], dict[str, Any]]:
    """Runs drawn from the priors, the truth by name, and the fit's options."""
    rng = np.random.default_rng(seed)
    frame = design(case, rng)
    spreads = {k: v for k, v in SPREADS.items() if k.split("_")[0] in case.pool}
    options = {
        "law": "chinchilla",
        "priors": PRIORS | spreads,
        "pool": dict.fromkeys(case.pool, "family"),
        "noise": "student_t",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = bs.read_runs(frame.assign(value=2.0 + 0.001 * np.arange(len(frame))))
        spec = specify(table, **options)
    s = spec.structure
    blocks = {
        b.name: b.prior.sample(rng, 1) if b.prior else rng.standard_normal((1, b.size)) for b in s.blocks
    }
    mean = s.law(*spec.scaled, **row_parameters(s, blocks, spec.index))
    value = s.noise.sample(rng, np.asarray(mean), **{k: blocks[k][:, None] for k in s.noise_names})[0]
    truth = {k: np.asarray(v).ravel() for k, v in blocks.items() if "_offset_" not in k}
    truth |= {s.base(k): group_values(s, k, blocks).ravel() for k in s.pool}
    truth["log_likelihood"] = np.array(
        [float(s.noise.log_density(value, mean, 0.0, **{k: blocks[k][:, None] for k in s.noise_names}).sum())]
    )
    return frame.assign(value=value), truth, options


def ranks(case: Case, seed: int) -> tuple[dict[str, np.ndarray], str]:
    """Share of draws below the truth, by name, and the engine that ran."""
    import json

    frame, truth, options = simulate(case, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = bs.fit(bs.read_runs(frame), discrepancy=None, random_seed=seed, progressbar=False, **options)
    draws = {k: study["posterior"][k] for k in truth if k != "log_likelihood"}
    found = {
        k: (
            v.transpose("chain", "draw", ...).values.reshape(v.sizes["chain"] * v.sizes["draw"], -1)
            < truth[k]
        )
        for k, v in draws.items()
    }
    whole = study["log_likelihood"]["value"].sum("run").values.ravel()
    found["log_likelihood"] = (whole < truth["log_likelihood"])[:, None]
    return {k: v.mean(0) for k, v in found.items()}, json.loads(study.attrs["bayescale"])["engine"]["name"]


def calibrate(case: Any, count: int, ranked: Any = ranks) -> pd.DataFrame:
    """Coverage of intervals and two tests of uniform ranks, by quantity.

    `ranked` gives the ranks of one simulation of the case, and the engine that ran.
    """
    from scipy.stats import chi2, kstest, norm

    gathered: dict[str, list[float]] = {}
    engines: list[str] = []
    began = time.perf_counter()
    for seed in range(count):
        found, engine = ranked(case, seed)
        engines.append(engine)
        for name, share in found.items():
            # One group of a pooled parameter for each simulation: groups share a truth, ranks must not.
            gathered.setdefault(name, []).append(float(share[seed % share.size]))
    rows = []
    for name, shares in gathered.items():
        u = np.clip(np.array(shares), 1e-4, 1 - 1e-4)
        z = norm.ppf(u)
        rows.append(
            {
                "quantity": name,
                "50 %": np.mean(np.abs(u - 0.5) < 0.25),
                "90 %": np.mean(np.abs(u - 0.5) < 0.45),
                "p (uniform)": kstest(u, "uniform").pvalue,
                "p (mean of scores)": 2 * norm.sf(abs(z.mean()) * np.sqrt(len(z))),
                "p (variance of scores)": 2
                * min(chi2.cdf((z**2).sum(), len(z)), chi2.sf((z**2).sum(), len(z))),
            }
        )
    table = pd.DataFrame(rows).set_index("quantity")
    table.attrs = {
        "seconds": (time.perf_counter() - began) / count,
        "engines": {e: engines.count(e) for e in dict.fromkeys(engines)},
    }
    return table


def section(title: str, told: str, count: int, table: pd.DataFrame) -> list[str]:
    """Lines of a report on one case."""
    return [
        "",
        f"## {title}",
        "",
        f"{count} simulations (se {np.sqrt(0.09 / count):.3f}); {told}.",
        "",
        "| " + " | ".join(["quantity", *table.columns]) + " |",
        "|" + "---|" * (len(table.columns) + 1),
        *(
            f"| {name} | " + " | ".join(f"{v:.3f}" for v in row) + " |"
            for name, row in zip(table.index, table.values, strict=True)
        ),
    ]


def main() -> None:
    """Calibrate all cases and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument(
        "--pooled", type=int, default=60, help="simulations of pooled cases, which take longer"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "calibration.md")
    options = parser.parse_args()
    lines = [
        "# Calibration on simulated runs",
        "",
        f"Written by `uv run python benchmarks/calibration.py --count {options.count} --pooled {options.pooled}`. "
        "Truth from the priors, runs simulated, fitted with the same priors, engine chosen by `auto`. Shares of "
        "truths inside the central 50 % and 90 % intervals, and p-values of uniform ranks (about one in twenty "
        "falls below 0.05 by chance). `se`: standard error of a 90 % share.",
    ]
    for case in CASES:
        count = options.pooled if case.pool else options.count
        table = calibrate(case, count)
        engines = ", ".join(f"{k} {v}" for k, v in table.attrs["engines"].items())
        lines += section(case.name, f"engines: {engines}; {table.attrs['seconds']:.1f} s each", count, table)
        print("\n".join(lines[-len(table) - 4 :]), flush=True)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
