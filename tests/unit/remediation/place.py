"""One incident with a plan and its record, for tests of deciding and carrying out; no Dagster, no file on disk."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from incident_pipeline.application import Application
from incident_pipeline.config import Scenario
from incident_pipeline.errors import NotFoundError, TransientSourceError
from incident_pipeline.models import ActionCall, ActionType, Alert, Remediation, RemediationAction
from incident_pipeline.remediation.approvals import Choice, decide, proposed
from incident_pipeline.remediation.executors.base import Effect, Outcome, Seen
from incident_pipeline.remediation.records import Planned

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
CALL = ActionCall(executor="kubectl", operation="rollback", parameters={"workload": "deployment/payments"})


def an_action(**more: Any) -> RemediationAction:
    fields: dict[str, Any] = {
        "action_id": "rollback-1a2b3c",
        "type": ActionType.ROLLBACK,
        "title": "Rollback to previous version (v2.3.4)",
        "target": "payments",
        "command": "kubectl rollout undo deployment/payments",
        "call": CALL,
        "environment": "production",
    }
    return RemediationAction.model_validate(fields | more)


class PlanStore:
    """Stands in for the incident store: it holds the newest plan."""

    remediation: Remediation | None = None

    def read(self, incident_id: str, asset: str, version: int | None = None) -> Any:
        if self.remediation is None:
            raise NotFoundError(f"{incident_id} has no {asset} yet")
        return self.remediation

    def read_all(self, incident_id: str, assets: Iterable[str] | None = None) -> dict[str, Any]:
        return {}


class Killed(BaseException):
    """The process has died here."""


class Target:
    """A system that can be acted on, and its executor; counts what was done to it."""

    def __init__(self) -> None:
        self.effects = 0
        self.state = "before"
        self.point = lambda: None
        """Called wherever a process might die."""
        self.outcome = Outcome(True, "done", 0)
        self.dry_outcome: Outcome | None = Outcome(True, "would be done", 0)
        self.can_tell = True
        self.unreachable = False
        self.at_effect = lambda: None

    def plan(self, call: ActionCall) -> Planned:
        self.point()
        if self.unreachable:
            raise TransientSourceError("the target does not answer")
        return Planned(steps=(f"{call.operation} {self.state}",), before={"state": self.state, "n": str(self.effects)})

    def dry_run(self, call: ActionCall, planned: Planned) -> Outcome | None:
        self.point()
        return self.dry_outcome

    def execute(self, call: ActionCall, planned: Planned, mark: str) -> Outcome:
        self.point()
        if self.outcome.succeeded or self.outcome.uncertain:
            self.at_effect()
            self.effects += 1
        self.point()
        return self.outcome

    def verify(self, call: ActionCall, planned: Planned, mark: str, since: datetime) -> Seen:
        self.point()
        if not self.can_tell:
            return Seen(Effect.CANNOT_TELL, "who knows")
        happened = self.effects > int(planned.before["n"])
        return Seen(Effect.HAPPENED if happened else Effect.NOT_HAPPENED, f"{self.effects} effects")

    def undo(self, call: ActionCall, planned: Planned) -> ActionCall | None:
        return call.model_copy(update={"operation": "undo"})


class Place:
    """One incident with a plan."""

    def __init__(self, folder: Path, settings: dict[str, Any], environment: str) -> None:
        scenario = Scenario.model_validate({"remediation": settings})
        self.application = Application(scenario, folder)
        alert = Alert(
            source="custom", source_id="1", dedup_key="1", title="Errors", service="payments", environment=environment,
            started_at=NOW,
        )  # fmt: skip
        inbox = self.application.inbox
        inbox.accept([alert], NOW)
        inbox.group(NOW, scenario.alerts, ())
        self.incident_id = inbox.incidents()[0].incident_id
        self.application.__dict__["store"] = self.store = PlanStore()

    def plan(self, *actions: RemediationAction) -> None:
        self.store.remediation = Remediation(actions=actions)

    def state(self, now: datetime = NOW) -> str:
        return proposed(self.application, self.incident_id, now)[0].state.value

    def decide(self, choice: Choice = Choice.APPROVED, by: str = "dana", now: datetime = NOW, **more: Any) -> str:
        action_id = self.store.remediation.actions[0].action_id if self.store.remediation else ""
        return decide(self.application, self.incident_id, action_id, choice, by=by, via="cli", now=now, **more).sentence
