r"""How a law goes wrong: a smooth misfit that is small among the runs and grows with distance beyond them.

On the scale of the noise, a run's expected value is the law's plus

.. math:: \delta(x) = \sum_j q_{a(j)}\, w_j\, \phi_j(x), \qquad w_j \sim N(0, 1)

where the :math:`\phi_j` add up to an integrated random walk along each of two axes: log compute and log
tokens per parameter. A path that starts at the middle of the runs with neither height nor slope bends with
accelerations that are independent from one stretch to the next, so that its deviation grows as distance to
the power 3/2 where nothing holds it back.

The sizes q are learnt, mostly from bends among the runs. Runs say much of the size along tokens per
parameter and little of that along compute, so the second leans on the first: it is expected to grow as its
square root. Both priors, and that power, were chosen by backtests on published isoFLOP sets.

What the law itself can do is taken out of the bends (they are made orthogonal to the law's own derivatives
over the runs). So the parameters keep their meaning, that of the law that fits these runs best, and the
misfit is what is left.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from bayescale.inference.slopes import STEP
from bayescale.laws import Law
from bayescale.laws.elementwise import Array, exp, log, sqrt
from bayescale.model.noise import On, backward, forward
from bayescale.model.small_matrices import rows_times
from bayescale.priors import Prior, link, unlink

__all__ = [
    "Axis",
    "Bends",
    "Drift",
    "axes_for",
    "bends_at",
    "beyond",
    "conditional",
    "delta",
    "held_near",
    "made_of",
    "per_bend",
    "shifted",
    "sizes_at",
    "slopes",
    "stretches_beyond",
    "unit_of",
]

SIZE, EXCESS, WEIGHTS, PART = "drift", "drift_compute", "drift_weights", "drift_part"  # blocks, and a dim
_STRETCHES = 4  # on either side of the middle, among the runs
_BEYOND = 0.5  # length of a stretch beyond the runs
_LEAST = 0.05  # reach of an axis along which the runs hardly differ
_COMPUTE, _RATIO = 0.65, 0.5  # length of a decade of compute, and of tokens per parameter, on their axes
_RATIO_SIZE, _COMPUTE_SIZE, _LEAN = 0.05, 0.045, 0.5
_USUAL_SPREAD = 0.7  # of log losses in a study: what other scales are measured against


@dataclass(frozen=True)
class Drift:
    """The discrepancy part: a law that holds nearly, and less so far away.

    Attributes
    ----------
    size : Prior
        Of the size of the bends along tokens per parameter (or along the one scale that a law reads), in
        units of the log value per 1.5th power of the axis: two decades of tokens per parameter.
    compute : Prior
        Of the size along compute over what the other leads to expect; without unit.
    """

    size: Prior = field(default_factory=lambda: Prior("LogNormal", mu=math.log(_RATIO_SIZE), sigma=1.2))
    compute: Prior = field(default_factory=lambda: Prior("LogNormal", mu=0.0, sigma=0.5))


@dataclass(frozen=True)
class Axis:
    """A direction in the logs of the inputs, with its stretches to either side of the middle.

    Attributes
    ----------
    name : str
    weights : mapping of str to float
        Length of a decade of each input of the law along the axis.
    middle : float
    above, below : tuple of float
        Ends of the stretches among the runs, outwards from zero.
    """

    name: str
    weights: Mapping[str, float]
    middle: float
    above: tuple[float, ...]
    below: tuple[float, ...]

    def at(self, inputs: Mapping[str, Array]) -> Array:
        """Place along the axis, from the middle of the runs; inputs in raw units."""
        return sum(w * log(inputs[k]) for k, w in self.weights.items()) / math.log(10) - self.middle


@dataclass(frozen=True)
class Bends:
    """The bends of a study, as saved with it.

    Attributes
    ----------
    axes : tuple of Axis
    unit : float
        Size of the misfit on the scale of the noise for one of `Drift`: 1 for logs.
    tangent : mapping of str to float
        Parameters at the reference scales where the law's derivatives are taken.
    taken_out : tuple of tuple of float
        By parameter and bend: how much of the law's derivative each bend holds among the runs.
    turned : tuple of tuple of float
        Rotation after which the runs speak of each bend of an axis by itself.
    axis : tuple of int
        Axis of each turned bend.
    told, pull : tuple of float
        What the runs say of each turned bend at unit scatter: information, and slope.
    """

    axes: tuple[Axis, ...]
    unit: float
    tangent: Mapping[str, float]
    taken_out: tuple[tuple[float, ...], ...]
    turned: tuple[tuple[float, ...], ...]
    axis: tuple[int, ...]
    told: tuple[float, ...]
    pull: tuple[float, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each turned bend."""
        return tuple(f"{self.axes[a].name} {i + 1}" for i, a in enumerate(self.axis))

    def sizes(self, blocks: Mapping[str, Array]) -> list[Array]:
        """Size of the bends along each axis."""
        return _sizes(len(self.axes), blocks)

    def priors(self, part: Drift) -> dict[str, Prior]:
        """What is learnt of the sizes, with priors."""
        return {SIZE: part.size} | ({EXCESS: part.compute} if len(self.axes) > 1 else {})

    def to_dict(self) -> dict[str, Any]:
        """A mapping that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Bends":
        """The inverse of `to_dict`."""
        lists = {k: tuple(map(tuple, stored[k])) for k in ("taken_out", "turned")}
        axes = tuple(
            Axis(a["name"], dict(a["weights"]), a["middle"], tuple(a["above"]), tuple(a["below"]))
            for a in stored["axes"]
        )
        numbers = {k: tuple(stored[k]) for k in ("axis", "told", "pull")}
        return cls(axes=axes, unit=stored["unit"], tangent=dict(stored["tangent"]), **lists, **numbers)


def axes_for(law: Law, inputs: Mapping[str, np.ndarray]) -> tuple[Axis, ...]:
    """The axes along which a law may drift: compute and tokens per parameter, or its one scale.

    Parameters
    ----------
    law : Law
    inputs : mapping of str to array of shape (run,)
        In raw units.
    """
    if {"n_params", "n_tokens"} <= set(law.inputs):
        weights = {
            "compute": {"n_params": _COMPUTE, "n_tokens": _COMPUTE},
            "tokens per parameter": {"n_params": -_RATIO, "n_tokens": _RATIO},
        }
    else:
        scales = [k for k in ("flops", "n_tokens", "n_params") if k in law.inputs]
        length = {"flops": _COMPUTE, "n_tokens": 1.0, "n_params": 1.0}
        weights = {k: {k: length[k]} for k in scales[:1]}
    return tuple(_axis(name, w, inputs) for name, w in weights.items())


def _axis(name: str, weights: Mapping[str, float], inputs: Mapping[str, np.ndarray]) -> Axis:
    place = Axis(name, weights, 0.0, (), ()).at(inputs)
    middle = float(np.mean(place))
    ends = [max(float(np.max(sign * (place - middle))), _LEAST) for sign in (1, -1)]
    above, below = (tuple(np.linspace(0.0, end, _STRETCHES + 1)[1:].tolist()) for end in ends)
    return Axis(name, dict(weights), middle, above, below)


def made_of(
    law: Law,
    reference: Mapping[str, float],
    inputs: Mapping[str, np.ndarray],
    *,
    on: On,
    tangent: Mapping[str, float],
    prior_precision: np.ndarray,
    weight: np.ndarray,
    residual: np.ndarray,
    unit: float,
) -> Bends:
    """The bends of these runs, orthogonal to the law at its mode.

    Parameters
    ----------
    tangent : mapping of str to float
        The law's parameters at the mode, at the reference scales.
    prior_precision : array of shape (letter,)
        On the link scale.
    weight : array of shape (run,)
        Precision of each run on the scale of the noise, in units of the scatter's own.
    residual : array of shape (run,)
        From the law at the mode, on that scale.
    """
    axes = axes_for(law, inputs)
    raw = _raw(axes, inputs) * unit
    steep = slopes(law, reference, inputs, on, tangent)
    normal = (steep.T * weight) @ steep + np.diag(prior_precision)
    taken_out = np.linalg.solve(normal, (steep.T * weight) @ raw)
    bends = raw - steep @ taken_out
    information = (bends.T * weight) @ bends
    home = np.repeat(np.arange(len(axes)), 2 * _STRETCHES)
    told, turned = np.zeros(len(home)), np.zeros_like(information)
    for a in range(len(axes)):
        mine = np.ix_(home == a, home == a)
        told[home == a], turned[mine] = _rotation(information[mine])
    pull = turned.T @ (bends.T @ (weight * residual))
    return Bends(
        axes=axes,
        unit=unit,
        tangent=dict(tangent),
        taken_out=tuple(map(tuple, taken_out.tolist())),
        turned=tuple(map(tuple, turned.tolist())),
        axis=tuple(home.tolist()),
        told=tuple(np.maximum(told, 0.0).tolist()),
        pull=tuple(pull.tolist()),
    )


def _rotation(information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is told along nearly principal directions, and those; the same whatever the order of the rows.

    Bends of which the runs say nothing have no directions of their own: a slight slope gives them some.
    """
    slope = np.diag(np.linspace(1.0, 2.0, len(information))) * 1e-6 * np.trace(information)
    vectors = np.linalg.eigh(information + slope)[1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(len(information))])
    return ((information @ vectors) * vectors).sum(0), vectors


