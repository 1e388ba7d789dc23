"""Runs of groups in chunks of equal length, so that one pass serves all groups."""

from typing import NamedTuple

import numpy as np

__all__ = ["Chunks", "chunked"]

_LONGEST = 256  # chunk: more does not save
_WASTE = 1.15  # of places over runs, above which chunks are shorter


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

    inputs: tuple[np.ndarray, ...]
    value: np.ndarray
    here: np.ndarray
    error2: np.ndarray | None
    bends: np.ndarray
    group: np.ndarray
    count: np.ndarray
    constant: np.ndarray


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
    return Chunks(
        tuple(np.asarray(x, dtype=float)[at] for x in inputs),
        value[at],
        here.astype(float),
        None if error2 is None else error2[at],
        bends[at],
        group,
        count.astype(float),
        constant,
    )


def _length(count: np.ndarray) -> int:
    """The greatest length of chunks that leaves few places empty: an even part of the largest group."""
    largest = int(count.max())
    for parts in range(-(-largest // _LONGEST), largest + 1):
        length = -(-largest // parts)
        if (-(-count // length) * length).sum() <= _WASTE * count.sum():
            return length
    return 1
