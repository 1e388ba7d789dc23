"""What losses, and measurements joined to them, tell of compression factors: in words.

The slopes of the fitted law in the logs of the factors, run by run, say which combinations of them the
losses feel at all, and which of those another parameter can make up for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.diagnostics.scalars import listed
from bayescale.laws.law import Law
from bayescale.model.noise import forward
from bayescale.model.structure import Structure, from_dict, row_parameters
from bayescale.priors import link, unlink
from bayescale.runs.findings import Finding

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["compression_line", "on_compression"]

_STEP = 1e-30
_EXACT = 1e-5  # of the largest slope: below it a combination is not felt, but for rounding
_LEAST_CONTRACTION = 0.5
_REACH = 1.645  # deviations to either end of a 90 % interval


@dataclass(frozen=True, eq=False)
class _Felt:
    """What losses feel of the logs of the factors.

    Attributes
    ----------
    together : array of shape (letter,) or None
        The one combination in which they enter, where they enter in one only.
    alike : array of shape (letter,) or None
        The same for runs of the commonest set of modalities alone; 0 for those that they lack.
    lost : array of shape (combination, letter)
        Directions along which another parameter, or nothing at all, makes up for a change.
    partner : str
        The parameter that makes up best for a common factor on all.
    """

    together: np.ndarray | None
    alike: np.ndarray | None
    lost: np.ndarray
    partner: str


def on_compression(posterior: "xr.DataTree", law: Law | None, told: Mapping[str, Any]) -> list[Finding]:
    """One finding of the factors that losses tell, or do not, and one of those that were measured."""
    if law is None or not _letters(law) or "constant_data" not in posterior.children:
        return []
    s = from_dict(told)
    letters = _letters(s.law)
    found = []
    unmeasured = [k for k in letters if k not in s.measured]
    if unmeasured:
        felt = _felt(posterior, s)
        shrank = max(_shrank(posterior, told, [(k, 1.0)]) for k in unmeasured)
        weak = len(felt.lost) > 0 or shrank < _LEAST_CONTRACTION
        message = _on_losses(posterior, s, told, unmeasured, felt)
        found.append(Finding("compression-by-losses", "warning" if weak else "note", message))
    if s.measured:
        words = "; ".join(_known(posterior, s, k, told) for k in letters if k in s.measured)
        found.append(Finding("compression-measured", "note", f"known by measurement: {words}."))
    return found


def compression_line(posterior: "xr.DataTree", law: Law, told: Mapping[str, Any]) -> str:
    """The findings on compression factors in one line; empty for a law without any."""
    return " ".join(finding.message for finding in on_compression(posterior, law, told))


def _letters(law: Law) -> list[str]:
    return [k for k, kind in law.parameters.items() if kind.name == "compression"]


def _felt(posterior: "xr.DataTree", s: Structure) -> _Felt:
    slopes, index = _slopes(posterior, s)
    letters = _letters(s.law)
    own = np.stack([slopes[k] for k in letters], axis=1)
    others = {k: _by_group(v, s, k, index) for k, v in slopes.items() if k not in letters}
    size = float(np.linalg.norm(own))
    left = _without(own, np.concatenate(list(others.values()), axis=1))
    _, strength, directions = np.linalg.svd(left, full_matrices=False)
    common = own.sum(axis=1)
    rest = {k: float(np.linalg.norm(_without(common[:, None], v))) for k, v in others.items()}
    lost = directions[strength <= _EXACT * size]
    sets, counts = np.unique(own != 0, axis=0, return_counts=True)
    alike = _one_combination(own[((own != 0) == sets[counts.argmax()]).all(axis=1)])
    return _Felt(_one_combination(own), alike, lost, min(rest, key=lambda k: rest[k]) if rest else "")


def _one_combination(own: np.ndarray) -> np.ndarray | None:
    """The weights with which the factors enter all rows, if they are the same but for a multiple."""
    _, strength, directions = np.linalg.svd(own, full_matrices=False)
    return directions[0] if (strength[1:] <= _EXACT * strength[0]).all() else None


def _slopes(posterior: "xr.DataTree", s: Structure) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Slope of each run's fitted value, on the scale of the noise, in each parameter on its link scale."""
    draws, data = posterior["posterior"].dataset, posterior["constant_data"].dataset
    blocks = {b.name: draws[b.name].median(("chain", "draw")).values for b in s.blocks}
    index = {
        f: np.array([s.labels[f].index(str(label)) for label in data[f"group_{f}"].values]) for f in s.factors
    }
    scaled = [np.asarray(data[k].values, dtype=float) / s.reference[k] for k in s.law.inputs]
    rows = row_parameters(s, blocks, index)
    found = {}
    for letter, kind in s.law.parameters.items():
        moved = unlink(kind, link(kind, np.atleast_1d(rows[letter])) + 1j * _STEP)
        value = forward(s.noise.on, s.law(*scaled, **(rows | {letter: moved})))
        found[letter] = np.broadcast_to(value.imag / _STEP, scaled[0].shape)
    return found, index


