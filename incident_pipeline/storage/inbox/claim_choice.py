"""Which of the incidents that wait are run next.

Belongs here: the order, and who waits a little longer. Does not belong here: claiming.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from incident_pipeline.storage.inbox.base import Row
from incident_pipeline.storage.inbox.due import CLOSE_OUT, RESPOND, is_first
from incident_pipeline.storage.inbox.schema import IS_LIVE, alerts, claims, incidents

REPEATED_PER_MINUTE = 6
"""Repeated diagnoses of all incidents together; first ones are never held back by this."""
STORM_RATE = 5
"""This many alerts within the last second are a storm: an incident that still grows waits."""
SETTLE_SECONDS = 0.5
SETTLE_AT_MOST = 3.0
AGING_SECONDS = 10.0
"""Waiting this long counts like one level of severity, so that a storm of P1 never starves a P3."""


def due_now(at: float) -> sa.Select[Any]:
    """Incidents whose work is due, that nobody has claimed and that no mute keeps quiet."""
    live = sa.select(claims.c.claim_id).where(claims.c.incident_id == incidents.c.incident_id, IS_LIVE)
    audible = incidents.c.muted_until.is_(None) | (incidents.c.muted_until <= at)
    # a replayed incident is run by whoever replays it
    real = incidents.c.replayed_from.is_(None)
    return incidents.select().where(incidents.c.due_at <= at, audible, real, ~live.exists())


def most_urgent(connection: sa.Connection, at: float, free: int) -> Sequence[Row]:
    """The incidents to run now: first diagnoses, then closing out, then what may be repeated."""
    waiting = connection.execute(due_now(at)).mappings().all()
    pouring = Counter(
        connection.execute(sa.select(alerts.c.incident_id).where(alerts.c.received_at > at - 1.0)).scalars()
    )
    storm = pouring.total() >= STORM_RATE
    first = [row for row in waiting if is_first(row)]
    settled = [row for row in first if not (storm and _still_grows(row, at))]
    closing = [row for row in waiting if row["due_job"] == CLOSE_OUT]
    again = [] if first else [row for row in waiting if row["due_job"] == RESPOND and not is_first(row)]
    recent = sa.select(sa.func.count()).select_from(claims).where(claims.c.again, claims.c.claimed_at > at - 60)
    allowed = max(REPEATED_PER_MINUTE - connection.execute(recent).scalar_one(), 0)

    def urgency(row: Row) -> tuple[float, int, float]:
        level = int(row["severity"][1:]) - (at - row["due_since"]) // AGING_SECONDS
        return max(level, 1), pouring[row["incident_id"]], row["received_at"]

    ordered = [*sorted(settled, key=urgency), *sorted(closing, key=urgency), *sorted(again, key=urgency)[:allowed]]
    return ordered[:free]


def _still_grows(row: Row, at: float) -> bool:
    return bool(row["newest_received_at"] > at - SETTLE_SECONDS and row["due_since"] > at - SETTLE_AT_MOST)
