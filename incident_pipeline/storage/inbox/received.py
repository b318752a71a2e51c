"""Deployments and code changes that webhooks brought: evidence that needs no API key.

Belongs here: keeping them by their ids, and reading those of a window. What a payload looks like is its connector's;
who asks for them is `evidence/received.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from incident_pipeline.connectors.base import Received
from incident_pipeline.models import CodeChange, Deployment, EvidenceKind, Model
from incident_pipeline.storage.database import upsert
from incident_pipeline.storage.inbox.base import InboxBase, batches, count, stamp
from incident_pipeline.storage.inbox.received_schema import received_rows
from kb.redaction import redact_value

KEPT = timedelta(days=90)
"""What came longer ago is dropped when something new comes."""
MOST_ROWS = 5000

_TYPES: dict[EvidenceKind, type[Model]] = {
    EvidenceKind.DEPLOYMENTS: Deployment,
    EvidenceKind.CODE_CHANGES: CodeChange,
}


class ReceivedChanges(InboxBase):
    """The inbox as webhooks of changes see it, and as the evidence does."""

    def accept_changes(self, received: Received, now: datetime) -> int:
        """Keep rows; when this returns they are on disk. The same row again changes nothing, a later state replaces it.

        Returns:
            How many rows there were.

        Raises:
            StoreError: nothing was kept.
        """
        new = {_key(row): row for row in (*received.deployments, *received.changes)}
        if not new:
            return 0
        with self._database.write() as connection:
            known = _known(connection, new)
            rows = [_stored(key, merged(known.get(key), row), now) for key, row in new.items()]
            upsert(connection, received_rows, rows, replace=("at", "row", "received_at"))
            count(connection, "changes_accepted", len(rows))
            connection.execute(received_rows.delete().where(received_rows.c.received_at < stamp(now - KEPT)))
        return len(new)

    def has_changes(self) -> frozenset[EvidenceKind]:
        """The kinds of which anything was ever brought: only they can be asked for."""
        with self._database.read() as connection:
            kinds = connection.execute(sa.select(received_rows.c.kind).distinct()).scalars()
            return frozenset(EvidenceKind(kind) for kind in kinds)

    def changes_between(self, kind: EvidenceKind, start: datetime, end: datetime) -> list[Any]:
        """The rows of a span of time, oldest first, the newest where there are more than a few thousand."""
        table = received_rows.c
        within = (table.kind == kind.value, table.at >= stamp(start), table.at < stamp(end))
        query = sa.select(table.row).where(*within).order_by(table.at.desc()).limit(MOST_ROWS)
        with self._database.read() as connection:
            texts = list(connection.execute(query).scalars())
        return [_TYPES[kind].model_validate_json(text) for text in reversed(texts)]


def merged(known: Any, new: Any) -> Any:
    """What is known of one deployment after one more event; events come twice and out of order.

    One that has ended stays ended; what the later event does not say is kept from the earlier.
    """
    if not isinstance(new, Deployment) or not isinstance(known, Deployment):
        return new
    if known.finished_at and (new.finished_at is None or new.finished_at < known.finished_at):
        known, new = new, known
    kept = {name: value for name, value in known if value is not None and getattr(new, name) is None}
    return new.model_copy(update=kept)


def _key(row: Any) -> tuple[str, str, str]:
    if isinstance(row, Deployment):
        return EvidenceKind.DEPLOYMENTS.value, row.source or "", row.id
    return EvidenceKind.CODE_CHANGES.value, row.repository or "", row.sha


def _known(connection: sa.Connection, keys: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], Any]:
    table = received_rows.c
    found: dict[tuple[str, str, str], Any] = {}
    for some in batches(keys, 200):
        ids = [row_id for _, _, row_id in some]
        for row in connection.execute(received_rows.select().where(table.row_id.in_(ids))).mappings():
            key = (row["kind"], row["source"], row["row_id"])
            found[key] = _TYPES[EvidenceKind(row["kind"])].model_validate_json(row["row"])
    return found


def _stored(key: tuple[str, str, str], row: Any, now: datetime) -> dict[str, Any]:
    at = (row.at if isinstance(row, Deployment) else row.committed_at) or now
    text = json.dumps(redact_value(row.model_dump(mode="json")), ensure_ascii=True)
    return {
        **dict(zip(("kind", "source", "row_id"), key, strict=True)),
        "at": stamp(at),
        "row": text,
        "received_at": stamp(now),
    }
