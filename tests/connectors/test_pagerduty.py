"""PagerDuty by its specification, its recordings and its habits."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import stamina
from pydantic import SecretStr

from incident_pipeline.config import AlertSource, Connection
from incident_pipeline.connectors import signatures
from incident_pipeline.connectors.pagerduty import PagerDuty, build
from incident_pipeline.connectors.pagerduty_rows import alert_from, alerts_from_webhook, deployment_from
from incident_pipeline.errors import ConfigurationError, InputError, PermanentSourceError, TransientSourceError
from incident_pipeline.models import AlertStatus, EvidenceKind, Severity
from tests.connectors.contracts import Contract
from tests.connectors.questions import AROUND, Recorder, fetch, question, settings_for
from tests.shared_data import shared_path

KEYS = AlertSource(api_key="pd-key-0123")
SPEC = "pagerduty/rest-v2.trim.json"


def incident(number: int, **about: Any) -> dict[str, Any]:
    fields = {"id": f"P{number}", "title": f"Incident {number}", "status": "triggered", "urgency": "high"}
    service = {"id": "PS1", "summary": "payments"}
    return {**fields, "service": service, "created_at": "2026-11-23T14:30:00Z", "type": "incident", **about}


def source(recorder: Recorder, **connection: Any) -> PagerDuty:
    return build(settings_for("pagerduty", recorder.transport, keys=KEYS, connection=Connection(**connection)))


def valid(recorder: Recorder) -> bool:
    contract = Contract(SPEC)
    problems = [problem for request in recorder.requests for problem in contract.problems(request)]
    # the specification's pattern for dates is a picture, not an expression
    assert [problem for problem in problems if "YYYY" not in problem] == []
    return True


def example(path: str, method: str = "get") -> Any:
    spec = json.loads(shared_path(f"contracts/{SPEC}").read_text())
    content = spec["paths"][path][method]["responses"]["200"]["content"]["application/json"]
    return content["examples"]["response"]["value"]


def test_incidents_of_the_window_with_the_worst_severity_of_their_alerts() -> None:
    def answer(request: httpx.Request) -> Any:
        if request.url.path.endswith("/alerts"):
            return {"alerts": [{"severity": "warning"}, {"severity": "critical"}, {"severity": None}], "more": False}
        if request.url.path == "/log_entries":
            return {"log_entries": [], "more": False}
        offset = int(request.url.params["offset"])
        pages = {0: [incident(1), incident(2, priority={"summary": "P2"})], 100: [incident(3, urgency="low")]}
        return {"incidents": pages[offset], "more": offset == 0, "total": None}

    recorder = Recorder(answer)
    got = fetch(source(recorder), question(EvidenceKind.RELATED_ALERTS))
    assert valid(recorder)
    assert recorder.requests[0].headers["authorization"] == "Token token=pd-key-0123"
    assert recorder.requests[0].url.params["since"] == "2026-11-23T12:35:00Z"
    assert [(alert.source_id, alert.severity) for alert in got.rows] == [
        ("P1", Severity.P1),
        ("P2", Severity.P2),
        ("P3", Severity.P1),
    ]
    first = got.rows[0]
    assert (first.service, first.title, first.status) == ("payments", "Incident 1", AlertStatus.TRIGGERED)
    assert first.labels == {"severity": "critical", "service_id": "PS1"}


def test_change_events_are_deployments() -> None:
    recorder = Recorder(lambda _: example("/change_events"))
    got = fetch(source(recorder), question(EvidenceKind.DEPLOYMENTS))
    assert valid(recorder)
    newest, _ = got.rows
    assert (newest.id, newest.version, newest.url) == (
        "01BBYA6PEVW6A852BUO6QYUE7O",
        "2",
        "https://acme.pagerduty.dev/build/2",
    )
    assert newest.at == datetime(2020, 7, 17, 8, 42, 58, tzinfo=UTC)
    details = {"version": "v2", "commit": "abc", "service": "cart", "environment": "prod"}
    change = deployment_from({"id": "1", "timestamp": "2026-11-23T14:30:00Z", "custom_details": details})
    assert (change.version, change.commit_sha, change.service, change.environment) == ("v2", "abc", "cart", "prod")


def test_the_specifications_example_incident() -> None:
    (item,) = example("/incidents")["incidents"]
    alert = alert_from(item)
    assert (alert.source_id, alert.title, alert.service) == ("PT4KHLK", "The server is on fire.", "My Mail Service")
    assert (alert.severity, alert.status) == (Severity.P2, AlertStatus.RESOLVED)
    assert alert.started_at == datetime(2015, 10, 6, 21, 30, 42, tzinfo=UTC)
    assert alert.resolved_at == datetime(2015, 10, 6, 21, 38, 23, tzinfo=UTC)
    assert alert.labels["incident_key"] == "baf7cf21b1da41b4b0221008339ff357"


def test_the_first_poll_brings_all_that_is_open_and_the_next_what_the_log_tells() -> None:
    entries = [
        {"type": "resolve_log_entry", "incident": {"id": "P1"}},
        {"type": "notify_log_entry", "incident": {"id": "P7"}},
        {"type": "trigger_log_entry", "incident": {"id": "P9"}},
        {"type": "acknowledge_log_entry", "incident": {"id": "P1"}},
    ]

    def answer(request: httpx.Request) -> Any:
        path = request.url.path
        if path == "/incidents":
            return {"incidents": [incident(1)], "more": False}
        if path == "/log_entries":
            return {"log_entries": entries, "more": False}
        if path == "/incidents/P1":
            return {"incident": incident(1, status="resolved", resolved_at="2026-11-23T14:34:00Z")}
        return {"alerts": []} if path.endswith("/alerts") else httpx.Response(404)

    recorder = Recorder(answer)
    feed = source(recorder)
    first = asyncio.run(feed.poll(None, AROUND, 8))
    assert [(alert.source_id, alert.status) for alert in first.alerts] == [("P1", AlertStatus.TRIGGERED)]
    assert recorder.requests[0].url.params["date_range"] == "all"
    second = asyncio.run(feed.poll(first.cursor, AROUND + timedelta(minutes=1), 8))
    assert [(alert.source_id, alert.status) for alert in second.alerts] == [("P1", AlertStatus.RESOLVED)]
    asked = next(request for request in recorder.requests if request.url.path == "/log_entries")
    assert asked.url.params["since"] == "2026-11-23T14:33:00Z"
    assert second.cursor == "2026-11-23T14:36:00Z"
    assert valid(recorder)


def test_a_poll_that_was_cut_short_does_not_move_the_cursor() -> None:
    def answer(request: httpx.Request) -> Any:
        if int(request.url.params.get("offset", 0)):
            return httpx.Response(429, headers={"ratelimit-reset": "900"})
        return {"log_entries": [{"type": "x"}], "more": True}

    polled = asyncio.run(source(Recorder(answer)).poll("2026-11-23T14:00:00Z", AROUND, 8))
    assert polled.cursor == "2026-11-23T14:00:00Z"
    assert "not all pages could be read" in polled.notes[0]


def test_an_older_incident_that_changed_in_the_window_is_related() -> None:
    told = example("/log_entries")["log_entries"]
    told[0]["incident"]["id"] = "P2"
    log = [*told, {"type": "notify_log_entry", "incident": {"id": "P7"}}, {"type": "x"}]
    old = incident(2, created_at="2026-11-20T08:00:00Z", status="resolved", resolved_at="2026-11-23T14:33:00Z")

    def answer(request: httpx.Request) -> Any:
        answers = {
            "/incidents": {"incidents": [incident(1)], "more": False},
            "/log_entries": {"log_entries": log, "more": False},
            "/incidents/P2": {"incident": old},
        }
        return answers.get(request.url.path, {"alerts": []})

    recorder = Recorder(answer)
    got = fetch(source(recorder), question(EvidenceKind.RELATED_ALERTS))
    assert [(row.source_id, row.status) for row in got.rows] == [
        ("P1", AlertStatus.TRIGGERED),
        ("P2", AlertStatus.RESOLVED),
    ]
    assert got.rows[1].started_at == datetime(2026, 11, 20, 8, tzinfo=UTC)
    asked = next(request for request in recorder.requests if request.url.path == "/log_entries")
    assert (asked.url.params["since"], asked.url.params["until"]) == ("2026-11-23T12:35:00Z", "2026-11-23T14:45:00Z")
    assert valid(recorder)


@pytest.mark.parametrize(("status", "partial"), [(403, False), (503, True)])
def test_a_log_that_cannot_be_read_costs_itself_alone(status: int, partial: bool) -> None:
    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/log_entries":
            return httpx.Response(status)
        return {"incidents": [incident(1)], "alerts": [], "more": False}

    with stamina.set_testing(True, attempts=1):
        got = fetch(source(Recorder(answer)), question(EvidenceKind.RELATED_ALERTS))
    assert [row.source_id for row in got.rows] == ["P1"]
    assert got.partial is partial
    assert "older incidents that changed were not read" in got.notes[0]


def test_a_log_that_tells_of_many_is_read_in_part_and_says_so() -> None:
    log = [{"type": "trigger_log_entry", "incident": {"id": f"P{n}"}} for n in range(60)]

    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/log_entries":
            return {"log_entries": log, "more": False}
        if request.url.path == "/incidents":
            return {"incidents": [], "more": False}
        return {"incident": incident(int(request.url.path.rpartition("P")[2]))}

    got = fetch(source(Recorder(answer)), question(EvidenceKind.RELATED_ALERTS))
    assert len(got.rows) == 20
    assert "the log tells of 60 incidents, of which the first 20 were read" in got.notes


def test_a_note_is_written_once_and_as_whom_it_should() -> None:
    recorder = Recorder(lambda _: httpx.Response(503))
    writer = source(recorder, headers={"From": "oncall@example.org"})
    with pytest.raises(TransientSourceError, match="503"):
        asyncio.run(writer.note("P1/../x", "Likely cause: the release"))
    (request,) = recorder.requests
    assert request.url.raw_path == b"/incidents/P1%2F..%2Fx/notes"
    assert recorder.bodies == [{"note": {"content": "Likely cause: the release"}}]
    assert request.headers["from"] == "oncall@example.org"
    good = Recorder(lambda _: {"note": {}})
    asyncio.run(source(good, headers={"From": "oncall@example.org"}).note("P1", "text"))
    assert valid(good)


@pytest.mark.parametrize("status", ["triggered", "acknowledged", "resolved"])
def test_status_is_read_and_set_by_the_vendors_contract(status: str) -> None:
    recorder = Recorder(lambda _: {"incident": {"id": "P1", "status": status}})
    one = source(recorder, headers={"From": "oncall@example.org"})
    assert asyncio.run(one.status_of("P1")) == AlertStatus(status)
    asyncio.run(one.set_status("P1", AlertStatus.RESOLVED))
    looked, written = recorder.requests
    assert looked.url.path == "/incidents/P1"
    assert (written.method, written.url.path, written.headers["from"]) == (
        "PUT",
        "/incidents/P1",
        "oncall@example.org",
    )
    assert json.loads(written.content) == {"incident": {"type": "incident_reference", "status": "resolved"}}
    assert valid(recorder)


def test_a_status_that_may_have_been_set_is_not_set_again() -> None:
    recorder = Recorder(lambda _: httpx.Response(503))
    with pytest.raises(TransientSourceError):
        asyncio.run(source(recorder).set_status("P1", AlertStatus.ACKNOWLEDGED))
    assert len(recorder.requests) == 1


def entry(name: str, level: Any = 1, policy: str = "EP1", **about: Any) -> dict[str, Any]:
    return {
        "user": {"summary": name},
        "escalation_policy": {"id": policy, "summary": f"Policy {policy}"},
        "escalation_level": level,
        "end": "2026-11-24T08:00:00Z",
        **about,
    }


def test_who_is_on_call_for_the_services_of_the_incident() -> None:
    services = [
        {"id": "S1", "name": "Payments", "escalation_policy": {"id": "EP1"}},
        {"id": "S2", "name": "payments-archive", "escalation_policy": {"id": "EP2"}},
        {"id": "S3", "name": None, "escalation_policy": None},
    ]
    people = [entry("Bo", "2"), entry("Ana"), entry("Ana"), entry("", user=None), entry("Cy", None, end=None)]

    def answer(request: httpx.Request) -> Any:
        return {"services": services} if request.url.path == "/services" else {"oncalls": people, "more": False}

    recorder = Recorder(answer)
    got = fetch(source(recorder), question(EvidenceKind.ON_CALL))
    assert recorder.requests[0].url.params["query"] == "payments"
    assert recorder.requests[1].url.params.get_list("escalation_policy_ids[]") == ["EP1"]
    assert [(row.name, row.level, row.service, row.policy) for row in got.rows] == [
        ("Ana", 1, "payments", "Policy EP1"),
        ("Bo", 2, "payments", "Policy EP1"),
        ("Cy", None, "payments", "Policy EP1"),
    ]
    assert got.rows[0].until == datetime(2026, 11, 24, 8, tzinfo=UTC)
    assert valid(recorder)


def test_everybody_is_told_where_the_service_is_not_known() -> None:
    recorder = Recorder(
        lambda r: {"services": []} if r.url.path == "/services" else {"oncalls": [entry("Ana")], "more": False}
    )
    (row,) = fetch(source(recorder), question(EvidenceKind.ON_CALL)).rows
    assert (row.name, row.service) == ("Ana", None)
    assert "escalation_policy_ids[]" not in recorder.requests[-1].url.params


def test_an_incident_that_could_not_be_read_is_read_the_next_time() -> None:
    log = [{"type": "trigger_log_entry", "incident": {"id": "P1"}}]
    answers = {"/log_entries": {"log_entries": log}, "/incidents/P1": httpx.Response(500)}
    recorder = Recorder(lambda request: answers.get(request.url.path, {}))

    def poll() -> Any:
        return asyncio.run(source(recorder).poll("2026-11-23T14:00:00Z", AROUND, 5))

    with stamina.set_testing(True, attempts=1):
        assert poll().cursor == "2026-11-23T14:00:00Z"
        answers["/incidents/P1"] = httpx.Response(404)
        assert (poll().cursor, poll().alerts) == ("2026-11-23T14:35:00Z", ())


def test_without_a_key_it_cannot_be_asked() -> None:
    with pytest.raises(ConfigurationError, match=r"connections.pagerduty.token is not set"):
        build(settings_for("pagerduty"))


def test_bad_query_in_pagerdutys_own_words() -> None:
    error = {"error": {"message": "Invalid Input Provided", "code": 2001, "errors": ["Since is invalid"]}}
    with pytest.raises(PermanentSourceError, match="400 Bad Request .*Invalid Input Provided"):  # noqa: RUF043
        fetch(source(Recorder(lambda _: httpx.Response(400, json=error))), question(EvidenceKind.RELATED_ALERTS))


# --- webhooks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status", "key", "title"),
    [
        ("zulip_triggered_v3", AlertStatus.TRIGGERED, "PFQZPSY", "Test Incident 3"),
        ("zulip_acknowledged_v3", AlertStatus.ACKNOWLEDGED, "PQ1K5C8", "Test Incident"),
    ],
)
def test_recorded_webhooks(name: str, status: AlertStatus, key: str, title: str) -> None:
    body = json.loads(shared_path(f"contracts/pagerduty/webhooks/{name}.json").read_text())
    (alert,) = alerts_from_webhook(body, received_at=AROUND)
    assert (alert.status, alert.source_id, alert.dedup_key, alert.title) == (status, key, key, title)
    assert (alert.service, alert.severity, alert.labels["severity"]) == ("pig208", Severity.P2, "high")
    assert alert.labels["assigned_to"] == "PIG 208"
    assert alert.url == f"https://pig208.pagerduty.com/incidents/{key}"


def test_events_about_something_else_are_no_alerts() -> None:
    note = {"event_type": "incident.annotated", "data": {"type": "incident_note", "incident": {"id": "P1"}}}
    assert alerts_from_webhook({"event": note}) == []
    assert alerts_from_webhook({"event": {"event_type": "pagey.ping", "data": {"type": "ping"}}}) == []
    assert alerts_from_webhook({"event": {"event_type": "service.updated", "data": None}}) == []


def test_resolved_events_end_the_alert() -> None:
    event = {"event_type": "incident.resolved", "occurred_at": "2026-11-23T14:50:00Z", "data": incident(1)}
    (alert,) = alerts_from_webhook({"event": event})
    assert (alert.status, alert.resolved_at) == (AlertStatus.RESOLVED, AROUND + timedelta(minutes=15))
    assert alert.started_at == AROUND - timedelta(minutes=5)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "event: expected a webhook of version 3"),
        ([], "event: expected a webhook of version 3"),
        (
            {"event": {"event_type": "incident.triggered", "data": {"type": "incident", "id": "P1"}}},
            "occurred_at: missing",
        ),
        (
            {"event": {"event_type": "x", "occurred_at": "soon", "data": {"type": "incident", "id": "P1"}}},
            "occurred_at: 'soon' is not a moment",
        ),
    ],
)
def test_bad_bodies_are_one_sentence(body: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        alerts_from_webhook(body)


def test_the_signature_vector() -> None:
    vector = json.loads(shared_path("contracts/pagerduty/webhooks/signature_vector.json").read_text())
    body, secrets = vector["body"].encode(), [SecretStr(vector["secret"])]

    def check(header: str) -> bool:
        return signatures.pagerduty({"x-pagerduty-signature": header}, body, secrets)

    good, bad = vector["valid_signature_header"], vector["invalid_signature_header"]
    assert check(good)
    assert check(f"{bad}, {good}")
    assert not check(bad)
    assert not check("")
    assert not signatures.pagerduty({"x-pagerduty-signature": good}, body, [])
