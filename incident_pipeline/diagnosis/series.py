"""One series at a time: what kind of quantity it is, what is normal for it, and how far it has moved.

Belongs here: arithmetic on the points of a series. Does not belong here: which service is to blame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from incident_pipeline.diagnosis.vocabulary import words
from incident_pipeline.models import MetricSeries

Array = NDArray[np.float64]

MAX_POINTS = 4000
"""Longer series are thinned to medians of equal stretches; an onset is then known to about 1/4000 of the span."""

_LARGEST = 1e150
"""Beyond it the squares that a spread needs overflow; nothing that is measured comes near."""


class Quantity(StrEnum):
    """What a series measures, read from its name."""

    ERROR = "error"
    SUCCESS = "success"
    LATENCY = "latency"
    TRAFFIC = "traffic"
    RESOURCE = "resource"
    SETTING = "setting"
    OTHER = "other"


_WORDS: tuple[tuple[Quantity, frozenset[str]], ...] = (
    (
        Quantity.ERROR,
        words("error errors err 5xx 4xx 500 502 503 504 exception exceptions panic panics nxdomain servfail"),
    ),
    (
        Quantity.RESOURCE,
        words(
            "cpu mem memory heap rss disk inode inodes filesystem volume swap gc fd fds threads goroutines "
            "pressure utilization utilisation saturation usage used load1 load5 iowait cfs"
        ),
    ),
    (
        Quantity.ERROR,
        words(
            "fail fails failed failure failures throttle throttled throttles timeout timeouts reject rejected "
            "rejects exhausted dropped drops oom restart restarts evicted evictions abort aborted refused reset "
            "resets unavailable deadletter dlq retries retry violations invalid mismatch stale corrupt expired"
        ),
    ),
    (
        Quantity.LATENCY,
        words(
            "latency latencies duration lat elapsed delay lag wait waiting p50 p75 p90 p95 p99 p999 ms millis "
            "milliseconds rtt ttfb age staleness"
        ),
    ),
    (
        Quantity.SUCCESS,
        frozenset(["success", "successes", "availability", "up", "healthy", "ready", "uptime", "hit", "hits", "alive"]),
    ),
    (
        Quantity.SETTING,
        frozenset(
            [
                "max",
                "limit",
                "limits",
                "quota",
                "replicas",
                "maximum",
                "minimum",
                "desired",
                "version",
                "ttl",
                "threshold",
            ]
        ),
    ),
    (
        Quantity.TRAFFIC,
        words(
            "request requests rps qps rate throughput calls traffic count messages receive transmit received "
            "transmitted bytes ops lod load sessions users queries writes reads consumed"
        ),
    ),
    (
        Quantity.RESOURCE,
        frozenset(["pool", "queue", "depth", "backlog", "connections", "conns", "active", "buffer", "use", "capacity"]),
    ),
)


@lru_cache(maxsize=4096)
def quantity(name: str) -> Quantity:
    """What a series of this name measures; the first list that knows one of its words decides."""
    words = set(re.findall(r"[a-z]+\d*|\d+[a-z]*", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()))
    for kind, vocabulary in _WORDS:
        if words & vocabulary:
            return kind
    return Quantity.OTHER


def worse(kind: Quantity) -> int:
    """Which direction is bad: 1 up, -1 down, 0 either."""
    if kind is Quantity.SUCCESS:
        return -1
    return 1 if kind in {Quantity.ERROR, Quantity.LATENCY, Quantity.RESOURCE} else 0


@dataclass(frozen=True)
class Points:
    """The finite points of a series, ascending in time, of bounded length."""

    times: Array
    values: Array
    earlier: Points | None = None
    """Those of earlier days, where they were set apart."""

    def between(self, start: float, end: float) -> Array:
        """The values from `start` (included) to `end` (excluded)."""
        low, high = np.searchsorted(self.times, (start, end))
        return self.values[low:high]


def points_of(series: MetricSeries) -> Points:
    """The series as arrays; values that are missing are left out, long series thinned."""
    length = min(len(series.timestamps), len(series.values))
    times = np.asarray(series.timestamps[:length], dtype=np.float64)
    values = np.asarray(series.values[:length], dtype=np.float64)
    good = np.isfinite(values) & np.isfinite(times) & (np.abs(values) < _LARGEST)
    times, values = times[good], values[good]
    if len(times) > 1 and np.any(np.diff(times) < 0):
        order = np.lexsort((values, times))
        times, values = times[order], values[order]
    if _is_counter(series.name, values):
        times, values = _increments(times, values)
    if len(times) > MAX_POINTS:
        times, values = _thinned(times, values)
    return Points(times, values)


HOLE = 6 * 3600.0
"""Seconds without a point that part the incident's own time from earlier days."""
_ENOUGH, _LONG_ENOUGH = 8, 3600.0
"""Points and seconds between a hole and the alert, with which what came before the hole is not needed."""


