"""The series that moved, stopped or stand still, as rows that every approach and every reader can cite.

Belongs here: which series are named, in which order. Does not belong here: measuring them (`measurement`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from incident_pipeline.diagnosis.measurement import Silent
from incident_pipeline.diagnosis.series import Shift
from incident_pipeline.diagnosis.series_shapes import shape_of
from incident_pipeline.models import SeriesAnomaly

MAX_ANOMALIES = 60


def anomalies(shifts: Iterable[Shift], silent: Iterable[Silent] = ()) -> tuple[SeriesAnomaly, ...]:
    """The series that moved, strongest first, then those that stopped or stand still."""
    shaped = [(shift, shape_of(shift)) for shift in shifts]
    moved = [(s, form) for s, form in shaped if s.badness > 0 or (form == "setting" and s.sigmas)]
    moved.sort(key=lambda p: (-p[0].badness, -abs(p[0].sigmas), p[0].series.service or "", p[0].series.key))
    found = [_anomaly(shift, form, shift.since) for shift, form in moved if shift.since is not None]
    found += [_missing(one) for one in silent]
    found += [_anomaly(s, form, s.onset) for s, form in shaped if form == "flat_line" and s.badness == 0]
    return tuple(found)[:MAX_ANOMALIES]


def _anomaly(shift: Shift, form: str, at: float) -> SeriesAnomaly:
    return SeriesAnomaly(
        service=shift.series.service,
        series=shift.series.key,
        kind=form,
        onset=datetime.fromtimestamp(at, tz=UTC),
        before=shift.normal.middle,
        after=shift.after,
        score=round(min(abs(shift.sigmas), 1e6), 3),
    )


def _missing(one: Silent) -> SeriesAnomaly:
    return SeriesAnomaly(
        service=one.series.service,
        series=one.series.key,
        kind="missing",
        onset=datetime.fromtimestamp(one.since, tz=UTC),
        before=one.before,
        after=0.0,
        score=0.0,
    )
