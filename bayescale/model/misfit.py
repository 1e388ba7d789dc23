"""Whether a specification gets a drift, and what its bends are."""

from dataclasses import replace
from typing import Any

import numpy as np

from bayescale.errors import InputError
from bayescale.inference.mode import find_mode
from bayescale.inference.slopes import STEP
from bayescale.model.centring import away_from_groups
from bayescale.model.density import Density, with_middle
from bayescale.model.drift import PART, Drift, axes_for, made_of, unit_of
from bayescale.model.noise import backward, forward
from bayescale.model.spec import Spec, without_pooling
from bayescale.model.start import climbed
from bayescale.priors import link

__all__ = ["as_drift", "with_drift"]

_MOST_WEIGHT = 10.0  # of one run, in units of the scatter: noise with a peak would give it all


def as_drift(discrepancy: Any, spec: Spec) -> Drift | None:
    """The drift that ``fit(discrepancy=...)`` asks for.

    Raises
    ------
    InputError
        If it is none of the known ones, or the law or the noise cannot carry it.
    """
    axes = axes_for(spec.structure.law, spec.inputs)
    noise = spec.structure.noise
    if discrepancy is None or discrepancy is False or discrepancy == "none":
        return None
    if isinstance(discrepancy, str) and discrepancy == "auto":
        backtested = set(spec.structure.factors) <= {"family"} and not spec.structure.law.factors
        return Drift() if axes and noise.on == "log" and backtested else None
    if not isinstance(discrepancy, Drift) and discrepancy != "drift":
        raise InputError(
            f"discrepancy={discrepancy!r} must be 'auto', 'drift' (a law that holds nearly, and less so far "
            "from the runs), bayescale.Drift(size=...), or None (the law is exact)."
        )
    if not axes:
        raise InputError(
            f"discrepancy={discrepancy!r}: law {spec.structure.law.name!r} reads none of n_params, n_tokens "
            "and flops, along which a law can drift. Use discrepancy=None."
        )
    if "sigma" not in spec.structure.noise_names:
        raise InputError(
            f"discrepancy={discrepancy!r} needs noise with a scatter sigma, and {type(noise).__name__} noise "
            "has none. Use noise='logit_normal' for scores, or discrepancy=None."
        )
    return discrepancy if isinstance(discrepancy, Drift) else Drift()


def with_drift(spec: Spec, discrepancy: Any) -> Spec:
    """The same specification with a drift, if one is asked for (see `as_drift`)."""
    part = as_drift(discrepancy, spec)
    if part is None:
        return spec
    s = spec.structure
    plain = with_middle(Density(without_pooling(spec)))
    mode = find_mode(climbed(plain))
    blocks = plain.blocks(mode.point)
    own = plain.spec.structure
    at = {k: float(blocks[own.population(k)]) for k in s.law.parameters}
    on = s.noise.on
    if len(s.factors) == 1:  # from the law of its own group: groups apart are no misfit
        residual, scatter = away_from_groups(spec, plain, s.factors[0], mode.point)
    else:
        residual, scatter = spec.away(plain.mean(blocks)), float(blocks["sigma"])
    weight = _weights(plain, residual, blocks | {"sigma": np.float64(scatter)})
    bends = made_of(
        s.law,
        s.reference,
        spec.inputs,
        on=on,
        tangent=at,
        prior_precision=_prior_precision(plain.spec) * scatter**2,
        weight=weight,
        residual=residual,
        unit=unit_of(on, float(np.ptp(np.quantile(forward(on, spec.value), [0.05, 0.95])))),
    )
    return replace(
        spec,
        structure=replace(
            s,
            drift=bends,
            labels=dict(s.labels) | {PART: bends.labels},
            priors=dict(s.priors) | bends.priors(part),
        ),
    )


def _weights(plain: Density, residual: np.ndarray, blocks: dict[str, Any]) -> np.ndarray:
    """Weight of each run at a distance from the law on the scale of the noise, in units of the scatter."""
    spec, noise = plain.spec, plain.spec.structure.noise
    scatter = float(blocks["sigma"])
    away = np.where(np.abs(residual) > 1e-6 * scatter, residual, 1e-6 * scatter)
    learnt = {k: blocks[k] for k in plain.spec.structure.noise_names}
    at = backward(noise.on, forward(noise.on, spec.value) - away + 1j * STEP)
    steep = np.imag(noise.log_density(spec.value, at, spec.error, **learnt)) / STEP
    return np.clip(steep / away * scatter**2, 0.0, _MOST_WEIGHT)


def _prior_precision(spec: Spec) -> np.ndarray:
    s, rng = spec.structure, np.random.default_rng(0)
    return np.array([1 / np.var(link(k, s.priors[a].sample(rng, 4000))) for a, k in s.law.parameters.items()])
