"""Log files as messages: plain text, JSON lines and CSV, gzipped or not, or standard input.

Belongs here: reading, with stack traces kept as one message. Does not belong here: grouping (`diagnosis.templates`).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from incident_pipeline.errors import InputError

COLUMNS = ("content", "message", "msg", "log", "text")
"""Where the message stands in a CSV or a JSON line, the first that is there."""
_CONTINUES = re.compile(r"\s+\S|Caused by:|Traceback |\.\.\. \d+ (more|common frames)|During handling of")
_LINE_ID = ("line_id", "LineId")


@dataclass(frozen=True)
class LogFile:
    """The messages of a file and how each is called."""

    messages: list[str]
    ids: list[str] | None
    """The file's own line ids; None: count from 1."""
    skipped: int = 0
    """Lines that could not be read."""

    def line_ids(self) -> Iterable[str]:
        """One id for each message."""
        return self.ids if self.ids is not None else map(str, range(1, len(self.messages) + 1))


def read_log_file(path: str) -> LogFile:
    """Read a log; `-` is standard input.

    Raises:
        InputError: there is no such file, it cannot be unpacked, or a CSV has no column with the message.
    """
    name = path.removesuffix(".gz")
    text = _text(path)
    if name.endswith(".csv"):
        return _read_csv(path, text)
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if name.endswith((".jsonl", ".ndjson", ".json")) or (lines and lines[0].startswith("{")):
        return _read_json(lines)
    return LogFile(list(joined(lines)), None)


def _text(path: str) -> str:
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except (OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    return data.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n")


def _read_csv(path: str, text: str) -> LogFile:
    if "\0" in text:
        text = text.replace("\0", "")
    csv.field_size_limit(10_000_000)
    rows = csv.reader(io.StringIO(text, newline=""))
    header = [name.strip() for name in next(rows, [])]
    message = next((header.index(name) for name in _spellings(COLUMNS) if name in header), None)
    if message is None:
        raise InputError(f"{path} has no column content or message; it has {', '.join(header) or 'none'}")
    own = next((header.index(name) for name in _LINE_ID if name in header), None)
    width = max(message, own or 0)
    kept = [row for row in rows if len(row) > width]
    return LogFile([row[message] for row in kept], [row[own] for row in kept] if own is not None else None)


def _spellings(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield from (name, name.capitalize(), name.upper())


def _read_json(lines: Sequence[str]) -> LogFile:
    messages, skipped = [], 0
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        found = next((row[name] for name in COLUMNS if name in row), None) if isinstance(row, dict) else None
        if found is None:
            skipped += bool(line.strip())
            continue
        messages.append(found if isinstance(found, str) else json.dumps(found, ensure_ascii=False))
    return LogFile(messages, None, skipped)


def joined(lines: Sequence[str]) -> Iterator[str]:
    """Lines with what belongs to the one before (a stack trace, an indented block) kept in one message."""
    block: list[str] = []
    for line in lines:
        if block and (not line or _CONTINUES.match(line)):
            block.append(line)
            continue
        if block:
            yield "\n".join(block).rstrip("\n")
        block = [line]
    if block:
        yield "\n".join(block).rstrip("\n")
