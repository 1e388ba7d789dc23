"""What there is to notice about a table before any law is chosen."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bayescale.runs import magnitudes, meaning, repeats, shares
from bayescale.runs.findings import Finding
from bayescale.runs.places import Places

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CHECKS", "check_runs"]

type Check = Callable[["pd.DataFrame", Places], list[Finding]]

# One row a check; the next one is a function and a row here.
CHECKS: dict[str, Check] = {
    "sizes that read as billions": magnitudes.implausible_sizes,
    "compute against 6ND": magnitudes.compute_against_size,
    "values a metric cannot have": magnitudes.bounded_values,
    "compressed larger than dense": magnitudes.compressed_sizes,
    "shares of a mixture": shares.shares_of_one,
    "losses above chance": magnitudes.loss_magnitudes,
    "values that never vary": magnitudes.constant_values,
    "losses with one decimal": magnitudes.rounded_values,
    "values that rise with scale": meaning.rising_with_scale,
    "points far from the trend": meaning.outlying_points,
    "one run with two values": repeats.duplicate_ids,
    "one result under two names": repeats.identical_results,
    "one run at several scales": repeats.repeated_runs,
    "one name in two families": repeats.ids_across_families,
    "one run a family": repeats.families_of_one,
    "checkpoints among finished runs": repeats.checkpoints,
    "experts without active size": meaning.experts_without_active,
    "modalities under one floor": meaning.mixed_modalities,
    "labels that look alike": meaning.labels_alike,
    "metrics not known": meaning.unknown_metrics,
    "directions that clash": meaning.direction_given,
    "several metrics": meaning.mixed_metrics,
    "memory": magnitudes.memory_needed,
}


def check_runs(frame: "pd.DataFrame", places: Places | None = None) -> list[Finding]:
    """Findings on a frame in canonical columns, whatever law will be fitted.

    Parameters
    ----------
    frame : DataFrame
        As in `RunTable.frame`.
    places : Places, optional
        How messages name rows and columns; by position and our names by default.
    """
    if not len(frame):
        return []
    with np.errstate(all="ignore"):
        return [finding for check in CHECKS.values() for finding in check(frame, places or Places())]
