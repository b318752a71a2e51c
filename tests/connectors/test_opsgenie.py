"""Opsgenie by its specification, its recordings and its habits."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from incident_pipeline.config import AlertSource, Connection
from incident_pipeline.connectors.opsgenie import Opsgenie, build
from incident_pipeline.connectors.opsgenie_rows import alerts_from_webhook
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
        if request.url.path == "/v1/incidents/":
            return {"data": [{**ALERT, "message": "Payments are down"}], "paging": {}}
        offset = int(request.url.params["offset"])
        return {"data": pages[offset], "paging": {"next": "https://evil.example"} if offset == 0 else {}}

    recorder = Recorder(answer)
    got = fetch(source(recorder), question(EvidenceKind.RELATED_ALERTS))
    assert [p for request in recorder.requests for p in Contract(SPEC).problems(request)] == []
    assert recorder.requests[0].headers["authorization"] == "GenieKey genie-0123456789"
    assert {request.url.host for request in recorder.requests} == {"api.opsgenie.com"}
    start = int((AROUND - timedelta(hours=2)).timestamp() * 1000)
    assert recorder.requests[0].url.params["query"].startswith(f"createdAt>={start} AND createdAt<")
    first, second, third, declared = got.rows
    assert (declared.source_id, declared.title) == ("incident:a-1", "Payments are down")
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


@pytest.mark.parametrize(
    ("alert", "status"),
    [
        ({"status": "open", "acknowledged": False}, AlertStatus.TRIGGERED),
        ({"status": "open", "acknowledged": True}, AlertStatus.ACKNOWLEDGED),
        ({"status": "closed", "acknowledged": True}, AlertStatus.RESOLVED),
    ],
)
def test_status_is_read_of_both_and_set_by_the_contract(alert: dict[str, Any], status: AlertStatus) -> None:
    recorder = Recorder(lambda _: {"data": alert, "result": "Request will be processed"})
    one = source(recorder)
    assert asyncio.run(one.status_of("a-1")) == status
    assert asyncio.run(source(Recorder(lambda _: alert)).status_of("a-1")) == status
    asyncio.run(one.set_status("a-1", AlertStatus.ACKNOWLEDGED))
    asyncio.run(one.set_status("a-1", AlertStatus.RESOLVED))
    assert [request.url.path for request in recorder.requests] == [
        "/v2/alerts/a-1",
        "/v2/alerts/a-1/acknowledge",
        "/v2/alerts/a-1/close",
    ]
    contract = Contract(SPEC)
    assert [contract.problems(request) for request in recorder.requests] == [[], [], []]


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


def test_who_is_on_call() -> None:
    schedules = [
        {"_parent": {"name": "Platform", "enabled": True}, "onCallRecipients": ["bo@example.org"]},
        {"_parent": {"name": "payments_schedule", "enabled": True}, "onCallRecipients": ["ana@example.org", None]},
        {"_parent": {"name": "old", "enabled": False}, "onCallRecipients": ["nobody"]},
        {"_parent": None, "onCallParticipants": [{"name": "cy", "type": "user"}], "onCallRecipients": None},
    ]
    recorder = Recorder(lambda _: {"data": schedules})
    got = fetch(source(recorder), question(EvidenceKind.ON_CALL))
    assert [(row.name, row.service, row.policy) for row in got.rows] == [
        ("ana", "payments", "payments_schedule"),
        ("bo", None, "Platform"),
        ("cy", None, None),
    ]
    assert [p for request in recorder.requests for p in Contract(SPEC).problems(request)] == []


def test_an_account_without_incidents_still_has_alerts() -> None:
    recorder = Recorder(lambda r: httpx.Response(403) if "incidents" in r.url.path else {"data": [ALERT], "paging": {}})
    got = fetch(source(recorder), question(EvidenceKind.RELATED_ALERTS))
    assert [row.source_id for row in got.rows] == ["a-1"]
    assert "incidents were not read" in got.notes[0]
    assert not got.partial


def test_fields_and_paths_of_the_successor_are_configurable() -> None:
    item = {**{k: v for k, v in ALERT.items() if k != "message"}, "summary": {"text": "Latency"}}
    recorder = Recorder(lambda _: {"values": [item], "links": {}})
    options = {"field.message": "summary.text", "alerts_path": "/v2/alerts", "auth": "Bearer"}
    one = source(recorder, url="https://api.atlassian.com/jsm/ops/api/cloud-1", options=options)
    (row,) = fetch(one, question(EvidenceKind.RELATED_ALERTS)).rows
    assert row.title == "Latency"
    assert recorder.requests[0].url.path == "/jsm/ops/api/cloud-1/v2/alerts"
    assert recorder.requests[0].headers["authorization"].startswith("Bearer ")
    assert len(recorder.requests) == 1


def test_more_than_one_poll_can_read_goes_on_where_it_stopped() -> None:
    """A thousand and more changes of an outage: the cursor moves to the last that was read, never past it."""

    def answer(request: httpx.Request) -> Any:
        offset = int(request.url.params["offset"])
        rows = [
            {**ALERT, "id": str(n), "updatedAt": (AROUND + timedelta(seconds=n)).isoformat()}
            for n in range(offset, offset + 100)
        ]
        return {"data": rows, "paging": {"next": "more"}}

    polled = asyncio.run(source(Recorder(answer)).poll("2026-11-23T14:00:00Z", AROUND + timedelta(days=1), 30))
    assert len(polled.alerts) == 2000
    assert polled.cursor == "2026-11-23T15:08:19Z"
