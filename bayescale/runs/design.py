"""The law's door: what a table can teach of what a law has to learn."""

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.runs.findings import Finding
from bayescale.runs.magnitudes import numbers
from bayescale.runs.meaning import rank_correlation
from bayescale.runs.places import Places
from bayescale.runs.repeats import checkpoints
from bayescale.runs.schema import column_of, metric_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["design_findings"]

# Beyond this correlation of log sizes one exponent trades for the other (tokens = 20 x parameters gives 1).
_ON_A_LINE = 0.98

# A modality's share of the tokens that varies by less than this (standard deviation), or never passes the
# second, teaches next to nothing of its compression factor.
_LEAST_VARIED, _LEAST_SHARE = 0.03, 0.05

# Units of what may span decades.
_COUNTED = (
    "parameters",
    "tokens",
    "samples",
    "bytes",
    "UTF-8 bytes",
    "characters",
    "steps",
    "floating-point operations",
)

# What other people call our columns, so that a message can name the likely one.
_CALLED = {
    "n_params": ("params", "parameters", "n", "size", "model_size", "num_params"),
    "n_tokens": ("tokens", "d", "data", "train_tokens", "num_tokens"),
    "flops": ("c", "compute", "train_flops", "training_flops"),
    "tokens_unique": ("unique_tokens", "u", "n_unique_tokens"),
}


def design_findings(
    frame: "pd.DataFrame",
    *,
    law: str,
    inputs: tuple[str, ...],
    n_learnt: int,
    falls_with: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    places: Places | None = None,
    mixture: Mapping[str, float] | None = None,
    unknown: Mapping[str, str] | None = None,
) -> list[Finding]:
    """What a table lacks for a law, and what it could teach only poorly.

    Parameters
    ----------
    frame : DataFrame
        As in `RunTable.frame`, with the rows that will be fitted.
    law : str
        Name of the law, for messages.
    inputs : tuple of str
        Columns that the law reads.
    n_learnt : int
        Number of parameters that it learns for one group.
    falls_with : tuple of str, optional
        Inputs with which the value can only fall.
    groups : tuple of str, optional
        Columns over which parameters are pooled. ``"family/model"`` says that models are nested in families.
    places : Places, optional
        How messages name rows.
    mixture : mapping of str to float, optional
        Raw sizes of several modalities that the law adds up, and about how much of each makes a token.
    unknown : mapping of str to str, optional
        Those raw sizes whose compression factor is to be learnt from the runs alone, and its letter.

    Returns
    -------
    list of Finding
        Errors stop the fit; warnings say which answers will come from the prior.
    """
    places = places or Places()
    columns = tuple(dict.fromkeys(name for group in groups for name in group.split("/")))
    missing = _missing_columns(frame, law, inputs, columns)
    if missing:
        return missing
    return [
        *_empty_cells(frame, law, inputs, places),
        *_mixed_metrics(frame, law),
        *_too_few(frame, law, n_learnt),
        *[finding for name in inputs for finding in _span(frame, name)],
        *[finding for pair in combinations(inputs, 2) for finding in _on_a_line(frame, *pair)],
        *[finding for name in falls_with for finding in _rising(frame, law, name)],
        *[finding for name in columns for finding in _groups(frame, name)],
        *[finding for group in groups if "/" in group for finding in _nested(frame, group)],
        *_mixtures(frame, mixture or {}, unknown or {}),
        *_partly_known(frame, places),
        *checkpoints(frame, places),
    ]


def _missing_columns(
    frame: "pd.DataFrame", law: str, inputs: tuple[str, ...], groups: tuple[str, ...]
) -> list[Finding]:
    has = ", ".join(map(str, frame.columns))[:600]
    found = []
    for name in inputs:
        if name not in frame.columns:
            theirs = next(
                (c for c in map(str, frame.columns) if c.lower() in _CALLED.get(name, ())), "their_name"
            )
            told = (
                f"law {law!r} reads the column {name!r}, which this table lacks (it has: {has}). "
                f'Rename on entry: read_runs(path, rename={{"{theirs}": "{name}"}}).'
            )
            found.append(Finding("missing-column", "error", told))
        elif frame[name].dtype.kind not in "fiub":
            told = (
                f"law {law!r} reads the column {name!r} as numbers, but it holds text such as "
                f"{_first(frame, name)}."
            )
            found.append(Finding("column-is-text", "error", told + " Write plain numbers there."))
    for name in groups:
        if name not in frame.columns:
            told = (
                f"parameters are to be pooled by the column {name!r}, which this table lacks (it has: {has})."
            )
            found.append(Finding("missing-column", "error", told + " Pool by one of those."))
    return found


def _first(frame: "pd.DataFrame", name: str) -> str:
    return ", ".join(repr(str(cell)[:40]) for cell in frame[name].head(2))


