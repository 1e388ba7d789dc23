"""What the runs tell and what the prior does: the answer in words, parameter by parameter.

A sampler passes every check on a design that tells nothing. Here each parameter's spread after the runs
is held against its spread before them, on the scale on which it is learnt (the logarithm for a positive
one), and the prior is made stronger and weaker to see whether the answer follows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayescale.diagnostics.compression import on_compression
from bayescale.diagnostics.scalars import Scalars, law_in, listed, record, scalars
from bayescale.diagnostics.sensitivity import prior_sensitivity
from bayescale.laws.law import Law
from bayescale.priors import link
from bayescale.runs.findings import Finding, Judgement, gravest_first

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Identification", "identify"]

# Together these two caught all weak designs tried and cleared the good one; neither does alone.
_LEAST_CONTRACTION = 0.5
_MOST_SENSITIVITY = 0.05
_RIDGE = 0.95
_LEAST_GROUPS = 4  # with fewer, the spread between groups is what its prior says
_NEAR_ZERO = 0.05  # of the least observed value


@dataclass(frozen=True, eq=False)
class Identification(Judgement):
    """What the runs tell about each parameter.

    Attributes
    ----------
    findings : tuple of Finding
        Errors first, then warnings, then notes.
    table : DataFrame
        One row for each number, at the reference scales: prior_sd and posterior_sd on the scale on
        which it is learnt, contraction (1 less their ratio), sensitivity to the prior.
    headline : str
        One sentence.
    floor_share : float or None
        Share of draws in which the floor lies below 5 % of the least observed value.
    """

    findings: tuple[Finding, ...]
    table: "pd.DataFrame"
    headline: str
    floor_share: float | None = None

    def _table_html(self) -> str:
        table = self.table.sort_values("contraction", na_position="first").head(20)
        return table.to_html(float_format="{:.3g}".format, border=0)


def identify(posterior: "xr.DataTree") -> Identification:
    """Say which parameters the runs determine, and which are led by their prior.

    Parameters
    ----------
    posterior : DataTree
        A fitted study, as returned by `fit`. Sensitivity is told where it has the group log_prior.

    Returns
    -------
    Identification
        A parameter of the law gets a warning if its SD shrank by less than half, or if its sensitivity
        to the prior is 0.05 or more; two parameters on a ridge are named, and a floor near zero.

    Raises
    ------
    InputError
        If there is no posterior.
    """
    told = record(posterior)
    law = law_in(told)
    drawn = _learnt(scalars(posterior), told, law)
    priors = told.get("prior_sd")
    table = _table(drawn, priors if isinstance(priors, Mapping) else {}, posterior)
    share = _floor_share(posterior, law)
    findings = [
        *_on_completeness(table, posterior, law),
        *_on_parameters(table, drawn, law),
        *_on_ridges(table, drawn, law),
        *_on_groups(posterior, law),
        *on_compression(posterior, law, told),
    ]
    if share is not None and share >= _NEAR_ZERO:
        findings.append(_near_zero(share))
    findings = gravest_first(findings)
    return Identification(tuple(findings), table, _headline(findings, table, drawn, law), share)


def letter_of(name: str) -> str:
    """Letter of the law behind a variable: ``A`` of ``A_ref_population``."""
    return name.removesuffix("_population").removesuffix("_ref")


def _learnt(drawn: Scalars, told: Mapping[str, Any], law: Law | None) -> Scalars:
    """What was learnt, on the link scale: A at the reference scales for A, no effects of single groups."""
    present = set(drawn.names)
    fixed = set(told.get("fixed") or ())
    kept = drawn.where(
        f"{name}_ref" not in present and "_offset_" not in name and name not in fixed for name in drawn.names
    )
    kinds = law.parameters if law else {}
    values = kept.draws.copy()
    for i, name in enumerate(kept.names):
        kind = kinds.get(letter_of(name))
        with np.errstate(divide="ignore", invalid="ignore"):
            if kind is not None:
                values[..., i] = link(kind, values[..., i])
            elif (values[..., i] > 0).all():
                values[..., i] = np.log(values[..., i])
    return replace(kept, draws=values)


def _table(drawn: Scalars, priors: Mapping[str, Any], posterior: "xr.DataTree") -> "pd.DataFrame":
    import pandas as pd

    before = np.array([_sd_before(name, priors) for name in drawn.names])
    with np.errstate(invalid="ignore"):
        after = drawn.draws.std(axis=(0, 1))
    columns = {
        "prior_sd": before,
        "posterior_sd": after,
        "contraction": 1 - after / before,
        "sensitivity": _sensitivity(drawn, posterior),
    }
    return pd.DataFrame(columns, index=pd.Index(drawn.labels, name="quantity"))


def _sd_before(name: str, priors: Mapping[str, Any]) -> float:
    for key in (name, letter_of(name), f"{letter_of(name)}_ref"):
        value = priors.get(key)
        if isinstance(value, int | float) and value > 0:
            return float(value)
    return np.nan


def _sensitivity(drawn: Scalars, posterior: "xr.DataTree") -> NDArray[np.float64]:
    """The larger of the sensitivities to a parameter's own prior and to all priors together."""
    answer = np.full(len(drawn.names), np.nan)
    if "log_prior" not in posterior.children:
        return answer
    priors = {
        str(name): density.sum([d for d in density.dims if d not in ("chain", "draw")])
        .transpose("chain", "draw")
        .values
        for name, density in posterior["log_prior"].data_vars.items()
        if "_offset_" not in str(name)  # how groups spread is the model, not a belief about a number
    }
    answer = prior_sensitivity(drawn.draws, np.sum(list(priors.values()), axis=0))
    for name, density in priors.items():
        own = np.array([letter_of(n) == letter_of(name) for n in drawn.names])
        if own.any() and len(priors) > 1:
            answer[own] = np.fmax(answer[own], prior_sensitivity(drawn.draws[..., own], density))
    return answer


