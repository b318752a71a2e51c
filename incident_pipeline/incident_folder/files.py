"""The files of an incident folder as plain data.

Belongs here: finding a file, unpacking and decoding it, and splitting it into JSON rows.
Does not belong here: what the rows mean; see `rows.py` and `metric_csv.py`.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from incident_pipeline.json_text import loads

MAX_BYTES = 512 * 1024 * 1024
"""Unpacked size of one file; more is a mistake or an attack."""

_NUMBERS_SHOWN = 10
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)

Item = TypeVar("Item")


class UnreadableFileError(ValueError):
    """A file that is there and cannot be read; the text says which and why."""


@dataclass(frozen=True)
class Parsed(Generic[Item]):
    """The rows of one file, and what was wrong with it."""

    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()


def find_file(folder: Path, name: str) -> Path | None:
    """The file `name`, or `name.gz`; None where neither is there."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.exists()), None)


def read_text(path: Path) -> str:
    """The file's text, unpacked and decoded: UTF-8, UTF-16 or UTF-32 with or without BOM, else Windows-1252.

    Raises:
        UnreadableFileError: it cannot be opened or unpacked, or is too large.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreadableFileError(f"{path.name}: cannot be read ({why})") from error
    if len(data) > MAX_BYTES:
        raise UnreadableFileError(f"{path.name}: larger than {MAX_BYTES // 1024**2} MiB unpacked")
    return decode(data)


def decode(data: bytes) -> str:
    """Bytes as text, by BOM, by the NULs of UTF-16, as UTF-8, else as Windows-1252, which never fails."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data.decode(encoding, "replace")
    head = data[:400]
    if len(head) >= 2 and head.count(0) * 3 >= len(head):
        return data.decode("utf-16-le" if head[1] == 0 else "utf-16-be", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def read_list(path: Path, parse: Callable[[Mapping[str, Any]], Item], wrappers: tuple[str, ...] = ()) -> Parsed[Item]:
    """Rows of a JSON file that holds a list, one object, or a list under one of the names in `wrappers`.

    Raises:
        UnreadableFileError: it is not JSON of that form, or no row of it can be read.
    """
    return _collect(path.name, "row", enumerate(rows_of(path, read_json(path), wrappers), start=1), parse)


def read_json(path: Path) -> Any:
    """The file's JSON.

    Raises:
        UnreadableFileError: it is not JSON.
    """
    try:
        return loads(read_text(path))
    except UnreadableFileError:
        raise
    except ValueError as error:
        raise UnreadableFileError(f"{path.name}: not JSON ({error})") from error


def rows_of(path: Path, data: Any, wrappers: tuple[str, ...]) -> list[Any]:
    """The list that the file's JSON is or holds.

    Raises:
        UnreadableFileError: neither a list nor an object.
    """
    if isinstance(data, dict):
        inner = next((data[name] for name in (*wrappers, "items", "data") if isinstance(data.get(name), list)), None)
        return [data] if inner is None else inner
    if not isinstance(data, list):
        raise UnreadableFileError(f"{path.name}: expected a list of objects")
    return data


def read_lines(path: Path, parse: Callable[[Mapping[str, Any]], Item]) -> Parsed[Item]:
    """Rows of a JSON Lines file; a file that holds one JSON list instead is read as well.

    Raises:
        UnreadableFileError: it cannot be read, or no line of it can.
    """
    text = read_text(path)
    if text.lstrip()[:1] == "[":
        return read_list(path, parse)
    lines = ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line and not line.isspace())
    return _collect(path.name, "line", _loaded(lines), parse)


def _loaded(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, Any]]:
    for number, line in lines:
        try:
            yield number, loads(line)
        except ValueError:
            yield number, None


def _collect(
    name: str, unit: str, numbered: Iterator[tuple[int, Any]] | enumerate[Any], parse: Callable[[Any], Item]
) -> Parsed[Item]:
    items: list[Item] = []
    skipped: list[tuple[int, str]] = []
    for number, row in numbered:
        if not isinstance(row, dict):
            skipped.append((number, "not a JSON object"))
            continue
        try:
            items.append(parse(row))
        except ValueError as error:
            skipped.append((number, first_problem(error)))
    notes = skipped_note(name, unit, skipped)
    if skipped and not items:
        raise UnreadableFileError(notes[0])
    return Parsed(tuple(items), notes)


def skipped_note(name: str, unit: str, skipped: list[tuple[int, str]]) -> tuple[str, ...]:
    """One sentence about the rows that were left out, with their numbers; nothing where there are none."""
    if not skipped:
        return ()
    shown = ", ".join(f"{unit} {number}: {why}" for number, why in skipped[:_NUMBERS_SHOWN])
    more = f", and {len(skipped) - _NUMBERS_SHOWN} more" if len(skipped) > _NUMBERS_SHOWN else ""
    units = f"{len(skipped)} malformed {unit}{'s' if len(skipped) > 1 else ''}"
    return (f"{name}: {units} skipped ({shown}{more})",)


def first_problem(error: ValueError) -> str:
    """What is wrong, in a few words, without echoing the whole input."""
    errors = getattr(error, "errors", None)
    if callable(errors):
        first = errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}".removeprefix(": ")
    return str(error)[:200]
