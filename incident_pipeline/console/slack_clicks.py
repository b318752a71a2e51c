"""A click in Slack that is known to be genuine: done once, and whoever clicked is told what was refused.

Belongs here: what is the same whichever way a click comes. Does not belong here: the ways (`slack_buttons.py` over
HTTP, `slack_listening.py` by Socket Mode), and what a click means (`communication/clicks.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from incident_pipeline.application import Application
from incident_pipeline.communication.clicks import BUTTONS, carry_out
from incident_pipeline.connectors.slack_interactions import Interaction, interaction_from
from incident_pipeline.console.admission import Refused
from incident_pipeline.documents.escape import clean
from incident_pipeline.errors import IncidentPipelineError

LOG = logging.getLogger(__name__)


class Whisper(Protocol):
    """Says something that one person alone sees."""

    async def __call__(self, channel: str, user: str, text: str) -> None:
        """Say it; raises SourceError."""
        ...


class Done(NamedTuple):
    """A click that was looked at, and the sentence for whoever clicked; empty where the message says it itself."""

    click: Interaction
    said: str


class Clicks:
    """Does what people click."""

    def __init__(
        self,
        application: Application,
        on_decided: Callable[[], None],
        whisper: Whisper,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prepare.

        Args:
            application: whose incidents are decided on.
            on_decided: called after each decision, so that the message in Slack soon says who decided.
            whisper: how a refusal reaches whoever clicked.
            now: the clock.
        """
        self._application, self._on_decided, self._whisper, self._now = application, on_decided, whisper, now

    async def take(self, payload: Mapping[str, Any], *names: str) -> Done | None:
        """Do what was clicked; None for what is not about a button of ours.

        Args:
            payload: of a click, from Slack without doubt.
            names: what it is known by; one that has come before is a replay.

        Raises:
            InputError: a button of ours with a value that is not.
            Refused: a replay.
        """
        click = interaction_from(payload, BUTTONS)
        for name in names:
            if not await asyncio.to_thread(self._application.inbox.first_seen, name, self._now()):
                raise Refused(409, "this request has come before")
        if click is None:
            return None
        said = await asyncio.to_thread(self._carried_out, click)
        self._on_decided()
        return Done(click, said)

    async def tell(self, done: Done) -> None:
        """Tell whoever clicked, and nobody else; that it cannot be told ends nothing."""
        try:
            await self._whisper(done.click.channel, done.click.user_id, done.said)
        except IncidentPipelineError as error:
            LOG.warning("whoever clicked could not be told %r: %s", done.said, error)

    def _carried_out(self, click: Interaction) -> str:
        try:
            return carry_out(self._application, click, self._now())
        except IncidentPipelineError as error:
            LOG.info("%s by Slack user %s was refused: %s", click.button, clean(click.user_id, 40), error)
            return f"Not done: {error}"
