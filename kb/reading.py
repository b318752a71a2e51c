"""Files to documents: folders of Markdown, HTML and text, single files, and JSON lines.

Belongs here: what a file says about itself (front matter, headings, path) and which files are refused. Everything that
is read is hostile until proven otherwise: huge, binary, oddly encoded and malformed files are listed and skipped, links
that lead out of the folder are not followed, YAML aliases are refused.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.documents import KINDS, Document, as_utc
from kb.errors import UnreadableError

if TYPE_CHECKING:
    from kb.git_history import Past

MOST_BYTES = 5_000_000
"""A longer text file is not a document that somebody reads at night."""
_LONGEST_LINE = 10_000_000
_MOST_FRONT_MATTER = 20_000
_MARKDOWN, _HTML, _TEXT = {".md", ".markdown", ".mdx"}, {".html", ".htm"}, {".txt", ".text", ".rst", ".adoc", ".org"}
_SKIPPED_FOLDERS = {"node_modules", "__pycache__", "venv"}
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL)
_HEADING = re.compile(r"^ {0,3}#[ \t]+(\S.{0,300}?)[ \t#]*$", re.MULTILINE)
_KIND_IN_PATH = (
    ("postmortem", re.compile(r"post-?_?mortem|incident-?_?re(?:port|view)|retrospective", re.I)),
    ("runbook", re.compile(r"runbook|playbook|alert|sop|troubleshoot|how-?to", re.I)),
    ("incident", re.compile(r"incident", re.I)),
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or line that was not read, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found below some paths."""

    documents: tuple[Document, ...]
    skipped: tuple[Skipped, ...]


def read_paths(paths: Iterable[str | Path], most_bytes: int = MOST_BYTES) -> Reading:
    """Read folders, files and JSON lines (`.jsonl`, `.jsonl.gz`); of two documents of one id the first stays.

    Raises:
        FileNotFoundError: one of the paths does not exist.
    """
    found: dict[str, Document] = {}
    skipped: list[Skipped] = []
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(2, "no such file or folder to index", str(path))
        for item in _read(path, most_bytes):
            if isinstance(item, Skipped):
                skipped.append(item)
            elif found.setdefault(item.id, item) is not item:
                skipped.append(Skipped(item.source, f"another document has the id {item.id!r}"))
    return Reading(tuple(found.values()), tuple(skipped))


def starter_documents() -> tuple[Document, ...]:
    """The runbooks and postmortems that come with the knowledge base."""
    folder = Path(__file__).parent / "corpus"
    documents = read_paths([folder]).documents
    return tuple(replace(d, id=f"starter/{Path(d.id).stem}", source="starter corpus") for d in documents)


def gone(documents: Iterable[Document], paths: Iterable[str | Path]) -> list[str]:
    """The ids of documents that were read from one of these folders and whose file is no longer there."""
    folders = [Path(path).resolve() for path in paths if Path(path).is_dir()]
    return [
        document.id
        for document in documents
        if document.source.startswith("/")
        and any(Path(document.source).is_relative_to(folder) for folder in folders)
        and not Path(document.source).exists()
    ]


def _read(path: Path, most_bytes: int) -> Iterator[Document | Skipped]:
    if not path.is_dir():
        yield from _read_file(path, path.parent, most_bytes)
        return
    from kb.git_history import file_histories

    histories = file_histories(path)
    for file in _files(path):
        for item in _read_file(file, path, most_bytes):
            past = histories.get(file.relative_to(path).as_posix())
            yield item if past is None or isinstance(item, Skipped) else _with_past(item, past, file, path)


def _with_past(document: Document, past: Past, file: Path, folder: Path) -> Document:
    """A document of a repository: it keeps the id that its first name gave it, unless it says one itself."""
    named = document.id == _own_id(folder, file.relative_to(folder).as_posix())
    identity = _own_id(folder, past.first_name) if named else document.id
    return replace(document, id=identity, commit=past.commit)


