"""Old incidents, many in a few Parquet files instead of a file each.

Belongs here: moving incidents into the archive, out of it again, and forgetting them. Does not belong here: which
incidents are old (`prune` asks the inbox), or queries (`across.py` reads the archive as well).

A batch is a folder below `archive/` with one Parquet file for each table. It appears by a rename, whole or not at all;
then the incidents' own files go, unless somebody wrote to one meanwhile. Where an incident has a file of its own, that
file counts; else the newest batch that holds it. So a process that dies in between leaves nothing wrong.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from incident_pipeline.errors import StoreError
from incident_pipeline.storage.incidents import migrations
from incident_pipeline.storage.incidents.file import SETTINGS, attached, first_line, incident_path, locked, opened
from incident_pipeline.storage.incidents.tables import ASSETS

if TYPE_CHECKING:
    import duckdb

FOLDER = "archive"
RECORDS = "materializations"
TABLES = (RECORDS, *(table.table for table in ASSETS.values()))
INCIDENTS_AT_ONCE = 100
_BATCH = re.compile(r"[A-Za-z0-9_-]{1,80}")


def archive(directory: Path, incident_ids: Sequence[str], batch: str, *, patience: float = 5.0) -> list[str]:
    """Move incidents into the archive; returns those that were moved.

    `batch` names the folders: batches sort by name, so a time such as `20261123-143500` serves. An incident that is in
    use stays where it is.

    Raises:
        StoreError: the archive cannot be written.
    """
    if not _BATCH.fullmatch(batch):
        raise StoreError(f"{batch[:80]!r} is not the name of a batch: letters, digits, - and _ only")
    moved: list[str] = []
    for number in range(0, len(incident_ids), INCIDENTS_AT_ONCE):
        name = f"{batch}-{number // INCIDENTS_AT_ONCE:04}"
        copied = _write_batch(directory, incident_ids[number : number + INCIDENTS_AT_ONCE], name, patience)
        moved += [
            incident_id for incident_id, records in copied.items() if _drop(directory, incident_id, records, patience)
        ]
    return moved


def archived_ids(directory: Path) -> list[str]:
    """The incidents that the archive holds, oldest first."""
    return sorted(_newest_batches(directory))


def thaw(directory: Path, incident_id: str, *, patience: float = 5.0) -> bool:
    """Give an archived incident a file of its own again; False where the archive does not hold it."""
    if incident_id not in _newest_batches(directory):
        return False
    path = incident_path(directory, incident_id)
    with opened(path, read_only=False, patience=patience) as connection:
        if not path.exists():  # else somebody was faster
            migrations.migrate(connection, path.name)
            fill(connection, directory, incident_id)
    return True


def fill(connection: duckdb.DuckDBPyConnection, directory: Path, incident_id: str) -> None:
    """Copy what the archive holds of an incident into its new, still empty file; nothing where it holds nothing."""
    batch = _newest_batches(directory).get(incident_id)
    if batch is None:
        return
    folder = directory / FOLDER / batch
    stored = [table for table in ASSETS.values() if (folder / f"{table.table}.parquet").exists()]
    changes = migrations.table_changes(connection, stored)
    connection.execute("BEGIN")
    for statement in changes:
        connection.execute(statement)
    for name in (RECORDS, *(table.table for table in stored)):
        _copy_back(connection, name, folder / f"{name}.parquet", incident_id)
    connection.execute("COMMIT")


def forget(directory: Path, incident_ids: Iterable[str]) -> None:
    """Remove incidents from the archive; batches that hold them are written again without them."""
    gone = sorted(set(incident_ids))
    for folder in batches(directory):
        with _memory() as connection:
            held = connection.execute(
                f"SELECT incident_id IN (SELECT unnest($1::VARCHAR[])) FROM {_parquet(_records_of([folder]))}",  # noqa: S608
                [gone],
            ).fetchall()
            if (True,) not in held:
                continue
            if (False,) in held:
                _rewrite(connection, folder, gone)
        shutil.rmtree(folder)


def _rewrite(connection: duckdb.DuckDBPyConnection, folder: Path, gone: Sequence[str]) -> None:
    batch = f"{folder.name}x"
    fresh = _fresh(folder.parent.parent, batch)
    for file in sorted(folder.glob("*.parquet")):
        connection.execute(
            f"CREATE OR REPLACE TABLE kept AS SELECT * REPLACE ('{batch}' AS batch) FROM {_parquet([file])} "  # noqa: S608
            "WHERE incident_id NOT IN (SELECT unnest($1::VARCHAR[]))",
            [gone],
        )
        connection.execute(f"COPY kept TO {_text(fresh / file.name)} (COMPRESSION zstd)")
    fresh.replace(folder.with_name(batch))


def batches(directory: Path) -> list[Path]:
    """The folders of the archive, oldest first."""
    return sorted(path for path in (directory / FOLDER).glob("[!.]*") if path.is_dir())


def define_views(connection: duckdb.DuckDBPyConnection, directory: Path) -> list[str]:
    """Views over the newest batch of each incident, in the schema `archived`; returns the tables that there are."""
    connection.execute("CREATE SCHEMA archived")
    folders, found = batches(directory), []
    for name in TABLES:
        files = [folder / f"{name}.parquet" for folder in folders if (folder / f"{name}.parquet").exists()]
        if files:
            newest = f"SELECT incident_id, max(batch) AS batch FROM {_parquet(_records_of(folders))} GROUP BY 1"  # noqa: S608
            connection.execute(
                f"CREATE VIEW archived.{name} AS SELECT * FROM {_parquet(files)} "  # noqa: S608 - own names
                f"SEMI JOIN ({newest}) AS newest USING (incident_id, batch)"
            )
            found.append(name)
    return found


# --- parts --------------------------------------------------------------------------------------


def _write_batch(directory: Path, incident_ids: Sequence[str], batch: str, patience: float) -> dict[str, int]:
    """Write a batch; returns each incident that is in it with the number of its records."""
    import duckdb

    copied: dict[str, int] = {}
    fresh = _fresh(directory, batch)
    with _memory() as connection:
        for incident_id in incident_ids:
            with suppress(StoreError), attached(connection, incident_path(directory, incident_id), patience):
                copied[incident_id] = _copy_in(connection, incident_id, batch)
        try:
            for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall() if copied else ():
                connection.execute(f"COPY {name} TO {_text(fresh / f'{name}.parquet')} (COMPRESSION zstd)")
        except duckdb.Error as error:
            raise StoreError(f"the archive in {directory} cannot be written: {first_line(error)}") from error
    if copied:
        fresh.replace(directory / FOLDER / batch)
    else:
        fresh.rmdir()
    return copied


def _copy_in(connection: duckdb.DuckDBPyConnection, incident_id: str, batch: str) -> int:
    """Append all of the attached incident to the batch, all or nothing; returns how many records it has."""
    import duckdb

    stored = connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'one'").fetchall()
    labels = f"'{incident_id}' AS incident_id, '{batch}' AS batch"
    connection.execute("BEGIN")
    try:
        for name in sorted({name for (name,) in stored} & set(TABLES)):
            rest = "* EXCLUDE (incident_id)" if name == RECORDS else "*"
            select = f"SELECT {labels}, {rest} FROM one.{name}"  # noqa: S608 - own names
            connection.execute(f"CREATE TABLE IF NOT EXISTS {name} AS {select} LIMIT 0")
            _add_columns(connection, name, select)
            connection.execute(f"INSERT INTO {name} BY NAME {select}")
        records = connection.execute(f"SELECT count(*) FROM one.{RECORDS}").fetchall()[0][0]  # noqa: S608
    except duckdb.Error:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return int(records)


def _add_columns(connection: duckdb.DuckDBPyConnection, name: str, select: str) -> None:
    """Give a batch's table the columns that only newer files have."""
    known = {row[0] for row in connection.execute(f"DESCRIBE {name}").fetchall()}
    for column, kind, *_ in connection.execute(f"DESCRIBE {select}").fetchall():
        if column not in known:
            connection.execute(f'ALTER TABLE {name} ADD COLUMN "{column}" {kind}')


