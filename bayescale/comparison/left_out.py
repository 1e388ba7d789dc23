"""Rows and groups left out by exact refits: what a study's own model says of them, given all the others.

Model and priors stay those of the study, stated at the same reference scales: only rows go. A group without
rows keeps its place among the labels, so that its effects are drawn from the population.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescale.comparison.bridge import Bridge
from bayescale.comparison.evidence import log_evidence
from bayescale.comparison.executors import Places, Work, outcomes
from bayescale.comparison.rebuilt import Rebuilt
from bayescale.comparison.refits import Failure
from bayescale.diagnostics.statistics import rhat
from bayescale.errors import InputError
from bayescale.fitting import target_of
from bayescale.inference.engines import engine_of
from bayescale.inference.target import Draws, Settings
from bayescale.laws import find
from bayescale.model.density import Density, with_middle
from bayescale.model.spec import some_rows

__all__ = ["LeftOut", "left_out"]

_RHAT = 1.03

type Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Log densities of what was left out.

    Attributes
    ----------
    log_density : array of shape (part,)
        In nats, of the values in their own unit; joint for a group.
    error : array of shape (part,)
        Monte Carlo standard error.
    common_error : float
        That of what all parts share: the evidence of all rows.
    unsound : tuple of int
        Parts whose refit has not converged.
    """

    log_density: Floats
    error: Floats
    common_error: float
    unsound: tuple[int, ...] = ()

    @property
    def total_error(self) -> float:
        """Monte Carlo standard error of the sum."""
        shared = len(self.log_density) * self.common_error
        return float(np.sqrt((self.error**2).sum() + shared**2))


def left_out(
    studies: Mapping[str, Rebuilt],
    groups: Mapping[str, Sequence[NDArray[np.bool_]]],
    *,
    random_seed: int = 0,
    places: Places | None = None,
    told: Callable[[str, int], None] = lambda name, at: None,
) -> dict[str, LeftOut]:
    r"""Joint log density of the values of each group, given the rows of all others, under each study.

    .. math:: \log p(y_g \mid y_{-g}) = \log p(y) - \log p(y_{-g})

    Both evidences are bridged, the second from a refit without the group. This is the integral over the
    group's own effects, drawn from the population, and over everything else, of the product of its
    densities; an average over draws would be led by the few that happen to suit the group, or a row far from
    all others.

    Parameters
    ----------
    groups : mapping of str to sequence of array of bool, shape (row,)
        By study: true where a row belongs to the group, which may be a single row.
    places : Places, optional
        Where refits run.
    told : callable
        Called with the study and the position of each group when it is done.

    Raises
    ------
    InputError
        Whatever a refit refuses.
    """
    asked = [(name, i) for name, every in groups.items() for i in range(len(every))]
    found: dict[tuple[str, int], tuple[Bridge, bool]] = {}
    laws = tuple(find(study.study.structure.law.name) for study in studies.values())
    work = Work(partial(_without, dict(studies), random_seed), laws)
    for at, outcome in outcomes(work, [(name, groups[name][i]) for name, i in asked], places or Places()):
        if isinstance(outcome, Failure):
            raise InputError(outcome.message)
        found[asked[at]] = outcome
        told(*asked[at])
    return {name: _compared(studies[name], random_seed, found, name, len(groups[name])) for name in groups}


def _without(
    studies: Mapping[str, Rebuilt], random_seed: int, asked: tuple[str, NDArray[np.bool_]]
) -> tuple[Bridge, bool] | Failure:
    """Evidence of the rows that are left, and whether the chains of their refit stand apart."""
    name, rows = asked
    try:
        again = refitted(studies[name], ~rows)
        return log_evidence(again, random_seed)[0], _diverged(again)
    except InputError as error:
        return Failure(str(error))


def _compared(
    study: Rebuilt,
    random_seed: int,
    found: Mapping[tuple[str, int], tuple[Bridge, bool]],
    name: str,
    count: int,
) -> LeftOut:
    whole, _ = log_evidence(study, random_seed)
    parts = [found[name, i] for i in range(count)]
    return LeftOut(
        np.array([whole.log_evidence - part.log_evidence for part, _ in parts]),
        np.array([part.error for part, _ in parts]),
        whole.error,
        tuple(i for i, (_, diverged) in enumerate(parts) if diverged),
    )


def refitted(study: Rebuilt, rows: NDArray[np.bool_]) -> Rebuilt:
    """The study's posterior given some of its rows, by the engine that it was fitted with.

    Where the fast path does not certify itself for these rows, they are sampled.
    """
    spec = some_rows(study.spec, rows)
    record = study.study.record
    asked = str(record.get("engine", {}).get("asked", "auto"))
    stored = {k: v for k, v in record["settings"].items() if k in Settings.__dataclass_fields__}
    settings = Settings(**{**stored, "progressbar": False})
    target, coordinates = target_of(spec, with_middle(Density(spec)))
    drawn = engine_of("auto" if asked == "laplace" else asked)(target, settings)
    blocks = _blocks(drawn, coordinates)
    told = {"name": drawn.engine, "asked": asked, **drawn.notes}
    flat = {k: v.reshape(-1, *v.shape[2:]) for k, v in blocks.items()}
    own = replace(study.study, structure=spec.structure, blocks=flat, record={**record, "engine": told})
    chains, draws = next(iter(blocks.values())).shape[:2]
    return Rebuilt(own, spec, (chains, draws))


def _blocks(drawn: Draws, coordinates: Any) -> dict[str, Floats]:
    if drawn.named is not None:
        return dict(drawn.named)
    with np.errstate(all="ignore"):
        return dict(coordinates.blocks(drawn.points))


def _diverged(again: Rebuilt) -> bool:
    """Whether chains of a refit stand apart."""
    if again.independent:
        return False
    numbers = [v.reshape(*again.shape, -1) for v in again.study.blocks.values()]
    worst = max(float(np.nanmax(rhat(block), initial=1.0)) for block in numbers)
    return worst > _RHAT
