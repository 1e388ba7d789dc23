"""Values expected at new scales, for known and unseen groups."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayescale.errors import BayescaleWarning
from bayescale.queries.by_rows import asked, bands
from bayescale.queries.members import answering, farthest, members_of, studies_of, told
from bayescale.queries.scales import as_frame, check_prob
from bayescale.queries.scatter import kin_of, learnt_at, run_mean, with_named
from bayescale.queries.study import NEW, Study, drifted, parameters_at
from bayescale.runs.numbers import parse_numbers
from bayescale.runs.schema import column_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["curve_draws", "predict", "predict_draws"]

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
    columns = bands(edges, studies, frame, kind, random_seed)
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
            inputs, index = asked(study, frame, kind)
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
