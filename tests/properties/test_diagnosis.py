"""The diagnosis holds whatever it gets: same answer in any order, an answer from little, never an exception."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.engine import diagnose
from incident_pipeline.models import (
    CENTURY_MS,
    CodeChange,
    Deployment,
    Diagnosis,
    Envelope,
    Evidence,
    EvidenceKind,
    FlagChange,
    Gathered,
    LogEntry,
    MetricSeries,
    Service,
    Span,
)
from tests.unit.diagnosis.builders import at, deployment, evidence, incident, log, series

NAMES = st.sampled_from(["checkout", "payments", "catalog", "ledger", "", "a b", "ünï"])
MINUTES = st.floats(-300, 60, allow_nan=False)
NUMBERS = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(-10, 10).map(float), st.just(0.0))
TEXT = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["timeout after 30 ms", "panic: nil map", "node under pressure", "served in 3 ms", "x509 expired"]),
)
DIFFS = st.one_of(
    st.none(),
    st.text(max_size=80),
    st.sampled_from(
        ["-  pool: 50\n+  pool: 5", "--- a/x.go\n+++ b/x.go\n@@ -1 +1 @@\n-\tmu.Lock()", "@@", "+", "-\n-\n+"]
    ),
)

SERIES = st.builds(
    lambda service, name, values, start, step: series(service, name, values, start=start, step=step),
    NAMES,
    st.sampled_from(["error_rate", "latency_p99_ms", "cpu_usage", "requests_total", "x", "pool_max"]),
    st.lists(NUMBERS, max_size=40),
    st.floats(-200, 10, allow_nan=False),
    st.floats(0.05, 10, allow_nan=False),
)
LOGS = st.builds(log, MINUTES, TEXT, NAMES, st.sampled_from(["error", "info", "", "FATAL"]))
DEPLOYMENTS = st.builds(
    lambda i, m, s: deployment(f"d{i}", m, s, commit_sha=f"{i:040x}"), st.integers(0, 9), MINUTES, NAMES
)
CHANGES = st.builds(
    lambda i, m, f, d, t: CodeChange(sha=f"{i:040x}", message=m, files=tuple(f), diff=d, committed_at=at(t)),
    st.integers(0, 9),
    TEXT,
    st.lists(st.sampled_from(["payments/a.go", "README.md", "go.mod", "x.yaml"]), max_size=3),
    DIFFS,
    MINUTES,
)
FLAGS = st.builds(lambda n, s, t: FlagChange(name=n, service=s, value="on", changed_at=at(t)), TEXT, NAMES, MINUTES)
SPANS = st.builds(
    lambda t, i, p, s, m, d, e: Span(
        trace_id=f"t{t}", span_id=f"s{i}", parent_id=f"s{p}", service=s, name="op", start=at(m), duration_ms=d, status=e
    ),
    st.integers(0, 4),
    st.integers(0, 9),
    st.integers(0, 9),
    NAMES,
    MINUTES,
    st.one_of(st.floats(-5, 5000), st.floats(-CENTURY_MS, CENTURY_MS, exclude_min=True, exclude_max=True)),
    st.sampled_from(["ok", "error", "unset"]),
)
SERVICES = st.builds(lambda n, d: Service(name=n, depends_on=tuple(d)), NAMES, st.lists(NAMES, max_size=3))


def maybe(rows: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Rows of a source, or a source that did not answer."""
    return st.one_of(st.none(), st.lists(rows, max_size=12))


EVIDENCE = st.builds(
    evidence,
    maybe(DEPLOYMENTS),
    maybe(CHANGES),
    maybe(FLAGS),
    maybe(SERIES),
    maybe(LOGS),
    maybe(SPANS),
    st.none(),
    maybe(SERVICES),
)
RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def shuffled(found: Evidence, seed: int) -> Evidence:
    """The same rows in another order."""
    order = random.Random(seed)
    kinds: dict[str, Any] = {}
    for kind in EvidenceKind:
        gathered = getattr(found, kind.value)
        envelopes = []
        for envelope in gathered.envelopes:
            rows = list(envelope.rows)
            order.shuffle(rows)
            envelopes.append(envelope.model_copy(update={"rows": tuple(rows)}))
        kinds[kind.value] = gathered.model_copy(update={"envelopes": tuple(envelopes)})
    return Evidence(**kinds)


def sound(diagnosis: Diagnosis) -> None:
    """What every diagnosis keeps: probabilities that leave room for the unknown, in order."""
    confidences = [h.confidence for h in diagnosis.hypotheses]
    assert all(0.0 <= c <= 0.98 for c in confidences)
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) < 1.0
    assert len({s.service for s in diagnosis.services}) == len(diagnosis.services)


@RELAXED
@given(EVIDENCE)
def test_any_evidence_gets_a_sound_answer(found: Evidence) -> None:
    sound(diagnose(incident(), found, Scenario()))


