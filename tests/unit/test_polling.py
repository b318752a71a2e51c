"""Polling: nothing missed over an outage, nothing asked before it is due, no source that costs another."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.intake.polling import poll
from tests.connectors.questions import AROUND, Recorder


def scenario(**sources: Any) -> Scenario:
    given = sources or {
        "opsgenie": {"api_key": "key-0123", "poll_interval": "1m"},
        "pagerduty": {"api_key": "key-4567"},
    }
    return Scenario.model_validate({"alerts": {"sources": given}})


def alert(key: str, minutes: float) -> dict[str, Any]:
    at = (AROUND + timedelta(minutes=minutes)).isoformat()
    return {"id": key, "message": key, "status": "open", "createdAt": at}


class World:
    """Opsgenie and PagerDuty, which can be out of order."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.alerts = [alert("a", -5)]

    def __call__(self, request: httpx.Request) -> Any:
        if request.url.host in self.broken:
            return httpx.Response(401)
        if request.url.host == "api.opsgenie.com":
            return {"data": self.alerts}
        return {"incidents": [], "log_entries": [], "more": False}


def test_each_source_is_asked_when_it_is_due_and_goes_on_where_it_was() -> None:
    world = World()
    recorder = Recorder(world)
    first = poll(scenario(), None, AROUND, recorder.transport)
    assert [one.source_id for one in first.alerts] == ["a"]
    assert set(first.asked) == {"opsgenie", "pagerduty"}
    soon = poll(scenario(), first.cursor, AROUND + timedelta(seconds=30), recorder.transport)
    assert soon.asked == ("pagerduty",)
    later = poll(scenario(), soon.cursor, AROUND + timedelta(seconds=60), recorder.transport)
    assert set(later.asked) == {"opsgenie", "pagerduty"}
    queries = [r.url.params["query"] for r in recorder.requests if r.url.host == "api.opsgenie.com"]
    assert queries[0] == "status:open"
    assert queries[1] == f"updatedAt>={int((AROUND - timedelta(minutes=2)).timestamp() * 1000)}"


def test_an_outage_of_an_hour_misses_nothing_and_costs_no_other_source() -> None:
    world = World()
    recorder = Recorder(world)
    done = poll(scenario(), None, AROUND, recorder.transport)
    world.broken = {"api.opsgenie.com"}
    cursor = done.cursor
    for minute in range(1, 61):
        missed = poll(scenario(), cursor, AROUND + timedelta(minutes=minute), recorder.transport)
        assert missed.problems is not None
        assert "401 Unauthorized" in missed.problems["opsgenie"]
        assert "pagerduty" not in missed.problems
        cursor = missed.cursor
    world.broken = set()
    poll(scenario(), cursor, AROUND + timedelta(minutes=61), recorder.transport)
    last = [r.url.params["query"] for r in recorder.requests if r.url.host == "api.opsgenie.com"][-1]
    assert last == f"updatedAt>={int((AROUND - timedelta(minutes=2)).timestamp() * 1000)}"


def test_a_source_without_its_key_is_told_and_not_asked() -> None:
    recorder = Recorder(World())
    found = poll(scenario(pagerduty={}, datadog={"enabled": False}), None, AROUND, recorder.transport)
    assert found.problems == {"pagerduty": "connections.pagerduty.token is not set; give it as ${NAME}"}
    assert recorder.requests == []
    assert poll(Scenario(), None, AROUND).cursor == "{}"


@pytest.mark.parametrize(
    "cursor", ["", "{", "[]", '{"opsgenie": 3}', '{"opsgenie": {"cursor": "soon", "at": "x"}}', "null"]
)
def test_a_cursor_that_cannot_be_read_begins_anew(cursor: str) -> None:
    recorder = Recorder(World())
    found = poll(scenario(), cursor, AROUND, recorder.transport)
    assert [one.source_id for one in found.alerts] == ["a"]


def test_a_source_that_left_the_configuration_leaves_the_cursor() -> None:
    recorder = Recorder(World())
    first = poll(scenario(), None, AROUND, recorder.transport)
    one = poll(
        scenario(pagerduty={"api_key": "key-4567"}), first.cursor, AROUND + timedelta(hours=1), recorder.transport
    )
    assert set(json.loads(one.cursor)) == {"pagerduty"}
