"""Opsgenie by its specification, its recordings and its habits."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from incident_pipeline.config import AlertSource, Connection
from incident_pipeline.connectors.opsgenie import Opsgenie, alerts_from_webhook, build
from incident_pipeline.errors import ConfigurationError, InputError, TransientSourceError
from incident_pipeline.models import AlertStatus, EvidenceKind, Severity
from tests.connectors.contracts import Contract
from tests.connectors.questions import AROUND, Recorder, fetch, question, settings_for
from tests.shared_data import shared_path

SPEC = "opsgenie/swagger.trim.json"
ALERT = {
    "id": "a-1",
    "message": "High latency",
    "status": "open",
    "acknowledged": False,
    "priority": "P2",
    "alias": "latency",
    "tags": ["service:payments", "env:prod", "vip"],
    "createdAt": "2026-11-23T14:30:00.000Z",
    "updatedAt": "2026-11-23T14:31:00.000Z",
}


def source(recorder: Recorder, **connection: Any) -> Opsgenie:
    keys = AlertSource(api_key="genie-0123456789")
    return build(settings_for("opsgenie", recorder.transport, keys=keys, connection=Connection(**connection)))


def test_alerts_of_the_window() -> None:
    closed = {**ALERT, "id": "a-2", "status": "closed", "report": {"closeTime": 120_000}}
    pages = {0: [ALERT, closed], 100: [{**ALERT, "id": "a-3", "acknowledged": True, "priority": None, "tags": None}]}

    def answer(request: httpx.Request) -> Any:
        offset = int(request.url.params["offset"])
        return {"data": pages[offset], "paging": {"next": "https://evil.example"} if offset == 0 else {}}

    recorder = Recorder(answer)
    got = fetch(source(recorder), question(EvidenceKind.RELATED_ALERTS))
    assert [p for request in recorder.requests for p in Contract(SPEC).problems(request)] == []
    assert recorder.requests[0].headers["authorization"] == "GenieKey genie-0123456789"
    assert {request.url.host for request in recorder.requests} == {"api.opsgenie.com"}
    start = int((AROUND - timedelta(hours=2)).timestamp() * 1000)
    assert recorder.requests[0].url.params["query"].startswith(f"createdAt>={start} AND createdAt<")
    first, second, third = got.rows
    assert (first.title, first.service, first.environment, first.severity) == (
        "High latency",
        "payments",
        "prod",
        Severity.P2,
    )
    assert first.labels["vip"] == "true"
    assert (second.status, second.resolved_at) == (AlertStatus.RESOLVED, AROUND - timedelta(minutes=3))
    assert (third.status, third.severity, third.service) == (AlertStatus.ACKNOWLEDGED, Severity.P3, None)


def test_the_successor_has_another_path_and_other_names() -> None:
    recorder = Recorder(lambda _: {"values": [ALERT], "links": {}})
    url = "https://api.atlassian.com/jsm/ops/api/cloud-1"
    one = source(recorder, url=url, username="oncall@example.org", password="token-12345")  # noqa: S106
    assert len(fetch(one, question(EvidenceKind.RELATED_ALERTS)).rows) == 1
    (request,) = recorder.requests
    assert request.url.path == "/jsm/ops/api/cloud-1/v1/alerts"
    assert request.headers["authorization"].startswith("Basic ")


def test_polling_and_notes() -> None:
    recorder = Recorder(lambda _: {"data": [ALERT]})
    feed = source(recorder)
    first = asyncio.run(feed.poll(None, AROUND, 8))
    asyncio.run(feed.poll(first.cursor, AROUND + timedelta(minutes=1), 8))
    queries = [request.url.params["query"] for request in recorder.requests]
    assert queries == ["status:open", f"updatedAt>={int((AROUND - timedelta(minutes=2)).timestamp() * 1000)}"]
    failing = Recorder(lambda _: httpx.Response(503))
    with pytest.raises(TransientSourceError):
        asyncio.run(source(failing).note("a-1", "Likely cause: the release"))
    assert len(failing.requests) == 1
    assert Contract(SPEC).problems(failing.requests[0]) == []


def test_recorded_webhook() -> None:
    body = json.loads(shared_path("contracts/opsgenie/webhooks/zulip_create.json").read_text())
    (alert,) = alerts_from_webhook(body, received_at=AROUND)
    assert (alert.source_id, alert.title) == ("ec03dad6-62c8-4c94-b38b-d88f398e900f", "another alert")
    assert (alert.severity, alert.service, alert.labels["vip"]) == (Severity.P3, "Server", "true")
    assert alert.started_at == datetime(2017, 8, 14, 11, 25, 56, 288000, tzinfo=UTC)
    (over,) = alerts_from_webhook({**body, "action": "Close"})
    assert (over.status, over.dedup_key) == (AlertStatus.RESOLVED, alert.dedup_key)
    assert over.resolved_at == datetime(2017, 8, 14, 11, 25, 56, 288000, tzinfo=UTC)
    assert alerts_from_webhook({**body, "action": "AddNote"}) == []
    (acknowledged,) = alerts_from_webhook({**body, "action": "Acknowledge"})
    assert acknowledged.status is AlertStatus.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "alert: expected a webhook of Opsgenie"),
        ({"alert": {"message": "x"}}, "alert: expected a webhook of Opsgenie"),
        ({"alert": {"alertId": "a"}}, "alert.createdAt: None is not a moment"),
    ],
)
def test_bad_bodies_are_one_sentence(body: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        alerts_from_webhook(body)


def test_without_a_key_it_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"connections.opsgenie.token is not set"):
        build(settings_for("opsgenie"))
