"""Labels and metrics: one name for one thing, and values that mean what they are taken for."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.errors import did_you_mean
from bayescale.runs.findings import Finding
from bayescale.runs.magnitudes import numbers
from bayescale.runs.places import Places
from bayescale.runs.schema import METRICS, metric_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "direction_given",
    "experts_without_active",
    "labels_alike",
    "mixed_metrics",
    "mixed_modalities",
    "outlying_points",
    "rising_with_scale",
    "unknown_metrics",
]

_LABELS = ("study", "family", "architecture", "modality", "eval_name", "metric")
# A point is far beyond this many robust standard deviations and this share of its value.
_FAR, _FAR_SHARE = 7.0, 0.04
_SCALES = ("flops", "n_params", "n_tokens", "n_samples")


def labels_alike(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Labels that differ in case or spaces only, or read as one number."""
    found = []
    for name in (name for name in _LABELS if name in frame.columns):
        seen: dict[str, str] = {}
        for label in map(str, frame[name].unique()):
            other = seen.setdefault(_bare(label), label)
            if other != label:
                found.append(
                    Finding(
                        "labels-alike",
                        "warning",
                        f"{places.column(name)} has the labels {other[:60]!r} and {label[:60]!r}, which "
                        "count as two "
                        "groups. If they mean one, write them alike.",
                    )
                )
                break
    return found


def _bare(label: str) -> str:
    text = " ".join(label.split()).casefold()
    return text.rstrip("0").rstrip(".") if "." in text and text.replace(".", "", 1).isdecimal() else text


