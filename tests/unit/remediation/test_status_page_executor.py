"""What a person approved is published, word by word, once."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from incident_pipeline.communication.planning import with_communication_plan
from incident_pipeline.communication.status_page import PageDraft, publication
from incident_pipeline.config import Scenario
from incident_pipeline.models import ActionState, ActionType, RemediationAction, Risk
from incident_pipeline.remediation.approvals import Choice, decide, proposed
from incident_pipeline.remediation.executors.base import Effect, ExecutorSettings
from incident_pipeline.remediation.executors.registry import executor_named
from incident_pipeline.remediation.executors.status_page import StatusPage, build
from tests.connectors.questions import Recorder
from tests.unit import scenes
from tests.unit.communication.newsroom import Newsroom

PAGE = {"statuspage": {"token": "k3y-k3y", "options": {"page": "p1"}}}
NOW = scenes.at(14, 40)


class Page:
    """A status page in memory."""

    def __init__(self) -> None:
        self.incidents: list[dict[str, Any]] = []
        self.lost = False

    def answer(self, request: httpx.Request) -> Any:
        if request.method == "GET":
            return httpx.Response(200, json=[one for one in self.incidents if one["status"] != "resolved"])
        body = json.loads(request.content)["incident"]
        if request.method == "POST":
            self.incidents.append({"id": f"i{len(self.incidents)}", "shortlink": "https://stspg.io/x", **body})
        else:
            self.incidents[0].update(body)
        if self.lost:
            raise httpx.ReadTimeout("lost")
        return self.incidents[-1]


def executor(page: Page) -> StatusPage:
    scenario = Scenario.model_validate({"connections": PAGE})
    return build(ExecutorSettings(scenario, Recorder(page.answer).transport))


def the_call(status: str = "investigating") -> Any:
    draft = PageDraft(name="Problem with Card payments", body=f"It is {status}.", status=status, impact="major")
    action = RemediationAction(action_id="", type=ActionType.COMMUNICATE, title="Update status page")
    return publication(action, "INC-1", draft, "").call


def test_it_is_opened_then_updated_then_over() -> None:
    page = Page()
    one = executor(page)
    for status in ("investigating", "identified", "resolved"):
        planned = one.plan(the_call(status))
        assert f"It is {status}." in planned.steps[0]
        assert one.execute(the_call(status), planned, "m").succeeded
        assert one.verify(the_call(status), planned, "m", NOW).effect is Effect.HAPPENED
    assert len(page.incidents) == 1
    assert page.incidents[0]["metadata"] == {"incident_pipeline": {"key": "INC-1:status_page"}}
    assert one.undo(the_call(), planned) is None
    assert one.dry_run(the_call(), planned) is None


def test_an_answer_that_is_lost_is_uncertain_and_looking_tells() -> None:
    page = Page()
    one = executor(page)
    planned = one.plan(the_call())
    page.lost = True
    outcome = one.execute(the_call(), planned, "m")
    assert (outcome.succeeded, outcome.uncertain) == (False, True)
    assert one.verify(the_call(), planned, "m", NOW).effect is Effect.HAPPENED
    page.incidents.clear()
    assert one.verify(the_call(), planned, "m", NOW).effect is Effect.NOT_HAPPENED


def test_without_a_page_it_cannot_be_approved(tmp_path: Any) -> None:
    found = published(tmp_path, {})
    assert found.missing == "connections.statuspage needs a token and options.page"
    assert isinstance(executor_named("status-page", Scenario()), StatusPage)


def test_it_waits_for_a_person_even_where_a_policy_lets_messages_run(tmp_path: Any) -> None:
    rule = {"action": "communicate", "environment": "production", "decide": "automatic"}
    found = published(tmp_path, PAGE, policy=[rule])
    assert (found.risk, found.requires_approval, found.missing) == (Risk.MEDIUM, True, "")
    assert found.command == (
        "status page, investigating: Problem with Card payments. Since 2026-03-17 14:35 UTC some requests to Card "
        "payments fail or are slow. We are looking into it."
    )


def published(folder: Any, connections: dict[str, Any], **remediation: Any) -> RemediationAction:
    communication = {"status_page": True, "public_names": {"payments": "Card payments"}}
    room = Newsroom(folder, communication=communication, connections=connections, remediation=remediation)
    from incident_pipeline.remediation.plan import plan_remediation

    incident = room.inbox.incident(room.incident_id)
    plan = plan_remediation(incident, scenes.full_evidence(), scenes.diagnosis(), (), room.scenario)
    plan = with_communication_plan(room.application, incident, scenes.diagnosis(), plan, room.now)
    assert {step.audience for step in plan.communication_plan} == {"team", "public"}
    room.diagnosed(plan=plan)
    (found,) = [one for one in proposed(room.application, room.incident_id, room.now) if one.target == "status page"]
    if not found.missing:
        room.speak()
        assert any(f"action:{found.action_id}" == block.get("block_id") for block in room.header["blocks"])
        decide(room.application, room.incident_id, found.action_id, Choice.APPROVED, by="a", via="cli", now=room.now)
        states = {one.action_id: one.state for one in proposed(room.application, room.incident_id, room.now)}
        assert states[found.action_id] is ActionState.APPROVED
        (execution,) = room.inbox.executions(room.incident_id)
        assert not execution.manual
    return found


@pytest.mark.parametrize("parameter", ["name", "body", "status"])
def test_another_text_is_another_action(parameter: str) -> None:
    action = RemediationAction(action_id="", type=ActionType.COMMUNICATE, title="Update status page")
    draft = PageDraft(name="n", body="b", status="identified", impact="major")
    other = draft.model_copy(update={parameter: "monitoring"})
    assert publication(action, "INC-1", draft, "").action_id != publication(action, "INC-1", other, "").action_id
