"""Who must agree before an action runs.

Belongs here: the one decision "does this action wait for a person?". Pure.
Does not belong here: recording approvals, and executing.

The promise: nothing acts on production without an approval that is on record, unless a rule of `remediation.policy`
names that action, that environment and a risk no higher than low. `require_approval: false` alone permits only outside
production, and only at risk none or low. An environment that is not known counts as production.
"""

from __future__ import annotations

import re

from incident_pipeline.config import PolicyRule, RemediationSettings
from incident_pipeline.models import ActionType, RemediationAction, Risk

_HARMLESS = (Risk.NONE, Risk.LOW)
_TEST_WORDS = re.compile(
    r"ci|dev(elop(ment)?)?|int(egration)?|local|playground|preview|qa|sandbox|stage|staging|stg|test(ing)?|uat"
)
_PRODUCTION_WORDS = re.compile(r"prod(uction)?|prd|live")


def is_production(environment: str | None) -> bool:
    """Whether an environment has to be treated as production: all but those that are plainly for tests."""
    words = re.split(r"[^a-z]+", (environment or "").lower())
    if any(_PRODUCTION_WORDS.fullmatch(word) for word in words):
        return True
    return not any(_TEST_WORDS.fullmatch(word) for word in words)


def requires_approval(action: RemediationAction, environment: str | None, settings: RemediationSettings) -> bool:
    """Whether a person must say yes before this action runs.

    Telling people (`communicate` at risk none) touches no system: it waits only where the configuration says so.
    """
    if action.missing or action.risk not in _HARMLESS:
        return True
    if action.type is ActionType.COMMUNICATE and action.risk is Risk.NONE:
        switch = settings.actions.get(action.type.value)
        return switch is not None and switch.require_approval
    if any(_permits(rule, action, environment) for rule in settings.policy):
        return False
    return is_production(environment) or settings.action(action.type.value).require_approval


def _permits(rule: PolicyRule, action: RemediationAction, environment: str | None) -> bool:
    """Whether a rule names this action, this environment, this target and a risk as high."""
    return (
        rule.action == action.type.value
        and environment is not None
        and rule.environment.strip().lower() == environment.strip().lower()
        and (not rule.services or action.target in rule.services)
        and (action.risk is Risk.NONE or rule.risk == Risk.LOW.value)
    )
