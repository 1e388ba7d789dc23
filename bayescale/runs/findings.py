"""What was noticed about a table, a design or a posterior, in words a reader can act on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from bayescale.errors import InputError

__all__ = ["Finding", "Judgement", "gravest_first", "listed", "raise_errors"]

_RANK = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Finding:
    """One thing noticed, with the mend in its message.

    Attributes
    ----------
    code : str
        Stable name in kebab case, such as ``duplicate-runs``.
    severity : {"note", "warning", "error"}
        An error stops the work, a warning says that results may mislead, a note informs.
    message : str
        Names the place, the value, what was expected and the mend.
    """

    code: str
    severity: Literal["note", "warning", "error"]
    message: str


class Judgement:
    """What a verdict in words shows of itself; a value with `findings` and a `headline` derives from it."""

    findings: tuple[Finding, ...]
    headline: str

    @property
    def ok(self) -> bool:
        """True if there is neither an error nor a warning."""
        return all(finding.severity == "note" for finding in self.findings)

    def __str__(self) -> str:
        return "\n".join([self.headline, *(f"- {f.severity}: {f.message}" for f in self.findings)])

    def _repr_html_(self) -> str:
        items = "".join(f"<li><b>{f.severity}</b>: {escape(f.message)}</li>" for f in self.findings)
        return f"<p>{escape(self.headline)}</p><ul>{items}</ul>{self._table_html()}"

    def _table_html(self) -> str:
        raise NotImplementedError


def gravest_first(findings: Iterable[Finding]) -> list[Finding]:
    """Errors, then warnings, then notes, each in the order given."""
    return sorted(findings, key=lambda finding: _RANK[finding.severity])


def listed(heading: str, messages: Sequence[str], limit: int = 1900) -> str:
    """A heading and messages below it, one a line; what does not fit in `limit` characters is counted."""
    lines, used = [heading], len(heading)
    for done, message in enumerate(messages):
        if used + len(message) + 60 > limit and done:
            lines.append(f"… and {len(messages) - done} more of the kind.")
            break
        room = limit - 60 - used
        lines.append(f"- {message if len(message) <= room else message[: room - 2] + ' …'}")
        used += len(lines[-1]) + 1
    return "\n".join(lines)


def raise_errors(findings: Iterable[Finding], heading: str, limit: int = 1900) -> None:
    """Raise one `InputError` that carries all errors among `findings`; nothing if there is none.

    Parameters
    ----------
    findings : iterable of Finding
    heading : str
        First line of the message: what was being read.
    limit : int
        Longest message in characters; what does not fit is counted.
    """
    errors = [finding.message for finding in findings if finding.severity == "error"]
    if errors:
        raise InputError(listed(heading, errors, limit))
