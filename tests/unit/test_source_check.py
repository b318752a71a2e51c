"""What `doctor` reads from the answers of sources."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.connectors.registry import build_sources
from incident_pipeline.evidence.source_check import Check, check_sources, unplaced_services
from incident_pipeline.models import EnvelopeStatus, Service
from tests.connectors.questions import AROUND

COMMIT = {
    "sha": "a" * 40,
    "commit": {"message": "Halve the pool", "committer": {"date": (AROUND - timedelta(minutes=5)).isoformat()}},
}


def check(answer: Any) -> Check:
    scenario = Scenario.model_validate(
        {
            "connections": {"github": {"token": "ghp_0123456789"}},
            "context": {"code": {"sources": ["github"], "repositories": {"payment-svc": ["shop/payments"]}}},
        }
    )
    sources = build_sources(scenario, httpx.MockTransport(answer))
    (found,) = check_sources(scenario, sources, [Service(name="payments")], AROUND)
    return found


def test_a_source_that_works_shows_a_row() -> None:
    found = check(lambda r: httpx.Response(200, json=COMMIT if r.url.path.endswith("a") else [COMMIT]))
    assert found.envelope.status is EnvelopeStatus.OK
    assert (found.reachable, found.authorised, found.clock_off) == (True, True, None)
    assert found.sample == "payment-svc: Halve the pool"


def test_what_the_credentials_lack_is_told() -> None:
    lacking = {"X-Accepted-GitHub-Permissions": "contents=read"}
    found = check(lambda _: httpx.Response(403, json={"message": "Resource not accessible"}, headers=lacking))
    assert (found.reachable, found.authorised, found.missing_scopes) == (True, False, "contents=read")


def test_a_source_that_cannot_be_reached() -> None:
    def nobody(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    found = check(nobody)
    assert (found.reachable, found.authorised) == (False, None)


@pytest.mark.parametrize(("hours", "off"), [(1, 3600), (-2, -7200), (0, None)])
def test_a_clock_that_is_off_is_told(hours: int, off: float | None) -> None:
    import time
    from datetime import UTC, datetime

    date = format_datetime(datetime.fromtimestamp(time.time(), UTC) + timedelta(hours=hours), usegmt=True)
    found = check(lambda _: httpx.Response(200, json=[], headers={"Date": date}))
    assert found.clock_off == pytest.approx(off, abs=30) if off else found.clock_off is None


def test_services_that_cannot_be_placed_are_listed_with_what_they_could_be() -> None:
    found = check(lambda r: httpx.Response(200, json=COMMIT if r.url.path.endswith("a") else [COMMIT]))
    assert unplaced_services([found], [Service(name="payments")]) == ["payment-svc"]
    assert unplaced_services([found], [Service(name="payment")]) == [
        "payment-svc (perhaps payment: a usual ending, 70% sure)"
    ]
    assert unplaced_services([found], [Service(name="x", aliases=("payment-svc",))]) == []
