"""What commands print, and where: results on stdout, everything else on stderr.

Belongs here: JSON, tables, notes and progress, plain where nobody looks. Does not belong here: what is said.
Text from outside is shown without control characters: a log line must not be able to move the cursor.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from incident_pipeline.documents.escape import as_plain
from incident_pipeline.moments import format_moment

_CONTROLS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What clears, moves or turns text on a terminal and may stand in JSON as it is."""


class Advance(Protocol):
    """Moves a progress bar on; where there is none, does nothing."""

    def __call__(self, steps: int = 1, *, text: str | None = None, total: int | None = None) -> None:
        """Count steps as done, and say what is being done now, and how much there is to do."""


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Write a value as one JSON document on stdout; `indent=None` puts it on one line."""
    ascii_only = (sys.stdout.encoding or "utf-8").lower() not in ("utf-8", "utf8")
    sys.stdout.write(json_text(value, indent=indent, ascii_only=ascii_only) + "\n")


def json_text(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """A value as JSON that any parser reads: models as objects, moments in UTC, NaN as null."""
    text = json.dumps(_plain(value), indent=indent, ensure_ascii=ascii_only, allow_nan=False)
    # JSON itself escapes only those below 0x20; a terminal obeys more
    return _CONTROLS.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def print_text(text: str = "") -> None:
    """Write a result for people on stdout, whatever is in it."""
    sys.stdout.write(_safe_lines(text) + "\n")


def print_markdown(text: str) -> None:
    """Write Markdown on stdout: as it is where a program reads it, without its escapes on a terminal."""
    print_text(as_plain(text) if sys.stdout.isatty() else text)


def note(text: str) -> None:
    """Write a remark on stderr, whatever is in it."""
    sys.stdout.flush()
    sys.stderr.write(_safe_lines(text) + "\n")


def safe(text: str) -> str:
    """The text on one line and without control characters."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _safe_lines(text: str) -> str:
    return text if text.isascii() and text.isprintable() else "\n".join(map(safe, text.split("\n")))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table on stdout: drawn on a terminal, else columns filled up with spaces and never cut."""
    texts = [[_cell(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        _print_drawn(columns, texts)
        return
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    for row in [list(columns), *texts]:
        print_text("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def progress(text: str, total: int | None = None) -> Iterator[Advance]:
    """A progress bar on stderr while the block runs, on a terminal only; yields the function that moves it on."""
    if not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(safe(text), total=total)

        def advance(steps: int = 1, *, text: str | None = None, total: int | None = None) -> None:
            bar.update(task, advance=steps, description=safe(text) if text is not None else None, total=total)

        yield advance


def _silent(steps: int = 1, *, text: str | None = None, total: int | None = None) -> None:
    """Nobody looks."""


def _print_drawn(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(file=sys.stdout).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value)) or "-"
    return safe(str(value))


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)) or type(value) is str:
        return value
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner) for inner in value]
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, datetime):
        return format_moment(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump())
    raise TypeError(f"{type(value).__name__} has no form in JSON")
