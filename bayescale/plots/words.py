"""Labels and numbers as a reader wants them: names with units, 1.6B for 1.6e9."""

import math

__all__ = ["held_at", "label_of", "label_of_metric", "number_of", "percent", "power", "readable", "short"]

_LABELS = {
    "n_params": "Parameters",
    "n_active_params": "Active parameters",
    "n_params_nonembed": "Parameters without embeddings",
    "n_tokens": "Training tokens",
    "tokens_unique": "Unique training tokens",
    "n_samples": "Training samples",
    "flops": "Training compute (FLOP)",
}
_METRICS = {
    "loss_nats": "Loss (nats per token)",
    "loss_bits": "Loss (bits per token)",
    "loss_unigram_normalised": "Unigram-normalised loss (nats per token)",
    "loss_reported": "Loss (unit not reported)",
    "bpb": "Bits per byte",
    "bpc": "Bits per character",
    "fid": "FID",
    "fad": "FAD",
    "wer": "Word error rate (fraction)",
    "miou": "Mean IoU (fraction)",
}
_UNITS = ((1e15, "Q"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_LONGEST = 36


def label_of(column: str) -> str:
    """Axis label of a column of scales, with its unit."""
    if column in _LABELS:
        return _LABELS[column]
    from bayescale.runs.schema import column_of

    known = column_of(column)
    text = column.replace("_", " ").capitalize()
    return readable(f"{text} ({known.unit})" if known and known.unit else text)


def label_of_metric(metric: str) -> str:
    """Axis label of what was evaluated, with its unit."""
    if metric in _METRICS:
        return _METRICS[metric]
    from bayescale.runs.schema import METRICS

    text = metric.replace("_", " ")
    text = text[:1].upper() + text[1:]
    known = METRICS.get(metric)
    return readable(f"{text} ({known.unit})" if known and known.unit not in ("none", "") else text)


def short(number: float) -> str:
    """A count in two or three figures: 1.6B, 20T, 350k."""
    number = float(f"{number:.2g}")
    for size, letter in _UNITS:
        if size <= abs(number) < 1e18:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}" if abs(number) < 1e18 else power(number)


def power(number: float) -> str:
    """A number as a power of ten, for compute: 3×10²¹."""
    exponent = math.floor(math.log10(number))
    lead = float(f"{number / 10**exponent:.1f}")
    if lead == 10.0:
        lead, exponent = 1.0, exponent + 1
    return rf"$10^{{{exponent}}}$" if lead == 1.0 else rf"${lead:g}\times10^{{{exponent}}}$"


def percent(share: float) -> str:
    """A share in hundredths: 90 %."""
    return f"{100 * share:.3g} %"


def number_of(column: str, number: float) -> str:
    """A number of that column in few figures."""
    return power(number) if column == "flops" else short(number)


def held_at(column: str, number: float) -> str:
    """A level of an input, with its unit: "16B tokens"."""
    unit = {
        "n_params": "parameters",
        "n_active_params": "active parameters",
        "n_tokens": "tokens",
        "tokens_unique": "unique tokens",
        "n_samples": "samples",
        "flops": "FLOP",
    }.get(column, column.replace("_", " "))
    return readable(f"{number_of(column, number)} {unit}") if column != "flops" else f"{power(number)} {unit}"


def readable(label: str) -> str:
    """A label from the user's data as text: no formula, nothing hidden, no endless line."""
    text = " ".join(str(label).split()) or "(no label)"
    text = text if len(text) <= _LONGEST + 12 else text[: _LONGEST + 11] + "…"
    return (" " + text if text.startswith("_") else text).replace("$", r"\$")
