"""When it began: the moment at which the series together leave their normal range.

Belongs here: one onset for the incident, one for each series. Does not belong here: what moved where.

Method: every series is measured in its own robust standard deviations from a stretch well before the alert; the clipped
excesses are averaged per minute, and the best single step in that curve is the onset (least-squares change point).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from incident_pipeline.diagnosis.series import Array, Normal, Points, normal_of

LOOK_BACK = 3600.0
LOOK_AHEAD = 300.0
MAX_BINS = 400
PATIENCE = 1200.0
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


def incident_onset(series: Sequence[Points], alert: float) -> float | None:
    """The onset in seconds since 1970, or None where no series shows one."""
    step = _step(series)
    places: list[Array] = []
    peaks: list[Array] = []
    for points in series:
        normal = reference(points, alert)
        if normal is None:
            continue
        high = int(np.searchsorted(points.times, alert + LOOK_AHEAD))
        low = max(0, high - MAX_BINS)
        if high <= low:
            continue
        excess = np.clip(np.abs(points.values[low:high] - normal.middle) / normal.spread - 3.0, 0.0, 8.0)
        index = np.floor((points.times[low:high] - alert) / step)
        starts = np.flatnonzero(np.concatenate(([True], np.diff(index) != 0)))
        places.append(index[starts])
        peaks.append(np.maximum.reduceat(excess, starts))
    if not places:
        return None
    bins, where = np.unique(np.concatenate(places), return_inverse=True)
    curve = np.bincount(where, weights=np.concatenate(peaks)) / np.bincount(where)
    return _best_step((alert + step * bins)[-MAX_BINS:], curve[-MAX_BINS:], step, alert)


def _step(series: Sequence[Points]) -> float:
    steps = [float(np.median(np.diff(p.times[-200:]))) for p in series if len(p.times) > 2]
    return float(min(max(np.median(steps) if steps else 60.0, 5.0), 600.0))


def _best_step(times: Array, curve: Array, step: float, alert: float) -> float | None:
    """The cut with the best gain; nearer to the alert counts more, since an alert seldom waits for an hour."""
    if len(curve) < 4:
        return None
    best, best_gain = None, 0.0
    sums = np.concatenate(([0.0], np.cumsum(curve)))
    for cut in range(1, len(curve)):
        ahead = alert - times[cut]
        if not -step <= ahead <= LOOK_BACK:
            continue
        before, after = sums[cut] / cut, (sums[-1] - sums[cut]) / (len(curve) - cut)
        gain = (after - before) * np.sqrt(cut * (len(curve) - cut) / len(curve)) / (1.0 + max(ahead, 0.0) / PATIENCE)
        if gain > best_gain * 1.0001:
            best, best_gain = float(times[cut]), float(gain)
    return best
