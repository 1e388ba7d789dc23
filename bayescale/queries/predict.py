"""Values expected at new scales, for known and unseen groups."""

import os
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayescale.errors import BayescaleWarning, InputError
from bayescale.model.drift import shifted
from bayescale.model.noise import Noise, backward, forward
from bayescale.queries.members import answering, farthest, members_of, studies_of, told
from bayescale.queries.scales import as_frame, check_prob, inputs_of
from bayescale.queries.scatter import kin_of, learnt_at, run_mean, with_named
from bayescale.queries.study import NEW, Study, drifted, groups_of, parameters_at
from bayescale.runs.numbers import parse_numbers
from bayescale.runs.schema import column_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["curve_draws", "predict", "predict_draws"]

_BATCH = 400_000  # numbers worked on at once by one thread: they fit in its cache
_FAR = 1.0  # decades beyond the runs from which a warning is due


def predict(
    posterior: "xr.DataTree",
    scales: Any,
    *,
    prob: float = 0.9,
    kind: Literal["run", "curve"] = "run",
    random_seed: int = 0,
) -> "xr.Dataset":
    """Value of the law, or of a new run, at given scales.

    Parameters
    ----------
    posterior : DataTree
        A fitted study, or an average of several (see `average`).
    scales : DataFrame, Dataset, mapping, list of mappings or path
        One row for each scale: the law's inputs in raw units (``n_params``, ``n_tokens``; ``flops`` is
        worked out as 6ND where only these are given), and the columns of the groups it was pooled
        over. A group label starting with "new", or an absent group column, asks for a group drawn
        from the population.
    prob : float, default 0.9
        Mass of the equal-tailed interval.
    kind : {"run", "curve"}
        "curve": the law itself. "run": one more run, with its scatter. Where offsets were pooled, both
        have those of the groups that are named (``run_id``); "run" draws new ones for the others, also
        where a label was not among the runs, as "curve" does not.
    random_seed : int
        For scatter and unseen groups.

    Returns
    -------
    Dataset
        ``median``, ``lower``, ``upper`` over dim ``scale``, in the unit of the metric; ``mean``, that of
        the law in both kinds, since with heavy-tailed noise on the log a run's own mean is not finite;
        ``decades_beyond``: how far, in powers of ten, the scale lies outside the runs; and the columns
        of `scales`.

    Raises
    ------
    InputError
        Missing columns, unusable cells, unknown groups, or an impossible `prob` or `kind`.

    Warns
    -----
    BayescaleWarning
        If a scale lies more than tenfold beyond the runs. On published runs, held back tenfold and
        more, 90 % intervals of laws taken as exact held 30 to 86 % of them. If a family is named that was not
        among the runs, and the study has one law for all families.
    """
    import xarray as xr

    check_prob(prob)
    studies, frame = studies_of(posterior), as_frame(scales)
    edges = [(1 - prob) / 2, 0.5, (1 + prob) / 2]
    parts = _mapped(
        lambda law, draws: (law.mean(0), *_quantiles(draws, edges)), studies, frame, kind, random_seed
    )
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    found = dict(zip(("mean", "lower", "median", "upper"), columns, strict=True))
    beyond = farthest(studies, frame)
    _warn_if_far(beyond, all(study.structure.drift is not None for study in studies.values()))
    _warn_if_unseen(posterior, studies, frame)
    variables = {k: ("scale", v) for k, v in found.items()} | {"decades_beyond": ("scale", beyond)}
    asked = {
        str(c): ("scale", _plain(frame[c])) for c in frame.columns if str(c) not in {*variables, "scale"}
    }
    return xr.Dataset(
        variables | asked,
        attrs={
            "prob": prob,
            "kind": kind,
            "random_seed": random_seed,
        }
        | told(studies),
    )


