"""One series at a time: what it measures, what is normal for it, how far it has moved."""

from __future__ import annotations

import math

import numpy as np
import pytest

from incident_pipeline.diagnosis.onset import incident_onset
from incident_pipeline.diagnosis.series import Quantity, own_time, points_of, quantity, shift_of
from incident_pipeline.models import MetricSeries
from tests.unit.diagnosis.builders import NOW, at, series

ALERT = NOW.timestamp()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("http_5xx_ratio", Quantity.ERROR),
        ("memory_persist_error_ratio", Quantity.ERROR),
        ("container_memory_bytes", Quantity.RESOURCE),
        ("cpu_throttled_seconds", Quantity.RESOURCE),
        ("latency_p99_ms", Quantity.LATENCY),
        ("availability", Quantity.SUCCESS),
        ("requestsPerSecond", Quantity.TRAFFIC),
        ("pool_max", Quantity.SETTING),
        ("widgets", Quantity.OTHER),
    ],
)
def test_a_name_tells_what_is_measured(name: str, kind: Quantity) -> None:
    assert quantity(name) is kind


def moved(values: list[float], name: str = "error_rate", onset: float = -3) -> float:
    one = series("payments", name, values, start=-len(values) + 3)
    shift = shift_of(one, points_of(one), at(onset).timestamp(), ALERT + 600)
    return shift.badness if shift else math.nan


QUIET = [0.01, 0.012, 0.009, 0.011] * 15


def test_only_the_bad_direction_counts() -> None:
    assert moved([*QUIET, *[0.5] * 6]) > 0.8
    assert moved([*QUIET, *[0.0] * 6]) == 0.0
    assert moved([99.0, 98.5, 99.5] * 20 + [20.0] * 6, "availability") > 0.5
    assert moved([20.0, 21.0, 19.0] * 20 + [99.0] * 6, "availability") == 0.0


def test_what_was_seen_before_counts_less_and_noise_counts_nothing() -> None:
    spiky = [*QUIET[:30], 0.6, *QUIET[30:]]
    assert 0 < moved([*spiky, *[0.5] * 6]) < moved([*QUIET, *[0.5] * 6])
    assert moved([*QUIET, *QUIET[:6]]) == 0.0


def test_a_constant_series_that_moves_is_not_infinitely_bad() -> None:
    assert 0 < moved([0.0] * 60 + [0.3] * 6) <= 1.0


def test_counters_are_read_by_their_increments() -> None:
    total = [float(10 * i) for i in range(60)] + [600.0 + 100 * i for i in range(6)]
    points = points_of(series("payments", "failures_total", total))
    assert np.median(points.values[:50]) == 10
    assert points.values[-1] == 100


def test_missing_values_unsorted_times_and_length_are_no_problem() -> None:
    times = tuple(float(t) for t in reversed(range(20_000)))
    values = tuple(math.nan if i % 7 == 0 else 1.0 for i in range(20_000))
    points = points_of(MetricSeries(name="x", service="s", timestamps=times, values=values))
    assert len(points.times) <= 4000 + 1
    assert bool(np.all(np.diff(points.times) > 0))


def test_the_same_hour_of_yesterday_is_normal() -> None:
    minutes = 26 * 60
    daily = [100.0 if (m % 1440) >= 1435 or (m % 1440) < 60 else 10.0 for m in range(-minutes, 10)]
    base = [d + (m % 5) * 0.1 for m, d in enumerate(daily)]
    one = series("payments", "latency_ms", base, start=-minutes)
    known = shift_of(one, points_of(one), at(-5).timestamp(), ALERT + 600)
    fresh = series("payments", "latency_ms", base[-300:], start=-290)
    unknown = shift_of(fresh, points_of(fresh), at(-5).timestamp(), ALERT + 600)
    assert known is not None
    assert unknown is not None
    assert known.badness < 0.1
    assert unknown.badness > 0.3


def two_days(name: str, yesterday: list[float], today: list[float]) -> MetricSeries:
    """An hour around the alert's time on the day before, and some hours up to ten minutes after the alert."""
    times = [ALERT - 86_400 + 60 * m for m in range(-len(yesterday) // 2, len(yesterday) // 2)]
    times += [ALERT + 600 + 60 * (m - len(today)) for m in range(len(today))]
    return MetricSeries(name=name, service="payments", timestamps=tuple(times), values=(*yesterday, *today))


def test_an_hour_of_yesterday_tells_what_is_usual_then_and_nothing_of_the_hours_before() -> None:
    today = [*[10.0, 10.5] * 120, *[100.0] * 15]
    usual = two_days("latency_ms", [99.0, 101.0] * 30, today)
    points = own_time(points_of(usual), ALERT)
    assert len(points.times) == len(today)
    assert points.earlier is not None
    assert len(points.earlier.times) == 60
    shift = shift_of(usual, points, at(-5).timestamp(), ALERT + 600)
    assert shift is not None
    assert shift.normal.middle == pytest.approx(10.25, abs=0.3)
    assert shift.badness == 0.0
    quiet = two_days("latency_ms", [10.0, 10.5] * 30, today)
    shift = shift_of(quiet, own_time(points_of(quiet), ALERT), at(-5).timestamp(), ALERT + 600)
    assert shift is not None
    assert shift.badness > 0.8


def test_what_came_before_a_hole_is_normal_where_there_is_little_else() -> None:
    usual = two_days("latency_ms", [10.0, 10.5] * 30, [*[10.0] * 12, *[100.0] * 15])
    assert own_time(points_of(usual), ALERT).earlier is None


def test_what_a_counter_counted_over_a_hole_is_no_increment() -> None:
    total = two_days("failures_total", [float(10 * i) for i in range(60)], [10_000.0 + 10 * i for i in range(250)])
    assert set(points_of(total).values) == {10.0}


def test_the_onset_is_where_the_series_step_together() -> None:
    stepping = [points_of(series("a", f"error_{i}", [*QUIET, *[0.3] * 8], start=-60)) for i in range(3)]
    steady = [points_of(series("b", f"error_{i}", [*QUIET, *QUIET[:8]], start=-60)) for i in range(3)]
    found = incident_onset([(points, 1) for points in (*stepping, *steady)], ALERT + 300)
    assert found is not None
    assert abs(found - ALERT) <= 60
    assert incident_onset([], ALERT) is None
