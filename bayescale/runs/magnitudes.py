"""Whether the numbers of a table have the size that their unit says: one small function for each slip."""

from typing import TYPE_CHECKING

import numpy as np

from bayescale.runs.findings import Finding
from bayescale.runs.places import Places
from bayescale.runs.schema import COLUMNS, metric_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "bounded_values",
    "compressed_sizes",
    "compute_against_size",
    "constant_values",
    "implausible_sizes",
    "loss_magnitudes",
    "memory_needed",
    "rounded_values",
]

# Cross-entropy of a uniform guess over 300,000 tokens, more than vocabularies in use have.
_WORST_LOSS = 12.6

# Units in which compute is often printed, as operations: a petaflop/s-day is 1e15 x 86,400.
_COMPUTE_UNITS = (
    (8.64e19, "PF-days (8.64e19 operations)"),
    (1e12, "teraFLOPs (1e12)"),
    (1e15, "petaFLOPs (1e15)"),
    (1e18, "exaFLOPs (1e18)"),
    (1e21, "zettaFLOPs (1e21)"),
    (1e9, "gigaFLOPs (1e9), or sizes or tokens in billions"),
    (1e6, "megaFLOPs (1e6), or sizes or tokens in millions"),
)


def numbers(frame: "pd.DataFrame", column: str) -> np.ndarray:
    """A column as floats; NaN throughout if the table lacks it or holds text there."""
    if column not in frame.columns or frame[column].dtype.kind not in "fiub":
        return np.full(len(frame), np.nan)
    return frame[column].to_numpy(dtype=float)


