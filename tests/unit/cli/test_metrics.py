from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.runner import call


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "incident.yaml").write_text("scenario: {receiver: {port: 9}}\n")


def test_the_state_is_printed_without_a_receiver() -> None:
    call("alert", "--title", "errors", "--service", "payments")
    answer = call("metrics")
    assert answer.exit_code == 0
    assert "incident_pipeline_alerts_accepted_total 1\n" in answer.stdout
    assert 'incident_pipeline_incidents{status="investigating"} 1\n' in answer.stdout
    assert "webhook_requests" not in answer.stdout


def test_the_state_as_json() -> None:
    assert json.loads(call("metrics", "--json").stdout)["accepted"] == 0
