"""Elasticsearch by its specification, its examples and its habits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import yaml

from incident_pipeline.config import Connection
from incident_pipeline.connectors.elasticsearch import Fields, build, log_entry
from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.models import Envelope, EvidenceKind
from tests.connectors.contracts import Contract
from tests.connectors.questions import AROUND, Recorder, fetch, question, settings_for
from tests.shared_data import shared_path


def hit(number: int, **source: Any) -> dict[str, Any]:
    fields = {
        "@timestamp": AROUND.isoformat(),
        "message": f"boom {number}",
        "log": {"level": "ERROR"},
        "service.name": "payments",
    }
    return {"_index": "logs-1", "_id": str(number), "_source": {**fields, **source}}


def found(*hits: Any, total: int | None = None, **about: Any) -> dict[str, Any]:
    return {
        "hits": {"hits": list(hits), "total": {"value": total or len(hits)}},
        "timed_out": False,
        "_shards": {"failed": 0},
        **about,
    }


def ask(
    recorder: Recorder, name: str = "elasticsearch", options: dict[str, str] | None = None, **about: Any
) -> Envelope[Any]:
    connection = Connection(url="https://es.example", token="YWJj", options=options or {})  # noqa: S106
    return fetch(
        build(settings_for(name, recorder.transport, connection=connection)), question(EvidenceKind.LOGS, **about)
    )


@pytest.mark.parametrize("name", ["elasticsearch", "opensearch"])
def test_searches_are_valid_and_lines_come_once(name: str) -> None:
    recorder = Recorder(lambda _: found(hit(1), hit(2, **{"trace": {"id": "t"}}), None))
    got = ask(recorder, name, focus_patterns=("timeout", "connection refused"), limit=100)
    assert [row.message for row in got.rows] == ["boom 1", "boom 2"]
    first = got.rows[1]
    assert (first.timestamp, first.level, first.service) == (AROUND, "error", "payments")
    assert first.attributes["trace"] == {"id": "t"}
    assert got.source == name
    assert recorder.requests[0].url.path == "/logs-*/_search"
    assert recorder.requests[0].headers["authorization"] == "ApiKey YWJj"
    contract = Contract("elasticsearch/openapi-2025-02.trim.json")
    assert [problem for request in recorder.requests for problem in contract.problems(request)] == []


def test_half_an_answer_and_more_than_asked_for_are_told() -> None:
    assert ask(Recorder(lambda _: found(hit(1), total=5000))).truncated
    partial = ask(Recorder(lambda _: found(hit(1), timed_out=True)))
    assert partial.partial
    assert "not every shard answered" in partial.notes[0]
    assert ask(Recorder(lambda _: found(hit(1), _shards={"failed": 2}))).partial


def test_an_index_that_is_not_there_is_no_silence() -> None:
    error = {"error": {"type": "index_not_found_exception", "reason": "no such index [logs-*]"}, "status": 404}
    recorder = Recorder(lambda _: httpx.Response(404, json=error))
    with pytest.raises(PermanentSourceError, match=r"no such index \[logs-\*\]"):
        ask(recorder)
    assert recorder.requests[0].url.params["allow_no_indices"] == "false"


def test_fields_can_have_other_names() -> None:
    options = {
        "index": "app-logs,web-*",
        "timestamp_field": "time",
        "level_field": "severity",
        "service_field": "app",
        "message_field": "msg",
        "environment_field": "env",
    }
    source = {"time": 1795444500, "severity": "warn", "app": ["cart"], "msg": None}
    recorder = Recorder(lambda _: found({"_id": "1", "_source": source}))
    (row,) = ask(recorder, options=options, environment="prod").rows
    assert (row.service, row.level, row.message) == ("cart", "warning", "")
    assert recorder.requests[0].url.path == "/app-logs,web-*/_search"
    filters = recorder.bodies[0]["query"]["bool"]["filter"]
    assert {"terms": {"app": ["payments"]}} in filters
    assert {"term": {"env": {"value": "prod"}}} in filters


def test_the_documentations_answer() -> None:
    text = shared_path("contracts/elasticsearch/examples/SearchResponseExample1.yaml").read_text()
    body = yaml.safe_load(yaml.safe_load(text)["value"])
    entry = log_entry(body["hits"]["hits"][0], Fields())
    assert entry.message == "GET /search HTTP/1.1 200 1070000"
    assert entry.timestamp == datetime(2099, 11, 15, 14, 12, 12, tzinfo=UTC)
    assert entry.attributes["user"] == {"id": "kimchy"}
