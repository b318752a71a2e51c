"""The webhook receiver: an alert is answered 2xx only after it is on disk.

    POST /webhooks/{source}   202 {"accepted": n}; 400, 401, 403, 404, 413 with one sentence; 503 where it cannot store
    GET  /health              200 when it can accept
    GET  /metrics             Prometheus text

Belongs here: HTTP. Does not belong here: who may send (`admission.py`), what bodies mean (`webhooks.py`), how they
reach the disk (`writer.py`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from incident_pipeline.config import Scenario
from incident_pipeline.connectors.base import Received
from incident_pipeline.connectors.projects import projects_by_service
from incident_pipeline.connectors.slack_messages import challenge
from incident_pipeline.connectors.webhooks import SIGNED, is_genuine
from incident_pipeline.console.admission import Refused, admit
from incident_pipeline.console.metrics import render
from incident_pipeline.console.webhooks import Webhooks
from incident_pipeline.console.writer import Writer
from incident_pipeline.errors import InputError, NotFoundError, StoreError
from incident_pipeline.json_text import loads
from incident_pipeline.models import Alert, Service
from incident_pipeline.storage.disk import disk_state
from incident_pipeline.storage.inbox import Inbox

LOG = logging.getLogger(__name__)

WRITE_SECONDS = 10.0
"""After this long a sender is told to try again; what was accepted meanwhile is the same delivery then."""
HEALTH_SECONDS = 1.0
"""For so long an answer of /health is good."""
DAEMON_SILENCE = timedelta(seconds=60)
"""Its sensors speak every 5 s, a loaded machine's every 20 s."""
RETRY_AFTER = {"Retry-After": "2"}


def create_receiver(
    inbox: Inbox,
    settings: Scenario,
    catalogue: Sequence[Service],
    on_accepted: Callable[[], None],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    data_dir: Path | None = None,
) -> Starlette:
    """The receiver as an ASGI application; its writer lives as long as the application's lifespan.

    Args:
        inbox: where alerts go.
        settings: tokens, limits and mappings.
        catalogue: the services that are known by name.
        on_accepted: called after each commit, from another thread; must return at once.
        now: the clock.
        data_dir: whose disk `/metrics` tells of; None: of none.

    Raises:
        ConfigurationError: a mapping is wrong.
    """
    receiver = _Receiver(inbox, settings, on_accepted, now, data_dir)
    app = Starlette(
        routes=[
            Route("/webhooks/{source}", receiver.webhook, methods=["POST"]),
            Route("/health", receiver.health),
            Route("/metrics", receiver.metrics),
        ],
        lifespan=receiver.lifespan,
    )
    app.state.catalogue = tuple(catalogue)
    return app


class _Receiver:
    def __init__(
        self,
        inbox: Inbox,
        settings: Scenario,
        on_accepted: Callable[[], None],
        now: Callable[[], datetime],
        data_dir: Path | None,
    ) -> None:
        self._inbox, self._now, self._data_dir = inbox, now, data_dir
        self._tokens = settings.receiver.tokens
        self._limit = settings.receiver.max_body_bytes
        self._webhooks = Webhooks(settings.alerts, projects_by_service(settings))
        self._writer = Writer(inbox, now, on_accepted)
        self._answered: Counter[tuple[str, int]] = Counter()
        self._health: tuple[float, str] | None = None

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Write while the application lives."""
        self._writer.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self._writer.stop)

    async def webhook(self, request: Request) -> Response:
        """Take the alerts of one body."""
        source = str(request.path_params["source"])
        counted = "unknown"
        try:
            read = self._webhooks.reader(source)
            counted = source
            parsed = _parsed(await self._admitted(request, source))
            asked = challenge(parsed) if source == "slack" else None
            if asked is not None:
                return JSONResponse({"challenge": asked})
            accepted = await self._keep(read(parsed, self._now()))
        except NotFoundError as error:
            response = _sentence(404, error)
        except InputError as error:
            response = _sentence(400, error)
        except Refused as refused:
            response = _sentence(refused.status, refused)
        except StoreError as error:
            response = _sentence(503, error, RETRY_AFTER)
        except ClientDisconnect:
            response = _sentence(400, InputError("the body ended early"))
        else:
            response = JSONResponse({"accepted": accepted}, status_code=202)
        self._answered[counted, response.status_code] += 1
        return response

    async def _admitted(self, request: Request, source: str) -> bytes:
        """The body of a request that is let in: by its source's signature where it carries one, else by its token.

        Raises:
            Refused: 401, 403 or 413.
        """
        secret = self._tokens.get(source)
        if secret is None or source not in SIGNED or "authorization" in request.headers:
            admit(request, source, self._tokens)
            return await _body(request, self._limit)
        body = await _body(request, self._limit)
        if not is_genuine(source, request.headers, body, (secret,), self._now().timestamp()):
            raise Refused(401, f"the signature of source {source} is missing, wrong or too old; check its secret")
        return body

    async def health(self, _request: Request) -> Response:
        """Try what a webhook would need: a commit."""
        if self._health is None or time.monotonic() - self._health[0] > HEALTH_SECONDS:
            try:
                await self._store(())
            except StoreError as error:
                self._health = time.monotonic(), str(error)
            else:
                self._health = time.monotonic(), ""
        problem = self._health[1]
        if problem:
            return JSONResponse({"status": "unavailable", "error": problem}, status_code=503)
        return JSONResponse({"status": "ok", **await self._warnings()})

    async def _warnings(self) -> dict[str, list[str]]:
        """What does not keep alerts out, but should wake somebody: the daemon, which is the net, is gone."""
        now = self._now()
        state = await asyncio.to_thread(self._inbox.state, now)
        spoke = state.heartbeats.get("daemon")
        if spoke is None or now - spoke <= DAEMON_SILENCE:
            return {}
        silence = round((now - spoke).total_seconds())
        return {"warnings": [f"the Dagster daemon has been silent for {silence} s; see daemon.log, restart it"]}

    async def metrics(self, request: Request) -> Response:
        """The application's own state; for whoever has its token, where it has one."""
        now = self._now()
        try:
            if "metrics" in self._tokens:
                admit(request, "metrics", self._tokens)
            state = await asyncio.to_thread(self._inbox.state, now)
        except Refused as refused:
            return _sentence(refused.status, refused)
        except StoreError as error:
            return _sentence(503, error)
        disk = disk_state(self._data_dir, now) if self._data_dir else None
        return PlainTextResponse(render(state, now, self._answered, disk), media_type="text/plain; version=0.0.4")

    async def _keep(self, brought: Sequence[Alert] | Received) -> int:
        if isinstance(brought, Received):
            return await asyncio.to_thread(self._inbox.accept_changes, brought, self._now())
        return await self._store(brought)

    async def _store(self, alerts: Sequence[Alert]) -> int:
        try:
            written = asyncio.wrap_future(self._writer.submit(alerts))
            return await asyncio.wait_for(written, WRITE_SECONDS)
        except TimeoutError as error:
            raise StoreError("the alerts could not be written in time; send them again") from error
        except (ValueError, OverflowError) as error:
            raise InputError(f"an alert cannot be stored: {error}") from error


async def _body(request: Request, limit: int) -> bytes:
    """The whole body, however it is sent, unless it is larger than the limit."""
    too_large = Refused(413, f"the body is larger than {limit} bytes; send fewer alerts at once")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise too_large
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def _parsed(body: bytes) -> object:
    try:
        return loads(body)
    except ValueError as error:
        what = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else f"not JSON: {error}"
        raise InputError(f"the body is {what}") from error


def _sentence(status: int, error: Exception, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=status, headers=headers)
