"""The NumPyro engine on whatever device JAX finds, beside the same machine's processor.

    uv run python benchmarks/accelerator.py                  # the default device: a GPU where JAX has one
    JAX_PLATFORMS=cpu uv run python benchmarks/accelerator.py

Chinchilla's law, exact, on simulated runs; four chains and sixteen. Prints effective draws (the least over
parameters) and seconds of sampling, compilation included and apart.
"""

import argparse
import json
import time
import warnings

import numpy as np
import pandas as pd

import bayescale as bs


def runs(rows: int) -> pd.DataFrame:
    """Losses of Chinchilla's law with 1 % of scatter."""
    rng = np.random.default_rng(0)
    size, data = 10 ** rng.uniform(7, 10, rows), 10 ** rng.uniform(9, 12, rows)
    loss = (1.8 + 480 / size**0.35 + 2000 / data**0.37) * np.exp(0.01 * rng.standard_t(5, rows))
    return pd.DataFrame(
        {"run_id": np.arange(rows).astype(str), "n_params": size, "n_tokens": data, "value": loss}
    ).assign(metric="loss_nats")


def measure(rows: int, chains: int) -> str:
    """One line of the table; fitted twice, so that the second time needs no compilation."""
    table, seconds = bs.read_runs(runs(rows)), []
    options = {"discrepancy": None, "engine": "numpyro", "chains": chains, "draws": 500, "tune": 500}
    for seed in (0, 1):
        began = time.perf_counter()
        study = bs.fit(table, random_seed=seed, progressbar=False, **options)
        seconds.append(time.perf_counter() - began)
    engine = json.loads(study.attrs["bayescale"])["engine"]
    ess = bs.convergence(study).table["ess_bulk"].min()
    return (
        f"| {engine['device']} | {rows:,} | {chains} | {ess:,.0f} | {seconds[0]:.1f} | {seconds[1]:.1f} | "
        f"{engine['seconds']:.1f} | {ess / engine['seconds']:,.0f} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--chains", type=int, nargs="+", default=[4, 16])
    options = parser.parse_args()
    print(
        "| device | rows | chains | effective draws | first fit, s | second fit, s | of it sampling, s | a second |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for rows in options.rows:
        for chains in options.chains:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                print(measure(rows, chains), flush=True)


if __name__ == "__main__":
    main()
