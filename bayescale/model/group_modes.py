"""Which studies are sampled group by group, and where their groups' runs put the parameters."""

from dataclasses import replace
from typing import Any

import numpy as np

from bayescale.model.by_group import ByGroup, Mode, looked, modes, residuals
from bayescale.model.centring import width_between
from bayescale.model.density import Density, with_middle
from bayescale.model.drift import EXCESS, SIZE
from bayescale.model.fused import fused
from bayescale.model.group_facts import Facts
from bayescale.model.grouped import Form, Grouped
from bayescale.model.noise import Normal, StudentT, backward
from bayescale.model.spec import Spec, some_rows, without_pooling
from bayescale.model.start import starting_points
from bayescale.model.tangent import Tangent, tangent_at
from bayescale.priors import Prior, link

__all__ = ["fits_grouped", "grouped"]

_ENOUGH, _ENOUGH_TOGETHER = 2000, 6000  # runs of a group, and of all, that settle where to start
_COMPILED = 600  # runs from which on compiled loops are worth the seconds that compiling takes
_HELD = 0.02  # spread for that of parameters that do not vary
_ENOUGH_NOISE = 20_000  # runs that settle the noise of a start


def fits_grouped(spec: Spec) -> bool:
    """Whether a specification has the form that is sampled group by group."""
    s = spec.structure
    on_link = all(s.priors[k].support == kind.support for k, kind in s.law.parameters.items()) and all(
        prior.distribution != "TruncatedNormal" for prior in s.priors.values()
    )
    plain = s.plain_noise and not spec.measured and not s.centring
    return len(s.factors) == 1 and on_link and plain and isinstance(s.noise, StudentT | Normal)


