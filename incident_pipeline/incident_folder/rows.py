"""Rows of an incident folder as the words of the domain.

Belongs here: one function per kind of row, each lenient about names that are in use elsewhere; what is not understood
goes to `attributes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from incident_pipeline.intake.alert_fields import alert_from_fields, one_line, text_of
from incident_pipeline.json_text import clean
from incident_pipeline.models import Alert, CodeChange, Deployment, FlagChange, LogEntry, Span
from incident_pipeline.moments import parse_moment

Row = Mapping[str, Any]

LEVELS = {
    **dict.fromkeys(("trace", "finest", "verbose"), "trace"),
    **dict.fromkeys(("debug", "fine", "dbg"), "debug"),
    **dict.fromkeys(("info", "information", "informational", "notice", "inf"), "info"),
    **dict.fromkeys(("warning", "warn", "wrn"), "warning"),
    **dict.fromkeys(("error", "err", "severe", "eror"), "error"),
    **dict.fromkeys(("fatal", "critical", "crit", "panic", "emergency", "emerg", "alert"), "fatal"),
}
"""How sources word the level of a log line -> trace, debug, info, warning, error, fatal."""

_TIMES = ("timestamp", "time", "ts", "@timestamp", "at", "date")
_SERVICES = ("service", "service_name", "service.name")
_FLAG_WORDS = {"true": "on", "false": "off", "enabled": "on", "disabled": "off"}


def level_of(word: Any) -> str | None:
    """The level of a log line in our words; a word that is not known stays as it is, in lower case."""
    text = one_line(word, 60)
    return LEVELS.get(text.lower(), text.lower()) if text else None


def alert(row: Row) -> Alert:
    """One entry of alerts.json."""
    return alert_from_fields(row)


def log_entry(row: Row) -> LogEntry:
    """One line of logs.jsonl."""
    fields = _Fields(row)
    timestamp = fields.take(*_TIMES)
    message = fields.take("message", "msg", "body", "log")
    if timestamp is None or message is None:
        raise ValueError("timestamp: missing" if timestamp is None else "message: missing")
    return LogEntry(
        timestamp=parse_moment(timestamp),
        service=one_line(fields.take(*_SERVICES)),
        level=level_of(fields.take("level", "severity")),
        message=clean(message) if isinstance(message, str) else text_of(message, 100_000) or "",
        attributes=fields.attributes(),
    )


def span(row: Row) -> Span:
    """One line of traces.jsonl."""
    fields = _Fields(row)
    start = fields.take("start", "start_time", *_TIMES)
    if start is None:
        raise ValueError("start: missing")
    status = (one_line(fields.take("status"), 60) or "unset").lower()
    return Span(
        trace_id=_needed(fields, "trace_id", "traceId", "trace"),
        span_id=_needed(fields, "span_id", "spanId", "id"),
        parent_id=one_line(fields.take("parent_id", "parentSpanId", "parent_span_id", "parent")),
        service=one_line(fields.take(*_SERVICES)),
        name=one_line(fields.take("name", "operation")) or "",
        start=parse_moment(start),
        duration_ms=fields.take("duration_ms") or 0.0,
        status=status,
        attributes=fields.attributes(),
    )


def code_change(row: Row) -> CodeChange:
    """One entry of changes.json."""
    fields = _Fields(row)
    author = fields.take("author", "author_name")
    files = fields.take("files") or ()
    return CodeChange(
        sha=_needed(fields, "sha", "commit", "commit_sha", "id"),
        repository=one_line(fields.take("repository", "repo")),
        service=one_line(fields.take(*_SERVICES)),
        author=one_line(author.get("name") or author.get("email") if isinstance(author, Mapping) else author),
        message=text_of(fields.take("message", "title"), 100_000) or "",
        files=tuple(_paths(files if isinstance(files, list | tuple) else [files])),
        diff=fields.text("diff", "patch"),
        additions=fields.take("additions"),
        deletions=fields.take("deletions"),
        committed_at=fields.moment("committed_at", "committed_date", *_TIMES),
        url=one_line(fields.take("url", "html_url", "web_url"), 2000),
        focus_areas=tuple(fields.take("focus_areas") or ()),
        attributes=fields.attributes(),
    )


def deployment(row: Row) -> Deployment:
    """One entry of deployments.json."""
    fields = _Fields(row)
    service, version = one_line(fields.take(*_SERVICES)), one_line(fields.take("version", "tag"))
    started, finished = fields.moment("started_at", "start"), fields.moment("finished_at", "deployed_at", *_TIMES)
    name = one_line(fields.take("id", "deployment_id"))
    if name is None:
        if service is None and version is None:
            raise ValueError("id: missing, and neither service nor version to name it by")
        name = f"{service or 'unknown'}@{version or 'unknown'}"
    return Deployment(
        id=name,
        service=service,
        environment=one_line(fields.take("environment", "env")),
        version=version,
        previous_version=one_line(fields.take("previous_version")),
        status=one_line(fields.take("status")),
        strategy=one_line(fields.take("strategy")),
        started_at=started,
        finished_at=finished,
        actor=one_line(fields.take("actor", "user", "deployed_by")),
        url=one_line(fields.take("url"), 2000),
        commit_sha=one_line(fields.take("commit_sha", "commit", "sha")),
        source=one_line(fields.take("source")),
        attributes=fields.attributes(),
    )


def flag_change(row: Row) -> FlagChange:
    """One entry of flags.json; `change: "off->on"` is taken apart."""
    fields = _Fields(row)
    name = _needed(fields, "name", "flag", "feature", "key", "id")
    previous, value = _change(fields.take("change"))
    value = value or flag_value(fields.take("value", "state", "enabled", "to", "new_value", "current"))
    before = flag_value(fields.take("previous_value", "from", "old_value", "previous"))
    return FlagChange(
        name=name,
        service=one_line(fields.take(*_SERVICES)),
        value=value,
        previous_value=previous or before,
        changed_at=fields.moment("changed_at", "updated_at", *_TIMES),
        actor=one_line(fields.take("actor", "user", "by", "changed_by", "author")),
        attributes=fields.attributes(),
    )


def flag_value(value: Any) -> str | None:
    """A flag's value as text: booleans and enabled/disabled read on and off."""
    text = text_of(value)
    return _FLAG_WORDS.get(text.lower(), text) if text else None


