"""What people said: the confirmed cause of an incident, and suggestions that were useful or rejected.

Belongs here: an append-only ledger. Nothing is changed or deleted; a correction is an entry that replaces an earlier
one, and clearing is a correction too. Does not belong here: what the knowledge base makes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from incident_pipeline.errors import InputError, NotFoundError
from incident_pipeline.models import Category, Model, Utc
from incident_pipeline.storage.inbox.base import InboxBase, incident_row, note, stamp
from incident_pipeline.storage.inbox.ledger_schema import ledger
from kb.redaction import redact

Verdict = Literal["confirmed", "useful", "rejected", "cleared"]
_LONGEST = 2_000


class Entry(Model):
    """One thing that somebody said."""

    entry_id: int
    at: Utc
    who: str
    verdict: Verdict
    replaces: int | None = None
    """The entry that no longer counts because of this one."""
    incident_id: str | None = None
    document_id: str | None = None
    question: str | None = None
    """What was asked when the document was suggested."""
    cause: str | None = None
    category: Category | None = None
    fixed_by: str | None = None


class Ledger(InboxBase):
    """The ledger as people use it; every call says who."""

    def confirm(
        self,
        incident_id: str,
        cause: str,
        who: str,
        now: datetime,
        category: Category | None = None,
        fixed_by: str | None = None,
    ) -> Entry:
        """Somebody says what the cause of an incident was; a later confirmation takes the place of an earlier one.

        Raises:
            InputError: the cause is empty.
            NotFoundError: there is no such incident.
        """
        if not cause.strip():
            raise InputError("a confirmation needs a cause; say what it was with --cause")
        with self._database.write() as connection:
            incident_row(connection, incident_id)
            known = _entries(connection, ledger.c.incident_id == incident_id, ledger.c.verdict == "confirmed")
            replaces = known[-1].entry_id if known else None
            said = {"cause": cause, "category": category and category.value, "fixed_by": fixed_by}
            entry = _append(connection, now, who, "confirmed", replaces, incident_id=incident_id, **said)
            note(connection, stamp(now), "cause_confirmed", incident_id, who, entry=entry.entry_id, cause=cause)
            return entry

    def judge(
        self, document_id: str, question: str, useful: bool, who: str, now: datetime, incident_id: str | None = None
    ) -> Entry:
        """Somebody used or rejected a document that was suggested for a question.

        Raises:
            InputError: the question is empty.
        """
        if not question.strip():
            raise InputError("feedback needs the question that the document was suggested for")
        with self._database.write() as connection:
            said = {"document_id": document_id, "question": question, "incident_id": incident_id}
            return _append(connection, now, who, "useful" if useful else "rejected", None, **said)

    def correct(self, entry_id: int, useful: bool, who: str, now: datetime) -> Entry:
        """Somebody says the opposite of, or again, what an entry about a document says.

        Raises:
            NotFoundError: there is no such entry, or it no longer counts.
            InputError: the entry is not about a document.
        """
        with self._database.write() as connection:
            old = _counting(connection, entry_id)
            if old.document_id is None:
                raise InputError(f"entry {entry_id} is about a cause; say the right one with `confirm`")
            said = {"document_id": old.document_id, "question": old.question, "incident_id": old.incident_id}
            return _append(connection, now, who, "useful" if useful else "rejected", entry_id, **said)

    def clear(self, entry_ids: Sequence[int], who: str, now: datetime) -> int:
        """Entries that are to count no longer; all that count where none is named. Returns how many were cleared.

        Raises:
            NotFoundError: one of them is not there, or no longer counts; none was cleared.
        """
        with self._database.write() as connection:
            every = _entries(connection)
            gone = [_counting(connection, entry_id) for entry_id in entry_ids] if entry_ids else _that_count(every)
            for old in gone:
                said = {"document_id": old.document_id, "question": old.question, "incident_id": old.incident_id}
                _append(connection, now, who, "cleared", old.entry_id, **said)
            return len(gone)

    def ledger(self, everything: bool = False) -> list[Entry]:
        """What counts, oldest first; with `everything` also what was replaced or cleared, and the clearings."""
        with self._database.read() as connection:
            found = _entries(connection)
        return found if everything else _that_count(found)

    def confirmation(self, incident_id: str) -> Entry | None:
        """What somebody said that the cause of an incident was."""
        said = [e for e in self.ledger() if e.verdict == "confirmed" and e.incident_id == incident_id]
        return said[-1] if said else None


def _entries(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Entry]:
    query = ledger.select().where(*conditions).order_by(ledger.c.entry_id)
    return [Entry.model_validate(dict(row)) for row in connection.execute(query).mappings()]


def _that_count(entries: Sequence[Entry]) -> list[Entry]:
    replaced = {entry.replaces for entry in entries}
    return [entry for entry in entries if entry.entry_id not in replaced and entry.verdict != "cleared"]


def _counting(connection: sa.Connection, entry_id: int) -> Entry:
    found = next((entry for entry in _that_count(_entries(connection)) if entry.entry_id == entry_id), None)
    if found is None:
        raise NotFoundError(f"no entry {entry_id} counts in the ledger; `kb feedback list --all` shows every one")
    return found


def _append(
    connection: sa.Connection,
    now: datetime,
    who: str,
    verdict: Verdict,
    replaces: int | None,
    **said: str | None,
) -> Entry:
    cut = {name: redact(text)[:_LONGEST] if text else None for name, text in said.items()}
    values = {"at": stamp(now), "who": who, "verdict": verdict, "replaces": replaces, **cut}
    number = int(connection.execute(ledger.insert().values(values).returning(ledger.c.entry_id)).scalar_one())
    return Entry.model_validate({"entry_id": number, **values})
