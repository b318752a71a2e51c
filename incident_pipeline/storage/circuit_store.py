"""Circuits in the inbox's database, where every run and the receiver see the same.

Belongs here: reading and writing them, each in one short transaction. The rules are in `evidence/circuits.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from incident_pipeline.errors import StoreError
from incident_pipeline.evidence.circuits import Circuit
from incident_pipeline.storage.database import Database, upsert
from incident_pipeline.storage.inbox.measures import count_source_errors

LOG = logging.getLogger(__name__)
LONGEST_REASON = 500

metadata = sa.MetaData()
circuits = sa.Table(
    "circuits",
    metadata,
    sa.Column("source", sa.String(120), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("open_until", sa.Float),
    sa.Column("reason", sa.String(LONGEST_REASON), nullable=False),
)


class CircuitStore:
    """The circuits of one data directory."""

    def __init__(self, location: str | Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Prepare; nothing is opened before the first use.

        Args:
            location: the inbox's file or URL.
            now: the clock.
        """
        self._location = location
        self._now = now

    def refusals(self) -> Mapping[str, str]:
        """The sources that are not asked now, and why; none where the store cannot be read."""
        now = self._now()
        try:
            known = self._read()
        except StoreError as error:
            LOG.warning("circuits cannot be read, every source is asked: %s", error)
            return {}
        refused = {source: circuit.refusal(now) for source, circuit in known.items()}
        return {source: why for source, why in refused.items() if why is not None}

    def record(self, outcomes: Mapping[str, str | None]) -> None:
        """Remember who answered and who failed; a store that cannot be written is logged."""
        if not outcomes:
            return
        now = self._now()
        try:
            # the usual case, in which all answer, must not wait for a writer
            if _changes(self._read(), outcomes, now):
                self._write(outcomes, now)
        except StoreError as error:
            LOG.warning("circuits cannot be written: %s", error)

    def _write(self, outcomes: Mapping[str, str | None], now: datetime) -> None:
        database = Database.open(self._location)
        try:
            with database.write() as connection:
                metadata.create_all(connection, checkfirst=True)
                rows = [_row(*changed) for changed in _changes(_circuits(connection), outcomes, now).items()]
                upsert(connection, circuits, rows, replace=("failures", "open_until", "reason"))
                count_source_errors(connection, [source for source, failure in outcomes.items() if failure is not None])
        finally:
            database.close()

    def _read(self) -> dict[str, Circuit]:
        if isinstance(self._location, Path) and not self._location.exists():
            return {}
        database = Database.open(self._location)
        try:
            with database.read() as connection:
                return _circuits(connection) if sa.inspect(connection).has_table(circuits.name) else {}
        finally:
            database.close()


def _changes(known: Mapping[str, Circuit], outcomes: Mapping[str, str | None], now: datetime) -> dict[str, Circuit]:
    """The circuits that are another after these outcomes."""
    before = {source: known.get(source, Circuit()) for source in outcomes}
    after = {source: before[source].after(failure, now) for source, failure in outcomes.items()}
    return {source: circuit for source, circuit in after.items() if circuit != before[source]}


def _circuits(connection: sa.Connection) -> dict[str, Circuit]:
    rows = connection.execute(sa.select(circuits)).mappings()
    return {
        row["source"]: Circuit.model_validate({k: row[k] for k in ("failures", "open_until", "reason")}) for row in rows
    }


def _row(source: str, circuit: Circuit) -> dict[str, object]:
    until = circuit.open_until.timestamp() if circuit.open_until else None
    return {
        "source": source,
        "failures": circuit.failures,
        "open_until": until,
        "reason": circuit.reason[:LONGEST_REASON],
    }
