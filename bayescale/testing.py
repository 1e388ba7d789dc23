"""Posteriors made without a sampler, for tests of whatever reads a fitted study."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.laws import Law, find
from bayescale.laws.elementwise import Array
from bayescale.laws.pure import pure_range
from bayescale.model.noise import StudentT, as_noise
from bayescale.model.structure import Structure, to_dict
from bayescale.priors import Outcome, Prior, default_prior, default_spread, link, unlink

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["synthetic_posterior"]

_OUTCOME = Outcome(least=2.0, middle=2.6, spread=1.0)
_REFERENCE = {"n_params": 1e9, "n_tokens": 2e10, "tokens_unique": 2e10, "flops": 1e20}
_SHARE_OF_PRIOR = 0.1  # posterior SD over prior SD: the runs are made to say much
_N_RUNS = 24


def synthetic_posterior(
    law: str | Law = "chinchilla",
    groups: Sequence[str] | None = None,
    chains: int = 4,
    draws: int = 250,
    random_seed: int = 0,
) -> "xr.DataTree":
    """A fitted study as `fit` would return it, with independent draws about known values.

    Parameters
    ----------
    law : str or Law
    groups : sequence of str, optional
        Families over which the law's first exponent (or, failing that, first parameter) varies.
    chains, draws : int
        Number of chains, and of draws in each.
    random_seed : int
        Same seed, same study.

    Returns
    -------
    DataTree
        Groups posterior, sample_stats, log_prior, log_likelihood, observed_data, constant_data; the
        study's record as JSON text in the attribute ``bayescale``. Values are those of the runs in
        ``observed_data``, so that predictions there are close to them.
    """
    import xarray as xr

    rng = np.random.default_rng(random_seed)
    structure = _structure(find(law), tuple(groups or ()))
    sizes = {"chain": chains, "draw": draws}
    blocks = _blocks(structure, sizes, rng)
    at_reference = _at_reference(structure, blocks)
    inputs, family = _inputs(structure, rng)
    noise = {name: blocks[name] for name in structure.noise_names}
    means, value = _values(structure, at_reference, inputs, family, rng)
    if structure.noise.on == "log" and float(means.min()) <= 0:  # there is no log of it
        structure = _on_the_value(structure)
    density = structure.noise.log_density(value, means, xr.zeros_like(value), **noise)
    posterior = dict(blocks)
    posterior |= {structure.base(k): v for k, v in at_reference.items()}
    posterior |= structure.law.undo_reference(at_reference, structure.reference)
    prior = {k: structure.priors[_key(structure, k)].log_density(v) for k, v in _learnt(structure, blocks)}
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(posterior),
            "sample_stats": _sample_stats(sizes, rng),
            "log_prior": xr.Dataset(prior),
            "log_likelihood": xr.Dataset({"value": density.transpose("chain", "draw", "run")}),
            "observed_data": xr.Dataset({"value": value}),
            "constant_data": xr.Dataset(inputs | ({"family": family} if groups else {})),
        }
    )
    tree.attrs["bayescale"] = json.dumps(_record(structure, random_seed))
    return tree


def _structure(law: Law, groups: tuple[str, ...]) -> Structure:
    kinds = law.parameters
    varies = next((k for k, kind in kinds.items() if kind.name == "exponent"), next(iter(kinds)))
    noise = as_noise(StudentT(on="value" if law.rises_with else "log"))
    priors = {k: default_prior(kind, _OUTCOME, law.typical.get(k)) for k, kind in kinds.items()}
    if groups:
        priors[f"{varies}_sd_family"] = default_spread(kinds[varies], _OUTCOME)
    return Structure(
        law=law,
        columns={name: name for name in law.inputs},
        reference={name: _REFERENCE.get(name, 1.0) if law.scaling else 1.0 for name in law.inputs},
        metric="loss_nats",
        noise=noise,
        pool={varies: ("family",)} if groups else {},
        labels={"family": groups} if groups else {},
        priors=priors | noise.priors(_OUTCOME),
    )


def _on_the_value(structure: Structure) -> Structure:
    noise = as_noise(StudentT(on="value"))
    return replace(structure, noise=noise, priors=dict(structure.priors) | noise.priors(_OUTCOME))


def _key(structure: Structure, block: str) -> str:
    """Name under which a block's prior is kept: ``A`` for ``A_ref_population``."""
    letter = block.removesuffix("_population").removesuffix("_ref")
    return letter if letter in structure.priors else block


def _link_scale(structure: Structure, key: str, prior: Prior) -> tuple[float, float]:
    """Median and SD of a prior, on the scale on which the parameter is learnt."""
    sample = prior.sample(np.random.default_rng(0), 20_000)
    kind = structure.law.parameters.get(key)
    linked = np.log(sample) if kind is None else link(kind, sample)
    return float(np.median(linked)), float(np.std(linked))


