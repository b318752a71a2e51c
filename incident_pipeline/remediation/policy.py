"""Who must agree before an action runs.

Belongs here: the one decision "does this action wait for people, for whom, and for how long?". Pure.
Does not belong here: recording approvals (`approvals.py`), and executing (`carrying_out.py`).

The promise: nothing acts on production without an approval that is on record, unless a rule of `remediation.policy`
names that action, that environment and a risk no higher than low. `require_approval: false` alone permits only outside
production, and only at risk none or low. An environment that is not known counts as production.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum

from incident_pipeline.config import PolicyRule, RemediationSettings
from incident_pipeline.models import ActionType, RemediationAction, Risk

VALID_FOR = timedelta(hours=1)
"""How long an approval is good for where no rule says otherwise."""
PER_DAY = 10
"""How often an action outside production runs by itself within 24 hours where no rule says otherwise."""

_HARMLESS = (Risk.NONE, Risk.LOW)
_RISKS = tuple(Risk)
_TEST_WORDS = re.compile(
    r"ci|dev(elop(ment)?)?|int(egration)?|local|playground|preview|qa|sandbox|stage|staging|stg|test(ing)?|uat"
)
_PRODUCTION_WORDS = re.compile(r"prod(uction)?|prd|live")


class Mode(StrEnum):
    """What an action waits for."""

    AUTOMATIC = "automatic"
    APPROVAL = "approval"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True)
class Verdict:
    """What the policy says of one action, and which rule said it."""

    mode: Mode
    rule: str
    """`remediation.policy[0]`, or the name of a default."""
    why: str
    approvers: tuple[str, ...] = ()
    """Who may approve; empty: anybody."""
    approvals: int = 1
    valid_for: timedelta = VALID_FOR
    per_day: int = 0

    def allows(self, who: str) -> bool:
        """Whether this person may approve."""
        return not self.approvers or who in self.approvers


def is_production(environment: str | None) -> bool:
    """Whether an environment has to be treated as production: all but those that are plainly for tests."""
    words = re.split(r"[^a-z]+", (environment or "").lower())
    if any(_PRODUCTION_WORDS.fullmatch(word) for word in words):
        return True
    return not any(_TEST_WORDS.fullmatch(word) for word in words)


def judge(
    action: RemediationAction,
    environment: str | None,
    settings: RemediationSettings,
    at: datetime | None = None,
    runs_today: int = 0,
) -> Verdict:
    """What an action waits for.

    Args:
        action: what would be done.
        environment: where; None counts as production.
        settings: rules and switches.
        at: when; None leaves rules with hours out that would permit something.
        runs_today: how often the rule that decides has let something run by itself within 24 hours.
    """
    if action.undo_of is not None:
        return _waits(settings, "default: undo", "taking back what did not help is for a person to decide")
    verdict = _by_rule(action, environment, settings, at) or _by_default(action, environment, settings)
    if verdict.mode is not Mode.AUTOMATIC:
        return verdict
    if action.missing:
        return _waits(settings, "default: missing", f"not everything is known: {action.missing}")
    if runs_today >= verdict.per_day:
        why = f"it ran by itself {runs_today} times within 24 hours, and {verdict.per_day} is the limit"
        return _waits(settings, verdict.rule, why)
    return verdict


def requires_approval(action: RemediationAction, environment: str | None, settings: RemediationSettings) -> bool:
    """Whether a person must say yes before this action runs, whatever the time of day.

    Telling people (`communicate` at risk none) touches no system: it waits only where the configuration says so.
    """
    return judge(action, environment, settings).mode is not Mode.AUTOMATIC


def _by_rule(
    action: RemediationAction, environment: str | None, settings: RemediationSettings, at: datetime | None
) -> Verdict | None:
    for number, rule in enumerate(settings.policy):
        if not _fits(rule, action, environment, at):
            continue
        mode = Mode(rule.decide)
        named = f"{rule.action} in {rule.environment} up to risk {rule.highest_risk}" + (
            f", {rule.hours}" * bool(rule.hours)
        )
        why = {
            Mode.AUTOMATIC: f"the rule lets {named} run by itself",
            Mode.APPROVAL: f"the rule wants {rule.approvals} approval{'s' * (rule.approvals > 1)} for {named}",
            Mode.FORBIDDEN: f"the rule forbids {named}",
        }[mode]
        approvers = rule.approvers or settings.approvers
        return Verdict(
            mode, f"remediation.policy[{number}]", why, approvers, rule.approvals, rule.valid_for, rule.per_day
        )
    return None


def _by_default(action: RemediationAction, environment: str | None, settings: RemediationSettings) -> Verdict:
    if action.risk not in _HARMLESS:
        return _waits(settings, "default: risk", f"risk {action.risk} always waits for a person")
    if action.type is ActionType.COMMUNICATE and action.risk is Risk.NONE:
        switch = settings.actions.get(action.type.value)
        if switch is not None and switch.require_approval:
            return _waits(settings, "remediation.actions.communicate", "the configuration wants an approval")
        return _free("default: telling the team", "a message to the team touches no system")
    if is_production(environment):
        where = f"{environment} counts as production" if environment else "the environment is not known"
        return _waits(settings, "default: production", f"{where}, and no rule names it")
    if settings.action(action.type.value).require_approval:
        return _waits(settings, "default: approval", "everything waits unless the configuration says otherwise")
    return _free(f"remediation.actions.{action.type.value}", f"{environment} is not production, and risk {action.risk}")


def _free(rule: str, why: str) -> Verdict:
    return Verdict(Mode.AUTOMATIC, rule, why, per_day=PER_DAY)


def _waits(settings: RemediationSettings, rule: str, why: str) -> Verdict:
    return Verdict(Mode.APPROVAL, rule, why, settings.approvers)


def _fits(rule: PolicyRule, action: RemediationAction, environment: str | None, at: datetime | None) -> bool:
    """Whether a rule is about this action, this environment, this target, a risk as high and this time of day."""
    place = rule.environment.strip().lower()
    return (
        rule.action in ("*", action.type.value)
        and (place == "*" or (environment is not None and place == environment.strip().lower()))
        and (not rule.services or action.target in rule.services)
        and _RISKS.index(action.risk) <= _RISKS.index(Risk(rule.highest_risk))
        and _within_hours(rule, at)
    )


def _within_hours(rule: PolicyRule, at: datetime | None) -> bool:
    if rule.hours is None:
        return True
    if at is None:
        return rule.decide != "automatic"
    first, last = (time.fromisoformat(text) for text in rule.hours.split("-"))
    now = at.timetz().replace(tzinfo=None)
    return first <= now < last if first <= last else now >= first or now < last
