"""When an incident waits for which run: pure changes of its row.

Belongs here: the rules of what is due. Does not belong here: statements; `change` writes what the rules say.
Each rule takes a row of `incidents` and gives the columns that it sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from incident_pipeline.storage.inbox.base import ENDED, Row
from incident_pipeline.storage.inbox.schema import incidents

RESPOND, CLOSE_OUT = "respond", "close_out"

SPACING = 10.0
"""Seconds between a diagnosis and the next one because an alert joined; doubles with each repetition."""
MAX_DOUBLINGS = 6

Values = dict[str, Any]

NOTHING_DUE: Values = {"due_at": None, "due_since": None, "due_job": None, "due_reason": None}


def is_first(row: Row) -> bool:
    """Whether what waits is the incident's first diagnosis."""
    return bool(row["due_job"] == RESPOND and row["responded_at"] is None)


def due(row: Row, at: float, job: str, reason: str) -> Values:
    """Wait for a run from a moment on; work that waits already keeps its earlier moment.

    A first diagnosis is never replaced by anything else; closing out replaces a repeated diagnosis.
    """
    waits = row["due_at"] is not None
    closing = waits and row["due_job"] == CLOSE_OUT and row["status"] in ENDED
    if waits and (is_first(row) or closing):
        job = row["due_job"]
    if not waits or row["due_job"] != job:
        return {"due_at": at, "due_since": at, "due_job": job, "due_reason": reason}
    if row["due_at"] <= at:
        return {}
    return {"due_at": at, "due_since": min(at, row["due_since"]), "due_job": job, "due_reason": reason}


def begin(now: float) -> Values:
    """A new incident: its first diagnosis is due."""
    return {"due_at": now, "due_since": now, "due_job": RESPOND, "due_reason": "new incident"}


def again(row: Row, now: float, why: str) -> Values:
    """There is news about an open incident: diagnose it again, less and less often."""
    at = now
    if row["last_claimed_at"] is not None:
        at = max(now, row["last_claimed_at"] + SPACING * 2 ** min(row["repeats"], MAX_DOUBLINGS))
    values = due(row, at, RESPOND, why)
    if row["failed_at"] is not None:
        values |= {"failures": 0, "losses": 0, "failed_at": None, "failure": None}
    return values


def over(row: Row, now: float) -> Values:
    """An incident has ended: close it out, after its first diagnosis; one that is muted starts no run at all."""
    if row["muted_until"] is not None and row["muted_until"] > now:
        return dict(NOTHING_DUE)
    if row["responded_at"] is not None:
        return due(row, now, CLOSE_OUT, "the incident is over")
    if row["due_at"] is None and row["last_claimed_at"] is None:
        return begin(now)
    return {}


def change(connection: sa.Connection, row: Row, values: Mapping[str, Any]) -> dict[str, Any]:
    """Write columns of an incident's row; returns the row as it is then."""
    changed = {name: value for name, value in values.items() if row[name] != value}
    if changed:
        connection.execute(incidents.update().where(incidents.c.incident_id == row["incident_id"]).values(changed))
    return {**row, **changed}
