"""Sums and levels of a series over a span of time, and only over what was measured of it.

Belongs here: arithmetic on samples. Does not belong here: which series says what (`impact.py`).

A sample stands for the time until the next one; a hole longer than five minutes was not measured and counts for
nothing.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator

from incident_pipeline.models import MetricSeries

LONGEST_STEP = 300.0
"""Seconds."""
_FEWEST_NORMAL = 5


def product(one: MetricSeries, other: MetricSeries) -> MetricSeries:
    """The first series times the second, where both were sampled at the same time."""
    values = dict(zip(other.timestamps, other.values, strict=False))
    multiplied = (v * values.get(at, math.nan) for at, v in zip(one.timestamps, one.values, strict=False))
    return one.model_copy(update={"values": tuple(multiplied)})


def scaled(series: MetricSeries, factor: float) -> MetricSeries:
    """The series in another unit."""
    return _each(series, lambda value: value * factor)


def minus_normal(series: MetricSeries, normal: float | None) -> MetricSeries:
    """What lies above the normal level; nothing lies below it."""
    return _each(series, lambda value: max(value - (normal or 0.0), 0.0))


def normal_level(series: MetricSeries, before: float) -> float | None:
    """The median of what was measured before a moment; None where that is too little to know."""
    values = [v for at, v in zip(series.timestamps, series.values, strict=False) if at < before and math.isfinite(v)]
    return statistics.median(values) if len(values) >= _FEWEST_NORMAL else None


def integral(series: MetricSeries, start: float, end: float) -> float:
    """The sum of value times seconds."""
    return sum(value * seconds for value, seconds in _steps(series, start, end))


def seconds_above(series: MetricSeries, limit: float, start: float, end: float) -> float | None:
    """For how long the series lay above a limit; None where nothing was measured in that time."""
    steps = list(_steps(series, start, end))
    return sum(seconds for value, seconds in steps if value > limit) if steps else None


def largest(series: MetricSeries, start: float, end: float) -> float | None:
    """The largest value; None where nothing was measured in that time."""
    values = [v for at, v in zip(series.timestamps, series.values, strict=False) if start <= at < end]
    return max((value for value in values if math.isfinite(value)), default=None)


def _steps(series: MetricSeries, start: float, end: float) -> Iterator[tuple[float, float]]:
    """Each sample of the span with the seconds that it stands for."""
    times = series.timestamps
    for index, at in enumerate(times[:-1]):
        value, step = series.values[index], min(times[index + 1], end) - at
        if start <= at < end and times[index + 1] - at <= LONGEST_STEP and math.isfinite(value):
            yield value, step


def _each(series: MetricSeries, change: Callable[[float], float]) -> MetricSeries:
    return series.model_copy(update={"values": tuple(change(v) if math.isfinite(v) else v for v in series.values)})
