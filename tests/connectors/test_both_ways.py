"""An alert that a webhook brings and a poll finds as well is one alert of one incident, whichever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from incident_pipeline.config import Alerts, AlertSource, Connection
from incident_pipeline.connectors.registry import CONNECTORS
from incident_pipeline.connectors.webhooks import reader
from incident_pipeline.models import Alert
from incident_pipeline.storage.inbox import Inbox
from tests.connectors.questions import AROUND, Recorder, settings_for

TS = f"{AROUND.timestamp():.6f}"
SECONDS, MS = int(AROUND.timestamp()), int(AROUND.timestamp() * 1000)
ISO = "2026-11-23T14:35:00Z"

PD = {"id": "P1", "title": "Payments fail", "status": "triggered", "urgency": "high", "created_at": ISO}
PD |= {"service": {"id": "S1", "summary": "payments"}, "type": "incident"}
OG = {"message": "Payments fail", "priority": "P2", "tags": ["service:payments"]}
MESSAGE = {"type": "message", "ts": TS, "text": "P1 outage\nservice: payments"}
GROUP = {"monitor_id": 7, "group": "service:payments", "monitor_name": "Payments fail", "status": "Alert"}

SENT: dict[str, Any] = {
    "pagerduty": {"event": {"event_type": "incident.triggered", "occurred_at": ISO, "data": PD}},
    "opsgenie": {"action": "Create", "alert": {**OG, "alertId": "a-1", "createdAt": MS, "updatedAt": MS * 10**6}},
    "datadog": {
        **{"alert_id": "7", "scope": "service:payments", "title": "[Triggered] Payments fail", "date": str(MS + 1500)},
        **{"transition": "Triggered", "tags": "service:payments"},
    },
    "slack": {"event": {**MESSAGE, "channel": "C01"}},
}
FOUND: dict[str, Any] = {
    "/incidents": {"incidents": [PD]},
    "/v2/alerts": {"data": [{**OG, "id": "a-1", "status": "open", "createdAt": "2026-11-23T14:35:00.000Z"}]},
    "/api/v1/monitor/groups/search": {"groups": [{**GROUP, "last_triggered_ts": SECONDS}]},
    "/conversations.history": {"ok": True, "messages": [MESSAGE]},
}


def sent(source: str) -> list[Alert]:
    read = reader(source)
    assert read is not None
    return read(SENT[source], received_at=AROUND)


def polled(source: str) -> list[Alert]:
    def answer(request: httpx.Request) -> Any:
        return next((found for path, found in FOUND.items() if request.url.path == path), {"ok": True, "alerts": []})

    keys = AlertSource(api_key="key-0123456", app_key="key-0123456", channel="C01")
    connection = Connection(url="https://source.example")
    feed: Any = CONNECTORS[source].build(
        settings_for(source, Recorder(answer).transport, keys=keys, connection=connection)
    )
    return list(asyncio.run(feed.poll(None, AROUND + timedelta(minutes=1), 5)).alerts)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    opened = Inbox.open(tmp_path / "inbox.sqlite")
    yield opened
    opened.close()


@pytest.mark.parametrize("source", sorted(SENT))
@pytest.mark.parametrize("ways", [(sent, polled), (polled, sent), (polled, polled), (sent, sent)])
def test_both_ways_are_one_alert(inbox: Inbox, source: str, ways: tuple[Any, Any]) -> None:
    for way in ways:
        alerts = way(source)
        assert len(alerts) == 1
        inbox.accept(alerts, AROUND)
        inbox.group(AROUND + timedelta(minutes=2), Alerts())
    (listed,) = inbox.incidents()
    incident = inbox.incident(listed.incident_id)
    assert [alert.title for alert in incident.alerts] == [sent(source)[0].title]
