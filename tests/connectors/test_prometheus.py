"""Prometheus' range queries, as its API answers them."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import Any

import httpx
import pytest

from incident_pipeline.config import Connection
from incident_pipeline.connectors.prometheus import build, choose_step
from incident_pipeline.errors import ConfigurationError, PermanentSourceError
from incident_pipeline.models import EnvelopeStatus, EvidenceKind
from tests.connectors.questions import Recorder, fetch, question, settings_for
from tests.shared_data import shared_path

LOCAL = Connection(url="http://prometheus.example:9090/prom", token="tok-123456")  # noqa: S106
QUERIES = {"error_rate": 'sum by (service) (rate(errors{service="$service"}[5m]))'}


def matrix(*results: dict[str, Any], **about: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "matrix", "result": list(results)}, **about}


def series(values: list[list[Any]], **labels: str) -> dict[str, Any]:
    return {"metric": labels, "values": values}


def source(recorder: Recorder, connection: Connection = LOCAL) -> Any:
    return build(settings_for("prometheus", recorder.transport, connection=connection))


def test_the_window_the_step_and_the_service_are_asked() -> None:
    recorder = Recorder(lambda _: matrix(series([[1795444500, "0.5"]], service="payments", __name__="x", pod="a")))
    asked = question(EvidenceKind.METRICS, queries=QUERIES)
    answer = fetch(source(recorder), asked)
    (request,) = recorder.requests
    assert request.url.path == "/prom/api/v1/query_range"
    assert request.headers["authorization"] == "Bearer tok-123456"
    params = dict(request.url.params)
    assert params["query"] == 'sum by (service) (rate(errors{service="payments"}[5m]))'
    assert params["step"] == "30"
    assert float(params["start"]) % 30 == 0
    assert float(params["start"]) <= asked.window.start.timestamp()
    assert float(params["end"]) == asked.window.end.timestamp()
    (row,) = answer.rows
    assert (row.name, row.service, row.labels, row.source) == ("error_rate", "payments", {"pod": "a"}, "prometheus")
    assert (row.timestamps, row.values) == ((1795444500.0,), (0.5,))
    assert answer.status is EnvelopeStatus.OK
    assert answer.query == f"{params['query']} (step 30 s)"


def test_no_data_is_empty_and_nan_and_infinity_are_missing_values() -> None:
    assert fetch(source(Recorder(lambda _: matrix())), question(EvidenceKind.METRICS, queries=QUERIES)).status is (
        EnvelopeStatus.EMPTY
    )
    values = [[1, "NaN"], [2, "+Inf"], [3, "-Inf"], [4, "1e3"]]
    recorder = Recorder(lambda _: matrix(series(values, app="payments"), warnings=["a warning"]))
    answer = fetch(source(recorder), question(EvidenceKind.METRICS, queries=QUERIES))
    assert [math.isnan(value) for value in answer.rows[0].values] == [True, True, True, False]
    assert answer.notes == ("error_rate: a warning", "2 infinite samples are read as missing")


def test_each_service_is_asked_only_where_the_query_names_it() -> None:
    recorder = Recorder(lambda _: matrix(series([[1, "1"]], job="node")))
    asked = question(
        EvidenceKind.METRICS, queries={**QUERIES, "load": "avg(node_load1)"}, services=("payments", "cart")
    )
    answer = fetch(source(recorder), asked)
    assert len(recorder.requests) == 3
    assert [(row.name, row.service) for row in answer.rows] == [
        ("error_rate", "payments"),
        ("error_rate", "cart"),
        ("load", "node"),
    ]


def test_without_a_service_everything_is_asked_and_labels_tell() -> None:
    recorder = Recorder(lambda _: matrix(series([[1, "1"]], service="a"), series([[1, "1"]], service="b")))
    answer = fetch(source(recorder), question(EvidenceKind.METRICS, queries=QUERIES, services=()))
    assert 'service=~".*"' in recorder.requests[0].url.params["query"]
    assert [row.service for row in answer.rows] == ["a", "b"]


def test_one_failing_query_costs_itself_alone() -> None:
    def answer(request: httpx.Request) -> Any:
        if "bad" in request.url.params["query"]:
            return httpx.Response(400, json={"status": "error", "errorType": "bad_data", "error": "parse error"})
        return matrix(series([[1, "1"]]))

    recorder = Recorder(answer)
    got = fetch(source(recorder), question(EvidenceKind.METRICS, queries={"a": "bad(", "b": "up"}))
    assert [row.name for row in got.rows] == ["b"]
    assert got.rows[0].service == "payments"
    assert got.partial
    assert "a: prometheus answered 400 Bad Request" in got.notes[0]
    assert "parse error" in got.notes[0]
    with pytest.raises(PermanentSourceError, match="parse error"):
        fetch(source(recorder), question(EvidenceKind.METRICS, queries={"a": "bad("}))


@pytest.mark.parametrize(
    "body",
    [
        {"status": "success"},
        {"status": "error", "data": {"result": []}},
        {"data": {"result": []}},
        {"status": "success", "data": {"result": {}}},
        {"status": "success", "data": None},
    ],
)
def test_something_else_than_prometheus_is_told(body: Any) -> None:
    with pytest.raises(PermanentSourceError, match="not Prometheus' API"):
        fetch(source(Recorder(lambda _: body)), question(EvidenceKind.METRICS, queries=QUERIES))


@pytest.mark.parametrize(
    "broken", [None, 3, {}, {"metric": {}, "values": [[1]]}, {"metric": {}, "values": [["x", "y"]]}]
)
def test_a_broken_series_is_skipped_and_told(broken: Any) -> None:
    got = fetch(
        source(Recorder(lambda _: matrix(broken, series([[1, None], [2, "2"]], service="s")))),
        question(EvidenceKind.METRICS, queries=QUERIES),
    )
    assert [row.values for row in got.rows] == [(2.0,)]
    assert got.notes == ("error_rate: a series that could not be read was skipped",)


def test_many_series_are_capped_and_long_queries_are_posted() -> None:
    recorder = Recorder(lambda _: matrix(*(series([[1, "1"]], pod=str(n)) for n in range(300))))
    got = fetch(source(recorder), question(EvidenceKind.METRICS, queries={"q": "sum(up) + " * 300 + "0"}))
    assert recorder.requests[0].method == "POST"
    assert b"query=sum" in recorder.requests[0].content
    assert got.truncated
    assert len(got.rows) == 200


@pytest.mark.parametrize(
    ("length", "step"),
    [
        (timedelta(0), 1),
        (timedelta(minutes=4), 1),
        (timedelta(hours=4), 30),
        (timedelta(hours=24), 300),
        (timedelta(days=365), 86_400 * 2),
        (timedelta(days=365 * 80), 86_400 * 3),
    ],
)
def test_the_step_keeps_within_the_point_limit(length: timedelta, step: int) -> None:
    chosen = choose_step(length)
    assert length.total_seconds() / chosen <= 10_999
    assert chosen <= step


def test_no_queries_and_no_url_are_sentences() -> None:
    with pytest.raises(PermanentSourceError, match="no queries are configured"):
        fetch(source(Recorder(lambda _: matrix())), question(EvidenceKind.METRICS))
    with pytest.raises(ConfigurationError, match=r"connections.prometheus.url is not set"):
        source(Recorder(lambda _: matrix()), Connection())


def test_requests_are_valid_by_the_vendors_specification() -> None:
    spec = json.loads(shared_path("contracts/prometheus/openapi-3.1.trim.json").read_text())
    operation = spec["paths"]["/query_range"]["get"]
    known = {parameter["name"] for parameter in operation["parameters"]}
    required = {parameter["name"] for parameter in operation["parameters"] if parameter.get("required")}
    recorder = Recorder(lambda _: matrix())
    fetch(source(recorder), question(EvidenceKind.METRICS, queries=QUERIES))
    sent = set(recorder.requests[0].url.params)
    assert required <= sent <= known


def test_rules_that_fire_are_alerts_with_their_runbook() -> None:
    alert = {
        "labels": {"alertname": "HighErrorRate", "service": "checkout", "severity": "page"},
        "annotations": {"summary": "Errors of checkout", "runbook_url": "https://runbooks.example/errors"},
        **{"state": "firing", "activeAt": "2026-11-23T14:31:00.5Z", "value": "1e+00"},
    }
    own = {**alert, "labels": {**alert["labels"], "service": "payments"}}
    alerts = [alert, own, {**alert, "state": "pending"}, None]
    groups = [{"rules": [{"name": "HighErrorRate", "query": "errors > 1", "alerts": alerts}, None]}, None]
    recorder = Recorder(lambda _: {"status": "success", "data": {"groups": groups}})
    labels = {"alertname": "HighErrorRate", "service": "payments", "runbook_url": "x"}
    (row,) = fetch(source(recorder), question(EvidenceKind.RELATED_ALERTS, alert_labels=labels)).rows
    assert recorder.requests[0].url.path == "/prom/api/v1/rules"
    assert (row.title, row.service, row.severity.value) == ("Errors of checkout", "checkout", "P1")
    assert row.labels["runbook_url"] == "https://runbooks.example/errors"
    assert row.labels["query"] == "errors > 1"
