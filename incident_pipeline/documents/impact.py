"""What an incident cost, as far as stored evidence measured it.

Belongs here: numbers that series or traces give, each with where it comes from. What they do not give stays None.
Does not belong here: reading series (`measured_series.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from incident_pipeline.config import ImpactSettings
from incident_pipeline.documents.measured_series import (
    integral,
    largest,
    minus_normal,
    normal_level,
    product,
    scaled,
    seconds_above,
)
from incident_pipeline.documents.wording import count
from incident_pipeline.models import Evidence, Impact, MetricSeries, Symptoms

_REQUESTS = re.compile(r"(http_)?requests?_(per_second|rate)|rps|throughput", re.IGNORECASE)
_ERROR_RATIO = re.compile(r"(http_|request_)?error_(ratio|percent)|(http_)?5xx_(ratio|percent)", re.IGNORECASE)
_FAILURES = re.compile(r"(http_)?(errors|5xx|failed_requests|request_failures)_per_second", re.IGNORECASE)
_LATENCY = re.compile(r"(?=.*(latency|duration|response_time)).*p99.*", re.IGNORECASE)
_IN_MS = {"ms": 1.0, "milliseconds": 1.0, "s": 1000.0, "seconds": 1000.0, "us": 0.001, "microseconds": 0.001}


class _Failed(NamedTuple):
    """How many requests failed, and by which series."""

    number: float
    text: str


class _Span(NamedTuple):
    start: float
    end: float


def measured_impact(
    evidence: Evidence, symptoms: Symptoms, since: datetime, until: datetime, settings: ImpactSettings | None = None
) -> Impact:
    """What is measured of it: failed requests, minutes out of objective, users and revenue where they are configured.

    Args:
        evidence: series and traces.
        symptoms: which service failed first.
        since: when it began.
        until: when it ended, or now.
        settings: what users are counted by, what a request is worth, what the objectives are.
    """
    settings = settings or ImpactSettings()
    span = _Span(since.timestamp(), until.timestamp())
    own = _own_series(evidence, symptoms)
    failed = _failed(own, span)
    return Impact(
        users_affected=_users(evidence, span, settings),
        requests_failed=failed.text if failed else _from_traces(evidence, since, until),
        revenue_impact=_revenue(failed, settings),
        sla_breach="; ".join(_out_of_objective(own, span, settings)) or None,
    )


def _own_series(evidence: Evidence, symptoms: Symptoms) -> list[MetricSeries]:
    """The series of the service that failed first, as a whole: without labels that take it apart."""
    service = symptoms.first_failing_service
    return [series for series in evidence.metrics.rows if service and series.service == service and not series.labels]


def _failed(own: list[MetricSeries], span: _Span) -> _Failed | None:
    """Failed requests above the normal level, summed over the time: counted directly, else rate times ratio."""
    failures = next((s for s in own if _FAILURES.fullmatch(s.name)), None)
    if failures is not None:
        return _above_normal(failures, failures.service, failures.name, span)
    requests = next((s for s in own if _REQUESTS.fullmatch(s.name)), None)
    ratio = _error_ratio(own)
    if requests is None or ratio is None:
        return None
    name = f"{requests.name} times {ratio.name}"
    return _above_normal(product(requests, ratio), requests.service, name, span)


def _above_normal(rate: MetricSeries, service: str | None, name: str, span: _Span) -> _Failed | None:
    normal = normal_level(rate, span.start)
    failed = integral(minus_normal(rate, normal), span.start, span.end)
    if not failed >= 1:
        return None
    above = f", above the normal {normal:.2g} a second" if normal and normal > 0 else ""
    return _Failed(failed, f"about {_rounded(failed):,} of {service} ({name}{above}, as far as stored)")


def _error_ratio(own: list[MetricSeries]) -> MetricSeries | None:
    """The share of requests that failed, 0 to 1."""
    found = next((s for s in own if _ERROR_RATIO.fullmatch(s.name)), None)
    return scaled(found, 0.01) if found is not None and found.name.lower().endswith("percent") else found


def _users(evidence: Evidence, span: _Span, settings: ImpactSettings) -> str | None:
    found = [s for s in evidence.metrics.rows if settings.users_metric and settings.users_metric in (s.name, s.key)]
    most = max((value for s in found if (value := largest(s, span.start, span.end)) is not None), default=None)
    return None if most is None else f"up to {round(most):,} at once ({settings.users_metric})"


def _revenue(failed: _Failed | None, settings: ImpactSettings) -> str | None:
    each = settings.revenue_per_request
    if each is None or failed is None:
        return None
    lost = _rounded(failed.number * each)
    number = _rounded(failed.number)
    return f"about {lost:,} {settings.currency} ({each:g} for each of about {number:,} failed requests)"


def _out_of_objective(own: list[MetricSeries], span: _Span, settings: ImpactSettings) -> Iterator[str]:
    ratio = _error_ratio(own)
    if settings.success_objective is not None and ratio is not None:
        seconds = seconds_above(ratio, 1 - settings.success_objective, span.start, span.end)
        yield from _minutes(seconds, f"below {settings.success_objective * 100:g}% success", ratio)
    latency = next((s for s in map(_in_milliseconds, own) if s is not None), None)
    if settings.latency_objective_ms is not None and latency is not None:
        seconds = seconds_above(latency, settings.latency_objective_ms, span.start, span.end)
        yield from _minutes(seconds, f"above {settings.latency_objective_ms:g} ms", latency)


def _minutes(seconds: float | None, how: str, series: MetricSeries) -> Iterator[str]:
    if seconds is not None:
        said = count(math.ceil(seconds / 60), "minute") if seconds else "no minute"
        yield f"{said} {how} ({series.name} of {series.service})"


def _in_milliseconds(series: MetricSeries) -> MetricSeries | None:
    """A 99th percentile whose unit is known, in milliseconds."""
    if not _LATENCY.fullmatch(series.name):
        return None
    last = series.name.lower().rpartition("_")[2]
    factor = _IN_MS.get((series.unit or last).lower())
    return None if factor is None else scaled(series, factor)


def _rounded(value: float) -> int:
    """Two significant digits: more would claim more than samples can tell."""
    digits = max(int(math.log10(value)) - 1, 0) if value >= 1 else 0
    return int(round(value, -digits))


def _from_traces(evidence: Evidence, since: datetime, until: datetime) -> str | None:
    roots = [span for span in evidence.traces.rows if span.parent_id is None and since <= span.start < until]
    failed = sum(span.status == "error" for span in roots)
    return f"{failed:,} of {len(roots):,} requests that were traced" if failed else None
