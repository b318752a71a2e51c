"""What a process does beside its main work, again and again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

LOG = logging.getLogger(__name__)


class BackgroundLoop:
    """Takes turns in a thread of its own: when it starts, when it is woken, and otherwise every `interval`.

    A turn that fails is logged, and the next one comes all the same.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], object],
        interval: timedelta,
        pause: timedelta = timedelta(0),
    ) -> None:
        """Prepare.

        Args:
            name: of the thread, and in the log.
            turn: what is done.
            interval: between two turns when nobody wakes it.
            pause: between two turns however often it is woken.
        """
        self._name, self._turn = name, turn
        self._interval, self._pause = interval.total_seconds(), pause.total_seconds()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do: take a turn now."""
        self._wake.set()

    def stop(self, timeout: float = 15.0) -> None:
        """Finish the turn that is being taken, then end."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout)

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self._turn()
            except Exception:
                LOG.exception("%s failed; it is tried again within %g s", self._name, self._interval)
            if not self._stop.wait(self._pause):
                self._wake.wait(self._interval)
