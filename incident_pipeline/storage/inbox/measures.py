"""What only grows, for `/metrics`: kept as counters in the inbox, so that it survives restarts and `prune`.

Belongs here: names of counters, and reading them back. Does not belong here: the format (`console/metrics.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from pydantic import Field

from incident_pipeline.models import Model
from incident_pipeline.storage.inbox.base import count
from incident_pipeline.storage.inbox.schema import counters

FIRST_UPDATE_BOUNDS = (1, 2, 3, 5, 8, 13, 20, 30, 45, 60, 90, 120, 300, 600, 1800)
"""Upper bounds in seconds; what took longer is counted in none of them."""
_BUCKET, _MILLISECONDS, _COUNT = "first_update_le:", "first_update_ms", "first_update_count"
_SOURCE_ERROR = "source_error:"
_NAME_LENGTH = 80


class Histogram(Model):
    """Durations by upper bound, each bound counting all that is shorter, as Prometheus has it."""

    buckets: dict[float, int] = Field(default_factory=dict)
    seconds: float = 0.0
    """Of all together."""
    count: int = 0


def count_first_update(connection: sa.Connection, seconds: float) -> None:
    """An incident has its first update, so long after its first alert was accepted."""
    bound = next((bound for bound in FIRST_UPDATE_BOUNDS if seconds <= bound), None)
    if bound is not None:
        count(connection, f"{_BUCKET}{bound}")
    count(connection, _MILLISECONDS, max(round(seconds * 1000), 0))
    count(connection, _COUNT)


def count_source_errors(connection: sa.Connection, sources: Iterable[str]) -> None:
    """Each of these sources has failed once more."""
    counters.create(connection, checkfirst=True)
    for source in sources:
        count(connection, f"{_SOURCE_ERROR}{source}"[:_NAME_LENGTH])


def first_updates(totals: Mapping[str, int]) -> Histogram:
    """The histogram of times to first update, from all counters."""
    buckets, below = {}, 0
    for bound in FIRST_UPDATE_BOUNDS:
        below += totals.get(f"{_BUCKET}{bound}", 0)
        buckets[float(bound)] = below
    return Histogram(buckets=buckets, seconds=totals.get(_MILLISECONDS, 0) / 1000, count=totals.get(_COUNT, 0))


def source_errors(totals: Mapping[str, int]) -> dict[str, int]:
    """How often each source has failed, from all counters."""
    return {name.removeprefix(_SOURCE_ERROR): value for name, value in totals.items() if name.startswith(_SOURCE_ERROR)}
