"""Made-up runs of published designs whose own runs are not public; their truth is known.

Every table says so in its study's name and in the column ``simulated``, and never joins real runs.
"""

from typing import TYPE_CHECKING

import numpy as np

from bayescale.errors import InputError
from bayescale.laws import find
from bayescale.priors.published import load_estimates
from bayescale.runs.findings import Finding
from bayescale.runs.table import SIMULATED, RunTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["native_multimodal_truth", "simulate_native_multimodal"]

_STUDY = f"{SIMULATED}native-multimodal"
_MIDDLE, _RATIO = 1e21, 56.0  # compute, and tokens per parameter there, read off the paper's figure 22
_VISION_SHARE = 0.544  # of the tokens of the mixture 45-45-10
_WIDTHS = (800, 1088, 1632, 2208, 2624, 3232)
_DENSE = (2.75e8, 4.68e8, 9.32e8, 1.63e9, 2.28e9, 3.35e9)
_LATE = (2.89e8, 4.94e8, 1.0e9, 1.75e9, 2.43e9, 3.7e9)
_ENCODERS = (384, 512, 768, 1024, 1184, 1536)
_DEPTH, _EXPERTS = 24, 8
_TOKENS = np.geomspace(2.5e9, 4e11, 13)
_COUNTED = {"late": "6 (N_v D_v + N D)"}
_RUNS = 76  # of each design, as in the paper: the grid without its two dearest cells
_NOISE = 0.0108  # of the logarithm: the paper's mean absolute error of .86 % within its fit, as a normal's SD


def simulate_native_multimodal(*, noise: float = _NOISE, random_seed: int = 0) -> RunTable:
    """Runs as those of the native multimodal paper might have been: simulated, for tests and for planning.

    The per-run losses of Shukor et al. (2025, arXiv 2504.07951) are not public, and neither are the
    amplitudes of its dense laws. Sizes, token range and number of runs are the paper's; losses follow
    `native_multimodal_truth` with normal noise on the log. Average loss by architecture (early, late,
    experts) and mixture; of the mixture 45-45-10 under early fusion also the losses on text, image-caption
    and interleaved data, which here scatter independently of the average.

    Parameters
    ----------
    noise : float, default 0.0108
        SD of the logarithm of the loss.
    random_seed : int

    Returns
    -------
    RunTable
        Study "simulated-native-multimodal". ``n_params`` of late fusion is the decoder, its encoder stands
        in ``n_params_vision``; ``n_active_params`` is what a token meets. `RunTable.join` refuses real runs.

    Raises
    ------
    InputError
        If `noise` is no positive number.
    """
    import pandas as pd

    if not isinstance(noise, int | float) or isinstance(noise, bool) or not 0 < noise < 1:
        raise InputError(f"noise={noise!r} must be an SD of the log loss between 0 and 1, as in 0.01.")
    rng, law = np.random.default_rng(random_seed), find("chinchilla")
    parts = []
    for truth in native_multimodal_truth().to_dict(orient="records"):
        design = _design(str(truth["architecture"]))
        letters = {k: float(truth[k]) for k in law.parameters}
        expected = np.asarray(law(design["n_active_params"], design["n_tokens"], **letters))
        parts.append(
            pd.DataFrame(
                {
                    "study": _STUDY,
                    "family": f"{truth['architecture']} {truth['mixture']}",
                    "run_id": [f"{truth['architecture']} {truth['mixture']} {i:02d}" for i in range(_RUNS)],
                    "architecture": truth["architecture"],
                    "modality": "image-text",
                    "mixture": truth["mixture"],
                    "eval_name": truth["target"],
                    "metric": "loss_nats",
                    "value": _digits(expected * np.exp(noise * rng.standard_normal(_RUNS))),
                }
                | design
                | {"flops_source": _COUNTED.get(str(truth["architecture"]), "6ND")}
                | {"is_final": 1.0, "simulated": 1.0}
            )
        )
    told = (
        f"{_STUDY}: these runs are made up, from printed laws and amplitudes worked out here. They show what "
        "a method can learn from such a design, and nothing about the models."
    )
    frame = pd.concat(parts, ignore_index=True)
    text = frame.select_dtypes(exclude="number").columns
    return RunTable(frame.astype(dict.fromkeys(text, "str")), (Finding("simulated", "note", told),), _STUDY)