@RELAXED
@given(EVIDENCE, st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(found: Evidence, seed: int) -> None:
    one = diagnose(incident(), found, Scenario())
    other = diagnose(incident(), shuffled(found, seed), Scenario())
    assert one == other


def telling() -> dict[str, Any]:
    """Evidence with a clear cause."""
    quiet = [0.01, 0.012, 0.009, 0.011, 0.01, 0.0105] * 20
    return {
        "deployments": [deployment("d1", -8, commit_sha="a" * 40)],
        "changes": [
            CodeChange(
                sha="a" * 40,
                message="tune",
                files=("services/payments/config/db.yaml",),
                diff="-  max_connections: 50\n+  max_connections: 5",
                committed_at=at(-20),
            )
        ],
        "metrics": [
            series("payments", "error_rate", [*quiet, 0.4, 0.5, 0.4], start=-122),
            series("checkout", "error_rate", [*quiet, 0.01, 0.2, 0.2], start=-122),
        ],
        "logs": [log(-120 + i, "request served in 12 ms", level="info") for i in range(0, 118, 2)]
        + [log(-2 + 0.1 * i, "connection pool exhausted: 5 of 5 in use") for i in range(15)],
        "traces": [],
        "flags": [],
        "alerts": [],
        "services": [Service(name="checkout", depends_on=("payments",)), Service(name="payments")],
    }


def test_a_source_that_is_missing_lowers_the_confidence() -> None:
    whole = diagnose(incident(), evidence(**telling()), Scenario())
    assert whole.root_cause_change == "a" * 40
    assert whole.primary is not None
    for kind in ("logs", "metrics", "traces", "flags"):
        rest = diagnose(incident(), evidence(**{**telling(), kind: None}), Scenario())
        assert rest.primary is not None
        assert rest.primary.confidence < whole.primary.confidence, kind
        assert any(gap.reason for gap in rest.gaps)


def test_duplicates_change_nothing_that_matters() -> None:
    rows = telling()
    twice = {kind: found * 2 for kind, found in rows.items()}
    one, two = diagnose(incident(), evidence(**rows), Scenario()), diagnose(incident(), evidence(**twice), Scenario())
    assert two.root_cause_change == one.root_cause_change
    assert two.first_failing_service == one.first_failing_service


@pytest.mark.parametrize("minutes", [-1.5, 1.5])
def test_clocks_that_differ_by_a_minute_or_two_do_not_hide_the_cause(minutes: float) -> None:
    rows = telling()
    rows["logs"] = [e.model_copy(update={"timestamp": e.timestamp + timedelta(minutes=minutes)}) for e in rows["logs"]]
    assert diagnose(incident(), evidence(**rows), Scenario()).root_cause_change == "a" * 40


def test_no_normal_time_is_no_confident_answer() -> None:
    metrics = [series("payments", "error_rate", [0.4, 0.5, 0.4], start=-1)]
    diagnosis = diagnose(incident(), evidence(metrics=metrics), Scenario())
    sound(diagnosis)
    assert all(h.confidence < 0.6 for h in diagnosis.hypotheses)
    assert diagnosis.root_cause_change is None


def test_nothing_at_all_is_no_cause() -> None:
    diagnosis = diagnose(incident(), evidence(), Scenario())
    assert diagnosis.hypotheses == ()
    assert "does not point to a cause" in diagnosis.summary


def test_one_series_of_a_million_points_and_many_lines_take_seconds_at_most() -> None:
    start = at(-600).timestamp()
    times = tuple(start + 0.036 * i for i in range(1_000_000))
    values = tuple(0.01 + (0.4 if t > at(-3).timestamp() else 0.0) for t in times)
    huge = MetricSeries(name="error_rate", service="payments", timestamps=times, values=values)
    lines = [
        LogEntry(timestamp=at(-200 + i * 0.02), service="checkout", level="info", message=f"served {i} in {i % 97} ms")
        for i in range(10_000)
    ]
    found = Evidence(
        metrics=Gathered(kind=EvidenceKind.METRICS, envelopes=(Envelope.of("t", [huge]),)),
        logs=Gathered(kind=EvidenceKind.LOGS, envelopes=(Envelope.of("t", lines),)),
    )
    diagnosis = diagnose(incident(), found, Scenario())
    assert diagnosis.first_failing_service == "payments"
    assert diagnosis.onset is not None
    assert abs((diagnosis.onset - at(-3)).total_seconds()) < 90


def test_half_of_the_services_unknown_to_the_catalogue() -> None:
    rows = telling()
    rows["services"] = [Service(name="checkout", depends_on=("payments",))]
    assert diagnose(incident(), evidence(**rows), Scenario()).first_failing_service == "payments"


def test_a_deployment_without_any_time_is_no_suspect() -> None:
    rows = telling()
    rows["deployments"] = [Deployment(id="d1", service="payments", commit_sha="a" * 40)]
    sound(diagnose(incident(), evidence(**rows), Scenario()))
