"""The outbox: what people are to be told is committed first and sent afterwards, each message once.

    tell -> take -> sent
             ^ |
             | +-> put_off (tried again later) or give_up
             +---- lease ran out: nobody knows whether it arrived, so the next one looks before it sends

Belongs here: messages as rows. Does not belong here: what is said and how it is sent (`communication/`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import Field

from incident_pipeline.models import IncidentStatus, Model, Utc
from incident_pipeline.storage.database import upsert
from incident_pipeline.storage.inbox.base import ENDED, InboxBase, Row, note, stamp
from incident_pipeline.storage.inbox.outbox_schema import messages, requests_seen, told
from incident_pipeline.storage.inbox.schema import counters, events, incidents
from kb.redaction import redact, redact_value

CURSOR = "told_up_to"
"""The counter that holds the last event that has been looked at."""
WAITING, SENDING, SENT, FAILED, WITHHELD = "waiting", "sending", "sent", "failed", "withheld"
PATIENCE = 6
"""Attempts at a reply after which those behind it no longer wait."""
_SEEN_FOR = 3600.0
_OF_TELLING = ("told", "message_failed")
"""Events that telling itself leaves; nobody needs to be told of them."""


class Draft(Model):
    """A message that is to be told."""

    key: str
    """What it is; a second draft of the same key replaces the content of the first, and is never a second message."""
    medium: str
    """slack, email, webhook, or the vendor at whom a note is written."""
    target: str
    content: dict[str, Any]
    incident_id: str | None = None
    urgency: str = "P3"
    thread: str | None = None
    due_at: Utc | None = None
    withheld: bool = False
    """Stored, so that it can be read, and never sent."""


class Message(Model):
    """A message of the outbox."""

    message_id: int
    key: str
    medium: str
    target: str
    content: dict[str, Any]
    incident_id: str | None = None
    thread: str | None = None
    revision: int = 1
    sent_revision: int = 0
    state: str = WAITING
    attempts: int = 0
    uncertain: bool = False
    reference: dict[str, str] | None = None
    """Where it is, in the words of its medium."""
    error: str | None = None
    created_at: Utc
    due_at: Utc
    sent_at: Utc | None = None
    thread_reference: dict[str, str] | None = None
    """Where the message is in whose thread it stands."""


class Told(Model):
    """What was last told of an incident."""

    facts: dict[str, Any] = Field(default_factory=dict)
    sequence: int = 0
    at: Utc | None = None


class Outbox(InboxBase):
    """The inbox as those see it who speak."""

    def unheard(self, limit: int = 200) -> tuple[dict[str, list[int]], int]:
        """Incidents with events that nobody was told of yet, each with their ids, and the last event looked at."""
        with self._database.read() as connection:
            cursor = _cursor(connection)
            query = sa.select(events.c.event_id, events.c.incident_id, events.c.kind)
            query = query.where(events.c.event_id > cursor).order_by(events.c.event_id)
            rows = connection.execute(query.limit(limit)).all()
        found: dict[str, list[int]] = {}
        for event_id, incident_id, kind in rows:
            if incident_id is not None and kind not in _OF_TELLING:
                found.setdefault(incident_id, []).append(event_id)
        return found, max((row[0] for row in rows), default=cursor)

    def heard(self, up_to: int) -> None:
        """Remember that everything up to an event has been told, or was not worth telling."""
        with self._database.write() as connection:
            if up_to > _cursor(connection):
                upsert(connection, counters, [{"name": CURSOR, "value": up_to}], replace=("value",))

    def told(self, incident_id: str) -> Told:
        """What was last told of an incident; nothing where it was not told of."""
        with self._database.read() as connection:
            row = connection.execute(told.select().filter_by(incident_id=incident_id)).mappings().first()
        return Told(facts=json.loads(row["facts"]), sequence=row["sequence"], at=row["at"]) if row else Told()

    def tell(
        self,
        incident_id: str,
        facts: dict[str, Any],
        after: int,
        drafts: Sequence[Draft],
        now: datetime,
        *,
        said: bool = True,
    ) -> bool:
        """Queue messages about an incident and remember what they say, in one transaction.

        Args:
            incident_id: what they are about.
            facts: what has been told once they are out.
            after: the sequence that `told` gave.
            drafts: the messages.
            now: the time.
            said: whether there is news in them; else people were last told when they were.

        Returns:
            False when another process has told it meanwhile; nothing was queued then.
        """
        with self._database.write() as connection:
            row = connection.execute(told.select().filter_by(incident_id=incident_id)).mappings().first()
            if (row["sequence"] if row else 0) != after:
                return False
            values = {
                "incident_id": incident_id,
                "facts": json.dumps(facts, ensure_ascii=False),
                "sequence": after + 1,
                "at": stamp(now) if said or row is None else row["at"],
            }
            upsert(connection, told, [values], replace=("facts", "sequence", "at"))
            for draft in drafts:
                _queue(connection, draft, stamp(now))
            return True

    def queue(self, drafts: Sequence[Draft], now: datetime) -> None:
        """Queue messages that belong to no account of what was told."""
        with self._database.write() as connection:
            for draft in drafts:
                _queue(connection, draft, stamp(now))

    def queue_once(self, drafts: Sequence[Draft], now: datetime) -> None:
        """Queue messages that were never queued; one of a known key stays as it is, whatever became of it."""
        with self._database.write() as connection:
            for draft in drafts:
                if _by_key(connection, draft.key) is None:
                    _queue(connection, draft, stamp(now))

    def quiet_incidents(self, since: datetime, until: datetime) -> list[tuple[str, datetime]]:
        """Incidents that go on, of which people were last told between two moments, and when; nothing that is muted."""
        at, muted = told.c.at, incidents.c.muted_until
        goes_on = incidents.c.status.not_in((*ENDED, IncidentStatus.MERGED.value)) & incidents.c.replayed_from.is_(None)
        query = (
            sa.select(told.c.incident_id, at)
            .join(incidents, incidents.c.incident_id == told.c.incident_id)
            .where(at > stamp(since), at <= stamp(until), goes_on, muted.is_(None) | (muted <= stamp(until)))
        )
        with self._database.read() as connection:
            return [(name, datetime.fromtimestamp(when, UTC)) for name, when in connection.execute(query)]

    def take(self, now: datetime, lease: timedelta) -> Message | None:
        """The most urgent message that is due, for one sender until the lease ends; None where nothing is."""
        at = stamp(now)
        with self._database.read() as connection:
            if connection.execute(_due(at).limit(1)).first() is None:
                return None
        with self._database.write() as connection:
            row = connection.execute(_due(at).limit(1)).mappings().first()
            if row is None:
                return None
            header = _by_key(connection, row["thread"]) if row["thread"] else None
            values = {
                "state": SENDING,
                "attempts": row["attempts"] + 1,
                "uncertain": True,
                "lease_until": at + lease.total_seconds(),
            }
            _set(connection, row["message_id"], **values)
            reference = json.loads(header["reference"]) if header and header["reference"] else None
            taken = _message(row).model_copy(update={"attempts": row["attempts"] + 1, "thread_reference": reference})
            # what is uncertain is whether an earlier attempt has arrived
            return taken.model_copy(update={"uncertain": row["uncertain"]})

    def sent(self, taken: Message, reference: dict[str, str], now: datetime) -> bool:
        """It is out; False when another sender had taken it over."""
        with self._database.write() as connection:
            row = _held(connection, taken)
            if row is None:
                return False
            again = row["revision"] > taken.revision
            _set(
                connection,
                taken.message_id,
                state=WAITING if again else SENT,
                uncertain=False,
                sent_revision=taken.revision,
                reference=json.dumps(reference),
                error=None,
                lease_until=None,
                sent_at=stamp(now),
                due_at=stamp(now) if again else row["due_at"],
            )
            if taken.sent_revision == 0 and taken.incident_id is not None:
                _remember(connection, taken, reference, stamp(now))
            return True

    def put_off(self, taken: Message, error: str, until: datetime, *, arrived: bool | None) -> None:
        """It is tried again later; `arrived` is None where nobody knows whether it came through."""
        with self._database.write() as connection:
            if _held(connection, taken) is not None:
                _set(
                    connection,
                    taken.message_id,
                    state=WAITING,
                    uncertain=arrived is None,
                    due_at=stamp(until),
                    lease_until=None,
                    error=redact(error)[:500],
                )

    def give_up(self, taken: Message, error: str, now: datetime, again_at: datetime | None) -> None:
        """It cannot be sent before somebody changes something; tried again then, and with any new content."""
        with self._database.write() as connection:
            if _held(connection, taken) is None:
                return
            text = redact(error)[:500]
            _set(
                connection,
                taken.message_id,
                state=FAILED if again_at is None else WAITING,
                uncertain=taken.uncertain,
                due_at=stamp(again_at or now),
                lease_until=None,
                error=text,
            )
            if taken.attempts == 1 or again_at is None:
                about = {"medium": taken.medium, "target": taken.target, "error": text}
                note(connection, stamp(now), "message_failed", taken.incident_id, **about)

    def messages(self, incident_id: str | None = None, limit: int | None = None) -> list[Message]:
        """What was told, is to be told, or was withheld; oldest first."""
        query = messages.select().order_by(messages.c.message_id.desc()).limit(limit)
        if incident_id is not None:
            query = query.where(messages.c.incident_id == incident_id)
        with self._database.read() as connection:
            return [_message(row) for row in reversed(connection.execute(query).mappings().all())]

    def first_seen(self, request_id: str, now: datetime) -> bool:
        """Remember a signed request; False when it came before: a replay."""
        at = stamp(now)
        with self._database.write() as connection:
            connection.execute(requests_seen.delete().where(requests_seen.c.at < at - _SEEN_FOR))
            known = connection.execute(requests_seen.select().filter_by(request_id=request_id)).first()
            if known is None:
                connection.execute(requests_seen.insert().values(request_id=request_id, at=at))
            return known is None


def _queue(connection: sa.Connection, draft: Draft, now: float) -> None:
    content = json.dumps(redact_value(draft.content), ensure_ascii=False)
    due = stamp(draft.due_at) if draft.due_at else now
    known = _by_key(connection, draft.key)
    if known is None:
        connection.execute(
            messages.insert().values(
                **draft.model_dump(include={"key", "medium", "target", "incident_id", "urgency", "thread"}),
                content=content,
                revision=1,
                sent_revision=0,
                state=WITHHELD if draft.withheld else WAITING,
                attempts=0,
                uncertain=False,
                created_at=now,
                due_at=due,
            )
        )
    elif known["content"] != content or known["state"] == FAILED:
        state = known["state"] if known["state"] == SENDING else WITHHELD if draft.withheld else WAITING
        _set(
            connection,
            known["message_id"],
            content=content,
            revision=known["revision"] + 1,
            state=state,
            due_at=due,
            urgency=draft.urgency,
        )


def _due(at: float) -> sa.Select[Any]:
    header = messages.alias("header")
    free = (messages.c.state == WAITING) & (messages.c.due_at <= at)
    abandoned = (messages.c.state == SENDING) & (messages.c.lease_until <= at)
    out = messages.c.thread.is_(None) | sa.exists().where(
        header.c.key == messages.c.thread, header.c.reference.is_not(None)
    )
    before = messages.alias("before")
    # what was said first comes first, unless it keeps failing
    first = ~sa.exists().where(
        before.c.thread == messages.c.thread,
        before.c.message_id < messages.c.message_id,
        before.c.state.in_((WAITING, SENDING)),
        before.c.attempts < PATIENCE,
    )
    return messages.select().where(free | abandoned, out, first).order_by(messages.c.urgency, messages.c.message_id)


def _remember(connection: sa.Connection, taken: Message, reference: dict[str, str], now: float) -> None:
    """In the incident's record: that people were told, and where it is talked about."""
    what = taken.content.get("about", "")
    note(connection, now, "told", taken.incident_id, medium=taken.medium, target=taken.target, about=what)
    if taken.medium == "slack" and taken.key.endswith(":header"):
        thread = {"slack_channel": reference.get("channel"), "slack_thread_ts": reference.get("ts")}
        connection.execute(incidents.update().where(incidents.c.incident_id == taken.incident_id).values(thread))


def _cursor(connection: sa.Connection) -> int:
    value = connection.execute(sa.select(counters.c.value).where(counters.c.name == CURSOR)).scalar()
    return int(value or 0)


def _held(connection: sa.Connection, taken: Message) -> Row | None:
    """The row, where it is still this sender's: attempts count up, so a number is held by one sender alone."""
    query = messages.select().where(
        messages.c.message_id == taken.message_id,
        messages.c.state == SENDING,
        messages.c.attempts == taken.attempts,
    )
    return connection.execute(query).mappings().first()


def _by_key(connection: sa.Connection, key: str) -> Row | None:
    return connection.execute(messages.select().where(messages.c.key == key)).mappings().first()


def _set(connection: sa.Connection, message_id: int, **values: Any) -> None:
    connection.execute(messages.update().where(messages.c.message_id == message_id).values(**values))


def _message(row: Row) -> Message:
    reference = json.loads(row["reference"]) if row["reference"] else None
    return Message.model_validate({**row, "content": json.loads(row["content"]), "reference": reference})
