"""Which alerts become one incident, through the inbox as it is used."""

from __future__ import annotations

import pytest

from incident_pipeline.models import IncidentStatus, Service, Severity
from tests.unit.intake.builders import Intake, alert, catalogue, resolved


def test_alerts_of_one_service_within_the_window_are_one_incident(intake: Intake) -> None:
    intake.take(alert("a"))
    intake.take(alert("b", seconds=599))
    assert intake.groups() == [{"a", "b"}]


def test_after_the_window_the_same_service_has_a_new_incident(intake: Intake) -> None:
    intake.take(alert("a"))
    intake.take(alert("b", seconds=601))
    assert intake.groups() == [{"a"}, {"b"}]


def test_the_window_slides_with_the_alerts(intake: Intake) -> None:
    for number, seconds in enumerate((0, 500, 1000)):
        intake.take(alert(f"a{number}", seconds=seconds))
    assert intake.groups() == [{"a0", "a1", "a2"}]


def test_another_environment_is_another_incident(intake: Intake) -> None:
    intake.take(alert("a"), alert("b", environment="staging"))
    assert intake.groups() == [{"a"}, {"b"}]


def test_an_alert_that_does_not_say_where_it_is_joins_its_service(intake: Intake) -> None:
    intake.take(alert("a"), alert("b", environment=None))
    assert intake.groups() == [{"a", "b"}]


def test_the_same_dedup_key_joins_long_after_the_window(intake: Intake) -> None:
    intake.take(alert("a", dedup_key="disk-full"))
    intake.take(alert("b", seconds=5 * 3600, dedup_key="disk-full"))
    assert intake.groups() == [{"a", "b"}]


def test_the_same_dedup_key_of_another_source_is_another_problem(intake: Intake) -> None:
    intake.take(alert("a", dedup_key="high-cpu"), alert("b", "search", dedup_key="high-cpu", source="other"))
    assert intake.groups() == [{"a"}, {"b"}]


def test_spellings_of_a_service_meet(intake: Intake) -> None:
    intake.services = (Service(name="payments", aliases=("payment-api",)),)
    intake.take(alert("a", "Payments"), alert("b", "payment-api"), alert("c", "PAYMENT-API "))
    assert intake.groups() == [{"a", "b", "c"}]


def test_services_that_depend_on_each_other_are_one_incident(intake: Intake) -> None:
    intake.services = catalogue(checkout="payments", frontend="checkout")
    intake.take(
        alert("p", "payments"), alert("c", "checkout", 20), alert("f", "frontend", 40), alert("s", "search", 30)
    )
    assert intake.groups() == [{"c", "f", "p"}, {"s"}]


def test_the_cause_may_be_heard_of_last(intake: Intake) -> None:
    intake.services = catalogue(checkout="payments", frontend="checkout")
    intake.take(alert("f", "frontend"))
    intake.take(alert("c", "checkout", 60))
    intake.take(alert("p", "payments", 200))
    assert intake.groups() == [{"c", "f", "p"}]


def test_an_alert_in_between_makes_two_incidents_one(intake: Intake) -> None:
    intake.services = catalogue(checkout="payments", frontend="checkout")
    intake.take(alert("p", "payments", severity="P1"))
    intake.take(alert("f", "frontend", 10))
    assert len(intake.groups()) == 2
    intake.take(alert("c", "checkout", 20))
    assert intake.groups() == [{"c", "f", "p"}]
    gone = [record for record in intake.inbox.incidents(with_merged=True) if record.merged_into]
    assert [record.merged_into for record in gone] == [intake.only]
    assert intake.inbox.incidents()[0].severity is Severity.P1


def test_a_service_that_is_well_connects_nothing(intake: Intake) -> None:
    intake.services = catalogue(payments="auth", search="auth", cart="auth")
    intake.take(alert("p", "payments"), alert("s", "search"), alert("c", "cart"))
    assert len(intake.groups()) == 3


def test_a_hub_that_fails_takes_its_callers_along(intake: Intake) -> None:
    intake.services = catalogue(payments="auth", search="auth", cart="auth")
    intake.take(alert("p", "payments"), alert("s", "search", 5), alert("a", "auth", 10), alert("c", "cart", 15))
    assert intake.groups() == [{"a", "c", "p", "s"}]


