"""Webhooks of real systems, through the receiver and a real inbox: let in by signature, stored, answered."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.console.receiver import create_receiver
from incident_pipeline.storage.inbox import Inbox
from tests.connectors.questions import AROUND
from tests.shared_data import shared_path

SECRET = "s3cr3t-0123"  # noqa: S105
NOW = str(int(AROUND.timestamp()))
RESOLVED: dict[str, Any] = {
    "event": {
        "event_type": "incident.triggered",
        "occurred_at": "2026-11-23T14:30:00Z",
        "data": {"type": "incident", "id": "P1", "title": "Payments fail", "status": "triggered"},
    }
}


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    inbox = Inbox.open(tmp_path / "inbox.sqlite")
    yield inbox
    inbox.close()


def post(
    inbox: Inbox, source: str, body: bytes, headers: dict[str, str] | None = None, client: str = "203.0.113.9"
) -> Any:
    tokens = dict.fromkeys(("pagerduty", "slack", "datadog"), SECRET)
    settings = Scenario.model_validate({"receiver": {"tokens": tokens}})
    app = create_receiver(inbox, settings, (), lambda: None, lambda: AROUND)

    async def run() -> httpx.Response:
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, client=(client, 50_000))
            async with httpx.AsyncClient(transport=transport, base_url="https://receiver.example") as sender:
                return await sender.post(f"/webhooks/{source}", content=body, headers=headers)

    return asyncio.run(run())


def signature(message: bytes) -> str:
    return hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest()


def slack_headers(body: bytes, stamp: str = NOW) -> dict[str, str]:
    signed = signature(b"v0:" + stamp.encode() + b":" + body)
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={signed}"}


def test_pagerduty_is_let_in_by_its_signature(inbox: Inbox) -> None:
    body = json.dumps(RESOLVED).encode()
    answer = post(inbox, "pagerduty", body, {"X-PagerDuty-Signature": f"v1={signature(body)}"})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
    wrong = post(inbox, "pagerduty", body, {"X-PagerDuty-Signature": f"v1={signature(body + b' ')}"})
    assert wrong.status_code == 401
    assert "signature of source pagerduty" in wrong.json()["error"]
    assert post(inbox, "pagerduty", body).status_code == 401
    assert post(inbox, "pagerduty", body, {"Authorization": f"Bearer {SECRET}"}).status_code == 202
    assert post(inbox, "pagerduty", body, {"Authorization": "Bearer no"}).status_code == 401


def test_an_event_that_is_no_alert_is_taken_and_stores_nothing(inbox: Inbox) -> None:
    body = b'{"event": {"event_type": "pagey.ping", "data": {"type": "ping"}}}'
    answer = post(inbox, "pagerduty", body, {"X-PagerDuty-Signature": f"v1={signature(body)}"})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 0})


def test_slack_is_answered_its_challenge_and_refused_what_is_old(inbox: Inbox) -> None:
    body = b'{"type": "url_verification", "challenge": "abc"}'
    answer = post(inbox, "slack", body, slack_headers(body))
    assert (answer.status_code, answer.json()) == (200, {"challenge": "abc"})
    assert post(inbox, "slack", body, slack_headers(body, str(int(NOW) - 301))).status_code == 401
    message = {"event": {"type": "message", "channel": "C01", "ts": f"{NOW}.000100", "text": "P1 outage"}}
    body = json.dumps(message).encode()
    assert post(inbox, "slack", body, slack_headers(body)).json() == {"accepted": 1}


def test_datadog_is_let_in_by_its_token(inbox: Inbox) -> None:
    body = json.dumps({"alert_id": "7", "title": "Errors", "date": NOW, "scope": "service:payments"}).encode()
    assert post(inbox, "datadog", body).status_code == 401
    assert post(inbox, "datadog", body, {"Authorization": f"Bearer {SECRET}"}).json() == {"accepted": 1}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("pagerduty", "pagerduty/webhooks/zulip_triggered_v3.json"),
        ("alertmanager", "alertmanager/webhooks/zulip_alert.json"),
        ("opsgenie", "opsgenie/webhooks/zulip_create.json"),
    ],
)
def test_recorded_webhooks_are_stored(inbox: Inbox, source: str, name: str) -> None:
    body = shared_path(f"contracts/{name}").read_bytes()
    headers = {"X-PagerDuty-Signature": f"v1={signature(body)}", "Host": "localhost:3001"}
    answer = post(inbox, source, body, headers, client="127.0.0.1")
    assert answer.status_code == 202
    assert answer.json()["accepted"] >= 1
