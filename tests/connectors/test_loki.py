"""Loki by its documentation."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from incident_pipeline.config import Connection
from incident_pipeline.connectors.loki import build
from incident_pipeline.connectors.paging import with_remarks
from incident_pipeline.models import Envelope, EnvelopeStatus, EvidenceKind
from tests.connectors.questions import AROUND, Recorder, fetch, question, settings_for

NS = int(AROUND.timestamp()) * 10**9


def streams(*results: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "streams", "result": list(results)}}


def ask(recorder: Recorder, options: dict[str, str] | None = None, **about: Any) -> Envelope[Any]:
    connection = Connection(url="https://loki.example", options=options or {})
    return fetch(
        build(settings_for("loki", recorder.transport, connection=connection)), question(EvidenceKind.LOGS, **about)
    )


def test_lines_of_streams() -> None:
    values = [
        [str(NS + 1500), "level=error boom"],
        [str(NS), "GET / 200"],
        [str(NS + 1), "x", {"detected_level": "warn"}],
        ["soon", "x"],
    ]
    recorder = Recorder(lambda _: streams({"stream": {"service_name": "payments", "pod": "a"}, "values": values}, None))
    got = ask(recorder, {"tenant": "shop"})
    assert [(row.message, row.level) for row in got.rows] == [
        ("GET / 200", None),
        ("x", "warning"),
        ("level=error boom", "error"),
    ]
    assert got.rows[0].timestamp == AROUND
    assert got.rows[0].service == "payments"
    assert got.rows[0].attributes["pod"] == "a"
    assert "could not be read" in got.notes[0]
    request = next(request for request in recorder.requests if request.url.path.endswith("query_range"))
    assert request.headers["x-scope-orgid"] == "shop"
    assert request.url.path == "/loki/api/v1/query_range"
    assert int(request.url.params["end"]) == NS + 600 * 10**9


def test_names_cannot_change_the_query() -> None:
    recorder = Recorder(lambda _: streams())
    got = ask(
        recorder,
        {"label": "app", "environment_label": "env"},
        services=('a"} or {b', "c.d"),
        environment='p"',
        focus_patterns=("a|b",),
    )
    assert got.status is EnvelopeStatus.EMPTY
    assert got.query == (
        r'{app=~"a\"\\} or \\{b|c\\.d", env="p\""} |~ "(?i)(error|exception|fatal|critical|panic|a\\|b)"'
    )
    ask(recorder, services=())
    asked = [request for request in recorder.requests if request.url.path.endswith("query_range")]
    assert asked[-1].url.params["query"].startswith('{service_name=~".+"}')


def test_the_servers_own_count_is_told() -> None:
    counted = {"status": "success", "data": {"resultType": "vector", "result": [{"value": [1.0, "48211"]}]}}
    recorder = Recorder(lambda request: counted if request.url.path.endswith("/query") else streams())
    got = ask(recorder)
    assert got.notes == ("48211 lines complain by the server's count",)
    (request,) = (one for one in recorder.requests if one.url.path.endswith("/query"))
    assert request.url.params["query"].startswith("sum(count_over_time({service_name=")
    assert request.url.params["query"].endswith("[7800s]))")


def test_a_count_that_fails_costs_one_question_and_no_lines() -> None:
    lines = streams({"stream": {"service_name": "payments"}, "values": [[str(NS), "GET / 200"]]})
    recorder = Recorder(lambda request: httpx.Response(503) if request.url.path.endswith("/query") else lines)
    got = ask(recorder)
    assert got.notes == ()
    assert len(got.rows) == 1
    assert sum(one.url.path.endswith("/query") for one in recorder.requests) == 1


def test_lines_do_not_wait_for_a_count_that_does_not_come() -> None:
    async def answer_then_remarks() -> tuple[str, list[str]]:
        return await with_remarks(asyncio.sleep(0, "lines"), asyncio.sleep(3600, ["never"]), grace=0.01)

    assert asyncio.run(answer_then_remarks()) == ("lines", [])
