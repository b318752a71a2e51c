"""One incident folder through the whole pipeline, in this process: real assets, real stores, nothing sent anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from assets.definitions import build_definitions
from assets.instance import open_instance
from assets.jobs import CLOSE_OUT, RESPOND
from assets.partitions import incident_partitions
from incident_pipeline.application import Application
from incident_pipeline.errors import StoreError
from incident_pipeline.incident_folder.reading import Folder, load_folder
from incident_pipeline.knowledge.sources import begin
from incident_pipeline.models import Alert, AlertStatus, Diagnosis, Materialization, StatusUpdate

QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


@dataclass(frozen=True)
class Replay:
    """What one replay made."""

    incident_id: str
    run_id: str
    update: StatusUpdate
    diagnosis: Diagnosis
    assets: tuple[Materialization, ...]
    notes: tuple[str, ...]
    """What of the folder could not be read."""


def replay(application: Application, path: Path, *, until: timedelta | None = None, resolve: bool = False) -> Replay:
    """Play a folder; every asset of the incident gets a new version.

    Args:
        application: where everything is stored.
        path: the incident folder.
        until: how much time has passed since the first alert; None: until the evidence ends.
        resolve: go on as if the alerts had been resolved, to the postmortem.

    Raises:
        InputError: the folder cannot be read.
        StoreError: a run failed.
    """
    folder = load_folder(path)
    as_of = folder.as_of if until is None else folder.incident.started_at + until
    incident_id = application.inbox.adopt(_alerts_until(folder, as_of), _now(), str(path.absolute()))
    begin(application.knowledge_base, application.scenario.knowledge_base)
    with open_instance(application) as instance:
        instance.add_dynamic_partitions(str(incident_partitions.name), [incident_id])
        run_id = _run(instance, application, RESPOND, incident_id, as_of)
        if resolve:
            application.inbox.resolve(incident_id, "replay", as_of)
            run_id = _run(instance, application, CLOSE_OUT, incident_id, as_of)
    store = application.store
    newest = {record.asset: record for record in store.materializations(incident_id)}
    return Replay(
        incident_id=incident_id,
        run_id=run_id,
        update=store.read(incident_id, "status_update"),
        diagnosis=store.read(incident_id, "diagnosis"),
        assets=tuple(newest.values()),
        notes=folder.notes,
    )


def _run(instance: dg.DagsterInstance, application: Application, job: str, incident_id: str, as_of: datetime) -> str:
    responder = {
        "config_file": str(application.config_path) if application.config_path else None,
        "data_dir": str(application.data_dir),
        "as_of": as_of.isoformat(),
    }
    outcome = (
        build_definitions()
        .resolve_job_def(job)
        .execute_in_process(
            instance=instance,
            partition_key=incident_id,
            run_config={"resources": {"responder": {"config": responder}}, "loggers": QUIET},
            raise_on_error=False,
        )
    )
    if not outcome.success:
        raise StoreError(f"the run of {incident_id} failed: {_first_failure(outcome)}")
    return outcome.run_id


def _first_failure(outcome: dg.ExecuteInProcessResult) -> str:
    """The innermost reason of the first thing that failed, on one line."""
    for event in outcome.all_events:
        if event.is_step_failure or event.is_job_failure:
            error = getattr(event.event_specific_data, "error", None)
            while error is not None and error.cause is not None:
                error = error.cause
            where = f"step {event.step_key}: " if event.step_key else ""
            return where + (" ".join(error.message.split()) if error else "no reason was recorded")
    return "the Dagster UI shows why"


def _alerts_until(folder: Folder, as_of: datetime) -> list[Alert]:
    return [alert for alert in folder.alerts if alert.started_at <= as_of or alert.status is AlertStatus.RESOLVED]


def _now() -> datetime:
    return datetime.now(UTC)
