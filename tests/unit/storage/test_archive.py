"""Old incidents move into Parquet and nobody notices, except by the room they take."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from incident_pipeline.errors import NotFoundError, StoreError
from incident_pipeline.models import Envelope, EvidenceKind, Gathered, LogEntry, StatusUpdate
from incident_pipeline.storage.incidents.across import query
from incident_pipeline.storage.incidents.archive import archive, archived_ids, forget
from incident_pipeline.storage.incidents.store import IncidentStore

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
QUERIES = (
    "SELECT incident_id, version, run_id, message, attributes FROM logs ORDER BY ALL",
    "SELECT incident_id, version, run_id, message FROM logs_versions ORDER BY ALL",
    "SELECT * FROM status_update ORDER BY ALL",
    "SELECT * FROM materializations ORDER BY incident_id, asset, version",
)


def logs(*messages: str) -> Gathered[LogEntry]:
    lines = [LogEntry(timestamp=NOW, message=message, attributes={"n": [1]}) for message in messages]
    return Gathered(kind=EvidenceKind.LOGS, envelopes=(Envelope.of("loki", lines, seconds=0.5),))


SILENT: Gathered[LogEntry] = Gathered(kind=EvidenceKind.LOGS, envelopes=(Envelope.unavailable("loki", "timed out"),))


@pytest.fixture
def store(tmp_path: Path) -> IncidentStore:
    made = IncidentStore(tmp_path / "it's here", patience=0.3)
    for name in ("INC-1", "INC-2", "INC-3"):
        for number, value in enumerate((logs(f"{name} a"), logs(f"{name} b", "c"), SILENT, logs(f"{name} a"))):
            made.write(name, {"logs": value}, run_id=f"r{number}", as_of=NOW, now=NOW)
    made.write("INC-2", {"status_update": StatusUpdate(markdown="#", as_of=NOW)}, run_id="r", as_of=NOW, now=NOW)
    return made


def answers(store: IncidentStore) -> list[object]:
    return [query(store.directory, sql).rows for sql in QUERIES]


def files(store: IncidentStore) -> list[str]:
    return sorted(path.name for path in store.directory.glob("*.duckdb"))


def test_queries_and_reads_see_no_difference(store: IncidentStore) -> None:
    before, records = answers(store), store.materializations("INC-2")
    assert archive(store.directory, ["INC-1", "INC-2"], "20261201") == ["INC-1", "INC-2"]
    assert files(store) == ["INC-3.duckdb"]
    assert answers(store) == before
    assert store.incident_ids() == ["INC-1", "INC-2", "INC-3"]
    assert store.exists("INC-1")
    assert store.read("INC-2", "logs", 2) == logs("INC-2 b", "c")
    assert store.read("INC-2", "logs", 3) == SILENT
    assert store.materializations("INC-2") == records
    assert answers(store) == before


def test_an_archived_incident_goes_on_where_it_was(store: IncidentStore) -> None:
    archive(store.directory, ["INC-1"], "20261201")
    record = store.write("INC-1", {"logs": logs("later")}, run_id="r9", as_of=NOW, now=NOW)["logs"]
    assert record.version == 5
    now = answers(store)
    archive(store.directory, ["INC-1", "INC-3"], "20261202")
    assert answers(store) == now
    assert store.read("INC-1", "logs") == logs("later")


def test_a_batch_cannot_be_a_path(store: IncidentStore) -> None:
    with pytest.raises(StoreError, match="is not the name of a batch"):
        archive(store.directory, ["INC-1"], "../x")


def test_an_incident_in_use_stays(store: IncidentStore) -> None:
    with duckdb.connect(str(store.directory / "INC-1.duckdb")):
        assert archive(store.directory, ["INC-1", "INC-2"], "20261201", patience=0.1) == ["INC-2"]
    (store.directory / "INC-3.duckdb").write_bytes(b"damaged" * 5000)
    assert archive(store.directory, ["INC-3"], "20261202") == []
    assert archived_ids(store.directory) == ["INC-2"]
    assert files(store) == ["INC-1.duckdb", "INC-3.duckdb"]


def test_a_death_between_archiving_and_removing_harms_nothing(store: IncidentStore) -> None:
    kept = (store.directory / "INC-1.duckdb").read_bytes()
    before = answers(store)
    archive(store.directory, ["INC-1"], "20261201")
    (store.directory / "INC-1.duckdb").write_bytes(kept)
    (store.directory / "archive" / ".20261202-0000.new").mkdir()
    assert answers(store) == before
    assert archive(store.directory, ["INC-1"], "20261203") == ["INC-1"]
    assert answers(store) == before


def test_what_is_forgotten_is_gone(store: IncidentStore) -> None:
    archive(store.directory, ["INC-1", "INC-2"], "20261201")
    archive(store.directory, ["INC-3"], "20261202")
    store.delete("INC-1")
    store.delete("INC-3")
    assert archived_ids(store.directory) == ["INC-2"]
    assert b"INC-1" not in b"".join(path.read_bytes() for path in store.directory.rglob("*.parquet"))
    with pytest.raises(NotFoundError, match="nothing is stored"):
        store.read("INC-1", "logs")
    assert store.read("INC-2", "logs") == logs("INC-2 a")
    forget(store.directory, ["INC-2"])
    assert list((store.directory / "archive").iterdir()) == []


def test_files_of_different_models_share_a_batch(store: IncidentStore) -> None:
    for name in ("INC-1", "INC-3"):
        with duckdb.connect(str(store.directory / f"{name}.duckdb")) as connection:
            connection.execute("DROP VIEW logs")
            connection.execute("ALTER TABLE logs_versions DROP COLUMN level")
    before = answers(store)
    archive(store.directory, ["INC-1", "INC-2", "INC-3"], "20261201")
    assert answers(store) == before
    assert store.read("INC-3", "logs") == logs("INC-3 a")
