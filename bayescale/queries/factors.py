"""Questions to a posterior of compression factors: a table of them, and predictions for new ones."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.compression.schema import per_token
from bayescale.errors import InputError
from bayescale.queries.scales import check_prob

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Factors", "compression_factors", "factors_of", "predict_compression"]


@dataclass(frozen=True, eq=False)
class Factors:
    """What these queries work on.

    Attributes
    ----------
    draws : mapping of str to array of shape (sample,) or (sample, level)
        Chains laid end to end.
    labels : mapping of str to list of str
        Tokenizers and materials by dim, such as ``tokenizer_text``.
    measured : Dataset
        The rows that were fitted.
    record : mapping
    """

    draws: Mapping[str, np.ndarray]
    labels: Mapping[str, list[str]]
    measured: "xr.Dataset"
    record: Mapping[str, Any]

    @property
    def units(self) -> Mapping[str, str]:
        """Raw unit by modality."""
        return self.record["units"]


def factors_of(posterior: "xr.DataTree") -> Factors:
    """Draws and record of a study of compression factors.

    Raises
    ------
    InputError
        If `posterior` is another study or none.
    """
    text = getattr(posterior, "attrs", {}).get("bayescale")
    record = json.loads(text) if isinstance(text, str) else {}
    if record.get("kind") != "compression" or "posterior" not in getattr(posterior, "children", {}):
        what = "a study of a law" if "law" in record else f"a {type(posterior).__name__}"
        raise InputError(
            f"this is {what}, not a study of compression factors. Give what fit_compression returned, or "
            "open(path) of such a study."
        )
    drawn = posterior["posterior"].dataset
    flat = {}
    for name, variable in drawn.data_vars.items():
        values = variable.transpose("chain", "draw", ...).values
        flat[str(name)] = values.reshape(-1, *values.shape[2:])
    labels = {str(dim): drawn[dim].values.tolist() for dim in drawn.dims if dim not in ("chain", "draw")}
    return Factors(flat, labels, posterior["measurements"].dataset, record)


def compression_factors(posterior: "xr.DataTree", *, prob: float = 0.9) -> "pd.DataFrame":
    """Raw units per token, by modality and by tokenizer.

    Parameters
    ----------
    posterior : DataTree
        From `fit_compression`.
    prob : float, default 0.9
        Mass of the equal-tailed intervals.

    Returns
    -------
    DataFrame
        ``modality``, ``level``, ``tokenizer``, ``raw_unit``, ``median``, ``lower``, ``upper``,
        ``measurements`` (rows behind it). Levels: "population", the middle of the modality, a typical
        tokenizer on a typical material; "new", one more tokenizer on one more material, with all spreads;
        "tokenizer", each tokenizer on a typical material. Sorted by median within a level.

    Raises
    ------
    InputError
        If this is no study of compression factors or `prob` is impossible.
    """
    import pandas as pd

    check_prob(prob)
    study = factors_of(posterior)
    rows = []
    for modality, unit in study.units.items():
        middle = study.draws[f"log_factor_{modality}"]
        mine = study.measured["modality"].values == modality
        counted = study.measured["tokenizer"].values[mine]
        new = _log_draws(study, modality, None, None, np.random.default_rng(0))[0]
        rows.append((modality, "population", "", unit, middle, len(counted)))
        rows.append((modality, "new", "", unit, new, 0))
        effects = study.draws[f"tokenizer_effect_{modality}"]
        order = np.argsort(np.median(middle[:, None] + effects, axis=0))
        names = study.labels[f"tokenizer_{modality}"]
        rows += [
            (
                modality,
                "tokenizer",
                names[i],
                unit,
                _above_floor(middle + effects[:, i], modality, unit),
                int((counted == names[i]).sum()),
            )
            for i in order
        ]
    edges = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    found = pd.DataFrame(
        [
            dict(zip(("modality", "level", "tokenizer", "raw_unit"), labels, strict=True))
            | dict(zip(("median", "lower", "upper"), np.exp(np.quantile(log, edges)), strict=True))
            | {"measurements": count}
            for *labels, log, count in rows
        ]
    )
    found.attrs["prob"] = prob
    return found


def predict_compression(
    posterior: "xr.DataTree",
    *,
    modality: str | Sequence[str],
    tokenizer: str | None | Sequence[str | None] = None,
    material: str | None | Sequence[str | None] = None,
    prob: float = 0.9,
    random_seed: int = 0,
) -> "xr.Dataset":
    """Raw units per token of a tokenizer on a material, measured or not.

    Parameters
    ----------
    posterior : DataTree
        From `fit_compression`.
    modality : str or sequence of str
    tokenizer, material : str, None or sequence of these, optional
        None, or a name that starts with "new", asks for one not yet measured, drawn from the population.
        Sequences are matched item by item; single values are repeated.
    prob : float, default 0.9
        Mass of the equal-tailed interval.
    random_seed : int
        Of what is drawn anew.

    Returns
    -------
    Dataset
        ``median``, ``lower``, ``upper`` in raw units per token, ``modality``, ``tokenizer``,
        ``material``, ``raw_unit`` and ``basis``: "measured" (this very pair was: what is left is the error
        of measuring), "both known", "new material", "new tokenizer" or "both new". Dim ``row`` if a
        sequence was asked. Text in bytes has at least one byte a token.

    Raises
    ------
    InputError
        If a modality, tokenizer or material is not among those fitted, or `prob` is impossible.
    """
    import xarray as xr

    check_prob(prob)
    study, rng = factors_of(posterior), np.random.default_rng(random_seed)
    asked = _matched(modality=modality, tokenizer=tokenizer, material=material)
    edges = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    rows = []
    for m, t, x in asked:
        _known(m, study.units, "modality", "")
        names = (_old(t, study, f"tokenizer_{m}"), _old(x, study, f"material_{m}"))
        log, basis = _log_draws(study, m, *names, rng)
        found = dict(zip(("median", "lower", "upper"), np.exp(np.quantile(log, edges)), strict=True))
        named = {"modality": m, "tokenizer": t or "new", "material": x or "new"}
        rows.append(found | named | {"raw_unit": study.units[m], "basis": basis})
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    units = {study.units[m] for m, _, _ in asked}
    told = {"prob": prob, "random_seed": random_seed}
    told |= {"unit": per_token(units.pop())} if len(units) == 1 else {}
    single = all(v is None or isinstance(v, str) for v in (modality, tokenizer, material))
    if single:
        return xr.Dataset({name: cells[0] for name, cells in columns.items()}, attrs=told)
    return xr.Dataset({name: ("row", cells) for name, cells in columns.items()}, attrs=told)


def _matched(**given: Any) -> list[tuple[str, str | None, str | None]]:
    lists = {k: [v] if v is None or isinstance(v, str) else list(v) for k, v in given.items()}
    longest = max(map(len, lists.values()))
    for name, items in lists.items():
        if len(items) not in (1, longest) or not items:
            sizes = ", ".join(f"{k} {len(v)}" for k, v in lists.items())
            raise InputError(f"{name} has {len(items)} items, but {longest} rows are asked for ({sizes}).")
        odd = next((v for v in items if v is not None and not isinstance(v, str)), None)
        if odd is not None:
            raise InputError(f"{name} holds {odd!r}; give names as text, or None for a new one.")
    full = [items * longest if len(items) == 1 else items for items in lists.values()]
    return list(zip(*full, strict=True))


def _old(name: str | None, study: Factors, dim: str) -> str | None:
    """The name, or none if it asks for a new one."""
    new = name is None or (name not in study.labels[dim] and name.lower().startswith("new"))
    return None if new else name


def _known(name: Any, names: Any, what: str, of: str) -> int:
    names = list(names)
    if name in names:
        return names.index(name)
    near = get_close_matches(str(name), names, n=2, cutoff=0.4)
    near = near or [n for n in names if str(name).lower() in n.lower()][:2]
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    new = "" if what == "modality" else f" For one not measured, leave {what} out: it is drawn from all."
    shown = ", ".join(names[:8]) + (f", … ({len(names)})" if len(names) > 8 else "")
    raise InputError(f"no {what} {name!r} was measured{of} (there are: {shown}).{hint}{new}")


def _log_draws(
    study: Factors, modality: str, tokenizer: str | None, material: str | None, rng: np.random.Generator
) -> tuple[np.ndarray, str]:
    """Draws of a pair's log factor, and what they rest on."""
    log, new = study.draws[f"log_factor_{modality}"], []
    for factor, name in (("tokenizer", tokenizer), ("material", material)):
        if name is None:
            new.append(factor)
            log = log + study.draws[f"{factor}_sd_{modality}"] * rng.standard_normal(log.shape)
        else:
            names = study.labels.get(f"{factor}_{modality}", [])
            i = _known(name, names, factor, f" on {modality}")
            log = log + study.draws[f"{factor}_effect_{modality}"][:, i]
    scatter = study.draws[f"scatter_{modality}"]
    mine = study.measured
    here = (
        (mine["modality"].values == modality)
        & (mine["tokenizer"].values == (tokenizer or ""))
        & (mine["material"].values == (material or ""))
    )
    unit = study.units[modality]
    if here.any():
        rest = mine["log_factor"].values[here][None, :] - log[:, None]
        log = log + _of_pair(rest, mine["se_log"].values[here], scatter, rng)
        return _above_floor(log, modality, unit), "measured"
    noise = rng.standard_normal(log.shape)
    basis = {0: "both known", 2: "both new"}.get(len(new), f"new {new[0]}" if new else "")
    return _above_floor(log + scatter * noise, modality, unit), basis


def _of_pair(
    rest: np.ndarray, error: np.ndarray, scatter: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The pair's own deviation given one or more measurements of it; exact where one has no error."""
    if (error == 0).any():
        return rest[:, error == 0].mean(axis=1)
    precision = np.square(1 / error).sum()
    both = precision + 1 / np.square(scatter)
    mean = (rest / np.square(error)).sum(axis=1) / both
    return mean + rng.standard_normal(mean.shape) / np.sqrt(both)


def _above_floor(log: np.ndarray, modality: str, unit: str) -> np.ndarray:
    """A token of text holds at least one byte."""
    return np.maximum(log, 0.0) if (modality, unit) == ("text", "bytes") else log
