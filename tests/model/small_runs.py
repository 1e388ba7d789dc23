"""A small run table on which every law of the package can be specified."""

import numpy as np
import pytest
from designs import cells_of

import bayescale as bs
from bayescale.laws import find, registered

FAMILIES = ("llama", "olmo", "pythia")
# Laws whose formulas ask nothing of the model that another law does not ask too: slow tests only.
ALIKE = {
    "algorithmic_progress",
    "compression_ratio",
    "contrastive",
    "data_mixing",
    "distillation",
    "domain_mixing",
    "double_saturation",
    "error_from_loss",
    "expert_sparsity",
    "fine_grained",
    "learning_curve",
    "mixture_joint",
    "observational",
    "optimal_size",
    "quality_decay",
    "quantised",
    "sparse_weights",
    "transfer",
    "vocabulary",
}
LAWS = [
    pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name
    for name, law in sorted(registered().items())
    if law.formula.__module__.startswith("bayescale.laws")
]


def as_score(value):
    return {"value": 0.9 - value / 10, "metric": ["accuracy"] * len(value)}


def below_unigram(value):
    return {"value": value - 7, "metric": ["loss_unigram_normalised"] * len(value)}


# Laws of values that no loss per token can be.
VALUES = {
    "accuracy_from_loss": as_score,
    "error_from_loss": as_score,
    "observational": as_score,
    "skills": as_score,
    "vocabulary": below_unigram,
}


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
        table.setdefault(column, cells_of(column, rng, n))
    if "n_experts" in table:
        table["n_active_params"] = table["n_params"]
    if find(law).name in VALUES:
        table |= VALUES[find(law).name](table["value"])
    return bs.read_runs(table | columns)
