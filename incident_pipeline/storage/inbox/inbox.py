"""The inbox: alerts received, incidents, claims, and what people decided. What receives alerts never waits for a run.

    accept -> group -> claim -> launched -> begin -> (renew) -> finish
                         ^                                |
                         +------ due again <--------------+

Belongs here: opening it. Its parts are `intake.py` (accept, group), `claims.py`, `decisions.py` (what people do),
`approvals.py` and `executions.py` (actions), `ledger.py` (what people said of causes and suggestions), `outbox.py`
(what people are told), `received.py` (changes that webhooks brought), `records.py` (reading) and
`retention.py` (forgetting); the tables are in `schema.py` and the other `*_schema.py`, what differs between
databases in `../database.py`.
Every method is one transaction, and every method that needs to know the time is told it.
"""

from __future__ import annotations

from pathlib import Path

from incident_pipeline.config import DiagnosisSettings
from incident_pipeline.storage.database import BUSY_SECONDS, Database
from incident_pipeline.storage.inbox.approvals import Approvals
from incident_pipeline.storage.inbox.claims import Claims
from incident_pipeline.storage.inbox.decisions import Decisions
from incident_pipeline.storage.inbox.executions import Executions
from incident_pipeline.storage.inbox.intake import Intake
from incident_pipeline.storage.inbox.ledger import Ledger
from incident_pipeline.storage.inbox.outbox import Outbox
from incident_pipeline.storage.inbox.received import ReceivedChanges
from incident_pipeline.storage.inbox.records import Records
from incident_pipeline.storage.inbox.retention import Retention
from incident_pipeline.storage.inbox.schema import is_current, migrate


class Inbox(Intake, Claims, Decisions, Approvals, Executions, Records, Ledger, Retention, Outbox, ReceivedChanges):
    """Safe to share between threads; any number of processes may open the same one."""

    @classmethod
    def open(
        cls,
        location: str | Path,
        diagnosis: DiagnosisSettings | None = None,
        busy_seconds: float = BUSY_SECONDS,
    ) -> Inbox:
        """Open the inbox at a path or URL; made where there is none, brought up to date where it is older.

        Args:
            location: a path of a SQLite file, or an SQLAlchemy URL.
            diagnosis: when incidents are diagnosed again (`diagnosis.updates`).
            busy_seconds: how long to wait for another writer.

        Raises:
            StoreError: it cannot be opened, or a newer version wrote it.
        """
        database = Database.open(location, busy_seconds)
        with database.read() as connection:
            current = is_current(connection)
        if not current:
            with database.write() as connection:
                migrate(connection)
        return cls(database, diagnosis or DiagnosisSettings())