def _on_completeness(table: "pd.DataFrame", posterior: "xr.DataTree", law: Law | None) -> Iterator[Finding]:
    broken = table.index[~np.isfinite(table["posterior_sd"])]
    if len(broken):
        message = (
            f"draws that are not finite, or lie outside their support: {listed(broken)}. Nothing can be "
            "said of these; see convergence(posterior) and fit again."
        )
        yield Finding("not-finite", "error", message)
    unknown = table.index[np.isnan(table["prior_sd"])]
    if len(unknown):
        message = (
            f"the SD of the prior is not recorded for {listed(unknown)}, so what the runs added cannot "
            "be told. Fit again with this version to record it."
        )
        learnt = law is None or any(letter_of(str(q).partition("[")[0]) in law.parameters for q in unknown)
        yield Finding("no-prior-sd", "warning" if learnt else "note", message)
    if "log_prior" not in posterior.children:
        message = (
            "sensitivity to the prior was not checked, since the study has no group log_prior; "
            "the contraction of each SD was."
        )
        yield Finding("no-log-prior", "note", message)


def _on_parameters(table: "pd.DataFrame", drawn: Scalars, law: Law | None) -> Iterator[Finding]:
    """One finding for each letter that is led by its prior, with its groups in order of weakness."""
    shrank, moved = table["contraction"].to_numpy(), table["sensitivity"].to_numpy()
    letters = np.array([letter_of(name) for name in drawn.names])
    for letter in dict.fromkeys(letters):
        mine = np.flatnonzero(letters == letter)
        weak = [int(i) for i in mine if shrank[i] < _LEAST_CONTRACTION]
        leans = [int(i) for i in mine if moved[i] >= _MOST_SENSITIVITY]
        if not weak and not leans:
            continue
        words = [_shrunk(weak, shrank, drawn)] if weak else []
        if leans:
            most = max(leans, key=lambda i: moved[i])
            where = f" for {drawn.groups[most]}" if drawn.groups[most] else ""
            words.append(
                f"the answer leans on the prior (sensitivity {moved[most]:.2f}{where}, "
                f"the limit is {_MOST_SENSITIVITY:g})"
            )
        matters = law is None or letter in law.parameters
        message = f"{letter}: {'; '.join(words)}. {_mend(letter, law)}"
        yield Finding("prior-led", "warning" if matters else "note", message)


def _shrunk(weak: list[int], shrank: NDArray[np.float64], drawn: Scalars) -> str:
    weak = sorted(weak, key=lambda i: shrank[i])
    least = shrank[weak[0]]
    words = f"its prior SD shrank by {least:.0%} only" if least > 0 else "its prior SD did not shrink"
    groups = listed(f"{drawn.groups[i]} {shrank[i]:.0%}" for i in weak if drawn.groups[i])
    return f"the runs say little; {words}" + (f" ({groups})" if groups else "")


def _mend(letter: str, law: Law | None) -> str:
    if law is not None and letter not in law.parameters:
        return "This matters only if you report it."
    if law is not None and law.parameters[letter].name == "compression":
        return "Runs of varied mixtures tell ratios of factors; measurements (measurements=...) the factors."
    columns = _columns_behind(letter, law) if law else []
    if not columns:
        return "Runs over a wider range of scales would tell."
    return f"Runs that differ more in {' and '.join(columns)} alone would tell."


