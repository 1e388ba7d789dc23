"""From draws to the labelled tree that is the study: posterior, densities, runs and record."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.model.density import Density
from bayescale.model.drift import PART
from bayescale.model.noise_scale import OFFSET
from bayescale.model.spec import Spec
from bayescale.model.structure import Structure, effect, group_values, kind_beside, to_dict
from bayescale.priors import link
from bayescale.runs.findings import Finding
from bayescale.runs.table import RunTable

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["FORMAT", "LARGEST_POINTWISE", "assemble", "note_findings", "paper_values"]

FORMAT = 1
LARGEST_POINTWISE = 50_000_000  # numbers; beyond it the pointwise log likelihood (8 bytes each) is left out
_LIBRARIES = ("bayescale", "numpy", "xarray", "pymc", "numpyro", "nutpie", "arviz")


def assemble(
    density: Density,
    blocks: Mapping[str, np.ndarray],
    *,
    runs: RunTable,
    statistics: Mapping[str, np.ndarray],
    engine: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> "xr.DataTree":
    """The study as a tree: all that a query, a comparison or the command line needs.

    Parameters
    ----------
    density : Density
    blocks : mapping of str to array of shape (chain, draw) or (chain, draw, group)
        Draws of every unknown, by block.
    runs : RunTable
        Kept whole, in the group ``runs``.
    statistics : mapping of str to array of shape (chain, draw)
    engine, settings : mapping
        What ran, and how; written into the record.

    Returns
    -------
    DataTree
        Groups posterior, sample_stats, log_likelihood, log_prior, observed_data, constant_data, runs, and
        measurements where they were joined (the rows in the model).
    """
    import xarray as xr

    spec, s = density.spec, density.spec.structure
    chains, draws = next(iter(blocks.values())).shape[:2]
    labels = {f: list(s.labels[f]) for f in (*s.every_factor, *((PART,) if s.drift else ()))}
    coords = {"chain": np.arange(chains), "draw": np.arange(draws), "run": list(spec.run_ids), **labels}

    def group(variables: Mapping[str, Any]) -> xr.Dataset:
        made = {k: v if isinstance(v, xr.Variable) else xr.Variable(*v) for k, v in variables.items()}
        dims = {dim for variable in made.values() for dim in variable.dims}
        return xr.Dataset(made, {k: v for k, v in coords.items() if k in dims})

    groups = {
        "posterior": group(_posterior(s, blocks)),
        "sample_stats": group({k: (("chain", "draw"), v) for k, v in statistics.items()}),
        "log_prior": group(_log_prior(s, blocks)),
        "observed_data": group({"value": ("run", spec.value)}),
        "constant_data": _constant(spec),
        "runs": _as_dataset(runs.frame),
    }
    if spec.measured:
        groups["measurements"] = _measurements(spec)
    if chains * draws * spec.value.size <= LARGEST_POINTWISE:
        from bayescale.model.pointwise import pointwise

        groups["log_likelihood"] = group({"value": pointwise(density, blocks)})
    tree = xr.DataTree.from_dict(groups)
    tree.attrs["bayescale"] = json.dumps(_record(spec, engine, settings))
    return tree


def note_findings(tree: "xr.DataTree", findings: Sequence[Finding]) -> None:
    """Write what was found into the record of a tree that nobody else holds yet."""
    record = json.loads(tree.attrs["bayescale"]) | {"findings": [asdict(f) for f in findings]}
    tree.attrs["bayescale"] = json.dumps(record)


def paper_values(structure: Structure, at_reference: Mapping[str, Any]) -> dict[str, Any]:
    """A law's parameters as in its paper, for raw inputs, from those at the reference scales."""
    return structure.law.undo_reference(at_reference, structure.reference)