def predict_draws(
    posterior: "xr.DataTree",
    scales: Any,
    *,
    kind: Literal["run", "curve"] = "run",
    random_seed: int = 0,
) -> "xr.DataArray":
    """All draws behind `predict`: dims (sample, scale), in the unit of the metric.

    Parameters and errors are those of `predict`. Holds 8 bytes × draws × scales.
    """
    import xarray as xr

    studies, frame = studies_of(posterior), as_frame(scales)
    found = []
    for name, study in studies.items():
        with answering(name):
            inputs, index = _asked(study, frame, kind)
        draws = curve_draws(study, inputs, index, np.random.default_rng([random_seed, 0]))
        kin = kin_of(study, frame)
        draws = with_named(study, kin, draws)
        if kind == "run":
            learnt = learnt_at(study, kin, inputs, random_seed)
            draws = run_mean(study, kin, draws, random_seed)
            draws = study.structure.noise.sample(np.random.default_rng([random_seed, 1]), draws, **learnt)
        found.append(draws)
    every = found[0] if len(found) == 1 else np.concatenate(found)
    return xr.DataArray(every, dims=("sample", "scale"), attrs={"metric": told(studies)["metric"]})


def curve_draws(
    study: Study, inputs: dict[str, np.ndarray], index: dict[str, np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """The law's value, with its misfit where the study has one: shape (sample, row)."""
    s = study.structure
    scaled = [inputs[k] / s.reference[k] for k in s.law.inputs]
    rows = len(scaled[0])
    with np.errstate(over="ignore", under="ignore"):
        mean = drifted(study, inputs, s.law(*scaled, **parameters_at(study, index, rng)))
    return np.broadcast_to(mean, (study.n_samples, rows))


def _asked(
    study: Study, frame: "pd.DataFrame", kind: str
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    if kind not in ("run", "curve"):
        raise InputError(
            f"kind={kind!r} must be 'run' (a new run, with scatter) or 'curve' (the law itself)."
        )
    return inputs_of(study, frame), groups_of(study, frame)


def _mapped[T](
    reduce: Callable[[np.ndarray, np.ndarray], T],
    studies: Mapping[str, Study],
    frame: "pd.DataFrame",
    kind: str,
    random_seed: int,
) -> list[T]:
    """`reduce(law, value)` over draws of shape (sample, row), by rows few enough to hold, on all cores."""
    answers = []
    for name, study in studies.items():
        with answering(name):
            answers.append(_answer(study, frame, kind, random_seed))
    width = max(1, _BATCH // sum(study.n_samples for study in studies.values()))

    def batch(start: int) -> T:
        drawn = [answer(start, width) for answer in answers]
        return reduce(*(p[0] if len(p) == 1 else np.concatenate(p) for p in zip(*drawn, strict=True)))

    starts = range(0, len(frame), width)
    if len(starts) == 1:
        return [batch(0)]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(batch, starts))


def _answer(
    study: Study, frame: "pd.DataFrame", kind: str, random_seed: int
) -> Callable[[int, int], tuple[np.ndarray, np.ndarray]]:
    """A function of the first row and their number that gives the law and the value asked for.

    Every batch draws the same new groups. Where the noise allows it, each sample scatters all its rows
    alike: every row's own distribution is as it should be, and bands are smooth.
    """
    inputs, index = _asked(study, frame, kind)
    kin = {k: np.maximum(v, -1) for k, v in kin_of(study, frame).items()}  # a new group for all new ones
    noise = study.structure.noise
    learnt = {k: study.blocks[k][:, None] for k in study.structure.noise_names}
    away = _scatter(noise, learnt, study.n_samples, random_seed)

    def answer(start: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(start, start + width)
        # One more row, of the last new group, so that every batch draws all new groups.
        rows = {k: np.append(v[part], min(v.min(), 0)) for k, v in index.items()}
        extended = {k: np.append(v[part], v[part][-1]) for k, v in inputs.items()}
        law = curve_draws(study, extended, rows, np.random.default_rng([random_seed, 0]))[:, :-1]
        mine = {k: v[part] for k, v in kin.items()}
        law = with_named(study, mine, law)
        if kind == "curve":
            return law, law
        if away is None:
            return law, noise.sample(np.random.default_rng([random_seed, 1, start]), law, **learnt)
        here, mean = away, law
        if not study.structure.plain_noise:
            there = learnt_at(study, mine, {k: v[part] for k, v in inputs.items()}, random_seed)
            here, mean = away * (there["sigma"] / learnt["sigma"]), run_mean(study, mine, law, random_seed)
        return law, shifted(noise.on, mean, here)

    return answer


def _scatter(
    noise: Noise, learnt: dict[str, np.ndarray], n_samples: int, random_seed: int
) -> np.ndarray | None:
    """A deviation on the noise's scale for each sample, shape (sample, 1); None if it hangs on the mean."""
    if not noise.additive:
        return None
    nowhere = np.full((n_samples, 1), float(backward(noise.on, np.zeros(()))))
    return forward(noise.on, noise.sample(np.random.default_rng([random_seed, 1]), nowhere, **learnt))


def _quantiles(draws: np.ndarray, edges: list[float]) -> np.ndarray:
    """Quantiles over the first axis, shape (edge, row). A whole sort of contiguous rows beats a partition."""
    ordered = np.sort(np.ascontiguousarray(draws.T), axis=1)
    at = np.asarray(edges) * (ordered.shape[1] - 1)
    low = at.astype(int)
    high = np.minimum(low + 1, ordered.shape[1] - 1)
    return (ordered[:, low] + (at - low) * (ordered[:, high] - ordered[:, low])).T


def _plain(column: Any) -> np.ndarray:
    """Cells as numbers if all are such, else as text; labels such as run ``007`` stay as they are."""
    if column.dtype.kind in "fiub":
        return column.to_numpy()
    known = column_of(str(column.name))
    numbers = parse_numbers(column.tolist())
    if (known and known.kind == "text") or len(numbers.faults) or np.isnan(numbers.values).any():
        return np.asarray(column.fillna("").astype(str), dtype=str)
    return numbers.values


def _warn_if_far(beyond: np.ndarray, drift: bool) -> None:
    if beyond.max() <= _FAR:
        return
    trust = (
        "The interval allows the law to drift as far as laws have drifted on published runs; yours may drift "
        "farther. "
        if drift
        else "The interval holds if the law does; on published runs exact laws were wrong there more often "
        "than their intervals say. "
    )
    warnings.warn(
        f"{int((beyond > _FAR).sum())} of {beyond.size} scales lie more than tenfold beyond the runs "
        f"(the farthest 10^{beyond.max():.1f} times). {trust}Backtest: fit below, score above.",
        BayescaleWarning,
        stacklevel=3,
    )


def _warn_if_unseen(posterior: "xr.DataTree", studies: Mapping[str, Study], frame: "pd.DataFrame") -> None:
    """Families that a study without families was never shown; it answers as for those it was."""
    pooled = {part for s in studies.values() for factor in s.structure.factors for part in factor.split(":")}
    first = next(iter(members_of(posterior).values()))
    if "family" not in frame or "family" in pooled or "family" not in first.children.get("runs", {}):
        return
    fitted = sorted(set(map(str, first["runs"].dataset["family"].values)))
    asked = frame["family"].fillna("").astype(str).unique()
    strange = [name for name in asked if name and name not in fitted and not name.lower().startswith(NEW)]
    if strange:
        warnings.warn(
            f"family {', '.join(map(repr, strange[:5]))} was not among the runs (fitted: "
            f"{', '.join(fitted[:12])}{', …' if len(fitted) > 12 else ''}). This study has one law for all "
            "families, and answers as if it were one of them. Write family = 'new' to say that this is "
            "meant, or fit with pool=..., whose answer for a new family shows how much families differ.",
            BayescaleWarning,
            stacklevel=3,
        )
