"""Evidence as it was at an earlier moment.

Belongs here: cutting rows at a time, for replays that stop early and for questions with an end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from incident_pipeline.models import EvidenceKind, MetricSeries


def rows_until(kind: EvidenceKind, rows: Sequence[Any], moment: datetime) -> tuple[Any, ...]:
    """The rows of one kind from before a moment; rows without a time stay."""
    if kind is EvidenceKind.METRICS:
        series = (_series_until(row, moment.timestamp()) for row in rows)
        return tuple(one for one in series if one.timestamps)
    if kind is EvidenceKind.DEPLOYMENTS:
        return tuple(_deployment_until(row, moment) for row in rows if _begun(row, moment))
    field = _TIMES.get(kind)
    if field is None:
        return tuple(rows)
    return tuple(row for row in rows if (at := getattr(row, field)) is None or at < moment)


_TIMES = {
    EvidenceKind.CODE_CHANGES: "committed_at",
    EvidenceKind.FLAG_CHANGES: "changed_at",
    EvidenceKind.LOGS: "timestamp",
    EvidenceKind.TRACES: "start",
    EvidenceKind.RELATED_ALERTS: "started_at",
    EvidenceKind.KUBERNETES_STATE: "captured_at",
}


def _begun(deployment: Any, moment: datetime) -> bool:
    at = deployment.started_at or deployment.finished_at
    return at is None or at < moment


def _deployment_until(deployment: Any, moment: datetime) -> Any:
    """A release that ended later was still going on."""
    if deployment.finished_at is None or deployment.finished_at < moment:
        return deployment
    return deployment.model_copy(update={"finished_at": None, "status": "in_progress"})


def _series_until(series: MetricSeries, end: float) -> MetricSeries:
    if not series.timestamps or series.timestamps[-1] < end:
        return series
    count = bisect_left(series.timestamps, end)
    return series.model_copy(update={"timestamps": series.timestamps[:count], "values": series.values[:count]})
