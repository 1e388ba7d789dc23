"""Losses per token put on one scale, bits per byte of raw data, so that tokenizers can be compared."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bayescale.errors import InputError
from bayescale.runs.findings import Finding
from bayescale.runs.magnitudes import numbers
from bayescale.runs.table import RunTable

__all__ = ["bits_per_byte", "to_bits_per_byte"]

# Bits in the unit of each loss per token that can be converted.
_BITS = {"loss_nats": 1 / math.log(2), "log_perplexity": 1 / math.log(2), "loss_bits": 1.0}


def bits_per_byte(loss_nats: Any, bytes_per_token: Any) -> Any:
    r"""Bits per byte of raw data from a loss in nats per token.

    .. math:: bpb = \frac{L}{\log(2)\, C}

    Parameters
    ----------
    loss_nats : number or array
        Cross-entropy in nats per token.
    bytes_per_token : number or array
        Raw bytes that one token holds on the text that the loss was measured on: the compression factor C
        of `compression_power` and its kin, or tokens counted there.

    Returns
    -------
    number or array
        Of the kind and shape of what it is given.

    Raises
    ------
    InputError
        If a factor is not above 0.

    Notes
    -----
    A factor measured on other text than the loss carries the difference of the two into the result.
    """
    if not (np.asarray(bytes_per_token, dtype=float) > 0).all():
        raise InputError(
            f"bytes_per_token={bytes_per_token!r} must be above 0: raw bytes per token, as in 4.2."
        )
    return loss_nats / (math.log(2) * bytes_per_token)


def to_bits_per_byte(
    runs: RunTable, factors: float | Mapping[str, float] | str, *, tokenizer: str = "tokenizer_text"
) -> RunTable:
    """The table with its losses per token in bits per byte, so that all tokenizers share one scale.

    Parameters
    ----------
    runs : RunTable
        With the metric ``loss_nats``, ``log_perplexity`` or ``loss_bits``; ``value_se`` is carried along.
    factors : number, mapping of str to number, or str
        Raw bytes per token: one for all rows, one for each tokenizer, or the column that holds them. Use
        those of the data that the losses were measured on.
    tokenizer : str, default "tokenizer_text"
        Column that names each row's tokenizer, where `factors` is a mapping.

    Returns
    -------
    RunTable
        Metric ``bpb``; the column ``bytes_per_token`` says by what each row was divided.

    Raises
    ------
    InputError
        If a row has another metric, a tokenizer without a factor, or a factor that is not above 0.
    """
    frame = runs.frame
    strange = sorted(set(frame["metric"].astype(str)) - set(_BITS))
    if strange:
        raise InputError(
            f"metric {strange[0]!r} is no loss per token; bits per byte follow from {', '.join(_BITS)}. "
            f"Select those rows: runs.where('metric == \"loss_nats\"')."
        )
    held = _factors(runs, factors, tokenizer)
    bad = np.flatnonzero(~(np.isfinite(held) & (held > 0)))
    if bad.size:
        raise InputError(
            f"bytes per token must be above 0: run {str(frame['run_id'].iloc[bad[0]])[:60]!r} has "
            f"{held[bad[0]]!r} ({bad.size} such rows). Correct them, or leave these rows out with where."
        )
    scale = np.array([_BITS[name] for name in frame["metric"].astype(str)]) / held
    columns: dict[str, Any] = {"value": frame["value"] * scale, "metric": "bpb", "bytes_per_token": held}
    if "value_se" in frame:
        columns["value_se"] = numbers(frame, "value_se") * scale
    told = Finding(
        "per-byte",
        "note",
        f"losses per token were divided by raw bytes per token ({held.min():.3g} to {held.max():.3g}) into "
        "bits per byte.",
    )
    return replace(runs, frame=frame.assign(**columns), findings=(*runs.findings, told))


def _factors(runs: RunTable, factors: Any, tokenizer: str) -> np.ndarray:
    """Bytes per token of each row."""
    frame = runs.frame
    if isinstance(factors, Mapping):
        if tokenizer not in frame:
            raise InputError(
                f"factors= are by tokenizer, but the runs lack the column {tokenizer!r} (they have: "
                f"{', '.join(runs.columns)}). Name it: to_bits_per_byte(runs, factors, tokenizer=...)."
            )
        names = frame[tokenizer].fillna("").astype(str)
        lacking = sorted(set(names) - set(map(str, factors)))
        if lacking:
            raise InputError(
                f"factors= has none for {tokenizer} {lacking[0]!r} (it has: {', '.join(map(str, factors))}); "
                f"{len(lacking)} of {names.nunique()} lack one."
            )
        known = {str(k): float(v) for k, v in factors.items()}
        return np.array([known[name] for name in names])
    if isinstance(factors, str):
        if factors not in frame:
            raise InputError(
                f"factors={factors!r} is no column of the runs (they have: {', '.join(runs.columns)})."
            )
        return numbers(frame, factors)
    if isinstance(factors, int | float | np.integer | np.floating) and not isinstance(factors, bool):
        return np.full(len(frame), float(factors))
    raise InputError(
        f"factors={factors!r}: give raw bytes per token as a number, by tokenizer, or the name of a column."
    )