def _empty_cells(frame: "pd.DataFrame", law: str, inputs: tuple[str, ...], places: Places) -> list[Finding]:
    found = []
    for name in (*inputs, "value"):
        rows = np.flatnonzero(~np.isfinite(numbers(frame, name)))
        if len(rows):
            told = (
                f"law {law!r} needs {places.column(name)} in every row, but it is empty in {len(rows):,} of "
                f"{len(frame):,}: {places.rows(frame, rows)}. Fill it in or leave these rows out with where."
            )
            found.append(Finding("empty-cells", "error", told))
    return found


def _mixed_metrics(frame: "pd.DataFrame", law: str) -> list[Finding]:
    names = [str(name) for name in frame["metric"].unique()]
    if len(names) < 2:
        return []
    units = " and ".join(f"{name!r} ({metric_of(name).unit})" for name in names[:5])
    told = (
        f"law {law!r} takes values of one metric, but this table has {units}; different units are never "
        "pooled. "
        f"Select one: where='metric == \"{names[0]}\"'."
    )
    return [Finding("mixed-metrics", "error", told)]


def _too_few(frame: "pd.DataFrame", law: str, n_learnt: int) -> list[Finding]:
    n_runs = len(frame)
    if n_runs > n_learnt:
        return []
    runs = "1 run" if n_runs == 1 else f"{n_runs} runs"
    told = (
        f"the table has {runs}, too few for the {n_learnt} parameters of law {law!r}: what they leave open "
        "comes from "
        f"the prior alone, and intervals show the prior. Add runs (at least {2 * n_learnt}) or take a "
        "smaller law."
    )
    return [Finding("too-few-runs", "warning", told)]


def _span(frame: "pd.DataFrame", name: str) -> list[Finding]:
    """Inputs that do not vary, or by less than tenfold."""
    values = numbers(frame, name)
    known = column_of(name)
    share = known is not None and known.kind == "fraction"
    values = values[np.isfinite(values) & (values >= 0 if share else values > 0)]
    if len(values) < 2:
        return []
    if share or (known is not None and known.unit not in _COUNTED):
        # Shares, bits, losses and years are no scales of which one wants decades.
        span = np.inf if np.ptp(values) > 0 else 1.0
    else:
        span = values.max() / values.min()
    if span <= 1 + 1e-9:
        told = (
            f"column {name!r} is constant ({values[0]:.4g} in every row), so its exponent and coefficient "
            "are not "
            f"identified: they come from the prior only. Add runs that vary {name!r}, or take a law "
            "without it."
        )
        return [Finding("constant-input", "warning", told)]
    if span < 10:
        told = (
            f"column {name!r} spans only a factor {span:.2g} (from {values.min():.3g} to "
            f"{values.max():.3g}); under "
            "tenfold its exponent is poorly known and leans on the prior. Add smaller or larger runs."
        )
        return [Finding("narrow-input", "warning", told)]
    return []


def _on_a_line(frame: "pd.DataFrame", first: str, second: str) -> list[Finding]:
    kinds = {getattr(column_of(name), "kind", "") for name in (first, second)}
    if "fraction" in kinds:  # shares of one mixture always go together
        return []
    x, y = numbers(frame, first), numbers(frame, second)
    known = (x > 0) & (y > 0) & np.isfinite(x) & np.isfinite(y)
    if known.sum() < 3 or np.ptp(x[known]) == 0 or np.ptp(y[known]) == 0:
        return []
    correlation = float(np.corrcoef(np.log(x[known]), np.log(y[known]))[0, 1])
    if abs(correlation) <= _ON_A_LINE:
        return []
    told = (
        f"{first!r} and {second!r} lie on a line (correlation of logarithms {correlation:.3f}): their "
        "exponents trade "
        "for each other and lean on the prior. Add runs off that line."
    )
    return [Finding("inputs-on-a-line", "warning", told)]


def _rising(frame: "pd.DataFrame", law: str, name: str) -> list[Finding]:
    size, value = numbers(frame, name), numbers(frame, "value")
    known = np.isfinite(size) & np.isfinite(value)
    if known.sum() < 8:
        return []
    correlation = rank_correlation(size[known], value[known])
    if correlation <= 0.5:
        return []
    told = (
        f"column 'value' rises as {name!r} grows (rank correlation {correlation:.2f}), but under law "
        f"{law!r} it can only "
        "fall. An accuracy given as loss, or a wrong sign? Take 1 - accuracy as 'error_rate', or another law."
    )
    return [Finding("value-rises", "warning", told)]


