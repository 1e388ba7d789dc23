"""What is to be said of a comparison of studies."""

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescale.comparison.left_out import LeftOut
from bayescale.comparison.loo import KHAT_BAD
from bayescale.errors import BayescaleWarning
from bayescale.runs.findings import Finding, listed

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "inside_the_range",
    "of_differences",
    "of_draws",
    "of_drift",
    "of_evidence",
    "of_future",
    "of_groups",
    "of_khat",
    "of_refitted",
    "of_weights",
    "say",
]

_SMALL = 4.0  # nats: differences below it are within the error of the estimate (Sivula et al. 2025)
_FEW_ROWS = 100  # below it the standard errors themselves are uncertain (same source)
_FEW_GROUPS = 10
_ONE_WAY = 2.6  # standard deviations of the mean miss: one sound law in a hundred goes beyond
_ROUGH = 0.5  # nats

type Records = Mapping[str, Mapping[str, Any]]


def say(findings: Sequence[Finding]) -> None:
    """Warn once of all that is more than a note."""
    heard = [finding.message for finding in findings if finding.severity == "warning"]
    if heard:
        warnings.warn(listed("this comparison asks for care:", heard), BayescaleWarning, stacklevel=3)


def of_draws(records: Records) -> list[Finding]:
    """Studies whose own draws were found wanting."""
    unsound = [
        name
        for name, record in records.items()
        if record.get("partial") or any(f["severity"] == "error" for f in record.get("findings", ()))
    ]
    if not unsound:
        return []
    return [
        Finding(
            "unsound-draws",
            "warning",
            f"the draws of {', '.join(map(repr, unsound))} are partial or have not converged, and their "
            "place in the ranking may be due to that alone. Fit again with more draws.",
        )
    ]


def of_drift(records: Records, severity: Any = "note") -> list[Finding]:
    """Studies whose law may drift: the drift takes up what the law lacks."""
    drifting = [name for name, record in records.items() if record.get("drift")]
    if not drifting:
        return []
    others = [name for name in records if name not in drifting]
    beside = (
        f" {', '.join(map(repr, others[:6]))} do{'es' if len(others) == 1 else ''} not drift, so that a "
        "law with a drift stands against one without."
        if others
        else ""
    )
    return [
        Finding(
            "drift",
            severity,
            f"{', '.join(map(repr, drifting[:6]))}{', …' if len(drifting) > 6 else ''} may drift, and a "
            "drift takes up much of what a law gets wrong: differences are smaller than between the "
            f"laws.{beside} Fit with discrepancy=None to set the laws themselves side by side.",
        )
    ]


def of_khat(table: "xr.Dataset") -> list[Finding]:
    """Rows whose importance weights are led by a few draws."""
    findings = []
    refitted = table["refitted"] if "refitted" in table else table["khat"] < -np.inf
    for name in table["model"].values:
        khat = table["khat"].where(~refitted, -np.inf).sel(model=name).values
        bad = np.flatnonzero(khat > KHAT_BAD)
        bad = bad[np.argsort(-khat[bad])]
        if not bad.size:
            continue
        runs = ", ".join(f"{str(table['run'].values[i])[:40]} ({khat[i]:.2f})" for i in bad[:5])
        done = int(refitted.sel(model=name).sum())
        mend = (
            f"The {done} worst were fitted again without them, which is the most that is done for one study; "
            "these were not."
            if done
            else "Fit again without each of them: compare(..., refit=True)."
        )
        findings.append(
            Finding(
                "high-khat",
                "warning",
                f"{str(name)!r}: the density of {bad.size} of {khat.size} runs cannot be trusted, k-hat "
                f"above {KHAT_BAD}: {runs}{', …' if bad.size > 5 else ''}. These runs move the fit by "
                f"themselves, and the score flatters it. {mend} Look at them; use noise='student_t'.",
            )
        )
    return findings


def of_refitted(name: str, runs: Sequence[str], exact: LeftOut) -> list[Finding]:
    """Rows that were left out by refits, and how well that went."""
    told = ", ".join(str(run)[:40] for run in runs[:5]) + (", …" if len(runs) > 5 else "")
    findings = [
        Finding(
            "refitted-rows",
            "note",
            f"{name!r}: {len(runs)} run{'s' if len(runs) > 1 else ''} with k-hat above {KHAT_BAD} had "
            f"{'their' if len(runs) > 1 else 'its'} density from a refit without "
            f"{'each of them' if len(runs) > 1 else 'it'}: {told}.",
        )
    ]
    return findings + _of_refits(name, [str(runs[i]) for i in exact.unsound], exact.total_error)


def of_groups(by: str, names: Sequence[str], found: Mapping[str, LeftOut]) -> list[Finding]:
    """How well groups were left out."""
    findings = []
    for name, exact in found.items():
        findings += _of_refits(name, [names[i] for i in exact.unsound], exact.total_error)
    if len(names) < _FEW_GROUPS:
        findings.append(
            Finding(
                "few-groups",
                "note",
                f"{len(names)} groups of {by!r}: with fewer than {_FEW_GROUPS} the standard errors of "
                "differences are themselves uncertain, and usually too small.",
            )
        )
    return findings


