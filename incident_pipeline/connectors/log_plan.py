"""Which log lines are worth asking for, when only some can be had.

A thousand lines have to say something: most are complaints from around the alert, some are complaints from before it
(was it always like this?), and a few are whatever was logged, from both times (what does normal look like?).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from incident_pipeline.connectors.base import Question

BEFORE_THE_ALERT = timedelta(minutes=15)
"""An alert comes late; complaints that belong to it begin earlier."""
ERROR_LEVELS = ("error", "fatal", "critical", "emergency", "alert")


@dataclass(frozen=True)
class LogSearch:
    """One search of the plan."""

    name: str
    start: datetime
    end: datetime
    limit: int
    complaints: bool
    """Only lines of the error levels or with one of the focus patterns."""
    newest_first: bool


def counted(name: str, total: int, read: int) -> list[str]:
    """What the server's own count says of one search, where not all of it was read."""
    return [f"{name}: {total} lines by the server's count, {read} of them read"] if total > read else []


def log_plan(question: Question) -> list[LogSearch]:
    """The searches that together give at most `question.limit` lines."""
    split = min(max(question.around - BEFORE_THE_ALERT, question.window.start), question.window.end)
    parts = (
        ("complaints around the alert", split, question.window.end, 0.5, True, False),
        ("complaints before it", question.window.start, split, 0.2, True, True),
        ("anything around the alert", split, question.window.end, 0.2, False, False),
        ("anything before it", question.window.start, split, 0.1, False, True),
    )
    return [
        LogSearch(name, start, end, max(1, math.floor(question.limit * share)), complaints, newest)
        for name, start, end, share, complaints, newest in parts
        if start < end
    ]
