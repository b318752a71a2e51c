"""How runs are divided: one dynamic partition for each incident."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import dagster as dg

PARTITIONS_NAME = "incident"


class IncidentPartitions(dg.DynamicPartitionsDefinition):
    """Dynamic partitions that know without asking that the partition of the present run exists.

    Dagster asks for it with every input and output, some 250 times in a run, each time with a query of its own; while
    the run goes on the answer cannot change.
    """

    of_this_process: set[str] = set()  # noqa: RUF012 - shared on purpose: a process works on one run at a time

    def has_partition_key(
        self, partition_key: str, current_time: datetime | None = None, dynamic_partitions_store: Any = None
    ) -> bool:
        """Whether there is such an incident."""
        known = partition_key in self.of_this_process
        return known or super().has_partition_key(partition_key, current_time, dynamic_partitions_store)


def partition_of(run: dg.DagsterRun | None) -> str | None:
    """The incident that a run is about."""
    return run.tags.get("dagster/partition") if run else None


@contextmanager
def known_partition(run: dg.DagsterRun | None) -> Iterator[None]:
    """While the block runs, the partition of this run is known to exist."""
    key = partition_of(run)
    known = IncidentPartitions.of_this_process
    if key is None or key in known:
        yield
        return
    known.add(key)
    try:
        yield
    finally:
        known.discard(key)


incident_partitions = IncidentPartitions(name=PARTITIONS_NAME)
