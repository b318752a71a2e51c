"""What people do with incidents, and that it is on record."""

from __future__ import annotations

from datetime import timedelta

import pytest

from incident_pipeline.config import Alerts, MaintenanceWindow
from incident_pipeline.errors import InputError, NotFoundError
from incident_pipeline.models import IncidentStatus, Severity
from tests.unit.intake.builders import NOW, Intake, alert, at, catalogue, resolved

WHO = "operator"


def kinds(intake: Intake, incident_id: str | None = None) -> list[tuple[str, str]]:
    return [(event.kind, event.who) for event in intake.inbox.events(incident_id)]


def two(intake: Intake) -> tuple[str, str]:
    """An incident of payments, P3, and one of search, P1."""
    intake.take(alert("a", severity="P3"), alert("s", "search", 5, severity="P1"))
    names = {record.services[0]: record.incident_id for record in intake.inbox.incidents()}
    return names["payments"], names["search"]


def test_acknowledging_is_remembered_and_its_first_moment_stays(intake: Intake) -> None:
    intake.take(alert("a"))
    intake.inbox.acknowledge(intake.only, WHO, at(60))
    intake.inbox.acknowledge(intake.only, "another", at(90))
    assert intake.inbox.incident(intake.only).acknowledged_at == at(60)
    assert ("incident_acknowledged", "another") in kinds(intake)


def test_resolving_by_hand_closes_out_and_silences_what_still_fires(intake: Intake) -> None:
    intake.take(alert("a"))
    intake.run(0)
    intake.inbox.resolve(intake.only, WHO, at(60))
    intake.inbox.resolve(intake.only, WHO, at(90))
    record = intake.inbox.incidents()[0]
    assert (record.status, record.resolved_at) == (IncidentStatus.RESOLVED, at(60))
    assert [claim.job for claim in intake.run(61)] == ["close_out"]
    intake.take(resolved("a", until=100))
    assert intake.inbox.incidents()[0].resolved_at == at(60)
    assert intake.run(86400) == []
    with pytest.raises(InputError, match="reopen it first"):
        intake.inbox.acknowledge(intake.only, WHO, at(100))


def test_what_is_mitigated_for_long_enough_is_over_unless_an_alert_fires(intake: Intake) -> None:
    intake.take(alert("a"))
    intake.run(0)
    after = timedelta(minutes=15)
    assert intake.inbox.resolve_mitigated(at(10_000), after) == []
    intake.inbox.mitigate(intake.only, WHO, at(60))
    assert intake.inbox.firing(intake.only) == ["payments is slow"]
    # however long it is: an alert still fires
    assert intake.inbox.resolve_mitigated(at(90_000), after) == []
    intake.take(alert("b", seconds=70))
    intake.take(resolved("a", until=100))
    assert intake.inbox.incidents()[0].status is not IncidentStatus.RESOLVED
    intake.take(resolved("b", until=110))
    intake.inbox.reopen(intake.only, WHO, at(120))
    intake.inbox.mitigate(intake.only, WHO, at(130))
    assert intake.inbox.firing(intake.only) == []
    assert intake.inbox.resolve_mitigated(at(60 + 15 * 60 - 1), after) == []
    assert intake.inbox.resolve_mitigated(at(130 + 15 * 60), after) == [intake.only]
    assert intake.inbox.incidents()[0].resolved_at == at(130 + 15 * 60)
    (why,) = [
        e.details["why"] for e in intake.inbox.events() if e.kind == "incident_resolved" and "mitigated" in str(e)
    ]
    assert why == "mitigated for 15m, and none of its alerts fires"


def test_reopening_has_it_diagnosed_again(intake: Intake) -> None:
    intake.take(alert("a"))
    intake.run(0)
    with pytest.raises(InputError, match="only an ended one"):
        intake.inbox.reopen(intake.only, WHO, at(1))
    intake.inbox.resolve(intake.only, WHO, at(60))
    intake.inbox.reopen(intake.only, WHO, at(70), "still broken")
    assert [claim.job for claim in intake.run(70)] == ["respond"]
    assert intake.inbox.incidents()[0].resolved_at is None


def test_merging_moves_everything_and_keeps_the_worst_severity(intake: Intake) -> None:
    payments, search = two(intake)
    (running,) = [claim for claim in intake.claim(10) if claim.incident_id == search]
    intake.inbox.merge(search, payments, WHO, at(20))
    record = intake.inbox.incidents()[0]
    assert (record.incident_id, record.alerts, record.severity) == (payments, 2, Severity.P1)
    assert record.services == ("payments", "search")
    assert intake.inbox.incident(search).merged_into == payments
    assert not intake.inbox.begin(running.claim_id, "run", at(21))
    intake.take(alert("s", "search", 30, severity="P2"), alert("n", "search", 31))
    assert intake.groups() == [{"a", "n", "s"}]
    assert ("incident_merged", WHO) in kinds(intake, search)


def test_merging_something_open_into_something_over_opens_it(intake: Intake) -> None:
    payments, search = two(intake)
    intake.inbox.resolve(payments, WHO, at(10))
    intake.inbox.merge(search, payments, WHO, at(20))
    assert intake.inbox.incidents()[0].status is IncidentStatus.INVESTIGATING


def test_what_was_merged_cannot_be_used_any_more(intake: Intake) -> None:
    payments, search = two(intake)
    with pytest.raises(InputError, match="into itself"):
        intake.inbox.merge(search, search, WHO, at(1))
    intake.inbox.merge(search, payments, WHO, at(20))
    with pytest.raises(InputError, match=f"was merged into {payments}"):
        intake.inbox.resolve(search, WHO, at(30))
    with pytest.raises(NotFoundError):
        intake.inbox.merge("INC-nothing", payments, WHO, at(30))


