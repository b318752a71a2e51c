"""What people decided cannot be changed, by whatever statement; it goes with its incident alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from incident_pipeline.errors import StoreError
from incident_pipeline.storage.inbox import Inbox
from incident_pipeline.storage.inbox.action_schema import action_decisions, freezes
from incident_pipeline.storage.inbox.schema import incidents
from tests.unit.remediation.place import NOW, Place, an_action


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path, {}, "production")
    place.plan(an_action())
    place.decide()
    place.application.inbox.freeze("erin", "", NOW)
    return place


def run(inbox: Inbox, statement: sa.Executable) -> None:
    with inbox._database.write() as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        action_decisions.update().values(who="mallory"),
        action_decisions.update().values(incident_id="INC-other"),
        action_decisions.delete(),
        freezes.update().values(frozen=False),
        freezes.delete(),
    ],
    ids=["who", "which", "decision", "thaw", "freeze"],
)
def test_the_database_refuses(place: Place, statement: sa.Executable) -> None:
    inbox = place.application.inbox
    before = inbox.action_decisions(place.incident_id)
    with pytest.raises(StoreError, match="is only ever appended to"):
        run(inbox, statement)
    assert inbox.action_decisions(place.incident_id) == before
    assert inbox.frozen() is not None


def test_decisions_go_with_an_incident_that_is_over(place: Place) -> None:
    inbox = place.application.inbox
    run(inbox, incidents.update().values(status="closed"))
    inbox.forget([place.incident_id], NOW)
    assert inbox.action_decisions(place.incident_id) == []