def _blocks(structure: Structure, sizes: Mapping[str, int], rng: np.random.Generator) -> dict[str, Any]:
    import xarray as xr

    blocks = {}
    for block in structure.blocks:
        scatter = rng.standard_normal((*sizes.values(), block.size))
        if block.prior is None:
            labels = list(structure.labels[block.factor or ""])
            steps = np.linspace(-1, 1, len(labels)) + _SHARE_OF_PRIOR * scatter
            dims = ("chain", "draw", block.factor)
            blocks[block.name] = xr.DataArray(
                steps, dims=dims, coords=_coords(sizes) | {block.factor: labels}
            )
            continue
        key = _key(structure, block.name)
        centre, sd = _link_scale(structure, key, block.prior)
        linked = centre + _SHARE_OF_PRIOR * sd * scatter[..., 0]
        kind = structure.law.parameters.get(key)
        values = np.exp(linked) if kind is None else unlink(kind, linked)
        blocks[block.name] = xr.DataArray(values, dims=("chain", "draw"), coords=_coords(sizes))
    return blocks


def _coords(sizes: Mapping[str, int]) -> dict[str, Array]:
    return {dim: np.arange(size) for dim, size in sizes.items()}


def _learnt(structure: Structure, blocks: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(k, v) for k, v in blocks.items() if _key(structure, k) in structure.priors]


def _at_reference(structure: Structure, blocks: Mapping[str, Any]) -> dict[str, Any]:
    """The law's parameters by letter, at the reference scales, with their groups."""
    found = {}
    for letter, kind in structure.law.parameters.items():
        value = blocks[structure.population(letter)]
        for factor in structure.pool.get(letter, ()):
            effect = blocks[f"{letter}_sd_{factor}"] * blocks[f"{letter}_offset_{factor}"]
            value = unlink(kind, link(kind, value) + effect)
        found[letter] = value
    return found


def _inputs(structure: Structure, rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    """Runs over a factor of fifty in each scale, and the family of each."""
    import xarray as xr

    inputs = {}
    for name, reference in structure.reference.items():
        low, high = (-2.0, 2.0) if name in _REFERENCE else (-1.5, -0.1)
        ends = pure_range(name)
        if ends is not None:  # shares of several domains must leave room for one another
            spread = rng.uniform(ends[0], ends[0] + (ends[1] - ends[0]) / 3, _N_RUNS)
            inputs[name] = xr.DataArray(spread, dims="run")
            continue
        inputs[name] = xr.DataArray(
            _REFERENCE.get(name, reference) * np.exp(rng.uniform(low, high, _N_RUNS)), dims="run"
        )
    labels = np.array(structure.labels.get("family", ("all",)))
    return inputs, xr.DataArray(labels[np.arange(_N_RUNS) % len(labels)], dims="run")


def _values(
    structure: Structure,
    at_reference: Mapping[str, Any],
    inputs: Mapping[str, Any],
    family: Any,
    rng: np.random.Generator,
) -> tuple[Any, Any]:
    """What each draw expects of each run, and a value scattered about the middle of that."""
    scaled = [inputs[name] / structure.reference[name] for name in structure.law.inputs]
    by_run = {k: v.sel(family=family) if "family" in v.dims else v for k, v in at_reference.items()}
    means = structure.law(*scaled, **by_run).drop_vars("family", errors="ignore")
    middle = means.median(("chain", "draw"))
    return means, middle * np.exp(0.01 * rng.standard_normal(_N_RUNS))


def _sample_stats(sizes: Mapping[str, int], rng: np.random.Generator) -> "xr.Dataset":
    import xarray as xr

    shape, dims = tuple(sizes.values()), tuple(sizes)
    return xr.Dataset(
        {
            "diverging": (dims, np.zeros(shape, dtype=bool)),
            "energy": (dims, 20 + 2 * rng.standard_normal(shape)),
            "tree_depth": (dims, rng.integers(3, 6, shape)),
            "acceptance_rate": (dims, rng.uniform(0.7, 1.0, shape)),
            "step_size": (dims, np.full(shape, 0.3)),
        },
        coords=_coords(sizes),
    )


def _record(structure: Structure, random_seed: int) -> dict[str, Any]:
    sds = {key: _link_scale(structure, key, prior)[1] for key, prior in structure.priors.items()}
    return to_dict(structure) | {
        "format": 1,
        "bayescale_version": "synthetic",
        "engine": {"name": "synthetic"},
        "random_seed": random_seed,
        "prior_sd": sds,
    }