def unknown_metrics(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Metrics of the user's own, which have no unit and bounds here."""
    found = []
    for name in map(str, frame["metric"].unique()):
        if name in METRICS or not name:
            continue
        hint = did_you_mean(name, METRICS)
        told = (
            f"metric {name[:60]!r} is not one of those known, so its unit and bounds are not checked.{hint}"
        )
        found.append(Finding("unknown-metric", "warning" if hint else "note", told))
    return found[:5]


def direction_given(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """A direction in the table that contradicts the metric."""
    given = numbers(frame, "higher_is_better")
    found = []
    for name in map(str, frame["metric"].unique()):
        better = metric_of(name).higher_is_better
        rows = np.flatnonzero((frame["metric"] == name).to_numpy(dtype=bool) & (given == (not better)))
        if better is not None and len(rows):
            told = (
                f"{places.column('higher_is_better')} contradicts the metric {name!r}, of which "
                f"{'higher' if better else 'lower'} is better: {places.rows(frame, rows, given, limit=3)}. "
                "Correct "
                "the one or the other."
            )
            found.append(Finding("direction-clash", "warning", told))
    return found


def mixed_metrics(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Values in several units; a fit takes one of them."""
    names = [str(name) for name in frame["metric"].unique()]
    if len(names) < 2:
        return []
    told = ", ".join(f"{name[:40]} ({metric_of(name).unit[:40]})" for name in names[:6])
    select = f"where='metric == \"{names[0][:40]}\"'"
    return [
        Finding(
            "mixed-metrics", "note", f"the table has {len(names)} metrics: {told}. A fit takes one: {select}."
        )
    ]


def mixed_modalities(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Text and images under one floor: the least loss differs between modalities."""
    if "modality" not in frame.columns:
        return []
    pairs: Any = frame[["study", "family", "metric", "modality"]].drop_duplicates()
    pairs = pairs[pairs["modality"] != ""]
    mixed = pairs.groupby(["study", "family", "metric"], sort=False)["modality"].agg(list)
    mixed = mixed[mixed.map(len) > 1]
    if not len(mixed):
        return []
    (_, family, metric), modalities = mixed.index[0], mixed.iloc[0]
    return [
        Finding(
            "mixed-modalities",
            "warning",
            f"{places.column('modality')}: the family {str(family)[:60]!r} holds {metric} of "
            f"{', '.join(map(str, modalities[:6]))} "
            f"({len(mixed)} such families). One floor cannot serve them all: pool by modality, or select "
            "one with "
            f"where='modality == \"{modalities[0]}\"'.",
        )
    ]


def experts_without_active(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Mixtures of experts for which only the total size is known."""
    moe = (numbers(frame, "is_moe") == 1) | (numbers(frame, "n_experts") > 1)
    rows = np.flatnonzero(moe & np.isnan(numbers(frame, "n_active_params")))
    if not len(rows):
        return []
    told = (
        f"{len(rows):,} rows are mixtures of experts (MoE) without 'n_active_params', such as "
        f"{places.rows(frame, rows, limit=2)}. Total parameters overstate what one token uses: give the "
        "active ones."
    )
    return [Finding("experts-without-active", "warning", told)]


def rising_with_scale(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Losses that rise, or scores that fall, as runs get larger."""
    scale = next((name for name in _SCALES if np.isfinite(numbers(frame, name)).sum() >= 8), None)
    if scale is None:
        return []
    by_metric: dict[str, list[tuple[str, float]]] = {}
    for (metric, evaluation), rows in _evaluations(frame):
        better = metric_of(metric).higher_is_better
        size, value = numbers(frame, scale)[rows], numbers(frame, "value")[rows]
        known = np.isfinite(size) & np.isfinite(value)
        if better is not None and known.sum() >= 8:
            wrong = rank_correlation(size[known], value[known]) * (-1 if better else 1)
            by_metric.setdefault(metric, []).append((evaluation, wrong))
    return [
        _wrong_direction(metric, wrong, scale, places, frame)
        for metric, wrong in by_metric.items()
        if np.median([w for _, w in wrong]) > 0.5
    ]


def _wrong_direction(
    metric: str, wrong: list[tuple[str, float]], scale: str, places: Places, frame: "pd.DataFrame"
) -> Finding:
    better = metric_of(metric).higher_is_better
    evaluation, most = max(wrong, key=lambda pair: pair[1])
    moves, meant = (
        ("falls", "an error rate given as accuracy") if better else ("rises", "an accuracy given as loss")
    )
    return Finding(
        "wrong-direction",
        "warning",
        f"{places.column('value', frame)}{f' of {evaluation!r}' if evaluation else ''} {moves} as "
        f"{scale!r} grows (rank "
        f"correlation {most:.2f} in the wrong direction), but of {metric} "
        f"{'higher' if better else 'lower'} is better. "
        f"Is it {meant}, or has it the wrong sign? Name the metric: read_runs(path, metric=...).",
    )


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation; 0 where either is constant."""
    import pandas as pd

    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(pd.Series(x).rank().to_numpy(), pd.Series(y).rank().to_numpy())[0, 1])


def _evaluations(frame: "pd.DataFrame", limit: int = 60) -> list[tuple[tuple[str, str], np.ndarray]]:
    """Rows of each evaluation, the largest first."""
    named: Any = frame if "eval_name" in frame.columns else frame.assign(eval_name="")
    groups: dict[Any, np.ndarray] = named.groupby(["metric", "eval_name"], sort=False).indices
    largest = sorted(groups.items(), key=lambda item: -len(item[1]))[:limit]
    return [((str(metric), str(name)), rows) for (metric, name), rows in largest]


def outlying_points(frame: "pd.DataFrame", places: Places) -> list[Finding]:
    """Points far from a smooth surface through the others, by a fit that few points cannot bend."""
    found = []
    for (metric, _), rows in _evaluations(frame, limit=3):
        if not metric_of(metric).positive or not 15 <= len(rows) <= 5000:
            continue
        far = rows[_far(frame, rows)]
        if len(far):
            some = f"{len(far)} point{'s' if len(far) > 1 else ''}"
            told = (
                f"{some} of {len(rows)} lie far from the trend of the others (outliers): "
                f"{places.rows(frame, far, numbers(frame, 'value'))}. Check them; keep the robust noise "
                "(Student-t), under which they have little influence."
            )
            found.append(Finding("outlying-points", "warning", told))
    return found


def _far(frame: "pd.DataFrame", rows: np.ndarray) -> np.ndarray:
    """Mask of the rows whose log value is far from a quadratic surface in the log scales of most others."""
    sizes = [numbers(frame, name)[rows] for name in _SCALES[1:]]
    logs = [np.log(size) for size in sizes if np.isfinite(size).all() and size.min() > 0 and np.ptp(size) > 0]
    values = numbers(frame, "value")[rows]
    family = frame["family"].iloc[rows].to_numpy()
    labels = np.unique(family)
    if (
        not logs
        or not (np.isfinite(values) & (values > 0)).all()
        or len(rows) < 8 * (len(labels) + len(logs))
    ):
        return np.zeros(len(rows), dtype=bool)
    columns = [(family == label).astype(float) for label in labels]
    columns += [(x - x.mean()) / x.std() for x in logs]
    scales = columns[len(labels) :]
    columns += [x * y for i, x in enumerate(scales) for y in scales[i:]]
    residual = _robust_residual(np.column_stack(columns), np.log(values))
    spread = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
    far = np.abs(residual) > np.maximum(_FAR * spread, _FAR_SHARE)
    return far if far.sum() <= 0.15 * len(rows) else np.zeros(len(rows), dtype=bool)


def _robust_residual(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Residuals of least absolute deviations, then of Tukey's biweight, by reweighted least squares."""
    weights = np.ones(len(values))
    residual = values
    for step in range(60):
        root = np.sqrt(weights)
        coefficients = np.linalg.lstsq(design * root[:, None], values * root, rcond=None)[0]
        residual = values - design @ coefficients
        spread = max(1.4826 * float(np.median(np.abs(residual))), 1e-9)
        if step < 40:
            weights = 1 / np.maximum(np.abs(residual), 0.01 * spread)
        else:
            weights = np.maximum(1 - (residual / (6 * spread)) ** 2, 0) ** 2 + 1e-9
    return residual
