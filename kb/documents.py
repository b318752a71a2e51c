"""What the knowledge base remembers, and what it answers.

Belongs here: the values. Reading files is in `reading.py`, cutting them in `chunking.py`.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

KINDS = ("runbook", "postmortem", "incident", "note")


@dataclass(frozen=True, slots=True)
class Document:
    """One runbook, postmortem, closed incident or note; `text` is Markdown or plain text."""

    id: str
    kind: str
    title: str
    text: str
    source: str = ""
    """Where it came from: a path, a URL, a repository."""
    date: datetime | None = None
    services: tuple[str, ...] = ()
    category: str | None = None
    labels: tuple[str, ...] = ()
    """Alert names, severities, tags: words that describe it."""
    commit: str | None = None
    """The commit that last changed it, where it came from a git repository."""
    facts: tuple[tuple[str, str], ...] = ()
    """What a postmortem says of its incident: severity, root_cause, fix, duration, and each open action."""

    def fact(self, name: str) -> str | None:
        """What the document says under a name; None where it says nothing."""
        return next((value for key, value in self.facts if key == name), None)

    @property
    def open_actions(self) -> tuple[str, ...]:
        """Action items that nothing says are done."""
        return tuple(value for key, value in self.facts if key == "open_action")

    @property
    def content_hash(self) -> str:
        """The hash of all that is indexed; an unchanged document costs nothing."""
        parts = (self.kind, self.title, self.text, self.source, str(self.date), *self.services, "|", *self.labels)
        facts = (f"{name}={value}" for name, value in self.facts)
        joined = "\x00".join((*parts, self.category or "", self.commit or "", *facts))
        return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One document that was found, best first."""

    id: str
    kind: str
    title: str
    score: float
    """Comparable within one search only."""
    probability: float
    """The calibrated chance that it is relevant, 0 to 1."""
    snippet: str
    heading: str
    source: str
    date: datetime | None
    why: tuple[str, ...] = field(default=())
    """Sentences for a person: which words, which name, which meaning."""
    line: int = 1
    """The line of the document at which the snippet's chunk starts."""

    def as_json(self) -> dict[str, Any]:
        """The record that `kb search --json` prints."""
        return {**asdict(self), "date": self.date.date().isoformat() if self.date else None, "why": list(self.why)}


def as_utc(value: Any) -> datetime | None:
    """A moment from an ISO text, a date, a datetime or seconds since 1970; None where it is none."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, bool) or value is None:
        return None
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, tz=UTC)
        return as_utc(datetime.fromisoformat(str(value).strip()))
    except (ValueError, OverflowError, OSError):
        return None
