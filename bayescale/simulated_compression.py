"""Made-up runs of the three experiments that the multimodal scaling hypothesis proposes; truth is known.

Sun and Guo (2024, arXiv 2409.06754) name them and ran none: text alone, two modalities, four.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from bayescale.errors import InputError
from bayescale.laws import find
from bayescale.laws.compression import TYPICAL_BYTES_PER_TOKEN
from bayescale.runs.findings import Finding
from bayescale.runs.table import SIMULATED, RunTable

if TYPE_CHECKING:
    from bayescale.compression.table import MeasurementTable

__all__ = ["TRUTH", "simulate_compression", "simulate_measurements"]

type Experiment = Literal["text", "two", "four"]
type Mixture = Literal["varied", "fixed", "alone"]

MODALITIES: Mapping[str, tuple[str, ...]] = {
    "text": ("text",),
    "two": ("text", "image"),
    "four": ("text", "audio", "image", "video"),
}

TRUTH: Mapping[str, Mapping[str, float]] = {
    "compression_power": {"E": 1.75, "A": 480.0, "alpha": 0.34, "B": 900.0, "beta": 0.31},
    "compression_log": {"k0": 7.4, "k1": -0.106},
    "compression_sum": {"k0": 5.2, "k1": -0.03},
}
"""Parameters of each law behind the runs, in raw units. The true factors stand in the table itself."""

_LEAST_SHARE = 0.02  # a smaller share of the tokens is taken for none
_NEAR, _FAR = 3, 5  # tokenizers that families use, and others that were measured too
_BETWEEN_TOKENIZERS, _BETWEEN_MATERIALS, _SCATTER, _ERROR = 0.3, 0.15, 0.05, 0.02
_MATERIALS = ("plain", "dense", "sparse", "mixed")


@dataclass(frozen=True)
class _World:
    """Log factors by modality and tokenizer, and what a material adds."""

    factors: Mapping[str, Mapping[str, float]]
    materials: Mapping[str, Mapping[str, float]]


def simulate_compression(
    experiment: Experiment = "four",
    *,
    law: str = "compression_power",
    mixture: Mixture = "varied",
    families: int = 6,
    runs: int = 16,
    between_families: float = 0.05,
    noise: float = 0.005,
    random_seed: int = 0,
) -> RunTable:
    """Runs as one of the hypothesis paper's three experiments might give them: simulated.

    Parameters
    ----------
    experiment : {"text", "two", "four"}
        Text alone; text and images; text, audio, images and video.
    law : {"compression_power", "compression_log", "compression_sum"}
        Which hypothesis is true.
    mixture : {"varied", "fixed", "alone"}
        Shares of the tokens: drawn anew for each run, one for each family, or varied with half of the runs
        on one modality alone.
    families, runs : int
        Number of families, and of runs in each. Families use different tokenizers.
    between_families : float
        Deviation of the log of E (or of k0) between families.
    noise : float
        Scale of the Student-t scatter (5 degrees of freedom) of the log loss.
    random_seed : int
        Same seed, same tokenizers as those of `simulate_measurements`.

    Returns
    -------
    RunTable
        Study ``simulated-compression-<experiment>``, with ``bytes_<modality>``, ``tokenizer_<modality>``,
        ``material_<modality>``, and the truth: ``true_bytes_per_token_<modality>`` of each run's tokenizer
        on its material, and ``true_value`` without scatter. `RunTable.join` refuses real runs.

    Raises
    ------
    InputError
        If an option is none of those.
    """
    import pandas as pd

    _check(experiment, law, mixture, families, runs)
    world, rng = _world(random_seed), np.random.default_rng([random_seed, 1])
    modalities, rows = MODALITIES[experiment], []
    for f in range(families):
        base = rng.dirichlet(np.ones(len(modalities)))
        for r in range(runs):
            shares = (
                base
                if mixture == "fixed"
                else _drawn(rng, len(modalities), mixture == "alone" and r % 2 == 0)
            )
            rows.append(_run(rng, world, modalities, shares, f, r))
    frame = pd.DataFrame(rows)
    shift = between_families * rng.standard_normal(families)
    letters: dict[str, Any] = dict(TRUTH[law])
    own = "E" if "E" in letters else "k0"
    letters[own] = letters[own] * np.exp(shift[np.repeat(np.arange(families), runs)])
    chosen = find(law).only("n_params", *(f"bytes_{m}" for m in modalities))
    held = {f"C_{m}": frame[f"true_bytes_per_token_{m}"].to_numpy(dtype=float) for m in modalities}
    true = chosen(*(frame[c].to_numpy(dtype=float) for c in chosen.inputs), **letters, **held)
    value = true * np.exp(noise * rng.standard_t(5, len(frame)))
    name = f"{SIMULATED}compression-{experiment}"
    frame = frame.assign(study=name, metric="loss_nats", value=value, true_value=true, simulated=1.0)
    return RunTable(frame, findings=(_label(experiment),), source=name)


def simulate_measurements(experiment: Experiment = "four", *, random_seed: int = 0) -> "MeasurementTable":
    """Measurements of the tokenizers of `simulate_compression` with that seed, and of others: simulated.

    Returns
    -------
    MeasurementTable
        In raw bytes: each tokenizer on four materials, with a standard error of 2 % and a scatter of 5 %.
    """
    import pandas as pd

    from bayescale.compression.read import read_measurements

    _check(experiment, "compression_power", "varied", 1, 1)
    world, rng, rows = _world(random_seed), np.random.default_rng([random_seed, 2]), []
    for modality in MODALITIES[experiment]:
        for tokenizer, level in world.factors[modality].items():
            for material, more in world.materials[modality].items():
                away = _SCATTER * rng.standard_normal() + _ERROR * rng.standard_normal()
                tokens = round(1e6 * np.exp(-away))
                raw = round(1e6 * np.exp(level + more))
                rows.append((modality, tokenizer, material, "bytes", raw, tokens, _ERROR, "simulated"))
    columns = ["modality", "tokenizer", "material", "raw_unit", "raw", "tokens", "se_log", "source"]
    return read_measurements(pd.DataFrame(rows, columns=columns))


def _check(experiment: str, law: str, mixture: str, families: int, runs: int) -> None:
    for name, given, allowed in (
        ("experiment", experiment, tuple(MODALITIES)),
        ("law", law, tuple(TRUTH)),
        ("mixture", mixture, get_args(Mixture.__value__)),
    ):
        if given not in allowed:
            raise InputError(f"{name}={given!r} must be one of {', '.join(map(repr, allowed))}.")
    for name, count in (("families", families), ("runs", runs)):
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise InputError(f"{name}={count!r} must be a whole number of at least 1.")


def _label(experiment: str) -> Finding:
    told = (
        f"these runs are simulated (experiment {experiment!r} of arXiv 2409.06754, which ran none); the "
        "truth is in the columns true_bytes_per_token_* and true_value."
    )
    return Finding("simulated", "note", told)


def _world(random_seed: int) -> _World:
    rng = np.random.default_rng([random_seed, 0])
    factors, materials = {}, {}
    for letter, typical in TYPICAL_BYTES_PER_TOKEN.items():
        modality = letter.removeprefix("C_")
        names = [f"{modality} tokenizer {i + 1}" for i in range(_NEAR + _FAR)]
        factors[modality] = {
            name: np.log(typical) + _BETWEEN_TOKENIZERS * rng.standard_normal() for name in names
        }
        materials[modality] = {m: _BETWEEN_MATERIALS * rng.standard_normal() for m in _MATERIALS}
    return _World(factors, materials)


def _drawn(rng: np.random.Generator, count: int, alone: bool) -> np.ndarray:
    """Shares of the tokens of each modality, small ones none."""
    if alone:
        return np.eye(count)[rng.integers(count)]
    shares = rng.dirichlet(np.full(count, 0.8))
    shares = np.where(shares < _LEAST_SHARE, 0.0, shares)
    return shares / shares.sum()


def _run(
    rng: np.random.Generator,
    world: _World,
    modalities: tuple[str, ...],
    shares: np.ndarray,
    family: int,
    run: int,
) -> dict[str, str | float]:
    """Size, raw bytes by modality, and what they hold, of one run."""
    tokens = 10 ** rng.uniform(9.3, 11.6)
    row: dict[str, str | float] = {
        "family": f"family {family + 1}",
        "run_id": f"family {family + 1} run {run + 1:02d}",
        "n_params": 10 ** rng.uniform(7.7, 10.0),
    }
    for modality, share in zip(modalities, shares, strict=True):
        tokenizer = f"{modality} tokenizer {family % _NEAR + 1}"
        factor = float(np.exp(world.factors[modality][tokenizer] + world.materials[modality][_MATERIALS[0]]))
        row |= {
            f"bytes_{modality}": share * tokens * factor,
            f"tokenizer_{modality}": tokenizer,
            f"material_{modality}": _MATERIALS[0],
            f"true_bytes_per_token_{modality}": factor,
        }
    return row
