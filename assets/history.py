"""Dagster's own memory of what ran: it reaches back as far as incidents have files of their own.

Belongs here: removing old runs, with their events, and partitions of incidents that are archived or forgotten.
Does not belong here: incidents; nothing that an incident's file or the archive holds is lost here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import dagster as dg

from assets.partitions import PARTITIONS_NAME

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
RUNS_AT_ONCE = 200


def forget_runs(instance: dg.DagsterInstance, before: datetime) -> int:
    """Remove finished runs that were created before a moment; returns how many."""
    removed = 0
    while True:
        found = instance.get_run_records(
            dg.RunsFilter(statuses=FINISHED, created_before=before), limit=RUNS_AT_ONCE, ascending=True
        )
        for record in found:
            instance.delete_run(record.dagster_run.run_id)
        removed += len(found)
        if len(found) < RUNS_AT_ONCE:
            return removed


def forget_partitions(instance: dg.DagsterInstance, is_gone: Callable[[list[str]], Iterable[str]]) -> int:
    """Remove the partitions of incidents that are gone; one that comes back is given its partition again."""
    gone = list(is_gone(list(instance.get_dynamic_partitions(PARTITIONS_NAME))))
    for key in gone:
        instance.delete_dynamic_partition(PARTITIONS_NAME, key)
    return len(gone)
