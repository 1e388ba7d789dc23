"""Draws at many scales, by rows few enough to hold, on all cores."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bayescale.errors import InputError
from bayescale.laws.addends import is_sum_over_inputs
from bayescale.model.drift import WEIGHTS, per_bend, shifted, stretches_beyond
from bayescale.model.noise import Noise, backward, forward
from bayescale.model.noise_scale import OFFSET
from bayescale.queries.bands import quantiles, quantiles_of_sums
from bayescale.queries.members import answering
from bayescale.queries.scales import inputs_of
from bayescale.queries.scatter import kin_of, learnt_at, run_mean, with_named
from bayescale.queries.series import Series, as_series, product
from bayescale.queries.study import Study, groups_of, parameters_at

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["asked", "bands"]

_BLOCK = 1024  # rows for which all that does not hang on the draws is made at once
_BATCH = 300_000  # numbers worked on at once by one thread: they fit in its cache
_MANY = 500  # rows of one group from which a series is worth its making
_TILE = (
    1.5  # rows of a tile of neighbours, for the root of all: fewer lie nearer, and each tile has its price
)

type _Rows = np.ndarray
type _Inputs = Mapping[str, np.ndarray]
type _Drawn = Callable[[slice], np.ndarray]
"""Draws at some rows of a block: shape (row, sample)."""
type _Value = Callable[[np.ndarray | int, _Inputs], np.ndarray]


def asked(
    study: Study, frame: "pd.DataFrame", kind: str
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The law's inputs and groups at each row of a frame.

    Raises
    ------
    InputError
        What is wrong with the frame or with `kind`.
    """
    if kind not in ("run", "curve"):
        raise InputError(
            f"kind={kind!r} must be 'run' (a new run, with scatter) or 'curve' (the law itself)."
        )
    return inputs_of(study, frame), groups_of(study, frame)


