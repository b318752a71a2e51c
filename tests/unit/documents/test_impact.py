"""What an incident cost, computed by hand beside it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from incident_pipeline.config import ImpactSettings
from incident_pipeline.documents.impact import measured_impact
from incident_pipeline.models import Impact, MetricSeries
from tests.unit import scenes

ONSET = scenes.at(14, 32)


def series(name: str, value: Callable[[bool], float], **more: Any) -> MetricSeries:
    """A sample each minute, from an hour before the onset to 20 minutes after; the value knows whether it is after."""
    moments = [ONSET + timedelta(minutes=m) for m in range(-60, 21)]
    return MetricSeries(
        name=name,
        service="payments",
        timestamps=tuple(moment.timestamp() for moment in moments),
        values=tuple(value(moment >= ONSET) for moment in moments),
        **more,
    )


def impact(*rows: MetricSeries, **settings: Any) -> Impact:
    until = ONSET + timedelta(minutes=20)
    found = scenes.evidence(metrics=rows)
    return measured_impact(found, scenes.symptoms(), ONSET, until, ImpactSettings.model_validate(settings))


def test_failed_requests_are_those_above_the_normal_level() -> None:
    requests = series("requests_per_second", lambda _after: 50)
    ratio = series("error_ratio", lambda after: 0.15 if after else 0.01)
    # 50 a second, 14 of a hundred more than normal, 20 minutes
    assert pytest.approx(8400) == 50 * 0.14 * 1200
    said = impact(requests, ratio).requests_failed
    assert said == (
        "about 8,400 of payments (requests_per_second times error_ratio, above the normal 0.5 a second, "
        "as far as stored)"
    )


def test_failures_that_are_counted_need_no_ratio() -> None:
    failures = series("errors_per_second", lambda after: 3.0 if after else 0.0)
    assert str(impact(failures).requests_failed).startswith("about 3,600 of payments (errors_per_second, as far")


def test_what_nothing_measured_is_none() -> None:
    cpu = series("cpu", lambda _after: 0.5)
    everything = {"users_metric": "users", "revenue_per_request": 2.0, "success_objective": 0.99}
    assert impact(cpu, **everything, latency_objective_ms=300) == Impact()
    calm = series("errors_per_second", lambda _after: 1.0)
    assert impact(calm).requests_failed is None


def test_minutes_out_of_objective() -> None:
    ratio = series("error_percent", lambda after: 2.0 if after else 0.0)
    latency = series("latency_p99_seconds", lambda after: 0.4 if after else 0.1)
    said = impact(ratio, latency, success_objective=0.999, latency_objective_ms=300).sla_breach
    assert said == (
        "20 minutes below 99.9% success (error_percent of payments); "
        "20 minutes above 300 ms (latency_p99_seconds of payments)"
    )
    assert impact(ratio, success_objective=0.9).sla_breach == (
        "no minute below 90% success (error_percent of payments)"
    )
    # a unit that nobody names is not guessed
    assert impact(series("latency_p99", lambda _after: 400), latency_objective_ms=300).sla_breach is None


def test_users_and_revenue_where_they_are_configured() -> None:
    users = series("affected_users", lambda after: 1234.0 if after else 10.0)
    failures = series("errors_per_second", lambda after: 3.0 if after else 0.0)
    found = impact(users, failures, users_metric="affected_users", revenue_per_request=0.5, currency="CHF")
    assert found.users_affected == "up to 1,234 at once (affected_users)"
    assert found.revenue_impact == "about 1,800 CHF (0.5 for each of about 3,600 failed requests)"


def test_a_hole_was_not_measured() -> None:
    failures = series("errors_per_second", lambda after: 3.0 if after else 0.0)
    samples = zip(failures.timestamps, failures.values, strict=True)
    kept = [(at, v) for at, v in samples if not 0 < at - ONSET.timestamp() < 600]
    holed = failures.model_copy(
        update={"timestamps": tuple(at for at, _ in kept), "values": tuple(value for _, value in kept)}
    )
    assert str(impact(holed).requests_failed).startswith("about 1,800 of")
