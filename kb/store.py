"""The knowledge base's one file: a DuckDB database that is published by atomic rename.

Belongs here: SQL, files and locks. A writer makes a new file beside the old one and renames it over the old one under
a lock: a reader never waits and never sees half an index, and a writer that is killed leaves the old one. Readers load
what a search needs and let go of the file.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kb.documents import Document, as_utc
from kb.errors import DamagedIndexError
from kb.lexical import TermIndex

if TYPE_CHECKING:
    import duckdb

SCHEMA_VERSION = 2
"""2: `documents.facts`. A file of version 1 is read as it is and becomes one of version 2 when it is next written."""
_ONE_AT_A_TIME = threading.Lock()
"""While one thread has the file open, DuckDB gives another one that same file, even if it has been replaced since."""
_BATCH = 20_000
_ARRAYS: dict[str, type[np.generic]] = {
    "sequence": np.int32,
    "document_starts": np.int64,
    "term_starts": np.int64,
    "documents": np.int32,
    "counts": np.uint16,
    "in_title": np.bool_,
}
"""The arrays of the term index, in the order of `TermIndex`."""
_TABLES = """
CREATE TABLE meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);
CREATE TABLE documents (
    row INTEGER PRIMARY KEY, id VARCHAR NOT NULL, kind VARCHAR NOT NULL, title VARCHAR NOT NULL, text VARCHAR NOT NULL,
    source VARCHAR NOT NULL, date TIMESTAMP, services VARCHAR[] NOT NULL, category VARCHAR, labels VARCHAR[] NOT NULL,
    "commit" VARCHAR, content_hash VARCHAR NOT NULL, facts VARCHAR[][]);
CREATE TABLE chunks (
    document_row INTEGER NOT NULL, heading VARCHAR NOT NULL, line INTEGER NOT NULL, text VARCHAR NOT NULL);
