"""Plausible points from which to climb."""

import numpy as np

from bayescale.inference.target import Target
from bayescale.model.density import Density
from bayescale.model.drift import SIZE, WEIGHTS
from bayescale.model.noise import backward, forward

__all__ = ["climbed", "starting_points"]

_LEAST_FLOOR = 0.02  # of the whole law at the middle of the runs, where a start's floor is moved
_SIZES = (1.0, 0.3, 3.0)  # of the drift, over what is expected, at the starts about the law alone


def starting_points(density: Density, count: int = 64, random_seed: int = 0) -> np.ndarray:
    """Prior medians and a spread of prior draws, as flat vectors of shape ``(count, dim)``.

    Population values are drawn from their priors at half their width, effects start at zero. Where nothing is
    pooled the floor is moved so that the law passes through the runs, and the scatter is what is left. Where
    there is a drift, a few start at the law that it leaves alone, with drifts of several sizes.
    """
    rng = np.random.default_rng(random_seed)
    blocks = {}
    for block in density.spec.structure.blocks:
        if block.factor:
            blocks[block.name] = np.zeros((count, block.size))
            continue
        assert block.prior is not None
        free = block.prior.unconstrain(block.prior.sample(rng, max(count, 200)))
        middle = np.median(free)
        shift = np.concatenate([[0.0], 0.5 * (free[: count - 1] - middle)])
        blocks[block.name] = np.asarray(block.prior.constrain(middle + shift))
    if density.middle and not density.spec.structure.factors:
        _move_to_runs(density, blocks)
    if density.spec.structure.drift and not density.spec.structure.pool:
        _start_at_tangent(density, blocks)
    return density.flatten(blocks)


def _move_to_runs(density: Density, blocks: dict[str, np.ndarray]) -> None:
    """Move floors by how far the runs lie from the law, where they stay above zero, and set the scatter."""
    s, floor = density.spec.structure, density.spec.structure.population(density.middle or "")
    with np.errstate(all="ignore"):  # far from the runs a law may overflow
        whole = forward(s.noise.on, blocks[floor] + density.above_floor(blocks))
        moved = backward(s.noise.on, whole + np.median(density.spec.away(density.law(blocks)), axis=-1))
        lower = blocks[floor] + moved - backward(s.noise.on, whole)
        blocks[floor] = np.where(lower > _LEAST_FLOOR * moved, lower, blocks[floor])
        if "sigma" in blocks and s.priors["sigma"].support == "positive":
            left = np.median(np.abs(density.spec.away(density.law(blocks))), axis=-1)
            blocks["sigma"] = np.where((left > 0) & (left < np.inf), left, blocks["sigma"])


def _start_at_tangent(density: Density, blocks: dict[str, np.ndarray]) -> None:
    """Move the first points to where the bends were made."""
    spec, s = density.spec, density.spec.structure
    assert s.drift is not None
    here = dict(s.drift.tangent)
    away = spec.away(s.law(*spec.scaled, **here))
    here["sigma"] = max(float(np.median(np.abs(away))), 1e-6)
    for i, factor in enumerate(_SIZES[: len(blocks[SIZE])]):
        for name, value in here.items():
            blocks[s.population(name) if name in s.law.parameters else name][i] = value
        blocks[SIZE][i] = factor * blocks[SIZE][0]
        blocks[WEIGHTS][i] = 0.0


def climbed(density: Density, starts: np.ndarray | None = None) -> Target:
    """What `find_mode` needs in order to climb a density, from points of its own unless given."""
    points = starting_points(density, 24) if starts is None else starts
    return Target(
        names=density.names,
        log_density=density,
        gradient=density.gradient,
        starts=points,
        symbolic=lambda: None,
        width=density.spec.value.size,
        fitted=density.fitted,
    )
