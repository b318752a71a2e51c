"""What ended long ago is archived, what ended longer ago is forgotten, and what goes on is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.errors import NotFoundError, StoreError
from incident_pipeline.models import Severity, StatusUpdate
from incident_pipeline.storage.housekeeping_lock import housekeeping
from incident_pipeline.storage.inbox import Inbox
from incident_pipeline.storage.inbox.schema import metadata
from incident_pipeline.storage.incidents.archive import archived_ids
from incident_pipeline.storage.incidents.store import IncidentStore
from incident_pipeline.storage.prune import Pruned, prune
from tests.unit.intake.builders import NOW, Intake, alert, resolved

DAY = timedelta(days=1)


class Place:
    """An inbox and a store with incidents that ended some days ago."""

    def __init__(self, folder: Path) -> None:
        self.intake = Intake(folder / "inbox.sqlite")
        self.store = IncidentStore(folder / "incidents", patience=0.2)

    @property
    def inbox(self) -> Inbox:
        return self.intake.inbox

    def incident(self, service: str, days: float, severity: str = "P2", ends: bool = True) -> str:
        """One incident that began so many days before `NOW`, and ended a minute later."""
        start = -days * DAY.total_seconds()
        before = {record.incident_id for record in self.inbox.incidents()}
        self.intake.take(alert(service, service, start, severity=severity))
        self.intake.run(start + 1)
        if ends:
            self.intake.take(resolved(service, service, start, until=start + 60, severity=severity))
            while self.intake.run(start + 4000):
                pass
        (name,) = {record.incident_id for record in self.inbox.incidents()} - before
        value = StatusUpdate(markdown=service, as_of=NOW)
        self.store.write(name, {"status_update": value}, run_id="r", as_of=NOW, now=NOW)
        return name

    def prune(self, now: datetime = NOW, dry_run: bool = False, **settings: object) -> Pruned:
        scenario = Scenario.model_validate({"archive_after": "30d", **settings})
        return prune(self.inbox, self.store, scenario, now, dry_run=dry_run)

    def rows(self, name: str) -> int:
        """How many rows of all tables are about an incident."""
        with self.inbox._database.read() as connection:
            tables = [table for table in metadata.sorted_tables if "incident_id" in table.columns]
            return sum(len(connection.execute(table.select().filter_by(incident_id=name)).all()) for table in tables)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.inbox.close()


def test_old_incidents_are_archived_and_older_ones_forgotten(place: Place) -> None:
    ancient, old, open_one, fresh = (
        place.incident("cart", 100),
        place.incident("checkout", 40),
        place.incident("mail", 90, ends=False),
        place.incident("search", 5),
    )
    would = place.prune(retention="90d", dry_run=True)
    assert would == Pruned((old,), (ancient,))
    assert place.store.exists(ancient)
    assert place.prune(retention="90d") == would
    assert place.store.incident_ids() == sorted([old, open_one, fresh])
    assert archived_ids(place.store.directory) == [old]
    assert place.store.read(old, "status_update").markdown == "checkout"
    assert place.rows(ancient) == 0
    assert place.rows(open_one) > 0
    with pytest.raises(NotFoundError):
        place.inbox.incident(ancient)
    assert [event.details for event in place.inbox.events() if event.kind == "incidents_forgotten"] == [
        {"incidents": [ancient]}
    ]
    # what was read again has a file of its own until the next time
    assert place.prune(NOW + DAY, retention="90d") == Pruned((old,), ())
    assert place.prune(NOW + DAY, retention="90d") == Pruned((), ())


def test_nothing_is_forgotten_unless_asked(place: Place) -> None:
    name = place.incident("cart", 4000)
    assert place.prune() == Pruned((name,), ())


def test_each_severity_has_its_own_retention(place: Place) -> None:
    worst, mild = place.incident("cart", 100, "P1"), place.incident("checkout", 100, "P4")
    kept = {"retention": "365d", "retention_by_severity": {"P4": "60d"}}
    assert place.prune(**kept).forgotten == (mild,)
    assert place.store.exists(worst)
    assert place.prune(retention_by_severity={"P1": "99d"}).forgotten == (worst,)


def test_an_incident_that_waits_for_a_run_is_not_over(place: Place) -> None:
    place.intake.take(alert("a", "cart", -100 * DAY.total_seconds()))
    name = place.intake.only
    assert place.inbox.ended(dict.fromkeys(Severity, NOW)) == []
    place.inbox.resolve(name, "somebody", NOW - 99 * DAY)
    assert place.inbox.ended(dict.fromkeys(Severity, NOW)) == []  # its documents are still to be written


def test_a_merged_incident_goes_with_its_last_alert(place: Place) -> None:
    into, gone = place.incident("cart", 100, ends=False), place.incident("checkout", 99, ends=False)
    place.inbox.merge(gone, into, "somebody", NOW - 90 * DAY)
    assert place.prune().archived == (gone,)


def test_a_file_that_somebody_has_open_stays_for_the_next_time(place: Place) -> None:
    name = place.incident("cart", 100)
    with duckdb.connect(str(place.store.directory / f"{name}.duckdb")):
        assert place.prune() == Pruned((), (), (name,))
    assert place.prune() == Pruned((name,), ())


def test_a_death_before_the_inbox_forgets_leaves_work_for_the_next_time(place: Place) -> None:
    name = place.incident("cart", 100)
    place.store.delete(name)
    assert place.prune(retention="90d") == Pruned((), (name,))
    assert place.rows(name) == 0


def test_one_housekeeping_at_a_time(tmp_path: Path) -> None:
    with (
        housekeeping(tmp_path),
        pytest.raises(StoreError, match="is going on already"),
        housekeeping(tmp_path, patience=0.05),
    ):
        pass
