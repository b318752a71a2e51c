"""What releases say of the services: fresh before the onset, worse than the version before, or silent.

Belongs here: features of services from deployments. Does not belong here: what the released change contains.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime

from incident_pipeline.diagnosis.canary import VersionGap
from incident_pipeline.diagnosis.series import Quantity
from incident_pipeline.models import Deployment, MetricSeries

SKEW = 120.0
"""Clocks of different sources differ by so many seconds, and an onset is known no better."""
FRESH = 1800.0
"""A release older than this at the onset no longer stands out for being recent."""


def release_features(
    deployments: Iterable[Deployment],
    gaps: Iterable[VersionGap],
    series: Sequence[MetricSeries],
    onset: float,
    alert: float,
) -> dict[str, dict[str, float]]:
    """`released` (1 just before the onset, fading), `canary_errors`, `canary_latency`, `version_silent`."""
    found: dict[str, dict[str, float]] = {}
    reporting = {(s.service, s.labels["version"]) for s in series if "version" in s.labels and _has_recent(s, onset)}
    versioned = {service for service, _ in reporting}
    for deployment in deployments:
        started = deployment.started_at or deployment.finished_at
        if deployment.service is None or started is None:
            continue
        age = onset - started.timestamp()
        own = found.setdefault(deployment.service, {})
        if -SKEW <= age <= FRESH * 4 and started.timestamp() <= alert + SKEW / 4:
            freshness = math.exp(-age / FRESH) if age >= 0 else 0.7
            own["released"] = max(own.get("released", 0.0), freshness)
        silent = deployment.service in versioned and (deployment.service, deployment.version) not in reporting
        if silent and 0 < alert - started.timestamp() < FRESH:
            own["version_silent"] = 1.0
    for gap in gaps:
        own = found.setdefault(gap.service, {})
        name = "canary_latency" if gap.kind is Quantity.LATENCY else "canary_errors"
        if gap.kind in {Quantity.LATENCY, Quantity.SUCCESS, Quantity.ERROR} and gap.score > 0:
            own[name] = max(own.get(name, 0.0), min(math.log1p(gap.score / 3.0) / math.log1p(10.0), 1.0))
    return found


def _has_recent(series: MetricSeries, onset: float) -> bool:
    """Whether a series that shows requests has at least one value at or after the onset."""
    return "direction" in series.labels and bool(series.timestamps) and series.timestamps[-1] >= onset


def started_before(deployment: Deployment, moment: datetime) -> bool:
    """Whether a release had begun by that moment."""
    started = deployment.started_at or deployment.finished_at
    return started is not None and started <= moment