def _groups(frame: "pd.DataFrame", name: str) -> list[Finding]:
    """What the number of groups and of runs in each leaves to the prior."""
    counts = frame.groupby(name, sort=False, dropna=False)[["study", "run_id"]].nunique().max(axis=1)
    found = []
    single = int((counts == 1).sum())
    if single:
        told = (
            f"{single:,} of {len(counts):,} groups of {name!r} have a single run (1 run, such as "
            f"{str(counts.idxmin())[:60]!r}): "
            "what sets such a group apart from the others cannot be told from noise. Add runs or pool more "
            "coarsely."
        )
        found.append(Finding("single-run-groups", "warning", told))
    if len(counts) > 200:
        told = (
            f"column {name!r} has {len(counts):,} groups, each with parameters of its own: the fit will be "
            "slow and take "
            "much memory. Pool by a coarser column."
        )
        found.append(Finding("many-groups", "warning", told))
    if len(counts) < 4:
        told = (
            f"column {name!r} has {len(counts)} group{'s' if len(counts) > 1 else ''}; under four, the "
            "spread between "
            "groups, and so the prediction for a new one, is mostly prior."
        )
        found.append(Finding("few-groups", "note", told))
    return found


def _nested(frame: "pd.DataFrame", path: str) -> list[Finding]:
    """Labels of an inner group that stand in more than one outer group."""
    found = []
    names = path.split("/")
    for outer, inner in zip(names, names[1:], strict=False):
        pairs: Any = frame[[outer, inner]].drop_duplicates()
        clash = pairs[pairs.duplicated(inner, keep=False)]
        if len(clash):
            label = clash[inner].iloc[0]
            outers = ", ".join(repr(str(o)[:60]) for o in clash.loc[clash[inner] == label, outer].head(5))
            told = (
                f"{inner} {str(label)[:60]!r} stands in {outer} {outers}, but groups {path!r} say that each "
                f"{inner} belongs to one {outer}, so it counts as another {inner} in each. Give each its own "
                f"name, or pool by the two columns apart: [{outer!r}, {inner!r}]."
            )
            found.append(Finding("nested-clash", "warning", told))
    return found


def _partly_known(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Standard errors given for some rows only."""
    rows = np.flatnonzero(~np.isfinite(numbers(frame, "value_se")))
    if len(rows) in (0, len(frame)):
        return []
    told = (
        f"{places.column('value_se')} is empty in {len(rows):,} of {len(frame):,} rows, such as "
        f"{places.row(frame, int(rows[0]))}: these are taken as having no error of their own, and so weigh "
        "more than the others. Give it for all rows, or leave the column out."
    )
    return [Finding("partial-errors", "warning", told)]


def _mixtures(
    frame: "pd.DataFrame", mixture: Mapping[str, float], unknown: Mapping[str, str]
) -> list[Finding]:
    """Mixtures of modalities from which losses cannot tell what a token of each holds."""
    import pandas as pd

    if not unknown:
        return []
    letters = ", ".join(unknown.values())
    mend = "join measurements: fit(..., measurements=bayescale.load_measurements())"
    if len(mixture) < 2:
        told = (
            f"{letters}: with one modality the losses tell the factor only together with the amplitude or "
            f"intercept, so it stays where its prior is (predictions do not mind). To know it, {mend}."
        )
        return [Finding("one-modality", "note", told)]
    tokens = np.stack([numbers(frame, c) / typical for c, typical in mixture.items()])
    shares = dict(zip(mixture, tokens / tokens.sum(0), strict=True))
    family, _ = pd.factorize(frame["family"].astype(str))
    within = {c: _within(share, family) for c, share in shares.items()}
    said = {c: f"{c} {np.median(share):.0%} of tokens" for c, share in shares.items()}
    mend = f"Vary the mixture within a family (runs of one modality alone teach most), or {mend}."
    rare = {c: k for c, k in unknown.items() if float(shares[c].max()) < _LEAST_SHARE}
    if max(within.values()) < _LEAST_VARIED and not rare:
        moves = max(float(np.std(share)) for share in shares.values()) >= _LEAST_VARIED
        which = (
            "each family has one fixed mixture"
            if moves
            else f"all runs have one mixture ({', '.join(said.values())})"
        )
        told = f"{which}, so the losses teach nothing of {letters}: they come from their priors. {mend}"
        return [Finding("fixed-mixture", "warning", told)]
    still = {c: k for c, k in unknown.items() if within[c] < _LEAST_VARIED and c not in rare}
    found = []
    for code, which, how in (
        ("rare-modality", rare, f"is under {_LEAST_SHARE:.0%} of the tokens in every run"),
        ("fixed-mixture", still, "is nearly the same share of the tokens in all runs of a family"),
    ):
        if which:
            told = f"{', '.join(which)} {how}: the losses teach little of {', '.join(which.values())}. {mend}"
            found.append(Finding(code, "warning", told))
    return found


def _within(share: np.ndarray, family: np.ndarray) -> float:
    """Standard deviation of a share about the mean of its family; `family` holds numbers from 0 up."""
    means = np.bincount(family, weights=share) / np.bincount(family)
    return float(np.sqrt(np.mean((share - means[family]) ** 2)))
