"""Tells people what is new, turn by turn, in a process that lives.

Belongs here: one turn. The receiver takes one after the other in the background; the daemon's sensor takes over while
the receiver gives no sign of life. Both may speak at once: messages are taken under a lease.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from incident_pipeline.application import Application
from incident_pipeline.communication import trouble
from incident_pipeline.communication.delivery import Delivery
from incident_pipeline.communication.reminding import remind
from incident_pipeline.communication.telling import tell

LOG = logging.getLogger(__name__)

HEARTBEAT = "speaker"
HEARTBEAT_EVERY = timedelta(seconds=10)
PROCESS_STARTED = datetime.now(UTC)
"""Silence from before this process lived is nothing that it has noticed: everything may just have been started."""
STAND_IN_AFTER = timedelta(seconds=30)
"""Silence of the one that speaks after which the other one does."""


class Speaker:
    """One turn: notice who is silent and what is due, queue what is news, send what is due."""

    def __init__(
        self,
        application: Application,
        watches: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        delivery: Delivery | None = None,
        since: datetime = PROCESS_STARTED,
    ) -> None:
        """Prepare.

        Args:
            application: whose news it is.
            watches: the part whose silence is told of: daemon or receiver.
            now: the clock.
            delivery: sends; replaced in tests.
            since: from when on silence counts.
        """
        self._application = application
        self._watches = watches
        self._now = now
        self._delivery = delivery or Delivery(application.inbox, application.scenario, now)
        self._since = since
        self._last_sign: datetime | None = None
        self._silent_since: datetime | None = None

    def speak(self) -> int:
        """One turn; returns how many messages went out."""
        self._watch()
        tell(self._application, self._now())
        return self._delivery.deliver()

    def _watch(self) -> None:
        now, inbox = self._now(), self._application.inbox
        if self._last_sign is not None and now - self._last_sign < HEARTBEAT_EVERY:
            return
        self._last_sign = now
        inbox.heartbeat(HEARTBEAT if self._watches == "daemon" else f"{HEARTBEAT} stand-in", now)
        spoke = inbox.state(now).heartbeats.get(self._watches)
        settings = self._application.scenario.remediation
        silent = trouble.part_silent(settings, self._watches, spoke, now, self._since)
        if silent:
            self._silent_since = spoke
            inbox.queue(silent, now)
        elif self._silent_since is not None:
            inbox.queue(trouble.part_back(settings, self._watches, self._silent_since, now), now)
            self._silent_since = None
        remind(self._application, now)


def stands_in(application: Application, now: datetime) -> bool:
    """Whether the process that usually speaks has fallen silent, so that another one has to."""
    spoke = application.inbox.state(now).heartbeats.get(HEARTBEAT)
    return spoke is None or now - spoke > STAND_IN_AFTER
