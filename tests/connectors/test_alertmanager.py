"""Alertmanager's webhook as it is on the wire."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from incident_pipeline.config import Connection
from incident_pipeline.connectors.alertmanager import alerts_from_webhook, build, silence_text, truncated_alerts
from incident_pipeline.errors import InputError
from incident_pipeline.models import AlertStatus, EvidenceKind, Severity
from tests.connectors.questions import Recorder, fetch, question, settings_for
from tests.shared_data import shared_path

FIRING: dict[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "HighErrorRate", "service": "checkout", "severity": "critical", "env": "production"},
    "annotations": {
        "summary": "High error ratio",
        "description": "ratio 0.4",
        "runbook_url": "https://runbooks.example/1",
    },
    "startsAt": "2026-11-23T14:30:00.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus.example/graph",
    "fingerprint": "a1",
}


def webhook(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"version": "4", "groupKey": "{}", "status": "firing", "alerts": list(alerts)}


def test_a_firing_and_a_resolved_alert_of_one_group() -> None:
    resolved = {
        **FIRING,
        "status": "resolved",
        "startsAt": "2026-11-23T14:30:00.123Z",
        "endsAt": "2026-11-23T14:40:00Z",
    }
    first, second = alerts_from_webhook(webhook(FIRING, resolved))
    assert (first.title, first.summary, first.service) == ("High error ratio", "ratio 0.4", "checkout")
    assert (first.severity, first.environment) == (Severity.P1, "production")
    assert first.labels["runbook_url"] == "https://runbooks.example/1"
    assert first.status is AlertStatus.TRIGGERED
    assert first.resolved_at is None
    assert first.url == "http://prometheus.example/graph"
    assert second.status is AlertStatus.RESOLVED
    assert second.resolved_at == datetime(2026, 11, 23, 14, 40, tzinfo=UTC)
    assert first.dedup_key == second.dedup_key == "a1:20261123T143000.123"


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("critical", Severity.P1),
        ("page", Severity.P1),
        ("error", Severity.P2),
        ("high", Severity.P2),
        ("Warning", Severity.P3),
        ("info", Severity.P5),
        ("none", Severity.P5),
        ("purple", Severity.P3),
        (None, Severity.P3),
    ],
)
def test_severities(word: str | None, severity: Severity) -> None:
    labels = {"alertname": "A"} | ({"severity": word} if word else {})
    (alert,) = alerts_from_webhook(webhook({**FIRING, "labels": labels}))
    assert alert.severity is severity
    assert alert.labels.get("severity") == word


def test_an_alert_with_the_least_there_can_be() -> None:
    (alert,) = alerts_from_webhook(
        {"alerts": [{"labels": None, "startsAt": "2026-11-23T14:30:00Z", "generatorURL": "x"}]}
    )
    assert (alert.title, alert.service, alert.url) == ("alert without a name", None, None)
    assert alert.source_id


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([], "alerts: expected an Alertmanager webhook body"),
        ({"alerts": {}}, "alerts: expected an Alertmanager webhook body"),
        ({"alerts": [1]}, "alerts[1]: expected a JSON object"),
        ({"alerts": [FIRING, {}]}, "alerts[2].startsAt: missing"),
        ({"alerts": [{"startsAt": "noon"}]}, "alerts[1].startsAt: 'noon' is not a moment"),
        ({"alerts": [{"startsAt": 1, "labels": 3}]}, "alerts[1].labels: expected an object"),
    ],
)
def test_bad_bodies_are_one_sentence(body: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        alerts_from_webhook(body)


def test_left_out_alerts_are_told() -> None:
    assert truncated_alerts({"truncatedAlerts": 3}) == 3
    assert truncated_alerts({}) == 0


def test_recorded_webhook() -> None:
    path = shared_path("contracts/alertmanager/webhooks/zulip_alert.json")
    alerts = alerts_from_webhook(json.loads(path.read_text()))
    assert [alert.source_id for alert in alerts] == ["a1bc48475b20e73d", "c2ea85182f28cbd9"]
    assert {alert.severity for alert in alerts} == {Severity.P1}
    assert alerts[0].title == "High CPU core temperature"
    assert alerts[0].started_at == datetime(2020, 2, 6, 0, 17, 58, 432911, tzinfo=UTC)


def test_what_is_silenced_is_told() -> None:
    matchers = [
        {"name": "service", "value": "payments", "isRegex": False, "isEqual": True},
        {"name": "env", "value": "dev.*", "isRegex": True, "isEqual": False},
    ]
    silence = {
        "matchers": matchers,
        **{"status": {"state": "active"}, "endsAt": "2026-11-23T16:00:00Z", "createdBy": "ana@example.org"},
        "comment": "Load test",
    }
    silences = [silence, {**silence, "status": {"state": "expired"}}, {**silence, "matchers": None}, None]
    recorder = Recorder(lambda request: silences if request.url.path.endswith("silences") else [FIRING])
    connection = Connection(url="http://alertmanager.example:9093")
    source = build(settings_for("alertmanager", recorder.transport, connection=connection))
    got = fetch(source, question(EvidenceKind.RELATED_ALERTS))
    assert len(got.rows) == 1
    assert got.notes == ('silenced: service="payments", env!~"dev.*", until 2026-11-23T16:00:00Z, by ana (Load test)',)
    assert silence_text({}) is None
