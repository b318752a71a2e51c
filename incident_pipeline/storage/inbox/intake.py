"""Alerts into the inbox, and from there into incidents.

Belongs here: accepting alerts, and storing what `intake/grouping.py` decides, each in one transaction.
Does not belong here: the decision itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from incident_pipeline.config import Alerts
from incident_pipeline.intake.grouping import group_alerts
from incident_pipeline.intake.grouping_edges import ServiceGraph
from incident_pipeline.intake.grouping_values import Arrival, Grouping, Rules
from incident_pipeline.models import Alert, Service
from incident_pipeline.storage.database import upsert
from incident_pipeline.storage.inbox.adoption import adopt_rows
from incident_pipeline.storage.inbox.base import InboxBase, count, stamp
from incident_pipeline.storage.inbox.group_load import arrival_of, load
from incident_pipeline.storage.inbox.group_store import store
from incident_pipeline.storage.inbox.naming import free_name
from incident_pipeline.storage.inbox.quiet import Quiet
from incident_pipeline.storage.inbox.rows import alert_of, alert_row
from incident_pipeline.storage.inbox.schema import alerts

GROUP_AT_ONCE = 2000
"""Alerts grouped in one transaction, so that the receiver never waits long behind it."""


class GroupingResult(NamedTuple):
    """What grouping did, as incident ids."""

    created: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    resolved: tuple[str, ...] = ()
    reopened: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()
    alerts: int = 0

    def and_then(self, later: GroupingResult) -> GroupingResult:
        """Both as one."""
        return GroupingResult(
            created=_both(self.created, later.created),
            joined=_both(self.joined, later.joined),
            resolved=_both(self.resolved, later.resolved),
            reopened=_both(self.reopened, later.reopened),
            merged=_both(self.merged, later.merged),
            alerts=self.alerts + later.alerts,
        )


class Intake(InboxBase):
    """The inbox as the receiver and the dispatcher see it."""

    def accept(self, received: Sequence[Alert], now: datetime) -> int:
        """Store alerts; when this returns they are on disk. The same delivery again is not a second alert.

        Returns:
            How many alerts there were, those delivered before included.

        Raises:
            StoreError: nothing was stored.
        """
        return self.accept_rows(self.prepare(received, now))

    def prepare(self, received: Sequence[Alert], now: datetime) -> list[dict[str, Any]]:
        """Alerts as `accept_rows` takes them: redacted, received now. Touches no database.

        Raises:
            ValueError: an alert that no database can hold.
        """
        return [alert_row(alert, now) for alert in received]

    def accept_rows(self, rows: Sequence[dict[str, Any]]) -> int:
        """What `accept` does, for alerts that were prepared before."""
        distinct = {row["delivery"]: row for row in rows}
        if rows:
            with self._database.write() as connection:
                upsert(connection, alerts, list(distinct.values()), add=("deliveries",))
                count(connection, "alerts_accepted", len(rows))
        return len(rows)

    def group(self, now: datetime, settings: Alerts, catalogue: Sequence[Service] = ()) -> GroupingResult:
        """Put every alert that has no incident yet into one; any number of processes may call it at once."""
        rules = Rules.of(settings.grouping.window, settings.grouping.flap_window)
        graph = ServiceGraph(catalogue)
        quiet = Quiet.of(settings.maintenance)
        total = GroupingResult()
        while True:
            part = self._group_some(now, rules, graph, quiet)
            if part is None:
                return total
            total = total.and_then(part)
            if part.alerts < GROUP_AT_ONCE:
                return total

    def _group_some(self, now: datetime, rules: Rules, graph: ServiceGraph, quiet: Quiet) -> GroupingResult | None:
        with self._database.read() as connection:
            if connection.execute(_waiting().limit(1)).first() is None:
                return None
        with self._database.write() as connection:
            rows = connection.execute(_waiting().limit(GROUP_AT_ONCE)).mappings().all()
            if not rows:
                return None
            received = {row["alert_id"]: row for row in rows}
            arrivals = [arrival_of(row) for row in rows]
            taken: set[str] = set()

            def name_incident(arrival: Arrival) -> str:
                return free_name(connection, alert_of(received[arrival.alert_id]), taken)

            decided = group_alerts(arrivals, load(connection, arrivals, rules), rules, graph, name_incident)
            store(connection, decided, received, stamp(now), quiet)
            return _result(decided, len(rows))

    def adopt(self, received: Sequence[Alert], now: datetime, replayed_from: str | None = None) -> str:
        """Make one incident of exactly these alerts, without grouping and with no run waiting: a replayed folder.

        Replaying the same folder again gives the same incident.

        Returns:
            The incident's id.

        Raises:
            InputError: there are no alerts.
        """
        rows = [alert_row(alert, alert.received_at or now) for alert in received]
        with self._database.write() as connection:
            return adopt_rows(connection, received, rows, stamp(now), replayed_from)


def _waiting() -> sa.Select[Any]:
    return alerts.select().where(alerts.c.incident_id.is_(None)).order_by(alerts.c.alert_id)


def _result(decided: Grouping, how_many: int) -> GroupingResult:
    joined = tuple(name for name in decided.touched if name not in decided.created)
    return GroupingResult(
        created=tuple(decided.created),
        joined=joined,
        resolved=tuple(decided.resolved),
        reopened=tuple(decided.reopened),
        merged=tuple(decided.merged),
        alerts=how_many,
    )


def _both(earlier: tuple[str, ...], later: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*earlier, *later)))
