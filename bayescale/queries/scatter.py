"""How runs scatter about the law at new scales, with groups of runs that hang together."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bayescale.model.dependence import row_sigma, size_at
from bayescale.model.drift import shifted
from bayescale.model.noise_scale import OFFSET, SIGMA
from bayescale.model.structure import effect
from bayescale.queries.scales import inputs_of
from bayescale.queries.study import Study

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["kin_of", "learnt_at", "new_run_density", "run_mean", "with_named"]


def kin_of(study: Study, scales: "pd.DataFrame") -> dict[str, np.ndarray]:
    """Position of each row's group among the labels of each factor of the scatter; -1, -2, ... for new ones.

    A label that was not among the runs is that of a new group: one more run, seed or study. A factor whose
    columns are absent asks for one new group for all rows.
    """
    s, found = study.structure, {}
    for factor in s.noise_factors:
        columns = factor.split(":")
        if not set(columns) <= set(scales.columns):
            found[factor] = np.full(len(scales), -1)
            continue
        rows = [" : ".join(cells) for cells in zip(*(map(_plain, scales[c]) for c in columns), strict=True)]
        known = {" : ".join(map(_plain, label.split(" : "))): i for i, label in enumerate(s.labels[factor])}
        known |= {row: -1 - i for i, row in enumerate(r for r in dict.fromkeys(rows) if r not in known)}
        found[factor] = np.array([known[r] for r in rows], dtype=int)
    return found


def _plain(label: object) -> str:
    """A label as text; numbers alike however they are written, such as seeds 3 and 3.0."""
    text = str(label)
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text


def with_named(study: Study, kin: Mapping[str, np.ndarray], law: np.ndarray) -> np.ndarray:
    """The law with the offsets of the groups that were fitted: shape (sample, row)."""
    s = study.structure
    total = np.zeros(())
    for factor in s.noise_pool.get(OFFSET, ()):
        rows = kin[factor]
        part = effect(s, OFFSET, factor, study.blocks)[:, np.maximum(rows, 0)]
        total = total + np.where(rows >= 0, part, 0.0)
    return shifted(s.noise.on, law, total) if total.ndim else law


def run_mean(study: Study, kin: Mapping[str, np.ndarray], named: np.ndarray, random_seed: int) -> np.ndarray:
    """What is expected of one more run: `with_named`, and offsets of new groups drawn from the population."""
    s = study.structure
    total = np.zeros(())
    for factor in s.noise_pool.get(OFFSET, ()):
        total = total + _fresh(study, OFFSET, factor, kin[factor], random_seed)
    return shifted(s.noise.on, named, total) if total.ndim else named


def learnt_at(
    study: Study,
    kin: Mapping[str, np.ndarray],
    inputs: Mapping[str, np.ndarray],
    random_seed: int,
) -> dict[str, np.ndarray]:
    """What the noise part learnt, for each row: shape (sample, row) or (sample, 1)."""
    s = study.structure
    learnt = {k: study.blocks[k][:, None] for k in s.noise_names}
    if s.plain_noise or SIGMA not in learnt:
        return learnt
    known = {k: np.maximum(rows, 0) for k, rows in kin.items()}
    sigma = row_sigma(s, study.blocks, known, size_at(s, inputs))
    for factor in s.noise_pool.get(SIGMA, ()):
        rows = kin[factor]
        wrong = np.where(rows >= 0, 0.0, effect(s, SIGMA, factor, study.blocks)[:, known[factor]])
        sigma = sigma * np.exp(_fresh(study, SIGMA, factor, rows, random_seed) - wrong)
    return learnt | {SIGMA: sigma}


def new_run_density(
    study: Study, scales: "pd.DataFrame", observed: np.ndarray, curve: np.ndarray, random_seed: int
) -> np.ndarray:
    """Log density of values of one more run each, in each draw: shape (sample, row).

    `curve` is what ``predict_draws(kind="curve")`` gave at these scales; groups that it does not hold are
    drawn as there.
    """
    s, kin = study.structure, kin_of(study, scales)
    mean = run_mean(study, kin, curve, random_seed)
    size = {} if s.plain_noise else inputs_of(study, scales)
    learnt = learnt_at(study, kin, size, random_seed)
    return s.noise.log_density(observed, mean, np.zeros_like(observed), **learnt)


def _fresh(study: Study, letter: str, factor: str, rows: np.ndarray, random_seed: int) -> np.ndarray:
    """Effects of new groups, each with draws of its own, and zero for known ones: shape (sample, row)."""
    new = np.unique(rows[rows < 0])
    drawn = np.zeros((study.n_samples, new.size + 1))
    place = study.structure.noise_factors.index(factor)
    for i, group in enumerate(new):
        seed = [random_seed, 2, letter == SIGMA, place, -int(group)]
        drawn[:, i] = np.random.default_rng(seed).standard_normal(study.n_samples)
    at = np.where(rows < 0, np.searchsorted(new, rows), new.size)
    return study.blocks[f"{letter}_sd_{factor}"][:, None] * drawn[:, at]
