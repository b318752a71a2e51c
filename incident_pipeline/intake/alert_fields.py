"""Alerts from loose fields: the one place that knows how sources word severity and status.

Belongs here: turning a mapping with the fields of `alerts.json` into an Alert, leniently.
Does not belong here: what one vendor's payload looks like; that is its connector's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from incident_pipeline.json_text import clean
from incident_pipeline.models import Alert, AlertStatus, Severity
from incident_pipeline.moments import parse_moment

MAX_TITLE = 500
MAX_SUMMARY = 10_000
MAX_LABEL = 2_000

_SEVERITY_WORDS = {
    Severity.P1: "p1 critical page fatal emergency sev0 sev1 p0 1 blocker disaster",
    Severity.P2: "p2 error high major sev2 2",
    Severity.P3: "p3 warning warn medium moderate average sev3 3",
    Severity.P4: "p4 low minor sev4 4",
    Severity.P5: "p5 info none informational information debug notice ok sev5 5",
}
_SEVERITIES = {word: severity for severity, words in _SEVERITY_WORDS.items() for word in words.split()}

_STATUS_WORDS = {
    AlertStatus.TRIGGERED: "triggered firing open active alerting problem critical new warn alert",
    AlertStatus.ACKNOWLEDGED: "acknowledged acked ack",
    AlertStatus.RESOLVED: "resolved ok closed close inactive recovered normal",
}
_STATUSES = {word: status for status, words in _STATUS_WORDS.items() for word in words.split()}

_KNOWN = frozenset(Alert.model_fields)


def severity_of(word: Any) -> Severity | None:
    """The severity that a source's word stands for; None where the word is not known."""
    return _SEVERITIES.get(str(word).strip().lower().replace("-", "").replace(" ", ""))


def status_of(word: Any) -> AlertStatus | None:
    """The status that a source's word stands for; None where the word is not known."""
    return _STATUSES.get(str(word).strip().lower())


def text_of(value: Any, limit: int = MAX_LABEL) -> str | None:
    """A scalar, list or mapping as clean text, cut at the limit; None for None and for nothing but blanks."""
    if value is None:
        return None
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    text = clean(str(value)).strip()
    return text[:limit] or None


def one_line(value: Any, limit: int = MAX_TITLE) -> str | None:
    """Like `text_of`, with every run of blanks and line ends as one space."""
    text = text_of(value, limit * 4)
    return " ".join(text.split())[:limit] if text else None


def alert_from_fields(
    fields: Mapping[str, Any],
    *,
    source: str | None = None,
    received_at: datetime | None = None,
    raw: Mapping[str, Any] | None = None,
) -> Alert:
    """Read one alert from the fields of `alerts.json`; what is not a field of it becomes a label.

    Args:
        fields: the alert as loose data.
        source: wins over the field `source`; without both it is `custom`.
        received_at: when it arrived; stands in for a missing `started_at`.
        raw: what the source sent, where that is more than the fields.

    Raises:
        ValueError: a sentence that names the field and what was expected.
    """
    title = one_line(fields.get("title")) or one_line(fields.get("summary"))
    if title is None:
        raise ValueError("title: missing; an alert needs a title of at least one character")
    labels = _labels(fields)
    severity = _severity(fields.get("severity"), labels)
    started_at = _moment(fields, "started_at") or received_at
    if started_at is None:
        raise ValueError("started_at: missing; write when the alert started, such as 2026-11-23T14:35:00Z")
    source = source or one_line(fields.get("source")) or "custom"
    service, environment = one_line(fields.get("service")), one_line(fields.get("environment"))
    dedup_key = one_line(fields.get("dedup_key")) or one_line(fields.get("source_id"))
    dedup_key = dedup_key or digest(source, service, environment, title)
    return Alert(
        source=source,
        source_id=one_line(fields.get("source_id")) or dedup_key,
        dedup_key=dedup_key,
        title=title,
        summary=text_of(fields.get("summary"), MAX_SUMMARY) or "",
        severity=severity,
        status=_status(fields),
        service=service,
        environment=environment,
        labels=labels,
        started_at=started_at,
        received_at=_moment(fields, "received_at") or received_at,
        resolved_at=_moment(fields, "resolved_at"),
        url=one_line(fields.get("url"), MAX_LABEL),
        raw=_mapping_or_none(fields.get("raw") if raw is None else raw),
    )


def digest(*parts: Any) -> str:
    """A short stable key from what identifies something."""
    text = "\x1f".join("" if part is None else str(part) for part in parts)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def _severity(word: Any, labels: dict[str, str]) -> Severity:
    if word is None or not str(word).strip():
        return Severity.P3
    severity = severity_of(word)
    if severity is None or str(word) != severity.value:
        labels.setdefault("severity", one_line(word) or "")
    return severity or Severity.P3


def _status(fields: Mapping[str, Any]) -> AlertStatus:
    word = fields.get("status")
    if word is None or not str(word).strip():
        return AlertStatus.RESOLVED if fields.get("resolved_at") else AlertStatus.TRIGGERED
    status = status_of(word)
    if status is None:
        raise ValueError(f"status: {one_line(word, 60)!r} is not one of triggered, acknowledged, resolved")
    return status


def _labels(fields: Mapping[str, Any]) -> dict[str, str]:
    labels = fields.get("labels") or {}
    if not isinstance(labels, Mapping):
        raise ValueError('labels: expected an object of texts, such as {"team": "payments"}')
    loose = {key: value for key, value in fields.items() if key not in _KNOWN}
    texts = {str(key)[:MAX_TITLE]: text_of(value) for key, value in (*loose.items(), *labels.items())}
    return {key: text for key, text in texts.items() if text is not None}


def _moment(fields: Mapping[str, Any], name: str) -> datetime | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    try:
        return parse_moment(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _mapping_or_none(value: Any) -> dict[str, Any] | None:
    return dict(value) if isinstance(value, Mapping) else None
