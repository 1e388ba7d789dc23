"""The log density of a saved study, put together again from what is saved with it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.model.density import Density, with_middle
from bayescale.model.measured import Measured, placed
from bayescale.model.spec import Spec
from bayescale.model.structure import Structure
from bayescale.queries.study import Study, study_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Rebuilt", "rebuilt"]

_CHECKED = 5  # draws whose densities are held against those saved
_MEASURED = ("tokenizer", "material")  # columns of measurement rows that have effects


class Rebuilt:
    """A study with its density.

    Attributes
    ----------
    study : Study
    spec : Spec
        The rows as they were fitted, under the structure of the study.
    shape : tuple of int
        Chains and draws.
    """

    def __init__(self, study: Study, spec: Spec, shape: tuple[int, int]) -> None:
        self.study, self.spec, self.shape = study, spec, shape

    @property
    def independent(self) -> bool:
        """Whether the draws come from no chain: weighted points, drawn again by weight."""
        return self.study.record.get("engine", {}).get("name") == "laplace"

    @property
    def worth(self) -> float:
        """Independent draws that weighted points were worth; infinite for chains."""
        told = self.study.record.get("engine", {}).get("effective_draws")
        return float(told) if self.independent and told else float("inf")

    def coordinates(self) -> tuple[Density, np.ndarray]:
        """A density in coordinates as near to normal as a change of centring makes them, and the draws.

        Draws have shape (chain, draw, coordinate). An effect of which the runs say much is a coordinate
        itself; one of which they say little is stated in units of the spread between groups, in between by
        how much its own spread has narrowed from that of the population.
        """
        s, blocks = self.spec.structure, dict(self.study.blocks)
        centring = {}
        for block in s.blocks:
            if block.prior is None and "_offset_" in block.name:
                before = np.asarray(s.centring.get(block.name, np.zeros(block.size)))
                letter, factor = block.name.split("_offset_", 1)
                spread = blocks[f"{letter}_sd_{factor}"][:, None]
                apart = blocks[block.name] * spread**-before
                now = np.clip(1.0 - apart.var(axis=0), 0.0, 1.0)
                blocks[block.name] = apart * spread**now
                centring[block.name] = tuple(now.tolist())
        density = with_middle(Density(replace(self.spec, structure=replace(s, centring=centring))))
        with np.errstate(all="ignore"):
            points = density.flatten(blocks)
        return density, points.reshape(*self.shape, density.dim)


def rebuilt(posterior: "xr.DataTree") -> Rebuilt:
    """A study with the density that it was drawn from.

    Raises
    ------
    InputError
        If it is no fitted study, lacks the rows it was fitted to, or was fitted with a law or a noise that
        is not the same here: a few of its pointwise densities are worked out again and must agree.
    """
    study = study_of(posterior)
    absent = [k for k in ("observed_data", "constant_data") if k not in posterior.children]
    s = study.structure
    constant: Any = {} if absent else posterior["constant_data"].dataset
    wanted = [*s.law.inputs, *(f"group_{f}" for f in s.every_factor), "value_se_on_noise_scale"]
    absent += [k for k in wanted if k not in constant]
    if absent:
        raise InputError(
            f"this study lacks {', '.join(absent[:4])}, from which its density is put together again. Give "
            "what bayescale.fit returned, or bayescale.open(path)."
        )
    observed = posterior["observed_data"].dataset["value"]
    spec = Spec(
        structure=s,
        inputs={k: np.asarray(constant[k].values, dtype=float) for k in s.law.inputs},
        value=np.asarray(observed.values, dtype=float),
        error=np.asarray(constant["value_se_on_noise_scale"].values, dtype=float),
        index={f: _places(s.labels[f], constant[f"group_{f}"].values) for f in s.every_factor},
        run_ids=tuple(map(str, observed["run"].values)),
        measured=_measured(posterior, s),
    )
    sizes = posterior["posterior"].dataset.sizes
    found = Rebuilt(study, spec, (sizes["chain"], sizes["draw"]))
    _refuse_another(posterior, found)
    return found


def _places(labels: tuple[str, ...], cells: np.ndarray) -> np.ndarray:
    place = {label: i for i, label in enumerate(labels)}
    return np.array([place[str(cell)] for cell in cells], dtype=int)


def _measured(posterior: "xr.DataTree", s: Structure) -> dict[str, Measured]:
    """Measurement rows by letter, with their factors among those of the structure."""
    import pandas as pd

    if not s.measured:
        return {}
    table = posterior["measurements"].dataset
    frame = pd.DataFrame({str(k): np.asarray(v.values) for k, v in table.data_vars.items()})
    found = {}
    for letter, factors in s.measured.items():
        rows: Any = frame[frame["letter"].astype(str) == letter].drop(columns="letter")
        named = {_column_of(factor): factor for factor in factors}
        found[letter] = placed(rows.reset_index(drop=True), named, s.labels)
    return found


def _column_of(factor: str) -> str:
    return next((c for c in _MEASURED if factor.startswith(c[:7])), factor)


def _refuse_another(posterior: "xr.DataTree", found: Rebuilt) -> None:
    """Refuse a density that is not the one of the saved draws."""
    if "log_likelihood" not in posterior.children:
        return
    stored = posterior["log_likelihood"].dataset["value"].transpose("chain", "draw", ...).values
    stored = stored.reshape(-1, stored.shape[-1])
    some = np.unique(np.linspace(0, len(stored) - 1, _CHECKED).astype(int))
    blocks: Mapping[str, np.ndarray] = {k: v[some] for k, v in found.study.blocks.items()}
    with np.errstate(all="ignore"):
        here = Density(found.spec).log_likelihood(blocks)
    off = np.abs(here - stored[some])
    if not (off <= 1e-6 * (1 + np.abs(stored[some]))).all():
        raise InputError(
            f"the law {found.spec.structure.law.name!r} or its noise is not here what it was when this study "
            f"was fitted: densities of its runs differ by up to {np.nanmax(off):.3g} nats. Fit it again."
        )
