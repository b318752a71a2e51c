"""Dagster's own SQLite files, through engines that are kept.

Dagster makes an engine, a connection and a compiled statement anew for each of a run's 200 events, and waits for the
disk after each. Here one engine per file lives as long as it is used, with one open connection, and a commit is not
flushed to the disk by itself: what a killed process had committed is still there, what a power cut takes away are the
last log lines of a run, whose results are in the incident's own file. Named in `dagster.yaml`.

Belongs here: how these files are opened. Does not belong here: what is in them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes.config_class import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event, inspect

KEPT_ENGINES = 16
"""Open files at most: a web server reads the event log of many runs, each in a file of its own."""
BUSY_SECONDS = 60.0


class KeptEngines:
    """One engine for each database, the least recently used ones closed."""

    def __init__(self) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        # a transaction may be opened within another one of the same thread
        self._lock = threading.RLock()

    @contextmanager
    def transaction(self, url: str, prepare: Callable[[Engine], None] | None = None) -> Iterator[Connection]:
        """A transaction on the kept connection; `prepare` is called with an engine that is new."""
        with self._lock:
            engine = self._engines.get(url)
            if engine is None:
                engine = self._engines[url] = _engine(url)
                if prepare is not None:
                    prepare(engine)
            self._engines.move_to_end(url)
            with engine.begin() as connection:
                yield connection
            while len(self._engines) > KEPT_ENGINES:
                self._engines.popitem(last=False)[1].dispose()

    def dispose(self) -> None:
        """Close all of them."""
        with self._lock:
            while self._engines:
                self._engines.popitem()[1].dispose()


def _engine(url: str) -> Engine:
    arguments = {"timeout": BUSY_SECONDS, "check_same_thread": False}
    engine = create_engine(url, pool_size=1, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def _no_wait_for_the_disk(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


class EventLog(SqliteEventLogStorage):
    """The event log of each run, and the index over all of them."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._kept = KeptEngines()
        super().__init__(base_dir, inst_data)

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:
        # what Dagster looks up here costs 60 ms a run, and changes nothing in a file that has its tables
        with engine.connect() as connection:
            if inspect(connection).has_table("alembic_version"):
                return
        super()._initdb(engine, for_index_shard)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._kept.transaction(self.conn_string_for_shard(shard), self._initdb) as connection:
            yield connection

    def dispose(self) -> None:
        """Close what is open."""
        self._kept.dispose()
        super().dispose()


class _OneFile:
    """A storage in one file, mixed into Dagster's own class for it."""

    _conn_string: str

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._kept = KeptEngines()
        super().__init__(conn_string, inst_data)  # type: ignore[call-arg]

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A transaction on the kept connection."""
        with self._kept.transaction(self._conn_string) as connection:
            yield connection

    def dispose(self) -> None:
        """Close what is open."""
        self._kept.dispose()


class Runs(_OneFile, SqliteRunStorage):
    """Runs, their tags, and the partitions of the incidents."""


class Schedules(_OneFile, SqliteScheduleStorage):
    """Ticks and cursors of the sensors."""


class ResponderStorage(DagsterSqliteStorage):
    """The three of them below one folder, where Dagster itself would put them."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        history = Path(base_dir) / "history"
        self._run_storage = Runs.from_local(str(history))
        self._event_log_storage = EventLog(str(history / "runs"))
        self._schedule_storage = Schedules.from_local(str(Path(base_dir) / "schedules"))

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> ResponderStorage:
        """As Dagster makes it from `dagster.yaml`."""
        return cls.from_local(inst_data=inst_data, **config_value)
