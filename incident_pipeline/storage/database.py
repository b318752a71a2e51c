"""One relational database, opened by path or URL: SQLite on one machine, Postgres beyond it.

Belongs here: everything that differs between the two: locking, pragmas, upserts, what their errors mean.
Does not belong here: tables and what is kept in them.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from incident_pipeline.errors import StoreError

BUSY_SECONDS = 5.0
"""How long a writer waits for another one before it gives up."""

_ADVISORY_LOCK = 0x1C1DE17
_WRITES = "incident_pipeline_writes"


class Database:
    """Transactions on one database; safe to share between threads and to open in many processes."""

    def __init__(self, engine: sa.Engine, place: str) -> None:
        self._engine = engine
        self._place = place

    @classmethod
    def open(cls, location: str | Path, busy_seconds: float = BUSY_SECONDS) -> Database:
        """Open a file by its path or any database by its URL.

        Raises:
            StoreError: it cannot be opened.
        """
        text = str(location)
        url = sa.make_url(text) if "://" in text else sa.URL.create("sqlite", database=text)
        place = url.render_as_string(hide_password=True)
        try:
            if url.get_backend_name() == "sqlite":
                engine = _sqlite_engine(url, busy_seconds)
            else:
                engine = sa.create_engine(url, pool_pre_ping=True)
        except (SQLAlchemyError, ImportError) as error:
            raise StoreError(f"the database {place} cannot be opened: {error}") from error
        return cls(engine, place)

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One consistent view; never waits for a writer.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._errors("read"), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction that excludes every other writer from its start; committed on disk when left in order.

        Raises:
            StoreError: the database cannot be written; nothing was changed.
        """
        with self._errors("written"), self._engine.connect() as connection:
            connection = connection.execution_options(**{_WRITES: True})
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
                yield connection

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            # the statement and its parameters are alert text: only the driver's own words are repeated
            raise StoreError(f"the database {self._place} cannot be {verb}: {error.orig}") from error
        except SQLAlchemyError as error:
            raise StoreError(f"the database {self._place} cannot be {verb}: {type(error).__name__}") from error


def upsert(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    replace: tuple[str, ...] = (),
    add: tuple[str, ...] = (),
) -> None:
    """Insert rows; where a row of the same key exists already, change that one.

    Args:
        connection: a connection within `Database.write`.
        table: its key is the column marked with `info={"upsert": True}`, else its primary key.
        rows: distinct by that key.
        replace: columns that are taken from the new row.
        add: columns to which the new row's number is added; without any columns the old row stays as it is.
    """
    if rows:
        statement = _upsert_statement(connection.dialect.name, table, replace, add)
        connection.execute(statement, [dict(row) for row in rows])


@functools.cache
def _upsert_statement(dialect_name: str, table: sa.Table, replace: tuple[str, ...], add: tuple[str, ...]) -> Any:
    dialect = sqlite if dialect_name == "sqlite" else postgresql
    statement = dialect.insert(table)
    target = [column for column in table.columns if column.info.get("upsert")] or list(table.primary_key.columns)
    new = {name: statement.excluded[name] for name in replace}
    new |= {name: table.c[name] + statement.excluded[name] for name in add}
    if not new:
        return statement.on_conflict_do_nothing(index_elements=target)
    return statement.on_conflict_do_update(index_elements=target, set_=new)


def _sqlite_engine(url: sa.URL, busy_seconds: float) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": busy_seconds, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours, see _begin
        _use_write_ahead_log(connection, busy_seconds)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_write_ahead_log(connection: Any, busy_seconds: float) -> None:
    """Switch the file to WAL; the switch itself does not heed the busy time-out, so it is tried until then."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except Exception as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