def bends_at(
    bends: Bends, law: Law, reference: Mapping[str, float], inputs: Mapping[str, np.ndarray], on: On
) -> np.ndarray:
    """Turned bends at given scales in raw units; last axis is the bend."""
    steep = slopes(law, reference, inputs, on, bends.tangent)
    straight = _raw(bends.axes, inputs) * bends.unit - steep @ np.asarray(bends.taken_out)
    return straight @ np.asarray(bends.turned)


def beyond(bends: Bends, inputs: Mapping[str, np.ndarray], sizes: Sequence[np.ndarray]) -> np.ndarray:
    """What the path does beyond the runs: shape (sample, row) for inputs of shape (row,) or (sample, row).

    By a seed of its own, so that every question sees the same path of each draw. `sizes` has one array of
    shape (sample,) for each axis.
    """
    found: np.ndarray = np.zeros(())
    for weight, bend in stretches_beyond(bends, inputs, sizes):
        found = found + weight[:, None] * bend
    return found * bends.unit


def stretches_beyond(
    bends: Bends, inputs: Mapping[str, np.ndarray], sizes: Sequence[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The parts that `beyond` adds up: how each draw bends in one stretch, and what a unit of that does."""
    for a, axis in enumerate(bends.axes):
        place = np.asarray(axis.at(inputs))
        for side, (sign, ends) in enumerate(((1, axis.above), (-1, axis.below))):
            reach, far = ends[-1], float(np.max(sign * place, initial=0.0))
            for i in range(max(math.ceil((far - reach) / _BEYOND), 0)):
                bend = _stretch(sign * place, reach + i * _BEYOND, reach + (i + 1) * _BEYOND)
                yield sizes[a] * _path(a, side, i, sizes[a].size), bend


@lru_cache(maxsize=128)
def _path(axis: int, side: int, stretch: int, n_samples: int) -> np.ndarray:
    """How each draw's path bends in one stretch beyond the runs."""
    return np.random.default_rng([6174, axis, side, stretch]).standard_normal(n_samples)


def held_near(bends: Bends, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Inputs of the same compute whose tokens per parameter lie among those of the runs.

    Where the misfit is asked for by a search for the best size: far from any tokens per parameter that were
    tried it says nothing, and would be taken at its word. Laws with one axis have their inputs unchanged.
    """
    if len(bends.axes) == 1:
        return dict(inputs)
    place = np.asarray(bends.axes[1].at(inputs))
    shift = np.clip(place, -bends.axes[1].below[-1], bends.axes[1].above[-1]) - place
    tokens = 10.0 ** (shift / (2 * _RATIO))
    return dict(inputs) | {"n_params": inputs["n_params"] / tokens, "n_tokens": inputs["n_tokens"] * tokens}


def slopes(
    law: Law,
    reference: Mapping[str, float],
    inputs: Mapping[str, np.ndarray],
    on: On,
    at: Mapping[str, float],
) -> np.ndarray:
    """Derivative of the law on the scale of the noise in each parameter's link scale; last axis is that."""
    scaled = [np.asarray(inputs[k], dtype=float) / reference[k] for k in law.inputs]
    shape = np.broadcast_shapes(*(x.shape for x in scaled))
    found = []
    with np.errstate(all="ignore"):
        for letter, kind in law.parameters.items():
            moved = unlink(kind, link(kind, np.float64(at[letter])) + 1j * STEP)
            value = forward(on, law(*scaled, **(dict(at) | {letter: moved})))
            found.append(np.broadcast_to(np.imag(value) / STEP, shape))
    return np.stack(found, axis=-1)


def conditional(bends: Bends, blocks: Mapping[str, Array]) -> tuple[Array, Array]:
    """Where the weights of the bends lie, given sizes and scatter, and how far from there: near-normally."""
    scatter = blocks["sigma"][..., None]
    per = per_bend(bends, blocks) / scatter
    width = 1.0 / sqrt(1.0 + per**2 * np.asarray(bends.told))
    return per / scatter * np.asarray(bends.pull) * width**2, width


def per_bend(bends: Bends, blocks: Mapping[str, Array]) -> Array:
    """Size of each bend; last axis is the bend."""
    return sizes_at(bends.axis, blocks)


def sizes_at(homes: Sequence[int], blocks: Mapping[str, Array]) -> Array:
    """Size of bends along these axes; last axis is the bend."""
    sizes = _sizes(max(homes) + 1, blocks)
    own = [np.array([float(a == home) for home in homes]) for a in range(len(sizes))]
    return sum(size[..., None] * mine for size, mine in zip(sizes, own, strict=True))


def _sizes(axes: int, blocks: Mapping[str, Array]) -> list[Array]:
    size = blocks[SIZE]
    if axes == 1:
        return [size]
    return [_COMPUTE_SIZE * exp(_LEAN * log(size / _RATIO_SIZE)) * blocks[EXCESS], size]


def delta(bends: Bends, blocks: Mapping[str, Array], at: np.ndarray) -> Array:
    """The misfit on the scale of the noise at rows with these turned bends; last axis is the row."""
    return rows_times(per_bend(bends, blocks) * blocks[WEIGHTS], at.T)


def shifted(on: On, mean: Array, delta: Array) -> Array:
    """A mean moved by `delta` on the scale of the noise."""
    if on == "log":
        return mean * exp(delta)
    if on == "value":
        return mean + delta
    return backward(on, forward(on, mean) + delta)


def unit_of(on: On, spread: float) -> float:
    """Unit of the misfit on the scale of the noise, given the spread of the values there."""
    return 1.0 if on == "log" else spread / _USUAL_SPREAD


def _raw(axes: Sequence[Axis], inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Bends by stretch among the runs, of unit size, before the law is taken out."""
    found = []
    for axis in axes:
        place = axis.at(inputs)
        for sign, ends in ((1, axis.above), (-1, axis.below)):
            starts = (0.0, *ends[:-1])
            found += [_stretch(sign * place, a, b) for a, b in zip(starts, ends, strict=True)]
    return np.stack(np.broadcast_arrays(*found), axis=-1)


def _stretch(place: np.ndarray, start: float, end: float) -> np.ndarray:
    """Path that bends at a constant rate between start and end, and goes straight on from there."""
    after = np.maximum(place - start, 0.0) ** 2 - np.maximum(place - end, 0.0) ** 2
    return 0.5 * after / math.sqrt(end - start)