def _columns_behind(letter: str, law: Law) -> list[str]:
    """Inputs that a parameter acts through, from how it carries their units."""
    columns = dict(zip(law.arguments, law.inputs, strict=True))
    return [
        columns[argument]
        for amplitude, powers in law.scaling.items()
        for argument, power in powers.items()
        if letter in (amplitude, str(power).removeprefix("-"))
    ]


def _on_ridges(table: "pd.DataFrame", drawn: Scalars, law: Law | None) -> Iterator[Finding]:
    mine = [law is None or letter_of(name) in law.parameters for name in drawn.names]
    keep, shrank = drawn.where(mine), table["contraction"].to_numpy()[mine]
    x = keep.draws.reshape(-1, len(keep.names))
    if len(keep.names) < 2 or len(x) < 3 or not np.isfinite(x).all():
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.corrcoef(x, rowvar=False)
    pairs = [
        (i, j)
        for i, j in zip(*np.nonzero(np.triu(abs(r) > _RIDGE, 1)), strict=True)
        if letter_of(keep.names[i]) != letter_of(keep.names[j])
    ]
    pairs.sort(key=lambda pair: -abs(r[pair]))
    if pairs:
        together = {True: "rise together", False: "trade off"}
        which = listed(
            f"{keep.labels[i]} and {keep.labels[j]} {together[bool(r[i, j] > 0)]} (r = {r[i, j]:.2f})"
            for i, j in pairs
        )
        message = (
            f"on a ridge: {which}. The runs tell a combination of each pair, not the two; quote "
            "predictions rather than these numbers, or add runs of other proportions."
        )
        told = all(shrank[[i, j]].min() >= _LEAST_CONTRACTION for i, j in pairs)
        yield Finding("ridge", "note" if told else "warning", message)


def _on_groups(posterior: "xr.DataTree", law: Law | None) -> Iterator[Finding]:
    few: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    for name, variable in posterior["posterior"].data_vars.items():
        known = law is None or str(name) in law.parameters
        for dim in set(variable.dims) - {"chain", "draw"}:
            if known and variable.sizes[dim] < _LEAST_GROUPS:
                few.setdefault(str(dim), []).append(str(name))
                sizes[str(dim)] = variable.sizes[dim]
    for dim, names in few.items():
        message = (
            f"{listed(names)}: with {sizes[dim]} of {dim}, the spread between groups is led by its "
            f"prior, and so is the interval for a new {dim}. From {_LEAST_GROUPS} on the runs have a say."
        )
        yield Finding("few-groups", "note", message)


def _floor_share(posterior: "xr.DataTree", law: Law | None) -> float | None:
    floors = [k for k, kind in law.parameters.items() if kind.name == "irreducible"] if law else ["E"]
    values = posterior["posterior"].to_dataset()
    known = [name for name in floors if name in values]
    observed = posterior["observed_data"].to_dataset() if "observed_data" in posterior.children else {}
    if not known or "value" not in observed:
        return None
    least = float(observed["value"].min())
    if not least > 0:
        return None
    return max(float((values[name] < _NEAR_ZERO * least).mean()) for name in known)


def _near_zero(share: float) -> Finding:
    message = (
        f"the floor lies below {_NEAR_ZERO:.0%} of the least observed value in {share:.0%} of draws: the "
        "runs do not show a floor. How far losses fall at much larger scales is then led by the prior; "
        "add larger runs, or give the floor a prior you can defend."
    )
    return Finding("floor-near-zero", "warning", message)


def _headline(findings: list[Finding], table: "pd.DataFrame", drawn: Scalars, law: Law | None) -> str:
    led = [f.message.partition(":")[0] for f in findings if f.code == "prior-led" and f.severity != "note"]
    if led:
        mend = "Say so beside their intervals, give priors you can defend, or add runs."
        return f"Led by their priors, at least in part: {listed(led)}. {mend}"
    if any(f.severity != "note" for f in findings):
        return "The runs shrank the prior of each parameter of the law; yet:"
    mine = [law is None or letter_of(name) in law.parameters for name in drawn.names]
    shrank = table.loc[mine, "contraction"].dropna()
    if shrank.empty:
        return "What the runs tell cannot be said."
    least = f"the least is {shrank.idxmin()}, whose prior SD shrank by {shrank.min():.0%}"
    return f"The runs tell every parameter; {least}."
