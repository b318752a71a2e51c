"""The schema of an incident's file, and how a file of an older version becomes one of today.

Belongs here: named functions that change the schema, in order; a file remembers which of them it has seen.
Does not belong here: the columns of the assets. They follow the models: a field that a model has gained is added as an
empty column when its asset is next written, and reads as the field's default until then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from incident_pipeline.errors import StoreError
from incident_pipeline.storage.incidents.tables import RECORD_COLUMNS, AssetTable

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
    """How many migrations the file has seen; 0 for a new file. Not within a transaction."""
    import duckdb

    try:
        row = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
    except duckdb.CatalogException:
        return 0
    return int(row[0]) if row else 0


def is_current(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether the file has today's schema; False for an older one.

    Raises:
        StoreError: the file is of a newer release.
    """
    version = schema_version(connection)
    _refuse_newer(version, name)
    return version == SCHEMA_VERSION


def _refuse_newer(version: int, name: str) -> None:
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{name} was written by a newer release (schema {version}, this one knows {SCHEMA_VERSION}); "
            "upgrade to read it"
        )


def migrate(connection: duckdb.DuckDBPyConnection, name: str, steps: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the schema up to date, all steps or none. Not within a transaction.

    Raises:
        StoreError: the file is of a newer release.
    """
    version = schema_version(connection)
    _refuse_newer(version, name)
    if version == len(steps):
        return
    connection.execute("BEGIN")
    if version == 0:
        connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL, name VARCHAR NOT NULL)")
    for number, step in enumerate(steps[version:], start=version + 1):
        step(connection)
        connection.execute("INSERT INTO schema_version VALUES (?, ?)", [number, step.__name__])
    connection.execute("COMMIT")


def table_changes(connection: duckdb.DuckDBPyConnection, tables: Iterable[AssetTable]) -> list[str]:
    """The statements that create what these assets lack, or add the columns that their models have gained.

    Not within a transaction: looking for a table that is not there would end it. (The catalogue's own views would
    not, and cost 10 ms.)
    """
    return [statement for table in tables for statement in _changes(table, _columns(connection, table))]


def _changes(table: AssetTable, existing: set[str]) -> list[str]:
    if not existing:
        return [table.ddl(), table.view()]
    missing = [column for column in table.columns if column.name not in existing]
    added = [f'ALTER TABLE {table.table} ADD COLUMN "{column.name}" {column.type}' for column in missing]
    return [*added, table.view()] if added else []


def _columns(connection: duckdb.DuckDBPyConnection, table: AssetTable) -> set[str]:
    """The columns that the table has; none where there is no table yet."""
    import duckdb

    try:
        described = connection.execute(f"SELECT * FROM {table.table} LIMIT 0").description  # noqa: S608 - own names
    except duckdb.CatalogException:
        return set()
    return {column[0] for column in described or ()}
