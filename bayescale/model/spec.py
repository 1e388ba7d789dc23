"""From a run table and a few choices to a checked, complete specification."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bayescale.errors import InputError
from bayescale.laws import Law, find
from bayescale.laws.scaling import SAME_REFERENCE, reference_homes
from bayescale.model import dependence
from bayescale.model import measured as measuring
from bayescale.model import structure as structures
from bayescale.model.drift import EXCESS, SIZE
from bayescale.model.measured import NOT_NAMED, Measured
from bayescale.model.modalities import (
    far_from_the_runs,
    floats,
    is_named,
    joined,
    only_of,
    restricted,
    with_labels,
    with_measured,
    without_gaps,
)
from bayescale.model.noise import Noise, StudentT, as_noise
from bayescale.model.noise_scale import OFFSET, forward
from bayescale.model.structure import Structure
from bayescale.priors import Outcome, default_prior, default_spread
from bayescale.runs.design import design_findings
from bayescale.runs.findings import Finding, raise_errors
from bayescale.runs.table import RunTable

__all__ = ["Spec", "some_rows", "specify", "without_pooling"]

# A column that is read where the table has no values in the one the law names.
_STANDS_IN = {"n_tokens": "n_samples"}


@dataclass(frozen=True)
class Spec:
    """A structure with the rows it is to be fitted to.

    Attributes
    ----------
    structure : Structure
    inputs : mapping of str to array of shape (run,)
        By input of the law, in raw units.
    value : array of shape (run,)
        In the unit of the metric.
    error : array of shape (run,)
        Known standard error on the scale of the noise; zero where unknown.
    index : mapping of str to int array of shape (run,)
        By factor: each row's position among the labels.
    run_ids : tuple of str
    findings : tuple of Finding
    measured : mapping of str to Measured
        Measurement rows, by letter.
    """

    structure: Structure
    inputs: Mapping[str, np.ndarray]
    value: np.ndarray
    error: np.ndarray
    index: Mapping[str, np.ndarray]
    run_ids: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    measured: Mapping[str, Measured] = field(default_factory=dict)

    @property
    def scaled(self) -> tuple[np.ndarray, ...]:
        """Inputs divided by their reference scales, in the order of the law."""
        s = self.structure
        return tuple(self.inputs[k] / s.reference[k] for k in s.law.inputs)

    def away(self, mean: Any) -> Any:
        """Distance of each run from a mean, or from many, on the scale of the noise; last axis is the run."""
        on = self.structure.noise.on
        return forward(on, self.value) - forward(on, mean)


def specify(
    runs: RunTable,
    law: str | Law,
    *,
    pool: Mapping[str, Any] | str | None = None,
    noise: str | Noise | None = None,
    priors: Mapping[str, Any] | None = None,
    measurements: Any = None,
) -> Spec:
    """Check a table against a law and settle everything that the model needs.

    Parameters
    ----------
    runs : RunTable
    law : str or Law
    pool : mapping of str to (str or list of str), optional
        Factors over which each parameter varies. ``"family"`` is one column, ``["family",
        "eval_name"]`` two crossed ones, ``"family/eval_name"`` the second nested in the first. Beside the
        law's letters: ``offset`` and ``sigma`` (`bayescale.model.dependence`).
    noise : str or Noise, optional
    priors : mapping of str to prior, optional
        In place of defaults; keys are the law's letters (at the reference scales),
        ``<letter>_sd_<factor>`` and the noise parameters.
    measurements : table of measurements, optional
        Measured compression factors, joined to the law's (`bayescale.model.measured`).

    Raises
    ------
    InputError
        All errors of the table against this law in one message.
    """
    law, findings = restricted(find(law), runs)
    columns = _columns(law, runs)
    frame = without_gaps(runs.frame, law, columns)
    of_law, of_noise = dependence.split_pool(pool or {}, law)
    wanted, rows, found = joined(law, frame, _factors(of_law, law), measurements)
    findings += found
    beside = _stated(of_noise)
    frame = with_labels(frame, law, wanted, columns, set(rows))
    common = {f: NOT_NAMED for _, fs in rows.values() for f in fs.values() if not is_named(runs.frame, f)}
    told_elsewhere = {f for k, (_, fs) in rows.items() for f in fs.values() if only_of(wanted, f, k)}
    findings = [*_still_true(runs.findings, beside), *findings]
    findings += _design(frame, law, columns, wanted, told_elsewhere, set(rows))
    raise_errors(findings, f"law {law.name!r} cannot be fitted to {runs.source or 'this table'}:")
    value = frame["value"].to_numpy(dtype=float)
    part = _default_noise(law, value) if noise is None else as_noise(noise)
    _check_support(part, value, frame)
    dependence.checked(frame, beside, part, len(frame))
    findings += dependence.of_one_run(frame, beside)
    labels, nesting, index = _groups(frame, wanted, beside)
    labels = with_measured(labels, rows)
    pooled, dropped = _drop_single(wanted, labels)
    scattered, single = _drop_single(beside, labels)
    inputs = {k: frame[columns[k]].to_numpy(dtype=float) for k in law.inputs}
    in_use = {f for fs in (*pooled.values(), *scattered.values()) for f in fs}
    used = {k: {c: f for c, f in fs.items() if f in pooled.get(k, ())} for k, (_, fs) in rows.items()}
    structure = Structure(
        law=law,
        columns=columns,
        reference=_reference(law, inputs),
        metric=str(frame["metric"].iloc[0]),
        noise=part,
        pool=pooled,
        labels={k: v for k, v in labels.items() if k in in_use},
        nesting={k: v for k, v in nesting.items() if k in in_use},
        measured={k: tuple(fs.values()) for k, fs in used.items()},
        common={f: label for f, label in common.items() if any(f in fs for fs in pooled.values())},
        noise_pool=scattered,
        size_middle=dependence.size_middle(part, law, inputs),
    )
    structure = replace(
        structure, priors=_default_priors(structure, inputs, Outcome.of(value, structure.metric))
    )
    structure = replace(structure, priors=_with_user(structure, priors or {}))
    findings += dropped + single + _prior_findings(structure, value, set(priors or {}))
    raise_errors(findings, "the priors and the runs exclude one another:")
    return Spec(
        structure=structure,
        inputs=inputs,
        value=value,
        error=_known_error(frame, part, value),
        index={f: index[f] for f in structure.every_factor},
        run_ids=tuple(frame["run_id"].astype(str).to_numpy(dtype=object).tolist()),
        findings=tuple(dict.fromkeys(findings)),
        measured={k: measuring.placed(table, used[k], labels) for k, (table, _) in rows.items()},
    )


def _design(
    frame: Any,
    law: Law,
    columns: Mapping[str, str],
    wanted: Mapping[str, tuple[str, ...]],
    told_elsewhere: set[str],
    measured: set[str],
) -> list[Finding]:
    """What the runs can teach of the law; raw sizes of modalities are judged as a mixture.

    Factors whose groups were measured need not be told apart by the runs.
    """
    raw = [columns[c] for c in law.inputs if c in law.factors]
    several = raw if len(raw) > 1 else []
    judged = [c for c in columns.values() if c not in several]
    typical = {columns[c]: law.typical.get(k, 1.0) for c, k in law.factors.items()}
    named = {k: tuple(f for f in fs if f not in told_elsewhere) for k, fs in wanted.items()}
    plain = tuple(dict.fromkeys(c for fs in named.values() for f in fs for c in f.split(":")))
    return design_findings(
        frame,
        law=law.name,
        inputs=tuple(judged),
        n_learnt=len(law.parameters),
        falls_with=tuple(columns[c] for c in law.falls_with if columns[c] in judged),
        groups=(*plain, *_paths(named)),
        mixture={c: typical[c] for c in several},
        unknown={columns[c]: k for c, k in law.factors.items() if k in law.parameters and k not in measured},
    )


def _columns(law: Law, runs: RunTable) -> dict[str, str]:
    """Column that is read for each input: its own, or the one that stands in for it."""
    chosen = {}
    said = {str(c) for c in runs.columns if np.isfinite(floats(runs.frame[c])).any()}
    for name in law.inputs:
        chosen[name] = name
        active = law.stands_in.get(name)
        if active in said and np.isfinite(floats(runs.frame[active])).all():
            chosen[name] = active
        other = _STANDS_IN.get(name)
        if other in said and name not in said:
            chosen[name] = other
    return chosen


def _factors(pool: Mapping[str, Any] | str, law: Law) -> dict[str, tuple[str, ...]]:
    """Factors by letter, nested ones written out: ``a/b`` is ``a`` and ``a:b``."""
    if isinstance(pool, str):
        pool = dict.fromkeys(law.parameters, pool)
    if not isinstance(pool, Mapping):
        raise InputError(
            f"pool={pool!r}: give a column for all parameters, pool='family', or columns by parameter, "
            "pool={'alpha': 'family'}."
        )
    for letter in pool:
        if letter not in law.parameters:
            raise InputError(
                f"pool= names {letter!r}, which law {law.name!r} does not learn "
                f"(it learns {', '.join(law.parameters)}; beside the law, 'offset' is by how much the runs "
                "of a group lie off it together, and 'sigma' their scatter)."
            )
    return _stated(pool)


def _stated(pool: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Factors by letter, nested ones written out."""
    found = {}
    for letter, stated in pool.items():
        if not isinstance(stated, str) and not isinstance(stated, Iterable):
            raise InputError(f"pool={{{letter!r}: {stated!r}}}: give a column name or a list of them.")
        parts = [stated] if isinstance(stated, str) else list(stated)
        factors: list[str] = []
        for part in parts:
            steps = str(part).split("/")
            factors += [":".join(steps[: i + 1]) for i in range(len(steps))]
        found[letter] = tuple(dict.fromkeys(factors))
    return found


