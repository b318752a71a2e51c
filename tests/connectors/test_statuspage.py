"""Statuspage by its specification and its habits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest
import stamina

from incident_pipeline.config import Connection
from incident_pipeline.connectors.statuspage import Statuspage, build
from incident_pipeline.errors import ConfigurationError, InputError, TransientSourceError
from incident_pipeline.models import EvidenceKind, Severity
from tests.connectors.contracts import Contract
from tests.connectors.questions import Recorder, question, settings_for

INCIDENT = {
    "id": "i1",
    "name": "Payments fail",
    "status": "investigating",
    "impact": "major",
    "shortlink": "https://stspg.io/i1",
}
Result = TypeVar("Result")


def ask(recorder: Recorder, work: Callable[[Statuspage], Awaitable[Result]]) -> Result:
    connection = Connection(token="oauth-0123456789", options={"page": "p/1"})  # noqa: S106
    page = build(settings_for("statuspage", recorder.transport, connection=connection))

    async def run() -> Result:
        try:
            return await work(page)
        finally:
            await page.close()

    return asyncio.run(run())


def valid(recorder: Recorder) -> bool:
    contract = Contract("statuspage/openapi.trim.json", "/v1")
    assert [problem for request in recorder.requests for problem in contract.problems(request)] == []
    return True


def test_an_incident_is_opened_updated_and_found_by_its_key() -> None:
    ours = {**INCIDENT, "metadata": {"incident_pipeline": {"key": "INC-1"}}}
    recorder = Recorder(lambda request: [INCIDENT, ours] if request.method == "GET" else ours)
    components = {"c1": "partial_outage"}
    opened = ask(
        recorder, lambda page: page.create("INC-1", "Payments\nfail", "We look.", impact="major", components=components)
    )
    assert (opened.id, opened.key, opened.url) == ("i1", "INC-1", "https://stspg.io/i1")
    sent = recorder.bodies[0]["incident"]
    assert sent["name"] == "Payments fail"
    assert sent["deliver_notifications"] is False
    assert (sent["components"], sent["component_ids"]) == (components, ["c1"])
    assert recorder.requests[0].headers["authorization"] == "OAuth oauth-0123456789"
    assert recorder.requests[0].url.raw_path == b"/v1/pages/p%2F1/incidents"
    ask(recorder, lambda page: page.update("i1", "Fixed.", status="resolved", notify=True))
    assert recorder.requests[1].method == "PATCH"
    found = ask(recorder, lambda page: page.find("INC-1"))
    assert found == opened
    assert ask(recorder, lambda page: page.find("INC-2")) is None


def test_requests_are_valid_by_the_specification() -> None:
    recorder = Recorder(lambda request: [] if request.method == "GET" else INCIDENT)

    async def everything(page: Statuspage) -> None:
        await page.components()
        await page.unresolved()
        await page.create("k", "n", "b", impact="minor", components={"c": "operational"})
        await page.update("i", "b", status="monitoring")

    connection = Connection(token="oauth-0123456789", options={"page": "p1"})  # noqa: S106
    page = build(settings_for("statuspage", recorder.transport, connection=connection))
    asyncio.run(everything(page))
    assert valid(recorder)


def test_parts_of_the_page() -> None:
    parts: list[Any] = [{"id": "c1", "name": "Payments", "status": "operational"}, None, {}]
    (part,) = ask(Recorder(lambda _: parts), lambda page: page.components())
    assert (part.name, part.status) == ("Payments", "operational")


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"name": " "}, "name: missing"),
        ({"status": "broken"}, "status: 'broken' is not one of investigating"),
        ({"impact": "huge"}, "impact: 'huge' is not one of none"),
        ({"components": {"c1": "red"}}, "components: 'red' is not one of operational"),
    ],
)
def test_what_the_page_does_not_know_is_refused_here(about: dict[str, Any], words: str) -> None:
    recorder = Recorder(lambda _: INCIDENT)
    given = {"name": "n", "body": "b", **about}
    with pytest.raises(InputError, match=words):
        ask(recorder, lambda page: page.create("k", **given))
    assert recorder.requests == []


def test_reading_waits_for_the_limit_and_writing_is_never_repeated() -> None:
    answers = iter([httpx.Response(420), httpx.Response(429), httpx.Response(200, json=[])])
    recorder = Recorder(lambda _: next(answers))
    with stamina.set_testing(True, attempts=4, cap=True):
        assert ask(recorder, lambda page: page.unresolved()) == []
    failing = Recorder(lambda _: httpx.Response(420))
    with pytest.raises(TransientSourceError, match="420"):
        ask(failing, lambda page: page.create("k", "n", "b"))
    assert len(failing.requests) == 1


def test_without_a_page_or_key_it_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"connections.statuspage.options.page is not set"):
        build(settings_for("statuspage"))
    with pytest.raises(ConfigurationError, match=r"connections.statuspage.token is not set"):
        build(settings_for("statuspage", connection=Connection(options={"page": "p"})))


def test_what_the_page_shows_as_going_on() -> None:
    at_, ours = "2026-11-23T14:00:00.000Z", {"incident_pipeline": {"key": "INC"}}
    incidents = [
        {
            **{"id": "i1", "name": "Payments fail", "status": "identified", "impact": "critical", "created_at": at_},
            **{"incident_updates": [{"body": "A release is rolled back."}], "components": [{"name": "Payments"}]},
        },
        {
            "id": "i2",
            "name": "ours",
            "status": "identified",
            "created_at": at_,
            "metadata": ours,
        },
        {"id": "i3", "name": "odd", "status": None, "impact": "sideways", "created_at": None},
    ]
    parts = [
        {"id": "c1", "name": "API", "status": "partial_outage", "updated_at": at_},
        {"id": "c2", "name": "Web", "status": "operational", "updated_at": at_},
        {"id": "c3", "name": None, "status": "invented", "updated_at": at_},
    ]
    recorder = Recorder(lambda r: incidents if r.url.path.endswith("unresolved") else parts)
    got = ask(recorder, lambda page: page.fetch(question(EvidenceKind.RELATED_ALERTS)))
    paths = {request.url.raw_path.partition(b"?")[0] for request in recorder.requests}
    assert paths == {b"/v1/pages/p%2F1/incidents/unresolved", b"/v1/pages/p%2F1/components"}
    first, second = got.rows
    assert (first.title, first.severity, first.service) == ("Payments fail", Severity.P1, "Payments")
    assert first.summary == "A release is rolled back."
    assert (second.title, second.severity, second.service) == ("API: partial outage", Severity.P2, "API")
    assert "1 incidents could not be read" in got.notes[0]
