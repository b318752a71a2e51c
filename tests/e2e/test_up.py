"""`incident-pipeline up` as a user runs it: an alert comes in over HTTP, a status update is stored."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from incident_pipeline.storage.inbox import IncidentRecord
from incident_pipeline.storage.incidents.store import IncidentStore
from tests.e2e.conftest import SetUp
from tests.e2e.stack import Stack, wait_for

ONE_DIAGNOSIS = "scenario:\n  diagnosis:\n    updates: [0s]\n"


def alert(number: int, service: str) -> dict[str, str]:
    return {
        "source": "custom",
        "source_id": f"alert-{number}",
        "dedup_key": f"errors-{service}",
        "title": f"Errors in {service}",
        "summary": f"{service} answers with errors",
        "severity": "P2",
        "status": "triggered",
        "service": service,
        "environment": "production",
        "started_at": "2026-11-20T14:35:00Z",
    }


@pytest.fixture(scope="module")
def stack(set_up: SetUp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One start for all of this module: it costs more than any of the tests."""
    with set_up(tmp_path_factory.mktemp("up"), ONE_DIAGNOSIS) as started:
        yield started


@pytest.mark.timeout(300)
def test_eight_incidents_at_once_are_diagnosed_and_none_is_mixed_up(stack: Stack) -> None:
    services = [f"service-{letter}" for letter in "abcdefgh"]
    assert stack.send([alert(number, service) for number, service in enumerate(services)]) == 202
    records = stack.wait_diagnosed(8, seconds=120)
    assert sorted(record.services for record in records) == [(service,) for service in services]
    store = IncidentStore(stack.data_dir / "incidents")
    for record in records:
        incident = store.read(record.incident_id, "incident")
        update = store.read(record.incident_id, "status_update").markdown
        assert [a.service for a in incident.alerts] == list(record.services)
        assert f"Errors in {record.services[0]}" in update
        assert not any(f"Errors in {other}" in update for other in services if other not in record.services)
        assert len(record.run_ids) == 1


@pytest.mark.timeout(300)
def test_resolved_alert_closes_its_incident_out(stack: Stack) -> None:
    payments = alert(100, "payments")
    assert stack.send(payments) == 202

    def diagnosed() -> list[IncidentRecord]:
        return [record for record in stack.incidents() if record.services == ("payments",) and record.diagnosed_at]

    [record] = wait_for("diagnosed incident of payments", diagnosed, seconds=60)
    assert stack.send({**payments, "status": "resolved", "resolved_at": "2026-11-20T15:05:00Z"}) == 202
    store = IncidentStore(stack.data_dir / "incidents")

    def postmortem() -> str | None:
        made = store.materializations(record.incident_id, "knowledge_base_entry")
        return store.read(record.incident_id, "postmortem").markdown if made else None

    text = wait_for("postmortem", postmortem, seconds=60)
    assert "Errors in payments" in text
    assert "not measured" in text


@pytest.mark.timeout(300)
def test_a_second_start_says_which_port_is_taken(stack: Stack, tmp_path: Path) -> None:
    port = stack.receiver.rpartition(":")[2]
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


@pytest.mark.timeout(300)
def test_it_stops_when_it_is_told_to(stack: Stack) -> None:
    assert stack.stop() < 10
    assert stack.process.returncode == 0
