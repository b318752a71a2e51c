"""When it began: the moment at which the series leave their normal range.

Belongs here: one onset for the incident. Does not belong here: what moved where.

Method: every series is measured in its own robust standard deviations from a stretch well before the alert, and each
moment is given the size of the step that the series takes there (least-squares change point, in standard errors). What
exceeds chance is added up over all series; a step for the worse counts more than one for the better, and nearer to the
alert more than long before it. The moment with the largest sum is the onset. Adding up, not averaging, lets one series
among hundreds show an onset.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from incident_pipeline.diagnosis.series import Array, Normal, Points, normal_of

LOOK_BACK = 3600.0
LOOK_AHEAD = 300.0
MAX_POINTS = 400
PATIENCE = 900.0
"""A step so many seconds before the alert counts half."""
CHANCE = 4.0
"""Steps of so many standard errors come by chance, somewhere in hundreds of series."""
CLIP = 30.0
"""Robust standard deviations beyond which a value is no farther away."""
_FOR_THE_BETTER, _UNDIRECTED = 0.1, 0.25
"""What a step counts that is no sign of trouble by itself."""
_GUARDS = ((2100.0, 8), (720.0, 6), (240.0, 5))
"""How far before the alert the reference ends, and how many points it then needs."""


def reference(points: Points, alert: float) -> Normal | None:
    """What was normal well before the alert; nearer to it where the recording is short."""
    for guard, wanted in _GUARDS:
        values = points.between(-np.inf, alert - guard)
        if len(values) >= wanted:
            return normal_of(values)
    before = points.between(-np.inf, alert)
    return normal_of(before[: max(3, len(before) // 2)])


def incident_onset(series: Sequence[tuple[Points, int]], alert: float) -> float | None:
    """The onset in seconds since 1970, or None where no series shows one.

    Args:
        series: the points of each with the direction that is bad: 1 up, -1 down, 0 either.
        alert: when the alert started, in seconds since 1970.
    """
    step = _step([points for points, _ in series])
    moments: Array = np.asarray(alert + step * np.arange(-int(LOOK_BACK // step), 2), dtype=np.float64)
    total = np.zeros(len(moments))
    for points, bad in series:
        total += _steps(points, bad, alert, moments)
    weighed = total / (1.0 + np.maximum(alert - moments, 0.0) / PATIENCE)
    best = int(np.argmax(weighed))
    return float(moments[best]) if weighed[best] > 0 else None


def _step(series: Sequence[Points]) -> float:
    steps = [float(np.median(np.diff(p.times[-200:]))) for p in series if len(p.times) > 2]
    return float(min(max(np.median(steps) if steps else 60.0, 5.0), 600.0))


def _steps(points: Points, bad: int, alert: float, moments: Array) -> Array:
    """For each moment the step that the series takes there, in standard errors beyond chance, weighed by direction."""
    normal = reference(points, alert)
    high = int(np.searchsorted(points.times, alert + LOOK_AHEAD))
    low = max(0, high - MAX_POINTS)
    count = high - low
    if normal is None or count < 4:
        return np.zeros(len(moments))
    times = points.times[low:high]
    away = _standardised(points.values[low:high], times, normal, alert)
    before = np.arange(1, count)
    sums = np.cumsum(away)
    past, now = sums[:-1] / before, (sums[-1] - sums[:-1]) / (count - before)
    size = np.sqrt(before * (count - before) / count) * np.abs(now - past) - CHANCE
    leaves = np.abs(now) > np.abs(past)
    weight = np.where((now - past) * bad > 0, 1.0, _FOR_THE_BETTER) if bad else _UNDIRECTED
    gains = np.concatenate(([0.0], np.where(leaves, np.maximum(size, 0.0) * weight, 0.0), [0.0]))
    return np.asarray(gains[np.searchsorted(times, moments - 1e-6)], dtype=np.float64)


def _standardised(values: Array, times: Array, normal: Normal, alert: float) -> Array:
    """Robust standard deviations from normal; of a series that often strays far, in units of how far it strays."""
    away = (values - normal.middle) / normal.spread
    usual = np.abs(away[times < alert - _GUARDS[-1][0]])
    strays = float(np.sort(usual)[int(0.95 * (len(usual) - 1))]) / 2.0 if len(usual) >= 5 else 1.0
    return np.clip(away / max(strays, 1.0), -CLIP, CLIP)
