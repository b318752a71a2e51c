"""An application with a fake Slack, and incidents that were diagnosed, for tests of what is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from incident_pipeline.application import Application
from incident_pipeline.communication.delivery import Delivery
from incident_pipeline.communication.media import build_medium
from incident_pipeline.communication.telling import tell
from incident_pipeline.config import Scenario
from incident_pipeline.models import Diagnosis, Remediation, StatusUpdate
from incident_pipeline.remediation.plan import plan_remediation
from tests.unit import scenes
from tests.unit.communication.slack_fake import FakeSlack

SLACK: dict[str, Any] = {"slack": {"token": "xoxb-1"}}


class Newsroom:
    """One incident of `payments`, whose diagnosis a test changes; time passes when it says so."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        communication = {"slack_channel": "#incidents", **settings.pop("communication", {})}
        remediation = {"communication": communication, **settings.pop("remediation", {})}
        connections = SLACK | settings.pop("connections", {})
        self.scenario = Scenario.model_validate(
            {"remediation": remediation, "connections": connections, "templates_dir": folder / "none"} | settings
        )
        self.application = Application(self.scenario, folder)
        self.slack = FakeSlack()
        self.now: datetime = scenes.at(14, 35)
        self.inbox = self.application.inbox
        self.delivery = self.new_delivery()
        self.inbox.accept([scenes.alert()], self.now)
        self.inbox.group(self.now, self.scenario.alerts, ())
        (record,) = self.inbox.incidents()
        self.incident_id = record.incident_id

    def new_delivery(self) -> Delivery:
        """What a process that has just started sends with."""
        return Delivery(
            self.inbox,
            self.scenario,
            lambda: self.now,
            build=lambda medium: build_medium(medium, self.scenario, self.slack.transport),
        )

    def diagnosed(self, found: Diagnosis | None = None, plan: Remediation | None = None, text: str = "") -> None:
        """A run has stored a diagnosis."""
        self.now += timedelta(seconds=30)
        found = found or scenes.diagnosis()
        incident = self.inbox.incident(self.incident_id)
        plan = plan or plan_remediation(incident, scenes.full_evidence(), found, (), self.scenario)
        values = {
            "status_update": StatusUpdate(markdown=text or f"**Update** {found.summary}", as_of=self.now),
            "diagnosis": found,
            "symptoms": scenes.symptoms(),
            "remediation": plan,
        }
        self.application.store.write(self.incident_id, values, run_id="run", as_of=self.now, now=self.now)
        primary = found.primary
        self.inbox.record_diagnosis(
            self.incident_id,
            "run",
            self.now,
            cause=primary.description if primary else None,
            confidence=primary.confidence if primary else None,
        )

    def speak(self, seconds: float = 1) -> int:
        """One turn, a moment later."""
        self.now += timedelta(seconds=seconds)
        tell(self.application, self.now)
        return self.delivery.deliver()

    @property
    def header(self) -> dict[str, Any]:
        (header,) = self.slack.headers
        return header

    @property
    def replies(self) -> list[dict[str, Any]]:
        return self.slack.replies(self.header["ts"])
