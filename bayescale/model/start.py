"""Plausible points from which to climb."""

import numpy as np

from bayescale.inference.target import Target
from bayescale.model.density import Density

__all__ = ["climbed", "starting_points"]


def starting_points(density: Density, count: int = 64, random_seed: int = 0) -> np.ndarray:
    """Prior medians and a spread of prior draws, as flat vectors of shape ``(count, dim)``.

    Population values are drawn from their priors at half their width, effects start at zero.
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
    return density.flatten(blocks)


def climbed(density: Density, starts: np.ndarray | None = None) -> Target:
    """What `find_mode` needs in order to climb a density, from points of its own unless given."""
    points = starting_points(density, 24) if starts is None else starts
    return Target(density.names, density, density.gradient, points, lambda: None, density.spec.value.size)
