"""What the inbox counts for `/metrics`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from incident_pipeline.storage.circuit_store import CircuitStore
from incident_pipeline.storage.inbox import Inbox
from tests.unit.intake.builders import NOW, Intake, alert, at


def test_the_first_update_of_an_incident_is_timed_once(intake: Intake) -> None:
    for name, service, seconds in (("a", "cart", 4.5), ("b", "mail", 700), ("c", "search", 9999)):
        before = {record.incident_id for record in intake.inbox.incidents()}
        intake.take(alert(name, service), seconds=0)
        (incident,) = {record.incident_id for record in intake.inbox.incidents()} - before
        intake.inbox.record_diagnosis(incident, "r", at(seconds))
        intake.inbox.record_diagnosis(incident, "r", at(20_000))
    measured = intake.inbox.state(NOW).first_updates
    assert (measured.buckets[3], measured.buckets[5], measured.buckets[600], measured.buckets[1800]) == (0, 1, 1, 2)
    assert (measured.count, measured.seconds) == (3, 4.5 + 700 + 9999)


def test_a_replayed_incident_is_not_timed_and_waits_for_nobody(intake: Intake) -> None:
    name = intake.inbox.adopt([alert("a")], NOW, "/a/folder")
    intake.inbox.record_diagnosis(name, "r", at(5))
    intake.inbox.resolve(name, "replay", at(6))
    state = intake.inbox.state(at(9999))
    assert (state.first_updates.count, state.oldest_unclaimed_seconds) == (0, 0)


def test_what_waits_has_an_age(intake: Intake) -> None:
    intake.take(alert("a"))
    assert intake.inbox.state(at(30)).oldest_unclaimed_seconds == 30
    (claim,) = intake.claim(31)
    assert intake.inbox.state(at(60)).oldest_unclaimed_seconds == 0
    intake.inbox.record_diagnosis(claim.incident_id, "r", at(61))
    intake.inbox.finish(claim.claim_id, at(62), succeeded=True)
    intake.inbox.resolve(claim.incident_id, "ana", at(70))
    state = intake.inbox.state(at(100))
    assert (state.oldest_unclaimed_seconds, state.oldest_postponed_seconds) == (0, 30)


def test_runs_are_counted_by_how_they_ended(intake: Intake) -> None:
    intake.take(alert("a"))
    (lost,) = intake.claim(0)
    intake.inbox.release(lost.claim_id, at(1))
    (failed,) = intake.claim(2)
    intake.inbox.finish(failed.claim_id, at(3), succeeded=False)
    assert intake.run(60)
    state = intake.inbox.state(at(61))
    assert (state.runs_succeeded, state.runs_failed, state.runs_lost) == (1, 1, 1)


def test_errors_of_sources_are_counted_whether_or_not_there_is_an_inbox_yet(tmp_path: Path) -> None:
    place = tmp_path / "inbox.sqlite"
    circuits = CircuitStore(place, lambda: NOW + timedelta(hours=1))
    circuits.record({"loki": "timed out", "github": None, "x" * 120: "down"})
    circuits.record({"loki": "timed out"})
    inbox = Inbox.open(place)
    errors = inbox.state(NOW).source_errors
    inbox.close()
    assert errors["loki"] == 2
    assert sorted(map(len, errors)) == [4, 67]
