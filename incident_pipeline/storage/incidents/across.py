"""SQL over all incidents.

Belongs here: gathering what a query needs from every incident's file, and running a stranger's query safely.
Does not belong here: a single incident (`store.py`), or showing results.

Every asset is a table here, with `incident_id`, `version` and `run_id`: its newest version that has an answer of every
incident. `<asset>_versions` holds every version, `materializations` the records. What the query names is copied into
memory, file by file, before it runs: no file stays open while an analyst thinks, so that no incident waits for them,
and the limit of open files is never met. The query itself can neither write nor reach a file, the network or a setting.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incident_pipeline.errors import ConfigurationError, StoreError
from incident_pipeline.storage.incidents import archive
from incident_pipeline.storage.incidents.file import SETTINGS, SUFFIX, attached, first_line
from incident_pipeline.storage.incidents.tables import ASSETS, RECORD_COLUMNS, AssetTable

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

_ONE = "one."
_RECORDS = "materializations"
_READING = ("SELECT", "EXPLAIN", "MULTI")
"""MULTI is what a PIVOT becomes."""


@dataclass(frozen=True)
class QueryResult:
    """What a query answered."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    truncated: bool = False
    """There is more than the limit allowed."""
    unreadable: tuple[str, ...] = ()
    """One sentence for each incident that could not be asked."""


def query(directory: Path, sql: str, *, limit: int | None = None, patience: float = 5.0) -> QueryResult:
    """Run one reading query over all incidents below a directory; `patience` in seconds for each file that is in use.

    Raises:
        ConfigurationError: the query is wrong, or does more than read.
    """
    with _prepared(directory, sql, patience) as (connection, unreadable):
        cursor = _run(connection, sql)
        rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit + 1)
        described = cursor.description or []
    truncated = limit is not None and len(rows) > limit
    kept = [
        tuple(_plain(value, str(column[1])) for value, column in zip(row, described, strict=True))
        for row in (rows[:limit] if truncated else rows)
    ]
    return QueryResult(tuple(str(column[0]) for column in described), kept, truncated, tuple(unreadable))


def frame(directory: Path, sql: str, *, patience: float = 5.0) -> pd.DataFrame:
    """The answer as a pandas DataFrame; moments are UTC without a zone.

    Raises:
        ConfigurationError: the query is wrong, or does more than read.
        StoreError: an incident could not be asked.
    """
    with _prepared(directory, sql, patience) as (connection, unreadable):
        if unreadable:
            raise StoreError("; ".join(unreadable))
        return _run(connection, sql).df()


@contextmanager
def _prepared(directory: Path, sql: str, patience: float) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[str]]]:
    """A database in memory that holds what the query names, locked."""
    import duckdb

    _check(sql)
    settings = {name: value for name, value in SETTINGS.items() if name not in ("threads", "default_block_size")}
    connection = duckdb.connect(":memory:", config=dict(settings))
    try:
        unreadable = _load(connection, directory, sql, patience)
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection, unreadable
    finally:
        connection.close()


def _check(sql: str) -> None:
    """Refuse what is not one reading statement."""
    import duckdb

    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise ConfigurationError(f"this is not SQL that can be read: {first_line(error)}") from error
    if len(statements) != 1:
        raise ConfigurationError(f"one query at a time, please; this is {len(statements)}")
    kind = statements[0].type.name
    if kind not in _READING:
        raise ConfigurationError(f"only queries that read are allowed (SELECT, WITH, FROM, DESCRIBE, SHOW), not {kind}")


