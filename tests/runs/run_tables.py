"""A clean table of runs that the tests of this room spoil in one place each."""

import numpy as np
import pandas as pd


def clean(n: int = 24) -> pd.DataFrame:
    """Three families, sizes and data far apart, half a per cent of noise."""
    rng = np.random.default_rng(11)
    params, tokens = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9, 11.5, n)
    value = (1.7 + 0.4 * (params / 1e9) ** -0.34 + 0.5 * (tokens / 1e10) ** -0.36) * np.exp(
        rng.normal(0, 0.005, n)
    )
    return pd.DataFrame(
        {
            "run_id": [f"r{i:03d}" for i in range(n)],
            "family": [("llama", "pythia", "olmo")[i % 3] for i in range(n)],
            "n_params": params,
            "n_tokens": tokens,
            "flops": 6 * params * tokens,
            "value": value,
        }
    )


def clean_text(n: int = 24) -> str:
    """The same as CSV text."""
    return clean(n).to_csv(index=False, lineterminator="\n")
