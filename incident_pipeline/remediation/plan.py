"""What could be done about the likely causes: proposals, never executions.

Belongs here: from hypotheses to an ordered list of actions with command, risk, verification and undo. Pure.
Does not belong here: deciding who must agree (`policy.py`), and executing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from incident_pipeline.config import Scenario
from incident_pipeline.models import (
    ActionType,
    Deployment,
    Diagnosis,
    Evidence,
    Hypothesis,
    Incident,
    Remediation,
    RemediationAction,
    SeriesCheck,
    SuggestedRunbook,
)
from incident_pipeline.remediation.change_actions import deployment_of, deployment_with
from incident_pipeline.remediation.notices import notifications, runbook_step
from incident_pipeline.remediation.policy import requires_approval
from incident_pipeline.remediation.proposals import CHANGES_BACK, proposals_for
from incident_pipeline.remediation.resolving import resolve
from incident_pipeline.remediation.risks import with_risk
from incident_pipeline.remediation.runbook_steps import step_actions
from incident_pipeline.remediation.series_check import choose_check, sentence_of

WORTH_ACTING_ON = 0.1
"""A cause less likely than this gets no action of its own."""
_BESIDE_THE_FIRST = 1 / 3
_MOST_CAUSES = 3
_MOST_ACTIONS = 5


def plan_remediation(
    incident: Incident,
    evidence: Evidence,
    diagnosis: Diagnosis,
    runbooks: Sequence[SuggestedRunbook],
    settings: Scenario,
    texts: Mapping[str, str] | None = None,
) -> Remediation:
    """Propose what could be done, the recommended action first, telling people last.

    An action type that is switched off is not proposed; where the evidence says that no change is to blame, nothing is
    rolled back. The same evidence gives the same `action_id`s, so that an approval means one thing only.

    Args:
        incident: what it is about.
        evidence: where targets, versions and numbers are looked up.
        diagnosis: the likely causes.
        runbooks: what was suggested, best first.
        settings: switches, targets, policy.
        texts: runbook id -> its Markdown, where its commands are to become actions.
    """
    proposed = [
        *_for_causes(incident, evidence, diagnosis),
        *(runbook_step(runbook) for runbook in runbooks[:1]),
    ]
    told = list(notifications(incident, evidence, diagnosis, settings.remediation.communication))
    plan = _Plan(incident, evidence, diagnosis, settings, {})
    steps = list(_steps(incident, diagnosis, proposed, runbooks[:1], texts or {}))
    actions = [*islice(_distinct(proposed), _MOST_ACTIONS), *_distinct(steps), *_distinct(told)]
    return Remediation(
        actions=tuple(
            plan.completed(action) for action in actions if settings.remediation.action(action.type.value).enabled
        ),
        communication=tuple(action.title for action in told),
    )


def _steps(
    incident: Incident,
    diagnosis: Diagnosis,
    proposed: Sequence[RemediationAction],
    runbooks: Sequence[SuggestedRunbook],
    texts: Mapping[str, str],
) -> Iterator[RemediationAction]:
    """The commands of the runbook that fits best, for the service that is likeliest to blame."""
    service = (diagnosis.primary.service if diagnosis.primary else None) or next(iter(incident.services), None)
    known = {"service": service, "environment": incident.environment, "incident": incident.incident_id}
    rollback = next((a.call.parameters for a in proposed if a.type is ActionType.ROLLBACK and a.call), {})
    values = {name: value for name, value in known.items() if value} | dict(rollback)
    for runbook in runbooks:
        yield from step_actions(runbook, texts.get(runbook.runbook_id, ""), values)


def _for_causes(incident: Incident, evidence: Evidence, diagnosis: Diagnosis) -> Iterator[RemediationAction]:
    no_change_to_blame = diagnosis.root_cause_change == "none"
    for hypothesis in _worth_acting_on(diagnosis.hypotheses):
        for action in proposals_for(hypothesis, evidence, frozenset(incident.services)):
            aside = action.type is ActionType.ROLL_FORWARD and hypothesis is not diagnosis.primary
            if not aside and not (no_change_to_blame and action.type in CHANGES_BACK):
                yield action


def _worth_acting_on(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Causes likely enough in themselves, and beside the likeliest: a remote one only distracts."""
    least = max([WORTH_ACTING_ON, *(h.confidence * _BESIDE_THE_FIRST for h in hypotheses[:1])])
    return [h for h in hypotheses if h.confidence >= least][:_MOST_CAUSES]


def _distinct(actions: Sequence[RemediationAction]) -> Iterator[RemediationAction]:
    """Each type once per target, the first (of the likeliest cause) wins."""
    seen: set[tuple[ActionType, str | None, str | None]] = set()
    for action in actions:
        about = action.title if action.type in {ActionType.COMMUNICATE, ActionType.RUNBOOK_STEP} else None
        key = (action.type, action.target, about)
        if key not in seen:
            seen.add(key)
            yield action


class _Plan(NamedTuple):
    """What every proposal is completed from."""

    incident: Incident
    evidence: Evidence
    diagnosis: Diagnosis
    settings: Scenario
    checks: dict[str | None, SeriesCheck | None]
    """Target -> what shows whether it helped, looked for once."""

    def completed(self, action: RemediationAction) -> RemediationAction:
        """The action with its exact call, its risk, its verification, its id, and whether it waits for a person."""
        remediation = self.settings.remediation
        action = resolve(action, self.incident.incident_id, self.incident.environment, remediation)
        action = self._verified(with_risk(action, self._taken_back(action), self.evidence))
        waits = requires_approval(action, self.incident.environment, remediation)
        return action.model_copy(update={"action_id": _name(action), "requires_approval": waits})

    def _taken_back(self, action: RemediationAction) -> Deployment | None:
        """The deployment that the likeliest cause with this target blames."""
        for hypothesis in self.diagnosis.hypotheses:
            blamed = hypothesis.caused_by
            found = (
                deployment_of(self.evidence, blamed.id)
                if blamed.kind == "change"
                else deployment_with(self.evidence, blamed.id, hypothesis.service)
            )
            if found is not None and action.target in (found.service, hypothesis.service):
                return found
        return None

    def _verified(self, action: RemediationAction) -> RemediationAction:
        if action.type in _NOT_MEASURED:
            return action
        if action.target not in self.checks:
            services = [*([action.target] if action.target else []), *self.incident.services]
            execution = self.settings.remediation.execution
            self.checks[action.target] = choose_check(self.evidence, services, self.diagnosis.onset, execution)
        check = self.checks[action.target]
        if check is None:
            return action
        return action.model_copy(update={"check": check, "verification": sentence_of(check)})


_NOT_MEASURED = frozenset({ActionType.COMMUNICATE, ActionType.ESCALATE_UPSTREAM, ActionType.RUNBOOK_STEP})


def _name(action: RemediationAction) -> str:
    """The id of an action, which is that of its content."""
    content = "\0".join((action.type.value, action.target or "", action.command or "", action.title))
    digest = hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:6]
    return f"{re.sub(r'[^a-z0-9]+', '-', action.type.value)}-{digest}"
