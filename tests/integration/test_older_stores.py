"""Stores that older releases wrote, one backup for each release: restored on an empty machine, they work as before."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.models import StatusUpdate
from incident_pipeline.storage.backup import restore
from incident_pipeline.storage.inbox import Inbox
from incident_pipeline.storage.incidents.content import prepare
from incident_pipeline.storage.incidents.store import IncidentStore
from incident_pipeline.storage.incidents.tables import ASSETS
from incident_pipeline.storage.prune import prune
from tests.unit.cli.runner import ROOT, call
from tests.unit.intake.builders import alert

STORES = sorted((ROOT / "tests" / "stores").glob("*.tar.gz"))
NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)


@pytest.fixture(params=STORES, ids=lambda path: path.name.removesuffix(".tar.gz"))
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A data directory as that release left it."""
    restore(request.param, tmp_path / "data")
    return tmp_path / "data"


def as_json(data: Path, *words: str) -> Any:
    result = call(*words, "--data-dir", str(data), "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_every_asset_reads_as_it_was_stored(data: Path) -> None:
    (listed,) = as_json(data, "incidents", "list")
    store = IncidentStore(data / "incidents")
    assert store.incident_ids() == [listed["incident_id"]]
    records = store.materializations(listed["incident_id"])
    assert {record.asset for record in records} <= set(ASSETS)
    for record in records:
        value = store.read(record.incident_id, record.asset, record.version)
        assert (
            record.asset not in ("logs", "metrics") or prepare(record.asset, value).data_version == record.data_version
        )
    assert "payments" in as_json(data, "postmortem", listed["incident_id"])["markdown"]


def test_an_old_incident_is_diagnosed_to_the_same_answer(data: Path, tmp_path: Path) -> None:
    (listed,) = as_json(data, "incidents", "list")
    then = as_json(data, "show", listed["incident_id"])["diagnosis"]
    as_json(data, "export", listed["incident_id"], str(tmp_path / "folder"))
    now = json.loads(call("diagnose", str(tmp_path / "folder"), "--json").stdout)
    for key in ("root_cause_change", "root_cause_deployment", "first_failing_service"):
        assert now[key] == then[key]
    for key in ("category", "service", "caused_by"):
        assert now["hypotheses"][0][key] == then["hypotheses"][0][key]


def test_an_old_incident_goes_on(data: Path) -> None:
    store = IncidentStore(data / "incidents")
    (name,) = store.incident_ids()
    before = store.materializations(name, "status_update")
    update = StatusUpdate(markdown="later", as_of=NOW)
    after = store.write(name, {"status_update": update}, run_id="r", as_of=NOW, now=NOW)["status_update"]
    assert after.version == len(before) + 1
    inbox = Inbox.open(data / "inbox.sqlite")
    assert inbox.accept([alert("new", "search")], NOW) == 1
    assert len(inbox.group(NOW, Scenario().alerts).created) == 1
    (claim,) = inbox.claim(NOW, timedelta(minutes=1), 9)
    assert inbox.finish(claim.claim_id, NOW, succeeded=True)
    assert prune(inbox, store, Scenario(), NOW + timedelta(days=400)).archived == (name,)
    assert store.read(name, "status_update").markdown == "later"
    inbox.close()
