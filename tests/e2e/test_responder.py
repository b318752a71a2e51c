"""`incident-pipeline up` as a user runs it: an alert comes in over HTTP, a status update is stored."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from incident_pipeline.storage.inbox import IncidentRecord
from incident_pipeline.storage.incidents.store import IncidentStore
from tests.e2e.stack import Stack, alert, wait_for


@pytest.mark.timeout(300)
def test_eight_incidents_at_once_are_diagnosed_and_none_is_mixed_up(responder: Stack) -> None:
    services = [f"service-{letter}" for letter in "abcdefgh"]
    assert responder.send([alert(number, service) for number, service in enumerate(services)]) == 202
    responder.wait_diagnosed(8, seconds=120)
    records = [record for record in responder.incidents() if record.services[0] in services]
    assert sorted(record.services for record in records) == [(service,) for service in services]
    store = IncidentStore(responder.data_dir / "incidents")
    for record in records:
        incident = store.read(record.incident_id, "incident")
        update = store.read(record.incident_id, "status_update").markdown
        assert [a.service for a in incident.alerts] == list(record.services)
        assert f"Errors in {record.services[0]}" in update
        assert not any(f"Errors in {other}" in update for other in services if other not in record.services)
        assert len(record.run_ids) == 1


@pytest.mark.timeout(300)
def test_resolved_alert_closes_its_incident_out(responder: Stack) -> None:
    payments = alert(100, "payments")
    assert responder.send(payments) == 202

    def diagnosed() -> list[IncidentRecord]:
        return [record for record in responder.incidents() if record.services == ("payments",) and record.diagnosed_at]

    [record] = wait_for("diagnosed incident of payments", diagnosed, seconds=60)
    assert responder.send({**payments, "status": "resolved", "resolved_at": "2026-11-20T15:05:00Z"}) == 202
    store = IncidentStore(responder.data_dir / "incidents")

    def postmortem() -> str | None:
        made = store.materializations(record.incident_id, "knowledge_base_entry")
        return store.read(record.incident_id, "postmortem").markdown if made else None

    text = wait_for("postmortem", postmortem, seconds=60)
    assert "Errors in payments" in text
    assert "not measured" in text


@pytest.mark.timeout(300)
def test_a_second_start_says_which_port_is_taken(responder: Stack, tmp_path: Path) -> None:
    port = responder.receiver.rpartition(":")[2]
    command = [sys.executable, "-m", "incident_pipeline.cli", "up", "--receiver-port", port]
    again = subprocess.run(
        [*command, "--ui-port", "0", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert again.returncode == 2
    assert f"port {port}" in again.stderr
    assert "--receiver-port" in again.stderr
    assert "Traceback" not in again.stderr
