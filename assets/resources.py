"""What assets and sensors are handed: the application, the clock of their run, and what the run has written.

Belongs here: how a run finds its configuration, its data and its clock. Does not belong here: what is done with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from assets.instance import keep_connections
from assets.jobs import ANALYSIS, tells_people
from assets.partitions import known_partition, partition_of
from assets.versions import RunVersions
from incident_pipeline.application import Application
from incident_pipeline.intake.dispatch import CLAIM_TAG
from incident_pipeline.models import Diagnosis, Incident
from incident_pipeline.operation.structured_logs import about
from incident_pipeline.storage import liveness


class Responder(dg.ConfigurableResource):
    """The application behind every asset and sensor."""

    config_file: str | None = None
    """Empty: `INCIDENT_PIPELINE_CONFIG`, else `incident.yaml`, else the defaults."""
    data_dir: str | None = None
    """Empty: `INCIDENT_PIPELINE_DATA_DIR`, else what the configuration says."""
    as_of: str | None = None
    """A fixed clock for replays, ISO 8601; empty: the time at which the run began."""

    _application: Application | None = PrivateAttr(default=None)
    _versions: RunVersions | None = PrivateAttr(default=None)
    _clock: datetime | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Responder]:
        """Mark the run as alive for as long as its process works on it."""
        self._clock = datetime.fromisoformat(self.as_of).astimezone(UTC) if self.as_of else self.now()
        run_id = context.run.run_id if context.run else ""
        waiting = ANALYSIS if tells_people(context.run) else ()
        self._versions = RunVersions(self.application.store, run_id, self._clock, self.now, waiting)
        if run_id:
            liveness.hold(self.application.run_locks, run_id)
        if context.instance is not None:
            keep_connections(context.instance)
        try:
            with (
                known_partition(context.run),
                about(incident_id=partition_of(context.run), run_id=run_id),
            ):
                yield self
                # of a run that failed on its way to the update, what it had found
                self._versions.flush()
        finally:
            if run_id:
                liveness.release(self.application.run_locks, run_id)
            self.application.close()
            self._application = None

    @property
    def application(self) -> Application:
        """The application, loaded at first use."""
        if self._application is None:
            self._application = Application.load(
                Path(self.config_file) if self.config_file else None, Path(self.data_dir) if self.data_dir else None
            )
        return self._application

    @property
    def versions(self) -> RunVersions:
        """What this run has written."""
        if self._versions is None:
            raise RuntimeError("versions belong to a run; this is not one")
        return self._versions

    @property
    def clock(self) -> datetime:
        """The one time that everything in this run takes as now."""
        return self._clock or self.now()

    def milestones(self, incident: Incident) -> tuple[datetime, datetime]:
        """When the responder took the incident up, and when it was first diagnosed: now, in its first run."""
        if incident.replayed_from:
            return self.clock, self.clock
        return incident.received_at or self.clock, incident.diagnosed_at or self.clock

    def record_update(self, context: dg.AssetExecutionContext, incident: Incident, diagnosis: Diagnosis) -> None:
        """Tell the inbox that the incident has an update, which ends the claim that the run works for."""
        primary = diagnosis.primary
        self.application.inbox.record_diagnosis(
            incident.incident_id,
            context.run.run_id,
            self.now(),
            cause=primary.description if primary else None,
            confidence=primary.confidence if primary else None,
            category=primary.category.value if primary else None,
        )
        self.finish_claim(context)

    def finish_claim(self, context: dg.AssetExecutionContext) -> None:
        """The run has done what its claim asked for."""
        claim_id = context.run.tags.get(CLAIM_TAG)
        if claim_id is not None:
            self.application.inbox.finish(claim_id, self.now(), succeeded=True, error=None)

    @staticmethod
    def now() -> datetime:
        """The wall clock, for records of when something was stored."""
        return datetime.now(UTC)
