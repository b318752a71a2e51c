"""The schema of an incident's file, and how a file of an older version becomes one of today.

Belongs here: named functions that change the schema, in order; a file remembers which of them it has seen.
Does not belong here: the columns of the assets. They follow the models: a field that a model has gained is added as an
empty column when its asset is next written, and reads as the field's default until then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from incident_pipeline.errors import StoreError
from incident_pipeline.storage.tables import RECORD_COLUMNS, AssetTable

if TYPE_CHECKING:
    import duckdb

    Migration = Callable[[duckdb.DuckDBPyConnection], object]


def create_materializations(connection: duckdb.DuckDBPyConnection) -> None:
    """The records of what was stored; `content_version` is the version that brought the rows."""
    columns = ", ".join(f'"{column.name}" {column.type}' for column in RECORD_COLUMNS)
    connection.execute(f"CREATE TABLE materializations ({columns}, content_version INTEGER NOT NULL)")


MIGRATIONS: tuple[Migration, ...] = (create_materializations,)
SCHEMA_VERSION = len(MIGRATIONS)


def schema_version(connection: duckdb.DuckDBPyConnection) -> int:
    """How many migrations the file has seen; 0 for a new file."""
    found = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'schema_version'").fetchone()
    if found is None:
        return 0
    row = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
    return int(row[0]) if row else 0


def is_current(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether the file has today's schema; False for an older one.

    Raises:
        StoreError: the file is of a newer release.
    """
    version = schema_version(connection)
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{name} was written by a newer release (schema {version}, this one knows {SCHEMA_VERSION}); "
            "upgrade to read it"
        )
    return version == SCHEMA_VERSION


def migrate(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Bring the schema up to date, within the caller's transaction.

    Raises:
        StoreError: the file is of a newer release.
    """
    if is_current(connection, name):
        return
    version = schema_version(connection)
    if version == 0:
        connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL, name VARCHAR NOT NULL)")
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        step(connection)
        connection.execute("INSERT INTO schema_version VALUES (?, ?)", [number, step.__name__])


def ensure_tables(connection: duckdb.DuckDBPyConnection, tables: Iterable[AssetTable]) -> None:
    """Create the tables and views of these assets, and add the columns that their models have gained."""
    found: dict[str, set[str]] = {}
    for table_name, column in connection.execute("SELECT table_name, column_name FROM duckdb_columns()").fetchall():
        found.setdefault(table_name, set()).add(column)
    for table in tables:
        existing = found.get(table.table)
        if existing is None:
            connection.execute(table.ddl())
        missing = [column for column in table.columns if existing is not None and column.name not in existing]
        for column in missing:
            connection.execute(f'ALTER TABLE {table.table} ADD COLUMN "{column.name}" {column.type}')
        if existing is None or missing:
            connection.execute(table.view())