def grouped(spec: Spec) -> Grouped:
    """The study in these coordinates: finds the mode of all runs together, then that of each group.

    Parameters
    ----------
    spec : Spec
        One for which `fits_grouped` holds.
    """
    s, (factor,) = spec.structure, spec.structure.factors
    letters = list(s.law.parameters)
    rng = np.random.default_rng(0)
    free = np.stack([link(s.law.parameters[k], s.priors[k].sample(rng, 4000)) for k in letters])
    prior_mean, prior_precision = free.mean(-1), 1 / free.var(-1)
    bare = with_middle(Density(without_pooling(spec)))
    nu = _middle_nu(spec)
    runs = ByGroup(spec, factor)
    part = _fewer(runs, rng, _ENOUGH)
    some = _fewer(part, rng, max(_ENOUGH_TOGETHER // runs.n_groups, 20))
    common = _common_mode(ByGroup(_as_one(some.spec), _ALL), prior_mean, prior_precision, nu)
    widths = np.array([width_between(s, k, factor) for k in letters])
    alone = modes(part, common.theta[0], 1 / widths**2, common.sigma, nu)
    alone = _noise_fitted(part, alone, 1 / widths**2, spec)
    if part is not runs:
        at = alone.theta[:, : len(letters)]
        alone = modes(runs, at, 1 / widths**2, alone.sigma, alone.nu, steps=2, about=common.theta[0])
        alone = _noise_fitted(runs, alone, 1 / widths**2, spec)
    pooled = [k for k in letters if s.pool.get(k)]
    spreads = [f"{k}_sd_{factor}" for k in pooled]
    sizes = [name for name in (SIZE, EXCESS) if s.drift and name in s.priors]
    priors = {name: s.priors[name] for name in (*letters, *spreads, *sizes, *s.noise_names)}
    theta = alone.theta[:, : len(letters)]
    near, far = (tangent_at(s.law, bare.centre, x, bare.middle) for x in (theta, theta.mean(0)))
    form = Form(
        law=s.law,
        on=s.noise.on,
        fixed_nu=getattr(s.noise, "nu", None),
        distributions=tuple(priors.items()),
        pooled=tuple(letters.index(k) for k in pooled),
        floor=near.floor,
        near=near.amplitudes,
        far=far.amplitudes,
        bends=s.drift.axis if s.drift else (),
    )
    facts = Facts(
        arguments={name: dict(prior.arguments) for name, prior in priors.items()},
        centre=bare.centre,
        **_numbers(near, far),
        told=alone,
        prior_mean=prior_mean,
        prior_precision=prior_precision,
        error2=0.0 if runs.error2 is None else float(np.median(runs.error2)),
    )
    names = {k: s.population(k) for k in letters}
    effects = tuple(f"{k}_offset_{factor}" for k in pooled)
    parts = Grouped(form, facts, runs, names, effects, tuple(block.name for block in s.blocks))
    parts = fused(parts) if runs.value.size >= _COMPILED else parts
    return _about_all(parts, bare.middle)


def _numbers(near: Tangent, far: Tangent) -> dict[str, Any]:
    """What `Facts` says of the coordinates x of groups, and of the population."""
    return {
        "near": near.origin,
        "far": far.origin,
        "near_slopes": dict(near.slopes or {}),
        "far_slopes": dict(far.slopes or {}),
        "near_heights": dict(near.heights or {}),
        "far_heights": dict(far.heights or {}),
    }


def _about_all(parts: Grouped, middle: str | None) -> Grouped:
    """The same density in coordinates about where the groups are, given what all runs say of their spread.

    The first are about each group's own mode under a wide prior. What a group's runs say badly lies far off
    there, and what they say of it is not what they say where the hierarchy draws it.
    """
    assert parts.runs is not None
    letters, told = len(parts.form.law.parameters), parts.facts.told
    first = parts.guess()[0]
    placed = parts.place(first[None])
    theta = parts.of_groups(placed, np.zeros((1, parts.n_groups, parts.n_pooled)))[1][0, :, :letters]
    population = placed.theta[0, :letters]
    told = looked(parts.runs, theta, told.sigma, told.nu)[0]
    precision = np.full(letters, _HELD**-2.0)
    precision[list(parts.form.pooled)] = placed.spread[0] ** -2.0
    there = _noise_fitted(parts.runs, told, precision, parts.runs.spec)
    if not all(np.isfinite(x).all() for x in (there.information, there.pull, theta)):
        return parts
    law, centre = parts.form.law, parts.facts.centre
    numbers = _numbers(*(tangent_at(law, centre, x, middle) for x in (theta, population)))
    facts = parts.facts._replace(told=there, first=first[: parts.n_free - parts.n_noise], **numbers)
    return replace(parts, facts=facts)


_ALL = ""


def _as_one(spec: Spec) -> Spec:
    """All runs as one group."""
    s = replace(spec.structure, labels={**spec.structure.labels, _ALL: ("all",)})
    return replace(spec, structure=s, index={**spec.index, _ALL: np.zeros(spec.value.size, dtype=int)})


def _fewer(runs: ByGroup, rng: np.random.Generator, count: int) -> ByGroup:
    """At most so many runs of each group, to start from."""
    if np.diff(runs.edges).max() <= 2 * count:
        return runs
    kept = np.concatenate(
        [
            rng.permutation(runs.order[low:high])[:count]
            for low, high in zip(runs.edges[:-1], runs.edges[1:], strict=True)
        ]
    )
    return ByGroup(some_rows(runs.spec, kept), runs.factor)


def _middle_nu(spec: Spec) -> float | None:
    noise = spec.structure.noise
    if isinstance(noise, Normal):
        return None
    fixed = getattr(noise, "nu", None)
    if fixed is not None:
        return float(fixed)
    return float(np.median(spec.structure.priors["nu"].sample(np.random.default_rng(0), 1000)))


def _common_mode(runs: ByGroup, prior_mean: np.ndarray, precision: np.ndarray, nu: float | None) -> Mode:
    """Mode of all runs as one group, the best of a few climbs."""
    bare = with_middle(Density(without_pooling(runs.spec)))
    s = bare.spec.structure
    found = bare.blocks(starting_points(bare, 32))
    starts = np.stack([link(kind, found[s.population(k)]) for k, kind in s.law.parameters.items()], -1)
    with np.errstate(all="ignore"):
        scatter = np.array([_robust(residuals(runs, start[None])) for start in starts])
    ends = []
    for start in starts[np.argsort(scatter)[:4]]:
        first = float(np.nanmin(scatter))
        # The prior is about its own mean: a start far from it must not be held by it.
        end = modes(runs, start[None], precision, first, nu, about=prior_mean)
        ends.append((_robust(residuals(runs, end.theta)), end))
    return min(ends, key=lambda pair: pair[0])[1]


def _robust(away: np.ndarray) -> float:
    scale = float(np.median(np.abs(away)))
    return scale if np.isfinite(scale) else np.inf


def _noise_fitted(runs: ByGroup, mode: Mode, precision: np.ndarray, spec: Spec) -> Mode:
    """The same modes, and what the runs say there and along the bends, with the noise that fits them."""
    from scipy.optimize import minimize

    names = [name for name, _ in _noise_priors(spec)]
    priors = dict(_noise_priors(spec))
    away = residuals(runs, mode.theta)
    inverse = np.linalg.inv(mode.information + np.diag(precision))
    used = float(np.einsum("gij,gji->", inverse, mode.information))
    away = away * np.sqrt(away.size / max(away.size - used, 0.2 * away.size))
    error2 = np.zeros(away.size) if runs.error2 is None else runs.error2
    some = np.linspace(0, away.size - 1, min(away.size, _ENOUGH_NOISE)).astype(int)
    more, away, error2 = away.size / some.size, away[some], error2[some]

    def lowered(free: np.ndarray) -> float:
        given = {k: priors[k].constrain(free[i]) for i, k in enumerate(names)}
        fit = spec.structure.noise.log_density(
            _back(spec, away), _back(spec, np.zeros(1)), np.sqrt(error2), **given
        )
        prior = sum(priors[k].log_density_free(free[i]) for i, k in enumerate(names))
        return -float(more * np.sum(fit) + prior)

    start = np.array([priors[k].unconstrain({"sigma": mode.sigma, "nu": mode.nu or 6.0}[k]) for k in names])
    best = minimize(lowered, start, method="Nelder-Mead", options={"xatol": 0.01, "fatol": 0.01})
    given = {k: float(priors[k].constrain(best.x[i])) for i, k in enumerate(names)}
    nu = given.get("nu", mode.nu)
    return looked(runs, mode.theta, given["sigma"], nu, drifting=True)[0]


def _noise_priors(spec: Spec) -> list[tuple[str, Prior]]:
    return [(name, spec.structure.priors[name]) for name in spec.structure.noise_names]


def _back(spec: Spec, z: np.ndarray) -> np.ndarray:
    return backward(spec.structure.noise.on, z)
