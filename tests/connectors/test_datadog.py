"""Datadog by its specification, its recordings and its habits."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import stamina

from incident_pipeline.config import AlertSource, Connection
from incident_pipeline.connectors.datadog import build, fill, log_query
from incident_pipeline.connectors.datadog_alerts import WEBHOOK_TEMPLATE, alerts_from_webhook
from incident_pipeline.errors import ConfigurationError, InputError, PermanentSourceError
from incident_pipeline.models import AlertStatus, Envelope, EnvelopeStatus, EvidenceKind, Severity
from tests.connectors.contracts import Contract, answer_of, recorded
from tests.connectors.questions import AROUND, Recorder, fetch, question, settings_for

KEYS = AlertSource(api_key="api-key-1", app_key="app-key-2")
QUERIES = {"error_rate": "sum:http.requests{status:5xx,service:$service}.as_rate()"}
MS = int(AROUND.timestamp() * 1000)
TIMESERIES = {
    "data": {
        "type": "timeseries_response",
        "attributes": {
            "series": [
                {"group_tags": ["pod:a"], "query_index": 0, "unit": [{"name": "request"}, {"name": "second"}]},
                {"group_tags": ["service:cart"], "query_index": 0, "unit": None},
            ],
            "times": [MS - 60_000, MS],
            "values": [[0.5, None], [1, 2]],
        },
    }
}


def source(recorder: Recorder) -> Any:
    return build(settings_for("datadog", recorder.transport, keys=KEYS))


def ask(recorder: Recorder, kind: EvidenceKind, **about: Any) -> Envelope[Any]:
    return fetch(source(recorder), question(kind, **about))


def log(number: int, **about: Any) -> dict[str, Any]:
    at = (AROUND + timedelta(seconds=number)).isoformat()
    attributes = {"timestamp": at, "status": "error", "service": "payments", "message": f"boom {number}", **about}
    return {"id": f"id-{number}", "type": "log", "attributes": attributes}


def test_metrics_of_v2() -> None:
    recorder = Recorder(lambda _: TIMESERIES)
    answer = ask(recorder, EvidenceKind.METRICS, queries=QUERIES)
    (request,) = recorder.requests
    assert Contract("datadog/v2.trim.json").problems(request) == []
    assert (request.headers["dd-api-key"], request.headers["dd-application-key"]) == ("api-key-1", "app-key-2")
    attributes = recorder.bodies[0]["data"]["attributes"]
    assert attributes["queries"][0]["query"] == "sum:http.requests{status:5xx,service:payments}.as_rate()"
    assert attributes["to"] - attributes["from"] == 130 * 60 * 1000
    first, second = answer.rows
    assert (first.name, first.service, first.labels, first.unit) == (
        "error_rate",
        "payments",
        {"pod": "a"},
        "request/second",
    )
    assert first.timestamps == (AROUND.timestamp() - 60, AROUND.timestamp())
    assert first.values[0] == 0.5
    assert math.isnan(first.values[1])
    assert (second.service, second.labels) == ("cart", {})


def test_metrics_of_v1_where_v2_is_not_offered() -> None:
    (interaction,) = recorded("datadog/recorded/v1/test_query_timeseries_points_returns_ok_response.json")

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404) if request.method == "POST" else answer_of(interaction)

    recorder = Recorder(answer)
    got = ask(recorder, EvidenceKind.METRICS, queries={"cpu": "system.cpu.idle{*}"})
    assert Contract("datadog/v1.trim.json").problems(recorder.requests[1]) == []
    (series,) = got.rows
    assert (series.name, series.service, series.unit, len(series.values)) == ("cpu", "payments", "percent", 288)
    assert (series.timestamps[0], series.values[0]) == (1641344100.0, 91.4583840476142)


@pytest.mark.parametrize(
    ("service", "filled"),
    [
        ("payments", "avg:cpu{service:payments}"),
        ("Team/Payments API", "avg:cpu{service:team/payments_api}"),
        ("a} or {b", "avg:cpu{service:a__or__b}"),
        (None, "avg:cpu{service:*}"),
    ],
)
def test_names_become_tag_values(service: str | None, filled: str) -> None:
    assert fill("avg:cpu{service:$service}", service, None) == filled


def test_logs_are_asked_so_that_they_say_something() -> None:
    recorder = Recorder(lambda _: {"data": []})
    asked = question(EvidenceKind.LOGS, limit=100, focus_patterns=("timeout", 'say "no"'), environment="prod")
    answer = fetch(source(recorder), asked)
    assert answer.status is EnvelopeStatus.EMPTY
    contract = Contract("datadog/v2.trim.json")
    assert [problem for request in recorder.requests for problem in contract.problems(request)] == []
    (counted,) = [body for body in recorder.bodies if "compute" in body]
    assert counted["filter"]["query"] == log_query(asked, complaints=True)
    bodies = sorted((b for b in recorder.bodies if "page" in b), key=lambda body: body["page"]["limit"])
    assert [body["page"]["limit"] - 1 for body in bodies] == [10, 20, 20, 50]
    for body in bodies:
        assert body["filter"]["query"].startswith('(service:"payments") env:"prod"')
    assert log_query(asked, complaints=True) == (
        '(service:"payments") env:"prod" '
        '(status:(error OR critical OR alert OR emergency) OR "timeout" OR "say \\"no\\"")'
    )
    windows = {(body["filter"]["from"], body["filter"]["to"]) for body in bodies}
    assert windows == {
        ("2026-11-23T12:35:00Z", "2026-11-23T14:20:00Z"),
        ("2026-11-23T14:20:00Z", "2026-11-23T14:45:00Z"),
    }


def test_pages_of_logs_are_followed_until_the_cap_and_rows_are_not_doubled() -> None:
    def answer(request: httpx.Request) -> Any:
        body = json.loads(request.content)
        if "compute" in body:
            return {"data": {"buckets": [{"computes": {"c0": 1234}}]}, "meta": {"status": "done"}}
        cursor = int(body["page"].get("cursor", 0))
        count = min(3, body["page"]["limit"])
        return {
            "data": [log(cursor + n) for n in range(count)],
            "meta": {"page": {"after": str(cursor + count)}},
        }

    got = ask(Recorder(answer), EvidenceKind.LOGS, limit=20)
    assert [row.message for row in got.rows] == [f"boom {n}" for n in range(10)]
    assert got.truncated
    assert got.rows[0].level == "error"
    assert "1234 lines complain by the server's count" in got.notes


def test_recorded_pages_of_logs() -> None:
    pages = iter(recorded("datadog/recorded/v2/test_get_a_list_of_logs_returns_ok_response_with_pagination.json"))
    first = next(pages)["response"]["body"]
    last = {"data": []}

    def answer(request: httpx.Request) -> Any:
        body = json.loads(request.content)
        if "compute" in body:
            return httpx.Response(403)
        return last if "cursor" in body["page"] else first

    got = ask(Recorder(answer), EvidenceKind.LOGS)
    assert [row.message for row in got.rows] == ["- -> /"] * 2
    assert got.rows[0].timestamp == datetime(2022, 4, 12, 9, 51, 55, 408000, tzinfo=UTC)
    assert (got.rows[0].level, got.rows[0].attributes["tags"]["env"]) == ("info", "integrations-lab")
    assert not got.truncated


def problems(recorder: Recorder) -> list[str]:
    v1, v2 = Contract("datadog/v1.trim.json"), Contract("datadog/v2.trim.json")
    return [p for request in recorder.requests for p in (v2 if "/v2/" in request.url.path else v1).problems(request)]


def event(minutes: int, status: str, monitor: Any = 9, **about: Any) -> dict[str, Any]:
    """What a monitor tells when it changes, so many minutes after the alert."""
    inner = {"monitor_id": monitor, "monitor_groups": ["service:ledger"], "status": status, **about}
    inner["title"] = "[Triggered] Ledger is slow"
    moment = (AROUND + timedelta(minutes=minutes)).isoformat()
    return {"id": f"e{minutes}", "type": "event", "attributes": {"timestamp": moment, "attributes": inner}}


def related(*events: Any, refused: int | None = None) -> Envelope[Any]:
    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/api/v2/events/search":
            return httpx.Response(refused) if refused else {"data": list(events)}
        return {"groups": [], "metadata": {"page_count": 1}}

    recorder = Recorder(answer)
    with stamina.set_testing(True, attempts=1):
        got = ask(recorder, EvidenceKind.RELATED_ALERTS)
    assert problems(recorder) == []
    return got


def test_what_recovered_in_the_window_is_told_by_the_events() -> None:
    got = related(event(-20, "error"), event(-9, "success"), event(-5, "error", None))
    (alert,) = got.rows
    assert (alert.source_id, alert.title, alert.service) == ("9:service:ledger", "Ledger is slow", "ledger")
    assert (alert.status, alert.started_at) == (AlertStatus.RESOLVED, AROUND - timedelta(minutes=20))
    assert alert.resolved_at == AROUND - timedelta(minutes=9)


@pytest.mark.parametrize(("lasted", "minutes"), [(600 * 10**9, 19), (None, 9), (-1, 9), (10**30, 9), ("x", 9)])
def test_a_recovery_tells_since_when_it_was(lasted: Any, minutes: int) -> None:
    (alert,) = related(event(-9, "success", duration=lasted)).rows
    assert alert.started_at == AROUND - timedelta(minutes=minutes)


@pytest.mark.parametrize(("status", "partial"), [(403, False), (503, True)])
def test_events_that_cannot_be_read_cost_themselves_alone(status: int, partial: bool) -> None:
    got = related(refused=status)
    assert (got.status, got.partial) == (EnvelopeStatus.EMPTY, partial)
    assert "events of monitors were not read" in got.notes[0]


def test_the_recorded_answer_without_events_is_read() -> None:
    (interaction,) = recorded("datadog/recorded/v2/test_get_a_list_of_events_returns_ok_response.json")
    assert related(*answer_of(interaction).json()["data"]).status is EnvelopeStatus.EMPTY


def test_triggered_monitors_are_related_alerts() -> None:
    group = {
        "monitor_id": 7,
        "monitor_name": "Errors on {{service.name}}",
        "group": "service:payments,env:prod",
        "group_tags": ["service:payments", "env:prod"],
        "status": "Alert",
        "last_triggered_ts": int(AROUND.timestamp()),
    }
    pages = [[group, {**group, "monitor_id": None}], [{**group, "monitor_id": 8, "last_triggered_ts": None}], [3]]

    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/api/v2/events/search":
            return {"data": []}
        page = int(request.url.params["page"])
        return {"groups": pages[page], "metadata": {"page": page, "page_count": 3, "per_page": 100}}

    recorder = Recorder(answer)
    got = ask(recorder, EvidenceKind.RELATED_ALERTS)
    assert problems(recorder) == []
    alert = got.rows[0]
    assert (alert.source_id, alert.service, alert.environment) == ("7:service:payments,env:prod", "payments", "prod")
    assert (alert.started_at, alert.severity, alert.labels["severity"]) == (AROUND, Severity.P2, "Alert")
    assert "monitor groups could not be read" in got.notes[0]


def change_event(kind: str, **about: Any) -> dict[str, Any]:
    """A change event as Datadog tells it, five minutes before the alert."""
    inner = {
        "title": "checkout-v2 turned",
        "changed_resource": {"name": "checkout-v2", "type": kind},
        "impacted_resources": [{"name": "payments", "type": "service"}],
        "author": {"name": "ci@example.com", "type": "user"},
        "prev_value": {"enabled": False},
        "new_value": {"enabled": True, "percentage": "50%"},
        **about,
    }
    moment = (AROUND - timedelta(minutes=5)).isoformat()
    outer = {"timestamp": moment, "tags": ["env:prod", "service:cart"], "attributes": inner}
    return {"id": f"event-{kind}", "type": "event", "attributes": outer}


def test_flags_are_read_from_change_events() -> None:
    events = [change_event("feature_flag"), change_event("configuration"), event(-5, "error"), {"id": "none"}]
    recorder = Recorder(lambda _: {"data": events})
    got = ask(recorder, EvidenceKind.FLAG_CHANGES)
    assert problems(recorder) == []
    assert recorder.bodies[0]["filter"]["query"] == "@evt.category:change"
    (flag,) = got.rows
    assert (flag.name, flag.service, flag.actor) == ("checkout-v2", "payments", "ci@example.com")
    assert (flag.previous_value, flag.value) == ('{"enabled": false}', '{"enabled": true, "percentage": "50%"}')
    assert flag.changed_at == AROUND - timedelta(minutes=5)


def test_deployments_are_those_of_dora_metrics_and_changed_configurations() -> None:
    ns = int(AROUND.timestamp()) * 10**9
    reported = {
        "id": "4242",
        "type": "dora_deployment",
        "attributes": {
            "service": "payments",
            "env": "production",
            "version": "v2.3.5",
            "started_at": ns - 420 * 10**9,
            "finished_at": ns - 360 * 10**9,
            "git": {"commit_sha": "66adc9350f2cc9b250b69abddab733dd55e1a588", "repository_id": "example.com/shop/p"},
            "custom_tags": ["region:eu"],
            "team": "shop",
        },
    }

    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/api/v2/dora/deployments":
            return {"data": [reported, {"id": "half", "attributes": {"service": "x"}}]}
        return {"data": [change_event("configuration", impacted_resources=[], service=None)]}

    recorder = Recorder(answer)
    got = ask(recorder, EvidenceKind.DEPLOYMENTS, environment="production")
    assert problems(recorder) == []
    asked = next(body["data"]["attributes"] for body in recorder.bodies if "data" in body)
    assert asked["query"] == '(service:"payments") env:"production"'
    released, configured = got.rows
    assert (released.id, released.service, released.environment, released.version) == (
        "4242",
        "payments",
        "production",
        "v2.3.5",
    )
    assert (released.started_at, released.finished_at) == (
        AROUND - timedelta(minutes=7),
        AROUND - timedelta(minutes=6),
    )
    assert released.commit_sha == "66adc9350f2cc9b250b69abddab733dd55e1a588"
    assert released.attributes == {"region": "eu", "team": "shop", "repository": "example.com/shop/p"}
    assert (configured.service, configured.environment, configured.strategy) == ("cart", "prod", "configuration")
    assert (configured.attributes["configuration"], configured.at) == ("checkout-v2", AROUND - timedelta(minutes=5))
    assert "1 deployments could not be read" in got.notes[0]


def test_who_may_not_read_dora_metrics_still_has_the_configurations() -> None:
    def answer(request: httpx.Request) -> Any:
        return httpx.Response(403) if "dora" in request.url.path else {"data": [change_event("configuration")]}

    got = ask(Recorder(answer), EvidenceKind.DEPLOYMENTS)
    assert [row.strategy for row in got.rows] == ["configuration"]
    assert got.partial
    assert "403" in got.notes[0]


def test_a_rate_limit_is_believed_only_in_its_reset() -> None:
    headers = {"X-RateLimit-Reset": "7200", "X-RateLimit-Remaining": "9", "X-RateLimit-Period": "10"}
    recorder = Recorder(lambda _: httpx.Response(429, headers=headers))
    with pytest.raises(Exception, match="429 Too Many Requests"):
        ask(recorder, EvidenceKind.METRICS, queries=QUERIES)
    assert len(recorder.requests) == 1


def test_refused_keys_are_a_sentence() -> None:
    (interaction,) = recorded("datadog/recorded/v1/test_validate_api_key_returns_forbidden_response.json")
    with pytest.raises(PermanentSourceError, match=r"datadog answered 403 Forbidden .* API key required"):
        ask(Recorder(lambda _: answer_of(interaction)), EvidenceKind.LOGS)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (AlertSource(), r"alerts.sources.datadog.api_key and alerts.sources.datadog.app_key not set"),
        (AlertSource(api_key="a"), r"^alerts.sources.datadog.app_key not set"),
    ],
)
def test_missing_keys_are_told(keys: AlertSource, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        build(settings_for("datadog", keys=keys))


def test_keys_can_stand_in_the_connection() -> None:
    headers = {"DD-API-KEY": "a", "DD-APPLICATION-KEY": "b"}
    build(settings_for("datadog", connection=Connection(url="https://api.datadoghq.eu", headers=headers)))


# --- the webhook --------------------------------------------------------------------------------

FIRED: dict[str, Any] = {
    "alert_id": "7",
    "transition": "Triggered",
    "priority": "P1",
    "scope": "service:payments,env:prod",
    "cycle_key": "123",
    "title": "[P1] [Triggered] Errors on payments",
    "message": "too many",
    "link": "https://app.datadoghq.com/event/1",
    "date": str(MS),
    "tags": "env:prod,service:payments,team:shop",
    "hostname": "$HOSTNAME",
}


def test_the_shipped_template_is_read() -> None:
    assert set(FIRED) == set(WEBHOOK_TEMPLATE)
    (alert,) = alerts_from_webhook(FIRED, received_at=AROUND)
    assert (alert.source, alert.source_id) == ("datadog", "7:service:payments,env:prod")
    assert (alert.title, alert.summary) == ("Errors on payments", "too many")
    assert (alert.severity, alert.service, alert.environment) == (Severity.P1, "payments", "prod")
    assert (alert.started_at, alert.labels["team"]) == (AROUND, "shop")
    (over,) = alerts_from_webhook({**FIRED, "transition": "Recovered"}, received_at=AROUND)
    assert (over.status, over.resolved_at, over.dedup_key) == (AlertStatus.RESOLVED, AROUND, alert.dedup_key)


def test_variables_that_are_not_set_are_not_there() -> None:
    unset = {**dict.fromkeys(FIRED, ""), **WEBHOOK_TEMPLATE, "title": "Disk", "transition": "Warn"}
    (alert,) = alerts_from_webhook(unset, received_at=AROUND)
    assert (alert.title, alert.service, alert.url, alert.severity) == ("Disk", None, None, Severity.P3)
    assert alert.started_at == AROUND


def test_other_templates_with_datadogs_own_names_are_read() -> None:
    body = {"ALERT_ID": 9, "ALERT_TRANSITION": "Triggered", "EVENT_TITLE": "Slow", "$DATE": MS, "body": "text"}
    (alert,) = alerts_from_webhook(body)
    assert (alert.title, alert.summary, alert.source_id, alert.started_at) == ("Slow", "text", "9:*", AROUND)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "expected a JSON object"),
        ({"date": 1}, "title: missing"),
        ({"title": "t"}, "date: missing"),
        ({"title": "t", "date": "soon"}, "date: 'soon' is not a moment"),
    ],
)
def test_bad_bodies_are_one_sentence(body: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        alerts_from_webhook(body)


def test_polling_brings_what_is_triggered_and_then_what_happened() -> None:
    def event(status: str, **about: Any) -> dict[str, Any]:
        inner = {
            "monitor_id": 7,
            "monitor_groups": ["service:payments"],
            "status": status,
            "title": "[Triggered] Errors",
        }
        return {
            "id": status,
            "attributes": {"timestamp": AROUND.isoformat(), "tags": ["env:prod"], "attributes": {**inner, **about}},
        }

    group = {
        "monitor_id": 7,
        "group": "service:payments",
        "last_triggered_ts": int(AROUND.timestamp()),
        "status": "Alert",
    }

    def answer(request: httpx.Request) -> Any:
        if request.method == "GET":
            return {"groups": [group], "metadata": {"page_count": 1}}
        return {"data": [event("error"), event("success"), event("error", monitor_id=None)]}

    recorder = Recorder(answer)
    feed = source(recorder)
    first = asyncio.run(feed.poll(None, AROUND, 8))
    second = asyncio.run(feed.poll(first.cursor, AROUND + timedelta(minutes=1), 8))
    keys = {alert.dedup_key for alert in (*first.alerts, *second.alerts)}
    assert keys == {"7:service:payments"}
    assert [alert.status for alert in second.alerts] == [AlertStatus.TRIGGERED, AlertStatus.RESOLVED]
    assert (second.alerts[0].title, second.alerts[0].environment) == ("Errors", "prod")
    assert json.loads(recorder.requests[1].content)["filter"]["from"] == "2026-11-23T14:33:00Z"
    assert Contract("datadog/v2.trim.json").problems(recorder.requests[1]) == []