def native_multimodal_truth() -> "pd.DataFrame":
    r"""The laws behind `simulate_native_multimodal`, one row each.

    E, alpha and beta are those of tables 2 and 3. A and B are printed for experts alone (table 12). For
    the others they are worked out here so that the optimum of 1e21 FLOP has the loss of the printed frontier
    :math:`K C^{c}` and 56 tokens per parameter: the right order of magnitude, not the authors' values.

    Returns
    -------
    DataFrame
        ``architecture``, ``mixture``, ``target``, ``E``, ``A``, ``alpha``, ``B``, ``beta``, ``amplitudes``
        ("printed" or "reconstructed").
    """
    import pandas as pd

    table = load_estimates("nmm")
    cells = table[
        table["place"].isin(["table 2", "table 3", "table 12"]) & (table["note"].str[:8] != "the same")
    ]
    frontier = table[table["place"].str.startswith("figure") & (table["place"] != "figure 9")]
    keys = ["architecture", "mixture", "target"]
    wide = cells.pivot_table(index=keys, columns="parameter", values="estimate", sort=False)
    line = frontier.pivot_table(index=keys, columns="parameter", values="estimate")
    rows = []
    for architecture, mixture, target, *letters in wide.reset_index().itertuples(index=False):
        law = dict(zip(wide.columns, map(float, letters), strict=True))
        e, alpha, beta = law["E"], law["alpha"], law["beta"]
        printed = np.isfinite(law["A"])
        if printed:
            a, b = law["A"], law["B"]
        else:
            k, c = line.loc[(architecture, mixture, target), ["K", "c"]].to_numpy(dtype=float)
            encoder = _VISION_SHARE * _encoder(_ENCODERS[3]) if architecture == "late" else 0.0
            a, b = _amplitudes(k * _MIDDLE**c - e, alpha, beta, encoder)
        rows.append(
            [architecture, mixture, target, e, a, alpha, b, beta, "printed" if printed else "reconstructed"]
        )
    return pd.DataFrame(rows, columns=[*keys, "E", "A", "alpha", "B", "beta", "amplitudes"])


def _amplitudes(above: float, alpha: float, beta: float, encoder: float) -> tuple[float, float]:
    """A and B for which the best N and D at the middle compute have the ratio and the loss wanted there."""
    half = _MIDDLE / (6 * _RATIO)  # N (N + encoder) under C = 6 (encoder + N) D
    n = (np.sqrt(encoder**2 + 4 * half) - encoder) / 2
    size = above / (1 + alpha * (n + encoder) / (beta * n))  # where the gain of size and of data balance
    return size * n**alpha, (above - size) * (_RATIO * n) ** beta


def _encoder(width: int) -> float:
    return 12.0 * _DEPTH * width**2


def _design(architecture: str) -> dict[str, np.ndarray]:
    """Scales of one design's runs: table 6's sizes against tokens, without the two dearest cells."""
    sizes = np.array(_LATE if architecture == "late" else _DENSE)
    which, tokens = (
        grid.ravel() for grid in np.meshgrid(np.arange(len(sizes)), _digits(_TOKENS), indexing="ij")
    )
    kept = np.sort(np.argsort(sizes[which] * tokens, kind="stable")[:_RUNS])
    which, tokens = which[kept], tokens[kept]
    active = sizes[which]
    encoder = np.array([_encoder(w) for w in _ENCODERS])[which] if architecture == "late" else 0.0 * active
    idle = (_EXPERTS - 1) * 8.0 * _DEPTH * np.array(_WIDTHS)[which] ** 2 if architecture == "experts" else 0.0
    return {
        "n_params": active + idle,
        "n_active_params": active,
        "n_params_vision": encoder,
        "n_experts": np.where(architecture == "experts", float(_EXPERTS), 1.0) + 0.0 * active,
        "n_tokens": tokens,
        "flops": 6.0 * (_VISION_SHARE * encoder + active) * tokens,
    }


def _digits(values: np.ndarray) -> np.ndarray:
    return np.array([float(f"{v:.6g}") for v in values])
