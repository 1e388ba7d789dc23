"""Simulation-based calibration of losses and measured compression factors in one model.

Draws the truth from the priors (law, factors, effects of tokenizers and materials, scatter), simulates runs
and measurements, fits them jointly with the same priors, and ranks the truth among the draws.

    uv run python benchmarks/calibration_compression.py               # 60 simulations a case, 12 of the pooled one
    uv run python benchmarks/calibration_compression.py --count 20 --pooled 4

Writes docs/calibration-compression.md.
"""

import argparse
import json
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from calibration import calibrate, section

import bayescale as bs
from bayescale.model.spec import Spec, specify
from bayescale.model.structure import group_values, measured_means, row_parameters

PRIORS: dict[str, Any] = {
    "E": bs.between(1.4, 2.2),
    "A": bs.between(0.2, 0.6),
    "B": bs.between(0.2, 0.6),
    "alpha": bs.between(0.25, 0.45),
    "beta": bs.between(0.25, 0.45),
    "sigma": bs.between(0.004, 0.012),
    "E_sd_family": bs.Prior("HalfNormal", sigma=0.1),
}


@dataclass(frozen=True)
class Case:
    """One of the hypothesis paper's experiments; how tokenizers are measured, and whether E is pooled."""

    name: str
    experiment: str
    families: int
    runs: int
    tokenizers: bool = False  # several, named by the runs; else one, measured six times
    pool: tuple[str, ...] = ()


CASES = (
    Case("text alone, its one tokenizer measured", "text", 1, 30),
    Case("two modalities, one tokenizer each", "two", 1, 36),
    Case("four modalities, one tokenizer each", "four", 1, 48),
    Case("two modalities, eight tokenizers each on four materials, E by family", "two", 5, 12, True, ("E",)),
)


def tables(case: Case, seed: int) -> tuple[bs.RunTable, pd.DataFrame]:
    """Runs and measurements whose values are yet to be drawn."""
    runs = bs.simulate_compression(case.experiment, families=case.families, runs=case.runs, random_seed=seed)
    rows = bs.simulate_measurements(case.experiment, random_seed=seed).frame
    if not case.tokenizers:
        first = rows["tokenizer"].str.endswith(" 1") & (rows["material"] == "plain")
        rows = pd.concat([rows[first]] * 6, ignore_index=True)
    return runs, rows


def simulate(
    case: Case, seed: int
) -> tuple[bs.RunTable, pd.DataFrame, dict[str, np.ndarray], dict[str, Any]]:
    """Runs and measurements drawn from the priors, the truth by name, and the fit's options."""
    rng = np.random.default_rng([seed, 9])
    runs, rows = tables(case, seed)
    spread = {k: v for k, v in PRIORS.items() if "_sd_" not in k or k.split("_")[0] in case.pool}
    letters = [f"C_{m}" for m in dict.fromkeys(rows["modality"])]
    own = {f"{k}_scatter": bs.between(0.02, 0.1) for k in letters}
    if case.tokenizers:
        own |= {f"{k}_sd_{f}_{k[2:]}": bs.Prior("HalfNormal", sigma=0.3) for k in letters for f in _EFFECTS}
    options = {"law": "compression_power", "priors": spread | own, "noise": "normal"}
    options["pool"] = dict.fromkeys(case.pool, "family")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec = specify(runs, measurements=rows, **options)
    s = spec.structure
    blocks = {
        b.name: b.prior.sample(rng, 1) if b.prior else rng.standard_normal((1, b.size)) for b in s.blocks
    }
    mean = s.law(*spec.scaled, **row_parameters(s, blocks, spec.index))
    value = s.noise.sample(rng, np.asarray(mean), **{k: blocks[k][:, None] for k in s.noise_names})[0]
    truth = {k: np.asarray(v).ravel() for k, v in blocks.items() if "_offset_" not in k}
    truth |= {s.base(k): group_values(s, k, blocks).ravel() for k in s.pool}
    drawn = replace(runs, frame=runs.frame.assign(value=value))
    return drawn, _measured(rows, spec, blocks, rng), truth, options


_EFFECTS = ("tokenizer", "material")


def _measured(
    rows: pd.DataFrame, spec: Spec, blocks: dict[str, np.ndarray], rng: np.random.Generator
) -> pd.DataFrame:
    """The measurement rows with log factors drawn from the model."""
    found = []
    for letter, own in spec.measured.items():
        mean = measured_means(spec.structure, letter, blocks, own.index)[0]
        spread = np.sqrt(blocks[f"{letter}_scatter"][0] ** 2 + own.error**2)
        found.append(own.frame.assign(log_factor=mean + spread * rng.standard_normal(len(own.frame))))
    return pd.concat(found, ignore_index=True)


def ranks(case: Case, seed: int) -> tuple[dict[str, np.ndarray], str]:
    """Share of draws below the truth, by name, and the engine that ran."""
    runs, rows, truth, options = simulate(case, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = bs.fit(runs, measurements=rows, random_seed=seed, progressbar=False, **options)
    draws = {k: study["posterior"][k].transpose("chain", "draw", ...).values for k in truth}
    found = {k: (v.reshape(v.shape[0] * v.shape[1], -1) < truth[k]).mean(0) for k, v in draws.items()}
    return found, json.loads(study.attrs["bayescale"])["engine"]["name"]


def main() -> None:
    """Calibrate all cases and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument(
        "--pooled", type=int, default=12, help="simulations of the pooled case (NUTS, slower)"
    )
    out = Path(__file__).parents[1] / "docs" / "calibration-compression.md"
    parser.add_argument("--out", type=Path, default=out)
    options = parser.parse_args()
    lines = [
        "# Calibration of losses and measured compression factors in one model",
        "",
        f"Written by `uv run python benchmarks/calibration_compression.py --count {options.count} --pooled "
        f"{options.pooled}`. Law `compression_power`; truth from the priors, runs and measurements simulated, "
        "fitted jointly with the same priors, engine chosen by `auto`. Shares of truths inside the central "
        "50 % and 90 % intervals, and p-values of uniform ranks (about one in twenty falls below 0.05 by "
        "chance). `se`: standard error of a 90 % share.",
    ]
    for case in CASES:
        count = options.pooled if case.tokenizers else options.count
        table = calibrate(case, count, ranks)
        engines = ", ".join(f"{k} {v}" for k, v in table.attrs["engines"].items())
        lines += section(case.name, f"engines: {engines}", count, table)
        print("\n".join(lines[-len(table) - 4 :]), flush=True)
        options.out.parent.mkdir(exist_ok=True)
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
