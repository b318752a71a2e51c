"""Commits alerts of concurrent requests together: one transaction, one fsync, many answers.

Belongs here: the thread between requests and the inbox. Does not belong here: HTTP.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from incident_pipeline.errors import StoreError
from incident_pipeline.models import Alert

LOG = logging.getLogger(__name__)

HEARTBEAT = "receiver"
HEARTBEAT_EVERY = timedelta(seconds=10)
GATHER_SECONDS = 0.004
MAX_BATCH = 2_000
"""Alerts in one transaction, so that the dispatcher never waits long behind it."""
MAX_WAITING = 50_000
"""Alerts that may wait for the disk before the receiver says that it is too busy."""


class Store(Protocol):
    """What the writer needs of the inbox."""

    def prepare(self, received: Sequence[Alert], now: datetime) -> list[dict[str, Any]]:
        """Alerts as rows."""
        ...

    def accept_rows(self, rows: Sequence[dict[str, Any]]) -> int:
        """Commit rows."""
        ...

    def heartbeat(self, name: str, now: datetime) -> None:
        """Commit a sign of life."""
        ...


class _Waiting(NamedTuple):
    alerts: Sequence[Alert]
    answer: Future[int]


class Writer:
    """One thread that writes to the inbox; what is submitted is answered after its commit."""

    def __init__(self, inbox: Store, now: Callable[[], datetime], on_accepted: Callable[[], None]) -> None:
        self._inbox, self._now, self._on_accepted = inbox, now, on_accepted
        self._queue: deque[_Waiting] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._last_sign: datetime | None = None
        self._thread = threading.Thread(target=self._loop, name="inbox-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Write what waits, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout)

    def submit(self, alerts: Sequence[Alert]) -> Future[int]:
        """Have alerts committed; none at all is a question whether that would work. The answer is how many.

        The future fails with StoreError where nothing could be stored, ValueError where an alert cannot be.

        Raises:
            StoreError: too much waits already, or the writer has ended.
        """
        answer: Future[int] = Future()
        with self._changed:
            if self._stopping:
                raise StoreError("the receiver is shutting down; send it again in a moment")
            if self._waiting + len(alerts) > MAX_WAITING:
                raise StoreError("too many alerts wait to be written; send it again in a moment")
            self._queue.append(_Waiting(alerts, answer))
            self._waiting += len(alerts)
            self._changed.notify()
        return answer

    def _loop(self) -> None:
        while True:
            batch = self._next_batch()
            if batch is None:
                return
            self._write(batch)
            # alerts that come thick and fast share a commit; a lone one never waits for company
            if self._queue:
                time.sleep(GATHER_SECONDS)

    def _next_batch(self) -> list[_Waiting] | None:
        """What waits now, up to a batch; an empty one when nothing came for a while; None at the end."""
        with self._changed:
            if not self._queue and not self._stopping:
                self._changed.wait(HEARTBEAT_EVERY.total_seconds())
            if not self._queue:
                return None if self._stopping else []
            batch: list[_Waiting] = []
            size = 0
            while self._queue and (not batch or size + len(self._queue[0].alerts) <= MAX_BATCH):
                waiting = self._queue.popleft()
                size += len(waiting.alerts)
                batch.append(waiting)
            self._waiting -= size
            return batch

    def _write(self, batch: Sequence[_Waiting]) -> None:
        now = self._now()
        rows, good = self._prepared(batch, now)
        try:
            if rows:
                self._inbox.accept_rows(rows)
            self._give_sign(now, asked=not rows)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            LOG.error("alerts cannot be stored: %s", error)
            for waiting in good:
                _answer(waiting, error=error)
            return
        for waiting in good:
            _answer(waiting)
        if rows:
            self._wake()

    def _prepared(self, batch: Sequence[_Waiting], now: datetime) -> tuple[list[dict[str, Any]], list[_Waiting]]:
        rows: list[dict[str, Any]] = []
        good: list[_Waiting] = []
        for waiting in batch:
            try:
                rows += self._inbox.prepare(waiting.alerts, now)
            except Exception as error:  # noqa: BLE001 - one delivery that cannot be stored must not fail the others
                _answer(waiting, error=error)
            else:
                good.append(waiting)
        return rows, good

    def _give_sign(self, now: datetime, asked: bool) -> None:
        if asked or self._last_sign is None or now - self._last_sign >= HEARTBEAT_EVERY:
            self._inbox.heartbeat(HEARTBEAT, now)
            self._last_sign = now

    def _wake(self) -> None:
        try:
            self._on_accepted()
        except Exception:
            LOG.exception("the dispatcher could not be woken; it looks by itself")


def _answer(waiting: _Waiting, error: BaseException | None = None) -> None:
    # the client may have gone and its request been cancelled
    with suppress(Exception):
        if error is not None:
            waiting.answer.set_exception(error)
        else:
            waiting.answer.set_result(len(waiting.alerts))
