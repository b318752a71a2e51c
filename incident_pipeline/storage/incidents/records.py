"""The records of what was stored: one for each version of each asset, in the table `materializations`.

Belongs here: reading and writing records, and which version answers for an asset. Does not belong here: their rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from incident_pipeline.errors import NotFoundError
from incident_pipeline.models import EnvelopeStatus, Materialization
from incident_pipeline.storage.incidents.tables import RECORD_COLUMNS

if TYPE_CHECKING:
    import duckdb

_NAMES = ", ".join(f'"{column.name}"' for column in RECORD_COLUMNS)


def version_with_content(connection: duckdb.DuckDBPyConnection, record: Materialization) -> int | None:
    """The version whose rows are this record's content; None where it is new."""
    known = connection.execute(
        "SELECT max(content_version) FROM materializations WHERE asset = ? AND data_version = ?",
        [record.asset, record.data_version],
    ).fetchone()
    return known[0] if known else None


def insert(connection: duckdb.DuckDBPyConnection, record: Materialization, content_version: int) -> None:
    """Append a record."""
    cells = [_cell(column.type, getattr(record, column.field)) for column in RECORD_COLUMNS]
    marks = ", ".join("?" * (len(cells) + 1))
    connection.execute(
        f"INSERT INTO materializations ({_NAMES}, content_version) VALUES ({marks})",  # noqa: S608 - own names
        [*cells, content_version],
    )


def next_versions(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """The number that the next version of each stored asset gets."""
    newest = connection.execute("SELECT asset, max(version) FROM materializations GROUP BY asset").fetchall()
    return {asset: version + 1 for asset, version in newest}


def all_of(
    connection: duckdb.DuckDBPyConnection, asset: str | None, condition: str = "true", *values: Any
) -> list[tuple[Materialization, int]]:
    """Records with the version that brought their rows, oldest first."""
    found = connection.execute(
        f"SELECT {_NAMES}, content_version FROM materializations "  # noqa: S608 - own names
        f"WHERE ($1 IS NULL OR asset = $1) AND {condition} ORDER BY materialized_at, rowid",
        [asset, *values],
    ).fetchall()
    return [(_record_of(row[:-1]), row[-1]) for row in found]


def _record_of(row: Sequence[Any]) -> Materialization:
    cells = dict(zip((column.field for column in RECORD_COLUMNS), row, strict=True))
    return Materialization.model_validate(cells | {"sources": json.loads(cells["sources"] or "[]")})


def find(
    connection: duckdb.DuckDBPyConnection, incident_id: str, asset: str, version: int | None
) -> tuple[Materialization, int]:
    """The record of one version, else of the newest that has an answer."""
    found = all_of(connection, asset)
    if not found:
        raise NotFoundError(f"{incident_id} has no {asset} yet")
    if version is None:
        return max(found, key=lambda pair: (pair[0].status is not EnvelopeStatus.UNAVAILABLE, pair[0].version))
    for record, content in found:
        if record.version == version:
            return record, content
    newest = max(record.version for record, _ in found)
    raise NotFoundError(f"{incident_id} has no version {version} of {asset}; the newest is {newest}")


def _cell(sql_type: str, value: Any) -> Any:
    if sql_type == "JSON":
        return json.dumps(value, default=str)
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return str(value) if sql_type == "VARCHAR" and value is not None else value
