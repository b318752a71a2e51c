"""What acts on production waits for a person, unless a rule names action, environment and a low risk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.config import Action, PolicyRule, RemediationSettings
from incident_pipeline.models import ActionType, RemediationAction, Risk
from incident_pipeline.remediation.policy import is_production, requires_approval


def action(kind: ActionType = ActionType.RESTART, risk: Risk = Risk.LOW, **more: str) -> RemediationAction:
    return RemediationAction(action_id="a", type=kind, title="Restart payments", target="payments", risk=risk, **more)


def settings(**more: object) -> RemediationSettings:
    return RemediationSettings.model_validate(more)


FREE = settings(actions={kind.value: {"require_approval": False} for kind in ActionType})
RULE = settings(policy=[{"action": "restart", "environment": "production"}])


def test_everything_waits_by_default() -> None:
    assert requires_approval(action(), "staging", settings())
    assert requires_approval(action(), "production", settings())


def test_a_switch_alone_frees_only_outside_production() -> None:
    assert not requires_approval(action(), "staging", FREE)
    assert requires_approval(action(), "production", FREE)
    assert requires_approval(action(), None, FREE)


def test_a_switch_alone_frees_no_risk_above_low() -> None:
    assert not requires_approval(action(risk=Risk.NONE), "staging", FREE)
    assert requires_approval(action(risk=Risk.MEDIUM), "staging", FREE)
    assert requires_approval(action(risk=Risk.HIGH), "staging", FREE)


def test_a_rule_frees_what_it_names_and_nothing_else() -> None:
    assert not requires_approval(action(), "production", RULE)
    assert not requires_approval(action(), "Production", RULE)
    assert requires_approval(action(ActionType.ROLLBACK), "production", RULE)
    assert requires_approval(action(), "production-eu", RULE)
    assert requires_approval(action(), None, RULE)
    assert requires_approval(action(risk=Risk.MEDIUM), "production", RULE)


def test_a_rule_can_be_narrower() -> None:
    narrow = settings(policy=[{"action": "restart", "environment": "production", "services": ["web"]}])
    careful = settings(policy=[{"action": "restart", "environment": "production", "risk": "none"}])

    assert requires_approval(action(), "production", narrow)
    assert requires_approval(action(), "production", careful)
    assert not requires_approval(action(risk=Risk.NONE), "production", careful)


def test_what_is_not_known_is_never_freed() -> None:
    assert requires_approval(action(missing="the previous version is not on record"), "production", RULE)


def test_telling_people_waits_only_where_the_configuration_says_so() -> None:
    tell = action(ActionType.COMMUNICATE, Risk.NONE)

    assert not requires_approval(tell, "production", settings())
    assert requires_approval(tell, "production", settings(actions={"communicate": {"require_approval": True}}))


@pytest.mark.parametrize("name", ["staging", "dev", "qa-2", "test/eu", "STAGE", "sandbox_1", "uat"])
def test_plain_names_of_test_environments(name: str) -> None:
    assert not is_production(name)


@pytest.mark.parametrize("name", [None, "", "production", "prod-test", "pre-prod", "eu-1", "blue", "contest", "live"])
def test_everything_else_is_production(name: str | None) -> None:
    assert is_production(name)


@given(
    st.sampled_from(ActionType),
    st.sampled_from(Risk),
    st.sampled_from([None, "production", "prod", "eu-1", "staging", "dev"]),
    st.booleans(),
    st.lists(
        st.builds(
            PolicyRule,
            action=st.sampled_from([kind.value for kind in ActionType]),
            environment=st.sampled_from(["production", "prod", "eu-1", "staging"]),
            risk=st.sampled_from(["none", "low"]),
        ),
        max_size=3,
    ),
)
def test_nothing_acts_on_production_unless_a_rule_names_it(
    kind: ActionType, risk: Risk, environment: str | None, switched: bool, rules: list[PolicyRule]
) -> None:
    remediation = RemediationSettings(actions={kind.value: Action(require_approval=switched)}, policy=tuple(rules))
    acts = not (kind is ActionType.COMMUNICATE and risk is Risk.NONE)

    if acts and not requires_approval(action(kind, risk), environment, remediation):
        assert risk in {Risk.NONE, Risk.LOW}
        named = any(rule.action == kind.value and rule.environment == environment for rule in rules)
        assert named or environment in {"staging", "dev"}
