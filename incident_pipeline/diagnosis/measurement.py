"""All series measured at one onset: how each moved, which stopped, how versions differ.

Belongs here: choosing the onset and the stretches of time, once for all series.
Does not belong here: the arithmetic of one series (`series`, `series_shapes`), or what it means for a service.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

from incident_pipeline.diagnosis.canary import VersionGap, version_gaps
from incident_pipeline.diagnosis.onset import incident_onset
from incident_pipeline.diagnosis.series import Points, Shift, own_time, points_of, quantity, shift_of, worse
from incident_pipeline.diagnosis.series_shapes import end_of_recording, stopped
from incident_pipeline.models import Evidence, Incident, MetricSeries

_WITHOUT_ONSET = timedelta(minutes=2)
_AFTER = timedelta(minutes=10)
_BEFORE_RELEASE = timedelta(minutes=10)
_BEFORE_END = timedelta(minutes=5)


@dataclass(frozen=True)
class Silent:
    """A series that has stopped: since when, and what was usual before."""

    series: MetricSeries
    since: float
    before: float


@dataclass(frozen=True)
class Measured:
    """What the series say together."""

    onset: datetime
    found: bool
    """False where no series shows an onset; it is then taken to lie two minutes before the alert."""
    shifts: tuple[Shift, ...]
    gaps: tuple[VersionGap, ...]
    silent: tuple[Silent, ...] = ()


def measure(incident: Incident, evidence: Evidence) -> Measured:
    """The onset, the move of every series at it, and the gaps between versions."""
    rows = sorted(evidence.metrics.rows, key=lambda s: (s.service or "", s.key, s.timestamps[:1], s.values[:1]))
    alert = incident.started_at.timestamp()
    measured = [(series, own_time(points_of(series), alert)) for series in rows]
    onset = incident_onset([(points, worse(quantity(series.name))) for series, points in measured], alert)
    at = min(onset if onset is not None else alert - _WITHOUT_ONSET.total_seconds(), alert)
    end = max(alert, at) + _AFTER.total_seconds()
    usual = _usual_length([points for _, points in measured], at, end)
    moved = (shift_of(series, points, at, end, usual) for series, points in measured)
    shifts = tuple(s for s in moved if s is not None)
    gaps = version_gaps(measured, alert - _BEFORE_RELEASE.total_seconds(), alert + _BEFORE_END.total_seconds())
    silent = tuple(_silent(measured, at, min(end, end_of_recording(points for _, points in measured))))
    return Measured(datetime.fromtimestamp(at, tz=UTC), onset is not None, shifts, tuple(gaps), silent)


def _silent(rows: Iterable[tuple[MetricSeries, Points]], onset: float, end: float) -> Iterator[Silent]:
    for series, points in rows:
        since = stopped(points, onset, end)
        if since is not None:
            yield Silent(series, since, median(points.values.tolist()))


def _usual_length(all_points: Sequence[Points], onset: float, end: float) -> tuple[int, int]:
    """The median number of points of a series before and since the onset."""
    before = [len(points.between(-math.inf, onset)) for points in all_points]
    since = [len(points.between(onset, end)) for points in all_points]
    return (int(median(before)), int(median(since))) if all_points else (0, 0)