def _own_id(folder: Path, relative: str) -> str:
    return f"{folder.resolve().name}/{relative}"


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder in a stable order; hidden folders and links to folders are left out."""
    for root, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED_FOLDERS)
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(root) / name


def _read_file(path: Path, folder: Path, most_bytes: int) -> Iterator[Document | Skipped]:
    name = path.name.lower()
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            yield Skipped(str(path), "a link that leads out of the folder")
        elif name.endswith((".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")):
            yield from _read_lines(path)
        elif path.suffix.lower() in _MARKDOWN | _HTML | _TEXT:
            yield _read_document(path, folder, most_bytes)
    except UnreadableError as error:
        yield Skipped(str(path), str(error))
    except (OSError, EOFError, ValueError, RuntimeError) as error:  # a link to itself is a RuntimeError
        yield Skipped(str(path), str(error).splitlines()[0][:200] if str(error) else type(error).__name__)


def _read_document(path: Path, folder: Path, most_bytes: int) -> Document:
    if not path.is_file():
        raise UnreadableError("not a regular file")
    size = path.stat().st_size
    if size > most_bytes:
        raise UnreadableError(f"{size / 1e6:.0f} MB, more than the {most_bytes / 1e6:.0f} MB that a document may have")
    text = _decoded(path.read_bytes())
    facts: Mapping[str, Any] = {}
    if path.suffix.lower() in _HTML:
        from kb.html_text import html_to_text

        text = html_to_text(text)
    else:
        facts, text = split_front_matter(text)
    if not text.strip():
        raise UnreadableError("it is empty")
    relative = path.relative_to(folder).as_posix()
    return _document(facts, text, default_id=_own_id(folder, relative), path=path)


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    if b"\x00" in data[:8192]:
        raise UnreadableError("it is binary")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"it is not UTF-8 (byte {error.start}); save it as UTF-8") from error


def split_front_matter(text: str) -> tuple[Mapping[str, Any], str]:
    """The YAML between `---` lines at the top of a text, and the rest.

    Raises:
        UnreadableError: the front matter is not YAML, or uses aliases.
    """
    match = _FRONT_MATTER.match(text[:_MOST_FRONT_MATTER]) if text.startswith("---") else None
    if match is None:
        return {}, text
    import yaml

    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(match[1])):
            raise UnreadableError("its front matter uses YAML aliases")
        facts = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UnreadableError(f"its front matter is not YAML: {str(error).splitlines()[0][:120]}") from error
    return (facts if isinstance(facts, dict) else {}), text[match.end() :]


def _document(facts: Mapping[str, Any], text: str, default_id: str, path: Path) -> Document:
    heading = _HEADING.search(text)
    stem = path.name.partition(".")[0]
    document = Document(
        id=str(facts.get("id") or default_id),
        kind=_kind(facts.get("kind") or facts.get("type"), path),
        title=str(facts.get("title") or (heading[1] if heading else stem)),
        text=text,
        source=str(facts.get("source") or path.resolve()),
        date=as_utc(facts.get("date")) or _date_in_name(path.name),
        services=_names(facts.get("services") or facts.get("service")),
        category=str(facts["category"]) if facts.get("category") else None,
        labels=tuple(dict.fromkeys(n for key in ("alerts", "alert", "labels", "tags") for n in _names(facts.get(key)))),
    )
    return with_structure(document, facts)


def with_structure(document: Document, given: Mapping[str, Any]) -> Document:
    """A postmortem with what its own text says of the incident; what it was given outweighs that.

    Args:
        document: of any kind; only postmortems are looked into.
        given: front matter or the record of a JSON line; severity, root_cause, fix and duration may stand there.
    """
    if document.kind != "postmortem":
        return document
    from kb.structure import find_structure

    found = find_structure(document.text, document.title)
    minutes = None if found.duration is None else f"{found.duration.total_seconds() / 60:.0f}m"
    said = {"severity": found.severity, "root_cause": found.root_cause, "fix": found.fix, "duration": minutes}
    facts = [(name, str(given.get(name) or value)) for name, value in said.items() if given.get(name) or value]
    return replace(
        document,
        date=document.date or found.date,
        services=document.services or found.services,
        category=document.category or found.category,
        facts=(*facts, *(("open_action", action) for action in found.open_actions)),
    )


def _kind(said: Any, path: Path) -> str:
    if said in KINDS:
        return str(said)
    where = "/".join(path.parts[-3:])
    return next((kind for kind, pattern in _KIND_IN_PATH if pattern.search(where)), "note")


def _date_in_name(name: str) -> datetime | None:
    match = re.search(r"(?<!\d)(20\d\d)-?(\d\d)-?(\d\d)(?!\d)", name)
    return as_utc("-".join(match.groups())) if match else None


def _names(value: Any) -> tuple[str, ...]:
    """A list, a mapping or a comma-separated text as names."""
    if isinstance(value, Mapping):
        return tuple(f"{key}={item}" for key, item in value.items())
    if isinstance(value, str):
        value = value.split(",")
    return tuple(str(item).strip() for item in value if str(item).strip()) if isinstance(value, list | tuple) else ()


def _read_lines(path: Path) -> Iterator[Document | Skipped]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        number = 0
        while line := lines.readline(_LONGEST_LINE + 1):
            number += 1
            if len(line) > _LONGEST_LINE:
                raise UnreadableError(f"line {number} has more than {_LONGEST_LINE:,} bytes; the rest was not read")
            if line.strip():
                yield _from_line(line, f"{path}:{number}")


def _from_line(line: bytes, where: str) -> Document | Skipped:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return Skipped(where, "not a line of JSON")
    missing = [key for key in ("id", "kind", "text") if not isinstance(record, dict) or not record.get(key)]
    if missing:
        return Skipped(where, f"has no {' and no '.join(missing)}")
    if record["kind"] not in KINDS:
        return Skipped(where, f"its kind is {str(record['kind'])[:40]!r}; write one of {', '.join(KINDS)}")
    document = Document(
        id=str(record["id"]),
        kind=record["kind"],
        title=str(record.get("title") or record["id"]),
        text=str(record["text"]),
        source=str(record.get("source") or ""),
        date=as_utc(record.get("date")),
        services=_names(record.get("services")),
        category=str(record["category"]) if record.get("category") else None,
        labels=_names(record.get("labels")),
    )
    return with_structure(document, record)
