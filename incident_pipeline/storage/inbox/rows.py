"""Alerts as rows and rows as alerts.

Belongs here: what of an alert is stored, redacted. Does not belong here: statements.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from incident_pipeline.json_text import clean
from incident_pipeline.models import Alert
from incident_pipeline.storage.inbox.base import moment_of, stamp
from kb.redaction import redact, redact_value

TELL_EVENTS = frozenset({"datadog"})
"""Sources whose alerts say when something happened to them, not when they began."""
MAX_RAW = 65_536
"""Characters of a raw payload that are worth keeping."""


def alert_row(alert: Alert, received_at: datetime) -> dict[str, Any]:
    """The row of one delivery; secrets are gone, the same delivery gives the same `delivery`.

    What the sender says of when it was received does not count.
    """
    started, resolved = stamp(alert.started_at), stamp(alert.resolved_at) if alert.resolved_at else None
    event = (alert.source, alert.source_id, started)
    # without a start of its own, what has the same id in one incident is one alert
    identity = event[:2] if alert.source in TELL_EVENTS else event
    return {
        "delivery": digest(*event, alert.status.value, resolved, alert.severity.value),
        "identity": digest(*identity),
        "source": _text(alert.source),
        "source_id": _text(alert.source_id),
        "dedup_key": _text(alert.dedup_key),
        "title": _text(alert.title),
        "summary": _text(alert.summary),
        "severity": alert.severity.value,
        "status": alert.status.value,
        "service": _text(alert.service) if alert.service else None,
        "environment": _text(alert.environment) if alert.environment else None,
        "labels": json.dumps(redact_value(alert.labels), ensure_ascii=False) if alert.labels else "{}",
        "started_at": started,
        "received_at": stamp(received_at),
        "resolved_at": resolved,
        "url": _text(alert.url) if alert.url else None,
        "raw": _raw(alert.raw),
        "deliveries": 1,
    }


def alert_of(row: Mapping[Any, Any]) -> Alert:
    """The alert that a row holds."""
    return Alert(
        source=row["source"],
        source_id=row["source_id"],
        dedup_key=row["dedup_key"],
        title=row["title"],
        summary=row["summary"],
        severity=row["severity"],
        status=row["status"],
        service=row["service"],
        environment=row["environment"],
        labels=json.loads(row["labels"]),
        started_at=row["started_at"],
        received_at=moment_of(row["received_at"]),
        resolved_at=moment_of(row["resolved_at"]),
        url=row["url"],
        raw=json.loads(row["raw"]) if row["raw"] else None,
    )


def _text(text: str) -> str:
    return clean(redact(text))


def _raw(raw: Mapping[str, Any] | None) -> str | None:
    if raw is None:
        return None
    text = json.dumps(redact_value(raw), ensure_ascii=True, default=str)
    return text if len(text) <= MAX_RAW else json.dumps({"left_out": f"{len(text)} characters"})


def digest(*parts: Any) -> str:
    """A short stable key from what identifies something."""
    text = "\x1f".join("" if part is None else str(part) for part in parts)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
