"""Tells somebody outside, every minute, that the responder works; silence is the alarm.

Belongs here: what "works" means, and one look. Does not belong here: who listens: a service that alarms
when the pings stop (healthchecks, cronitor, a dead man's switch of the paging service).
"""

from __future__ import annotations

import logging
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
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`ping` says whether it was heard."""
        self._inbox, self._ping, self._now = inbox, ping, now

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
