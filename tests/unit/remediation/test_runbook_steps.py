"""A runbook's commands become actions of their own, filled in from a closed list, and no shell ever reads them."""

from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.config import Scenario
from incident_pipeline.models import RemediationAction, SuggestedRunbook
from incident_pipeline.remediation.executors.registry import executor_named
from incident_pipeline.remediation.plan import plan_remediation
from incident_pipeline.remediation.runbook_steps import step_actions, steps_of
from tests.unit import scenes

RUNBOOK = SuggestedRunbook(runbook_id="pool", title="Pool exhausted", score=0.9)
TEXT = """
# Pool exhausted

## Checks

1. Look at it:
   ```sh
   psql -c "select 1"
   ```

## Steps

1. Restart one pod after the other:

   ```sh
   # this is a remark
   $ kubectl -n {{ namespace }} rollout restart deployment/{{ service }}
   kubectl rollout status deployment/{{service}}
   ```
2. Count them: `not fenced`
3. Only a shell does this:
   ~~~
   kubectl get pods | grep {{ service }}
   ~~~

## Undo

1. None.
"""
VALUES = {"service": "payments", "namespace": "shop"}


def actions(text: str, **values: str) -> list[RemediationAction]:
    return list(step_actions(RUNBOOK, text, values or VALUES))


def test_steps_are_the_numbered_items_below_what_is_to_be_done() -> None:
    assert [(step.number, len(step.commands)) for step in steps_of(TEXT)] == [("1", 2), ("2", 0), ("3", 1)]


def test_each_command_is_an_action_with_its_words() -> None:
    first, second, third = actions(TEXT)
    assert first.command == "kubectl -n shop rollout restart deployment/payments"
    assert first.title == "Runbook Pool exhausted, step 1.1: Restart one pod after the other:"
    assert first.call is not None
    assert json.loads(first.call.parameters["words"]) == shlex.split(first.command)
    assert second.command == "kubectl rollout status deployment/payments"
    assert (third.call, third.needs) == (None, ("a person: the command needs a shell",))


def test_what_is_not_known_is_missing() -> None:
    assert "namespace is not known" in actions(TEXT, service="payments")[0].missing
    odd = "1. x\n```\necho {{ password }}\n```"
    assert "{{ password }} is not known" in actions(odd)[0].missing


@given(st.text(max_size=30))
def test_a_hostile_name_is_at_most_one_word_that_cannot_act(service: str) -> None:
    (action,) = step_actions(RUNBOOK, "1. x\n```\nkubectl delete pod {{ service }}\n```", {"service": service})
    if action.call is None:
        assert action.missing
    else:
        assert json.loads(action.call.parameters["words"]) == ["kubectl", "delete", "pod", service]
        assert not service.startswith("-")


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    for action in actions(f"1. x\n```\n{text}\n```"):
        assert action.call is None or action.call.executor == "runbook"


@pytest.mark.parametrize(
    "line", ["a; b", "a && b", "a > f", "a $(b)", "a `b`", "a $HOME", "a\\ b", "a *", "a 'b", "a | b"]
)
def test_what_needs_a_shell_is_done_by_hand(line: str) -> None:
    (action,) = actions(f"1. x\n```\n{line}\n```")
    assert action.call is None


def test_they_are_part_of_the_plan_one_by_one() -> None:
    plan = plan_remediation(
        scenes.incident(), scenes.evidence(), scenes.diagnosis(), [RUNBOOK], Scenario(), {"pool": TEXT}
    )
    steps = [action for action in plan.actions if action.title.startswith("Runbook ")]
    assert len({action.action_id for action in steps}) == 3
    assert all(action.requires_approval for action in steps)


def test_only_programs_that_are_allowed_run() -> None:
    call = actions("1. x\n```\necho {{ service }}\n```")[0].call
    assert call is not None
    allowed = Scenario.model_validate({"remediation": {"execution": {"programs": ["echo"]}}})
    executor = executor_named("runbook", allowed)
    assert executor.execute(call, executor.plan(call), "m").output == "payments"
    with pytest.raises(Exception, match=r"'echo' is not in remediation.execution.programs"):
        executor_named("runbook", Scenario()).plan(call)
