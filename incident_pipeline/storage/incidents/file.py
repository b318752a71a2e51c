"""One incident's file: opened, locked and let go of again.

Belongs here: paths, the file lock, waiting for another process, the settings of DuckDB.
Does not belong here: what is in the file.

DuckDB lets one process hold a file for writing, and then no other may even read it. So everybody takes a file lock
first, readers too, and holds the file for the milliseconds of one call. A shell that a person has open takes no such
lock: then the call is tried again until its patience ends.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from incident_pipeline.errors import NotFoundError, StoreError

if TYPE_CHECKING:
    import duckdb

SUFFIX = ".duckdb"
SETTINGS = {
    "default_block_size": "16384",
    "threads": "1",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}
_INCIDENT_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
_BUSY = ("Could not set lock", "different configuration", "Unique file handle conflict")
_FIRST_WAIT, _LONGEST_WAIT = 0.005, 0.1


def incident_path(directory: Path, incident_id: str) -> Path:
    """The file of an incident, whether or not it exists.

    Raises:
        NotFoundError: no incident can have this name.
    """
    if not _INCIDENT_ID.fullmatch(incident_id):
        raise NotFoundError(f"{incident_id[:80]!r} is not the name of an incident: letters, digits, - and _ only")
    return directory / f"{incident_id}{SUFFIX}"


@contextmanager
def locked(path: Path, patience: float) -> Iterator[None]:
    """Hold the lock that everybody takes before opening the file.

    Raises:
        StoreError: another process holds it for longer than `patience` seconds.
    """
    from filelock import FileLock, Timeout

    locks = path.parent / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{path.name}.lock")
    try:
        lock.acquire(timeout=patience, poll_interval=_FIRST_WAIT)
    except Timeout as error:
        raise StoreError(f"{path.name} is in use by another process for more than {patience:g} s; try again") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def opened(path: Path, *, read_only: bool, patience: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """The file under its lock, closed again at the end.

    A new file gets its name only when all went well, so that a file with this name is always a whole one.

    Raises:
        StoreError: another program holds it for longer than `patience` seconds, or it is damaged.
    """
    deadline = time.monotonic() + patience
    with locked(path, patience):
        existing = path if path.exists() else _fresh(path)
        connection = _patiently(partial(_connect, existing, read_only), path, deadline)
        try:
            yield connection
        finally:
            connection.close()
        if existing != path:
            existing.replace(path)


@contextmanager
def attached(connection: duckdb.DuckDBPyConnection, path: Path, patience: float) -> Iterator[None]:
    """The file as the catalogue `one` of another connection, to read, under its lock.

    Raises:
        StoreError: another program holds it for longer than `patience` seconds, or it cannot be read.
    """
    import duckdb

    deadline = time.monotonic() + patience
    quoted = str(path).replace("'", "''")
    with locked(path, patience):
        _patiently(lambda: connection.execute(f"ATTACH '{quoted}' AS one (READ_ONLY)"), path, deadline)
        try:
            yield
        except duckdb.Error as error:
            raise StoreError(f"{path.name} cannot be read: {first_line(error)}") from error
        finally:
            connection.execute("DETACH one")


def _connect(path: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(str(path), read_only=read_only, config=dict(SETTINGS))


def _fresh(path: Path) -> Path:
    """Where a new file is made; what a process that was killed here left behind goes away."""
    fresh = path.with_name(f".{path.name}.new")
    for leftover in (fresh, fresh.with_name(f"{fresh.name}.wal")):
        leftover.unlink(missing_ok=True)
    return fresh


def _patiently(
    attempt: Callable[[], duckdb.DuckDBPyConnection], path: Path, deadline: float
) -> duckdb.DuckDBPyConnection:
    """Try again while a program that knows nothing of our lock holds the file."""
    import duckdb

    wait = _FIRST_WAIT
    while True:
        try:
            return attempt()
        except duckdb.Error as error:
            if not any(sign in str(error) for sign in _BUSY):
                raise StoreError(f"{path.name} cannot be opened, it may be damaged: {first_line(error)}") from error
            if time.monotonic() + wait > deadline:
                raise StoreError(
                    f"{path.name} is open in another program; close it there: {first_line(error)}"
                ) from error
        time.sleep(wait)
        wait = min(wait * 2, _LONGEST_WAIT)


def first_line(error: Exception) -> str:
    """What an error of DuckDB says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
