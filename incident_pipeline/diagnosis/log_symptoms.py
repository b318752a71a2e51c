# ruff: noqa: E501  (the tables of patterns read best with one pattern a line)
"""Which log patterns are new, more frequent or tell of a cause since the onset.

Belongs here: counting patterns before and since the onset, and how telling each is.
Does not belong here: mining the patterns (`templates`), or what they mean (`log_analysis`).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from incident_pipeline.diagnosis.log_levels import severity
from incident_pipeline.diagnosis.templates import mine
from incident_pipeline.models import LogEntry, LogPattern

MAX_LINES = 200_000
MAX_PATTERNS = 60
SHORT = 45.0
NOTHING_KNOWN = 0.35
"""Novelty of every pattern where the log begins (almost) with the onset, in seconds."""
EARLY = timedelta(minutes=20)
"""A pattern that first shows this long before the onset may be its forerunner."""

_TELLING = re.compile(
    r"panic|fatal error|concurrent map|out of memory|oom-?kill|certificate|x509|connection refused|no such host|no space left|"
    r"read-only file system|deadlock|too many (open files|connections)|pool exhausted|stack ?overflow|segfault|sigsegv|"
    r"provisionedthroughput|rate exceeded|quota|permission denied|access denied|corrupt|null ?pointer|nil pointer|"
    r"undefined is not|no such (table|column|file)|unknown (column|host)|evict|crashloop|exhausted|pressure|throttl",
)
"""Looked for in lower case: without regard to case the search takes several times as long."""
_SEVERITY_WEIGHT = (0.1, 0.3, 0.65, 0.85, 1.0)


@dataclass
class _Group:
    service: str | None
    template: str
    entries: list[LogEntry] = field(default_factory=list)
    severity: int = 0


def log_symptoms(
    logs: Sequence[LogEntry], onset: datetime, focus: Sequence[str] = (), origins: Iterable[str] = ()
) -> tuple[LogPattern, ...]:
    """The most telling patterns first.

    Args:
        logs: lines in any order; at most the 200,000 nearest to the onset are read.
        onset: when the problem began.
        focus: texts (case-insensitive) that make a line weigh more.
        origins: services that seem to be the origin; their lines weigh a little more.
    """
    near = sorted(logs, key=lambda e: (e.timestamp, e.service or "", e.message, e.level or ""))
    if len(near) > MAX_LINES:
        near = sorted(near, key=lambda e: abs((e.timestamp - onset).total_seconds()))[:MAX_LINES]
    groups: dict[tuple[str | None, str], _Group] = {}
    mined = mine([entry.message for entry in near])
    for entry, index in zip(near, mined.assignment, strict=True):
        template = mined.templates[index]
        group = groups.setdefault((entry.service, template), _Group(entry.service, template))
        group.entries.append(entry)
        group.severity = max(group.severity, severity(entry))
    times = [entry.timestamp for entry in near]
    seconds = _observed(times, onset)
    wanted = [text.lower() for text in focus]
    leading = set(origins)
    found = [_pattern(group, onset, seconds, wanted, leading) for group in groups.values()]
    telling = [p for p in found if p is not None and p.score > 0.05]
    return tuple(sorted(telling, key=lambda p: (-p.score, -p.count, p.first_seen, p.pattern_id))[:MAX_PATTERNS])


def _observed(times: Sequence[datetime], onset: datetime) -> tuple[float, float]:
    """Seconds of log before and since the onset."""
    if not times:
        return 0.0, 0.0
    first, last = min(times), max(times)
    return max((onset - first).total_seconds(), 0.0), max((last - onset).total_seconds(), 60.0)


def _pattern(
    group: _Group, onset: datetime, seconds: tuple[float, float], focus: Sequence[str], leading: set[str]
) -> LogPattern | None:
    since = [e for e in group.entries if e.timestamp >= onset]
    early = [e for e in group.entries if onset - EARLY <= e.timestamp < onset]
    before = len(group.entries) - len(since) - len(early)
    recent = since or early
    if not recent:
        return None
    example = min(recent, key=lambda e: (e.timestamp, e.message))
    score = _novelty(len(since), len(early), before, seconds) * _SEVERITY_WEIGHT[group.severity]
    text = example.message.lower()
    if score > 0.1:
        score += 0.15 * bool(_TELLING.search(text)) + 0.1 * any(word in text for word in focus)
        score += 0.05 * (group.service in leading)
    times = [e.timestamp for e in group.entries if e.timestamp >= onset - EARLY]
    return LogPattern(
        pattern_id="p" + hashlib.sha256(f"{group.service}\n{group.template}".encode()).hexdigest()[:8],
        template=group.template[:500],
        service=group.service,
        level=example.level,
        count=len(since) if since else len(early),
        count_before=before if since else 0,
        first_seen=min(times) if before == 0 else example.timestamp,
        last_seen=max(times),
        example=example.message[:2000],
        score=round(min(score, 1.0), 4),
    )


def _novelty(since: int, early: int, before: int, seconds: tuple[float, float]) -> float:
    """1 for what comes ten times as often as it may have come before, 0 for what comes no more often.

    A pattern that was not seen before may have been missed: it counts as seen once, so that a short look back proves little.
    Lines shortly before the onset are its forerunners where the log reaches back much further, else part of the usual.
    """
    known, now = seconds
    if known < SHORT:
        return NOTHING_KNOWN
    if known > 1.5 * EARLY.total_seconds():
        recent, usual, past, span = since + early, before, known - EARLY.total_seconds(), now + EARLY.total_seconds()
        recent, span = (since, now) if since >= early else (recent, span)
    else:
        recent, usual, past, span = since, before + early, known, now
    rate_before = (usual + 1.0) / max(past, 60.0)
    return min(max(math.log10(max(recent / span / rate_before, 1e-9)), 0.0), 1.0)


def errors_by_service(patterns: Iterable[LogPattern]) -> dict[str, dict[str, float]]:
    """`log_errors` for each service: its most telling pattern, a little more for every further one."""
    scores: dict[str, list[float]] = defaultdict(list)
    for pattern in patterns:
        if pattern.service:
            scores[pattern.service].append(pattern.score)
    return {
        service: {"log_errors": max(own) + 0.05 * math.log1p(len(own) - 1)} for service, own in sorted(scores.items())
    }
