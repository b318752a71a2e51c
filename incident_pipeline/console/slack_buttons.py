"""Clicks in Slack over HTTP: `POST /slack/interactions`.

    200 done, or refused with a sentence that only whoever clicked sees; 400, 401, 403, 409 (a replay), 413

Belongs here: proving where a request comes from, before anything of it is read: Slack's signature over the raw body, at
most five minutes old, each body once. There is no way in without a secret, not even from this machine.
Does not belong here: what a click means (`communication/clicks.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from pydantic import SecretStr
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from incident_pipeline.application import Application
from incident_pipeline.communication.clicks import BUTTONS, carry_out
from incident_pipeline.connectors.signatures import slack as is_from_slack
from incident_pipeline.connectors.slack_interactions import Interaction, interaction_from, read_body, request_id
from incident_pipeline.console.admission import Refused
from incident_pipeline.documents.escape import clean
from incident_pipeline.errors import IncidentPipelineError, InputError, SourceError

LOG = logging.getLogger(__name__)

LONGEST_BODY = 200_000
PATH = "/slack/interactions"


class Whisper(Protocol):
    """Says something that one person alone sees."""

    async def __call__(self, channel: str, user: str, text: str) -> None:
        """Say it; raises SourceError."""
        ...


def route(
    application: Application,
    on_decided: Callable[[], None],
    whisper: Whisper,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Route:
    """The route, to be mounted in the receiver's application.

    Args:
        application: whose incidents are decided on.
        on_decided: called after each decision, so that the message in Slack soon says who decided.
        whisper: how a refusal reaches whoever clicked.
        now: the clock.
    """
    secret = application.scenario.receiver.tokens.get("slack")

    async def interactions(request: Request) -> Response:
        try:
            body = await _genuine(request, secret, now())
            click = interaction_from(read_body(body), BUTTONS)
        except Refused as refused:
            return JSONResponse({"error": refused.sentence}, status_code=refused.status)
        except InputError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        except ClientDisconnect:
            return JSONResponse({"error": "the body ended early"}, status_code=400)
        if not await asyncio.to_thread(application.inbox.first_seen, request_id(body), now()):
            return JSONResponse({"error": "this request has come before"}, status_code=409)
        if click is None:
            return Response(status_code=200)
        said = await asyncio.to_thread(_carried_out, application, click, now())
        on_decided()
        return Response(status_code=200, background=BackgroundTask(_tell, whisper, click, said) if said else None)

    return Route(PATH, interactions, methods=["POST"])


async def _genuine(request: Request, secret: SecretStr | None, now: datetime) -> bytes:
    if secret is None:
        raise Refused(403, "receiver.tokens.slack is not set: without Slack's signing secret no click is believed")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LONGEST_BODY:
            raise Refused(413, f"the body is larger than {LONGEST_BODY} bytes")
        chunks.append(chunk)
    body = b"".join(chunks)
    if not is_from_slack(request.headers, body, (secret,), now.timestamp()):
        raise Refused(401, "the signature is missing, wrong or too old")
    return body


def _carried_out(application: Application, click: Interaction, now: datetime) -> str:
    try:
        return carry_out(application, click, now)
    except IncidentPipelineError as error:
        LOG.info("%s by Slack user %s was refused: %s", click.button, clean(click.user_id, 40), error)
        return f"Not done: {error}"


async def _tell(whisper: Whisper, click: Interaction, text: str) -> None:
    try:
        await whisper(click.channel, click.user_id, text)
    except (SourceError, IncidentPipelineError) as error:
        LOG.warning("whoever clicked could not be told %r: %s", text, error)
