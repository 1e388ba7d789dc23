"""The readable model: a specification written in PyMC, with named dims."""

import atexit
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.model.dependence import row_offset, row_sigma, size_at
from bayescale.model.drift import PART, WEIGHTS, delta, shifted
from bayescale.model.spec import Spec
from bayescale.model.structure import Block, Structure, measured_means, row_parameters
from bayescale.priors import Prior

if TYPE_CHECKING:
    import pymc as pm

__all__ = ["build"]


def build(spec: Spec) -> "pm.Model":
    """A PyMC model of the specification.

    Free variables are the blocks of `bayescale.model.structure`; the observed variable is the value on
    the scale of its noise (``value_log`` by default), with dim ``run``; where compression factors were
    measured also ``<letter>_measured``, log raw bytes per token by measurement row. Inputs are data
    variables, so ``pm.set_data`` and new coordinates work.

    Parameters
    ----------
    spec : Spec

    Returns
    -------
    pymc.Model
        Ready for any PyMC sampler; nothing in it depends on which one will run.
    """
    pm = _pymc()
    s = spec.structure
    coords = {"run": list(spec.run_ids)} | {f: list(s.labels[f]) for f in s.every_factor}
    coords |= {PART: list(s.drift.labels)} if s.drift else {}
    coords |= {f"{k}_row": list(range(rows.value.size)) for k, rows in spec.measured.items()}
    with pm.Model(coords=coords) as model:
        blocks: dict[str, Any] = {}
        for block in s.blocks:
            blocks[block.name] = _variable(s, block, blocks)
        scaled = [pm.Data(name, x, dims="run") for name, x in zip(s.law.inputs, spec.scaled, strict=True)]
        rows = row_parameters(s, {k: v for k, v in blocks.items()}, spec.index)
        noise = {k: blocks[k] for k in s.noise_names}
        mean = s.law(*scaled, **rows)
        if s.drift:
            mean = shifted(s.noise.on, mean, delta(s.drift, blocks, s.bends_at(spec.inputs)))
        offset = row_offset(s, blocks, spec.index)
        if offset is not None:
            mean = shifted(s.noise.on, mean, offset)
        if not s.plain_noise and "sigma" in noise:
            noise["sigma"] = row_sigma(s, blocks, spec.index, size_at(s, spec.inputs))
        s.noise.observe(mean, spec.value, spec.error, **noise)
        for letter in spec.measured:
            _observe_measured(spec, letter, blocks)
    return model


def _observe_measured(spec: Spec, letter: str, blocks: dict[str, Any]) -> None:
    """Add the measurement rows of a letter to the model in context."""
    import pymc as pm

    rows = spec.measured[letter]
    pm.Normal(
        f"{letter}_measured",
        mu=measured_means(spec.structure, letter, blocks, rows.index),
        sigma=(blocks[f"{letter}_scatter"] ** 2 + rows.error**2) ** 0.5,
        observed=rows.value,
        dims=f"{letter}_row",
    )


def _pymc() -> Any:
    """PyMC; that it imports names which PyTensor has moved is no news to the user."""
    with warnings.catch_warnings(), _compile_folder():
        warnings.simplefilter("ignore", DeprecationWarning)
        import pymc
    return pymc


@contextmanager
def _compile_folder() -> Iterator[None]:
    """Give PyTensor, while it is first imported, a temporary folder where the home folder is closed to it."""
    flags = os.environ.get("PYTENSOR_FLAGS", "")
    if "pytensor" in sys.modules or "compiledir" in flags or _home_is_open():
        yield
        return
    folder = tempfile.mkdtemp(prefix="bayescale-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["PYTENSOR_FLAGS"] = ",".join(filter(None, [flags, f"base_compiledir={folder}"]))
    try:
        yield
    finally:
        os.environ["PYTENSOR_FLAGS"] = flags
        if not flags:
            del os.environ["PYTENSOR_FLAGS"]


def _home_is_open() -> bool:
    try:
        folder = Path.home() / ".pytensor"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return False
    return os.access(folder, os.W_OK)


def _variable(structure: Structure, block: Block, so_far: dict[str, Any]) -> Any:
    """One free variable; a group's offsets take their width from the spread between groups."""
    import pymc as pm

    if block.prior is not None:
        return from_prior(block.name, block.prior)
    if block.name == WEIGHTS:
        return pm.Normal(block.name, np.float64(0.0), np.float64(1.0), dims=PART)
    letter, factor = block.name.split("_offset_", 1)
    weights = np.asarray(structure.centring.get(block.name, np.zeros(block.size)))
    width = so_far[f"{letter}_sd_{factor}"] ** weights if weights.any() else np.float64(1.0)
    return pm.Normal(block.name, np.float64(0.0), width, dims=factor)


def from_prior(name: str, prior: Prior) -> Any:
    """The PyMC variable of a prior; distributions have PyMC's own names and arguments."""
    import pymc as pm

    # As 64-bit numbers: plain ones such as 2.5 become 32-bit constants, and so do their logarithms.
    given: dict[str, Any] = {k: np.float64(v) for k, v in prior.arguments.items()}
    if prior.distribution == "LogitNormal":  # PyMC leaves this one on (0, 1), where samplers fall off
        given["default_transform"] = pm.distributions.transforms.logodds
    return getattr(pm, prior.distribution)(name, **given)
