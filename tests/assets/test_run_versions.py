"""What a run stores when: at once, or together with the update that it leads to, and never twice."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from assets.versions import RunVersions
from incident_pipeline.errors import NotFoundError
from incident_pipeline.models import Deployment, Envelope, EvidenceKind, Gathered, Timeline, TimelineEntry
from incident_pipeline.storage.incidents.store import IncidentStore

NOW = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)
ID = "INC-1"


def timeline(text: str) -> Timeline:
    return Timeline(entries=(TimelineEntry(at=NOW, kind="alert", text=text, source="test"),))


def deployments(*ids: str) -> Gathered[Deployment]:
    return Gathered(
        kind=EvidenceKind.DEPLOYMENTS, envelopes=(Envelope.of("argo", [Deployment(id=name) for name in ids]),)
    )


UNKNOWN: Gathered[Deployment] = Gathered(
    kind=EvidenceKind.DEPLOYMENTS, envelopes=(Envelope.unavailable("argo", "timed out"),)
)


@pytest.fixture
def store(tmp_path: Path) -> IncidentStore:
    return IncidentStore(tmp_path)


def run(store: IncidentStore, name: str, *waiting: str) -> RunVersions:
    return RunVersions(store, name, NOW, lambda: NOW, waiting)


def test_what_waits_is_known_to_the_run_and_stored_with_the_next_that_does_not(store: IncidentStore) -> None:
    versions = run(store, "r1", "timeline")
    first = timeline("first")
    versions.hold(ID, {"timeline": first}, {"timeline": "7"}, "kb-3")
    assert versions.write(ID, {"timeline": first}, {}) == {"timeline": None}
    assert versions.value(ID, "timeline") == timeline("first")
    with pytest.raises(NotFoundError):
        store.read(ID, "timeline")

    written = versions.write(ID, {"deployments": deployments("d1")}, {"deployments": "1"})
    assert written["deployments"] is not None
    (kept,) = store.materializations(ID, "timeline")
    assert (kept.version, kept.code_version, kept.knowledge_base_version) == (1, "7", "kb-3")
    assert written["deployments"].knowledge_base_version is None


def test_a_run_that_ends_early_stores_what_it_had_found(store: IncidentStore) -> None:
    versions = run(store, "r1", "timeline")
    versions.write(ID, {"timeline": timeline("found")}, {})
    versions.flush()
    versions.flush()
    assert [record.version for record in store.materializations(ID)] == [1]
    assert store.read(ID, "timeline") == timeline("found")


def test_the_same_value_is_stored_once_even_where_a_secret_was_taken_out(store: IncidentStore) -> None:
    versions = run(store, "r1")
    told = timeline("password=hunter2hunter2 was used")
    first = versions.write(ID, {"timeline": told}, {})["timeline"]
    assert versions.write(ID, {"timeline": told}, {})["timeline"] == first
    assert versions.write(ID, {"timeline": versions.written(ID, "timeline")}, {})["timeline"] == first
    assert len(store.materializations(ID)) == 1
    assert "hunter2" not in str(versions.value(ID, "timeline"))
    assert versions.value(ID, "timeline") == store.read(ID, "timeline")


def test_a_source_that_fails_in_a_later_run_hides_nothing(store: IncidentStore) -> None:
    run(store, "r1").write(ID, {"deployments": deployments("d1")}, {})
    later = run(store, "r2")
    later.write(ID, {"deployments": UNKNOWN}, {})
    assert [row.id for row in later.value(ID, "deployments").rows] == ["d1"]
    assert [row.id for row in later.evidence(ID).deployments.rows] == ["d1"]
