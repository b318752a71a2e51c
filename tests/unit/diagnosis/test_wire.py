"""Time lost between services: who is slow to reach, and what that explains away."""

from __future__ import annotations

from datetime import timedelta

from incident_pipeline.diagnosis.service_features import without_victims
from incident_pipeline.diagnosis.trace_features import trace_features
from incident_pipeline.models import Span
from tests.unit.diagnosis.builders import at

ONSET = at(-2)


def call(index: int, minutes: float, callee: str, wait: float, caller: str = "shop") -> list[Span]:
    """A request in which `caller` waits `wait` milliseconds longer for `callee` than that works."""
    trace, start = f"t{callee}{index}", at(minutes)
    inner = start + timedelta(milliseconds=wait / 2)
    return [
        Span(trace_id=trace, span_id="1", service=caller, name="request", start=start, duration_ms=wait + 40.0),
        Span(
            trace_id=trace, span_id="2", parent_id="1", service=caller, name=f"call {callee}", start=start,
            duration_ms=wait + 20.0,
        ),
        Span(
            trace_id=trace, span_id="3", parent_id="2", service=callee, name="work", start=inner, duration_ms=20.0
        ),
    ]  # fmt: skip


def spans(slow: str, before: bool = True, times: int = 6) -> list[Span]:
    made: list[Span] = []
    for callee in ("cart", "stock", "prices"):
        for index in range(times):
            if before:
                made += call(index, -12 + index, callee, 4.0)
            made += call(index + 100, -1.9 + index * 0.3, callee, 600.0 if callee == slow else 4.0)
    return made


def test_who_is_slow_to_reach_is_named_with_and_without_spans_from_before() -> None:
    for before in (True, False):
        found = trace_features(spans("stock", before), ONSET.timestamp())
        assert found["stock"]["trace_wire"] > 0.9
        assert all(own.get("trace_wire", 0.0) < 0.1 for service, own in found.items() if service != "stock")


def test_a_single_slow_call_is_less_sure_than_six() -> None:
    one = trace_features(spans("stock"), ONSET.timestamp())
    few = trace_features([*spans("nobody", before=False), *call(999, -1, "mail", 120.0)], ONSET.timestamp())
    far = trace_features([*spans("nobody", before=False), *call(999, -1, "mail", 2000.0)], ONSET.timestamp())
    assert few["mail"]["trace_wire"] < 0.7 < far["mail"]["trace_wire"] < one["stock"]["trace_wire"]


def test_a_call_that_always_was_as_slow_is_no_sign() -> None:
    steady = {("shop", "call stock")}
    assert "trace_wire" not in trace_features(spans("stock", False), ONSET.timestamp(), steady=steady).get("stock", {})


def test_spans_know_the_moment_better_than_a_late_onset() -> None:
    late = (ONSET + timedelta(seconds=45)).timestamp()
    assert trace_features(spans("stock"), late)["stock"]["trace_wire"] > 0.9


def test_decisive_waiting_explains_the_slowness_of_others() -> None:
    features = {"shop": {"latency": 1.0, "latency_own": 1.0}, "stock": {"trace_wire": 1.0, "latency": 0.2}}
    told = without_victims(features)
    assert told["shop"]["latency_own"] == 0.0
    assert told["stock"]["latency"] == 0.2
