"""Tells somebody outside, every minute, that the responder works; silence is the alarm.

Belongs here: what "works" means, and the thread that says so. Does not belong here: who listens: a service that alarms
when the pings stop (healthchecks, cronitor, a dead man's switch of the paging service).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from incident_pipeline.errors import IncidentPipelineError
from incident_pipeline.storage.inbox.records import InboxState

LOG = logging.getLogger(__name__)

SILENCE = timedelta(minutes=3)
"""A daemon that said nothing for so long is dead."""
LONGEST_WAIT = timedelta(minutes=5)
"""An alert that nobody diagnoses for so long means that nobody works."""


class Asked(Protocol):
    """What the switch needs of the inbox."""

    def state(self, now: datetime) -> InboxState:
        """The inbox in numbers."""
        ...


def trouble(state: InboxState, now: datetime) -> str:
    """Why the responder does not work; empty where it does."""
    spoke = state.heartbeats.get("daemon")
    if spoke is None or now - spoke > SILENCE:
        return "the Dagster daemon is silent"
    if state.oldest_unclaimed_seconds > LONGEST_WAIT.total_seconds():
        return f"an alert has waited for {state.oldest_unclaimed_seconds:.0f} s"
    return ""


class DeadManSwitch:
    """Pings while all is well."""

    def __init__(
        self,
        inbox: Asked,
        ping: Callable[[], bool],
        interval: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`ping` says whether it was heard."""
        self._inbox, self._ping, self._now = inbox, ping, now
        self._interval = interval.total_seconds()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="dead-man-switch", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End."""
        self._stop.set()
        self._thread.join(timeout)

    def look(self) -> bool:
        """One look; whether the ping was sent and heard."""
        now = self._now()
        try:
            why = trouble(self._inbox.state(now), now)
        except IncidentPipelineError as error:
            why = str(error)
        if why:
            LOG.error("the dead man's switch is not pinged: %s", why)
            return False
        heard = self._ping()
        if not heard:
            LOG.warning("the dead man's switch does not answer")
        return heard

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except Exception:
                LOG.exception("the dead man's switch could not be pinged")
            self._stop.wait(self._interval)
