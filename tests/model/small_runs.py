"""A small run table on which every law of the package can be specified."""

import numpy as np

import bayescale as bs
from bayescale.laws import find, registered

FAMILIES = ("llama", "olmo", "pythia")
LAWS = sorted(
    name for name, law in registered().items() if law.formula.__module__.startswith("bayescale.laws")
)


def small_columns(n=24, seed=1, scatter=0.005):
    """Three families in turn, a wide design, values of a Chinchilla law with a little scatter."""
    rng = np.random.default_rng(seed)
    size, data = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9, 11.5, n)
    value = 1.8 + 0.36 * (size / 1e9) ** -0.35 + 0.45 * (data / 1e10) ** -0.37
    return {
        "run_id": [f"r{i:03d}" for i in range(n)],
        "family": [FAMILIES[i % 3] for i in range(n)],
        "n_params": size,
        "n_tokens": data,
        "tokens_unique": data / rng.uniform(1, 4, n),
        "flops": 6 * size * data,
        "value": value * np.exp(scatter * rng.normal(size=n)),
    }


def small_runs(law="chinchilla", n=24, **columns):
    """The table above, with a column for each input of the law; further columns replace or add."""
    rng = np.random.default_rng(2)
    table = small_columns(n)
    for column in find(law).inputs:
        table.setdefault(column, rng.uniform(0.1, 0.8, n))
    return bs.read_runs(table | columns)