def _by_group(slope: np.ndarray, s: Structure, letter: str, index: Mapping[str, np.ndarray]) -> np.ndarray:
    """One column for each group that has a value of its own."""
    factors = s.pool.get(letter, ())
    if not factors:
        return slope[:, None]
    blocks = [slope[:, None] * (index[f][:, None] == np.arange(len(s.labels[f]))) for f in factors]
    return np.concatenate(blocks, axis=1)


def _without(columns: np.ndarray, others: np.ndarray) -> np.ndarray:
    """What is left of columns when others have explained what they can."""
    scale = np.linalg.norm(others, axis=0)
    basis = others[:, scale > 0] / scale[scale > 0]
    u, strength, _ = np.linalg.svd(basis, full_matrices=False)
    u = u[:, strength > 1e-10 * strength.max(initial=0.0)]
    return columns - u @ (u.T @ columns)


def _on_losses(
    posterior: "xr.DataTree", s: Structure, told: Mapping[str, Any], unmeasured: list[str], felt: _Felt
) -> str:
    mend = "Join measurements to know them: fit(..., measurements=...)."
    letters, name = _letters(s.law), s.law.name
    count = len(letters)
    if count == 1:
        words = f"{letters[0]}: under {name} the losses tell it only together with {felt.partner}"
        return f"{words} (ridge: move both); its prior decides where on that ridge. {mend}"
    if felt.together is not None:
        combination = _combination(letters, felt.together)
        words = f"under {name} the losses fix only {combination}, not {listed(letters)} one by one"
        ridge = f"raise {letters[0]} and lower {letters[1]}{_as_much(felt.together)}"
        if len(felt.lost) == count:
            words += f", and that only together with {felt.partner}"
        return f"{words} (ridge: {ridge}). {mend}"
    if len(felt.lost) == 1 and np.ptp(felt.lost[0]) < 1e-2:
        ratios = _ratios(posterior, told, letters)
        return (
            f"under {name} the losses fix only relative factors, {ratios}; a common factor on "
            f"{listed(letters)} trades off with {felt.partner} (ridge: raise all of them, and {felt.partner} "
            f"makes up). {mend}"
        )
    if len(felt.lost):
        combinations = listed(_combination(letters, direction) for direction in felt.lost)
        return f"under {name} the losses of these runs tell nothing of {combinations}. {mend}"
    shrank = max(_shrank(posterior, told, [(k, 1.0)]) for k in unmeasured)
    if shrank >= _LEAST_CONTRACTION:
        return f"under {name} the losses of these runs tell {listed(unmeasured)}: prior SDs shrank by up to {
            shrank:.0%}."
    words = f"under {name} the losses hardly tell {listed(unmeasured)} (no prior SD shrank by more than {
        max(shrank, 0.0):.0%})"
    if felt.alike is not None and np.count_nonzero(felt.alike) > 1:
        words += f": runs of the same modalities fix only {_combination(letters, felt.alike)}"
    return f"{words}. {mend}"


