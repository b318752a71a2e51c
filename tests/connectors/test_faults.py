"""What goes wrong with every source, for every connector alike: rows, or one honest sentence, within the deadline."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
import stamina

from incident_pipeline.config import Scenario
from incident_pipeline.connectors.registry import CONNECTORS, build_sources
from incident_pipeline.evidence.gather import gather_now
from incident_pipeline.models import EnvelopeStatus, EvidenceKind, Gathered
from tests.connectors.questions import AROUND, incident

SECRET = "s3cr3t-5f8e2c91ab"  # noqa: S105


class Case(NamedTuple):
    """One connector and one kind that it is asked for."""

    name: str
    kind: EvidenceKind


NOT_HTTP = {"git", "catalogue"}
NAMED = {"jenkins", "cloudwatch"}
"""Connectors whose credentials have a name."""
CASES = [Case(name, kind) for name in sorted(set(CONNECTORS) - NOT_HTTP) for kind in sorted(CONNECTORS[name].kinds)]
IDS = [f"{case.name}-{case.kind.value}" for case in CASES]

every_connector = pytest.mark.parametrize("case", CASES, ids=IDS)


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


def scenario_for(case: Case, deadline: str = "5s") -> Scenario:
    """Every connector fully configured, asked for one kind."""
    connection = {
        "url": "https://source.example/base",
        "token": SECRET,
        "headers": {},
        "username": "user" if case.name in NAMED else None,
        "password": SECRET if case.name in NAMED else None,
        "options": {"region": "eu-central-1", "log_groups": "/ecs/$service", "page": "p1"},
    }
    projects = {"payments": ["shop/payments"]}
    sections: dict[str, Any] = {
        EvidenceKind.DEPLOYMENTS: {"deployments": {"sources": [case.name], "deadline": deadline, "projects": projects}},
        EvidenceKind.CODE_CHANGES: {"code": {"sources": [case.name], "deadline": deadline, "repositories": projects}},
        EvidenceKind.FLAG_CHANGES: {"flags": {"sources": [case.name], "deadline": deadline}},
        EvidenceKind.METRICS: {
            "metrics": {"provider": case.name, "deadline": deadline, "queries": {"errors": 'e{service="$service"}'}}
        },
        EvidenceKind.LOGS: {"logs": {"provider": case.name, "deadline": deadline}},
        EvidenceKind.RELATED_ALERTS: {"related_alerts": {"sources": [case.name], "deadline": deadline}},
        EvidenceKind.ON_CALL: {"on_call": {"deadline": deadline}},
        EvidenceKind.KUBERNETES_STATE: {
            "kubernetes": {"sources": [case.name], "namespaces": ["shop"], "deadline": deadline}
        },
    }
    return Scenario.model_validate(
        {
            "connections": {case.name: connection},
            "alerts": {"sources": {case.name: {"api_key": SECRET, "app_key": SECRET, "channel": "C01"}}},
            "context": sections[case.kind],
        }
    )


def ask(case: Case, handler: Callable[[httpx.Request], Any], deadline: str = "5s") -> Gathered[Any]:
    scenario = scenario_for(case, deadline)
    sources = build_sources(scenario, httpx.MockTransport(handler))
    return gather_now([case.kind], sources, incident(), scenario, AROUND)[case.kind]


def sentence(answer: Gathered[Any]) -> str:
    (gap,) = answer.gaps
    assert SECRET not in gap.reason
    assert "\n" not in gap.reason
    assert len(gap.reason) < 700
    return gap.reason


@every_connector
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_refusals_are_one_sentence_with_the_status(case: Case, status: int) -> None:
    body = {"error": f"no {SECRET}", "ok": False, "message": "no"}
    reason = sentence(ask(case, lambda _: httpx.Response(status, json=body)))
    assert str(status) in reason
    assert case.name in reason


@every_connector
def test_a_login_page_is_told(case: Case) -> None:
    reason = sentence(ask(case, lambda _: httpx.Response(200, html="<!doctype html><h1>Log in</h1>")))
    assert "answered a web page" in reason


@every_connector
@pytest.mark.parametrize("body", [b'{"data": [{"id"', b"", b"null", b"3", b'"text"', b"\xff\xfe\x00"])
def test_what_is_no_answer_is_told(case: Case, body: bytes) -> None:
    sentence(ask(case, lambda _: httpx.Response(200, content=body)))


@every_connector
@pytest.mark.parametrize("body", [{}, [], {"data": None}, {"status": "success", "data": {"result": []}, "ok": True}])
def test_an_answer_without_rows_is_empty_or_told(case: Case, body: Any) -> None:
    answer = ask(case, lambda _: body if isinstance(body, httpx.Response) else httpx.Response(200, json=body))
    assert not answer.rows
    assert answer.status is EnvelopeStatus.EMPTY or sentence(answer)


@every_connector
def test_a_huge_answer_is_not_read_to_its_end(case: Case) -> None:
    sent = 0

    class Huge(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal sent
            chunk = b" " * (1 << 20)
            for _ in range(50):
                sent += len(chunk)
                yield chunk

    reason = sentence(ask(case, lambda _: httpx.Response(200, stream=Huge())))
    assert "more than 32 MiB" in reason


@every_connector
def test_a_redirect_to_another_host_is_not_followed(case: Case) -> None:
    hosts = set()

    def handler(request: httpx.Request) -> httpx.Response:
        hosts.add(request.url.host)
        return httpx.Response(302, headers={"Location": "https://evil.example/"})

    assert "redirects" in sentence(ask(case, handler))
    assert hosts == {"source.example"}


@every_connector
def test_a_source_that_never_answers_costs_its_deadline(case: Case) -> None:
    async def handler(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        return httpx.Response(200)

    started = time.monotonic()
    sentence(ask(case, handler, "0.2s"))
    assert time.monotonic() - started < 2


@every_connector
def test_a_broken_connection_is_told(case: Case) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError(f"reset {SECRET}")

    assert "broke off" in sentence(ask(case, handler))


ODD: list[Any] = [None, 3, "text", [], {}, {"id": None}, {"id": 1, "attributes": None}, [None], True]


@every_connector
def test_rows_of_any_shape_do_no_harm(case: Case) -> None:
    """Each list that a source can answer holds nonsense; what can be read is, the rest is told, nothing is raised."""

    def everywhere(items: Any) -> dict[str, Any]:
        names = "oncalls services data groups items incidents alerts hits messages deployments workflow_runs builds"
        names += " log_entries results"
        nested = {"hits": items, "result": items, "total": 1, "attributes": {"series": items, "times": items}}
        return {**dict.fromkeys(names.split(), items), "ok": True, "status": "success", "hits": nested}

    for body in (ODD, everywhere(ODD), everywhere(None), everywhere({}), everywhere("text"), everywhere(3)):
        text = json.dumps(body)
        answer = ask(case, lambda _, text=text: httpx.Response(200, text=text))
        for envelope in answer.envelopes:
            assert "the connector" not in (envelope.error or ""), (body, envelope.error)


@every_connector
def test_pages_without_an_end_are_given_up(case: Case) -> None:
    count = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        page = {"after": f"cursor-{count}"}
        body = {"data": [{"id": str(count)}], "meta": {"page": page}, "metadata": {"page_count": 10**9}, "more": True}
        body |= {"groups": [{}], "ok": True, "has_more": True, "response_metadata": {"next_cursor": f"c{count}"}}
        body |= {"messages": [{}], "change_events": [{}], "incidents": [{}], "paging": {"next": str(request.url)}}
        return httpx.Response(200, json=body, headers={"Link": f'<{request.url}>; rel="next"'})

    started = time.monotonic()
    ask(case, handler, "3s")
    assert time.monotonic() - started < 5
    assert count < 1000


@every_connector
def test_numbers_as_texts_duplicates_and_unknown_words_do_no_harm(case: Case) -> None:
    """Rows that are nearly right: what is read is told once, what is not is counted, nothing is raised."""
    at = AROUND.isoformat()
    row = {
        **{"id": "7", "sha": "a" * 40, "monitor_id": "7", "number": "7", "ts": str(AROUND.timestamp()), "key": "x"},
        **{"created_at": at, "createdAt": at, "startsAt": at, "timestamp": at, "committed_date": at, "updated_at": at},
        **{
            "status": "sideways",
            "state": "sideways",
            "result": "SIDEWAYS",
            "severity": "sideways",
            "urgency": "sideways",
        },
        **{"message": "outage", "title": "outage", "text": "outage", "name": "deploy", "labels": {}, "attributes": {}},
        **{"last_triggered_ts": "1795444500", "values": [["1", "2"]], "metric": {}, "_source": {"@timestamp": at}},
        **{"metadata": {"name": "x"}, "commit": {"committer": {"date": at}}, "Timestamps": ["1"], "Values": ["2"]},
    }
    rows = [row, row]
    body: dict[str, Any] = dict.fromkeys(
        ("data", "groups", "items", "incidents", "messages", "workflow_runs", "builds", "events", "MetricDataResults"),
        rows,
    )
    body |= {"ok": True, "status": "success", "hits": {"hits": rows}, "change_events": rows}
    for answer in (
        body,
        rows,
        {**body, "data": {"result": rows, "attributes": {"series": rows, "times": [], "values": []}}},
    ):
        got = ask(case, lambda _, answer=answer: httpx.Response(200, json=answer))
        for envelope in got.envelopes:
            assert "the connector" not in (envelope.error or ""), envelope.error


DIALECTS: dict[str, tuple[int, dict[str, str], Any]] = {
    "cloudwatch": (400, {}, {"__type": "ThrottlingException", "message": "Rate exceeded"}),
    "datadog": (429, {"X-RateLimit-Reset": "2", "X-RateLimit-Remaining": "9"}, None),
    "github": (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9999999999"}, {"message": "limit"}),
    "github-actions": (403, {"Retry-After": "60"}, {"message": "You have exceeded a secondary rate limit"}),
    "gitlab": (429, {"RateLimit-Reset": "9999999999"}, None),
    "opsgenie": (429, {"X-RateLimit-State": "THROTTLED", "X-RateLimit-Period-In-Sec": "60"}, None),
    "pagerduty": (429, {"ratelimit-reset": "60"}, None),
    "slack": (200, {}, {"ok": False, "error": "ratelimited"}),
    "statuspage": (420, {}, {"error": "calm down"}),
}
"""How each vendor words that it was asked too often; the others send 429 with Retry-After."""


@every_connector
def test_a_limit_in_the_vendors_own_words_is_told_within_the_deadline(case: Case) -> None:
    status, headers, body = DIALECTS.get(case.name, (429, {"Retry-After": "60"}, None))
    content = b"" if body is None else json.dumps(body).encode()
    started = time.monotonic()
    reason = sentence(ask(case, lambda _: httpx.Response(status, headers=headers, content=content), "1s"))
    assert "rate" in reason.lower() or str(status) in reason
    assert time.monotonic() - started < 3


@every_connector
def test_an_answer_of_one_byte_at_a_time_costs_its_deadline(case: Case) -> None:
    class Slow(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(10_000):
                yield b" "
                await asyncio.sleep(0.05)

    started = time.monotonic()
    sentence(ask(case, lambda _: httpx.Response(200, stream=Slow()), "0.3s"))
    assert time.monotonic() - started < 2


@every_connector
def test_a_clock_an_hour_off_changes_nothing(case: Case) -> None:
    dates = ("Mon, 23 Nov 2026 13:35:00 GMT", "Mon, 23 Nov 2026 15:35:00 GMT", "once upon a time")
    body = {"status": "success", "ok": True, "data": {"result": [], "groups": []}}
    found = [
        ask(case, lambda _, date=date: httpx.Response(200, json=body, headers={"Date": date})).status for date in dates
    ]
    assert len(set(found)) == 1
