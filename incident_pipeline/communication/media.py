"""The ways out: how a message of the outbox is sent by each medium, and how one finds out whether it arrived.

Belongs here: from a message's content to a call of its connector. Does not belong here: when it is sent, and what
becomes of failures (`delivery.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from incident_pipeline.communication.mail import notice_mail
from incident_pipeline.communication.rich_text import slack_escaped
from incident_pipeline.communication.vendor_notes import NoteMedium
from incident_pipeline.communication.vendor_status import SUFFIX, StatusMedium
from incident_pipeline.config import AlertSource, Connection, Scenario
from incident_pipeline.connectors import message_webhook, opsgenie, pagerduty, slack, smtp
from incident_pipeline.connectors.base import SourceSettings
from incident_pipeline.connectors.message_webhook import MessageWebhook
from incident_pipeline.connectors.slack import Posted, Slack, SlackRefusedError
from incident_pipeline.connectors.smtp import Smtp
from incident_pipeline.errors import ConfigurationError
from incident_pipeline.storage.inbox.outbox import Message

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

    async def whisper(self, channel: str, user: str, text: str) -> None:
        """Say something that one person alone sees.

        Raises:
            SourceError: Slack refused, or did not answer.
        """
        await self._client.whisper(channel, user, slack_escaped(text))

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


class EmailMedium:
    """Notices to the addresses of a stakeholder."""

    def __init__(self, server: Smtp, sender: str, addresses: Mapping[str, tuple[str, ...]]) -> None:
        self._server, self._sender, self._addresses = server, sender, addresses

    async def look_up(self, message: Message) -> Reference | None:  # noqa: ARG002 - the protocol's name for it
        """Nobody can tell of a mail: it is sent again under the same Message-ID."""
        return None

    async def send(self, message: Message) -> Reference:
        """Send text and HTML; a mail is never updated."""
        addresses = self._addresses.get(message.target, ())
        if not addresses:
            raise ConfigurationError(f"remediation.communication.stakeholders has no addresses for {message.target!r}")
        mail = notice_mail(message, self._sender, addresses)
        await self._server.send(mail)
        return {"message_id": str(mail["Message-ID"])}

    async def close(self) -> None:
        """Each mail has a connection of its own."""


class WebhookMedium:
    """Notices to systems that take JSON; each is a connection of its own."""

    def __init__(self, client: Callable[[str], MessageWebhook]) -> None:
        self._client = client
        self._clients: dict[str, MessageWebhook] = {}

    async def look_up(self, message: Message) -> Reference | None:  # noqa: ARG002 - the protocol's name for it
        """Nobody can tell: it is sent again under the same key."""
        return None

    async def send(self, message: Message) -> Reference:
        """Post it."""
        client = self._clients.get(message.target) or self._client(message.target)
        self._clients[message.target] = client
        await client.send(message.key, message.content)
        return {"key": message.key}

    async def close(self) -> None:
        """Let go of connections."""
        for client in self._clients.values():
            await client.close()


def build_medium(medium: str, scenario: Scenario, transport: Any = None) -> Medium:
    """The way out of that name.

    Raises:
        ConfigurationError: the configuration does not say how to reach it.
    """

    def settings(name: str) -> SourceSettings:
        connection = scenario.connections.get(name, Connection())
        keys = scenario.alerts.sources.get(name, AlertSource())
        return SourceSettings(name, scenario, connection, keys, transport)

    if medium == "email":
        stakeholders = scenario.remediation.communication.stakeholders
        connection = scenario.connections.get("smtp", Connection())
        addresses = {who.name: who.emails for who in stakeholders}
        return EmailMedium(smtp.build(settings("smtp")), smtp.sender_of(connection), addresses)
    if medium == "webhook":
        return WebhookMedium(lambda name: message_webhook.build(settings(name)))
    if medium == "pagerduty":
        return NoteMedium(pagerduty.build(settings("pagerduty")))
    if medium == "opsgenie":
        return NoteMedium(opsgenie.build(settings("opsgenie")))
    if medium == "pagerduty" + SUFFIX:
        return StatusMedium(pagerduty.build(settings("pagerduty")))
    if medium == "opsgenie" + SUFFIX:
        return StatusMedium(opsgenie.build(settings("opsgenie")))
    return SlackMedium(slack.build(settings("slack")))


async def whisper(scenario: Scenario, channel: str, user: str, text: str, transport: Any = None) -> None:
    """Say something in Slack that one person alone sees.

    Raises:
        ConfigurationError: the configuration has no token for Slack.
        SourceError: Slack refused, or did not answer.
    """
    medium = build_medium("slack", scenario, transport)
    assert isinstance(medium, SlackMedium)  # noqa: S101 - its own name
    try:
        await medium.whisper(channel, user, text)
    finally:
        await medium.close()


def _thread(message: Message) -> str | None:
    return message.thread_reference["ts"] if message.thread_reference else None


def _where(posted: Posted) -> Reference:
    return {"channel": posted.channel, "ts": posted.ts}
