"""Logs as lines of JSON, each with the incident and the run that it is about.

Belongs here: the form of a line, and what is known about the work that goes on. Does not belong here: what is logged.

A line has `timestamp`, `level`, `logger`, `process` and `message`; `incident_id`, `run_id` and whatever else the caller
gave as `extra`; `error` with the traceback where there is one. Secrets are taken out, as everywhere.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from kb.redaction import redact

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_DAGSTER = ("dagster_meta", "dagster_event")
_ABOUT: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039 - never changed in place


@contextmanager
def about(**fields: str | None) -> Iterator[None]:
    """Everything that is logged while the block runs is about this incident, this run."""
    token = _ABOUT.set(_ABOUT.get() | {name: value for name, value in fields.items() if value})
    try:
        yield
    finally:
        _ABOUT.reset(token)


class JsonLines(logging.Formatter):
    """One line of JSON for each record."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line."""
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self._process,
            **_ABOUT.get(),
            **_of_dagster(record),
            **{name: value for name, value in vars(record).items() if name not in _USUAL and name not in _DAGSTER},
            "message": redact(record.getMessage()),
        }
        if record.exc_info:
            line["error"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def json_handler(process: str) -> logging.Handler:
    """A handler that writes lines of JSON on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(process))
    return handler


def write_json_logs(process: str) -> None:
    """From now on, all that this process logs goes to stderr as JSON: ours from `info` on, others' warnings."""
    logging.basicConfig(handlers=[json_handler(process)], level=logging.WARNING, force=True)
    for package in ("incident_pipeline", "assets", "kb"):
        logging.getLogger(package).setLevel(logging.INFO)


def _of_dagster(record: logging.LogRecord) -> dict[str, str]:
    """What Dagster knows of the run that speaks."""
    known = getattr(record, "dagster_meta", None) or {}
    tags = known.get("job_tags") or {}
    found = {
        "incident_id": tags.get("dagster/partition"),
        "run_id": known.get("run_id"),
        "job": known.get("job_name"),
        "step": known.get("step_key"),
    }
    return {name: str(value) for name, value in found.items() if value}
