"""Slack's Socket Mode: what people click comes over a WebSocket that we opened, so that nothing needs to reach us.

    apps.connections.open (with the app's own token, xapp-) -> wss://... -> hello, envelopes, disconnect

Belongs here: opening the connection, opening it again, and acknowledging each envelope by its id as soon as it has come
(https://docs.slack.dev/apis/events-api/using-socket-mode). Does not belong here: what an envelope means.

The address holds a ticket that lets in whoever has it, so it is never logged. Slack ends each connection after some
hours with `disconnect`; a lost one is noticed by pings. There is a new connection after that, at once at first, then
after ever longer pauses.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from incident_pipeline.config import Connection
from incident_pipeline.connectors.answers import Dialect, RateLimitedError
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient, bearer, trusted
from incident_pipeline.connectors.shapes import at
from incident_pipeline.connectors.slack import RATE, URL, Slack
from incident_pipeline.errors import PermanentSourceError, SourceError
from incident_pipeline.json_text import loads

LOG = logging.getLogger(__name__)

LARGEST = 1024 * 1024
"""Bytes of one envelope; it holds the message that was clicked on."""
LONGEST_PAUSE = 60.0
STEADY = 30.0
"""Seconds after which a connection that ends was a good one."""
OPEN_SECONDS = 20.0
LAST_SECONDS = 3.0
"""For what has been clicked when the process is to end."""


class Envelope(NamedTuple):
    """One thing that Slack says, acknowledged already."""

    envelope_id: str
    type: str
    """interactive for clicks."""
    payload: Mapping[str, Any]


Take = Callable[[Envelope], Awaitable[None]]


class SlackSocket:
    """The connection of one app; it lives until its task is cancelled."""

    def __init__(self, connection: Connection, pause: Callable[[int], float] | None = None) -> None:
        """Prepare.

        Args:
            connection: `connections.slack` with its `app_token`.
            pause: seconds before a connection, by how many have failed in a row.
        """
        self._connection = connection
        self._pause = pause or _pause
        self._taking: set[asyncio.Task[None]] = set()

    async def listen(self, take: Take) -> None:
        """Acknowledge and hand over envelopes, for ever; each is taken on its own, so that none waits for another."""
        # its own log tells whole addresses
        logging.getLogger("websockets").setLevel(logging.WARNING)
        clock = asyncio.get_running_loop().time
        failures, before, wait = 0, "", 0.0
        try:
            while True:
                await asyncio.sleep(max(wait, self._pause(failures)) if failures else 0)
                began = clock()
                why, wait = await self._session_or_why(take)
                good = clock() - began >= STEADY
                failures = 0 if good else failures + 1
                # the same reason again and again is told once
                LOG.log(logging.INFO if good or why == before else logging.WARNING, "Socket Mode ended: %s", why)
                before = why
        finally:
            if self._taking:
                await asyncio.wait(self._taking, timeout=LAST_SECONDS)

    async def _session_or_why(self, take: Take) -> tuple[str, float]:
        """One connection; why it ended or was not opened, and for how long Slack wants to be left alone."""
        try:
            return await self._session(take), 0.0
        except SourceError as error:
            return str(error), (error.wait or 0.0) if isinstance(error, RateLimitedError) else 0.0

    async def _session(self, take: Take) -> str:
        """One connection, to its end; returns why it ended.

        Raises:
            SourceError: it could not be opened.
        """
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        address = await self._address()
        proxy: str | Literal[True] | None = None if _is_local(address) else self._connection.proxy or True
        tls = trusted("slack", self._connection.ca) if address.startswith("wss:") else None
        try:
            async with connect(address, max_size=LARGEST, proxy=proxy, ssl=tls) as socket:
                async for text in socket:
                    said = _read(text)
                    if said.get("type") == "disconnect":
                        return f"slack asked for a new connection ({str(said.get('reason'))[:60]})"
                    if (envelope := _envelope(said)) is not None:
                        await socket.send(json.dumps({"envelope_id": envelope.envelope_id}))
                        self._begin(take, envelope)
        except (WebSocketException, OSError) as error:
            # the library's own words can hold the address: only the kind of failure is told
            return f"the connection was lost ({type(error).__name__})"
        return "the connection was closed"

    def _begin(self, take: Take, envelope: Envelope) -> None:
        """A lost connection does not end what has been clicked."""
        task = asyncio.create_task(_taken(take, envelope))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def _address(self) -> str:
        url, headers = self._connection.url or URL, bearer(self._connection.app_token)
        client = HttpClient("slack", url, self._connection, headers=headers, dialect=Dialect(rate=RATE))
        try:
            address = await Slack(client, None).socket_address(Deadline(OPEN_SECONDS))
        finally:
            await client.close()
        if not address.startswith("wss://") and not (address.startswith("ws://") and _is_local(address)):
            raise PermanentSourceError("slack gave no wss:// address for Socket Mode")
        return address


async def _taken(take: Take, envelope: Envelope) -> None:
    try:
        await take(envelope)
    except Exception:
        # one click that goes wrong must not end the connection that the next one comes by
        LOG.exception("what was clicked in Slack could not be done")


def _is_local(address: str) -> bool:
    return urlsplit(address).hostname in ("127.0.0.1", "localhost", "::1")


def _read(text: str | bytes) -> Mapping[str, Any]:
    try:
        said = loads(text.encode() if isinstance(text, str) else text)
    except ValueError:
        said = None
    return said if isinstance(said, Mapping) else {}


def _envelope(said: Mapping[str, Any]) -> Envelope | None:
    envelope_id, payload = said.get("envelope_id"), said.get("payload")
    if not isinstance(envelope_id, str) or not envelope_id:
        return None
    return Envelope(envelope_id, str(at(said, "type")), payload if isinstance(payload, Mapping) else {})


def _pause(failures: int) -> float:
    """1, 2, 4 ... 60 seconds, each up to a half longer, so that many do not come at the same moment."""
    return float(min(2.0 ** min(failures - 1, 10), LONGEST_PAUSE) * (1 + random.random() / 2))  # noqa: S311
