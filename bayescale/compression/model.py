r"""The hierarchy of log factors, and draws from it.

.. math:: \log C_{tm} = \mu + a_t + b_m + e_{tm}, \qquad y_{tm} = \log C_{tm} + \text{error}

with :math:`a_t \sim N(0, s_a)` over tokenizers, :math:`b_m \sim N(0, s_b)` over materials, and
:math:`e_{tm} \sim N(0, s_e)`: what a tokenizer does to one material beyond its own level and that of the
material. The error is normal with the measurement's standard error. Given the three spreads, middle and
effects have a closed form: they are integrated out of the density of the spreads, and drawn exactly
afterwards. What is left to a Markov chain has three dimensions.

The scatter is normal on purpose. On FLORES-200 tokenizers fall into two schools, made for one language or
for many, that agree among themselves on each language. A Student-t scatter sides with one school: its
degrees of freedom run below 2, the level of a language has two modes, and its intervals hold too little.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

__all__ = ["PRIORS", "Design", "FactorPrior", "draw_hierarchy"]

type Floats = np.ndarray
type Density = Callable[[Floats], Floats]

_WALKERS, _STEPS = 16, 300  # of the walk that finds where the spreads are
_THIN = 3  # proposals for each draw kept
_DF = 5  # of the proposal: heavier tails than any posterior of log spreads has
_BATCH = 2_000_000  # numbers worked on at once
_LOW, _HIGH = np.log(1e-3), np.log(20.0)  # spreads beyond are no matter, and hard on the arithmetic


@dataclass(frozen=True)
class FactorPrior:
    """What is held about factors before any is measured, on the log scale.

    Attributes
    ----------
    centre : float
        Raw units per token in the middle.
    centre_sd : float
        Standard deviation of the log of that middle.
    tokenizer_sd, material_sd, scatter_sd : float
        Scales of half-normal priors on the spread between tokenizers, between materials, and of one pair
        about the sum of both.
    """

    centre: float
    centre_sd: float = 1.5
    tokenizer_sd: float = 1.0
    material_sd: float = 0.5
    scatter_sd: float = 0.2


PRIORS: dict[tuple[str, str], FactorPrior] = {
    ("text", "bytes"): FactorPrior(3.0, 1.0, tokenizer_sd=0.5, scatter_sd=0.5),
    ("text", "characters"): FactorPrior(3.0, 1.0, tokenizer_sd=0.5, scatter_sd=0.5),
    ("audio", "bytes"): FactorPrior(300.0, scatter_sd=0.05),
    ("audio", "seconds"): FactorPrior(1 / 150, material_sd=0.1, scatter_sd=0.05),
    ("image", "bytes"): FactorPrior(768.0),
    ("image", "pixels"): FactorPrior(256.0),
    ("video", "bytes"): FactorPrior(1536.0),
    ("video", "pixels"): FactorPrior(512.0),
    ("video", "seconds"): FactorPrior(0.01),
}
"""Priors by modality and raw unit.