def implausible_sizes(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Sizes, data and compute that no training had: the unit must be another one."""
    found = []
    for name, column in COLUMNS.items():
        if name == "flops" or column.plausible is None or name not in frame.columns:
            continue
        values = numbers(frame, name)
        low, high = column.plausible
        small, large = np.flatnonzero((values > 0) & (values < low)), np.flatnonzero(values > high)
        if len(small):
            share = "every row" if len(small) == np.isfinite(values).sum() else "some rows"
            found.append(
                Finding(
                    "size-in-billions",
                    "error",
                    f"{places.column(name)} counts {column.unit}, but {share} read as billions or millions: "
                    f"{places.rows(frame, small, values)}. Give plain counts (multiply by 1e9 or 1e6).",
                )
            )
        if len(large):
            found.append(
                Finding(
                    "size-too-large",
                    "error",
                    f"{places.column(name)} counts {column.unit}; no training had so many: "
                    f"{places.rows(frame, large, values)}. Check the unit.",
                )
            )
    return found


def compute_against_size(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Compute far from 6 x parameters x tokens, the usual count of a dense transformer's training."""
    flops = numbers(frame, "flops")
    expected = 6 * _active(frame) * numbers(frame, "n_tokens")
    known = np.isfinite(flops) & (flops > 0)
    both = known & np.isfinite(expected) & (expected > 0)
    low, high = COLUMNS["flops"].plausible or (0.0, np.inf)
    off = np.zeros(len(frame), dtype=bool)
    ratio = np.full(len(frame), np.nan)
    ratio[both] = flops[both] / expected[both]
    off[both] = (ratio[both] > 10) | (ratio[both] < 0.1)
    unfit = known & ((flops < low) | (flops > high))
    rows = np.flatnonzero(off | unfit)
    if not len(rows):
        return _compute_note(ratio[both], places)
    unit = _compute_unit(flops[rows], expected[rows])
    counted = frame["flops_source"].iloc[rows] if "flops_source" in frame.columns else None
    own_count = counted is not None and not counted.str.contains("6ND", regex=False).any()
    severity = "error" if unfit.any() or (unit and not own_count) else "warning"
    told = f"It reads as {unit}. " if unit else ""
    return [
        Finding(
            "compute-unit" if unit else "compute-off",
            severity,
            f"{places.column('flops')} is not within tenfold of 6 x parameters x tokens: "
            f"{places.rows(frame, rows, flops, limit=3)}"
            + (f" where {expected[rows[0]]:.3g} was expected. " if both[rows[0]] else ". ")
            + f"{told}Give operations (FLOPs), or say how they were counted in a column 'flops_source'.",
        )
    ]


def _active(frame: "pd.DataFrame") -> np.ndarray:
    active = numbers(frame, "n_active_params")
    return np.where(np.isfinite(active), active, numbers(frame, "n_params"))


def _compute_note(ratio: np.ndarray, places: Places) -> list[Finding]:
    outside = int(((ratio < 0.3) | (ratio > 3)).sum())
    if not outside:
        return []
    told = (
        f"{places.column('flops')} lies outside 0.3 to 3 times 6 x parameters x tokens in {outside:,} rows."
    )
    return [Finding("compute-apart", "note", told)]


def _compute_unit(flops: np.ndarray, expected: np.ndarray) -> str:
    """The unit that would explain the compute, or nothing."""
    given = np.isfinite(expected) & (expected > 0)
    if np.median(flops) < 40 and (not given.any() or _near(flops[given], np.log10(expected[given]), 1.15)):
        return "log10 of the FLOPs (raise 10 to it)"
    if not given.any():
        return ""
    scale = expected[given] / flops[given]
    return next(
        (unit for factor, unit in _COMPUTE_UNITS if _near(scale, np.full(len(scale), factor), 2.5)), ""
    )


def _near(values: np.ndarray, wanted: np.ndarray, within: float) -> bool:
    """Whether most values lie within a factor of what is wanted."""
    return bool(np.median(np.abs(np.log(values / wanted))) < np.log(within))


def loss_magnitudes(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Losses above that of a uniform guess: perplexities, sums over tokens, or diverged runs."""
    values = numbers(frame, "value")
    vocabulary = numbers(frame, "vocab_size")
    worst = np.where(np.isfinite(vocabulary), np.log(np.maximum(vocabulary, 2)), _WORST_LOSS)
    rows = np.flatnonzero((frame["metric"] == "loss_nats").to_numpy(dtype=bool) & (values > worst + 0.1))
    if not len(rows):
        return []
    return [
        Finding(
            "loss-above-chance",
            "warning",
            f"{places.column('value', frame)} is above the loss of a uniform guess (ln of the vocabulary, "
            f"{worst[rows[0]]:.3g}): {places.rows(frame, rows, values, limit=3)}. If these are "
            "perplexities, take their "
            "logarithm or say metric='perplexity'; if the runs diverged, leave them out.",
        )
    ]


def bounded_values(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Values that their metric cannot have, such as percentages given as fractions."""
    found = []
    values = numbers(frame, "value")
    for name in frame["metric"].unique():
        metric = metric_of(str(name))
        of_metric = (frame["metric"] == name).to_numpy(dtype=bool)
        low, high = metric.bounded or (-np.inf, np.inf)
        rows = np.flatnonzero(
            of_metric & ((values < low) | (values > high) | (metric.positive & (values <= 0)))
        )
        if len(rows):
            percent = high == 1 and values[rows].max() <= 100 and values[rows].min() >= 0
            limits = "be above 0" if metric.positive else f"lie between {low:g} and {high:g}"
            mend = (
                "Percentages? Divide by 100"
                if percent
                else "Correct or remove the row, or name another metric"
            )
            found.append(
                Finding(
                    "value-out-of-range",
                    "error",
                    f"{places.column('value', frame)} in {str(name)!r} must {limits}: "
                    f"{places.rows(frame, rows, values)}. {mend}.",
                )
            )
        elif metric.bounded == (0.0, 1.0) and of_metric.sum() >= 5 and 0 < np.max(values[of_metric]) < 0.01:
            told = (
                f"all values of {str(name)!r} are below 0.01. Were fractions divided by 100 as if "
                "percentages?"
            )
            found.append(Finding("fraction-tiny", "warning", f"{places.column('value', frame)}: {told}"))
    return found


def constant_values(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """A value that is the same for every run."""
    values = numbers(frame, "value")
    values = values[np.isfinite(values)]
    if len(values) < 2 or np.ptp(values) > 0:
        return []
    told = (
        f"{places.column('value', frame)} is constant: all {len(values):,} values equal {values[0]:g}, so "
        "no law can "
        "be learnt from them. Check that the right column was read."
    )
    return [Finding("constant-value", "warning", told)]


def rounded_values(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Losses with one decimal: rounding, not noise, then sets how well they fit."""
    loss = (
        frame["metric"].isin(["loss_nats", "loss_bits", "log_perplexity", "bpc", "bpb"]).to_numpy(dtype=bool)
    )
    values = numbers(frame, "value")[loss]
    values = values[np.isfinite(values)]
    if len(values) < 5 or np.ptp(values) == 0 or np.abs(values * 10 - np.round(values * 10)).max() > 1e-9:
        return []
    told = (
        f"{places.column('value', frame)} is rounded to one decimal ({len(np.unique(values))} distinct "
        "values): "
        "the rounding is coarser than the noise of most runs. Give more digits if the source has them."
    )
    return [Finding("rounded-values", "warning", told)]


def compressed_sizes(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """A pruned or sparse model that is larger than the dense one it was cut from."""
    dense, params = numbers(frame, "dense_params"), numbers(frame, "n_params")
    rows = np.flatnonzero(params > dense * (1 + 1e-9))
    if not len(rows):
        return []
    told = (
        f"{places.column('dense_params')} must be at least {places.column('n_params')}, as a compressed "
        "model is "
        f"smaller than its dense parent: {places.rows(frame, rows, dense)}. Are the two columns exchanged?"
    )
    return [Finding("larger-than-parent", "error", told)]


def memory_needed(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """What pointwise log-likelihoods of a long table take, at 4 chains of 1000 draws."""
    n_rows = len(frame)
    if n_rows < 20_000:
        return []
    gigabytes = n_rows * 4000 * 8 / 1e9
    told = (
        f"the table has {n_rows:,} rows: pointwise log-likelihoods of 4000 draws would take "
        f"{gigabytes:.1f} GB of "
        "memory, and a fit takes minutes to hours, in step with the rows. Select with where, or thin "
        "learning curves."
    )
    return [Finding("many-rows", "warning" if gigabytes > 4 else "note", told)]