def _copy_back(connection: duckdb.DuckDBPyConnection, name: str, file: Path, incident_id: str) -> None:
    source = _parquet([file])
    known = {row[0] for row in connection.execute(f"DESCRIBE {name}").fetchall()}
    archived = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]  # noqa: S608
    columns = ", ".join(f'"{column}"' for column in archived if column in known)
    connection.execute(
        f"INSERT INTO {name} BY NAME SELECT {columns} FROM {source} WHERE incident_id = $1",  # noqa: S608 - own names
        [incident_id],
    )


def _drop(directory: Path, incident_id: str, records: int, patience: float) -> bool:
    """Remove the incident's own file, unless it holds more by now than the archive does."""
    path = incident_path(directory, incident_id)
    with _memory() as connection, suppress(StoreError), locked(path, patience):
        quoted = _text(path)
        connection.execute(f"ATTACH {quoted} AS one (READ_ONLY)")
        now = connection.execute(f"SELECT count(*) FROM one.{RECORDS}").fetchall()[0][0]  # noqa: S608 - own names
        connection.execute("DETACH one")
        if now == records:
            path.unlink()
            return True
    return False


def _newest_batches(directory: Path) -> dict[str, str]:
    """Each archived incident and the newest batch that holds it."""
    folders = batches(directory)
    if not folders:
        return {}
    with _memory() as connection:
        newest = f"SELECT incident_id, max(batch) FROM {_parquet(_records_of(folders))} GROUP BY 1"  # noqa: S608
        return dict(connection.execute(newest).fetchall())


@contextmanager
def _memory() -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    settings = {name: value for name, value in SETTINGS.items() if name != "default_block_size"}
    with duckdb.connect(":memory:", config=dict(settings)) as connection:
        yield connection


def _fresh(directory: Path, batch: str) -> Path:
    folder = directory / FOLDER / f".{batch}.new"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _records_of(folders: Iterable[Path]) -> list[Path]:
    return [folder / f"{RECORDS}.parquet" for folder in folders]


def _parquet(files: Iterable[Path]) -> str:
    return f"read_parquet([{', '.join(map(_text, files))}], union_by_name = true)"


def _text(path: Path) -> str:
    """A path as an SQL literal: COPY and ATTACH take no parameters."""
    return "'" + str(path).replace("'", "''") + "'"
