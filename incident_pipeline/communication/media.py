"""The ways out: how a message of the outbox is sent by each medium, and how one finds out whether it arrived.

Belongs here: from a message's content to a call of its connector. Does not belong here: when it is sent, and what
becomes of failures (`delivery.py`).
"""

from __future__ import annotations

from typing import Any, Protocol

from incident_pipeline.config import AlertSource, Connection, Scenario
from incident_pipeline.connectors import slack as slack_connector
from incident_pipeline.connectors.base import SourceSettings
from incident_pipeline.connectors.slack import Posted, Slack, SlackRefusedError
from incident_pipeline.storage.outbox import Message

Reference = dict[str, str]
_GONE = frozenset({"message_not_found", "cant_update_message"})
_BLOCKS_REFUSED = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})


class Medium(Protocol):
    """One way out."""

    async def look_up(self, message: Message) -> Reference | None:
        """Where an earlier attempt at this message has arrived; None where it has not.

        Raises:
            SourceError: nobody can tell now.
        """
        ...

    async def send(self, message: Message) -> Reference:
        """Send it, or bring up to date what was sent; gives where it is.

        Raises:
            SourceError: it was refused, or nobody knows whether it arrived.
            ConfigurationError: the configuration does not say how.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class SlackMedium:
    """Messages and replies in Slack."""

    def __init__(self, client: Slack) -> None:
        self._client = client

    async def look_up(self, message: Message) -> Reference | None:
        """By the key that the message carries in its metadata."""
        if message.reference is not None:
            return None
        found = await self._client.find(message.target, message.key, _thread(message), since=message.created_at)
        return _where(found) if found else None

    async def send(self, message: Message) -> Reference:
        """Post, or update what was posted; without blocks where Slack does not take them."""
        try:
            return await self._send(message, message.content.get("blocks"))
        except SlackRefusedError as error:
            if error.error not in _BLOCKS_REFUSED:
                raise
            return await self._send(message, None)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _send(self, message: Message, blocks: list[Any] | None) -> Reference:
        text = str(message.content["text"])
        if message.reference is not None:
            posted = Posted(message.reference["channel"], message.reference["ts"])
            try:
                await self._client.update(posted, text, blocks)
            except SlackRefusedError as error:
                if error.error not in _GONE:
                    raise
            else:
                return message.reference
        posted = await self._client.post(
            message.target, text, blocks=blocks, thread_ts=_thread(message), key=message.key
        )
        return _where(posted)


def build_medium(medium: str, scenario: Scenario, transport: Any = None) -> Medium:
    """The way out of that name.

    Raises:
        ConfigurationError: the configuration does not say how to reach it.
    """
    settings = SourceSettings(
        name=medium,
        scenario=scenario,
        connection=scenario.connections.get(medium, Connection()),
        keys=scenario.alerts.sources.get(medium, AlertSource()),
        transport=transport,
    )
    return SlackMedium(slack_connector.build(settings))


def _thread(message: Message) -> str | None:
    return message.thread_reference["ts"] if message.thread_reference else None


def _where(posted: Posted) -> Reference:
    return {"channel": posted.channel, "ts": posted.ts}
