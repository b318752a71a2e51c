"""Which incidents are over for long enough, and forgetting them.

Belongs here: the inbox's part of `prune`. Does not belong here: how long is enough (`prune.py`), files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa

from incident_pipeline.models import IncidentStatus, Severity
from incident_pipeline.storage.inbox.action_schema import LIVE_EXECUTION_STATES, executions
from incident_pipeline.storage.inbox.base import ENDED, InboxBase, batches, note, stamp
from incident_pipeline.storage.inbox.schema import IS_LIVE, claims, incidents, metadata

OVER = (*ENDED, IncidentStatus.MERGED.value)


class Retention(InboxBase):
    """The inbox as `prune` sees it."""

    def ended(self, before: Mapping[Severity, datetime | None]) -> list[str]:
        """Incidents that ended before the moment of their severity and that nobody works on, oldest first.

        A severity without a moment has none of them. One that was merged ended with its last alert.
        """
        ended_at = sa.func.coalesce(incidents.c.resolved_at, incidents.c.last_alert_at)
        old = [
            (incidents.c.severity == severity.value) & (ended_at < stamp(moment))
            for severity, moment in before.items()
            if moment is not None
        ]
        live = sa.select(claims.c.incident_id).where(IS_LIVE)
        acting = sa.select(executions.c.incident_id).where(executions.c.state.in_(LIVE_EXECUTION_STATES))
        # what is due for a replayed incident is due to whoever replays it
        nothing_due = incidents.c.due_at.is_(None) | incidents.c.replayed_from.is_not(None)
        query = (
            sa.select(incidents.c.incident_id)
            .where(incidents.c.status.in_(OVER), nothing_due, sa.or_(sa.false(), *old))
            .where(incidents.c.incident_id.not_in(live), incidents.c.incident_id.not_in(acting))
            .order_by(ended_at, incidents.c.incident_id)
        )
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def incident_ids(self) -> set[str]:
        """Every incident there is, the merged ones too."""
        with self._database.read() as connection:
            return set(connection.execute(sa.select(incidents.c.incident_id)).scalars())

    def forget(self, incident_ids: Iterable[str], now: datetime) -> None:
        """Remove incidents with all that belongs to them, alerts and what people did too; that it was done stays."""
        # asked now, not on import: the tables of every part of the inbox are known by then
        of_an_incident = [table for table in metadata.sorted_tables if "incident_id" in table.columns]
        for some in batches(incident_ids):
            with self._database.write() as connection:
                for table in of_an_incident:
                    connection.execute(table.delete().where(table.c.incident_id.in_(some)))
                note(connection, stamp(now), "incidents_forgotten", None, incidents=some)
