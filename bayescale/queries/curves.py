"""The law along one scale, with its interval and the runs, ready to be drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError
from bayescale.laws.pure import pure_range
from bayescale.model.noise import backward, forward
from bayescale.queries.members import lead, members_of, studies_of, told
from bayescale.queries.optimum import best_size, mixed_problem
from bayescale.queries.predict import predict
from bayescale.queries.rows import compute_of, fitted_runs, of_group, run_inputs
from bayescale.queries.scales import check_prob
from bayescale.queries.study import Study, record_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["curve"]

_LEVELS = (0.1, 0.5, 0.9)  # shares of the runs below the levels at which other inputs are held


def curve(
    posterior: "xr.DataTree",
    over: str | None = None,
    *,
    by: str | None = None,
    at: Mapping[str, float | Sequence[float]] | None = None,
    group: Mapping[str, str] | None = None,
    points: int = 60,
    extend: float = 1.0,
    prob: float = 0.9,
    random_seed: int = 0,
) -> "xr.Dataset":
    """The law along one of its scales, with its interval and the runs.

    Parameters
    ----------
    posterior : DataTree
        A fitted study, or an average of several (see `average`).
    over : str, optional
        Input along which the law is followed; its first one by default. ``"flops"`` follows a law of
        size and data along its best use of compute, C = 6ND.
    by : str, optional
        Column of the runs that tells groups apart. Where the law was pooled over it, one curve for each
        of its labels; otherwise one curve for all, and the runs keep their labels. None: one curve,
        which for a pooled law is that of a group not yet seen.
    at : mapping of str to number or sequence, optional
        Levels at which the law's other inputs are held; several inputs go pairwise. By default the
        levels below which 10, 50 and 90 % of the runs lie, or with `by` the middle one.
    group : mapping of str to str, optional
        Label of further pooled columns; runs with other labels are left out.
    points : int, default 60
        Steps along the curve.
    extend : float, default 1.0
        Powers of ten by which the curve goes on past the largest run.
    prob : float, default 0.9
        Mass of the equal-tailed interval of the law itself, without the scatter of runs.
    random_seed : int
        For unseen groups.

    Returns
    -------
    Dataset
        ``median``, ``lower``, ``upper`` with dims (group, level, `over`), in the unit of the metric;
        ``decades_beyond`` (group, `over`), how far the scale lies outside that group's runs in powers of
        ten; ``held_<input>`` (level). Over dim ``run``: ``at_run`` (its scale), ``observed``,
        ``run_group``, ``run_held_<input>``, and where there is one level ``carried``: the value moved along
        the fitted law to that level, its residual kept on the scale of the noise. Of an average also,
        over dim ``member``: ``member_weight`` and each law's own ``member_median``, ``member_lower``,
        ``member_upper``.

    Raises
    ------
    InputError
        If the law does not read `over`, or an option is impossible.
    """
    import xarray as xr

    check_prob(prob)
    studies, group = studies_of(posterior), dict(group or {})
    study = lead(studies)
    over = _over(study, over)
    _check_span(points, extend)
    runs = of_group(fitted_runs(posterior), group)
    labels, pooled = _labels(study, runs, by)
    inputs = run_inputs(study, runs)
    frontier = over not in inputs
    at_run = np.asarray(compute_of(inputs) if frontier else inputs[over])
    levels = {} if frontier else _levels(study, inputs, over, at, 1 if by else len(_LEVELS))
    top = 10 ** (np.log10(at_run.max()) + extend)
    grid = np.geomspace(
        at_run[at_run > 0].min(), top * (1 - 1e-9), points if not frontier else min(points, 30)
    )
    ask = _Ask(studies, posterior, over, by if pooled else None, group, prob, random_seed)
    bands = _frontier(ask, grid, labels, at or {}) if frontier else _bands(ask, grid, labels, levels)
    of_run = runs[by].astype(str).to_numpy(dtype=str) if by else np.full(len(runs), "all")
    found = xr.Dataset(
        {k: (("group", "level", over), v) for k, v in bands.items()}
        | {"decades_beyond": (("group", over), _beyond(grid, at_run, of_run, labels))}
        | {f"held_{k}": ("level", v) for k, v in levels.items()}
        | {f"run_held_{k}": ("run", inputs[k]) for k in levels}
        | {"at_run": ("run", at_run), "observed": ("run", runs["value"].to_numpy(dtype=float))}
        | {"run_group": ("run", of_run)},
        {"group": labels, over: grid},
        attrs={
            "over": over,
            "by": by or "",
            "column": study.structure.columns.get(over, over),
            "held": [*levels],
            "held_columns": [study.structure.columns.get(k, k) for k in levels],
            "frontier": frontier,
            "prob": prob,
        }
        | told(studies),
    )
    if "" not in studies:
        found = found.merge(_of_members(ask, grid, labels, levels, at or {}))
    if levels and bands["median"].shape[1] == 1:
        found["carried"] = ("run", _carried(ask, runs, levels))
    return found


@dataclass(frozen=True, eq=False)
class _Ask:
    """What stays the same throughout one question."""

    studies: Mapping[str, Study]
    posterior: "xr.DataTree"
    over: str
    by: str | None
    group: Mapping[str, str]
    prob: float
    random_seed: int

    def labels_of(self, label: str) -> dict[str, str]:
        return dict(self.group) | ({self.by: label} if self.by else {})


def _over(study: Study, over: str | None) -> str:
    s = study.structure
    if over is None:
        return s.law.inputs[0]
    by_column = {column: name for name, column in s.columns.items()}
    over = by_column.get(over, over)
    if over in s.law.inputs or (over == "flops" and {"n_params", "n_tokens"} <= set(s.law.inputs)):
        return over
    compute = ", flops" if {"n_params", "n_tokens"} <= set(s.law.inputs) else ""
    raise InputError(
        f"over={over!r}: law {s.law.name!r} can be followed along {', '.join(s.law.inputs)}{compute}; "
        "use one of these."
    )


def _check_span(points: Any, extend: Any) -> None:
    if not isinstance(points, int) or isinstance(points, bool) or not 2 <= points <= 10_000:
        raise InputError(f"points={points!r} must be a whole number from 2 to 10,000.")
    if not isinstance(extend, int | float) or isinstance(extend, bool) or not 0 <= extend <= 12:
        raise InputError(f"extend={extend!r} must be a number of decades from 0 to 12, as in extend=1.0.")


def _labels(study: Study, runs: "pd.DataFrame", by: str | None) -> tuple[list[str], bool]:
    """Labels of the curves, and whether the law differs between them."""
    if by is None:
        return ["new" if study.structure.factors else "all"], False
    if by in study.structure.factors:
        here = set(runs[by].astype(str)) if by in runs else set()
        return [k for k in study.structure.labels[by] if k in here], True
    if by not in runs:
        raise InputError(f"by={by!r} is no column of the runs (they have: {', '.join(map(str, runs))}).")
    return ["new" if study.structure.factors else "all"], False


def _levels(
    study: Study,
    inputs: Mapping[str, np.ndarray],
    over: str,
    at: Mapping[str, float | Sequence[float]] | None,
    count: int,
) -> dict[str, np.ndarray]:
    columns = {column: name for name, column in study.structure.columns.items()}
    given = {columns.get(k, k): np.atleast_1d(np.asarray(v, dtype=float)) for k, v in (at or {}).items()}
    held, optional = [k for k in study.structure.law.inputs if k != over], study.structure.law.optional
    for name, values in given.items():
        if name not in held:
            allowed = ", ".join(held) or "nothing"
            raise InputError(
                f"at= names {name!r}; along {over} the law {study.structure.law.name!r} holds {allowed}."
            )
        share = pure_range(name) == (0.0, 1.0)
        fine = values >= 0 if name in optional else values > 0
        fine = (values >= 0) & (values <= 1) if share else fine
        if not (np.isfinite(values) & fine).all():
            allowed = "lie from 0 to 1, such as 0.3" if share else "are positive numbers, such as 2e10"
            raise InputError(f"at={{{name!r}: …}}: levels {allowed}.")
    count = max([v.size for v in given.values()] or [count])
    shares = (0.5,) if count == 1 else np.linspace(_LEVELS[0], _LEVELS[-1], count)
    wrong = [k for k, v in given.items() if v.size not in (1, count)]
    if wrong:
        raise InputError(
            f"at={{{wrong[0]!r}: …}} has {given[wrong[0]].size} levels where another has {count}."
        )
    mixture = _one_mixture({k: inputs[k] for k in held if k.startswith("share_") and k not in given})
    some = {k: inputs[k][inputs[k] > 0] if k in optional else inputs[k] for k in held}
    return {
        k: np.broadcast_to(given[k], count)
        if k in given
        else np.full(count, mixture[k])
        if k in mixture
        else np.quantile(some[k], shares, method="nearest")
        for k in held
    }


def _one_mixture(shares: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The mixture of the run nearest to the middle: shares of several domains hold together."""
    if not shares:
        return {}
    away = sum(np.abs(x - np.median(x)) for x in shares.values())
    nearest = int(np.argmin(away))
    return {k: float(x[nearest]) for k, x in shares.items()}


