"""The schema follows the models, and files of other times are read or refused in a sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import get_args

import duckdb
import pytest

from incident_pipeline.errors import StoreError
from incident_pipeline.models import Envelope, EvidenceKind, Gathered, LogEntry
from incident_pipeline.storage.incidents import migrations
from incident_pipeline.storage.incidents.store import IncidentStore
from incident_pipeline.storage.incidents.tables import ASSETS, EMPTY_VALUES, RECORD_COLUMNS, AssetTable

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
LOGS: Gathered[LogEntry] = Gathered(
    kind=EvidenceKind.LOGS,
    envelopes=(Envelope.of("loki", [LogEntry(timestamp=NOW, service="payments", level="error", message="m")]),),
)


def stored(tmp_path: Path) -> tuple[IncidentStore, Path]:
    store = IncidentStore(tmp_path)
    store.write("INC-1", {"logs": LOGS}, run_id="r", as_of=NOW, now=NOW)
    return store, tmp_path / "INC-1.duckdb"


@pytest.mark.parametrize("table", ASSETS.values(), ids=list(ASSETS))
def test_columns_are_named_once_and_never_like_those_of_the_view(table: AssetTable) -> None:
    names = [column.name.lower() for column in table.columns]
    assert len(names) == len(set(names))
    assert not set(names) & {"incident_id", "version", "run_id", "content_version"}


@pytest.mark.parametrize("table", ASSETS.values(), ids=list(ASSETS))
def test_an_empty_cell_reads_as_the_default_of_its_field(table: AssetTable) -> None:
    for name, field in table.row.model_fields.items():
        if NoneType in get_args(field.annotation):
            assert field.default is None, f"{name} may be None: a stored None must read as None"


def test_every_kind_of_evidence_has_a_table() -> None:
    assert {kind.value for kind in EvidenceKind} <= set(ASSETS)
    assert EMPTY_VALUES["logs"] == Gathered(kind=EvidenceKind.LOGS)
    assert EMPTY_VALUES["change_hypotheses"] == ()


def test_moments_are_timestamps_and_numbers_numbers(tmp_path: Path) -> None:
    _, path = stored(tmp_path)
    with duckdb.connect(str(path), read_only=True) as connection:
        described = {row[0]: row[1] for row in connection.execute("DESCRIBE logs").fetchall()}
        sizes = connection.execute("PRAGMA database_size").fetchall()
    assert described == {
        "incident_id": "VARCHAR",
        "version": "BIGINT",
        "run_id": "VARCHAR",
        "position": "INTEGER",
        "envelope": "INTEGER",
        "timestamp": "TIMESTAMP",
        "service": "VARCHAR",
        "level": "VARCHAR",
        "message": "VARCHAR",
        "attributes": "JSON",
    }
    assert 16384 in sizes[0]


def test_a_file_remembers_its_migrations(tmp_path: Path) -> None:
    _, path = stored(tmp_path)
    with duckdb.connect(str(path)) as connection:
        found = connection.execute("SELECT version, name FROM schema_version ORDER BY version").fetchall()
        assert found == [(n, step.__name__) for n, step in enumerate(migrations.MIGRATIONS, start=1)]

        def add_a_note(changing: duckdb.DuckDBPyConnection) -> None:
            changing.execute("ALTER TABLE materializations ADD COLUMN note VARCHAR")

        migrations.migrate(connection, path.name, [*migrations.MIGRATIONS, add_a_note])
        assert connection.execute("SELECT asset, note FROM materializations").fetchall() == [("logs", None)]
        assert migrations.schema_version(connection) == migrations.SCHEMA_VERSION + 1


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    _, path = stored(tmp_path)

    def fail(changing: duckdb.DuckDBPyConnection) -> None:
        changing.execute("DROP VIEW logs")
        changing.execute("SELECT * FROM nothing_like_this")

    with duckdb.connect(str(path)) as connection, pytest.raises(duckdb.Error):
        migrations.migrate(connection, path.name, [*migrations.MIGRATIONS, fail])
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SELECT message FROM logs").fetchall() == [("m",)]
        assert migrations.schema_version(connection) == migrations.SCHEMA_VERSION


def test_a_file_from_before_any_schema_opens(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "INC-0.duckdb")):
        pass
    store = IncidentStore(tmp_path)
    assert store.materializations("INC-0") == []
    assert store.write("INC-0", {"logs": LOGS}, run_id="r", as_of=NOW, now=NOW)["logs"].version == 1


def test_a_file_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    store, path = stored(tmp_path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99, 'later')")
    with pytest.raises(StoreError, match=r"INC-1\.duckdb was written by a newer release \(schema 99"):
        store.read("INC-1", "logs")
    with pytest.raises(StoreError, match="upgrade to read it"):
        store.write("INC-1", {"logs": LOGS}, run_id="r", as_of=NOW, now=NOW)


def test_a_field_that_a_model_has_gained_reads_as_its_default_and_is_added_when_written(tmp_path: Path) -> None:
    store, path = stored(tmp_path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP VIEW logs")
        connection.execute("ALTER TABLE logs_versions DROP COLUMN level")
    assert store.read("INC-1", "logs").rows[0].level is None
    again = Gathered(
        kind=EvidenceKind.LOGS, envelopes=(Envelope.of("loki", [LogEntry(timestamp=NOW, level="warn", message="n")]),)
    )
    store.write("INC-1", {"logs": again}, run_id="r", as_of=NOW, now=NOW)
    assert store.read("INC-1", "logs") == again
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("SELECT version, level, message FROM logs").fetchall() == [(2, "warn", "n")]


def test_records_keep_every_field() -> None:
    assert [column.name for column in RECORD_COLUMNS][:4] == ["incident_id", "asset", "version", "data_version"]
