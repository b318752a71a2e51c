"""The knowledge base's one file: a DuckDB database that is published by atomic rename.

Belongs here: SQL, files and locks. A writer makes a new file beside the old one and renames it over the old one under
a lock: a reader never waits and never sees half an index, and a writer that is killed leaves the old one. Readers load
what they need, let go of the file, and hold no more: a search needs no text but the documents'.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from kb.contents import Catalogue, ChunkRow, Contents, Facts, Searchable
from kb.documents import Document, as_utc
from kb.errors import DamagedIndexError
from kb.lexical import TermIndex

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

SCHEMA_VERSION = 3
"""2: `documents.facts`. 3: a row for each vector, arrays in pieces. A file of an older version is read as it is and
becomes one of this version when it is next written."""
_ONE_AT_A_TIME = threading.Lock()
"""While one thread has the file open, DuckDB gives another one that same file, even if it has been replaced since."""
_BATCH = 20_000
_AT_ONCE = 2_048
"""Rows that are read at once: as many as DuckDB hands out at once."""
_PIECE = 1 << 14
"""Bytes of a row of `arrays`, in order: DuckDB holds as many rows as are read at once, and copies of long ones."""
_READERS: dict[str, Any] = {"memory_limit": "64MB", "threads": 2, "preserve_insertion_order": "true"}
"""Who reads everything once has no use for DuckDB's cache of pages."""
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
CREATE TABLE vectors (data BLOB NOT NULL USING COMPRESSION uncompressed);
CREATE TABLE arrays (name VARCHAR NOT NULL, data BLOB NOT NULL USING COMPRESSION uncompressed);
CREATE TABLE signatures (incident_id VARCHAR PRIMARY KEY, ended_at TIMESTAMP, body JSON NOT NULL);
CREATE TABLE removed (
    id VARCHAR NOT NULL, title VARCHAR NOT NULL, content_hash VARCHAR NOT NULL, removed_in VARCHAR NOT NULL);