Centres: a text token holds a short word or half a long one; a second of sound becomes some 150 tokens; an
image patch is 16 pixels square; a tubelet is two such patches. Sound codecs run at a fixed rate, so what is
recorded matters through its sample rate and channels, alike for all codecs, and not at all in seconds.
Image and video tokenizers work on a grid, so a pair is nearly the sum of its parts.
"""


@dataclass(frozen=True, eq=False)
class Design:
    """Measurements of one modality.

    Attributes
    ----------
    y, se : array of float, shape (row,)
        Log factor and its standard error (0 for none).
    tokenizer, material : array of int, shape (row,)
        Positions among the tokenizers and materials.
    n_tokenizers, n_materials : int
    """

    y: Floats
    se: Floats
    tokenizer: Floats
    material: Floats
    n_tokenizers: int
    n_materials: int


def draw_hierarchy(
    design: Design, prior: FactorPrior, *, draws: int, chains: int, rng: np.random.Generator
) -> dict[str, Floats]:
    """Draws of the population, the spreads and the effects; dims (chain, draw, ...).

    A walk of many short paths finds where the spreads are; then each chain takes proposals from one
    heavy-tailed distribution there, or stays (an independence sampler), so that draws hardly depend on
    one another. Middle and effects are drawn exactly for each.

    Returns
    -------
    dict
        ``middle`` (log), ``tokenizer_sd``, ``material_sd``, ``scatter``, then ``tokenizer`` (…,
        tokenizer) and ``material`` (…, material): effects on the log scale.
    """
    system = _System(design, prior)
    proposal = _Proposal.about(_found(system.log_density, prior, rng))
    spreads = _independent(system.log_density, proposal, (chains, draws), rng)
    middle, of_tokenizer, of_material = system.effects(spreads.reshape(-1, 3), rng)
    by_name = np.exp(np.moveaxis(spreads, 2, 0))
    found = dict(zip(("tokenizer_sd", "material_sd", "scatter"), by_name, strict=True))
    drawn = {"middle": middle, "tokenizer": of_tokenizer, "material": of_material}
    return found | {name: v.reshape(chains, draws, *v.shape[1:]) for name, v in drawn.items()}


def _found(density: Density, prior: FactorPrior, rng: np.random.Generator) -> Floats:
    """Log spreads about where their density is, by random walks from scattered starts."""
    scales = np.log([prior.tokenizer_sd, prior.material_sd, prior.scatter_sd])
    at = np.clip(scales + rng.normal(-0.7, 0.7, (_WALKERS, 3)), _LOW + 1, _HIGH - 1)
    here, root, seen = density(at), np.eye(3) * 0.3, []
    for step in range(_STEPS):
        proposed = at + rng.standard_normal(at.shape) @ root.T
        there = density(proposed)
        accepted = np.log(rng.uniform(size=_WALKERS)) < there - here
        at, here = np.where(accepted[:, None], proposed, at), np.where(accepted, there, here)
        seen.append(at)
        if (step + 1) % 50 == 0:
            root = 1.2 * _root(np.concatenate(seen[-40:]))
    return np.concatenate(seen[_STEPS // 2 :])


def _root(points: Floats) -> Floats:
    return np.linalg.cholesky(np.cov(points.T) + 1e-8 * np.eye(points.shape[1]))


@dataclass(frozen=True, eq=False)
class _Proposal:
    """Two Student-t distributions in equal parts: of the log spreads, and of the spreads by their size.

    The first suits spreads that are well known, the second those that may be zero.
    """

    centres: tuple[Floats, Floats]
    roots: tuple[Floats, Floats]

    @classmethod
    def about(cls, points: Floats) -> "_Proposal":
        """Where these log spreads are, a little wider."""
        size = np.exp(points)
        centres = np.median(points, axis=0), np.median(size, axis=0)
        return cls(centres, (1.1 * _root(points), 1.1 * _root(size)))

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """Log spreads."""
        standard = rng.standard_normal((n, 3)) * np.sqrt(_DF / rng.chisquare(_DF, (n, 1)))
        of_logs, of_sizes = (c + standard @ r.T for c, r in zip(self.centres, self.roots, strict=True))
        first = rng.uniform(size=(n, 1)) < 0.5
        return np.where(first, of_logs, np.log(np.abs(of_sizes) + np.exp(_LOW - 1)))

    def log_density(self, points: Floats) -> Floats:
        """Of log spreads, without the constant that both parts share."""
        size = np.exp(points) - np.exp(_LOW - 1)
        of_logs = _kernel(points, self.centres[0], self.roots[0])
        signs = np.array(list(product((1, -1), repeat=3)))
        folded = [_kernel(size * sign, self.centres[1], self.roots[1]) for sign in signs]
        of_sizes = np.where((size > 0).all(axis=1), np.logaddexp.reduce(folded) + points.sum(axis=1), -np.inf)
        return np.logaddexp(of_logs, of_sizes)


def _kernel(at: Floats, centre: Floats, root: Floats) -> Floats:
    standard = np.linalg.solve(root, (at - centre).T)
    spread = np.log(np.diag(root)).sum()
    return -(_DF + 3) / 2 * np.log1p(np.square(standard).sum(axis=0) / _DF) - spread


def _independent(
    density: Density, proposal: _Proposal, shape: tuple[int, int], rng: np.random.Generator
) -> Floats:
    """Chains that take or leave proposals: dims (chain, draw, spread)."""
    chains, draws = shape
    steps = _THIN * draws
    proposed = proposal.draw(chains * (steps + 1), rng).reshape(chains, steps + 1, 3)
    proposed[:, 0] = proposal.centres[0]
    flat = proposed.reshape(-1, 3)
    worth = (density(flat) - proposal.log_density(flat)).reshape(chains, steps + 1)
    chance = np.log(rng.uniform(size=worth.shape))
    taken = np.zeros(worth.shape, dtype=int)
    each = np.arange(chains)
    for i in range(1, steps + 1):
        before = taken[:, i - 1]
        taken[:, i] = np.where(chance[:, i] < worth[:, i] - worth[each, before], i, before)
    return proposed[each[:, None], taken[:, _THIN::_THIN]]


class _System:
    """The normal equations of middle and effects, with the larger factor eliminated.

    Everything takes log spreads (point, 3) of tokenizers, materials and scatter, many points at once.
    """

    def __init__(self, design: Design, prior: FactorPrior) -> None:
        self.prior = prior
        self.swapped = design.n_tokenizers > design.n_materials
        few, many = design.tokenizer, design.material
        self.n_few, self.n_many = design.n_tokenizers, design.n_materials
        if self.swapped:
            few, many, self.n_few, self.n_many = many, few, self.n_many, self.n_few
        self.cell = few * self.n_many + many
        self.y = design.y - np.log(prior.centre)
        self.se2 = np.square(design.se)
        self.exact = not self.se2.any()
        ones = np.ones((1, self.y.size))
        self.count, self.pulled = self._table(ones), self._table(ones * self.y)
        self.scales = np.array([prior.tokenizer_sd, prior.material_sd, prior.scatter_sd])
        self.at_once = max(1, _BATCH // max(self.n_few * self.n_many, self.y.size * (not self.exact)))

    def log_density(self, spreads: Floats) -> Floats:
        """Log density of the log spreads, middle and effects integrated out."""
        parts = [self._density(spreads[i : i + self.at_once]) for i in range(0, len(spreads), self.at_once)]
        return np.concatenate(parts)

    def effects(self, spreads: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """A draw of the middle, the effects of tokenizers and those of materials for each point."""
        parts = [
            self._effects(spreads[i : i + self.at_once], rng) for i in range(0, len(spreads), self.at_once)
        ]
        middle, few, many = (np.concatenate(part) for part in zip(*parts, strict=True))
        return (middle, many, few) if self.swapped else (middle, few, many)

    def _density(self, spreads: Floats) -> Floats:
        inside = ((spreads > _LOW) & (spreads < _HIGH)).all(axis=1)
        spreads = np.clip(spreads, _LOW, _HIGH)
        table, pulled, square, logs = self._sums(spreads)
        matrix, right, along, diagonal = self._reduced(spreads, table, pulled)
        factor = np.linalg.cholesky(matrix)
        half = np.linalg.solve(factor, right[..., None])[..., 0]
        square = square - (np.square(along) / diagonal).sum(axis=1) - np.square(half).sum(axis=1)
        of_few, of_many = self._ordered(spreads)
        determinant = 2 * np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
        determinant = determinant + np.log(diagonal).sum(axis=1)
        determinant = determinant - self.n_few * np.log(of_few) - self.n_many * np.log(of_many)
        # Half-normal priors on the spreads, with the Jacobian of their logs.
        prior = (spreads - 0.5 * np.square(np.exp(spreads) / self.scales)).sum(axis=1)
        return np.where(inside, 0.5 * (logs - square - determinant) + prior, -np.inf)

    def _effects(self, spreads: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        table, pulled, _, _ = self._sums(spreads)
        matrix, right, along, diagonal = self._reduced(spreads, table, pulled)
        factor = np.linalg.cholesky(matrix)
        half = np.linalg.solve(factor, right[..., None])
        half = half + rng.standard_normal(half.shape)
        few = np.linalg.solve(np.swapaxes(factor, 1, 2), half)[..., 0]
        there = (few[:, :1] + few[:, 1:])[:, None, :] @ table
        many = (along - there[:, 0]) / diagonal + rng.standard_normal(diagonal.shape) / np.sqrt(diagonal)
        return few[:, 0] + np.log(self.prior.centre), few[:, 1:], many

    def _sums(self, spreads: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Precisions and pulls by cell, the square of the data, and the sum of the logs of precisions.

        Without errors of measurement all rows have one precision, and are summed once for all points.
        """
        scatter = np.exp(-2 * spreads[:, 2])
        if self.exact:
            wide = scatter[:, None, None]
            square = scatter * np.square(self.y).sum()
            return self.count * wide, self.pulled * wide, square, self.y.size * np.log(scatter)
        precision = 1 / (1 / scatter[:, None] + self.se2)
        pulled = precision * self.y
        square, logs = (pulled * self.y).sum(axis=1), np.log(precision).sum(axis=1)
        return self._table(precision), self._table(pulled), square, logs

    def _table(self, values: Floats) -> Floats:
        """Sums over the rows of each cell: dims (point, few, many)."""
        points, size = len(values), self.n_few * self.n_many
        cell = (np.arange(points)[:, None] * size + self.cell).ravel()
        return np.bincount(cell, values.ravel(), points * size).reshape(points, self.n_few, self.n_many)

    def _ordered(self, spreads: Floats) -> tuple[Floats, Floats]:
        """Prior precisions of the effects of the smaller and of the larger factor."""
        of_tokenizer, of_material = np.exp(-2 * spreads[:, :2].T)
        return (of_material, of_tokenizer) if self.swapped else (of_tokenizer, of_material)

    def _reduced(
        self, spreads: Floats, table: Floats, pulled: Floats
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Equations of (middle, few) after the many are eliminated: matrix, right side, and theirs."""
        of_few, of_many = self._ordered(spreads)
        column = table.sum(axis=1)
        diagonal, along = column + of_many[:, None], pulled.sum(axis=1)
        cross = np.concatenate([column[:, None], table], axis=1)
        scaled = cross / diagonal[:, None, :]
        matrix = -(scaled @ np.swapaxes(cross, 1, 2))
        own, drawn = table.sum(axis=2), pulled.sum(axis=2)
        rows = np.arange(self.n_few) + 1
        matrix[:, 0, 0] += own.sum(axis=1) + self.prior.centre_sd**-2
        matrix[:, 0, 1:] += own
        matrix[:, 1:, 0] += own
        matrix[:, rows, rows] += own + of_few[:, None]
        right = np.concatenate([drawn.sum(axis=1, keepdims=True), drawn], axis=1)
        return matrix, right - (scaled @ along[..., None])[..., 0], along, diagonal
