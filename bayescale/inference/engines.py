"""The engines, one row each, and the one that chooses."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from bayescale.errors import InputError
from bayescale.inference.laplace import KHAT_LIMIT, laplace
from bayescale.inference.mode import Mode, find_mode
from bayescale.inference.numpyro import numpyro
from bayescale.inference.symbolic import nutpie, pymc
from bayescale.inference.target import Draws, Settings, Target

__all__ = ["ENGINES", "auto", "engine_of"]

_LARGEST_FOR_WEIGHTS = 40  # importance sampling in more dimensions than this has never been certified


def auto(target: Target, settings: Settings, mode: Mode | None = None) -> Draws:
    """Moves group by group where they mix; else the certified fast posterior, or NUTS in good coordinates.

    Which of the two ran, and why, stands in the notes under ``why``.
    """
    refused = ""
    if target.parts is not None:
        from bayescale.inference.grouped import ENOUGH

        try:
            walked = grouped(target, settings)
        except np.linalg.LinAlgError:  # groups of so few runs that nothing holds their coordinates
            refused = " and moves group by group found no coordinates"
        else:
            worth = walked.notes["effective"]
            if walked.partial or worth >= ENOUGH * settings.chains * settings.draws:
                why = f"sampled group by group: walkers worth {worth:,.0f} independent draws"
                return replace(walked, notes={**walked.notes, "why": why})
            refused = f" and moves group by group were worth {worth:,.0f} draws"
    mode = mode or find_mode(target)
    if mode.rivals:
        why = f"{len(mode.rivals)} other mode(s) found, which weights about one mode do not see"
    elif target.dim <= _LARGEST_FOR_WEIGHTS:
        fast = laplace(target, settings, mode)
        khat, worth = fast.notes["khat"], fast.notes["effective_draws"]
        measured = f"Pareto k-hat {khat:.2f} (limit {KHAT_LIMIT}), worth {worth:,.0f} draws"
        if fast.certified:
            return replace(
                fast, notes={**fast.notes, "why": f"corrected Laplace certified itself: {measured}"}
            )
        why = f"corrected Laplace refused: {measured}"
    else:
        why = f"{target.dim} unknowns are too many for importance weights"
    sampled = numpyro(target, settings, mode)
    return replace(sampled, notes={**sampled.notes, "why": f"NUTS, since {why}{refused}"})


def grouped(target: Target, settings: Settings, mode: Mode | None = None) -> Draws:
    """Moves group by group, loaded when asked for: their SciPy takes longer to load than other fits."""
    from bayescale.inference.grouped import grouped as moves

    return moves(target, settings, mode)


ENGINES: Mapping[str, Callable[..., Draws]] = {
    "auto": auto,
    "grouped": grouped,
    "laplace": laplace,
    "numpyro": numpyro,
    "nutpie": nutpie,
    "pymc": pymc,
}


def engine_of(name: str) -> Callable[..., Draws]:
    """The engine of that name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in ENGINES:
        raise InputError(f"there is no engine {name!r}. Available: {', '.join(ENGINES)}.")
    return ENGINES[name]