def of_future(table: "xr.Dataset", found: Mapping[str, "xr.Dataset"]) -> list[Finding]:
    """What was held back, and laws that miss it one way."""
    rows = table.sizes["run"]
    farthest = float(table["decades"].max())
    findings = [
        Finding(
            "held-back",
            "note",
            f"fitted {table.attrs['split']}, scored on the {rows} larger runs, up to 10^{farthest:.1f} "
            "times that far. One cut only: for many, and for coverage, bayescale.backtest. Runs of one "
            "fit share its error, which their standard error does not know.",
        )
    ]
    for name in map(str, table["model"].values):
        own = table.sel(model=name)
        z = float(own["bias_z"])
        if abs(z) > _ONE_WAY:
            way = "above" if z > 0 else "below"
            share = float((np.sign(own["z"]) == np.sign(z)).mean())
            findings.append(
                Finding(
                    "one-way",
                    "warning",
                    f"{name!r} misses the larger runs one way: {share:.0%} of them lie {way} its median, "
                    f"their mean by {abs(z):.1f} standard deviations of what it foretells. Neither its "
                    "form nor its intervals can be relied upon beyond the runs that it was fitted to, "
                    "whatever it scores among them.",
                )
            )
        unsound = [f for f in json.loads(found[name].attrs["findings"]) if f["severity"] == "error"]
        if unsound:
            findings += _of_refits(name, ["of the smaller runs"], 0.0)
    return findings


def of_evidence(table: "xr.Dataset", found: Mapping[str, "xr.Dataset"]) -> list[Finding]:
    """What the single evidences lack, and what the priors could do to their differences."""
    findings = []
    for name, own in found.items():
        for told in json.loads(own.attrs["findings"]):
            if told["code"] in ("rough", "halves-differ"):
                findings.append(Finding(told["code"], "warning", f"{name!r}: {told['message']}"))
    cost = -float(table["by_prior"].isel(model=0).sum())  # missing ones count nothing
    lead, names = -table["elpd_diff"].values, table["model"].values
    turned = [i for i in range(1, lead.size) if lead[i] >= _SMALL > lead[i] - cost]
    if turned:
        told = ", ".join(f"{str(names[i])!r} by {lead[i]:.1f}" for i in turned[:5])
        findings.append(
            Finding(
                "priors-decide",
                "warning",
                f"the priors could decide it: {str(names[0])!r} leads {told}, and would lose about "
                f"{cost:.1f} nats if the scales of all its priors were doubled. State priors that you "
                "would defend; by_prior tells what each does.",
            )
        )
    findings.append(
        Finding(
            "priors",
            "note",
            "evidence hangs on the priors, however many runs there are: by_prior holds the change of each "
            "log evidence if the scale of one prior were doubled (about -0.7 for each parameter that the "
            f"runs determine); doubling all would take about {cost:.1f} nats from {str(names[0])!r}.",
        )
    )
    findings.append(
        Finding(
            "weights",
            "note",
            "weight is the probability of each study if all were thought equally likely beforehand and "
            "one of them were true; none is quite. The standard errors are of the computation only.",
        )
    )
    return findings


def of_differences(table: "xr.Dataset", few: bool = True) -> list[Finding]:
    """Differences that settle nothing; `few` if standard errors come from the scatter between rows."""
    best, *others = (str(name) for name in table["model"].values)
    behind = {
        name: (-float(table["elpd_diff"].sel(model=name)), float(table["diff_se"].sel(model=name)))
        for name in others
    }
    close = {name: (diff, se) for name, (diff, se) in behind.items() if diff < max(_SMALL, 2 * se)}
    findings = []
    if close:
        told = ", ".join(
            f"{name!r} by {diff:.1f} (standard error {f'{se:.1f}' if se >= 0.05 else f'{se:.1g}'})"
            for name, (diff, se) in list(close.items())[:6]
        )
        findings.append(
            Finding(
                "not-settled",
                "warning",
                f"the runs do not settle it: {best!r} leads {told}{', …' if len(close) > 6 else ''}, and a "
                f"lead counts from {_SMALL:.0f} nats and two standard errors. Keep these laws side by side, "
                "or use their weights; runs at other scales would tell them apart.",
            )
        )
    if few and table.sizes.get("run", _FEW_ROWS) < _FEW_ROWS:
        findings.append(
            Finding(
                "few-rows",
                "note",
                f"with {table.sizes['run']} rows (fewer than {_FEW_ROWS}) the standard errors of differences "
                "are themselves uncertain, and usually too small.",
            )
        )
    return findings


def of_weights() -> list[Finding]:
    """What stacking weights are."""
    return [
        Finding(
            "weights",
            "note",
            "weight is the share of each study in the mixture that predicts best. It is no probability that "
            "a law is true: of two laws that predict alike, one may get nothing.",
        )
    ]


def inside_the_range() -> list[Finding]:
    """What leaving single rows out cannot tell."""
    return [
        Finding(
            "inside-the-range",
            "note",
            "each run was judged by runs all around it: this ranks the laws within the range of the runs and "
            "says nothing of extrapolation. For that, fit below and score above: compare(..., "
            "criterion='future'), or bayescale.backtest.",
        )
    ]


def _of_refits(name: str, unsound: Sequence[str], error: float) -> list[Finding]:
    findings = []
    if unsound:
        told = ", ".join(run[:40] for run in unsound[:5]) + (", …" if len(unsound) > 5 else "")
        findings.append(
            Finding(
                "unsound-refits",
                "warning",
                f"{name!r}: {len(unsound)} refits have not converged ({told}), and their densities may be "
                "off. Fit the study again with more draws, draws=2000; its refits take as many.",
            )
        )
    if error > _ROUGH:
        findings.append(
            Finding(
                "rough-refits",
                "warning",
                f"{name!r}: what was left out by refits has a Monte Carlo error of {error:.2f} nats in "
                "all. More draws in the study make it smaller.",
            )
        )
    return findings
