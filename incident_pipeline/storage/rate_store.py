"""How often each source was asked, in the inbox's database, where every run and the sensors see the same.

Belongs here: reading and writing it, each in one short transaction. Who waits for how long is `connectors/limits.py`.
The method is the generic cell rate algorithm: one number for each source, the moment at which all turns that were taken
would have been used at an even pace.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from incident_pipeline.connectors.answers import Rate
from incident_pipeline.errors import StoreError
from incident_pipeline.storage.database import Database, upsert

LOG = logging.getLogger(__name__)

metadata = sa.MetaData()
rate_limits = sa.Table(
    "rate_limits",
    metadata,
    sa.Column("source", sa.String(120), primary_key=True),
    sa.Column("used_until", sa.Double(), nullable=False),
    sa.Column("paused_until", sa.Double(), nullable=False),
)


class RateStore:
    """The rate limits of one data directory."""

    def __init__(self, location: str | Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Prepare; nothing is opened before the first use.

        Args:
            location: the inbox's file or URL.
            now: the clock.
        """
        self._location = location
        self._now = now

    def reserve(self, source: str, rate: Rate, turns: int) -> float:
        """Take turns; returns the seconds until they may be used, 0 where the store cannot be written."""
        now = self._now().timestamp()

        def take(used_until: float, paused_until: float) -> tuple[float, float]:
            # a clock that was set back must not make everybody wait
            used_until = min(used_until, now + 10 * rate.seconds)
            return max(used_until, now) + turns * rate.seconds / rate.requests, paused_until

        used = self._change(source, take)
        return 0.0 if used is None else max(0.0, used[0] - now - rate.seconds)

    def pause(self, source: str, seconds: float) -> None:
        """The source asked to be left alone for so long; a longer pause that is known stays."""
        until = self._now().timestamp() + seconds
        self._change(source, lambda used, paused: (used, max(paused, until)))

    def paused(self, source: str) -> float:
        """Seconds for which the source is still to be left alone."""
        now = self._now().timestamp()
        try:
            row = self._read(source)
        except StoreError as error:
            LOG.warning("rate limits cannot be read: %s", error)
            return 0.0
        return 0.0 if row is None else max(0.0, row[1] - now)

    def _read(self, source: str) -> tuple[float, float] | None:
        if isinstance(self._location, Path) and not self._location.exists():
            return None
        database = Database.open(self._location)
        try:
            with database.read() as connection:
                known = sa.inspect(connection).has_table(rate_limits.name)
                return _row(connection, source) if known else None
        finally:
            database.close()

    def _change(self, source: str, change: Callable[[float, float], tuple[float, float]]) -> tuple[float, float] | None:
        try:
            database = Database.open(self._location)
            try:
                with database.write() as connection:
                    metadata.create_all(connection, checkfirst=True)
                    used, paused = change(*(_row(connection, source) or (0.0, 0.0)))
                    row = {"source": source, "used_until": used, "paused_until": paused}
                    upsert(connection, rate_limits, [row], replace=("used_until", "paused_until"))
            finally:
                database.close()
        except StoreError as error:
            LOG.warning("rate limits cannot be written: %s", error)
            return None
        return used, paused


def _row(connection: sa.Connection, source: str) -> tuple[float, float] | None:
    row = connection.execute(rate_limits.select().where(rate_limits.c.source == source)).mappings().first()
    return None if row is None else (row["used_until"], row["paused_until"])