def own_time(points: Points, alert: float) -> Points:
    """The points without those of earlier days: what came before a hole of hours says what is usual at this hour alone.

    Where too little lies between the hole and the alert, nothing is set apart: what came before it is all there is.
    """
    low = int(np.searchsorted(points.times, alert))
    holes = np.flatnonzero(np.diff(points.times[:low]) >= HOLE)
    start = int(holes[-1]) + 1 if len(holes) else 0
    if start == 0 or low - start < _ENOUGH or alert - points.times[start] < _LONG_ENOUGH:
        return points
    return Points(points.times[start:], points.values[start:], Points(points.times[:start], points.values[:start]))


def _is_counter(name: str, values: Array) -> bool:
    """A total that only grows: its increments are what moves."""
    named = name.endswith(("_total", "_count", ".count", "_sum"))
    return named and len(values) > 3 and float(np.ptp(values)) > 0 and bool(np.mean(np.diff(values) < 0) < 0.02)


def _increments(times: Array, values: Array) -> tuple[Array, Array]:
    steps = np.diff(values)
    # what was counted over a hole of hours is no increment like the others
    near = np.diff(times) < HOLE
    return times[1:][near], np.where(steps < 0, values[1:], steps)[near]


def _thinned(times: Array, values: Array) -> tuple[Array, Array]:
    size = -(-len(times) // MAX_POINTS)
    whole = len(times) // size * size
    return times[:whole:size], np.median(values[:whole].reshape(-1, size), axis=1)


@dataclass(frozen=True)
class Normal:
    """What is normal for a series: its middle and its usual spread."""

    middle: float
    spread: float
    count: int
    reach: float = 0.0
    """How far from the middle it has ever been."""
    above: float = 0.0
    below: float = 0.0
    """The spread of each side where one reaches farther than the other, as latencies do upwards."""

    def sigmas(self, value: float) -> float:
        """How far a value is from the middle, in robust standard deviations of its side."""
        side = self.above if value > self.middle else self.below
        return (value - self.middle) / max(side, self.spread)


def normal_of(values: Array, peak: float = 0.0) -> Normal | None:
    """Median and robust spread; None with fewer than three points.

    The spread is never below 1 % of the middle or of `peak` (the largest size that the series ever has), so that a
    series that stood still is not infinitely surprising when it moves.
    """
    if len(values) < 3:
        return None
    ordered = np.sort(values)
    middle, low, high = (_quantile(ordered, share) for share in (0.5, 0.05, 0.95))
    around = 1.4826 * _quantile(np.sort(np.abs(values - middle)), 0.5)
    spread = max(around, float(high - low) / 3.3, abs(middle) * 0.01, abs(peak) * 0.01, 1e-9)
    reach = float(np.max(np.abs(values - middle)))
    return Normal(middle, spread, len(values), reach, float(high - middle) / 1.65, float(middle - low) / 1.65)


def _quantile(ordered: Array, share: float) -> float:
    """A quantile of sorted values by linear interpolation; an eighth of what the general function costs."""
    at = share * (len(ordered) - 1)
    low = int(at)
    below, above = float(ordered[low]), float(ordered[min(low + 1, len(ordered) - 1)])
    return below + (above - below) * (at - low)


@dataclass(frozen=True)
class Shift:
    """How one series moved at the onset."""

    series: MetricSeries
    kind: Quantity
    points: Points
    normal: Normal
    yesterday: Normal | None
    """The same hours of the day before, where the series reaches back so far."""
    after: float
    """Median since the onset."""
    coverage: float
    """0 to 1: how much of the time before and since the onset the series covers; a rare series proves little."""
    mean: float
    """Mean since the onset."""
    peak: float
    """The value farthest from normal since the onset."""
    since: float | None
    """When it left its normal range for good, if it did."""
    onset: float = 0.0
    """The onset at which the move is measured."""

    @property
    def sigmas(self) -> float:
        """The move of the median in robust standard deviations, with its sign."""
        return self.normal.sigmas(self.after)

    @property
    def delta(self) -> float:
        """The move of the median in the series' own unit."""
        return self.after - self.normal.middle

    @property
    def badness(self) -> float:
        """0 (normal, or better than normal) to 1 (far off in the bad direction and at least doubled or halved)."""
        return self._bad(self.after) * self.coverage

    @property
    def mean_badness(self) -> float:
        """The same for the mean since the onset, which also sees what comes and goes."""
        return self._bad(self.mean)

    def _bad(self, value: float) -> float:
        """What is usual at this time of day is not bad, however far it is from the hours before."""
        bad = _badness(self.kind, self.normal, value)
        return bad if self.yesterday is None else min(bad, _badness(self.kind, self.yesterday, value))


def _badness(kind: Quantity, normal: Normal, after: float) -> float:
    sign = worse(kind)
    sigmas = normal.sigmas(after)
    sigmas = sigmas * sign if sign else abs(sigmas)
    if sigmas <= 2.0:
        return 0.0
    seen_before = abs(after - normal.middle) <= normal.reach
    floor = 0.1 * normal.spread + 1e-12
    ratio = abs(np.log((abs(after) + floor) / (abs(normal.middle) + floor)))
    size = min(np.log(sigmas / 2.0) / np.log(50.0), 1.0) * (0.3 + 0.7 * min(ratio / np.log(2.0), 1.0))
    return float(size * (0.5 if seen_before else 1.0))


LATE, LONG, FINE = 300.0, 30, 3
"""An onset may be found so many seconds late: they are left out where so many points lie before and in them."""


def _before(points: Points, onset: float) -> Array:
    """The values of the time before, without the minutes in which it may have begun already."""
    before = points.between(-np.inf, onset)
    early = points.between(-np.inf, onset - LATE)
    return early if len(early) >= LONG and len(before) - len(early) >= FINE else before


def shift_of(
    series: MetricSeries, points: Points, onset: float, end: float, usual: tuple[int, int] = (0, 0)
) -> Shift | None:
    """How a series moved at `onset`, judged by its values up to `end`; None where either side has too few points.

    Args:
        series: the series.
        points: its points.
        onset: when the incident began.
        end: up to when it is judged.
        usual: how many points series of this incident usually have before and since the onset.
    """
    after = points.between(onset, end)
    peak = float(np.max(np.abs(points.values))) if len(points.values) else 0.0
    normal = normal_of(_before(points, onset), peak)
    if normal is None or len(after) == 0:
        return None
    far = int(np.argmax(np.abs(after - normal.middle)))
    since = _since(points, normal, float(np.median(after)), onset)
    full = [min(1.0, have / want) for have, want in zip((normal.count, len(after)), usual, strict=True) if want]
    return Shift(
        series=series,
        kind=quantity(series.name),
        points=points,
        normal=normal,
        yesterday=_yesterday(points, onset, end, peak),
        after=float(np.median(after)),
        coverage=min(full, default=1.0),
        mean=float(np.mean(after)),
        peak=float(after[far]),
        since=since,
        onset=onset,
    )


DAY = 86400.0
_AROUND = 1800.0


def _yesterday(points: Points, onset: float, end: float, peak: float) -> Normal | None:
    """What was normal at the same time of the day before, half an hour around it."""
    known = points.earlier or points
    if not len(known.times) or known.times[0] > onset - DAY:
        return None
    values = known.between(onset - DAY - _AROUND, end - DAY + _AROUND)
    return normal_of(values, peak) if len(values) >= 5 else None


def _since(points: Points, normal: Normal, after: float, onset: float) -> float | None:
    """The first moment near the onset from which the series stays beyond a fifth of its move."""
    away = np.sign(after - normal.middle) * (points.values - normal.middle)
    limit = max(3.0 * normal.spread, 0.0)
    far = away > limit
    start = int(np.searchsorted(points.times, onset))
    if not far[start:].any():
        return None
    first = start + int(np.argmax(far[start:]))
    while first > 0 and far[first - 1]:
        first -= 1
    return float(points.times[first])
