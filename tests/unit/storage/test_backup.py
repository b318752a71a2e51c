"""What was saved comes back, and nothing is put over what is there."""

from __future__ import annotations

import io
import sqlite3
import tarfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from incident_pipeline.errors import InputError, StoreError
from incident_pipeline.models import StatusUpdate
from incident_pipeline.storage.backup import backup, restore
from incident_pipeline.storage.incidents.archive import archive
from incident_pipeline.storage.incidents.store import IncidentStore

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    store = IncidentStore(folder / "incidents")
    for name in ("INC-0", "INC-1", "INC-2"):
        value = StatusUpdate(markdown=name, as_of=NOW)
        store.write(name, {"status_update": value}, run_id="r", as_of=NOW, now=NOW)
    archive(store.directory, ["INC-0"], "20261201")
    (folder / "knowledge_base.duckdb").write_bytes(b"knowledge")
    return folder


def test_everything_that_was_saved_comes_back(data_dir: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data_dir / "inbox.sqlite")) as inbox:
        inbox.execute("PRAGMA journal_mode = WAL")
        inbox.execute("CREATE TABLE alerts (title TEXT)")
        inbox.execute("INSERT INTO alerts VALUES ('disk full')")
        inbox.commit()
        saved = backup(data_dir, tmp_path / "b.tar.gz")  # with the inbox open, its rows still in the WAL
    assert saved == (
        "inbox.sqlite",
        "incidents/INC-1.duckdb",
        "incidents/INC-2.duckdb",
        "incidents/archive/20261201-0000/materializations.parquet",
        "incidents/archive/20261201-0000/status_update_versions.parquet",
        "knowledge_base.duckdb",
    )
    assert restore(tmp_path / "b.tar.gz", tmp_path / "again") == saved
    store = IncidentStore(tmp_path / "again" / "incidents")
    assert [store.read(name, "status_update").markdown for name in store.incident_ids()] == ["INC-0", "INC-1", "INC-2"]
    with closing(sqlite3.connect(tmp_path / "again" / "inbox.sqlite")) as inbox:
        assert inbox.execute("SELECT title FROM alerts").fetchall() == [("disk full",)]
    assert (tmp_path / "again" / "knowledge_base.duckdb").read_bytes() == b"knowledge"


def test_nothing_is_overwritten(data_dir: Path, tmp_path: Path) -> None:
    backup(data_dir, tmp_path / "b.tar.gz")
    with pytest.raises(StoreError, match="exists already"):
        backup(data_dir, tmp_path / "b.tar.gz")
    with pytest.raises(StoreError, match="is not empty"):
        restore(tmp_path / "b.tar.gz", data_dir)


def test_a_backup_is_for_its_owner_alone(data_dir: Path, tmp_path: Path) -> None:
    backup(data_dir, tmp_path / "b.tar.gz")
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o777 == 0o600


def test_a_file_system_of_its_own_counts_as_empty(data_dir: Path, tmp_path: Path) -> None:
    backup(data_dir, tmp_path / "b.tar.gz")
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    restore(tmp_path / "b.tar.gz", tmp_path / "disk")
    assert IncidentStore(tmp_path / "disk" / "incidents").incident_ids() == ["INC-0", "INC-1", "INC-2"]


def test_a_damaged_inbox_is_said_to_be(data_dir: Path, tmp_path: Path) -> None:
    (data_dir / "inbox.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="cannot be written: file is not a database"):
        backup(data_dir, tmp_path / "b.tar.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_empty_data_directory_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing to save"):
        backup(tmp_path, tmp_path / "b.tar.gz")
    assert [path.name for path in tmp_path.iterdir()] == [".housekeeping.lock"]
    with pytest.raises(StoreError, match="does not exist"):
        backup(tmp_path / "absent", tmp_path / "b.tar.gz")


@pytest.mark.parametrize(
    "name", ["../outside.duckdb", "/etc/x.duckdb", "incidents/../x.duckdb", "other/INC-1.duckdb", "notes"]
)
def test_a_strange_archive_puts_nothing_anywhere(tmp_path: Path, name: str) -> None:
    source = tmp_path / "b.tar.gz"
    with tarfile.open(source, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(InputError, match="is not a backup of this program"):
        restore(source, tmp_path / "again")
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar.gz"]


def test_a_broken_or_absent_file_is_said_to_be(data_dir: Path, tmp_path: Path) -> None:
    backup(data_dir, tmp_path / "b.tar.gz")
    whole = (tmp_path / "b.tar.gz").read_bytes()
    for name, content in (("half", whole[: len(whole) // 2]), ("text", b"hello")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be restored"):
            restore(tmp_path / name, tmp_path / "again")
    with pytest.raises(InputError, match="cannot be restored"):
        restore(tmp_path / "absent", tmp_path / "again")
    assert not (tmp_path / "again").exists()
