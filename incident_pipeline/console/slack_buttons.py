"""Clicks in Slack over HTTP: `POST /slack/interactions`.

    200 done, or refused with a sentence that only whoever clicked sees; 400, 401, 403, 409 (a replay), 413

Belongs here: proving where a request comes from, before anything of it is read: Slack's signature over the raw body, at
most five minutes old, each body once. There is no way in without a secret, not even from this machine.
Does not belong here: what is done with a click (`slack_clicks.py`), and clicks by Socket Mode (`slack_listening.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import SecretStr
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from incident_pipeline.connectors.signatures import slack as is_from_slack
from incident_pipeline.connectors.slack_interactions import read_body, request_id
from incident_pipeline.console.admission import Refused
from incident_pipeline.console.slack_clicks import Clicks
from incident_pipeline.errors import InputError

LONGEST_BODY = 200_000
PATH = "/slack/interactions"


def route(clicks: Clicks, secret: SecretStr | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Route:
    """The route, to be mounted in the receiver's application.

    Args:
        clicks: does what was clicked.
        secret: Slack's signing secret; None: no way in.
        now: the clock.
    """

    async def interactions(request: Request) -> Response:
        try:
            body = await _genuine(request, secret, now())
            done = await clicks.take(read_body(body), request_id(body))
        except Refused as refused:
            return JSONResponse({"error": refused.sentence}, status_code=refused.status)
        except InputError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        except ClientDisconnect:
            return JSONResponse({"error": "the body ended early"}, status_code=400)
        told = BackgroundTask(clicks.tell, done) if done is not None and done.said else None
        return Response(status_code=200, background=told)

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
