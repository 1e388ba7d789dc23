"""Studies as `fit` makes them, from known draws instead of a sampler."""

from dataclasses import replace

import numpy as np

import bayescale as bs
from bayescale.model.density import Density
from bayescale.model.posterior import assemble
from bayescale.model.spec import specify

FAMILIES = ("llama", "olmo", "pythia")
PAPER = {"E": 1.8, "A": 480.0, "alpha": 0.34, "B": 1500.0, "beta": 0.36}
WIDTH = {"E": 0.003, "A": 0.02, "alpha": 0.001, "B": 0.02, "beta": 0.001}  # of the logarithm


def made_runs(**columns):
    """Twenty-four runs of three families between 1e8 and 1e10 parameters, 1e9 and 1e11 tokens."""
    size = np.geomspace(1e8, 1e10, 24)
    data = np.geomspace(1e9, 1e11, 24)[(np.arange(24) * 7) % 24]
    value = PAPER["E"] + PAPER["A"] * size ** -PAPER["alpha"] + PAPER["B"] * data ** -PAPER["beta"]
    table = {
        "run_id": [f"r{i:03d}" for i in range(24)],
        "family": [FAMILIES[i % 3] for i in range(24)],
        "metric": ["loss_nats"] * 24,
        "n_params": size,
        "n_tokens": data,
        "flops": 6 * size * data,
        "value": value,
    } | columns
    return bs.read_runs({k: v for k, v in table.items() if v is not None})


def made_posterior(pool=None, *, reference=None, width=1.0, sigma=0.01, draws=250, seed=0, runs=None):
    """A Chinchilla study whose draws scatter about the parameters of PAPER, log-normally.

    `reference` replaces the reference scales, and leaves the parameters as in the paper what they are;
    `width` is a factor on the posterior's widths.
    """
    runs = runs or made_runs()
    spec = specify(runs, "chinchilla", pool=pool, noise="normal")
    if reference:
        spec = replace(spec, structure=replace(spec.structure, reference=reference))
    s, rng = spec.structure, np.random.default_rng(seed)
    paper = {k: v * np.exp(width * WIDTH[k] * rng.normal(size=(4, draws))) for k, v in PAPER.items()}
    at_reference = s.law.apply_reference(paper, s.reference)
    blocks = {s.population(k): v for k, v in at_reference.items()}
    for block in s.blocks:
        if block.factor:
            steps = np.linspace(-1.0, 1.0, block.size)
            blocks[block.name] = steps + 0.1 * width * rng.normal(size=(4, draws, block.size))
        elif "_sd_" in block.name:
            blocks[block.name] = 0.1 * np.exp(0.1 * width * rng.normal(size=(4, draws)))
    blocks["sigma"] = np.full((4, draws), sigma)
    parts = {"statistics": {}, "engine": {"name": "made"}, "settings": {"random_seed": seed}}
    return assemble(Density(spec), blocks, runs=runs, **parts)


def drawn(posterior, *names):
    """Draws by name, chains laid end to end."""
    values = posterior["posterior"].to_dataset()
    return [values[n].values.reshape(-1, *values[n].shape[2:]) for n in names]


def chinchilla_by_hand(posterior, n, d):
    E, A, alpha, B, beta = drawn(posterior, "E", "A", "alpha", "B", "beta")
    return E + A * n**-alpha + B * d**-beta
