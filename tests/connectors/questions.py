"""Questions for tests of connectors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from incident_pipeline.connectors.base import Question, Source, SourceSettings
from incident_pipeline.incident_folder.reading import incident_from
from incident_pipeline.models import Alert, Envelope, EvidenceKind, Incident, Window

AROUND = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)


def question(kind: EvidenceKind, **about: Any) -> Question:
    """A question about `payments`, from two hours before the alert to ten minutes after it."""
    window = Window(start=AROUND - timedelta(hours=2), end=AROUND + timedelta(minutes=10))
    return Question(**{"kind": kind, "window": window, "around": AROUND, "services": ("payments",), **about})


def fetch(source: Source, asked: Question) -> Envelope[Any]:
    """Ask once and let go."""

    async def run() -> Envelope[Any]:
        try:
            return await source.fetch(asked)
        finally:
            await source.close()

    return asyncio.run(run())


class Recorder:
    """A transport that answers by a function and remembers what was asked."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response | Any]) -> None:
        self._answer = answer
        self.requests: list[httpx.Request] = []

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._handle)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answer(request)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]


def settings_for(name: str, transport: Any = None, **about: Any) -> SourceSettings:
    """What a connector is built from, with the scenario's defaults."""
    from incident_pipeline.config import Scenario

    return SourceSettings(**{"name": name, "scenario": Scenario(), "transport": transport, **about})


def incident() -> Incident:
    """An incident of `payments`."""
    alert = Alert(
        source="custom", source_id="a", dedup_key="a", title="Payments fail", service="payments", started_at=AROUND
    )
    return incident_from([alert])
