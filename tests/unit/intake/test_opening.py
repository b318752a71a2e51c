"""Opening an inbox: a new one, an old one, a newer one, and what is none."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from incident_pipeline.errors import StoreError
from incident_pipeline.storage.inbox import Inbox
from incident_pipeline.storage.inbox.schema import migrations
from tests.unit.intake.builders import NOW, alert


def test_what_was_stored_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    first = Inbox.open(path)
    first.accept([alert("a")], NOW)
    first.close()
    again = Inbox.open(f"sqlite:///{path}")
    assert again.state(NOW).pending == 1
    again.close()


def test_many_may_open_a_new_one_at_once(tmp_path: Path) -> None:
    problems: list[Exception] = []

    def open_it() -> None:
        try:
            inbox = Inbox.open(tmp_path / "inbox.sqlite")
            inbox.accept([alert("a")], NOW)
            inbox.close()
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            problems.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_one_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    inbox = Inbox.open(path)
    with inbox._database.write() as connection:
        connection.execute(migrations.insert().values(name="9999_of_the_future"))
    inbox.close()
    with pytest.raises(StoreError, match=r"newer version \(9999_of_the_future\); upgrade"):
        Inbox.open(path)


@pytest.mark.parametrize("make", ["text", "folder", "nowhere", "driver"])
def test_what_is_no_inbox_is_said_in_a_sentence(tmp_path: Path, make: str) -> None:
    places: dict[str, str | Path] = {
        "text": tmp_path / "text",
        "folder": tmp_path,
        "nowhere": tmp_path / "no" / "where",
        "driver": "oracle://user:geheim@host/db",
    }
    (tmp_path / "text").write_text("this is not a database, but it is long enough to look like one " * 20)
    with pytest.raises(StoreError, match="cannot be") as raised:
        Inbox.open(places[make], busy_seconds=0.1)
    assert "geheim" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    inbox = Inbox.open(tmp_path / "inbox.sqlite")
    with inbox._database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    inbox.close()
