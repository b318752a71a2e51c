"""What every source of evidence looks like, so that a new one is one file and one line in the registry.

Belongs here: the question that is asked and the protocol that answers it.
Does not belong here: anything about one vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from pydantic import Field

from incident_pipeline.models import Envelope, EvidenceKind, Model, Window


class Question(Model):
    """What an incident needs to know of one kind of evidence."""

    kind: EvidenceKind
    window: Window
    """Absolute times; a source that pages keeps them."""
    around: datetime
    """When the first alert started."""
    services: tuple[str, ...] = ()
    """The services of the incident; empty: not known, ask for all."""
    environment: str | None = None
    alert_labels: Mapping[str, str] = Field(default_factory=dict)
    limit: int = 1000
    """Rows at most."""
    queries: Mapping[str, str] = Field(default_factory=dict)
    """For metrics: name -> the provider's query."""
    focus_patterns: tuple[str, ...] = ()
    focus_areas: tuple[str, ...] = ()
    projects: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Service -> repositories, applications or jobs of it."""


class Source(Protocol):
    """One outside system that can answer questions about an incident."""

    name: str
    """As in the configuration: `prometheus`, `github-actions`."""
    kinds: frozenset[EvidenceKind]
    """What it can be asked."""

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Answer one question.

        Raises:
            SourceError: it could not; the caller makes it an `unavailable` envelope. Whatever else is raised
                becomes one too, and so does a deadline that passes.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
