"""The real Alertmanager and Prometheus: a rule fires, the webhook arrives, the API tells the same."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.connectors.registry import build_sources
from incident_pipeline.evidence.gather import gather_now
from incident_pipeline.incident_folder.reading import incident_from
from incident_pipeline.models import Alert, AlertStatus, EnvelopeStatus, EvidenceKind, Gathered, Severity
from tests.integration.peers import start_alertmanager, start_prometheus
from tests.integration.scraped_app import TOKEN, App
from tests.shared_data import shared_path


@pytest.fixture
def app() -> Iterator[App]:
    app = App()
    yield app
    app.stop()


def related(url: str, labels: dict[str, str], as_of: datetime, own: str = "x") -> Gathered:
    scenario = Scenario.model_validate(
        {"connections": {"alertmanager": {"url": url}}, "context": {"related_alerts": {"sources": ["alertmanager"]}}}
    )
    alert = Alert(source="custom", source_id="a", dedup_key=own, title="t", labels=labels, started_at=as_of)
    kinds = [EvidenceKind.RELATED_ALERTS]
    return gather_now(kinds, build_sources(scenario), incident_from([alert]), scenario, as_of)[kinds[0]]


def test_from_a_rule_to_an_alert_and_back(tmp_path: Path, app: App) -> None:
    rules = shared_path("peers/rules.yml").read_text()
    with (
        start_alertmanager(tmp_path, f"http://{app.address}/webhooks/alertmanager", TOKEN) as alertmanager,
        start_prometheus(tmp_path, targets=(app.address,), rules=rules, alertmanager_url=alertmanager),
    ):
        app.error_ratio = 0.4
        fired = app.next_alert(AlertStatus.TRIGGERED)
        assert (fired.service, fired.environment, fired.severity) == ("checkout", "prod", Severity.P1)
        assert fired.title == "High error ratio on checkout"
        assert fired.labels["runbook_url"] == "https://runbooks.example/high-error"
        assert fired.resolved_at is None
        assert abs(fired.started_at - datetime.now(UTC)) < timedelta(minutes=1)

        soon = datetime.now(UTC) + timedelta(minutes=1)
        (same,) = related(alertmanager, {}, soon).rows
        assert (same.dedup_key, same.source_id, same.title) == (fired.dedup_key, fired.source_id, fired.title)
        assert related(alertmanager, {}, soon, own=fired.dedup_key).status is EnvelopeStatus.EMPTY
        assert related(alertmanager, {}, fired.started_at - timedelta(hours=1)).status is EnvelopeStatus.EMPTY

        app.error_ratio = 0.0
        resolved = app.next_alert(AlertStatus.RESOLVED)
        assert resolved.dedup_key == fired.dedup_key
        assert resolved.resolved_at is not None
        assert resolved.resolved_at > resolved.started_at


def test_only_alerts_of_the_incidents_environment_are_related(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    odd = 'st"ag\\ing'
    with start_alertmanager(tmp_path) as url:
        post(url, [{"labels": {"alertname": name, "env": env}} for name, env in (("A", "prod"), ("B", odd))])
        soon = now + timedelta(minutes=1)
        assert {alert.title for alert in related(url, {}, soon).rows} == {"A", "B"}
        assert [alert.title for alert in related(url, {"env": "prod"}, soon).rows] == ["A"]
        found = related(url, {"env": odd}, soon)
        assert [alert.title for alert in found.rows] == ["B"]
        assert found.envelopes[0].query == 'active alerts, env="st\\"ag\\\\ing"'


def post(url: str, alerts: list[dict[str, Any]]) -> None:
    request = urllib.request.Request(  # noqa: S310  # our own URL
        f"{url}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        pass
