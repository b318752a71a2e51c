"""From a metric to a status update through real programs: Prometheus, Alertmanager, receiver, Dagster."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from incident_pipeline.models import EnvelopeStatus
from incident_pipeline.storage.incidents.store import IncidentStore
from tests.e2e.stack import running, wait_for
from tests.integration.peers import free_port, start_alertmanager, start_prometheus
from tests.integration.scraped_app import TOKEN, App

RULES = """
groups:
- name: checkout
  interval: 1s
  rules:
  - alert: HighErrorRate
    expr: checkout_error_ratio > 0.1
    labels: {severity: critical, service: checkout}
    annotations: {summary: "High error ratio in checkout", description: "ratio {{ $value }}"}
"""


def configuration(prometheus: str, alertmanager: str) -> str:
    return f"""
scenario:
  receiver: {{tokens: {{alertmanager: "${{HOOK_TOKEN}}"}}}}
  connections:
    prometheus: {{url: "{prometheus}"}}
    alertmanager: {{url: "{alertmanager}"}}
  context:
    metrics: {{provider: prometheus, queries: {{error_ratio: "checkout_error_ratio{{service=$service}}"}}}}
    related_alerts: {{sources: [alertmanager]}}
  diagnosis: {{updates: [0s]}}
"""


def history(now: float) -> str:
    """An hour in which nothing was wrong."""
    samples = [f'checkout_error_ratio{{service="checkout"}} 0.01 {int(now - 3600 + 15 * n)}' for n in range(230)]
    return "# TYPE checkout_error_ratio gauge\n" + "\n".join(samples) + "\n# EOF\n"


@pytest.fixture
def app() -> Iterator[App]:
    app = App()
    yield app
    app.stop()


@pytest.mark.timeout(300)
def test_a_rule_that_fires_becomes_a_stored_update(tmp_path: Path, app: App) -> None:
    port = free_port()
    (tmp_path / ".env").write_text(f"HOOK_TOKEN={TOKEN}\n")
    with (
        start_alertmanager(tmp_path / "am", f"http://127.0.0.1:{port}/webhooks/alertmanager", TOKEN) as alertmanager,
        start_prometheus(
            tmp_path / "prom",
            targets=(app.address,),
            rules=RULES,
            alertmanager_url=alertmanager,
            history=history(time.time()),
        ) as prometheus,
        running(tmp_path, configuration(prometheus, alertmanager), receiver_port=port) as stack,
    ):
        app.error_ratio = 0.4
        wait_for("an incident", stack.incidents, seconds=60)
        [record] = stack.wait_diagnosed(1, seconds=60)
        assert record.services == ("checkout",)
        assert record.severity == "P1"
        store = IncidentStore(stack.data_dir / "incidents")
        metrics = store.read(record.incident_id, "metrics")
        assert metrics.status is EnvelopeStatus.OK
        assert max(v for series in metrics.rows for v in series.values) == pytest.approx(0.4)
        assert store.read(record.incident_id, "related_alerts").status is EnvelopeStatus.EMPTY
        update = store.read(record.incident_id, "status_update").markdown
        assert "High error ratio in checkout" in update
        assert "Alertmanager" in update

        app.error_ratio = 0.01
        wait_for("postmortem", lambda: store.materializations(record.incident_id, "postmortem"), seconds=90)
        assert json.dumps(stack.logs()).count(TOKEN) == 0
