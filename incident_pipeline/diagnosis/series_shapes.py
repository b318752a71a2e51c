"""How a series left its normal behaviour: level, spike, drop, trend, saturation, flat line, or no values any more.

Belongs here: naming the form of a move, and the two forms that move no median (a flat line, a series that stops).
Does not belong here: how bad a move is (`series`), whose fault it is (`ranking`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from incident_pipeline.diagnosis.series import Array, Points, Quantity, Shift

ENOUGH = 5
"""So many points since the onset make a form."""
REGULAR, KNOWN = 1.5, 10
"""A series is regular where nine of ten intervals are no longer than this many usual ones, over so many points."""
MISSED, SILENCE = 5, 180.0
"""A series has stopped where so many points, and so many seconds, are missing while other series go on."""
_SHARE = re.compile(r"percent|pct|ratio|utili[sz]ation|usage|saturation", re.IGNORECASE)


def shape_of(shift: Shift) -> str:
    """The form of a move; the more telling one where several fit."""
    since = shift.points.values[np.searchsorted(shift.points.times, shift.onset) :]
    if shift.kind is Quantity.SETTING:
        return "setting"
    if is_flat(shift.points.values[: len(shift.points.values) - len(since)], since):
        return "flat_line"
    if is_saturated(shift, since):
        return "saturation"
    if is_trend(since, shift.normal.spread):
        return "trend"
    if shift.after < shift.normal.middle:
        return "drop"
    return "spike" if abs(shift.peak - shift.normal.middle) > 5 * abs(shift.delta) else "level"


def is_flat(before: Array, since: Array) -> bool:
    """Whether a series that hardly ever stood still no longer moves."""
    if len(before) < KNOWN or len(since) < ENOUGH:
        return False
    return bool(np.ptp(since) == 0 and np.mean(np.diff(before[-200:]) == 0) < 0.1)


def is_trend(since: Array, spread: float) -> bool:
    """Whether a series climbs or falls steadily: nearly every step the same way, far beyond its usual spread."""
    if len(since) < ENOUGH or abs(since[-1] - since[0]) < 5 * spread:
        return False
    steps = np.sign(np.diff(since)) * np.sign(since[-1] - since[0])
    return bool(np.mean(steps) >= 0.7 and np.mean(steps < 0) <= 0.1)


def is_saturated(shift: Shift, since: Array) -> bool:
    """Whether the use of a resource that is measured as a share has come to rest at its ceiling."""
    if shift.kind is not Quantity.RESOURCE or len(since) < 3 or not _SHARE.search(shift.series.name):
        return False
    highest = float(np.max(shift.points.values))
    ceiling = 1.0 if highest <= 1.0 else 100.0
    return bool(highest <= ceiling and np.median(since) >= 0.95 * ceiling and np.min(since) >= 0.9 * ceiling)


def stopped(points: Points, onset: float, end: float) -> float | None:
    """When a regular series, that should have values up to `end`, stopped near or after the onset; else None."""
    times = points.times
    silent = end - float(times[-1]) if len(times) else 0.0
    if len(times) < KNOWN or silent < SILENCE:
        return None
    intervals = np.diff(times[-200:])
    usual = float(np.median(intervals))
    if usual <= 0 or float(np.quantile(intervals, 0.9)) > REGULAR * usual:
        return None
    if silent < max(MISSED * usual, SILENCE) or times[-1] < onset - max(MISSED * usual, SILENCE):
        return None
    return float(times[-1]) + usual


def end_of_recording(series: Iterable[Points]) -> float:
    """Up to when most series have values: a series that ends before has stopped."""
    last: Sequence[float] = sorted(float(points.times[-1]) for points in series if len(points.times))
    return last[len(last) // 2] if last else -np.inf
