"""How a series left its normal behaviour: each form from a series that has it, and one that only looks like it."""

from __future__ import annotations

import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.engine import diagnose
from incident_pipeline.diagnosis.series import points_of
from incident_pipeline.diagnosis.series_shapes import stopped
from incident_pipeline.diagnosis.symptoms import find_symptoms
from tests.unit.diagnosis.builders import NOW, at, evidence, incident, series

USUAL = [10.0 + (i % 7) * 0.3 for i in range(60)]
ALERT = NOW.timestamp()
STEP = series("payments", "errors_per_minute", [0.1, 0.2, 0.1, 0.0] * 14 + [30.0] * 14, start=-60)


def kinds(*more: object) -> dict[str, str]:
    found = find_symptoms(incident(), evidence(metrics=[STEP, *more]))  # type: ignore[list-item]
    return {anomaly.series: anomaly.kind for anomaly in found.anomalies}


@pytest.mark.parametrize(
    ("name", "since", "form"),
    [
        ("latency_ms", [40.0 + (i % 3) for i in range(14)], "level"),
        ("latency_ms", [20.0 + 10 * i for i in range(14)], "trend"),
        ("cpu_usage_percent", [98.0 + (i % 3) * 0.5 for i in range(14)], "saturation"),
        ("cpu_usage_percent", [60.0 + (i % 3) * 0.5 for i in range(14)], "level"),
        ("requests_per_second", [2.0 + (i % 3) * 0.1 for i in range(14)], "drop"),
        ("queue_consumed", [11.0] * 14, "flat_line"),
    ],
)
def test_the_form_of_a_move(name: str, since: list[float], form: str) -> None:
    assert kinds(series("payments", name, [*USUAL[:56], *since], start=-60))[name] == form


def test_a_series_that_stops_is_seen_and_said() -> None:
    silent = series("ledger", "heartbeat_lag_ms", USUAL[:56], start=-60)
    found = find_symptoms(incident(), evidence(metrics=[STEP, silent]))
    anomaly = next(a for a in found.anomalies if a.series == "heartbeat_lag_ms")
    assert (anomaly.kind, anomaly.service) == ("missing", "ledger")
    assert abs((anomaly.onset - at(-4)).total_seconds()) <= 60


def test_gaps_are_not_the_end_and_the_end_of_all_is_nobodys() -> None:
    rare = points_of(series("ledger", "x", USUAL[:20], start=-60, step=1))
    assert stopped(rare, ALERT, ALERT + 600) is None, "it stopped long before the onset"
    holes = series("ledger", "x", USUAL[:40], start=-60)
    kept = [i for i in range(40) if i % 9 < 6]
    holes = holes.model_copy(
        update={"timestamps": tuple(holes.timestamps[i] for i in kept), "values": tuple(holes.values[i] for i in kept)}
    )
    assert stopped(points_of(holes), ALERT - 1500, ALERT) is None, "its gaps are usual"
    all_end = [series(name, "rate", USUAL[:56], start=-60) for name in ("a", "b", "c")]
    assert not [a for a in find_symptoms(incident(), evidence(metrics=all_end)).anomalies if a.kind == "missing"]


def test_the_sentence_says_what_the_form_is() -> None:
    climbing = series("payments", "latency_ms", [*USUAL[:56], *[20.0 + 10 * i for i in range(14)]], start=-60)
    diagnosis = diagnose(incident(), evidence(metrics=[climbing]), Scenario())
    assert "latency_ms of payments climbs from" in " ".join(diagnosis.hypotheses[0].evidence)
