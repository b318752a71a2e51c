"""Clicks in Slack by Socket Mode, in a thread of the receiver's process; for receivers that Slack cannot reach.

Belongs here: from an envelope to a click, each envelope and each click once. Does not belong here: the connection
(`connectors/slack_socket.py`), and what is done with a click (`slack_clicks.py`).

That it comes from Slack is known by the connection: we opened it, over TLS, with the app's own token.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress

from incident_pipeline.connectors.slack_interactions import payload_id, request_id
from incident_pipeline.connectors.slack_socket import Envelope, SlackSocket
from incident_pipeline.console.admission import Refused
from incident_pipeline.console.slack_clicks import Clicks
from incident_pipeline.errors import InputError

LOG = logging.getLogger(__name__)


class SlackListening:
    """Listens while the process lives."""

    def __init__(self, socket: SlackSocket, clicks: Clicks) -> None:
        self._socket, self._clicks = socket, clicks
        self._thread = threading.Thread(target=self._run, name="slack-socket", daemon=True)
        self._began = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End."""
        self._began.wait(timeout)
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(timeout)

    async def take(self, envelope: Envelope) -> None:
        """Do what one envelope asks for; it has been acknowledged."""
        if envelope.type != "interactive":
            return
        try:
            names = request_id(f"envelope {envelope.envelope_id}".encode()), payload_id(envelope.payload)
            done = await self._clicks.take(envelope.payload, *names)
        except (InputError, Refused) as error:
            LOG.warning("a click by Socket Mode was refused: %s", error)
            return
        if done is not None and done.said:
            await self._clicks.tell(done)

    def _run(self) -> None:
        try:
            asyncio.run(self._listen())
        except asyncio.CancelledError:
            LOG.info("Socket Mode was ended")
        except Exception:
            LOG.exception("Socket Mode ended; buttons in Slack do nothing until the receiver is started again")

    async def _listen(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._began.set()
        await self._socket.listen(self.take)