def bands(
    edges: Sequence[float],
    studies: Mapping[str, Study],
    frame: "pd.DataFrame",
    kind: str,
    random_seed: int,
) -> np.ndarray:
    """Mean of the law, and quantiles of the value asked for: shape (1 + edge, row).

    Every row sees the same new groups. Where the noise allows it, each sample scatters all its rows alike:
    every row's own distribution is as it should be, and bands are smooth.
    """
    groups, prepared, near = [], [], {}
    for name, study in studies.items():
        with answering(name):
            inputs, index = asked(study, frame, kind)
            labels, at = _distinct(index, len(frame))
            value = _value(study, labels, random_seed)
            series = _series(study, value, inputs, at)
            law = _law(study, value, series, inputs, at)
            prepared.append(_answer(study, law, inputs, kin_of(study, frame), kind, random_seed))
            groups.append(at)
            if len(studies) == 1 and _is_series(study, kind):
                near = {
                    group: _near(study, known, inputs, kind, random_seed) for group, known in series.items()
                }
    width = max(1, _BATCH // sum(study.n_samples for study in studies.values()))

    def block(rows: _Rows) -> np.ndarray:
        if neighbours := near.get(int(groups[0][rows[0]])):
            return neighbours(rows, edges)
        of_studies, found = [prepare(rows) for prepare in prepared], []
        for start in range(0, len(rows), width):
            drawn = [answer(slice(start, start + width)) for answer in of_studies]
            law, value = (
                p[0] if len(p) == 1 else np.concatenate(p, axis=1) for p in zip(*drawn, strict=True)
            )
            found.append(np.stack([law.mean(1), *quantiles(value, edges)]))
        return np.concatenate(found, axis=-1)

    blocks = []
    for piece in _pieces(groups):
        if int(groups[0][piece[0]]) in near:
            blocks += _tiles(piece, inputs)
        else:
            blocks += [piece[i : i + _BLOCK] for i in range(0, len(piece), _BLOCK)]
    if len(blocks) == 1:
        answers = [block(blocks[0])]
    else:
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            answers = list(pool.map(block, blocks))
    found = np.concatenate(answers, axis=-1)
    back = np.empty_like(found)
    back[..., np.concatenate(blocks)] = found
    return back


def _distinct(index: Mapping[str, np.ndarray], rows: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The combinations of groups that occur, and which of them each row is of."""
    if not index:
        return {}, np.zeros(rows, dtype=int)
    found, at = np.unique(np.stack([*index.values()]), axis=1, return_inverse=True)
    return dict(zip(index, found, strict=True)), at.reshape(-1)


def _pieces(groups: Sequence[np.ndarray]) -> list[_Rows]:
    """Rows by large groups, and those of small ones together."""
    every = np.stack(groups)
    among = every[0] if len(every) == 1 else np.unique(every, axis=1, return_inverse=True)[1].reshape(-1)
    order, counts = np.argsort(among, kind="stable"), np.bincount(among)
    ends = np.cumsum(counts)
    own = counts >= _MANY
    cuts = np.unique(np.concatenate([[0, len(order)], ends[own], (ends - counts)[own]]))
    return [order[a:b] for a, b in zip(cuts[:-1], cuts[1:], strict=True)]


def _tiles(rows: _Rows, inputs: _Inputs) -> list[_Rows]:
    """Rows near one another together: strips of strips along each input that differs among them."""
    along = [x for x in (values[rows] for values in inputs.values()) if x.min() < x.max()]
    tile = min(_BLOCK, math.ceil(_TILE * math.sqrt(len(rows))))
    strips = max(1, round((len(rows) / tile) ** (1 / max(1, len(along)))))
    order, strip = np.arange(len(rows)), np.zeros(len(rows), dtype=int)
    for i, place in enumerate(along):
        order = order[np.lexsort((place[order], strip))]
        strip = np.arange(len(rows)) * strips ** (i + 1) // len(rows)
    return np.array_split(rows[order], math.ceil(len(rows) / tile))


def _value(study: Study, labels: Mapping[str, np.ndarray], random_seed: int) -> _Value:
    """The law at given groups and inputs: shape (sample, row)."""
    s, n_samples = study.structure, study.n_samples
    every = parameters_at(study, labels, np.random.default_rng([random_seed, 0]))

    def value(groups: np.ndarray | int, here: _Inputs) -> np.ndarray:
        columns = [groups] if isinstance(groups, int) else groups
        parameters = {k: v if v.shape[1] == 1 else v[:, columns] for k, v in every.items()}
        scaled = [here[k] / s.reference[k] for k in s.law.inputs]
        with np.errstate(over="ignore", under="ignore"):
            return np.broadcast_to(s.law(*scaled, **parameters), (n_samples, len(scaled[0])))

    return value


def _series(study: Study, value: _Value, inputs: _Inputs, at: np.ndarray) -> dict[int, Series]:
    """The law as a series for each large group, where it is one."""
    law, found = study.structure.law, {}
    large = np.flatnonzero(np.bincount(at) >= _MANY).tolist() if is_sum_over_inputs(law) else []
    for group in large:
        series = as_series(partial(value, group), {k: inputs[k][at == group] for k in law.inputs})
        found |= {} if series is None else {group: series}
    return found


def _is_series(study: Study, kind: str) -> bool:
    """Whether all that is asked of a study is a sum over inputs where its law is."""
    s = study.structure
    alike = s.noise.additive and s.noise.on == "log" and s.plain_noise
    return s.drift is None and not s.noise_pool.get(OFFSET) and (kind == "curve" or alike)


def _near(
    study: Study, series: Series, inputs: _Inputs, kind: str, random_seed: int
) -> Callable[[_Rows, Sequence[float]], np.ndarray]:
    """Mean and quantiles at neighbouring rows of one group: shape (1 + edge, row)."""
    noise, mean, value = study.structure.noise, series.coefficients.mean(axis=1), series.coefficients
    learnt = {k: study.blocks[k][:, None] for k in study.structure.noise_names}
    away = _scatter(noise, learnt, study.n_samples, random_seed)
    if kind == "run" and away is not None:
        value = shifted(noise.on, value, away[:, 0])

    def answer(rows: _Rows, edges: Sequence[float]) -> np.ndarray:
        terms = series.terms({k: inputs[k][rows] for k in study.structure.law.inputs})
        return np.stack([(terms * mean).sum(axis=1), *quantiles_of_sums(terms, value, edges)])

    return answer


def _law(
    study: Study, value: _Value, series: Mapping[int, Series], inputs: _Inputs, at: np.ndarray
) -> Callable[[_Rows], _Drawn]:
    """The law with its misfit, for a block of rows."""

    def prepare(rows: _Rows) -> _Drawn:
        here, groups = {k: inputs[k][rows] for k in study.structure.law.inputs}, at[rows]
        known = series.get(int(groups[0])) if (groups == groups[0]).all() else None
        if known is not None:
            terms = known.terms(here)
            return _drifted(study, here, lambda part: product(terms[part], known.coefficients))
        return _drifted(
            study, here, lambda part: value(groups[part], {k: v[part] for k, v in here.items()}).T
        )

    return prepare


def _drifted(study: Study, here: _Inputs, law: _Drawn) -> _Drawn:
    """The law with its misfit, where the study has one."""
    s = study.structure
    if s.drift is None:
        return law
    beyond = [*stretches_beyond(s.drift, here, s.drift.sizes(study.blocks))]
    bends = [s.bends_at(here), *(bend[:, None] * s.drift.unit for _, bend in beyond)]
    weights = [(per_bend(s.drift, study.blocks) * study.blocks[WEIGHTS]).T, *(w[None] for w, _ in beyond)]
    rows, draws = np.concatenate(bends, axis=1), np.concatenate(weights)
    return lambda part: shifted(s.noise.on, law(part), product(rows[part], draws))


def _answer(
    study: Study,
    law: Callable[[_Rows], _Drawn],
    inputs: _Inputs,
    kin: Mapping[str, np.ndarray],
    kind: str,
    random_seed: int,
) -> Callable[[_Rows], Callable[[slice], tuple[np.ndarray, np.ndarray]]]:
    """The law and the value asked for, each of shape (row, sample), for a block of rows."""
    noise = study.structure.noise
    learnt = {k: study.blocks[k][:, None] for k in study.structure.noise_names}
    away = _scatter(noise, learnt, study.n_samples, random_seed)
    kin = {k: np.maximum(v, -1) for k, v in kin.items()}  # one new group for all new ones

    def prepare(rows: _Rows) -> Callable[[slice], tuple[np.ndarray, np.ndarray]]:
        drawn = law(rows)

        def answer(part: slice) -> tuple[np.ndarray, np.ndarray]:
            at = rows[part]
            mine = {k: v[at] for k, v in kin.items()}
            mean = with_named(study, mine, drawn(part).T)
            if kind == "curve":
                return mean.T, mean.T
            if away is None:
                rng = np.random.default_rng([random_seed, 1, int(at[0])])
                return mean.T, noise.sample(rng, mean, **learnt).T
            of_run, scatter = mean, away
            if not study.structure.plain_noise:
                there = learnt_at(study, mine, {k: v[at] for k, v in inputs.items()}, random_seed)
                of_run = run_mean(study, mine, mean, random_seed)
                scatter = away * (there["sigma"] / learnt["sigma"])
            return mean.T, shifted(noise.on, of_run, scatter).T

        return answer

    return prepare


def _scatter(
    noise: Noise, learnt: Mapping[str, np.ndarray], n_samples: int, random_seed: int
) -> np.ndarray | None:
    """A deviation on the noise's scale for each sample, shape (sample, 1); None if it hangs on the mean."""
    if not noise.additive:
        return None
    nowhere = np.full((n_samples, 1), float(backward(noise.on, np.zeros(()))))
    return forward(noise.on, noise.sample(np.random.default_rng([random_seed, 1]), nowhere, **learnt))
