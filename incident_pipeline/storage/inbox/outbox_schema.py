"""The tables of the outbox: what people are to be told, what they have been told, and whose requests came already.

Belongs here: tables, and how much waits. Does not belong here: all other queries (`outbox.py`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from incident_pipeline.storage.inbox.schema import metadata, moment_column

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("message_id", sa.Integer, primary_key=True),
    # what the message is, so that the same one is never queued twice
    sa.Column("key", sa.String(240), nullable=False, unique=True, info={"upsert": True}),
    sa.Column("incident_id", sa.String(128)),
    sa.Column("medium", sa.String(16), nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("urgency", sa.String(2), nullable=False),
    # the key of the message in whose thread it stands; it waits until that one is out
    sa.Column("thread", sa.String(240)),
    sa.Column("content", sa.Text, nullable=False),
    # of a message that is kept up to date: which content is wanted, and which is out
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("sent_revision", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    # whether an attempt may have arrived that nobody knows of: look before it is sent again
    sa.Column("uncertain", sa.Boolean, nullable=False),
    sa.Column("reference", sa.Text),
    sa.Column("error", sa.Text),
    moment_column("created_at", nullable=False),
    moment_column("due_at", nullable=False),
    moment_column("lease_until"),
    moment_column("sent_at"),
)
sa.Index("messages_by_incident", messages.c.incident_id)
sa.Index("messages_waiting", messages.c.state, messages.c.due_at)

told = sa.Table(
    "told",
    metadata,
    sa.Column("incident_id", sa.String(128), primary_key=True),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    moment_column("at", nullable=False),
)

requests_seen = sa.Table(
    "requests_seen",
    metadata,
    sa.Column("request_id", sa.String(64), primary_key=True),
    moment_column("at", nullable=False),
)
sa.Index("requests_seen_by_time", requests_seen.c.at)


def unsent(connection: sa.Connection) -> dict[str, int]:
    """How many messages are not out: waiting, retrying after a failure, failed for good."""
    open_states: sa.BindParameter[Any] = sa.bindparam(
        "open_states", ("waiting", "sending", "failed"), expanding=True, literal_execute=True
    )
    troubled = messages.c.error.is_not(None)
    query = sa.select(messages.c.state, troubled, sa.func.count()).where(messages.c.state.in_(open_states))
    found: dict[str, int] = {}
    for state, has_error, number in connection.execute(query.group_by(messages.c.state, troubled)):
        name = "failed" if state == "failed" else "retrying" if has_error else "waiting"
        found[name] = found.get(name, 0) + number
    return found
