"""How often a source is asked, by all runs together: runs are processes, what they share is the inbox's database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from incident_pipeline.config import Connection
from incident_pipeline.connectors.answers import Dialect, Rate, RateLimitedError
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.connectors.limits import limited_by
from incident_pipeline.storage.rate_store import RateStore

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
RATE = Rate(20, 60)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def store(tmp_path: Path, clock: Clock) -> RateStore:
    return RateStore(tmp_path / "inbox.sqlite", clock)


def test_two_runs_share_the_turns_of_one_source(tmp_path: Path) -> None:
    clock = Clock()
    one, other = store(tmp_path, clock), store(tmp_path, clock)
    assert [one.reserve("pagerduty", RATE, 10), other.reserve("pagerduty", RATE, 10)] == [0, 0]
    assert one.reserve("pagerduty", RATE, 2) == pytest.approx(6)
    assert other.reserve("opsgenie", RATE, 2) == 0
    clock.now += timedelta(seconds=60)
    assert other.reserve("pagerduty", RATE, 2) == 0


def test_a_clock_that_was_set_back_does_not_stop_everybody(tmp_path: Path) -> None:
    clock = Clock()
    clock.now = NOW + timedelta(days=300)
    store(tmp_path, clock).reserve("pagerduty", RATE, 2)
    clock.now = NOW
    assert store(tmp_path, clock).reserve("pagerduty", RATE, 2) <= 10 * RATE.seconds


def test_a_store_that_is_broken_limits_nobody(tmp_path: Path) -> None:
    (tmp_path / "inbox.sqlite").write_bytes(b"no database" * 100)
    broken = store(tmp_path, Clock())
    assert (broken.reserve("pagerduty", RATE, 2), broken.paused("pagerduty")) == (0, 0)
    broken.pause("pagerduty", 5)


def ask(ledger: Any, answer: httpx.Response, seconds: float = 5.0, rate: Rate | None = None) -> list[httpx.Request]:
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer

    dialect = Dialect(rate=rate)
    client = HttpClient(
        "pagerduty", "https://x.example", Connection(), dialect=dialect, transport=httpx.MockTransport(handler)
    )
    with limited_by(ledger):
        asyncio.run(client.request("GET", "/", deadline=Deadline(seconds), retry=False))
    return asked


def test_a_pause_that_one_run_is_asked_for_is_heeded_by_the_next(tmp_path: Path) -> None:
    clock = Clock()
    with pytest.raises(RateLimitedError, match="429"):
        ask(store(tmp_path, clock), httpx.Response(429, headers={"Retry-After": "40"}))
    with pytest.raises(
        RateLimitedError, match="not asked: its limit is used up, by all runs together, for another 40 s"
    ):
        ask(store(tmp_path, clock), httpx.Response(200))
    clock.now += timedelta(seconds=41)
    assert len(ask(store(tmp_path, clock), httpx.Response(200))) == 1


def test_turns_that_come_after_the_deadline_are_not_waited_for(tmp_path: Path) -> None:
    ledger = store(tmp_path, Clock())
    ledger.reserve("pagerduty", RATE, 60)
    with pytest.raises(RateLimitedError, match="used up"):
        ask(ledger, httpx.Response(200), rate=RATE)
    assert len(ask(ledger, httpx.Response(200))) == 1
