"""Which series shows whether an action helped, and from where on it did; pure.

Belongs here: choosing series and threshold from the evidence, saying so, and judging the series afterwards.
Does not belong here: reading it again (`verification.py`).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from incident_pipeline.config import ExecutionSettings
from incident_pipeline.diagnosis.sentences import number
from incident_pipeline.durations import format_duration
from incident_pipeline.models import Evidence, MetricSeries, SeriesCheck
from incident_pipeline.remediation.records import Verification

WAY_BACK = 0.25
"""A series counts as back once it has come back to within this share of the way that it had moved."""
FEWEST_POINTS = 5
MOST_POINTS = 2_000
"""Of the time before and of the time after, those next to the onset."""
_MAD_TO_SIGMA = 1.4826
_LEAST_SCORE = 3.0


def choose_check(
    evidence: Evidence, services: Sequence[str], onset: datetime | None, settings: ExecutionSettings
) -> SeriesCheck | None:
    """The series of the first of these services that moved furthest at the onset; None where none did.

    How far is measured in robust standard deviations (1.4826 times the median absolute deviation) of the time before.
    """
    if onset is None:
        return None
    for service in dict.fromkeys(services):
        found = [_moved(series, onset.timestamp()) for series in evidence.metrics.rows if series.service == service]
        best = max((one for one in found if one is not None), key=lambda one: one[0], default=None)
        if best is not None:
            _, series, before, after = best
            return SeriesCheck(
                name=series.name,
                series=series.key,
                service=service,
                threshold=before + WAY_BACK * (after - before),
                below=after > before,
                within_seconds=settings.verify_after.total_seconds(),
                hold_seconds=settings.hold.total_seconds(),
            )
    return None


def sentence_of(check: SeriesCheck) -> str:
    """The check as people read it."""
    side = "at most" if check.below else "at least"
    hold, within = (format_duration(timedelta(seconds=each)) for each in (check.hold_seconds, check.within_seconds))
    return (
        f"{check.series} of {check.service} is {side} {number(check.threshold)} for the last {hold} "
        f"of the {within} after the action."
    )


def judge_series(check: SeriesCheck, series: Sequence[MetricSeries], end: datetime) -> tuple[Verification, str]:
    """Whether the series was good for long enough before a moment, and one sentence."""
    named = [one for one in series if one.name == check.name and one.service in (check.service, None)]
    same = [one for one in named if one.key == check.series] or named
    since = end.timestamp() - check.hold_seconds
    points = [
        value
        for one in same
        for at, value in zip(one.timestamps, one.values, strict=False)
        if at >= since and math.isfinite(value)
    ]
    if not points:
        return Verification.UNTOLD, f"{check.series} of {check.service} has no points since the action"
    worst = max(points) if check.below else min(points)
    good = worst <= check.threshold if check.below else worst >= check.threshold
    said = f"{check.series} of {check.service} was {number(worst)} at worst, the threshold is {number(check.threshold)}"
    return (Verification.PASSED if good else Verification.FAILED), said


def _moved(series: MetricSeries, onset: float) -> tuple[float, MetricSeries, float, float] | None:
    """How far a series moved, with its typical values before and after; None where it hardly did."""
    split = bisect_left(series.timestamps, onset)
    before = _finite(series.values[max(0, split - MOST_POINTS) : split])
    after = _finite(series.values[split : split + MOST_POINTS])
    if len(before) < FEWEST_POINTS or len(after) < FEWEST_POINTS:
        return None
    usual, now = float(np.median(before)), float(np.median(after))
    spread = _MAD_TO_SIGMA * float(np.median(np.abs(before - usual)))
    scale = max(spread, 0.01 * abs(usual), 1e-9)
    score = abs(now - usual) / scale
    return (score, series, usual, now) if score >= _LEAST_SCORE else None


def _finite(values: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    every = np.asarray(values, dtype=np.float64)
    return every[np.isfinite(every)]
