import numpy as np

from bayescale.compression.table import table_of


def made_measurements(
    tokenizers=6, materials=8, middle=1.0, of_tokenizer=0.4, of_material=0.2, scatter=0.1, error=0.0, seed=0
):
    """A crossed table of text in bytes with known parameters."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, of_tokenizer, tokenizers), rng.normal(0, of_material, materials)
    log = middle + a[:, None] + b + rng.normal(0, scatter, (tokenizers, materials))
    log = np.maximum(log + rng.normal(0, error, log.shape) if error else log, 0.01)
    tokens = np.round(1e7 / np.exp(log))
    names = [(f"t{i}", f"m{j}") for i in range(tokenizers) for j in range(materials)]
    return table_of(
        {
            "modality": ["text"] * len(names),
            "tokenizer": [t for t, _ in names],
            "material": [m for _, m in names],
            "raw": [1e7] * len(names),
            "tokens": tokens.ravel(),
            "se_log": [error] * len(names),
        }
    )