def test_splitting_makes_an_incident_that_stays_apart(intake: Intake) -> None:
    intake.services = catalogue(checkout="payments")
    intake.take(alert("a"), alert("c", "checkout", 5, severity="P1"))
    old = intake.only
    new = intake.inbox.split(old, ["c"], WHO, at(10))
    assert intake.groups() == [{"a"}, {"c"}]
    assert {claim.incident_id for claim in intake.claim(20)} == {old, new}
    intake.take(alert("c", "checkout", 30, severity="P1"), alert("c2", "checkout", 31), alert("a2", seconds=32))
    assert intake.groups() == [{"a", "a2"}, {"c", "c2"}]
    assert {record.severity for record in intake.inbox.incidents()} == {Severity.P1}, "severity never drops silently"


def test_splitting_off_the_first_alert_gives_a_name_that_was_free(intake: Intake) -> None:
    intake.take(alert("a"), alert("b", seconds=5))
    old = intake.only
    assert intake.inbox.split(old, ["a"], WHO, at(10)) == f"{old}-2"
    assert intake.inbox.incident(old).alerts[0].source_id == "b"


def test_splitting_what_is_over_has_both_parts_closed_out(intake: Intake) -> None:
    intake.take(alert("a"), alert("b", seconds=5))
    intake.run(6)
    intake.inbox.resolve(intake.only, WHO, at(10))
    new = intake.inbox.split(intake.only, ["b"], WHO, at(20))
    assert [(claim.incident_id == new, claim.job) for claim in intake.run(21)] == [
        (True, "respond"),
        (False, "close_out"),
    ]
    assert [(claim.incident_id == new, claim.job) for claim in intake.run(23)] == [(True, "close_out")]


@pytest.mark.parametrize(
    ("alerts", "words"), [([], "say which"), (["x"], "has no alert 'x'"), (["a", "b"], "at least one has to stay")]
)
def test_a_split_that_makes_no_sense_is_refused(intake: Intake, alerts: list[str], words: str) -> None:
    intake.take(alert("a"), alert("b"))
    with pytest.raises(InputError, match=words):
        intake.inbox.split(intake.only, alerts, WHO, at(1))
    assert intake.groups() == [{"a", "b"}]


def test_a_muted_service_starts_no_run_until_the_mute_ends(intake: Intake) -> None:
    intake.inbox.mute(at(3600), "planned work", WHO, NOW, service="payments")
    intake.take(alert("a"), alert("s", "search"))
    assert [record.muted_until for record in intake.inbox.incidents() if record.muted_until] == [at(3600)]
    assert [claim.incident_id.split("-")[3] for claim in intake.run(5)] == ["search"]
    assert any(claim.reason == "new incident" for claim in intake.run(3600))


def test_what_ends_while_it_is_muted_starts_no_run_at_all(intake: Intake) -> None:
    intake.inbox.mute(at(3600), "planned work", WHO, NOW, service="payments")
    intake.take(alert("a"), resolved("a"))
    assert intake.run(86400) == []


def test_a_mute_covers_what_is_open_and_can_be_ended(intake: Intake) -> None:
    intake.take(alert("a", title="Disk of db-1 is 91 % full"))
    number = intake.inbox.mute(at(3600), "known", WHO, at(1), pattern="disk")
    assert intake.claim(5) == []
    intake.inbox.unmute(number, WHO, at(6))
    assert len(intake.claim(6)) == 1
    with pytest.raises(NotFoundError, match="no mute 99"):
        intake.inbox.unmute(99, WHO, at(7))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"reason": " "}, "needs a reason"),
        ({"until": at(-1)}, "in the future"),
        ({"service": None}, "a service or a pattern"),
    ],
)
def test_a_mute_without_an_end_a_reason_or_an_object_is_refused(
    intake: Intake, other: dict[str, object], words: str
) -> None:
    wanted = {"until": at(60), "reason": "work", "who": WHO, "now": NOW, "service": "payments", **other}
    with pytest.raises(InputError, match=words):
        intake.inbox.mute(**wanted)  # type: ignore[arg-type]


def test_a_maintenance_window_starts_no_run_for_what_it_names(intake: Intake) -> None:
    window = MaintenanceWindow(
        services=("payments",), environment="production", start=at(-60), end=at(600), reason="database upgrade"
    )
    intake.inbox.accept([alert("a"), alert("b", environment="staging", severity="P1")], NOW)
    intake.inbox.group(NOW, Alerts(maintenance=(window,)))
    assert [claim.severity for claim in intake.claim(1)] == [Severity.P1]
    assert len(intake.claim(601)) == 1


def test_an_incident_with_one_audible_alert_is_heard(intake: Intake) -> None:
    intake.services = catalogue(checkout="payments")
    intake.inbox.mute(NOW + timedelta(hours=1), "planned work", WHO, NOW, service="payments")
    intake.take(alert("a"), alert("c", "checkout"))
    assert len(intake.claim(5)) == 1


def test_acknowledged_by_the_source(intake: Intake) -> None:
    intake.take(alert("a"))
    intake.take(alert("a", status="acknowledged"), seconds=30)
    assert intake.inbox.incident(intake.only).acknowledged_at == at(30)
    assert intake.inbox.incidents()[0].alerts == 1