def _change(value: Any) -> tuple[str | None, str | None]:
    text = text_of(value)
    for arrow in ("->", "→", "=>", " to "):
        if text and arrow in text:
            before, _, after = text.partition(arrow)
            return flag_value(before), flag_value(after)
    return None, flag_value(text)


def _paths(files: Iterable[Any]) -> Iterable[str]:
    for file in files:
        path = file.get("filename") or file.get("path") or file.get("new_path") if isinstance(file, Mapping) else file
        text = one_line(path, 2000)
        if text:
            yield text


def _needed(fields: _Fields, *names: str) -> str:
    value = one_line(fields.take(*names))
    if value is None:
        raise ValueError(f"{names[0]}: missing")
    return value


class _Fields:
    """A row whose fields are taken one by one; what nobody took are its attributes."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._taken = {"attributes"}

    def take(self, *names: str) -> Any:
        """The first field that has a value, under any of its names."""
        for name in names:
            value = self._row.get(name)
            if name in self._row:
                self._taken.add(name)
            if value is not None:
                return value
        return None

    def text(self, *names: str) -> str | None:
        value = self.take(*names)
        return clean(value) if isinstance(value, str) else text_of(value, 1_000_000)

    def moment(self, *names: str) -> Any:
        value = self.take(*names)
        return None if value is None or value == "" else parse_moment(value)

    def attributes(self) -> dict[str, Any]:
        own = self._row.get("attributes")
        loose = {key: value for key, value in self._row.items() if key not in self._taken}
        if isinstance(own, Mapping):
            return {**loose, **own} if loose else dict(own)
        return loose if own is None else {**loose, "attributes": own}
