"""How bad a log line says it is.

Belongs here: reading levels and the words that make a line bad without one. Does not belong here: patterns.
"""

from __future__ import annotations

import re

from incident_pipeline.models import LogEntry

_RANK = {
    "trace": 0, "debug": 0, "verbose": 0, "info": 1, "information": 1, "notice": 1, "normal": 1,
    "warn": 2, "warning": 2, "error": 3, "err": 3, "severe": 3, "fail": 3,
    "fatal": 4, "critical": 4, "crit": 4, "panic": 4, "emergency": 4, "emerg": 4, "alert": 4,
}  # fmt: skip
_WORDS = re.compile(
    r"\b(error|exception|failed|failure|fatal|panic|traceback|refused|timed? ?out|unavailable|denied|oom|killed|"
    r"deadline exceeded|no space left|cannot|unable to)\b",
    re.IGNORECASE,
)


def severity(entry: LogEntry) -> int:
    """0 (debug) to 4 (fatal); a line without a known level is judged by its words."""
    rank = _RANK.get((entry.level or "").strip().lower())
    if rank is not None:
        return rank
    return 3 if _WORDS.search(entry.message[:500]) else 1


def is_bad(entry: LogEntry) -> bool:
    """Whether a line is at least a warning."""
    return severity(entry) >= 2
