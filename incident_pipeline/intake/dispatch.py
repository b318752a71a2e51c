"""From the inbox to runs: groups what is pending, claims what is due, and has each claim launched.

One claim for every way in: the receiver's direct launch and the Dagster sensors both come through `take_claims`, which
is one transaction in the inbox, so that no incident is run twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from incident_pipeline.application import Application
from incident_pipeline.errors import IncidentPipelineError
from incident_pipeline.storage.inbox.claims import Claim

LOG = logging.getLogger(__name__)

LEASE = timedelta(seconds=90)
"""How long a claim is good for without a sign of life from its run."""
CLAIM_TAG = "incident_pipeline/claim"
"""The run tag that says which claim on an incident the run works for."""
ATTEMPT_TAG = "incident_pipeline/attempt"
RUN_CONFIG: dict[str, Any] = {"loggers": {"console": {"config": {}}}}
"""What a run is started with: without it Dagster logs every event of every step, and not as our logs are."""
REST = timedelta(seconds=5)
"""After a launch that failed: the sensors do the work in the meantime."""
PRIORITIES = {"P1": 50, "P2": 40, "P3": 30, "P4": 20, "P5": 10}

Launch = Callable[[Claim], str]
"""Starts the run of a claim and returns its id; raises SourceError if nobody can start it now."""


def take_claims(application: Application, now: datetime, lease: timedelta = LEASE) -> list[Claim]:
    """Group all pending alerts, then claim what is due, as far as the limit on concurrent runs allows."""
    settings = application.scenario
    application.inbox.group(now, settings.alerts, application.catalogue)
    return application.inbox.claim(now, lease, settings.diagnosis.max_concurrent)


def run_tags(claim: Claim) -> dict[str, str]:
    """The tags of the run that works for a claim."""
    return {
        CLAIM_TAG: claim.claim_id,
        "incident_pipeline/reason": claim.reason[:200],
        ATTEMPT_TAG: str(claim.attempt),
        "dagster/priority": str(PRIORITIES.get(claim.severity, 0)),
    }


class Dispatcher:
    """Launches the run of each incident that is due."""

    def __init__(
        self,
        application: Application,
        launch: Launch,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._application = application
        self._launch = launch
        self._now = now
        self._resting_until = datetime.min.replace(tzinfo=UTC)

    def dispatch(self) -> int:
        """One look; returns how many runs were launched.

        A claim that cannot be launched is given back at once, so that the sensors can take it.
        """
        launched = 0
        if self._now() < self._resting_until:
            return 0
        for claim in take_claims(self._application, self._now()):
            try:
                run_id = self._launch(claim)
            except IncidentPipelineError as error:
                LOG.warning("the run waits for the sensor: %s", error, extra={"incident_id": claim.incident_id})
                self._application.inbox.put_back(claim.claim_id, self._now())
                self._resting_until = self._now() + REST
                continue
            self._application.inbox.launched(claim.claim_id, run_id, self._now())
            LOG.info(
                "%s launched, attempt %s: %s",
                claim.job,
                claim.attempt,
                claim.reason,
                extra={"incident_id": claim.incident_id, "run_id": run_id},
            )
            launched += 1
        return launched