def _run(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyConnection:
    import duckdb

    try:
        return connection.execute(sql)
    except duckdb.PermissionException as error:
        raise ConfigurationError(
            f"queries read what is stored of incidents and nothing else: {first_line(error)}"
        ) from error
    except duckdb.Error as error:
        names = f"; the tables are {', '.join([*ASSETS, _RECORDS])}" if "does not exist" in str(error) else ""
        raise ConfigurationError(f"the query does not work: {first_line(error)}{names}") from error


def _load(connection: duckdb.DuckDBPyConnection, directory: Path, sql: str, patience: float) -> list[str]:
    wanted = _named(sql)
    for table in ASSETS.values():
        connection.execute(_ddl(table.name, table))
        connection.execute(_ddl(table.table, table))
    columns = ", ".join(f'"{column.name}" {column.type}' for column in RECORD_COLUMNS)
    connection.execute(f"CREATE TABLE {_RECORDS} ({columns})")
    unreadable: list[str] = []
    files = sorted(directory.glob(f"*{SUFFIX}"))
    if wanted and archive.batches(directory):
        _load_archive(connection, directory, wanted, [path.name.removesuffix(SUFFIX) for path in files])
    for path in files if wanted else ():
        try:
            with attached(connection, path, patience):
                for name in wanted:
                    _copy(connection, name)
        except StoreError as error:
            unreadable.append(str(error))
    return unreadable


def _load_archive(
    connection: duckdb.DuckDBPyConnection, directory: Path, wanted: Sequence[str], with_files: Sequence[str]
) -> None:
    """Append what the archive holds of incidents that have no file of their own."""
    stored = archive.define_views(connection, directory)
    connection.execute(
        "CREATE TEMP TABLE archived_records AS SELECT *, row_number() OVER (PARTITION BY incident_id, asset "
        "ORDER BY status = 'unavailable', version DESC) AS place FROM archived.materializations "
        "WHERE incident_id NOT IN (SELECT unnest($1::VARCHAR[]))",
        [list(with_files)],
    )
    for name in wanted:
        if name == _RECORDS:
            own = _quoted([column.name for column in RECORD_COLUMNS])
            connection.execute(f"INSERT INTO {_RECORDS} BY NAME SELECT {own} FROM archived_records")  # noqa: S608
            continue
        table = ASSETS[name.removesuffix("_versions")]
        if table.table in stored:
            names = _shared(connection, f"archived.{table.table}", [column.name for column in table.columns])
            listed = ", ".join(f'r."{column}"' for column in names)
            newest = "" if name == table.table else " AND m.place = 1"
            connection.execute(
                f"INSERT INTO {name} BY NAME SELECT m.incident_id, m.version, m.run_id, {listed} "  # noqa: S608
                f"FROM archived.{table.table} r JOIN archived_records m USING (incident_id, content_version) "
                f"WHERE m.asset = '{table.name}'{newest}"
            )


def _named(sql: str) -> list[str]:
    """The tables that a query may read: all whose name occurs in it."""
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    names = [name for table in ASSETS.values() for name in (table.name, table.table)]
    return [name for name in [*names, _RECORDS] if name in words]


def _ddl(name: str, table: AssetTable) -> str:
    columns = ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
    return f"CREATE TABLE {name} (incident_id VARCHAR, version BIGINT, run_id VARCHAR, {columns})"


def _copy(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Append what the attached incident holds; columns that an older file lacks stay empty."""
    if name == _RECORDS:
        own = [column.name for column in RECORD_COLUMNS]
        select = f"SELECT {_quoted(_shared(connection, f'{_ONE}{_RECORDS}', own))} FROM {_ONE}{_RECORDS}"  # noqa: S608 - own names
    else:
        table = ASSETS[name.removesuffix("_versions")]
        shared = _shared(connection, f"{_ONE}{table.table}", [column.name for column in table.columns])
        if not shared:
            return
        select = table.select(_ONE, every_version=name == table.table, columns=shared)
    connection.execute(f"INSERT INTO {name} BY NAME {select}")


def _shared(connection: duckdb.DuckDBPyConnection, table: str, names: Sequence[str]) -> list[str]:
    """Those of the columns that a table has; none where there is no such table."""
    import duckdb

    try:
        described = connection.execute(f"SELECT * FROM {table} LIMIT 0").description or ()  # noqa: S608 - own names
    except duckdb.CatalogException:
        return []
    existing = {column[0] for column in described}
    return [name for name in names if name in existing]


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _plain(value: Any, kind: str) -> Any:
    """A cell as JSON has it, and moments as aware UTC."""
    if isinstance(value, str):
        return json.loads(value) if kind == "JSON" else value
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and kind.endswith("INT") else float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(item, "") for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item, "") for key, item in value.items()}
    return value if value is None or isinstance(value, bool | int | float) else str(value)
