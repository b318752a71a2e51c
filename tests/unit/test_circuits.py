"""Circuits: a source that keeps failing is left alone, by all runs, and asked again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from incident_pipeline.config import Scenario
from incident_pipeline.connectors.registry import UnavailableSource
from incident_pipeline.errors import TransientSourceError
from incident_pipeline.evidence.circuits import FAILURES, LONGEST_PAUSE, PAUSE, Circuit
from incident_pipeline.evidence.gather import gather_now
from incident_pipeline.models import EvidenceKind
from incident_pipeline.storage.circuit_store import CircuitStore
from incident_pipeline.storage.inbox import Inbox
from tests.unit.test_gather import AS_OF, INCIDENT, Fake, no_rows, raising

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def test_it_opens_after_some_failures_and_the_pause_grows_to_a_bound() -> None:
    circuit, now = Circuit(), NOW
    for _ in range(FAILURES - 1):
        circuit = circuit.after("down", now)
        assert circuit.refusal(now) is None
    pauses = []
    for _ in range(8):
        circuit = circuit.after("down", now)
        assert circuit.open_until is not None
        pauses.append(circuit.open_until - now)
        assert "because it failed" in (circuit.refusal(now) or "")
        now = circuit.open_until
        assert circuit.refusal(now) is None
    assert pauses[:4] == [PAUSE, PAUSE * 2, PAUSE * 4, PAUSE * 8]
    assert pauses[-1] == LONGEST_PAUSE
    assert circuit.after(None, now) == Circuit()


def test_all_runs_share_it_in_the_inboxs_database(tmp_path: Path) -> None:
    place = tmp_path / "inbox.sqlite"
    inbox = Inbox.open(place)
    clock = Clock()
    one, other = CircuitStore(place, clock), CircuitStore(place, clock)
    assert one.refusals() == {}
    for _ in range(FAILURES):
        one.record({"datadog": "datadog answered 503", "github": None})
    assert list(other.refusals()) == ["datadog"]
    assert "last: datadog answered 503" in other.refusals()["datadog"]
    clock.now = NOW + PAUSE
    assert other.refusals() == {}
    other.record({"datadog": None})
    one.record({"datadog": "again"})
    assert one.refusals() == {}
    assert inbox.incidents() == []
    inbox.close()
    assert list(Inbox.open(place).incidents()) == []


def test_an_open_circuit_costs_nothing_and_is_told(tmp_path: Path) -> None:
    clock = Clock()
    circuits = CircuitStore(tmp_path / "inbox.sqlite", clock)
    failing = Fake("datadog", raising(TransientSourceError("datadog did not answer")))
    good = Fake("git", no_rows)
    lacking = UnavailableSource("argocd", "no token")
    sources: dict[EvidenceKind, list[Any]] = {
        EvidenceKind.LOGS: [failing],
        EvidenceKind.METRICS: [failing],
        EvidenceKind.CODE_CHANGES: [good],
        EvidenceKind.DEPLOYMENTS: [lacking],
    }

    def gather() -> Any:
        return gather_now(sources, sources, INCIDENT, Scenario(), AS_OF, circuits=circuits)

    for _ in range(FAILURES):
        gather()
    asked = len(failing.asked)
    answers = gather()
    assert len(failing.asked) == asked
    (gap,) = answers[EvidenceKind.LOGS].gaps
    assert "datadog was not asked for another 60 s because it failed 3 times in a row" in gap.reason
    assert answers[EvidenceKind.LOGS].envelopes[0].seconds == 0.0
    assert answers[EvidenceKind.CODE_CHANGES].gaps == ()
    assert answers[EvidenceKind.DEPLOYMENTS].gaps[0].reason == "no token"
    clock.now = NOW + PAUSE + timedelta(seconds=1)
    gather()
    # for lines, and for series of now and of the day before
    assert len(failing.asked) == asked + 3


def test_a_source_that_answers_one_of_its_questions_is_no_failure(tmp_path: Path) -> None:
    circuits = CircuitStore(tmp_path / "inbox.sqlite", Clock())

    async def half(question: Any) -> Any:
        if question.kind is EvidenceKind.METRICS:
            raise TransientSourceError("no metrics")
        return await no_rows(question)

    source = Fake("datadog", half)
    sources: dict[EvidenceKind, list[Any]] = {EvidenceKind.LOGS: [source], EvidenceKind.METRICS: [source]}
    for _ in range(FAILURES + 1):
        gather_now(sources, sources, INCIDENT, Scenario(), AS_OF, circuits=circuits)
    assert circuits.refusals() == {}


def test_a_store_that_is_damaged_costs_no_evidence(tmp_path: Path) -> None:
    place = tmp_path / "inbox.sqlite"
    place.write_bytes(b"this is no database" * 100)
    circuits = CircuitStore(place, Clock())
    assert circuits.refusals() == {}
    circuits.record({"datadog": "down"})
