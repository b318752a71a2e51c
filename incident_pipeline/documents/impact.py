"""What an incident cost, as far as stored evidence measured it.

Belongs here: numbers that series or traces give, each with where it comes from. What they do not give stays None.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime

from incident_pipeline.models import Evidence, Impact, MetricSeries, Symptoms

_REQUESTS = re.compile(r"(http_)?requests?_(per_second|rate)|rps|throughput", re.IGNORECASE)
_ERROR_RATIO = re.compile(r"(http_|request_)?error_(ratio|percent)|(http_)?5xx_(ratio|percent)", re.IGNORECASE)
_LONGEST_STEP = 300.0
"""Seconds; a hole in a series longer than this was not measured."""


def measured_impact(evidence: Evidence, symptoms: Symptoms, since: datetime, until: datetime) -> Impact:
    """The failed requests, from series of one service or else from its traces; nothing else is measured here."""
    return Impact(
        requests_failed=_from_series(evidence, symptoms, since, until) or _from_traces(evidence, since, until)
    )


def _from_series(evidence: Evidence, symptoms: Symptoms, since: datetime, until: datetime) -> str | None:
    """Requests per second times the share that failed, summed over the time, for the service that failed first."""
    service = symptoms.first_failing_service
    own = [series for series in evidence.metrics.rows if service and series.service == service and not series.labels]
    requests = next((s for s in own if _REQUESTS.fullmatch(s.name)), None)
    errors = next((s for s in own if _ERROR_RATIO.fullmatch(s.name)), None)
    if requests is None or errors is None:
        return None
    share = 0.01 if errors.name.lower().endswith("percent") else 1.0
    failed = _integral(requests, errors, since.timestamp(), until.timestamp()) * share
    if not failed >= 1:
        return None
    return f"about {_rounded(failed):,} of {service} ({requests.name} times {errors.name}, as far as stored)"


def _integral(requests: MetricSeries, errors: MetricSeries, start: float, end: float) -> float:
    ratio = dict(zip(errors.timestamps, errors.values, strict=False))
    total = 0.0
    times: Sequence[float] = requests.timestamps
    for index, at in enumerate(times[:-1]):
        step = times[index + 1] - at
        product = requests.values[index] * ratio.get(at, math.nan)
        if start <= at < end and step <= _LONGEST_STEP and math.isfinite(product):
            total += product * step
    return total


def _rounded(value: float) -> int:
    """Two significant digits: more would claim more than samples can tell."""
    digits = max(int(math.log10(value)) - 1, 0)
    return int(round(value, -digits))


def _from_traces(evidence: Evidence, since: datetime, until: datetime) -> str | None:
    roots = [span for span in evidence.traces.rows if span.parent_id is None and since <= span.start < until]
    failed = sum(span.status == "error" for span in roots)
    return f"{failed:,} of {len(roots):,} requests that were traced" if failed else None