def _bands(
    ask: _Ask, grid: np.ndarray, labels: Sequence[str], levels: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    import pandas as pd

    count = len(next(iter(levels.values()))) if levels else 1
    parts = [
        {ask.over: grid}
        | {k: np.full(grid.size, v[i]) for k, v in levels.items()}
        | {k: np.full(grid.size, v, dtype=object) for k, v in ask.labels_of(label).items()}
        for label in labels
        for i in range(count)
    ]
    frame = pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)
    asked = predict(ask.posterior, frame, prob=ask.prob, kind="curve", random_seed=ask.random_seed)
    shape = (len(labels), count, grid.size)
    return {k: asked[k].values.reshape(shape) for k in ("median", "lower", "upper")}


def _frontier(
    ask: _Ask, grid: np.ndarray, labels: Sequence[str], at: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The law's value at the best size for each compute."""
    edges = [0.5, (1 - ask.prob) / 2, (1 + ask.prob) / 2]
    found = np.empty((3, len(labels), 1, grid.size))
    for g, label in enumerate(labels):
        problem = mixed_problem(ask.studies, ask.labels_of(label), at, None, ask.random_seed)
        for i, budget in enumerate(grid):
            n = np.exp(best_size(problem, float(budget))[0])
            found[:, g, 0, i] = np.quantile(problem.value(n, problem.data_for(n, float(budget))), edges)
    return dict(zip(("median", "lower", "upper"), found, strict=True))


def _of_members(
    ask: _Ask,
    grid: np.ndarray,
    labels: Sequence[str],
    levels: Mapping[str, np.ndarray],
    at: Mapping[str, Any],
) -> "xr.Dataset":
    """What each law of an average says by itself, and its weight."""
    import xarray as xr

    frontier = ask.over not in lead(ask.studies).structure.law.inputs
    members = members_of(ask.posterior)
    found: dict[str, list[np.ndarray]] = {"median": [], "lower": [], "upper": []}
    for member in members.values():
        alone = studies_of(member)
        columns = {c for factor in alone[""].structure.factors for c in factor.split(":")}
        mine = replace(
            ask,
            studies=alone,
            posterior=member,
            by=ask.by if ask.by in columns else None,
            group={k: v for k, v in ask.group.items() if k in columns},
        )
        bands = _frontier(mine, grid, labels, at) if frontier else _bands(mine, grid, labels, levels)
        for name, values in bands.items():
            found[name].append(values)
    weights = record_of(ask.posterior)["weights"]
    return xr.Dataset(
        {f"member_{k}": (("member", "group", "level", ask.over), np.stack(v)) for k, v in found.items()}
        | {"member_weight": ("member", [float(weights[name]) for name in members])},
        {"member": list(members)},
    )


def _carried(
    ask: _Ask,
    runs: "pd.DataFrame",
    levels: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Each run's value at the level held: the fitted value there, and its own residual."""
    study = lead(ask.studies)
    if "flops" not in study.structure.law.inputs:  # another law that reads it is given 6ND, here and there
        runs = runs.drop(columns="flops", errors="ignore")
    moved = runs.assign(**{study.structure.columns.get(k, k): v[0] for k, v in levels.items()})
    on = study.structure.noise.on
    here, there = (
        forward(on, predict(ask.posterior, frame, kind="curve")["median"].values) for frame in (runs, moved)
    )
    return backward(on, forward(on, runs["value"].to_numpy(dtype=float)) - here + there)


def _beyond(grid: np.ndarray, at_run: np.ndarray, of_run: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    rows = []
    for label in labels:
        some = at_run > 0  # runs without a modality stand nowhere on its scale
        mine = at_run[some & (of_run == label)] if (some & (of_run == label)).any() else at_run[some]
        low, high = np.log10(mine.min()), np.log10(mine.max())
        rows.append(np.maximum(np.maximum(np.log10(grid) - high, low - np.log10(grid)), 0.0))
    return np.stack(rows)
