"""Messages to any system that takes JSON by POST: `connections.<name>.url`.

The body has the incident's facts, `markdown` (the notice) and `key`; `Idempotency-Key` carries the same key, so that a
message that is sent again after a time-out can be recognised. With a token it is sent as a bearer token.
"""

from __future__ import annotations

from typing import Any

from incident_pipeline.connectors.base import SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient, bearer


class MessageWebhook:
    """One system that is told."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def send(self, key: str, body: dict[str, Any], seconds: float = 8.0) -> None:
        """Post a message.

        Raises:
            SourceError: it was refused, or nobody knows whether it arrived.
        """
        await self._client.request(
            "POST", "", json={**body, "key": key}, headers={"Idempotency-Key": key}, deadline=Deadline(seconds)
        )

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()


def build(settings: SourceSettings) -> MessageWebhook:
    """The system of `connections.<name>`.

    Raises:
        ConfigurationError: the address is missing or is none.
    """
    client = HttpClient(
        settings.name,
        settings.url(),
        settings.connection,
        headers=bearer(settings.token),
        transport=settings.transport,
    )
    return MessageWebhook(client)
