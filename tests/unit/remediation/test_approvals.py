"""What may be decided, by whom, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_pipeline.errors import NotFoundError, PolicyError
from incident_pipeline.models import ActionState, Risk
from incident_pipeline.remediation.approvals import (
    Choice,
    action_hash,
    decide,
    permit_automatic,
    person_with_slack,
)
from tests.unit.remediation.place import NOW, Place, an_action

Make = Callable[..., Place]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def place(settings: dict[str, Any] | None = None, environment: str = "production") -> Place:
        made = Place(tmp_path, settings or {}, environment)
        made.plan(an_action(environment=environment))
        return made

    return place


def test_an_approval_queues_the_execution_and_is_on_record(make: Make) -> None:
    place = make()
    assert "carried out now" in place.decide(comment="bad release", origin="10.0.0.9")
    (decision,) = place.application.inbox.action_decisions(place.incident_id)
    assert (decision.who, decision.via, decision.origin, decision.comment) == ("dana", "cli", "10.0.0.9", "bad release")
    assert decision.action_hash == action_hash(an_action())
    (execution,) = place.application.inbox.executions(place.incident_id)
    assert execution.state == "queued"
    assert place.state() == "approved"


def test_an_action_is_approved_once(make: Make) -> None:
    place = make()
    place.decide()
    with pytest.raises(PolicyError, match="carried out once"):
        place.decide(by="erin")


def test_a_rejection_takes_an_approval_back_and_stays(make: Make) -> None:
    place = make()
    place.decide()
    place.decide(Choice.REJECTED, by="erin")
    assert place.state() == "rejected"
    assert place.application.inbox.executions_due(NOW) == []
    with pytest.raises(PolicyError, match="rejected by erin"):
        place.decide()
    place.decide(again=True)
    assert place.state() == "approved"


def test_an_approval_expires(make: Make) -> None:
    place = make({"policy": [{"action": "*", "environment": "*", "decide": "approval", "valid_for": "10m"}]})
    place.decide()
    later = NOW + timedelta(minutes=10)
    assert place.state(later) == "expired"
    place.decide(now=later)
    assert place.state(later) == "approved"


def test_two_different_people_have_to_agree_where_the_policy_says_so(make: Make) -> None:
    place = make(
        {"policy": [{"action": "rollback", "environment": "production", "decide": "approval", "approvals": 2}]}
    )
    assert "1 of 2 approvals" in place.decide()
    assert place.state() == "proposed"
    with pytest.raises(PolicyError, match="another person has to agree"):
        place.decide()
    place.decide(by="erin")
    assert place.state() == "approved"


def test_a_plan_that_changed_makes_the_approval_void(make: Make) -> None:
    place = make()
    place.decide()
    place.plan(an_action(command="kubectl rollout undo deployment/payments --to-revision=3"))
    assert place.state() == "proposed"
    place.decide(by="erin")
    queued = [e.state.value for e in place.application.inbox.executions(place.incident_id)]
    assert queued == ["cancelled", "queued"]


def test_what_the_person_saw_has_to_be_what_is_planned(make: Make) -> None:
    place = make()
    with pytest.raises(PolicyError, match="has changed since you saw it"):
        place.decide(seen="0" * 64)


def test_only_those_who_may_decide(make: Make) -> None:
    place = make({"approvers": ["dana"]})
    for choice in Choice:
        with pytest.raises(PolicyError, match="mallory may not decide"):
            place.decide(choice, by="mallory")


def test_what_is_missing_cannot_be_approved(make: Make) -> None:
    place = make()
    place.plan(an_action(missing="the previous version is not on record"))
    with pytest.raises(PolicyError, match="previous version is not on record"):
        place.decide()


def test_what_is_forbidden_cannot_be_approved(make: Make) -> None:
    place = make({"policy": [{"action": "rollback", "environment": "production", "decide": "forbidden"}]})
    with pytest.raises(PolicyError, match=r"remediation.policy\[0\]: the rule forbids"):
        place.decide()


def test_what_no_executor_does_a_person_does_and_says_so(make: Make) -> None:
    place = make()
    place.plan(an_action(call=None))
    assert "by hand" in place.decide()
    inbox = place.application.inbox
    assert inbox.executions_due(NOW) == []
    inbox.settle_execution(place.incident_id, "rollback-1a2b3c", True, "dana", NOW)
    assert place.state() == "done"
    with pytest.raises(PolicyError, match="is done"):
        inbox.settle_execution(place.incident_id, "rollback-1a2b3c", False, "dana", NOW)


def test_the_freeze_switch_stops_what_is_queued(make: Make) -> None:
    place = make()
    place.application.inbox.freeze("erin", "moving the cluster", NOW)
    assert "frozen by erin" in place.decide()
    assert place.application.inbox.executions_due(NOW) == []
    place.application.inbox.unfreeze("erin", "", NOW)
    assert len(place.application.inbox.executions_due(NOW)) == 1


def test_what_the_policy_permits_runs_by_itself_and_only_so_often(make: Make) -> None:
    rule = {"action": "rollback", "environment": "production", "per_day": 1}
    place = make({"policy": [rule]})
    actions = (an_action(requires_approval=False),)
    (execution,) = permit_automatic(place.application, place.incident_id, actions, NOW)
    assert execution.automatic
    assert permit_automatic(place.application, place.incident_id, actions, NOW) == []
    other = (an_action(action_id="rollback-other", requires_approval=False),)
    assert permit_automatic(place.application, place.incident_id, other, NOW) == []
    assert permit_automatic(place.application, place.incident_id, other, NOW + timedelta(hours=25)) != []


def test_what_a_person_rejected_does_not_run_by_itself(make: Make) -> None:
    place = make({"policy": [{"action": "rollback", "environment": "production"}]})
    place.decide(Choice.REJECTED)
    assert permit_automatic(place.application, place.incident_id, (an_action(requires_approval=False),), NOW) == []


def test_slack_users_are_known_by_their_id(make: Make) -> None:
    place = make({"people": {"dana": {"slack": "U123"}, "erin": {}}})
    assert person_with_slack(place.application, "U123") == "dana"
    assert person_with_slack(place.application, "U999") is None
    assert person_with_slack(place.application, "") is None


def test_an_action_that_does_not_exist_is_said_in_a_sentence(make: Make) -> None:
    place = make()
    with pytest.raises(NotFoundError, match="there are rollback-1a2b3c"):
        decide(place.application, place.incident_id, "scale", Choice.APPROVED, by="dana", via="cli", now=NOW)


@pytest.mark.parametrize("change", [{"risk": Risk.HIGH}, {"command": "x"}, {"title": "x"}, {"call": None}])
def test_the_hash_names_what_would_be_done(change: dict[str, Any]) -> None:
    assert action_hash(an_action(**change)) != action_hash(an_action())
    assert action_hash(an_action(why="x", state=ActionState.DONE)) == action_hash(an_action())