def _posterior(s: Structure, blocks: Mapping[str, np.ndarray]) -> "dict[str, xr.Variable]":
    """Blocks, values by group, and the paper's parameters where they carry units."""
    import xarray as xr

    def labelled(values: np.ndarray, dims: tuple[str, ...]) -> xr.Variable:
        return xr.Variable(("chain", "draw", *dims), values)

    found: dict[str, xr.Variable] = {}
    for block in s.blocks:
        found[block.name] = labelled(blocks[block.name], (block.factor,) if block.factor else ())
    base = {k: found[s.population(k)] for k in s.law.parameters}
    for letter in s.pool:
        base[letter] = labelled(group_values(s, letter, blocks), s.dims(letter))
        found[s.base(letter)] = base[letter]
    paper = paper_values(s, base)
    for letter in s.law.scaling:
        found[letter] = paper[letter].transpose("chain", "draw", ...)
    found |= _scatter_of_groups(s, blocks, labelled)
    for letter, kind in s.law.parameters.items():
        found[letter].attrs["description"] = kind.meaning
        if letter in s.law.scaling:
            found[letter].attrs["description"] = "as in the paper, for raw inputs"
            found[s.base(letter)].attrs["description"] = f"{letter} at the reference scales: {kind.meaning}"
    return found


def _scatter_of_groups(
    s: Structure, blocks: Mapping[str, np.ndarray], labelled: Callable[..., "xr.Variable"]
) -> dict[str, "xr.Variable"]:
    """Offsets of the groups on the scale of the noise, and their scatter, one factor at a time."""
    own = {}
    for letter, factors in s.noise_pool.items():
        for factor in factors:
            away = effect(s, letter, factor, blocks)
            values = away if letter == OFFSET else blocks[letter][..., None] * np.exp(away)
            own[f"{letter}_{factor}"] = labelled(values, (factor,))
            own[f"{letter}_{factor}"].attrs["description"] = (
                f"by how much the runs of one {factor} lie off the law, on the scale of the noise"
                if letter == OFFSET
                else f"scatter of the runs of one {factor}"
            )
    return own


def _log_prior(s: Structure, blocks: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Log prior of every block with a prior of its own, on its natural scale."""
    return {
        b.name: (("chain", "draw"), np.asarray(b.prior.log_density(blocks[b.name])))
        for b in s.blocks
        if b.prior is not None
    }


def _constant(spec: Spec) -> "xr.Dataset":
    import xarray as xr

    labels = spec.structure.labels
    named = {f: np.asarray(labels[f], dtype=str)[i] for f, i in spec.index.items()}
    variables = {k: ("run", v) for k, v in spec.inputs.items()} | {
        f"group_{f}": ("run", v) for f, v in named.items()
    }
    return xr.Dataset(variables | {"value_se_on_noise_scale": ("run", spec.error)})


def _as_dataset(frame: "pd.DataFrame") -> "xr.Dataset":
    """A table as it was fitted; an empty cell is NaN among numbers and empty text among text."""
    import pandas as pd
    import xarray as xr

    variables = {}
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind in "fiub":
            variables[str(name)] = ("row", column.to_numpy())
        else:
            places, texts = pd.factorize(column.fillna("").astype(str))
            variables[str(name)] = ("row", np.asarray(texts, dtype=str)[places])
    return xr.Dataset(variables)


def _measurements(spec: Spec) -> "xr.Dataset":
    """The measurement rows in the model, each with the letter that it speaks of."""
    import pandas as pd

    tables = [rows.frame.assign(letter=letter) for letter, rows in spec.measured.items()]
    return _as_dataset(pd.concat(tables, ignore_index=True))


def _record(spec: Spec, engine: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    s = spec.structure
    return to_dict(s) | {
        "format": FORMAT,
        "bayescale_version": _version("bayescale"),
        "versions": {name: _version(name) for name in _LIBRARIES},
        "n_runs": int(spec.value.size),
        "input_range": {
            k: [float(v[v != 0].min()), float(v.max())] for k, v in spec.inputs.items()
        },  # of runs that had some
        "value_range": [float(spec.value.min()), float(spec.value.max())],
        "prior_sd": _prior_sd(s),
        "n_measurements": {k: int(rows.value.size) for k, rows in spec.measured.items()},
        "engine": dict(engine),
        "settings": dict(settings),
        "random_seed": settings["random_seed"],
        "partial": bool(engine.get("partial", False)),
        "findings": [],
    }


@cache
def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError

    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _prior_sd(s: Structure) -> dict[str, float]:
    """Prior deviation of every unknown on its link scale, by 4,000 draws of a fixed seed."""
    found = {}
    for name, prior in s.priors.items():
        kind = s.law.parameters.get(name) or kind_beside(prior)
        draws = link(kind, prior.sample(np.random.default_rng(0), 4000))
        found[name] = float(np.std(draws))
    return found
