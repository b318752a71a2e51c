"""Claims: who runs what, when, and what happens when it goes wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from incident_pipeline.errors import NotFoundError
from incident_pipeline.storage.inbox.claim_choice import REPEATED_PER_MINUTE
from incident_pipeline.storage.inbox.claims import MAX_FAILURES, MAX_LOSSES
from tests.unit.intake.builders import LEASE, SETTINGS, Intake, alert, at, resolved


def test_a_new_incident_is_claimed_once(intake: Intake) -> None:
    intake.take(alert("a"))
    (claim,) = intake.claim(0)
    assert (claim.incident_id, claim.attempt, claim.job, claim.reason) == (intake.only, 1, "respond", "new incident")
    assert claim.lease_until == at(90)
    assert intake.claim(1) == []


def test_no_more_than_the_limit_is_claimed_over_all_processes(intake: Intake) -> None:
    for number in range(5):
        intake.take(alert(f"a{number}", f"service-{number}"))
    assert len(intake.claim(1, limit=3)) == 3
    assert intake.claim(1, limit=3) == []
    assert len(intake.claim(1, limit=4)) == 1


def test_the_most_urgent_incident_comes_first(intake: Intake) -> None:
    intake.take(alert("a", "a", severity="P3"), alert("b", "b", severity="P1"), alert("c", "c", severity="P2"))
    assert [claim.severity for claim in intake.claim(5)] == ["P1", "P2", "P3"]


def test_waiting_counts_like_severity_so_that_nothing_starves(intake: Intake) -> None:
    intake.take(alert("old", "old", severity="P3"))
    intake.take(alert("new", "new", 30, severity="P1"))
    assert [claim.severity for claim in intake.claim(31)] == ["P3", "P1"]


def test_an_incident_that_still_grows_in_a_storm_waits_but_not_for_long(intake: Intake) -> None:
    for tenth in range(32):
        intake.take(*(alert(f"a{tenth}-{n}", seconds=tenth / 10) for n in range(5)))
        claimed = intake.claim(tenth / 10)
        assert bool(claimed) == (tenth >= 30), tenth
        if claimed:
            return
    pytest.fail("it was never claimed")


def test_a_single_alert_does_not_wait(intake: Intake) -> None:
    intake.take(alert("a"))
    assert len(intake.claim(0)) == 1


def test_only_one_run_begins_for_a_claim(intake: Intake) -> None:
    intake.take(alert("a"))
    (claim,) = intake.claim(0)
    intake.inbox.launched(claim.claim_id, "run-1", at(1))
    assert not intake.inbox.begin(claim.claim_id, "run-2", at(1))
    assert intake.inbox.begin(claim.claim_id, "run-1", at(2))
    assert intake.inbox.begin(claim.claim_id, "run-1", at(3)), "asking again changes nothing"


def test_a_run_that_begins_before_its_launch_is_recorded_counts(intake: Intake) -> None:
    intake.take(alert("a"))
    (claim,) = intake.claim(0)
    assert intake.inbox.begin(claim.claim_id, "run-1", at(1))
    intake.inbox.launched(claim.claim_id, "run-1", at(2))
    assert intake.inbox.live_claims()[0].run_id == "run-1"
    assert intake.inbox.incidents()[0].run_ids == ("run-1",)


def test_a_run_whose_claim_was_released_may_do_nothing_more(intake: Intake) -> None:
    intake.take(alert("a"))
    (claim,) = intake.claim(0)
    intake.inbox.begin(claim.claim_id, "run-1", at(1))
    assert intake.inbox.expired(at(89)) == []
    assert [each.claim_id for each in intake.inbox.expired(at(90))] == [claim.claim_id]
    assert intake.claim(91) == [], "until it is released it blocks its incident"
    assert intake.inbox.release(claim.claim_id, at(91))
    (again,) = intake.claim(91)
    assert again.attempt == 2
    assert not intake.inbox.begin(claim.claim_id, "run-1", at(92))
    assert not intake.inbox.renew(claim.claim_id, at(92), LEASE)
    assert not intake.inbox.finish(claim.claim_id, at(92), succeeded=True)
    assert not intake.inbox.release(claim.claim_id, at(92))
    assert intake.inbox.begin(again.claim_id, "run-2", at(93))


def test_a_lease_is_renewed(intake: Intake) -> None:
    intake.take(alert("a"))
    (claim,) = intake.claim(0)
    assert intake.inbox.renew(claim.claim_id, at(80), LEASE)
    assert intake.inbox.expired(at(169)) == []
    assert len(intake.inbox.expired(at(170))) == 1


def test_a_claim_that_could_not_be_launched_costs_nothing(intake: Intake) -> None:
    intake.take(alert("a"))
    for second in range(MAX_LOSSES + 1):
        (claim,) = intake.claim(second)
        assert intake.inbox.put_back(claim.claim_id, at(second))
    assert len(intake.claim(60)) == 1


def test_a_failed_run_is_tried_again_less_and_less_often_and_then_given_up(intake: Intake) -> None:
    intake.take(alert("a"))
    seconds = 0.0
    for wait in (5, 15, 45, 135):
        (claim,) = intake.claim(seconds)
        assert intake.inbox.finish(claim.claim_id, at(seconds), succeeded=False, error="no space left")
        assert intake.claim(seconds + wait - 0.1) == []
        seconds += wait
    (claim,) = intake.claim(seconds)
    assert claim.attempt == MAX_FAILURES
    intake.inbox.finish(claim.claim_id, at(seconds), succeeded=False, error="no space left")
    assert intake.claim(seconds + 86400) == []
    assert intake.inbox.incidents()[0].failure == "no space left"
    assert intake.inbox.state(at(seconds)).given_up == 1
    assert intake.inbox.events()[-1].kind == "diagnosis_given_up"
    intake.take(alert("b", seconds=seconds + 1))
    assert len(intake.claim(seconds + 30)) == 1, "a new alert is a new chance"


def test_runs_that_die_are_started_again_at_once_but_not_for_ever(intake: Intake) -> None:
    intake.take(alert("a"))
    for second in range(MAX_LOSSES):
        (claim,) = intake.claim(second)
        assert intake.inbox.release(claim.claim_id, at(second), error="killed")
    assert intake.claim(86400) == []
    assert intake.inbox.incidents()[0].failure == "killed"


def test_an_incident_is_diagnosed_again_after_one_three_and_ten_minutes(intake: Intake) -> None:
    intake.take(alert("a"))
    assert [claim.reason for claim in intake.run(0)] == ["new incident"]
    assert intake.run(59.9) == []
    assert [claim.reason for claim in intake.run(60)] == ["update after 1m"]
    assert intake.run(179.9) == []
    assert [claim.reason for claim in intake.run(180)] == ["update after 3m"]
    assert [claim.reason for claim in intake.run(600)] == ["update after 10m"]
    assert intake.run(86400) == []


def test_updates_that_were_missed_are_made_up_for_once(intake: Intake) -> None:
    intake.take(alert("a"))
    intake.run(0)
    assert len(intake.run(500)) == 1
    assert [claim.reason for claim in intake.run(600)] == ["update after 10m"]


def test_an_alert_that_joins_has_its_incident_diagnosed_again_soon(intake: Intake) -> None:
    intake.take(alert("a"))
    intake.run(0)
    intake.take(alert("b", seconds=3))
    assert intake.claim(9.9) == []
    assert [claim.reason for claim in intake.run(10)] == ["an alert joined"]
    assert [claim.reason for claim in intake.run(60)] == ["update after 1m"]


def test_the_same_alert_again_is_no_news(intake: Intake) -> None:
    intake.take(alert("a"))
    intake.run(0)
    intake.take(alert("a", seconds=5), alert("a"))
    assert intake.claim(30) == []


def test_an_alert_that_joins_during_the_first_run_waits_for_its_end(intake: Intake) -> None:
    intake.take(alert("a"))
    (claim,) = intake.claim(0)
    intake.take(alert("b", seconds=1))
    assert intake.claim(30) == []
    intake.inbox.finish(claim.claim_id, at(31), succeeded=True)
    assert [each.reason for each in intake.claim(31)] == ["an alert joined"]


def test_alerts_that_keep_coming_are_answered_with_fewer_and_fewer_runs(intake: Intake) -> None:
    intake.take(alert("a"))
    runs = 0
    for second in range(300):
        intake.take(alert(f"a{second}", seconds=second))
        runs += len(intake.run(second))
    assert 5 <= runs <= 8


def test_repeated_diagnoses_wait_while_a_first_one_does(intake: Intake) -> None:
    intake.take(alert("a", "a"))
    intake.run(0)
    for number in range(3):
        intake.take(alert(f"n{number}", f"new-{number}", 59))
    assert {claim.reason for claim in intake.claim(61, limit=1)} == {"new incident"}
    assert {claim.reason for claim in intake.claim(61, limit=2)} == {"new incident"}
    assert {claim.reason for claim in intake.claim(61, limit=3)} == {"new incident"}
    assert {claim.reason for claim in intake.claim(61, limit=4)} == {"update after 1m"}


def test_repeated_diagnoses_of_all_incidents_are_few(intake: Intake) -> None:
    for number in range(20):
        intake.take(alert(f"a{number}", f"service-{number}"))
    while intake.run(4, limit=50):
        pass
    assert len(intake.run(70, limit=50)) == REPEATED_PER_MINUTE
    assert intake.run(80, limit=50) == []
    assert len(intake.run(131, limit=50)) == REPEATED_PER_MINUTE


def test_an_incident_that_is_over_is_closed_out_once(intake: Intake) -> None:
    intake.take(alert("a"))
    intake.run(0)
    intake.take(resolved("a"))
    assert [claim.job for claim in intake.run(61)] == ["close_out"]
    assert intake.run(86400) == []


def test_an_incident_that_is_over_before_its_first_run_has_both(intake: Intake) -> None:
    intake.take(alert("a"), resolved("a"))
    assert [claim.job for claim in intake.run(61)] == ["respond"]
    assert [claim.job for claim in intake.run(63)] == ["close_out"]
    assert intake.run(86400) == []


def test_an_incident_that_ends_during_its_run_is_closed_out_after_it(intake: Intake) -> None:
    intake.take(alert("a"))
    (claim,) = intake.claim(0)
    intake.take(resolved("a"))
    assert intake.claim(61) == []
    intake.inbox.finish(claim.claim_id, at(62), succeeded=True)
    assert [each.job for each in intake.claim(62)] == ["close_out"]


def test_an_incident_that_opens_again_is_diagnosed_and_closed_out_again(intake: Intake) -> None:
    intake.take(alert("a"))
    intake.run(0)
    intake.take(resolved("a"))
    intake.run(61)
    intake.take(alert("a", seconds=120))
    assert [claim.reason for claim in intake.run(140)] == ["an alert fired again"]
    intake.take(resolved("a", seconds=120, until=200))
    assert [claim.job for claim in intake.run(201)] == ["close_out"]


def test_a_closing_that_waits_gives_way_when_the_incident_opens_again(intake: Intake) -> None:
    intake.take(alert("a"))
    intake.run(0)
    intake.take(resolved("a"))
    intake.take(alert("a", seconds=62))
    assert [claim.job for claim in intake.run(80)] == ["respond"]


def test_work_survives_a_restart(intake: Intake) -> None:
    intake.take(alert("a"))
    (claim,) = intake.claim(0)
    path = intake.inbox._database._place.removeprefix("sqlite:///")
    intake.inbox.close()
    other = type(intake.inbox).open(path)
    assert [each.claim_id for each in other.live_claims()] == [claim.claim_id]
    assert other.claim(at(1), LEASE, 5) == []
    other.close()


def test_what_is_not_there_is_said(intake: Intake) -> None:
    with pytest.raises(NotFoundError, match="no claim 'x:1'"):
        intake.inbox.begin("x:1", "run", at(0))
    with pytest.raises(NotFoundError, match="no incident 'INC-x'"):
        intake.inbox.incident("INC-x")


def test_grouping_with_nothing_to_do_takes_no_lock(intake: Intake) -> None:
    other = type(intake.inbox).open(intake.inbox._database._place.removeprefix("sqlite:///"), busy_seconds=0.0)
    with intake.inbox._database.write():
        assert other.group(at(0), SETTINGS).alerts == 0
        assert other.claim(at(0), timedelta(seconds=1), 1) == []
    other.close()