def _still_true(findings: Iterable[Finding], beside: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    """What was said of the table, less that its rows hang together where the fit takes that in."""
    taken_in = any("run_id" in f.split(":") for f in beside.get(OFFSET, ()))
    return [f for f in findings if not (taken_in and f.code == "repeated-runs")]


def _paths(wanted: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The nested factors as stated, ``a/b``, the longest of those that begin alike."""
    stated = {f.replace(":", "/") for fs in wanted.values() for f in fs if ":" in f}
    return sorted(p for p in stated if not any(other.startswith(f"{p}/") for other in stated))


def _groups(
    frame: Any, *pools: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, tuple[str, ...]], dict[str, dict[str, tuple[int, ...]]], dict[str, np.ndarray]]:
    """Labels, positions of parts within pairs, and row indices of all factors."""
    import pandas as pd

    factors = tuple(dict.fromkeys(f for pool in pools for fs in pool.values() for f in fs))
    plain = dict.fromkeys(c for f in factors for c in f.split(":"))
    labels: dict[str, tuple[str, ...]] = {}
    nesting: dict[str, dict[str, tuple[int, ...]]] = {}
    index: dict[str, np.ndarray] = {}
    for column in plain:
        index[column], names = pd.factorize(frame[column].astype(str), sort=True)
        labels[column] = tuple(str(n) for n in names)
    for factor in (f for f in factors if ":" in f):
        parts = factor.split(":")
        rows = np.stack([index[p] for p in parts])
        cells, index[factor] = np.unique(rows, axis=1, return_inverse=True)
        index[factor] = index[factor].ravel()
        labels[factor] = tuple(
            " : ".join(labels[p][i] for p, i in zip(parts, cell, strict=True)) for cell in cells.T
        )
        nesting[factor] = {p: tuple(int(i) for i in row) for p, row in zip(parts, cells, strict=True)}
        for i in range(2, len(parts)):  # a three-level nesting also takes in its two-level pairs
            pair = ":".join(parts[:i])
            if pair in labels:
                place = {name: j for j, name in enumerate(labels[pair])}
                names = [
                    " : ".join(labels[p][k] for p, k in zip(parts[:i], cell[:i], strict=True))
                    for cell in cells.T
                ]
                nesting[factor][pair] = tuple(place[n] for n in names)
    return labels, nesting, index


def _drop_single(
    wanted: Mapping[str, tuple[str, ...]], labels: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, tuple[str, ...]], list[Finding]]:
    """Factors with one group teach nothing of the spread between groups: left out, and said."""
    kept = {k: tuple(f for f in fs if len(labels[f]) > 1) for k, fs in wanted.items()}
    single = sorted({f for fs in wanted.values() for f in fs if len(labels[f]) == 1})
    findings = [
        Finding(
            "one-group",
            "warning",
            f"{factor!r} has one group only ({labels[factor][0]}): no spread between groups is invented, and "
            "the parameters are fitted to that group alone. Join published families of the same kind, with "
            "load_runs(...), to borrow strength.",
        )
        for factor in single
    ]
    return {k: fs for k, fs in kept.items() if fs}, findings


def _reference(law: Law, inputs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Geometric middle of the runs, rounded; 1 for inputs of laws that declare no units."""
    carried = {a for powers in law.scaling.values() for a in powers}
    if not law.carries_units:
        return dict.fromkeys(law.inputs, 1.0)
    homes, found = reference_homes(law), {}
    arguments = dict(zip(law.inputs, law.arguments, strict=True))
    for name in law.inputs:
        alike = [k for k, home in homes.items() if home == homes[name]]
        shared = name in SAME_REFERENCE or any(arguments[k] in carried for k in alike)
        found[name] = float(f"{_middle(law, inputs, homes[name]):.3g}") if shared else 1.0
    if all((inputs[k] > 0).all() for k in law.factors) or _carries(law, inputs, found):
        return found
    return found | dict.fromkeys(law.factors, 1.0)


def _middle(law: Law, inputs: Mapping[str, np.ndarray], name: str) -> float:
    """Geometric middle of the runs; of raw sizes, that of all tokens at typical factors."""
    values = inputs[name]
    if name in law.factors:
        values = np.sum([inputs[k] / law.typical.get(c, 1.0) for k, c in law.factors.items()], axis=0)
    return math.exp(float(np.mean(np.log(np.unique(values[values > 0])))))


def _carries(law: Law, inputs: Mapping[str, np.ndarray], reference: Mapping[str, float]) -> bool:
    """Whether the parameters make up for the reference scales in runs that lack a modality too."""
    rng = np.random.default_rng(0)
    draw = {k: float(np.exp(0.1 * rng.standard_normal())) for k in law.parameters}
    raw = law(*(inputs[k] for k in law.inputs), **draw)
    there = law(*(inputs[k] / reference[k] for k in law.inputs), **law.apply_reference(draw, reference))
    return bool(np.allclose(raw, there, rtol=1e-9))


def _default_noise(law: Law, value: np.ndarray) -> Noise:
    """Heavy tails by default; on the log where values are positive and the law says they fall."""
    falling = bool((value > 0).all()) and not law.rises_with
    return as_noise(StudentT() if falling else StudentT(on="value"))


def _check_support(noise: Noise, value: np.ndarray, frame: Any) -> None:
    bounded = noise.on == "logit" or type(noise).__name__ == "Beta"
    low, high = (0.0, 1.0) if bounded else (0.0 if noise.on == "log" else -math.inf, math.inf)
    bad = np.flatnonzero((value <= low) | (value >= high))
    if bad.size:
        where = f"row {bad[0]} (run {frame['run_id'].iloc[bad[0]]}): value {value[bad[0]]:g}"
        raise InputError(
            f"noise {type(noise).__name__}(on={noise.on!r}) needs values within ({low:g}, {high:g}); "
            f"{bad.size} lie outside, the first in {where}. Use noise='student_t' on the value, "
            "bayescale.StudentT(on='value'), or give fractions instead of percent."
        )


def _default_priors(s: Structure, inputs: Mapping[str, np.ndarray], outcome: Outcome) -> dict[str, Any]:
    law = s.law
    priors = {k: default_prior(kind, outcome, law.typical.get(k)) for k, kind in law.parameters.items()}
    if any(s.reference[k] == 1.0 for k in law.factors):
        priors |= far_from_the_runs(s, inputs, outcome)
    for letter, factors in s.pool.items():
        for factor in factors:
            priors[f"{letter}_sd_{factor}"] = default_spread(law.parameters[letter], outcome)
    for letter in s.measured:
        priors |= measuring.spreads(letter, s.measured[letter])
    return priors | s.noise.priors(outcome) | dependence.priors_of(s.noise, s.noise_pool, outcome)


def _with_user(structure: Structure, priors: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(priors, Mapping):
        raise InputError(
            f"priors={priors!r}: give priors by parameter, as in priors={{'alpha': between(0.1, 0.6)}}."
        )
    known = dict(structure.priors)
    for name, value in priors.items():
        letter = name.removesuffix("_ref")
        target = letter if letter in structure.law.scaling else name
        if target not in known:
            raise InputError(
                f"priors= names {name!r}, which is not learnt here. Learnt: {', '.join(known)}. "
                "Priors of amplitudes are stated at the reference scales (the middle of the runs)."
            )
        known[target] = structures.prior_of(structure, target, value)
    return known


def _prior_findings(structure: Structure, value: np.ndarray, given: set[str]) -> list[Finding]:
    """A floor whose prior lies above every value rules the runs out before they are seen."""
    findings = []
    for letter, kind in structure.law.parameters.items():
        if kind.name != "irreducible" or letter not in given:
            continue
        draws = structure.priors[letter].sample(np.random.default_rng(0), 4000)
        if np.mean(draws < value.max()) < 0.005:
            findings.append(
                Finding(
                    "prior-excludes-data",
                    "error",
                    f"the prior of {letter}, {structure.priors[letter]}, lies above every value of the data "
                    f"(largest loss {value.max():.4g}; prior median {np.median(draws):.4g}), but {letter} is "
                    "a floor below them. State it in the unit of the table, well below the least loss.",
                )
            )
    return findings


def _known_error(frame: Any, noise: Noise, value: np.ndarray) -> np.ndarray:
    """Standard error of each value, carried to the scale of the noise."""
    if "value_se" not in frame:
        return np.zeros_like(value)
    given = np.nan_to_num(frame["value_se"].to_numpy(dtype=float), nan=0.0)
    if noise.on == "log":
        return given / value
    return given / (value * (1 - value)) if noise.on == "logit" else given


def without_pooling(spec: Spec) -> Spec:
    """The same runs with one value of every parameter for all groups; measurements become a prior.

    Runs scatter by themselves, all alike or with their size.
    """
    s = spec.structure
    scatters = {f"{k}_scatter" for k in s.measured}
    kept = {k: v for k, v in s.priors.items() if "_sd_" not in k and k not in {*scatters, SIZE, EXCESS}}
    kept |= {k: measuring.as_prior_of_runs(spec.measured[k], s, spec.index) for k in s.measured}
    emptied = ("pool", "labels", "nesting", "centring", "measured", "common", "noise_pool")
    none: dict[str, Any] = dict.fromkeys(emptied, {})
    bare = replace(s, priors=kept, drift=None, **none)
    return replace(spec, structure=bare, index={}, measured={})


def some_rows(spec: Spec, rows: np.ndarray) -> Spec:
    """The same specification of some of its rows: same law, priors, reference scales and groups.

    `rows` is a mask or positions. A group that has no row left keeps its place, and its effects are drawn
    from the population.
    """
    return replace(
        spec,
        inputs={k: v[rows] for k, v in spec.inputs.items()},
        value=spec.value[rows],
        error=spec.error[rows],
        index={f: i[rows] for f, i in spec.index.items()},
        run_ids=tuple(spec.run_ids[i] for i in np.arange(spec.value.size)[rows]),
    )
