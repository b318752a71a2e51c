"""Sends what waits in the outbox, each message once.

Belongs here: who is sent next, and what becomes of a failure. Does not belong here: how a medium works (`media.py`).

An attempt that may have arrived (a time-out, a process that died in between) is looked up before it is repeated.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from incident_pipeline.communication.media import Medium, Reference, build_medium
from incident_pipeline.config import Scenario
from incident_pipeline.connectors.answers import RateLimitedError
from incident_pipeline.errors import ConfigurationError, InputError, PermanentSourceError, TransientSourceError
from incident_pipeline.storage.inbox.outbox import Message, Outbox

LOG = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
"""Longer than looking up and sending together can take."""
AT_ONCE = 50
"""Messages of one look, so that news is not kept waiting behind a long queue."""
SHORTEST_PAUSE, LONGEST_PAUSE = 2.0, 300.0
AGAIN, MOST_ATTEMPTS = timedelta(minutes=10), 12
"""What somebody has to act on first (a token, an invitation) is tried again for two hours."""

Build = Callable[[str], Medium]


class Delivery:
    """Takes messages out of one outbox and sends them."""

    def __init__(
        self,
        outbox: Outbox,
        scenario: Scenario,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        build: Build | None = None,
    ) -> None:
        self._outbox = outbox
        self._now = now
        self._build: Build = build or (lambda medium: build_medium(medium, scenario))

    def deliver(self, most: int = AT_ONCE) -> int:
        """Send what is due; returns how many messages are out."""
        first = self._outbox.take(self._now(), LEASE)
        return asyncio.run(self._deliver(first, most)) if first else 0

    async def _deliver(self, first: Message, most: int) -> int:
        media: dict[str, Medium] = {}
        message: Message | None = first
        out = 0
        try:
            for left in range(most - 1, -1, -1):
                if message is None:
                    break
                out += await self._send(message, media)
                message = self._outbox.take(self._now(), LEASE) if left else None
        finally:
            for medium in media.values():
                await medium.close()
        return out

    async def _send(self, message: Message, media: dict[str, Medium]) -> bool:
        try:
            medium = media.get(message.medium) or self._build(message.medium)
            media[message.medium] = medium
            where = await self._sent(message, medium)
        except RateLimitedError as error:
            # a refusal: it has not arrived, whatever was uncertain before stays so
            wait = timedelta(seconds=min(max(error.wait or 0.0, _pause(message)), LONGEST_PAUSE))
            self._outbox.put_off(message, str(error), self._now() + wait, arrived=_as_before(message))
        except TransientSourceError as error:
            wait = timedelta(seconds=_pause(message))
            self._outbox.put_off(message, str(error), self._now() + wait, arrived=None)
        except Exception as error:
            known = isinstance(error, PermanentSourceError | ConfigurationError | InputError)
            LOG.warning("a message by %s cannot be sent: %s", message.medium, error, exc_info=not known)
            again = self._now() + AGAIN if message.attempts < MOST_ATTEMPTS else None
            self._outbox.give_up(message, str(error), self._now(), again)
        else:
            return self._outbox.sent(message, where, self._now())
        return False

    @staticmethod
    async def _sent(message: Message, medium: Medium) -> Reference:
        found = await medium.look_up(message) if message.uncertain else None
        if found is None:
            return await medium.send(message)
        if message.revision == 1:
            return found
        # what arrived may be an older content
        return await medium.send(message.model_copy(update={"reference": found}))


def _as_before(message: Message) -> bool | None:
    return None if message.uncertain else False


def _pause(message: Message) -> float:
    return min(SHORTEST_PAUSE * 2.0 ** min(message.attempts - 1, 10), LONGEST_PAUSE)