def test_dependencies_in_another_environment_explain_nothing(intake: Intake) -> None:
    intake.services = catalogue(checkout="payments")
    intake.take(alert("p", "payments", environment="staging"), alert("c", "checkout"))
    assert len(intake.groups()) == 2


def test_a_second_cause_that_begins_later_is_an_incident_of_its_own(intake: Intake) -> None:
    """The frontend's trouble is explained by the cart; advertising fails minutes later, for reasons of its own."""
    intake.services = catalogue(frontend="cart,advertising")
    intake.take(alert("c", "cart"), alert("f", "frontend", 30))
    intake.take(alert("a", "advertising", 400))
    assert intake.groups() == [{"a"}, {"c", "f"}]


def test_an_alert_without_a_service_is_an_incident_too(intake: Intake) -> None:
    intake.take(
        alert("a", None, title="Certificate expires in 3 days"),
        alert("b", None, title="Certificate expires in 2 days"),
        alert("c", None, title="Backup is missing"),
        alert("d"),
    )
    assert intake.groups() == [{"a", "b"}, {"c"}, {"d"}]
    assert any("unknown" in record.incident_id for record in intake.inbox.incidents())


def test_severity_escalates_and_never_drops(intake: Intake) -> None:
    intake.take(alert("a", severity="P3"))
    intake.take(alert("b", seconds=10, severity="P1"))
    intake.take(alert("c", seconds=20, severity="P4"))
    assert intake.inbox.incidents()[0].severity is Severity.P1
    (event,) = [event for event in intake.inbox.events(intake.only) if event.kind == "severity_escalated"]
    assert event.details == {"before": "P3", "after": "P1"}


def test_the_same_alert_with_a_worse_severity_escalates(intake: Intake) -> None:
    intake.take(alert("a", severity="P3"))
    intake.take(alert("a", severity="P1"))
    (record,) = intake.inbox.incidents()
    assert (record.severity, record.alerts) == (Severity.P1, 1)


def test_an_incident_is_resolved_when_its_last_alert_is(intake: Intake) -> None:
    intake.take(alert("a"), alert("b"))
    intake.take(resolved("a"))
    assert intake.inbox.incidents()[0].status is IncidentStatus.INVESTIGATING
    intake.take(resolved("b", until=90))
    (record,) = intake.inbox.incidents()
    assert record.status is IncidentStatus.RESOLVED
    assert record.resolved_at == resolved("b", until=90).resolved_at
    assert record.alerts == 2


def test_news_that_are_older_than_what_is_known_change_nothing(intake: Intake) -> None:
    intake.take(alert("a"), resolved("a"))
    intake.take(alert("a", status="acknowledged"), seconds=70)
    assert intake.inbox.incidents()[0].status is IncidentStatus.RESOLVED


def test_a_flapping_alert_opens_its_incident_again(intake: Intake) -> None:
    intake.take(alert("a"), resolved("a"))
    intake.take(alert("a", seconds=60 + 29 * 60))
    (record,) = intake.inbox.incidents()
    assert (record.status, record.resolved_at) == (IncidentStatus.INVESTIGATING, None)


def test_an_alert_that_gets_a_new_dedup_key_each_time_flaps_too(intake: Intake) -> None:
    intake.take(alert("a", dedup_key="a:1"), resolved("a", dedup_key="a:1"))
    intake.take(alert("a", seconds=60 + 20 * 60, dedup_key="a:2"))
    assert [record.status for record in intake.inbox.incidents()] == [IncidentStatus.INVESTIGATING]


def test_after_the_flap_window_it_is_a_new_incident(intake: Intake) -> None:
    intake.take(alert("a"), resolved("a"))
    intake.take(alert("a", seconds=60 + 31 * 60))
    assert sorted(record.status for record in intake.inbox.incidents()) == ["investigating", "resolved"]


def test_an_end_whose_beginning_was_never_heard_of_is_an_incident_that_is_over(intake: Intake) -> None:
    intake.take(resolved("a"))
    assert [record.status for record in intake.inbox.incidents()] == [IncidentStatus.RESOLVED]
    assert [claim.job for claim in intake.run(61)] == ["respond"]


@pytest.mark.parametrize("started", [-1e9, -6e10, 7e10])
def test_moments_that_cannot_be_meant_are_grouped_all_the_same(intake: Intake, started: float) -> None:
    intake.take(alert("a"), alert("b", seconds=started), seconds=1)
    assert intake.groups() == [{"a"}, {"b"}]