def _combination(letters: Sequence[str], weights: np.ndarray) -> str:
    """``log C_text + 0.4 log C_image``, or the sum where all weigh alike."""
    weights = weights / weights[np.argmax(np.abs(weights))]
    terms = [
        f"{'' if abs(w - 1) < 5e-3 else f'{w:.2g} '}log {k}"
        for k, w in zip(letters, weights, strict=True)
        if abs(w) > 5e-3
    ]
    prefix = "the sum " if len(terms) > 1 and np.ptp(weights) < 1e-2 else ""
    return prefix + " + ".join(terms).replace("+ -", "- ")


def _as_much(weights: np.ndarray) -> str:
    """How the factor that is lowered compares with the one that is raised."""
    alike = abs(weights[0] - weights[1]) < 5e-3 * abs(weights[0])
    return " by the same factor" if alike else f" by its power {weights[0] / weights[1]:.2g}"


def _logs(posterior: "xr.DataTree", letter: str) -> np.ndarray:
    """Draws of the log of a factor, the mean over its groups, shape (sample,)."""
    values = np.log(posterior["posterior"].dataset[letter].transpose("chain", "draw", ...).values)
    return values.reshape(values.shape[0] * values.shape[1], -1).mean(axis=1)


def _shrank(posterior: "xr.DataTree", told: Mapping[str, Any], terms: Sequence[tuple[str, float]]) -> float:
    """By how much the prior SD of a sum of log factors shrank; NaN where it is not recorded."""
    prior = told.get("prior_sd", {})
    before = np.sqrt(sum((w * prior.get(k, np.nan)) ** 2 for k, w in terms))
    return float(1 - np.std(np.sum([w * _logs(posterior, k) for k, w in terms], axis=0)) / before)


def _ratios(posterior: "xr.DataTree", told: Mapping[str, Any], letters: Sequence[str]) -> str:
    """Each factor over the first, with how well it is known."""
    first, words = _logs(posterior, letters[0]), []
    for letter in letters[1:]:
        width = _percent(float(np.std(_logs(posterior, letter) - first)))
        hardly = _shrank(posterior, told, [(letter, 1.0), (letters[0], -1.0)]) < _LEAST_CONTRACTION
        width += ", hardly more than the prior" if hardly else ""
        words.append(f"{letter} / {letters[0]} (within {width})")
    return listed(words)


def _percent(sd: float) -> str:
    """Half-width of a 90 % interval of a positive number whose log has this deviation."""
    width = float(np.expm1(_REACH * sd))
    if width > 1:
        return f"a factor {1 + width:.1f}"
    return f"{width:.1%}" if width < 0.1 else f"{width:.0%}"


def _known(posterior: "xr.DataTree", s: Structure, letter: str, told: Mapping[str, Any]) -> str:
    """``C_text to 4 % from 120 rows``, the best and the worst known of several tokenizers."""
    values = posterior["posterior"].dataset[letter]
    logs: Any = np.log(values)
    spread = logs.std(("chain", "draw"))
    used = _used(posterior, spread, s)
    rows = int(told.get("n_measurements", {}).get(letter, 0))
    low, high = _percent(float(used.min())), _percent(float(used.max()))
    width = low if low == high else f"{low} to {high}"
    return f"{letter} of the runs to {width} (90 % interval) with {rows} measurements"


def _used(posterior: "xr.DataTree", spread: "xr.DataArray", s: Structure) -> np.ndarray:
    """Spreads of the groups in which runs stand."""
    data = posterior["constant_data"].dataset
    dims = [str(d) for d in spread.dims]
    if not dims:
        return np.atleast_1d(spread.values)
    labels = {d: data[f"group_{d}"].values.astype(str) for d in dims}
    rows = [tuple(row) for row in np.unique(np.stack([labels[d] for d in dims], axis=1), axis=0)]
    return np.array([float(spread.sel(dict(zip(dims, row, strict=True)))) for row in rows])
