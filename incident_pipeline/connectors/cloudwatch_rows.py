"""CloudWatch's answers as the words of the domain, and what its failures mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from incident_pipeline.connectors.answers import TRANSIENT, Answer, usual_message
from incident_pipeline.connectors.shapes import at
from incident_pipeline.incident_folder.rows import LEVELS, level_of
from incident_pipeline.intake.alert_fields import one_line
from incident_pipeline.json_text import clean, loads
from incident_pipeline.models import LogEntry, MetricSeries
from incident_pipeline.moments import parse_moment

_THROTTLED = ("Throttling", "TooManyRequests", "LimitExceeded", "ServiceUnavailable", "RequestLimitExceeded")
_LEVEL = re.compile(r"[\"']?(?:level|severity)[\"']?\s*[=:]\s*[\"']?([A-Za-z]+)|\b([A-Z]{4,8})\b")


def metric_series(result: Mapping[str, Any], name: str, service: str | None, source: str) -> MetricSeries | None:
    """One result; what it is called stays as a label where it says more than the query's name."""
    points = sorted(
        (parse_moment(moment).timestamp(), float(value))
        for moment, value in zip(result["Timestamps"], result["Values"], strict=True)
    )
    if not points:
        return None
    label = one_line(result.get("Label"))
    return MetricSeries(
        name=name,
        service=service,
        labels={"label": label} if label and label not in (name, "a") else {},
        source=source,
        timestamps=tuple(moment for moment, _ in points),
        values=tuple(value for _, value in points),
    )


def log_entry(event: Mapping[str, Any], group: str) -> LogEntry:
    """One event; a line of JSON tells its own level, message and service."""
    text = clean(str(event["message"])).rstrip("\n")
    fields: Any = None
    if text.lstrip().startswith("{"):
        try:
            fields = loads(text)
        except ValueError:
            fields = None
    word = at(fields, "level") or at(fields, "severity") or _level_in(text)
    return LogEntry(
        timestamp=parse_moment(event["timestamp"]),
        service=one_line(at(fields, "service")),
        level=level_of(word),
        message=str(at(fields, "message") or at(fields, "msg") or text),
        attributes={
            "id": str(event.get("eventId") or (event["timestamp"], text)),
            "log_group": group,
            **({"log_stream": stream} if (stream := one_line(event.get("logStreamName"))) else {}),
        },
    )


def is_transient(answer: Answer) -> bool:
    """Whether the failure passes: limits come as 400 with the name of an exception."""
    kind = _kind(answer)
    return answer.status in TRANSIENT or any(word in kind for word in _THROTTLED)


def message(answer: Answer) -> str:
    """The exception's name and words."""
    return ": ".join(part for part in (_kind(answer), usual_message(answer) or _capital_message(answer)) if part)


def escaped(text: str) -> str:
    """The text as it stands within double quotes of a pattern or a query."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _kind(answer: Answer) -> str:
    try:
        return str(at(loads(answer.body), "__type") or "").rpartition("#")[2]
    except ValueError:
        return ""


def _capital_message(answer: Answer) -> str:
    try:
        return str(at(loads(answer.body), "Message") or "")
    except ValueError:
        return ""


def _level_in(text: str) -> str | None:
    words = (match[1] or match[2] for match in _LEVEL.finditer(text[:300]))
    return next((word for word in words if word.lower() in LEVELS), None)
