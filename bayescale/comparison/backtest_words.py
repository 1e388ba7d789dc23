"""What is to be said of a backtest: refits that failed or ask for care, and scores of few rows."""

import warnings
from collections import Counter
from collections.abc import Sequence

from bayescale.comparison.refits import Failure, Refit
from bayescale.comparison.splits import Split
from bayescale.errors import BayescaleWarning
from bayescale.runs.findings import Finding, listed

__all__ = ["all_failed", "of_refits", "on_size", "say", "say_damaged", "unpooled"]

_FEW = 10  # held-back rows below which a coverage says little
_NAMED = 5


def of_refits(splits: Sequence[Split], found: Sequence[Refit | Failure]) -> list[Finding]:
    """Failed, stopped and doubtful refits by name, and how many have which finding."""
    named = list(zip(splits, found, strict=True))
    findings = []
    failed = [
        f"{split.name}: {_first_line(o.message)}"
        for split, o in named
        if isinstance(o, Failure) and o.status == "failed"
    ]
    if failed:
        told = "; ".join(failed[:_NAMED]) + ("; …" if len(failed) > _NAMED else "")
        message = f"{len(failed)} of {len(named)} refits failed and are in no score. {told}"
        findings.append(Finding("failed-refits", "warning", message))
    stopped = sum(isinstance(o, Failure) and o.status == "interrupted" for o in found)
    if stopped:
        message = (
            f"interrupted: {stopped} of {len(named)} refits were not finished and are in no score. With "
            "resume='folder' the same call goes on from those that are."
        )
        findings.append(Finding("interrupted", "warning", message))
    unsound = [split.name for split, o in named if isinstance(o, Refit) and o.status == "unsound"]
    if unsound:
        told = ", ".join(unsound[:_NAMED]) + (", …" if len(unsound) > _NAMED else "")
        message = (
            f"{len(unsound)} of {len(named)} refits have not converged, and their rows are scored all the "
            f"same: {told}. Give more draws or another engine, or leave them out of what you conclude."
        )
        findings.append(Finding("unsound-refits", "warning", message))
    return findings + (_counted(found) if len(named) > 1 else [])


def on_size(n_test: int, prob: float) -> list[Finding]:
    """Whether rows held back are too few for a coverage."""
    if n_test >= _FEW:
        return []
    message = (
        f"only {n_test} row{' is' if n_test == 1 else 's are'} held back: with so few, the share inside a "
        f"{prob:.0%} interval says little. Move the bound so that more are."
    )
    return [Finding("few-held-back", "warning", message)]


def unpooled(factor: str) -> Finding:
    """What it means to predict a new group without pooling."""
    message = (
        f"pool=None: one law for every {factor}, so a new {factor} is foretold as if it were one of those "
        "fitted, and the intervals know nothing of how much they differ. Leave pool out to pool over "
        f"{factor}."
    )
    return Finding("unpooled", "warning", message)


def all_failed(splits: Sequence[Split], found: Sequence[Refit | Failure]) -> str:
    """Message where no refit came to anything."""
    told = [(split, o) for split, o in zip(splits, found, strict=True) if isinstance(o, Failure)]
    messages = {o.message for _, o in told}
    if len(messages) == 1:
        return f"none of the {len(told)} refits came to anything: {messages.pop()}"
    heading = f"none of the {len(told)} refits came to anything:"
    return listed(heading, [f"{split.name}: {o.message}" for split, o in told])


def say(findings: Sequence[Finding]) -> None:
    """Warn once of all that is more than a note."""
    heard = [finding.message for finding in findings if finding.severity == "warning"]
    if heard:
        told = "\n".join(["this backtest asks for care:", *(f"- {message}" for message in heard)])
        warnings.warn(told, BayescaleWarning, stacklevel=3)


def say_damaged(damaged: Sequence[str]) -> None:
    """Warn of kept refits that cannot be read and are made anew."""
    if damaged:
        heading = f"{len(damaged)} kept refits are damaged and are made anew:"
        warnings.warn(listed(heading, damaged), BayescaleWarning, stacklevel=5)


def _counted(found: Sequence[Refit | Failure]) -> list[Finding]:
    """How many refits have which warning."""
    refits = [o for o in found if isinstance(o, Refit)]
    codes = Counter(
        code for o in refits for code in {f["code"] for f in o.findings if f["severity"] == "warning"}
    )
    if not codes:
        return []
    told = ", ".join(f"{code} in {count}" for code, count in codes.most_common(8))
    with_any = sum(o.status != "ok" for o in refits)
    message = f"{with_any} of {len(refits)} refits ask for care ({told}); split_findings has their words."
    return [Finding("refits-ask-for-care", "warning", message)]


def _first_line(message: str) -> str:
    return " ".join(message.split())[:300]
