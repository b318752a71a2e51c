"""Backup, restore and prune as a person calls them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_pipeline.models import StatusUpdate
from incident_pipeline.storage.inbox import Inbox
from incident_pipeline.storage.incidents.store import IncidentStore
from tests.unit.cli.runner import call
from tests.unit.intake.builders import alert

NOW = datetime.now(UTC)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with one incident that ended 40 days ago and one that goes on."""
    folder = tmp_path / "data"
    folder.mkdir()
    inbox, store = Inbox.open(folder / "inbox.sqlite"), IncidentStore(folder / "incidents")
    for service, age in (("cart", timedelta(days=40)), ("mail", timedelta(minutes=1))):
        began = NOW - age
        name = inbox.adopt([alert(service, service).model_copy(update={"started_at": began})], began)
        store.write(name, {"status_update": StatusUpdate(markdown="#", as_of=NOW)}, run_id="r", as_of=NOW, now=NOW)
        if service == "cart":
            inbox.resolve(name, "somebody", began)
            later = began + timedelta(hours=1)
            while claims := inbox.claim(later, timedelta(minutes=1), 9):
                assert all(inbox.finish(claim.claim_id, later, succeeded=True) for claim in claims)
    inbox.close()
    return folder


def as_json(data: Path, *words: str) -> Any:
    result = call(*words, "--data-dir", str(data), "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_saved_here_and_restored_there(data: Path, tmp_path: Path) -> None:
    saved = as_json(data, "backup", str(tmp_path / "b.tar.gz"))
    assert saved["bytes"] == (tmp_path / "b.tar.gz").stat().st_size
    restored = as_json(tmp_path / "there", "restore", str(tmp_path / "b.tar.gz"))
    assert restored["stores"] == saved["stores"]
    assert as_json(tmp_path / "there", "incidents", "list") == as_json(data, "incidents", "list")
    again = call("restore", str(tmp_path / "b.tar.gz"), "--data-dir", str(data))
    assert (again.exit_code, "is not empty" in again.stderr) == (1, True)
    assert call("restore", str(tmp_path / "absent"), "--data-dir", str(data)).exit_code == 2
    twice = call("backup", str(tmp_path / "b.tar.gz"), "--data-dir", str(data))
    assert (twice.exit_code, "exists already" in twice.stderr) == (1, True)


def test_for_people_it_says_how_much(data: Path, tmp_path: Path) -> None:
    assert "3 files, 0." in call("backup", str(tmp_path / "b.tar.gz"), "--data-dir", str(data)).stdout
    assert "3 files" in call("restore", str(tmp_path / "b.tar.gz"), "--data-dir", str(tmp_path / "there")).stdout


def test_prune_says_what_it_would_do_and_does_it(data: Path, tmp_path: Path) -> None:
    assert "1 would be archived, 0 would be forgotten" in call("prune", "--dry-run", "--data-dir", str(data)).stdout
    config = tmp_path / "incident.yaml"
    config.write_text("scenario: {retention_by_severity: {P2: 30d}}")
    done = as_json(data, "prune", "--config", str(config))
    assert (len(done["forgotten"]), done["archived"], done["dagster_runs"]) == (1, [], 0)
    assert len(as_json(data, "incidents", "list")) == 1
    assert "incidents: 0 archived, 0 forgotten" in call("prune", "--data-dir", str(data)).stdout
