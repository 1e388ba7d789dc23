"""Two groups of a factor held against one another: by how much a parameter, or a value, differs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import InputError, did_you_mean
from bayescale.laws.elementwise import Array
from bayescale.queries.predict import curve_draws
from bayescale.queries.rows import fitted_runs
from bayescale.queries.scales import as_frame, check_prob, inputs_of
from bayescale.queries.study import NEW, Study, groups_of, parameters_at, study_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["contrast"]


def contrast(
    posterior: "xr.DataTree",
    quantity: str | Mapping[str, float],
    factor: str,
    first: str,
    second: str,
    *,
    prob: float = 0.9,
    random_seed: int = 0,
) -> "xr.Dataset":
    """By how much a parameter of the law, or its value at given scales, differs between two groups.

    Parameters
    ----------
    posterior : DataTree
        A study whose law was pooled over `factor`.
    quantity : str or mapping of str to float
        A letter of the law, as in its paper (``"alpha"``), or scales at which the law's value is wanted
        (``{"n_vision_tokens": 64}``).
    factor : str
        Column that holds the two groups.
    first, second : str
        The groups. Differences are first less second.
    prob : float, default 0.9
        Mass of the equal-tailed intervals.
    random_seed : int
        For the group not yet seen.

    Returns
    -------
    Dataset
        With dim ``bound`` (median, lower, upper), in the unit of the quantity. Where the law was pooled
        over `factor` alone: ``difference``. Where it was pooled over other columns too, ``difference``
        over the groups of these that were seen with both (dim named after the column, or ``group`` for
        several); ``mean_difference``, the mean over these groups; ``new_difference``, that of one more
        group drawn from the population. For quantities above zero also ``ratio`` and its kin
        (``mean_ratio`` is geometric). ``probability``, ``mean_probability``, ``new_probability``: that
        the difference is above zero.

    Raises
    ------
    InputError
        If nothing that bears on the quantity was pooled over `factor`, a group is unknown, or no group
        of the other columns was seen with both.

    Notes
    -----
    Draws are paired: what both groups share cancels. With partial pooling each difference is drawn
    towards that of the other groups, by as much as the runs say that groups differ.
    """
    import xarray as xr

    check_prob(prob)
    study = study_of(posterior)
    _refuse_unpooled(study, quantity, factor)
    for label in (first, second):
        _refuse_unknown(study, factor, label)
    if first == second:
        raise InputError(f"both groups are {first!r}: name two different groups of {factor!r}.")
    others = _other_columns(study, quantity, factor)
    seen = _seen_with_both(fitted_runs(posterior), others, factor, (str(first), str(second)))
    rows = [*seen, tuple(NEW for _ in others)] if others else [()]
    draws = _draws(study, quantity, {factor: (str(first), str(second))}, others, rows, random_seed)
    found = _summaries(draws, others, prob)
    name = others[0] if len(others) == 1 else "group"
    coords = {name: [" : ".join(row) for row in seen]} if others else {}
    return xr.Dataset(
        {k: (tuple(name if d == "group" else d for d in dims), v) for k, (dims, v) in found.items()},
        {"bound": ["median", "lower", "upper"], **coords},
        attrs={
            "prob": prob,
            "quantity": quantity if isinstance(quantity, str) else _told(quantity),
            "factor": factor,
            "first": str(first),
            "second": str(second),
            "law": study.structure.law.name,
            "metric": study.structure.metric,
        },
    )


def _told(scales: Mapping[str, float]) -> str:
    return "value at " + ", ".join(f"{k} = {v:g}" for k, v in scales.items())


def _letters(study: Study, quantity: Any) -> tuple[str, ...]:
    """Letters on which the quantity hangs: itself and those that carry its units, or all of the law."""
    law = study.structure.law
    if isinstance(quantity, Mapping):
        return tuple(law.parameters)
    if not isinstance(quantity, str) or quantity not in law.parameters:
        raise InputError(
            f"quantity={quantity!r}: law {law.name!r} learns {', '.join(law.parameters)}. Name one of these, "
            f"or give scales for the law's value: {{{law.inputs[0]!r}: 1e9}}."
        )
    powers = (law.scaling.get(quantity) or {}).values()
    carried = [p.removeprefix("-") for p in powers if isinstance(p, str)]
    return tuple(dict.fromkeys([quantity, *carried]))


def _refuse_unpooled(study: Study, quantity: Any, factor: str) -> None:
    s = study.structure
    letters = _letters(study, quantity)
    over = sorted({c for k in letters for f in s.pool.get(k, ()) for c in f.split(":")})
    if factor in over:
        return
    pooled = ", ".join(over) or "nothing"
    of = quantity if isinstance(quantity, str) else "the law"
    raise InputError(
        f"{of} was not pooled over {factor!r} (pooled over: {pooled}), so this study has one answer for all "
        f"its groups. Fit with pool={{{letters[0]!r}: {factor!r}}}."
    )


def _refuse_unknown(study: Study, factor: str, label: Any) -> None:
    known = _labels(study, factor)
    if str(label) in known:
        return
    hint = did_you_mean(str(label), known)
    raise InputError(f"{factor} {label!r} was not fitted (fitted: {', '.join(known[:12])}).{hint}")


def _labels(study: Study, column: str) -> list[str]:
    """Labels of a plain column, from its own factor or from the pairs that it is part of."""
    s = study.structure
    if column in s.labels:
        return list(s.labels[column])
    found: dict[str, None] = {}
    for factor, labels in s.labels.items():
        parts = factor.split(":")
        if column in parts:
            found |= dict.fromkeys(label.split(" : ")[parts.index(column)] for label in labels)
    return list(found)


def _other_columns(study: Study, quantity: Any, factor: str) -> list[str]:
    """Other columns over which the letters behind the quantity vary, in the order of the factors."""
    letters = _letters(study, quantity)
    columns = [c for k in letters for f in study.structure.pool.get(k, ()) for c in f.split(":")]
    return [c for c in dict.fromkeys(columns) if c != factor]


def _seen_with_both(
    runs: "pd.DataFrame", others: list[str], factor: str, labels: tuple[str, str]
) -> list[tuple[str, ...]]:
    if not others:
        return []
    text = {c: runs[c].astype(str).to_numpy(dtype=str) for c in (*others, factor)}
    rows = list(zip(*(text[c] for c in others), strict=True))
    sides = [{r for r, f in zip(rows, text[factor], strict=True) if f == label} for label in labels]
    both = sorted(sides[0] & sides[1])
    if both:
        return [tuple(map(str, row)) for row in both]
    raise InputError(
        f"no group of {', '.join(others)} has runs of both {labels[0]!r} and {labels[1]!r}, so the two "
        "cannot be held against one another group by group."
    )


def _draws(
    study: Study,
    quantity: str | Mapping[str, float],
    sides: Mapping[str, tuple[str, str]],
    others: list[str],
    rows: list[tuple[str, ...]],
    random_seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the quantity in the first and in the second group, each of shape (sample, row)."""
    import pandas as pd

    [(factor, labels)] = sides.items()
    frame = pd.DataFrame(
        [dict(zip(others, row, strict=True)) | {factor: label} for label in labels for row in rows]
    )
    rng = np.random.default_rng([random_seed, 0])
    if isinstance(quantity, Mapping):
        at = as_frame(dict(quantity))
        if len(at) != 1:
            raise InputError("quantity= takes one scale: a number for each input of the law.")
        scales = frame.assign(**{str(k): at[k].iloc[0] for k in at})
        values: Array = curve_draws(study, inputs_of(study, scales), groups_of(study, scales), rng)
    else:
        s = study.structure
        at_reference = parameters_at(study, groups_of(study, frame), rng)
        raw = s.law.undo_reference(at_reference, s.reference)[quantity]
        values = np.broadcast_to(raw, (study.n_samples, len(frame)))
    return values[:, : len(rows)], values[:, len(rows) :]


def _summaries(
    draws: tuple[np.ndarray, np.ndarray], others: list[str], prob: float
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    one, two = draws
    edges = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    kinds = {"difference": one - two}
    if (one > 0).all() and (two > 0).all():
        kinds["ratio"] = np.log(one) - np.log(two)
    found: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for name, values in kinds.items():
        back = np.exp if name == "ratio" else np.asarray
        dims: tuple[str, ...] = ("group",) if others else ()
        parts = {name: (dims, values[:, :-1] if others else values[:, 0])}
        if others:
            parts[f"mean_{name}"] = ((), values[:, :-1].mean(axis=1))
            parts[f"new_{name}"] = ((), values[:, -1])
        for key, (dims, part) in parts.items():
            found[key] = (("bound", *dims), back(np.quantile(part, edges, axis=0)))
            if name == "difference":
                found[key.replace("difference", "probability")] = (dims, (part > 0).mean(axis=0))
    return found
