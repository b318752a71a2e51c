"""The real Prometheus: queries with data in them, and refusals in its own words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.connectors.registry import build_sources
from incident_pipeline.evidence.gather import gather_now
from incident_pipeline.incident_folder.reading import incident_from
from incident_pipeline.models import Alert, EnvelopeStatus, EvidenceKind, Gathered
from tests.integration.peers import start_prometheus

NOW = datetime.now(UTC).replace(microsecond=0)
START = NOW - timedelta(minutes=10)
ODD = 'pay"ments\\{} |.*'


def history() -> str:
    """Five hours of a counter-like gauge for three services; one of them doubles ten minutes before now."""
    lines = ["# TYPE request_latency gauge"]
    for service, quoted in (
        ("payments", "payments"),
        ("cart", "cart"),
        (ODD, ODD.replace("\\", "\\\\").replace('"', '\\"')),
    ):
        for minute in range(300, -1, -1):
            at = NOW - timedelta(minutes=minute)
            value = 200 if service == "payments" and at >= START else 100
            lines.append(f'request_latency{{service="{quoted}",pod="a"}} {value} {at.timestamp():.0f}')
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with start_prometheus(tmp_path_factory.mktemp("prometheus"), history=history()) as url:
        yield url


def ask(url: str, service: str | None, queries: dict[str, str], lookback: str = "4h") -> Gathered:
    scenario = Scenario.model_validate(
        {
            "connections": {"prometheus": {"url": url}},
            "context": {"metrics": {"provider": "prometheus", "queries": queries, "lookback": lookback}},
        }
    )
    alert = Alert(source="custom", source_id="a", dedup_key="a", title="slow", service=service, started_at=START)
    sources = build_sources(scenario)
    return gather_now([EvidenceKind.METRICS], sources, incident_from([alert]), scenario, NOW)[EvidenceKind.METRICS]


def test_a_change_that_happened_is_in_the_series(prometheus: str) -> None:
    metrics = ask(prometheus, "payments", {"latency": 'avg by (service) (request_latency{service="$service"})'})
    (series,) = metrics.rows
    assert (series.name, series.service, series.labels) == ("latency", "payments", {})
    assert 490 <= len(series.values) <= 510
    before = [v for at, v in zip(series.timestamps, series.values, strict=True) if at < START.timestamp()]
    after = [v for at, v in zip(series.timestamps, series.values, strict=True) if at >= START.timestamp() + 60]
    assert set(before) == {100.0}
    assert set(after) == {200.0}
    assert metrics.envelopes[0].seconds is not None


def test_names_that_try_to_change_the_query_find_their_own_series_alone(prometheus: str) -> None:
    for template in ('request_latency{service="$service"}', 'request_latency{service=~"$service"}'):
        (series,) = ask(prometheus, ODD, {"latency": template}).rows
        assert series.service == ODD
    assert ask(prometheus, '"} or request_latency{pod="a', {"l": 'request_latency{service="$service"}'}).status is (
        EnvelopeStatus.EMPTY
    )


def test_an_unknown_service_asks_for_all(prometheus: str) -> None:
    rows = ask(prometheus, None, {"latency": 'request_latency{service="$service"}'}).rows
    assert {series.service for series in rows} == {"payments", "cart", ODD}


def test_refusals_are_gaps_in_prometheus_own_words(prometheus: str) -> None:
    (gap,) = ask(prometheus, "payments", {"bad": "sum(rate("}).gaps
    assert "prometheus answered 400 Bad Request" in gap.reason
    assert "parse error" in gap.reason
    # two series with the same labels cannot be matched: an execution error, 422
    (gap,) = ask(prometheus, "payments", {"bad": "request_latency * on(pod) request_latency"}).gaps
    assert "422" in gap.reason
    assert "duplicate series" in gap.reason


def test_a_year_is_within_the_point_limit(prometheus: str) -> None:
    assert ask(prometheus, "cart", {"l": 'request_latency{service="$service"}'}, lookback="365d").gaps == ()


def test_a_prometheus_that_is_not_there_is_a_gap_at_once() -> None:
    started = time.monotonic()
    (gap,) = ask("http://127.0.0.1:1", "cart", {"l": "up"}).gaps
    assert "prometheus cannot be reached at http://127.0.0.1:1" in gap.reason
    assert time.monotonic() - started < 8