CREATE TABLE vectors (part INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE arrays (name VARCHAR PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE signatures (incident_id VARCHAR PRIMARY KEY, ended_at TIMESTAMP, body JSON NOT NULL);
CREATE TABLE removed (
    id VARCHAR NOT NULL, title VARCHAR NOT NULL, content_hash VARCHAR NOT NULL, removed_in VARCHAR NOT NULL);
"""


class ChunkRow(NamedTuple):
    """A chunk as it is stored."""

    document_row: int
    heading: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Contents:
    """All that one version of the file holds."""

    documents: tuple[Document, ...] = ()
    hashes: tuple[str, ...] = ()
    """The content hash of each document as it was handed in, before it was redacted."""
    chunks: tuple[ChunkRow, ...] = ()
    vectors: npt.NDArray[np.float32] | None = None
    """One row for each chunk, zeros where there is none; None where no model was there."""
    index: TermIndex | None = None
    signatures: tuple[tuple[str, str], ...] = ()
    """Incident id and the signature as JSON."""
    removed: tuple[tuple[str, str, str, str], ...] = ()
    meta: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Names this content; "0" for an empty memory."""
        return self.meta.get("version", "0")


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Only one writer at a time; readers do not take it."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(path.name + ".lock")):
        yield


def read(path: Path) -> Contents:
    """Load the file; an absent one is an empty memory.

    Raises:
        DamagedIndexError: it is not a readable index of this or an older version.
    """
    import duckdb

    if not path.exists():
        return Contents()
    try:
        with _ONE_AT_A_TIME, duckdb.connect(str(path), read_only=True) as connection:
            return _read_all(connection)
    except (duckdb.Error, ValueError, KeyError, UnicodeDecodeError) as error:
        raise DamagedIndexError(
            f"{path} is not a readable knowledge base ({str(error).splitlines()[0][:200]}); "
            "move it away and index the sources again with `kb index`"
        ) from error


def _read_all(connection: duckdb.DuckDBPyConnection) -> Contents:
    meta: dict[str, str] = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    if int(meta["schema"]) > SCHEMA_VERSION:
        raise ValueError(f"written by a newer version, schema {meta['schema']}")
    facts = "facts" if int(meta["schema"]) > 1 else "NULL"
    rows = connection.execute(
        f'SELECT id, kind, title, text, source, date, services, category, labels, "commit", {facts}, content_hash '  # noqa: S608 - own names
        "FROM documents ORDER BY row"
    ).fetchall()
    chunks, vectors = _chunks(connection, int(meta.get("dimensions", "0")))
    return Contents(
        documents=tuple(_document(row[:-1]) for row in rows),
        hashes=tuple(row[-1] for row in rows),
        chunks=chunks,
        vectors=vectors,
        index=_index(dict(connection.execute("SELECT name, data FROM arrays").fetchall())),
        signatures=tuple(
            connection.execute("SELECT incident_id, body FROM signatures ORDER BY incident_id").fetchall()
        ),
        removed=tuple(connection.execute("SELECT id, title, content_hash, removed_in FROM removed").fetchall()),
        meta=meta,
    )


def _document(row: tuple[Any, ...]) -> Document:
    identity, kind, title, text, source, date, services, category, labels, commit, facts = row
    return Document(
        identity, kind, title, text, source, as_utc(date), tuple(services), category, tuple(labels), commit,
        tuple((name, value) for name, value in facts or ()),
    )  # fmt: skip


def _chunks(
    connection: duckdb.DuckDBPyConnection, dimensions: int
) -> tuple[tuple[ChunkRow, ...], npt.NDArray[np.float32] | None]:
    """All chunks in order, and their vectors in one matrix."""
    found: list[ChunkRow] = []
    cursor = connection.execute("SELECT document_row, heading, line, text FROM chunks ORDER BY rowid")
    while batch := cursor.fetchmany(_BATCH):
        found.extend(map(ChunkRow._make, batch))
    if not dimensions:
        return tuple(found), None
    vectors = np.zeros((len(found), dimensions), dtype=np.float32)
    cursor = connection.execute("SELECT part, data FROM vectors ORDER BY part")
    while row := cursor.fetchone():
        rows = np.frombuffer(row[1], dtype=np.float32).reshape(-1, dimensions)
        vectors[row[0] * _BATCH : row[0] * _BATCH + len(rows)] = rows
    return tuple(found), vectors


def _index(arrays: dict[str, bytes]) -> TermIndex:
    names = arrays["terms"].decode()
    numbers = {name: np.frombuffer(arrays[name], dtype=kind) for name, kind in _ARRAYS.items()}
    return TermIndex(tuple(names.split("\n")) if names else (), **numbers)


def publish(path: Path, contents: Contents) -> None:
    """Write the contents as a new file and rename it over the old one; call it under `write_lock`."""
    import duckdb

    for stale in path.parent.glob(f".{path.name}.*.new*"):
        stale.unlink(missing_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")
    try:
        with duckdb.connect(str(fresh)) as connection:
            _write_all(connection, contents)
        with fresh.open("rb") as handle:
            os.fsync(handle.fileno())
        fresh.replace(path)
        _sync_directory(path.parent)
    finally:
        for left in (fresh, fresh.with_name(fresh.name + ".wal")):
            left.unlink(missing_ok=True)


def _write_all(connection: duckdb.DuckDBPyConnection, contents: Contents) -> None:
    index = contents.index
    if index is None:
        raise ValueError("contents without an index cannot be published")
    connection.execute("BEGIN")
    connection.execute(_TABLES)
    _insert(
        connection, "meta", [(key, value) for key, value in {**contents.meta, "schema": str(SCHEMA_VERSION)}.items()]
    )
    _insert(
        connection,
        "documents",
        [_row(*numbered) for numbered in enumerate(zip(contents.documents, contents.hashes, strict=True))],
    )
    for start in range(0, len(contents.chunks), _BATCH):
        _insert(connection, "chunks", contents.chunks[start : start + _BATCH])
        if contents.vectors is not None:
            part = contents.vectors[start : start + _BATCH]
            _insert(connection, "vectors", [(start // _BATCH, part.tobytes())])
    _insert(connection, "arrays", [("terms", "\n".join(index.terms).encode())])
    _insert(connection, "arrays", [(name, getattr(index, name).tobytes()) for name in _ARRAYS])
    _insert(connection, "signatures", [(identity, None, body) for identity, body in contents.signatures])
    _insert(connection, "removed", list(contents.removed))
    connection.execute("COMMIT")
    connection.execute("CHECKPOINT")


def _row(number: int, hashed: tuple[Document, str]) -> tuple[Any, ...]:
    document, content_hash = hashed
    date = document.date.replace(tzinfo=None) if document.date else None
    return (
        number, document.id, document.kind, document.title, document.text, document.source, date,
        list(document.services), document.category, list(document.labels), document.commit, content_hash,
        [list(fact) for fact in document.facts],
    )  # fmt: skip


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        with connection.appender(table) as appender:
            appender.append_rows(rows)


def move_aside(path: Path) -> Path:
    """Rename a damaged file, so that a new one can take its place; returns its new name."""
    with write_lock(path):
        aside = path.with_name(f"{path.name}.damaged-{secrets.token_hex(4)}")
        path.replace(aside)
        return aside


def _sync_directory(directory: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
