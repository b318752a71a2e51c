"""What webhooks have brought, as a source of evidence beside the systems that are asked.

Belongs here: answering a question from what the inbox keeps, and leaving out what a system that was asked has told as
well. It is no source for a kind of which no webhook ever brought anything: silence of a webhook that nobody set up is
no evidence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from incident_pipeline.connectors.base import Question
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.evidence.focus_areas import with_focus_areas
from incident_pipeline.models import CodeChange, Deployment, Envelope, EnvelopeStatus, EvidenceKind

NAME = "webhooks"
EARLIER = timedelta(days=30)
"""How far back the version before is looked for."""


class ChangeStore(Protocol):
    """What is needed of the inbox."""

    def changes_between(self, kind: EvidenceKind, start: datetime, end: datetime) -> list[Any]:
        """The rows of a span of time, oldest first."""
        ...


class ReceivedSource:
    """Deployments and code changes that were sent to the receiver."""

    def __init__(self, store: ChangeStore, kinds: Iterable[EvidenceKind]) -> None:
        self.name = NAME
        self.kinds = frozenset(kinds)
        self._store = store

    async def fetch(self, question: Question) -> Envelope[Any]:
        """The rows of the window, of all services, newest first: the cause may be a neighbour's release."""
        start, end = question.window.start, question.window.end
        earlier = EARLIER if question.kind is EvidenceKind.DEPLOYMENTS else timedelta(0)
        rows = await asyncio.to_thread(self._store.changes_between, question.kind, start - earlier, end)
        within: list[Any]
        if question.kind is EvidenceKind.DEPLOYMENTS:
            within = [row for row in with_previous(rows) if row.at is None or row.at >= start]
        else:
            within = list(with_focus_areas(rows, question.focus_areas))
        wanted = set(question.services)
        within.reverse()
        within.sort(key=lambda row: row.service not in wanted)
        return answered(
            question.kind,
            self.name,
            within[: question.limit],
            window=question.window,
            query="what webhooks brought",
            truncated=len(within) > question.limit,
        )

    async def close(self) -> None:
        """The inbox is its owner's."""


def with_previous(rows: Sequence[Deployment]) -> list[Deployment]:
    """The deployments, oldest first, each with the version that was there before it."""
    told: list[Deployment] = []
    standing: dict[tuple[str | None, str | None], str] = {}
    for row in rows:
        place = (row.service, row.environment)
        before = standing.get(place)
        if row.previous_version is None and before is not None and before != row.version:
            row = row.model_copy(update={"previous_version": before})
        told.append(row)
        if row.status == "success" and row.version:
            standing[place] = row.version
    return told


def without_repeated(envelopes: Sequence[Envelope[Any]]) -> list[Envelope[Any]]:
    """The envelopes of one kind; a row that a system has told when asked is not told again by its webhook."""
    known = {key for one in envelopes if one.source != NAME for row in one.rows for key in _keys(row)}
    return [_without(one, known) if one.source == NAME and known else one for one in envelopes]


def _without(envelope: Envelope[Any], known: set[tuple[str, str]]) -> Envelope[Any]:
    rows = tuple(row for row in envelope.rows if not known.intersection(_keys(row)))
    status = EnvelopeStatus.OK if rows else EnvelopeStatus.EMPTY
    return envelope.model_copy(update={"rows": rows, "status": status})


def _keys(row: Any) -> list[tuple[str, str]]:
    if isinstance(row, Deployment):
        return [(row.source or "", row.id)]
    return [("sha", row.sha)] if isinstance(row, CodeChange) else []
