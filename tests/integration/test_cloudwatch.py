"""CloudWatch as moto's server plays it: pages, filters and errors on the wire; signatures are not checked by it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from incident_pipeline.config import Connection
from incident_pipeline.connectors.cloudwatch import CloudWatch, build
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.models import EvidenceKind, Window
from tests.connectors.questions import fetch, question, settings_for
from tests.integration.peers import free_port, program, running

NOW = datetime.now(UTC).replace(microsecond=0)
WINDOW = Window(start=NOW - timedelta(hours=2), end=NOW + timedelta(minutes=1))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binary, port = program("moto_server"), free_port()
    url = f"http://127.0.0.1:{port}"
    with running([binary, "-H", "127.0.0.1", "-p", str(port)], tmp_path_factory.mktemp("moto"), url + "/moto-api/"):
        yield url


def source(url: str, groups: str = "/ecs/$service", logs_by: str = "filter") -> CloudWatch:
    options = {"region": "us-east-1", "log_groups": groups, "logs_by": logs_by}
    connection = Connection(url=url, username="testing", password="testing", options=options)  # noqa: S106
    return build(settings_for("cloudwatch", connection=connection), {})


def call(one: CloudWatch, service: str, version: str, action: str, body: Any) -> None:
    """Whatever the connector itself never writes, sent by its own signed requests."""
    targets = {"logs": "Logs_20140328", "monitoring": "GraniteServiceVersion20100801"}
    client = one._logs_client

    async def run() -> None:
        try:
            await one._call(client, service, version, targets[service], action, body, Deadline(20))
        finally:
            await one.close()

    asyncio.run(run())


def test_lines_of_a_log_group_over_pages(server: str) -> None:
    one = source(server)
    group = {"logGroupName": "/ecs/payments"}
    call(one, "logs", "1.1", "CreateLogGroup", group)
    for stream in ("a", "b"):
        call(one, "logs", "1.1", "CreateLogStream", {**group, "logStreamName": stream})
        events = [
            {"timestamp": int((NOW - timedelta(minutes=5)).timestamp() * 1000) + n, "message": f"{level} {stream} {n}"}
            for n in range(60)
            for level in ("ERROR" if n % 3 == 0 else "INFO",)
        ]
        call(one, "logs", "1.1", "PutLogEvents", {**group, "logStreamName": stream, "logEvents": events})
    got = fetch(one, question(EvidenceKind.LOGS, window=WINDOW, around=NOW, limit=100))
    errors = [row for row in got.rows if row.level == "error"]
    assert len(errors) >= 40
    assert {row.service for row in got.rows} == {"payments"}
    assert len({row.attributes["id"] for row in got.rows}) == len(got.rows)


def test_logs_insights_are_started_asked_after_and_read(server: str) -> None:
    one = source(server, "/insights/$service, /insights/shared", logs_by="insights")
    for group in ("/insights/payments", "/insights/shared"):
        call(one, "logs", "1.1", "CreateLogGroup", {"logGroupName": group})
        call(one, "logs", "1.1", "CreateLogStream", {"logGroupName": group, "logStreamName": "a"})
        events = [
            {"timestamp": int((NOW - timedelta(minutes=5)).timestamp() * 1000) + n, "message": f"ERROR {group} {n}"}
            for n in range(60)
        ]
        body = {"logGroupName": group, "logStreamName": "a", "logEvents": events}
        call(one, "logs", "1.1", "PutLogEvents", body)
    got = fetch(one, question(EvidenceKind.LOGS, window=WINDOW, around=NOW, limit=100))
    # of both groups the first fifty in the order of time, by the limit of the search for complaints around the alert
    assert len(got.rows) == 50
    assert [row.timestamp for row in got.rows] == sorted(row.timestamp for row in got.rows)
    assert got.rows[0].timestamp == NOW - timedelta(minutes=5)
    services = {(row.service, row.attributes["log_group"]) for row in got.rows}
    assert services == {("payments", "/insights/payments"), (None, "/insights/shared")}
    assert {row.level for row in got.rows} == {"error"}


def test_a_group_that_is_not_there_is_told(server: str) -> None:
    with pytest.raises(PermanentSourceError, match="ResourceNotFoundException"):
        fetch(source(server, "/nowhere"), question(EvidenceKind.LOGS, window=WINDOW, around=NOW))


def test_metrics_that_were_put(server: str) -> None:
    one = source(server)
    data = [
        {
            "MetricName": "Errors",
            "Dimensions": [{"Name": "Service", "Value": "payments"}],
            "Timestamp": int((NOW - timedelta(minutes=minute)).timestamp()),
            "Value": float(minute),
        }
        for minute in range(1, 5)
    ]
    call(one, "monitoring", "1.0", "PutMetricData", {"Namespace": "shop", "MetricData": data})
    queries = {"errors": "shop:Errors{Service=$service}:Sum"}
    (series,) = fetch(one, question(EvidenceKind.METRICS, window=WINDOW, around=NOW, queries=queries)).rows
    assert (series.name, series.service) == ("errors", "payments")
    assert sum(series.values) == 10.0
    assert list(series.timestamps) == sorted(series.timestamps)
