"""The incident store: one DuckDB file for each incident, with every version of every asset.

Belongs here: writing, reading and comparing versions. What a row is stands in `tables.py` and `rows.py`, how a file is
opened in `file.py`, its schema in `migrations.py`.

Nothing is overwritten: what is written comes under the asset's next version, in one transaction. Content that is there
already adds only a record. A re-run that found its source unavailable never hides what was known: without a version,
`read` answers with the newest version that has an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incident_pipeline.errors import NotFoundError, StoreError
from incident_pipeline.models import Materialization
from incident_pipeline.storage.incidents import archive, migrations, records, rows
from incident_pipeline.storage.incidents.bulk import insert_columns, select_rows
from incident_pipeline.storage.incidents.content import Prepared, prepare
from incident_pipeline.storage.incidents.file import SUFFIX, first_line, incident_path, locked, opened
from incident_pipeline.storage.incidents.tables import ASSETS, AssetTable
from incident_pipeline.storage.incidents.version_diff import VersionDiff, compare

if TYPE_CHECKING:
    import duckdb


class IncidentStore:
    """Every version of every asset of every incident below one directory.

    Calls are short and hold no file in between; any number of processes may use the same directory.
    """

    def __init__(self, directory: Path, *, patience: float = 30.0) -> None:
        """`patience`: seconds to wait for another process that has a file open."""
        self.directory = directory
        self._patience = patience

    # --- writing --------------------------------------------------------------------------------

    def write(
        self,
        incident_id: str,
        values: Mapping[str, Any],
        *,
        run_id: str,
        as_of: datetime,
        now: datetime,
        code_versions: Mapping[str, str] | None = None,
        knowledge_base_version: str | None = None,
    ) -> dict[str, Materialization]:
        """Append each value as the next version of its asset, all of them or none.

        Raises:
            StoreError: a value is not what its asset stores, or the file cannot be written.
        """
        return self.append(
            incident_id,
            [prepare(asset, value) for asset, value in values.items()],
            run_id=run_id,
            as_of=as_of,
            now=now,
            code_versions=code_versions or {},
            knowledge_base_versions=dict.fromkeys(values, knowledge_base_version),
        )

    def append(
        self,
        incident_id: str,
        prepared: Sequence[Prepared],
        *,
        run_id: str,
        as_of: datetime,
        now: datetime,
        code_versions: Mapping[str, str],
        knowledge_base_versions: Mapping[str, str | None],
    ) -> dict[str, Materialization]:
        """As `write`, of values that are prepared already.

        Raises:
            StoreError: the file cannot be written.
        """
        path = incident_path(self.directory, incident_id)
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._transaction(path, [item.table for item in prepared]) as connection:
            versions = records.next_versions(connection)
            written = {}
            for item in prepared:
                record = Materialization(
                    incident_id=incident_id,
                    asset=item.table.name,
                    version=versions.get(item.table.name, 1),
                    data_version=item.data_version,
                    code_version=code_versions.get(item.table.name, ""),
                    run_id=run_id,
                    as_of=as_of,
                    knowledge_base_version=knowledge_base_versions.get(item.table.name),
                    materialized_at=now,
                    rows=len(item.rows),
                    status=item.status,
                    sources=item.envelopes,
                )
                _append(connection, item, record)
                written[item.table.name] = record
        return written

    def delete(self, *incident_ids: str) -> None:
        """Remove incidents with all that is stored of them; one that is not there is no error."""
        paths = [incident_path(self.directory, incident_id) for incident_id in incident_ids]
        archive.forget(self.directory, incident_ids)
        for path in filter(Path.exists, paths):
            with locked(path, self._patience):
                path.unlink(missing_ok=True)
                path.with_name(path.name + ".wal").unlink(missing_ok=True)

    # --- reading --------------------------------------------------------------------------------

    def exists(self, incident_id: str) -> bool:
        """Whether anything is stored of this incident."""
        path = incident_path(self.directory, incident_id)
        return path.exists() or incident_id in archive.archived_ids(self.directory)

    def incident_ids(self) -> list[str]:
        """The incidents of which something is stored, oldest first."""
        files = {path.name.removesuffix(SUFFIX) for path in self.directory.glob(f"*{SUFFIX}")}
        return sorted(files.union(archive.archived_ids(self.directory)))

    def read(self, incident_id: str, asset: str, version: int | None = None) -> Any:
        """The value of one version; without one, of the newest that has an answer.

        Raises:
            NotFoundError: there is no such incident, asset or version.
        """
        rows.asset_table(asset)
        with self._reading(incident_id) as connection:
            record, content = records.find(connection, incident_id, asset, version)
            return _value(connection, record, content)

    def read_all(self, incident_id: str, assets: Iterable[str] | None = None) -> dict[str, Any]:
        """The newest answers of several assets, or of all; an asset that was never stored is left out.

        Raises:
            NotFoundError: there is no such incident.
        """
        wanted = set(ASSETS if assets is None else assets)
        with self._reading(incident_id) as connection:
            stored = {
                asset for (asset,) in connection.execute("SELECT DISTINCT asset FROM materializations").fetchall()
            }
            return {
                asset: _value(connection, *records.find(connection, incident_id, asset, None))
                for asset in ASSETS
                if asset in wanted & stored
            }

    def materializations(self, incident_id: str, asset: str | None = None) -> list[Materialization]:
        """The records of all versions, in the order in which they were stored.

        Raises:
            NotFoundError: there is no such incident.
        """
        if asset is not None:
            rows.asset_table(asset)
        with self._reading(incident_id) as connection:
            return [record for record, _ in records.all_of(connection, asset)]

    def diff(self, incident_id: str, asset: str, v1: int, v2: int) -> VersionDiff:
        """What changed from one version to another.

        Raises:
            NotFoundError: there is no such incident, asset or version.
        """
        table = rows.asset_table(asset)
        with self._reading(incident_id) as connection:
            (first, before), (second, after) = (records.find(connection, incident_id, asset, v) for v in (v1, v2))
            return compare(
                table, first, select_rows(connection, table, before), second, select_rows(connection, table, after)
            )

    # --- the file -------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, path: Path, tables: Sequence[AssetTable] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        with opened(path, read_only=False, patience=self._patience) as connection:
            try:
                migrations.migrate(connection, path.name)
                if not path.exists():  # a new file, or one that was archived meanwhile
                    archive.fill(connection, self.directory, path.name.removesuffix(SUFFIX))
                changes = migrations.table_changes(connection, tables)
                connection.execute("BEGIN")
                for statement in changes:
                    connection.execute(statement)
                yield connection
                connection.execute("COMMIT")
            except duckdb.Error as error:
                raise StoreError(f"{path.name} could not be written: {first_line(error)}") from error

    @contextmanager
    def _reading(self, incident_id: str) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        path = incident_path(self.directory, incident_id)
        if not path.exists() and not archive.thaw(self.directory, incident_id, patience=self._patience):
            raise NotFoundError(
                f"nothing is stored of an incident {incident_id}; `incidents list` shows those there are"
            )
        try:
            with opened(path, read_only=True, patience=self._patience) as connection:
                if migrations.is_current(connection, path.name):
                    yield connection
                    return
            with self._transaction(path):
                pass
            with opened(path, read_only=True, patience=self._patience) as connection:
                yield connection
        except duckdb.Error as error:
            raise StoreError(f"{path.name} cannot be read: {first_line(error)}") from error


def _append(connection: duckdb.DuckDBPyConnection, item: Prepared, record: Materialization) -> None:
    """Store a version: its rows, unless an earlier version brought the same content, and its record."""
    content = records.version_with_content(connection, record)
    if content is None and item.rows:
        insert_columns(connection, item.table, record.version, item.columns)
    records.insert(connection, record, content or record.version)


def _value(connection: duckdb.DuckDBPyConnection, record: Materialization, content: int) -> Any:
    found = select_rows(connection, ASSETS[record.asset], content)
    return rows.from_rows(record.asset, found, record.sources)
