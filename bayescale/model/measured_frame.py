"""What measurement rows say of the groups of one factor, given the scatter and the effects settled before.

The information of a row is one over its variance, and the scatter is unknown: with a fixed guess of it the
adapted coordinates would run into a corner where the scatter vanishes and a tokenizer that was measured once
fits its row exactly. Tokenizers come last, so that the effects of materials are known by then.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bayescale.laws.elementwise import Array
from bayescale.model.measured import apart
from bayescale.model.spec import Spec
from bayescale.model.structure import Structure, effect
from bayescale.priors import link

__all__ = ["Level", "Rows", "in_order", "level_for", "rows_for", "told_by_rows"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Measurement rows of one letter, as one of their factors sees them.

    Attributes
    ----------
    letter : str
    at : int
        Position of the letter among the law's parameters.
    member : array of shape (row, group)
        1 where a row is of a group.
    value, error2 : array of shape (row,)
        Log factors, and the squares of their known errors.
    before, after : mapping of str to int array of shape (row,)
        Factors whose effects are known by then, and those that are yet to be worked out.
    guess : mapping of str to (array of shape (row,), array of shape (row,))
        For the latter: a rough effect of each row's group, and one over the number of its rows.
    """

    letter: str
    at: int
    member: np.ndarray
    value: np.ndarray
    error2: np.ndarray
    before: Mapping[str, np.ndarray]
    guess: Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Level:
    """What measurement rows say of the population value of a letter, on the log scale.

    Attributes
    ----------
    middle : float
        The common level of the rows.
    shares : mapping of str to float
        For each factor, one over the number of groups that were measured.
    share : float
        One over the number of rows.
    prior_mean, prior_precision : float
    """

    middle: float
    shares: Mapping[str, float]
    share: float
    prior_mean: float
    prior_precision: float

    def place(self, letter: str, blocks: Mapping[str, Array]) -> tuple[Array, Array]:
        """Middle and precision of the population value, given the spreads and the scatter."""
        variance = self.share * blocks[f"{letter}_scatter"] ** 2
        for factor, share in self.shares.items():
            variance = variance + share * blocks[f"{letter}_sd_{factor}"] ** 2
        precision = self.prior_precision + 1.0 / variance
        middle = (self.prior_precision * self.prior_mean + self.middle / variance) / precision
        return middle, precision


def level_for(spec: Spec, letter: str) -> Level:
    """The level of the rows of a letter, and what its prior says."""
    s, rows = spec.structure, spec.measured[letter]
    _, middle, _ = apart(rows, {f: len(s.labels[f]) for f in rows.index})
    prior = link(s.law.parameters[letter], s.priors[letter].sample(np.random.default_rng(0), 4000))
    return Level(
        middle=middle,
        shares={f: 1.0 / len(np.unique(index)) for f, index in rows.index.items()},
        share=1.0 / rows.value.size,
        prior_mean=float(np.mean(prior)),
        prior_precision=float(1 / np.var(prior)),
    )


def in_order(s: Structure) -> tuple[str, ...]:
    """Factors in the order in which their effects are worked out: tokenizers that were measured last."""
    last = {factors[0] for factors in s.measured.values() if factors}
    return tuple(sorted(s.factors, key=lambda factor: factor in last))


def rows_for(spec: Spec, factor: str) -> tuple[Rows, ...]:
    """The measurement rows that differ over a factor, by letter."""
    s, found = spec.structure, []
    order = in_order(s)
    for letter, rows in spec.measured.items():
        if factor not in rows.index:
            continue
        effects, _, _ = apart(rows, {f: len(s.labels[f]) for f in rows.index})
        others = [f for f in order if f in rows.index and f != factor]
        earlier = [f for f in others if order.index(f) < order.index(factor)]
        guess = {}
        for other in (f for f in others if f not in earlier):
            index = rows.index[other]
            guess[other] = (effects[other][index], 1.0 / np.bincount(index)[index])
        found.append(
            Rows(
                letter=letter,
                at=list(s.law.parameters).index(letter),
                member=np.eye(len(s.labels[factor]))[rows.index[factor]],
                value=rows.value,
                error2=rows.error**2,
                before={f: rows.index[f] for f in earlier},
                guess=guess,
            )
        )
    return tuple(found)


def told_by_rows(
    rows: Rows, s: Structure, blocks: Mapping[str, Array], middle: np.ndarray
) -> tuple[Array, Array]:
    """Information of the rows on each group's log factor, and their pull at `middle`: dims (..., group)."""
    variance = blocks[f"{rows.letter}_scatter"][..., None] ** 2 + rows.error2
    left = rows.value
    for factor, index in rows.before.items():
        left = left - effect(s, rows.letter, factor, blocks)[..., index]
    for factor, (rough, share) in rows.guess.items():
        left = left - rough
        variance = variance + share * blocks[f"{rows.letter}_sd_{factor}"][..., None] ** 2
    weight = 1.0 / variance
    information = weight @ rows.member
    return information, (weight * left) @ rows.member - information * middle
