"""Runs whose process has died: they are ended, and their incidents can be claimed again.

Dagster's default launcher leaves a killed run STARTED for ever. The kernel knows better (see `liveness`), so a dead
run is found within one look, and a run that never started within `START_LIMIT`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from incident_pipeline.intake.dispatch import CLAIM_TAG, LEASE
from incident_pipeline.storage import liveness
from incident_pipeline.storage.inbox import Inbox

START_LIMIT = timedelta(seconds=60)
"""A run that has not taken its lock by then is not going to: a cold start takes 5 s, a loaded machine 20 s."""

QUEUE_LIMIT = timedelta(minutes=3)
"""The same for a run that waits in Celery's queue for a worker to have room."""
CELERY_TAG = "dagster-celery/task_id"

UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
ENDED_BADLY = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


def end_dead_runs(instance: dg.DagsterInstance, inbox: Inbox, locks: Path, now: datetime) -> list[str]:
    """End every run whose process has died, give its claim back, and renew the claims of the living.

    Returns:
        The ids of the runs that were ended.
    """
    ended: list[str] = []
    alive: set[str] = set()
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
        run = record.dagster_run
        claim = run.tags.get(CLAIM_TAG)
        state = liveness.is_alive(locks, run.run_id)
        age = now - record.create_timestamp.astimezone(UTC)
        if state is True or (state is None and age < _start_limit(run)):
            alive.add(run.run_id)
            if claim:
                inbox.renew(claim, now, LEASE)
            continue
        if claim:
            inbox.release(claim, now, error="the process of its run died")
        inbox.abandon_executions(run.run_id, now)
        instance.report_run_failed(run, "The process of this run has died; its incident is claimed again.")
        liveness.release(locks, run.run_id)
        ended.append(run.run_id)
    _give_back(instance, inbox, now)
    return ended


def _start_limit(run: dg.DagsterRun) -> timedelta:
    return QUEUE_LIMIT if CELERY_TAG in run.tags else START_LIMIT


def _give_back(instance: dg.DagsterInstance, inbox: Inbox, now: datetime) -> None:
    """Claims whose run has failed, or has said nothing until the lease ran out, can be taken again."""
    for claim in inbox.live_claims():
        run = instance.get_run_by_id(claim.run_id) if claim.run_id else None
        if run is not None and run.status in ENDED_BADLY:
            inbox.finish(claim.claim_id, now, succeeded=False, error="the run failed; the Dagster UI shows why")
    for claim in inbox.expired(now):
        inbox.release(claim.claim_id, now, error="the lease ran out before the run said anything")
