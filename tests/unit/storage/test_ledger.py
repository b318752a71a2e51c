"""What people said is kept for ever; what counts of it is what was said last."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from incident_pipeline.errors import InputError, NotFoundError
from incident_pipeline.models import Category
from incident_pipeline.storage.inbox import Inbox
from tests.unit.intake.builders import NOW, alert

LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox.open(tmp_path / "inbox.sqlite")


@pytest.fixture
def incident(inbox: Inbox) -> str:
    return inbox.adopt([alert("errors")], NOW)


def test_the_last_confirmation_counts_and_the_first_stays_on_record(inbox: Inbox, incident: str) -> None:
    assert inbox.confirmation(incident) is None
    inbox.confirm(incident, "a full disk", "ann", NOW)
    inbox.confirm(incident, "a leaking client", "bob", LATER, Category.CODE_BUG, "rollback")
    said = inbox.confirmation(incident)
    assert said is not None
    assert (said.cause, said.category, said.fixed_by, said.who) == ("a leaking client", "code_bug", "rollback", "bob")
    assert [entry.cause for entry in inbox.ledger()] == ["a leaking client"]
    assert [entry.cause for entry in inbox.ledger(everything=True)] == ["a full disk", "a leaking client"]
    assert [event.kind for event in inbox.events(incident)][-2:] == ["cause_confirmed", "cause_confirmed"]


def test_suggestions_are_judged_corrected_and_cleared(inbox: Inbox) -> None:
    first = inbox.judge("rb/disk", "disk full", True, "ann", NOW)
    second = inbox.judge("rb/dns", "disk full", False, "ann", NOW)
    corrected = inbox.correct(first.entry_id, False, "bob", LATER)
    assert corrected.replaces == first.entry_id
    assert [(e.document_id, e.verdict) for e in inbox.ledger()] == [("rb/dns", "rejected"), ("rb/disk", "rejected")]
    assert inbox.clear([second.entry_id], "bob", LATER) == 1
    assert [e.entry_id for e in inbox.ledger()] == [corrected.entry_id]
    assert inbox.clear([], "bob", LATER) == 1
    assert inbox.ledger() == []
    assert len(inbox.ledger(everything=True)) == 5


def test_what_no_longer_counts_cannot_be_corrected(inbox: Inbox, incident: str) -> None:
    entry = inbox.judge("rb/disk", "disk full", True, "ann", NOW)
    inbox.clear([entry.entry_id], "ann", LATER)
    with pytest.raises(NotFoundError):
        inbox.correct(entry.entry_id, False, "ann", LATER)
    with pytest.raises(NotFoundError):
        inbox.clear([entry.entry_id], "ann", LATER)
    said = inbox.confirm(incident, "a full disk", "ann", NOW)
    with pytest.raises(InputError):
        inbox.correct(said.entry_id, True, "ann", LATER)


def test_nobody_confirms_nothing_or_an_unknown_incident(inbox: Inbox, incident: str) -> None:
    with pytest.raises(InputError):
        inbox.confirm(incident, "  ", "ann", NOW)
    with pytest.raises(NotFoundError):
        inbox.confirm("INC-NONE", "a full disk", "ann", NOW)


def test_secrets_do_not_enter_the_ledger(inbox: Inbox, incident: str) -> None:
    inbox.confirm(incident, "somebody sent password=hunter2horse to the log", "ann", NOW)
    assert "hunter2horse" not in str(inbox.ledger(everything=True))


def test_an_inbox_without_a_ledger_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    Inbox.open(path).close()
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE ledger"))
        connection.execute(sa.text("CREATE TABLE signatures (incident_id TEXT)"))
        connection.execute(sa.text("DELETE FROM migrations WHERE name = '0003_create_ledger'"))
    engine.dispose()
    opened = Inbox.open(path)
    assert opened.ledger() == []
    opened.close()
