"""Which past incidents are similar, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kb import IncidentSignature, find_similar

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
PRESENT = IncidentSignature(
    incident_id="INC-NOW",
    title="Payment errors",
    text="payments answers 500, connection pool exhausted after deployment",
    services=("payments",),
    neighbours=("checkout", "ledger"),
    alert_names=("PaymentErrorRate",),
    log_templates=("could not get connection from pool after <*> ms",),
    anomalous_series=(("error_rate", "up"), ("latency_p99", "up")),
    change_type="deployment",
    minutes_after_change=6,
    started_at=NOW,
)
TWIN = replace(
    PRESENT, incident_id="INC-OLD", started_at=NOW - timedelta(days=30), ended_at=NOW - timedelta(days=30, hours=-1)
)
OTHER = IncidentSignature(
    "INC-DNS",
    title="Search slow",
    text="name resolution of search fails",
    services=("search",),
    alert_names=("CoreDNSErrors",),
    log_templates=("lookup <*> no such host",),
    anomalous_series=(("dns_errors", "up"),),
    started_at=NOW - timedelta(days=3),
    ended_at=NOW - timedelta(days=2),
)


def test_a_twin_is_similar_and_says_why() -> None:
    (match,) = find_similar(PRESENT, [OTHER, TWIN], NOW)
    assert match.incident_id == "INC-OLD"
    assert match.similarity > 0.85
    text = "; ".join(match.why)
    assert "same log pattern" in text
    assert "same service: payments" in text
    assert "both 6 minutes after a deployment" in text
    assert "same alert: PaymentErrorRate" in text


def test_nothing_similar_is_an_answer() -> None:
    assert find_similar(PRESENT, [OTHER], NOW) == []
    assert find_similar(PRESENT, [], NOW) == []


@pytest.mark.parametrize(
    "hidden",
    [
        replace(TWIN, incident_id="INC-NOW"),
        replace(TWIN, ended_at=NOW + timedelta(seconds=1)),
        replace(TWIN, ended_at=None),
        replace(TWIN, started_at=NOW - timedelta(days=91)),
    ],
    ids=["itself", "ended later", "still going on", "too long ago"],
)
def test_what_must_not_be_seen(hidden: IncidentSignature) -> None:
    assert find_similar(PRESENT, [hidden], NOW, threshold=0.0) == []


def test_sharing_only_the_service_is_not_enough() -> None:
    past = IncidentSignature("INC-X", services=("payments",), started_at=TWIN.started_at, ended_at=TWIN.ended_at)
    (match,) = find_similar(PRESENT, [past], NOW, threshold=0.0)
    assert match.similarity <= 0.67


def test_a_neighbour_counts_half() -> None:
    near = replace(TWIN, incident_id="INC-NEAR", services=("ledger",))
    same, neighbour = (find_similar(PRESENT, [s], NOW, threshold=0.0)[0] for s in (TWIN, near))
    assert neighbour.similarity < same.similarity
    assert "neighbouring service: ledger" in neighbour.why


def test_the_opposite_direction_is_another_symptom() -> None:
    opposite = replace(TWIN, anomalous_series=(("error_rate", "down"), ("latency_p99", "down")))
    same, other = (find_similar(PRESENT, [s], NOW, threshold=0.0)[0] for s in (TWIN, opposite))
    assert other.similarity < same.similarity


def test_records_survive_json() -> None:
    assert IncidentSignature.from_json(TWIN.as_json()) == TWIN
    assert IncidentSignature.from_json({"incident_id": "x", "unknown": 1}) == IncidentSignature("x")
