"""What is proposed for which cause."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.config import Scenario
from incident_pipeline.models import (
    ActionType,
    Category,
    CausedBy,
    CodeChange,
    Diagnosis,
    Evidence,
    Hypothesis,
    MetricSeries,
    Remediation,
    RemediationAction,
    Risk,
    SuggestedRunbook,
)
from incident_pipeline.remediation.plan import plan_remediation
from tests.unit import scenes


def plan(diagnosis: Diagnosis, evidence: Evidence | None = None, **settings: object) -> Remediation:
    scenario = Scenario.model_validate(settings)
    return plan_remediation(scenes.incident(), evidence or scenes.full_evidence(), diagnosis, (), scenario)


def first(hypothesis: Hypothesis, evidence: Evidence | None = None) -> RemediationAction:
    return plan(scenes.diagnosis(hypothesis), evidence).actions[0]


def state(category: Category, **more: object) -> Hypothesis:
    return scenes.hypothesis(
        category=category, caused_by=CausedBy(kind="metric", id="x"), approach="metric_correlation", **more
    )


def test_a_deployment_is_rolled_back_to_the_version_on_record() -> None:
    rollback, hot_fix, told = plan(scenes.diagnosis()).actions

    assert rollback.type is ActionType.ROLLBACK
    assert rollback.title == "Rollback to previous version (v2.3.4)"
    assert rollback.command == "kubectl rollout undo deployment/payments"
    assert rollback.target == "payments"
    assert rollback.risk is Risk.LOW
    assert rollback.requires_approval
    assert rollback.undo == "Deploy v2.3.5 again."
    assert rollback.verification
    assert rollback.expected_effect
    assert not rollback.missing
    assert hot_fix.title == "Hot-fix validation logic"
    assert told.title == "Notify payment team"
    assert not told.requires_approval


def test_without_the_previous_version_it_says_what_is_missing() -> None:
    evidence = scenes.evidence(deployments=[scenes.deployment(previous_version=None)])

    rollback = first(scenes.hypothesis(), evidence)

    assert rollback.title == "Rollback to previous version"
    assert "previous version is not on record" in rollback.missing
    assert rollback.requires_approval


def test_the_version_before_may_be_known_from_the_deployment_before() -> None:
    rows = [
        scenes.deployment(previous_version=None),
        scenes.deployment(id="d1", version="v2.3.3", finished_at=scenes.at(9, 0)),
        scenes.deployment(id="d2", version="v2.3.4", finished_at=scenes.at(11, 0)),
        scenes.deployment(id="d3", version="v2.3.5-rc", finished_at=scenes.at(12, 0), status="failed"),
        scenes.deployment(id="d4", version="v9", finished_at=scenes.at(13, 0), service="web"),
        scenes.deployment(id="d5", version="v2.3.6", finished_at=scenes.at(14, 40)),
    ]

    assert (
        first(scenes.hypothesis(), scenes.evidence(deployments=rows)).title == "Rollback to previous version (v2.3.4)"
    )


def test_another_services_rollback_names_it() -> None:
    evidence = scenes.evidence(deployments=[scenes.deployment(id="d9", service="catalog")])

    rollback = first(scenes.hypothesis(service="catalog", caused_by=CausedBy(kind="deployment", id="d9")), evidence)

    assert rollback.title == "Rollback catalog to previous version (v2.3.4)"


def test_no_change_to_blame_rolls_nothing_back() -> None:
    shortage = state(Category.CAPACITY_PROBLEM)
    innocent = scenes.hypothesis(confidence=0.2)

    types = {a.type for a in plan(scenes.diagnosis(shortage, innocent, root_cause_change="none")).actions}

    assert not types & {ActionType.ROLLBACK, ActionType.ROLL_FORWARD, ActionType.CONFIG_REVERT, ActionType.DISABLE_FLAG}
    assert ActionType.SCALE in types


def test_scale_says_from_how_many_to_how_many() -> None:
    replicas = MetricSeries(name="replicas", service="payments", timestamps=(1.0, 2.0), values=(4.0, 6.0))

    action = first(state(Category.CAPACITY_PROBLEM), scenes.evidence(metrics=[replicas]))

    assert action.command == "kubectl scale deployment/payments --replicas=9"
    assert action.title == "Scale up payments from 6 to 9 replicas"
    assert action.undo == "Scale back to 6 replicas."


def test_scale_without_a_count_cannot_be_approved_yet() -> None:
    action = first(state(Category.CAPACITY_PROBLEM))

    assert action.command is None
    assert "replicas" in action.missing


def test_what_keeps_data_is_neither_scaled_by_replicas_nor_restarted_lightly() -> None:
    more = first(state(Category.CAPACITY_PROBLEM, service="orders-db"))
    again = first(state(Category.CODE_BUG, service="orders-db"))

    assert (more.title, more.command) == ("Raise the capacity of orders-db", None)
    assert again.risk is Risk.HIGH


def test_a_flag_is_turned_back() -> None:
    action = first(
        scenes.hypothesis(category=Category.CONFIGURATION_ERROR, caused_by=CausedBy(kind="flag", id="new_checkout"))
    )

    assert action.type is ActionType.DISABLE_FLAG
    assert action.title == "Turn feature flag new_checkout back to off"


def test_a_configuration_commit_is_reverted() -> None:
    cause = scenes.hypothesis(category=Category.CONFIGURATION_ERROR, caused_by=CausedBy(kind="change", id=scenes.SHA))

    actions = plan(scenes.diagnosis(cause)).actions

    assert [a.type for a in actions[:2]] == [ActionType.CONFIG_REVERT, ActionType.ROLLBACK]
    assert actions[0].command == f"git revert --no-edit {scenes.SHA}"


def test_a_commit_finds_its_deployment_by_a_shortened_hash() -> None:
    evidence = scenes.evidence(deployments=[scenes.deployment(commit_sha=scenes.SHA[:8])])
    cause = scenes.hypothesis(category=Category.CODE_BUG, caused_by=CausedBy(kind="change", id=scenes.SHA))

    assert first(cause, evidence).title == "Rollback to previous version (v2.3.4)"


def test_a_commit_without_a_deployment_is_reverted_and_released() -> None:
    evidence = scenes.evidence(code_changes=[CodeChange(sha=scenes.SHA)])
    cause = scenes.hypothesis(category=Category.CODE_BUG, caused_by=CausedBy(kind="change", id=scenes.SHA))

    action = first(cause, evidence)

    assert action.title == "Revert commit 0123456789 and release"
    assert action.command == f"git revert --no-edit {scenes.SHA}"


@pytest.mark.parametrize(
    ("hypothesis", "expected"),
    [
        (state(Category.DEPENDENCY_FAILURE), ActionType.FAILOVER),
        (state(Category.EXTERNAL_FACTOR), ActionType.FAILOVER),
        (state(Category.CONFIGURATION_ERROR, mechanism="certificate_expired"), ActionType.ROTATE_CERT),
        (state(Category.CAPACITY_PROBLEM, mechanism="memory_leak"), ActionType.RESTART),
        (state(Category.CAPACITY_PROBLEM, mechanism="noisy_neighbor"), ActionType.RESCHEDULE),
        (state(Category.DEPENDENCY_FAILURE, mechanism="node_failure"), ActionType.RESCHEDULE),
        (state(Category.EXTERNAL_FACTOR, mechanism="bad_data"), ActionType.PURGE_BAD_DATA),
        (state(Category.CAPACITY_PROBLEM, mechanism="quota_exhausted"), ActionType.ESCALATE_UPSTREAM),
        (state(Category.CONFIGURATION_ERROR, mechanism="credential_expired"), ActionType.ROTATE_CERT),
        (state(Category.CAPACITY_PROBLEM, mechanism="traffic_surge"), ActionType.SCALE),
        (state(Category.CODE_BUG), ActionType.RESTART),
        (state(Category.CONFIGURATION_ERROR), ActionType.CONFIG_REVERT),
    ],
)
def test_each_kind_of_cause_has_its_answer(hypothesis: Hypothesis, expected: ActionType) -> None:
    assert first(hypothesis).type is expected


def test_the_operator_of_a_dependency_is_told() -> None:
    types = [a.type for a in plan(scenes.diagnosis(state(Category.DEPENDENCY_FAILURE))).actions]

    assert ActionType.ESCALATE_UPSTREAM in types


def test_an_outside_provider_is_named_by_its_host() -> None:
    cause = state(
        Category.DEPENDENCY_FAILURE,
        mechanism="third_party_outage",
        evidence=('payments logs "POST https://api.cards.example.com/v2 timed out"',),
    )

    over, up, _ = plan(scenes.diagnosis(cause)).actions

    assert over.title == "Fail over payments from api.cards.example.com to another provider"
    assert up.title == "Escalate to the operator of api.cards.example.com"


def test_our_own_hosts_are_not_outside() -> None:
    cause = state(
        Category.DEPENDENCY_FAILURE, evidence=("GET http://payments.internal/x and http://10.0.0.7/y failed",)
    )

    assert first(cause).title == "Fail over payments around the dependency that fails"


def test_types_that_are_switched_off_are_not_proposed() -> None:
    actions = plan(scenes.diagnosis(), remediation={"actions": {"rollback": {"enabled": False}}}).actions

    assert ActionType.ROLLBACK not in {a.type for a in actions}


def test_status_page_and_stakeholders_when_configured() -> None:
    told = plan(scenes.diagnosis(), remediation={"communication": {"status_page": True, "stakeholder_notify": True}})

    assert told.communication == ("Notify payment team", "Update status page", "Notify stakeholders")


def test_a_runbook_is_offered() -> None:
    runbook = SuggestedRunbook(runbook_id="bad-deploy", title="Bad deployment", score=0.8)

    actions = plan_remediation(scenes.incident(), scenes.evidence(), scenes.diagnosis(), [runbook], Scenario()).actions

    assert "Follow runbook: Bad deployment" in [a.title for a in actions]


def test_an_unlikely_cause_moves_nobody_but_the_incidents_own_team() -> None:
    weak = scenes.hypothesis(confidence=0.05, service="catalog")

    actions = plan(scenes.diagnosis(weak)).actions

    assert [a.title for a in actions] == ["Notify payment team"]


def test_a_remote_cause_does_not_distract_from_a_likely_one() -> None:
    remote = state(Category.CAPACITY_PROBLEM, confidence=0.15)

    assert ActionType.SCALE not in {a.type for a in plan(scenes.diagnosis(scenes.hypothesis(), remote)).actions}


def test_ids_stay_the_same_when_the_order_changes() -> None:
    one, other = scenes.hypothesis(confidence=0.5), state(Category.CAPACITY_PROBLEM, confidence=0.4)
    before = {a.title: a.action_id for a in plan(scenes.diagnosis(one, other)).actions}
    after = {a.title: a.action_id for a in plan(scenes.diagnosis(other, one)).actions}

    assert len(set(before.values())) == len(before)
    assert {title: after[title] for title in before if title in after} == {
        t: i for t, i in before.items() if t in after
    }
    assert "Rollback to previous version (v2.3.4)" in after


@given(st.text(max_size=40), st.text(max_size=40))
def test_hostile_names_never_reach_a_command(service: str, sha: str) -> None:
    causes = (
        scenes.hypothesis(service=service, caused_by=CausedBy(kind="deployment", id="d")),
        scenes.hypothesis(service=service, category=Category.CODE_BUG, caused_by=CausedBy(kind="change", id=sha)),
        state(Category.CAPACITY_PROBLEM, service=service),
    )
    replicas = MetricSeries(name="replicas", service=service, timestamps=(1.0,), values=(3.0,))
    for cause in causes:
        for action in plan(scenes.diagnosis(cause), scenes.evidence(metrics=[replicas])).actions:
            if action.command:
                words = shlex.split(action.command)
                assert words[0] in {"kubectl", "git"}
                assert not any(ch in action.command for ch in ";&|`$<>\n\\'\"")
                assert not any(word.startswith("-") and word[:11] not in {"--no-edit", "--replicas="} for word in words)
