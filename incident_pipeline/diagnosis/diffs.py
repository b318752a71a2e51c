"""Reading a unified diff: which files, which lines went, which came, which settings got which value.

Belongs here: the shape of a diff, in any language, also where hunk headers are abbreviated or missing.
Does not belong here: what an edit can break (`edits`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

_DIRECTIVE = re.compile(r"^\s*(?P<key>[a-z]+(?:_[a-z]+)+)\s+(?P<value>[\w.-]+);\s*$")
"""`client_max_body_size 50m;` as web servers write it."""
MAX_LINES = 4000
"""Lines of a diff that are read; what a person would not read either is left."""

_HUNK_PATH = re.compile(r"^@@\s+(?:[-+\d, ]+@@\s*)?([\w./@-]+\.[A-Za-z0-9]+|Dockerfile|Makefile)\b")
_SETTING = re.compile(
    r"""^\s*(?:(?:const|var|let|static|final|public|private|export|set|env|int|long|float|double|bool|ENV|SET)\s+)*
        ["']?(?P<key>[A-Za-z_][\w.\-\[\]"']*?)["']?\s*(?::\s*[\w\[\]]+\s*=|:=|=>|=|:)\s*(?P<value>[^=].*?)[,;]?\s*$""",
    re.VERBOSE,
)
_COMMENT = re.compile(r"(^\s*|\s+)(//|#(?!\{)|--\s|/\*|<!--).*$|^\s*\*\s.*$")
_INNER = re.compile(r"""[{(,]\s*["']?([A-Za-z_][\w.-]*)["']?\s*[:=]\s*([\w.* "'-]+?)\s*(?=[,})])""")
_CALL = re.compile(r"(?P<key>[A-Za-z_]\w*)\(\s*(?P<value>\d[\w.* ]*)\s*\)")
_NUMBER = re.compile(r"(?<![\w.])(\d[\d_]*(?:\.\d+)?)\s*(?:\*\s*)?(?:time\.)?([A-Za-z%]*)")
_SCALE = {
    "ms": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "microsecond": 1e-6, "ns": 1e-9,
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hour": 3600.0, "hours": 3600.0, "d": 86400.0, "day": 86400.0, "days": 86400.0,
    "k": 1e3, "kb": 1e3, "ki": 1024.0, "kib": 1024.0, "mb": 1e6, "mi": 1024.0**2, "mib": 1024.0**2,
    "g": 1e9, "gb": 1e9, "gi": 1024.0**3, "gib": 1024.0**3,
}  # fmt: skip


@dataclass
class FileDiff:
    """What a diff does to one file."""

    path: str
    removed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    context: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Setting:
    """A key that got another value; numbers are in seconds or plain units where the text names a unit."""

    path: str
    key: str
    before: str
    after: str
    number_before: float | None
    number_after: float | None

    @property
    def factor(self) -> float | None:
        """New over old, None where either is no number or zero."""
        if not self.number_before or self.number_after is None:
            return None
        return self.number_after / self.number_before


def parse_diff(text: str, files: tuple[str, ...] = ()) -> list[FileDiff]:
    """The files of a diff; lines before any header belong to the change's first file."""
    found: list[FileDiff] = []
    current = FileDiff(files[0] if files else "")
    for line in text.splitlines()[:MAX_LINES]:
        path = _header_path(line)
        if path is not None:
            if path and path != current.path:
                current = next((f for f in found if f.path == path), FileDiff(path))
            if line.startswith("@@"):
                current.context.append(line)
        elif line.startswith("+"):
            current.added.append(line[1:])
        elif line.startswith("-"):
            current.removed.append(line[1:])
        else:
            current.context.append(line)
        if (current.added or current.removed or current.context) and current not in found:
            found.append(current)
    return found


def _header_path(line: str) -> str | None:
    """The path that a header names, "" for a header without one, None for a line that is no header."""
    if line.startswith("diff --git "):
        return line.rsplit(" b/", 1)[-1].strip()
    if line.startswith("+++ "):
        path = line[4:].split("\t")[0].strip()
        return "" if path == "/dev/null" else path.removeprefix("b/")
    if line.startswith(("--- ", "index ", "new file", "deleted file", "similarity ", "rename ")):
        return ""
    if line.startswith("@@"):
        match = _HUNK_PATH.match(line)
        return match.group(1) if match else ""
    return None


def settings_changed(file: FileDiff) -> Iterator[Setting]:
    """Keys whose value differs between the removed and the added lines, in the order of the file."""
    after = [pair for line in file.added for pair in _pairs(line)]
    used: set[int] = set()
    for line in file.removed:
        for key, value in _pairs(line):
            match = next((i for i, (k, _) in enumerate(after) if k == key and i not in used), None)
            if match is None:
                continue
            used.add(match)
            if after[match][1] != value:
                yield Setting(file.path, key, value, after[match][1], number_of(value), number_of(after[match][1]))


def settings_removed(file: FileDiff) -> list[tuple[str, str]]:
    """(key, value) of settings that went and did not come back."""
    kept = {key for line in file.added for key, _ in _pairs(line)}
    return [(key, value) for line in file.removed for key, value in _pairs(line) if key not in kept]


@lru_cache(maxsize=20_000)
def _pairs(line: str) -> tuple[tuple[str, str], ...]:
    code = strip_comment(line)
    inner = [(k, v.strip()) for k, v in _INNER.findall(code)]
    whole = _SETTING.match(code) or _DIRECTIVE.match(code)
    pairs = inner if inner else [(whole.group("key"), whole.group("value").strip())] if whole else []
    pairs += [(m.group("key"), m.group("value").strip()) for m in _CALL.finditer(code)] if not pairs else []
    return tuple((key.strip("\"'").split(".")[-1], value) for key, value in pairs if len(value) <= 200)


@lru_cache(maxsize=20_000)
def strip_comment(line: str) -> str:
    """The line without a trailing or whole-line comment."""
    return _COMMENT.sub("", line)


def number_of(value: str) -> float | None:
    """The number a value holds, scaled by its unit: `30 * time.Second` is 30, `512Mi` is 536870912."""
    match = _NUMBER.search(value)
    if not match:
        return None
    unit = match.group(2).lower()
    return float(match.group(1).replace("_", "")) * _SCALE.get(unit, 1.0)


def is_comment_or_blank(line: str) -> bool:
    """Whether a line does nothing."""
    return not strip_comment(line).strip(" \t{}();")
