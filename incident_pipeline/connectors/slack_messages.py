"""Which messages of a channel are alerts, and what they say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from incident_pipeline.connectors.shapes import at, items
from incident_pipeline.errors import InputError
from incident_pipeline.intake.alert_fields import one_line, severity_of, text_of
from incident_pipeline.models import Alert, AlertStatus, Severity
from incident_pipeline.moments import parse_moment

MARK = "incident_pipeline"
"""The type of the metadata of our own messages, and how the id of their first block begins."""
_SKIPPED = frozenset(
    {"message_changed", "message_deleted", "channel_join", "channel_leave", "channel_topic", "pinned_item"}
)
_SEVERITY = re.compile(r"\b(p[0-5]|sev[- ]?[0-5]|critical|high|warning)\b", re.IGNORECASE)
_TELLING = re.compile(
    r"\b(alert|firing|fired|outage|incident|down|failing|failed|failure|errors?|5\d\d|timeouts?|latency|degraded|"
    r"unavailable|unreachable|triggered|breach|exceed(s|ed)?|page|p[0-3]|sev[- ]?[0-3]|critical)\b|🚨|🔥|"
    r":rotating_light:|:fire:|:alert:|:red_circle:|:warning:",
    re.IGNORECASE,
)
_RESOLVED = re.compile(
    r"^\W*(:white_check_mark:|✅|:large_green_circle:)?\W*(resolved|recovered|all clear|fixed)\b", re.IGNORECASE
)
_SERVICE = re.compile(r"\bservice\b\s*[:=]\*?\s*[`*\"]?([A-Za-z0-9][\w./-]*)", re.IGNORECASE)
_ENVIRONMENT = re.compile(r"\b(?:env|environment)\b\s*[:=]\*?\s*[`*\"]?([A-Za-z][\w-]*)", re.IGNORECASE)
_MENTION = re.compile(r"<([^<>|]*)\|?([^<>]*)>")


def is_ours(message: Mapping[str, Any]) -> bool:
    """Whether this program posted it: what it says of an incident must never become another one.

    Two marks, since Slack hands out metadata only where it is asked for, and blocks only where they were taken.
    """
    marks = [str(at(block, "block_id") or "") for block in items(message.get("blocks"))]
    return at(message, "metadata", "event_type") == MARK or any(mark.startswith(MARK) for mark in marks)


def alert_from_message(message: Mapping[str, Any], channel: str, received_at: datetime | None = None) -> Alert | None:
    """An alert, where the message tells of something wrong; None for talk, joins, edits and our own messages.

    Raises:
        ValueError: its `ts` is missing.
    """
    if message.get("subtype") in _SKIPPED or is_ours(message):
        return None
    text = plain_text(message)
    resolved = _RESOLVED.search(text) is not None
    thread = message.get("thread_ts")
    if not text or not (resolved or (_TELLING.search(text) and thread in (None, message.get("ts")))):
        return None
    ts = str(message["ts"])
    moment = parse_moment(ts)
    word = _SEVERITY.search(text)
    service, environment = _SERVICE.search(text), _ENVIRONMENT.search(text)
    title, _, rest = text.partition("\n")
    return Alert(
        source="slack",
        source_id=f"{channel}:{ts}",
        dedup_key=f"{channel}:{thread or ts}",
        title=one_line(title) or "message without text",
        summary=text_of(rest, 10_000) or "",
        severity=(severity_of(word[1]) if word else None) or Severity.P3,
        status=AlertStatus.RESOLVED if resolved else AlertStatus.TRIGGERED,
        service=service[1] if service else None,
        environment=environment[1] if environment else None,
        labels={name: value for name, value in _labels(message, channel, word).items() if value},
        started_at=moment,
        received_at=received_at,
        resolved_at=moment if resolved else None,
        raw=dict(message),
    )


def alerts_from_event(body: Any, *, received_at: datetime | None = None) -> list[Alert]:
    """Read a body of the Events API: the alert in a new message, if it is one.

    Raises:
        InputError: it is no event.
    """
    event = at(body, "event")
    if not isinstance(event, Mapping):
        raise InputError("event: expected a body of Slack's Events API")
    channel = one_line(event.get("channel"))
    if event.get("type") != "message" or channel is None:
        return []
    try:
        alert = alert_from_message(event, channel, received_at)
    except (ValueError, KeyError) as error:
        raise InputError(f"event.ts: {error}") from error
    return [alert] if alert else []


def challenge(body: Any) -> str | None:
    """What a `url_verification` request wants to be answered with; None for any other."""
    return one_line(at(body, "challenge")) if at(body, "type") == "url_verification" else None


def plain_text(message: Mapping[str, Any]) -> str:
    """The message as people read it: text, blocks and attachments, without Slack's own marks."""
    parts = [message.get("text")]
    for attachment in items(message.get("attachments")):
        parts += [at(attachment, "title"), at(attachment, "text")]
        parts += [f"{at(f, 'title')}: {at(f, 'value')}" for f in items(at(attachment, "fields"))]
        if not at(attachment, "title") and not at(attachment, "text"):
            parts.append(at(attachment, "fallback"))
    for block in items(message.get("blocks")):
        if not message.get("text"):
            parts.append(at(block, "text", "text"))
        parts += [at(field, "text") for field in items(at(block, "fields"))]
    text = "\n".join(str(part) for part in parts if part and not isinstance(part, dict | list))
    text = _MENTION.sub(lambda found: found[2] or found[1], text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()


def _labels(message: Mapping[str, Any], channel: str, word: re.Match[str] | None) -> dict[str, str | None]:
    return {
        "channel": channel,
        "severity": word[1] if word else None,
        "user": one_line(message.get("user") or message.get("username") or message.get("bot_id")),
    }
