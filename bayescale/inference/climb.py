"""Climbing many starts at once, where a target tells of each run what it expects (damped scoring).

The curvature is taken from how the expected values of the runs move with the coordinates (Gauss and Newton),
which is positive wherever the climb stands and nearly right near the top: a dozen steps do for what takes
quasi-Newton a hundred. Slopes are central differences of densities of many points, which are cheap together.
"""

from dataclasses import dataclass

import numpy as np

from bayescale.inference.target import Target

__all__ = ["NEAR", "scored", "second_order"]

_STEP = 1e-3  # of a difference, in coordinates that are logs or standard normal
_LONGEST = 1.0  # of a step, in the same
_STEPS = 25
_LENGTHS = np.array([0.1, 0.35, 1.0, 3.0, 9.0])  # of a step, tried together
_EASIER = np.array([10.0, 2.0, 0.3, 0.1, 0.03])  # what each, where it is best, makes of the damping
NEAR = 1.0
"""Nats still to be won at which a climb has arrived: Newton's steps are sooner at the top from there."""
_SAME = 3.0  # deviations from where another climb arrived within which this one ends there too
_PRIOR = 0.3  # curvature of what is not the runs', where these say most
_AT_ONCE = 4_000_000  # numbers held for the runs of all points about the climbers


@dataclass(eq=False)
class _Climbers:
    """Points with height, slope and curvature; first axis is the climber."""

    points: np.ndarray
    heights: np.ndarray
    slopes: np.ndarray
    bends: np.ndarray

    def move(self, those: np.ndarray, to: "_Climbers") -> None:
        for mine, theirs in zip(vars(self).values(), vars(to).values(), strict=True):
            mine[those] = theirs


def scored(target: Target, starts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends of climbs, shape (start, dim), with their heights and curvatures; from all starts unless given."""
    at = _looked_about(target, target.starts if starts is None else starts)
    damping = np.full(len(at.points), 1e-3)
    climbing, arrived = np.flatnonzero(np.isfinite(at.heights)), np.empty(0, dtype=int)
    for _ in range(_STEPS):
        bends, slopes = at.bends[climbing], at.slopes[climbing]
        step = _damped(bends, slopes, damping[climbing])
        left = np.einsum("pi,pi->p", step, slopes) > NEAR
        arrived = np.append(arrived, climbing[~left])
        left &= ~_going_there(at, climbing, arrived)
        climbing, step = climbing[left], step[left]
        if climbing.size == 0:
            break
        longest = np.minimum(1.0, _LONGEST / np.maximum(np.abs(step).max(axis=1), 1e-300))
        lengths = longest[:, None] * _LENGTHS
        ends = at.points[climbing, None] + lengths[..., None] * step[:, None]
        heights = target.heights(ends.reshape(-1, target.dim)).reshape(lengths.shape)
        heights = np.where(np.isfinite(heights), heights, -np.inf)
        best = heights.argmax(axis=1)
        chosen = np.arange(climbing.size), best
        better = heights[chosen] > at.heights[climbing]
        factor = np.where(better, _EASIER[best], 30.0)
        damping[climbing] = np.maximum(damping[climbing] * factor, 1e-9)
        climbing, found = climbing[better | (damping[climbing] < 1e8)], climbing[better]
        if found.size:
            at.move(found, _looked_about(target, ends[chosen][better]))
    return at.points, at.heights, at.bends


def _going_there(at: _Climbers, climbing: np.ndarray, arrived: np.ndarray) -> np.ndarray:
    """Which climbers stand so near to one that has arrived that they end where it did."""
    near = np.zeros(climbing.size, dtype=bool)
    for top in arrived:
        away = at.points[climbing] - at.points[top]
        near |= np.einsum("pi,ij,pj->p", away, at.bends[top], away) < _SAME**2
    return near


def _damped(bends: np.ndarray, slopes: np.ndarray, damping: np.ndarray) -> np.ndarray:
    """Marquardt's steps: each coordinate is damped in proportion to its own curvature."""
    unit = 1.0 / np.sqrt(np.einsum("pii->pi", bends))
    scaled = bends * unit[:, :, None] * unit[:, None, :]
    scaled = scaled + (damping + 1e-10)[:, None, None] * np.eye(slopes.shape[1])
    return unit * np.linalg.solve(scaled, (unit * slopes)[..., None])[..., 0]


def _looked_about(target: Target, points: np.ndarray) -> _Climbers:
    """Height, slope and curvature at points, by differences along each coordinate."""
    count, dim = points.shape
    if count > 1 and count * (2 * dim + 1) * target.width > _AT_ONCE:
        parts = [_looked_about(target, point[None]) for point in points]
        return _Climbers(*(np.concatenate(p) for p in zip(*(vars(x).values() for x in parts), strict=True)))
    assert target.fitted is not None
    about = np.concatenate([np.zeros((1, dim)), _STEP * np.eye(dim), -_STEP * np.eye(dim)])
    with np.errstate(all="ignore"):
        heights, rows, unit = target.fitted((points[:, None] + about).reshape(-1, dim))
        heights = np.asarray(heights).reshape(count, -1)
        rows = np.asarray(rows).reshape(count, 2 * dim + 1, -1)
        unit = np.asarray(unit).reshape(count, 2 * dim + 1, -1)[:, :1]
        up, down = heights[:, 1 : dim + 1], heights[:, dim + 1 :]
        slopes = np.nan_to_num((up - down) / (2 * _STEP), nan=0.0, posinf=0.0, neginf=0.0)
        along = (rows[:, 1 : dim + 1] - rows[:, dim + 1 :]) / (2 * _STEP * unit)
        along = np.nan_to_num(along, nan=0.0, posinf=0.0, neginf=0.0)
        told = along @ along.swapaxes(1, 2)
        by_rows = np.einsum("pii->pi", told)
        own = np.nan_to_num(-(up + down - 2 * heights[:, :1]) / _STEP**2, nan=0.0, posinf=0.0, neginf=0.0)
        beside = np.where(by_rows < 0.5 * own, own - by_rows, _PRIOR)
        bends = told + beside[:, :, None] * np.eye(dim)
        heights = np.where(np.isfinite(heights[:, 0]), heights[:, 0], -np.inf)
    return _Climbers(points, heights, slopes, bends)


def second_order(
    target: Target, point: np.ndarray, root: np.ndarray, step: float = 0.01
) -> tuple[float, np.ndarray, np.ndarray]:
    """Height, slope and negative curvature at a point, in coordinates whitened by `root`.

    By second differences of the density at 1 + dim + dim squared points, all evaluated together.
    """
    dim = point.size
    first, second = np.triu_indices(dim, 1)
    one = np.eye(dim)
    both = one[first] + one[second]
    moves = step * np.concatenate([np.zeros((1, dim)), one, -one, both, -both])
    heights = target.heights(point + moves @ root.T)
    here, up, down = heights[0], heights[1 : dim + 1], heights[dim + 1 : 2 * dim + 1]
    pairs = heights[2 * dim + 1 :].reshape(2, -1).sum(0)
    bend = np.diag(-(up + down - 2 * here) / step**2)
    cross = -(pairs - (up + down)[first] - (up + down)[second] + 2 * here) / (2 * step**2)
    bend[first, second] = bend[second, first] = cross
    return float(here), (up - down) / (2 * step), bend