"""


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Only one writer at a time; readers do not take it."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(path.name + ".lock")):
        yield


def read(path: Path) -> Contents:
    """Load everything; an absent file is an empty memory.

    Raises:
        DamagedIndexError: it is not a readable index of this or an older version.
    """
    return _read(path, _contents) or Contents()


def read_catalogue(path: Path) -> Catalogue:
    """Load what tells whether something is new; raises as `read`."""
    return _read(path, _catalogue) or Catalogue({}, Facts())


def read_facts(path: Path) -> Facts:
    """Load what is said of the whole; raises as `read`."""
    return _read(path, _facts) or Facts()


def read_searchable(path: Path) -> Searchable:
    """Load what a search needs; raises as `read`."""
    return _read(path, _searchable) or Searchable()


def _read(path: Path, what: Callable[[_File], T]) -> T | None:
    import duckdb

    if not path.exists():
        return None
    try:
        try:
            return _with_file(path, what, _READERS)
        except duckdb.OutOfMemoryException:  # documents as long as the limit
            return _with_file(path, what, {})
    except (duckdb.Error, ValueError, KeyError, UnicodeDecodeError) as error:
        raise DamagedIndexError(
            f"{path} is not a readable knowledge base ({str(error).splitlines()[0][:200]}); "
            "move it away and index the sources again with `kb index`"
        ) from error


def _with_file(path: Path, what: Callable[[_File], T], config: dict[str, Any]) -> T:
    import duckdb

    with _ONE_AT_A_TIME, duckdb.connect(str(path), read_only=True, config=config) as connection:
        meta: dict[str, str] = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        schema = int(meta["schema"])
        if schema > SCHEMA_VERSION:
            raise ValueError(f"written by a newer version, schema {schema}")
        return what(_File(connection, meta, schema))


class _File(NamedTuple):
    """An open file."""

    connection: duckdb.DuckDBPyConnection
    meta: dict[str, str]
    schema: int

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """All rows of a query, read piece by piece; of a table in the order in which they were written.

        To sort them, DuckDB would hold all of them.
        """
        cursor = self.connection.execute(query)
        while batch := cursor.fetchmany(_AT_ONCE):
            yield from batch


def _catalogue(file: _File) -> Catalogue:
    return Catalogue(dict(file.rows("SELECT id, content_hash FROM documents")), _facts(file))


def _facts(file: _File) -> Facts:
    return Facts(tuple(file.rows("SELECT incident_id, body FROM signatures ORDER BY incident_id")), file.meta)


def _searchable(file: _File) -> Searchable:
    documents = _documents(file)
    places = np.fromiter((row for (row,) in file.rows("SELECT document_row FROM chunks")), np.int64)
    starts = np.searchsorted(places, np.arange(len(documents) + 1))
    return Searchable(documents, starts, _vectors(file, len(places)), _index(file))


def _contents(file: _File) -> Contents:
    chunks = tuple(map(ChunkRow._make, file.rows("SELECT document_row, heading, line, text FROM chunks")))
    return Contents(
        documents=_documents(file),
        hashes=tuple(found for (found,) in file.rows("SELECT content_hash FROM documents")),
        chunks=chunks,
        vectors=_vectors(file, len(chunks)),
        index=_index(file),
        signatures=_facts(file).signatures,
        removed=tuple(file.rows("SELECT id, title, content_hash, removed_in FROM removed")),
        meta=file.meta,
    )


def _documents(file: _File) -> tuple[Document, ...]:
    facts = "facts" if file.schema > 1 else "NULL"
    columns = f'id, kind, title, text, source, date, services, category, labels, "commit", {facts}'
    return tuple(_document(row) for row in file.rows(f"SELECT {columns} FROM documents"))  # noqa: S608 - own names


def _document(row: tuple[Any, ...]) -> Document:
    identity, kind, title, text, source, date, services, category, labels, commit, facts = row
    return Document(
        identity, sys.intern(kind), title, text, source, as_utc(date), tuple(services), category, tuple(labels), commit,
        tuple((name, value) for name, value in facts or ()),
    )  # fmt: skip


def _vectors(file: _File, count: int) -> npt.NDArray[np.float32] | None:
    """The vectors of all chunks in one matrix, which is filled piece by piece."""
    dimensions = int(file.meta.get("dimensions", "0"))
    if not dimensions:
        return None
    vectors = np.zeros((count, dimensions), dtype=np.float32)
    order, at_once = ("", _AT_ONCE) if file.schema > 2 else (" ORDER BY part", 1)
    cursor = file.connection.execute(f"SELECT data FROM vectors{order}")  # noqa: S608 - own names
    place = 0
    while batch := cursor.fetchmany(at_once):
        rows = np.frombuffer(b"".join(data for (data,) in batch), dtype=np.float32).reshape(-1, dimensions)
        vectors[place : place + len(rows)] = rows
        place += len(rows)
    return vectors


def _index(file: _File) -> TermIndex:
    sizes = dict(file.rows("SELECT name, sum(octet_length(data)) FROM arrays GROUP BY name"))
    found = {name: np.empty(int(size), np.uint8) for name, size in sizes.items()}
    places = dict.fromkeys(found, 0)
    for name, data in file.rows("SELECT name, data FROM arrays"):
        end = places[name] + len(data)
        found[name][places[name] : end] = np.frombuffer(data, np.uint8)
        places[name] = end
    names = found["terms"].tobytes().decode()
    return TermIndex(
        tuple(names.split("\n")) if names else (), **{name: found[name].view(kind) for name, kind in _ARRAYS.items()}
    )


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
            _insert(connection, "vectors", [(row.tobytes(),) for row in part])
    _insert(connection, "arrays", _pieces("terms", "\n".join(index.terms).encode()))
    for name in _ARRAYS:
        _insert(connection, "arrays", _pieces(name, getattr(index, name).tobytes()))
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


def _pieces(name: str, data: bytes) -> list[tuple[str, bytes]]:
    return [(name, data[place : place + _PIECE]) for place in range(0, max(len(data), 1), _PIECE)]


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
