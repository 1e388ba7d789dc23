"""Runs of groups in chunks of equal length, as a compiler wants them, and their log likelihood in JAX."""

from typing import Any, NamedTuple

import numpy as np

from bayescale.laws import Law
from bayescale.laws.elementwise import Array, lgamma, log, log1p
from bayescale.laws.powers import compiled_law
from bayescale.model.noise_scale import On, forward
from bayescale.priors import unlink

__all__ = ["Chunks", "chunked", "likelihood_by_group"]

_LONGEST = 256  # chunk: more does not save
_WASTE = 1.15  # of places over runs, above which chunks are shorter
_AT_ONCE = 2_000_000  # points times runs in one go, beyond which they are taken in turn


class Chunks(NamedTuple):
    """Runs group after group, each group's last chunk filled up.

    Attributes
    ----------
    inputs : tuple of array of shape (chunk, place)
        Scaled.
    value : array of shape (chunk, place)
        On the scale of the noise.
    here : array of shape (chunk, place)
        1 where there is a run, 0 where the chunk is filled up.
    error2 : array of shape (chunk, place) or None
        Squared known errors.
    bends : array of shape (chunk, place, bend)
        Of a drift; none without one.
    group : array of int of shape (chunk,)
    count, constant : array of shape (group,)
        Runs of each group, and their log slopes of the scale of the noise.
    """

    inputs: tuple[Array, ...]
    value: Array
    here: Array
    error2: Array | None
    bends: Array
    group: Array
    count: Array
    constant: Array


def chunked(
    inputs: tuple[np.ndarray, ...],
    value: np.ndarray,
    error2: np.ndarray | None,
    bends: np.ndarray,
    edges: np.ndarray,
    constant: np.ndarray,
) -> Chunks:
    """The runs in chunks of the greatest length that leaves few places empty.

    Parameters
    ----------
    inputs, value, error2, bends
        Of runs group after group.
    edges : array of shape (group + 1,)
        Where each group begins, and where the last one ends.
    """
    count = np.diff(edges)
    length = _length(count)
    chunks = -(-count // length)
    group = np.repeat(np.arange(count.size), chunks)
    within = np.arange(group.size) - np.repeat(np.cumsum(chunks) - chunks, chunks)
    place = within[:, None] * length + np.arange(length)
    here = place < count[group][:, None]
    at = edges[:-1][group][:, None] + np.where(here, place, 0)  # a filled place repeats the group's first run
    spare = _round_up(group.size) - group.size
    at = np.concatenate([at, np.full((spare, length), at[0, 0])])
    here = np.concatenate([here, np.zeros((spare, length), dtype=bool)])
    return Chunks(
        tuple(np.asarray(x, dtype=float)[at] for x in inputs),
        value[at],
        here.astype(float),
        None if error2 is None else error2[at],
        bends[at],
        np.concatenate([group, np.zeros(spare, dtype=int)]),
        count.astype(float),
        constant,
    )


def _length(count: np.ndarray) -> int:
    """The greatest length of chunks that leaves few places empty: an even part of the largest group."""
    largest = int(count.max())
    for parts in range(-(-largest // _LONGEST), largest + 1):
        length = _round_up(-(-largest // parts))
        if (-(-count // length) * length).sum() <= _WASTE * count.sum():
            return length
    return 1


def _round_up(size: int) -> int:
    """An eighth more at most, so that studies of nearly one size are of one shape."""
    step = max(1, 2 ** (int(size).bit_length() - 4))
    return -(-size // step) * step


def likelihood_by_group(
    law: Law, on: On, rows: Chunks, theta: Array, sigma: Array, nu: Array | float | None
) -> Array:
    """Log density of the runs of each group in JAX.

    Parameters
    ----------
    theta : array of shape (point, group, letter)
        On the link scale; after the letters, how far the runs lie off along each bend, alike for all groups.
    sigma, nu : array of shape (point,)
        Of the noise; no `nu` for normal noise.

    Returns
    -------
    array of shape (point, group)
    """
    import jax

    points, groups = theta.shape[:2]
    chunks, length = rows.value.shape
    kinds = law.parameters
    drifted = theta.shape[-1] > len(kinds)
    letters = {k: unlink(kind, theta[..., i]) for i, (k, kind) in enumerate(kinds.items())}
    df: Array = None if nu is None else nu + 0.0 * sigma  # one for each point, where it is fixed too

    def fit(part: Any) -> Array:
        """Sum over the runs of some chunks, (point, chunk)."""
        inputs, value, here, error2, bends, group = part
        mean = compiled_law(law, inputs, {k: v[:, group, None] for k, v in letters.items()})
        away = value - forward(on, mean)
        if drifted:
            away = away - jax.numpy.einsum("pj,clj->pcl", theta[:, 0, len(kinds) :], bends)
        away2 = away**2 * here
        spread2 = (sigma**2)[:, None, None] + (0.0 if error2 is None else error2)
        width = 0.0 if error2 is None else (0.5 * log(spread2) * here).sum(-1)
        if df is None:
            return -0.5 * (away2 / spread2).sum(-1) - width
        tails = log1p(away2 / (df[:, None, None] * spread2)).sum(-1)
        return -0.5 * (df[:, None] + 1) * tails - width

    whole = (rows.inputs, rows.value, rows.here, rows.error2, rows.bends, rows.group)
    step = max(1, _AT_ONCE // (points * length))
    if chunks <= step:
        found = fit(whole)
    else:
        turns = jax.tree.map(lambda x: _in_turns(x, step), whole)
        found = jax.lax.map(fit, turns).swapaxes(0, 1).reshape(points, -1)[:, :chunks]
    each = jax.numpy.zeros((points, groups)).at[:, rows.group].add(found)
    one = 0.0 * sigma - 0.5 * np.log(2 * np.pi)
    if df is not None:
        one = lgamma((df + 1) / 2) - lgamma(df / 2) - 0.5 * log(df * np.pi)
    if rows.error2 is None:
        one = one - log(sigma)
    return each + rows.constant + one[:, None] * rows.count


def _in_turns(x: Array, step: int) -> Array:
    """So many at a time along a new first axis; the last turn is filled up with zeros."""
    import jax.numpy as jnp

    turns = -(-x.shape[0] // step)
    filled = jnp.zeros((turns * step, *x.shape[1:]), x.dtype).at[: x.shape[0]].set(x)
    return filled.reshape(turns, step, *x.shape[1:])
