"""Runs at a few budgets of compute, of a Chinchilla law or of one that bends away from it."""

import numpy as np

import bayescale as bs

QUICK = {"engine": "laplace", "random_seed": 0, "draws": 500, "progressbar": False}
EXACT = QUICK | {"noise": "normal", "discrepancy": None}


def made_budgets(*, bend=0.0, noise=0.003, n_budgets=6, seed=3, alpha=0.35, beta=0.37, spread=1.0, **columns):
    """Six sizes at each budget, 1e18 FLOP and up by half a decade.

    `bend` lowers the log loss with the square of decades above the least budget; `spread` is the reach of
    tokens per parameter about 20, in decades.
    """
    rng = np.random.default_rng(seed)
    flops = np.repeat(10 ** (18 + 0.5 * np.arange(n_budgets)), 6)
    ratio = np.tile(20 * 10 ** np.linspace(-spread, spread, 6), n_budgets)
    size = np.sqrt(flops / 6 / ratio)
    value = 1.8 + 0.36 * (size / 1e9) ** -alpha + 0.45 * (size * ratio / 1e10) ** -beta
    value = value * np.exp(-bend * np.log10(flops / 1e18) ** 2 + rng.normal(0, noise, flops.size))
    table = {
        "run_id": [f"r{i:02d}" for i in range(flops.size)],
        "metric": ["loss_nats"] * flops.size,
        "n_params": size,
        "n_tokens": size * ratio,
        "flops": flops,
        "value": value,
    }
    return bs.read_runs(table | columns)
