"""CloudWatch by its documentation and its habits; `tests/integration/test_cloudwatch.py` asks a server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from incident_pipeline.config import Connection
from incident_pipeline.connectors.aws_signature import AwsKeys, signed_headers
from incident_pipeline.connectors.cloudwatch import build, fill
from incident_pipeline.connectors.cloudwatch_rows import log_entry
from incident_pipeline.errors import ConfigurationError, PermanentSourceError, TransientSourceError
from incident_pipeline.models import Envelope, EvidenceKind
from tests.connectors.questions import AROUND, Recorder, fetch, question, settings_for

OPTIONS = {"region": "eu-central-1", "log_groups": "/ecs/$service, /shared"}
NOW = int(AROUND.timestamp())
# the documentation's own key, of nobody
EXAMPLE = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


def ask(recorder: Recorder, kind: EvidenceKind, options: dict[str, str] | None = None, **about: Any) -> Envelope[Any]:
    given = {**OPTIONS, **(options or {})}
    connection = Connection(username=EXAMPLE.access_key, password=EXAMPLE.secret_key, options=given)
    source = build(settings_for("cloudwatch", recorder.transport, connection=connection), {})
    return fetch(source, question(kind, **about))


def test_the_signature_of_the_documentations_test_suite() -> None:
    at = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    headers = signed_headers("GET", "https://example.amazonaws.com/", {}, b"", EXAMPLE, "us-east-1", "service", at)
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )
    temporary = AwsKeys(EXAMPLE.access_key, EXAMPLE.secret_key, "session")
    signed = signed_headers(
        "GET", "https://example.amazonaws.com/?b=2&a=1", {}, b"", temporary, "us-east-1", "service", at
    )
    assert signed["x-amz-security-token"] == "session"
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token" in signed["authorization"]
    assert EXAMPLE.secret_key not in repr(temporary)


def test_series_over_pages_are_one_series() -> None:
    def answer(request: httpx.Request) -> Any:
        assert request.headers["x-amz-target"] == "GraniteServiceVersion20100801.GetMetricData"
        assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        first = "NextToken" not in json.loads(request.content)
        times, values = ([NOW - 60, NOW - 120], [2.0, 1.0]) if first else ([NOW], [3.0])
        result = {"Id": "a", "Label": "payments CPU", "Timestamps": times, "Values": values, "StatusCode": "Complete"}
        return {"MetricDataResults": [result], **({"NextToken": "n"} if first else {})}

    recorder = Recorder(answer)
    queries = {"cpu": "SELECT AVG(CPU) FROM \"AWS/ECS\" WHERE ServiceName = '$service'"}
    got = ask(recorder, EvidenceKind.METRICS, queries=queries)
    (series,) = got.rows
    assert (series.name, series.service, series.labels) == ("cpu", "payments", {"label": "payments CPU"})
    assert (series.timestamps, series.values) == ((NOW - 120, NOW - 60, NOW), (1.0, 2.0, 3.0))
    body = recorder.bodies[0]
    assert body["MetricDataQueries"][0]["Expression"].endswith("ServiceName = 'payments'")
    assert body["ScanBy"] == "TimestampAscending"
    assert recorder.requests[0].url.host == "monitoring.eu-central-1.amazonaws.com"


def test_a_metric_can_be_named_with_its_dimensions() -> None:
    recorder = Recorder(lambda _: {"MetricDataResults": []})
    ask(
        recorder, EvidenceKind.METRICS, queries={"cpu": "AWS/ECS:CPUUtilization{ServiceName=$service, Cluster=a}:p99.9"}
    )
    (query,) = recorder.bodies[0]["MetricDataQueries"]
    assert query["MetricStat"]["Stat"] == "p99.9"
    assert query["MetricStat"]["Metric"] == {
        "Namespace": "AWS/ECS",
        "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "ServiceName", "Value": "payments"}, {"Name": "Cluster", "Value": "a"}],
    }


def test_half_a_result_is_told() -> None:
    result = {"Id": "a", "Label": "a", "Timestamps": [NOW], "Values": [1], "StatusCode": "PartialData"}
    got = ask(Recorder(lambda _: {"MetricDataResults": [result]}), EvidenceKind.METRICS, queries={"cpu": "SEARCH('x')"})
    assert got.partial
    assert "PartialData" in got.notes[0]
    assert got.rows[0].labels == {}


def test_log_groups_of_the_service_with_empty_pages_between() -> None:
    def answer(request: httpx.Request) -> Any:
        body = json.loads(request.content)
        if "nextToken" not in body:
            return {"events": [], "nextToken": "n"}
        group = body["logGroupName"]
        lines = ["ERROR pool exhausted", "INFO fine", '{"level":"warn","msg":"slow timeout","service":"ledger"}']
        return {
            "events": [
                {"eventId": f"{group}{n}", "timestamp": NOW * 1000 + n, "message": line, "logStreamName": "s"}
                for n, line in enumerate(lines)
            ]
        }

    recorder = Recorder(answer)
    got = ask(recorder, EvidenceKind.LOGS, focus_patterns=("timeout", 'a "quoted" one'))
    assert {row.attributes["log_group"] for row in got.rows} == {"/ecs/payments", "/shared"}
    first = [row for row in got.rows if row.attributes["log_group"] == "/ecs/payments"]
    assert [(row.message, row.level, row.service) for row in first] == [
        ("ERROR pool exhausted", "error", "payments"),
        ("INFO fine", "info", "payments"),
        ("slow timeout", "warning", "ledger"),
    ]
    patterns = {body.get("filterPattern") for body in recorder.bodies}
    assert None in patterns
    assert any(pattern and '?"timeout" ?"a \\"quoted\\" one"' in pattern for pattern in patterns)


def test_a_server_that_ignores_the_pattern_does_not_crowd_the_complaints() -> None:
    lines = [{"eventId": str(n), "timestamp": NOW * 1000, "message": "INFO fine"} for n in range(50)]
    got = ask(Recorder(lambda _: {"events": lines}), EvidenceKind.LOGS, limit=40)
    # only the parts of the plan that ask for anything keep them
    assert 0 < len(got.rows) <= 12


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "ThrottlingException", TransientSourceError),
        (400, "com.amazonaws.logs#ResourceNotFoundException", PermanentSourceError),
        (503, "ServiceUnavailable", TransientSourceError),
    ],
)
def test_limits_come_as_400(status: int, kind: str, error: type[Exception]) -> None:
    body = {"__type": kind, "message": "Rate exceeded"}
    with pytest.raises(error, match=f"{kind.rpartition('#')[2]}.*Rate exceeded"):
        ask(Recorder(lambda _: httpx.Response(status, json=body)), EvidenceKind.LOGS, seconds=0.5)


def test_names_that_could_change_a_query_are_refused() -> None:
    assert fill("x '$service' $environment", "team/pay.v2", "prod") == "x 'team/pay.v2' prod"
    with pytest.raises(PermanentSourceError, match="cannot be written into it"):
        fill("'$service'", "a' OR '1", None)
    with pytest.raises(PermanentSourceError, match="is not known"):
        fill("'$environment'", "a", None)


@pytest.mark.parametrize(
    ("connection", "environ", "words"),
    [
        (Connection(), {}, "options.region is not set"),
        (Connection(options={"region": "eu-central-1"}), {}, "username and password are not set"),
        (Connection(username="A"), {"AWS_REGION": "eu-central-1"}, "username and password are not set"),
    ],
)
def test_what_is_missing_is_told(connection: Connection, environ: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        build(settings_for("cloudwatch", connection=connection), environ)


def test_the_usual_variables_are_enough() -> None:
    environ = {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"}
    source = build(settings_for("cloudwatch"), environ)
    with pytest.raises(PermanentSourceError, match=r"options.log_groups names no log group"):
        fetch(source, question(EvidenceKind.LOGS))


def test_a_line_that_only_looks_like_json_is_text() -> None:
    assert log_entry({"timestamp": 1, "message": "{not json"}, "g").message == "{not json"


def insights(texts: tuple[str, ...], runs: int = 1, status: str = "Complete", matched: int | None = None) -> Recorder:
    """Logs Insights that is done after so many looks; `texts` are found by every search."""
    looks: dict[str, int] = {}

    def answer(request: httpx.Request) -> Any:
        action, body = request.headers["x-amz-target"].rpartition(".")[2], json.loads(request.content)
        if action == "StartQuery":
            return {"queryId": f"q{len(looks)}-{body['startTime']}-{len(body['queryString'])}"}
        if action == "StopQuery":
            return {"success": True}
        looks[body["queryId"]] = looks.get(body["queryId"], 0) + 1
        fields = (
            ("@timestamp", "2026-11-23 14:34:00.250"),
            ("@logStream", "s"),
            ("@log", "123456789012:/ecs/payments"),
        )
        rows = [
            [{"field": name, "value": value} for name, value in (*fields, ("@message", text), ("@ptr", f"p{number}"))]
            for number, text in enumerate(texts)
        ]
        done = looks[body["queryId"]] >= runs
        statistics = {"recordsMatched": float(len(texts) if matched is None else matched)}
        return {"status": status if done else "Running", "results": rows, "statistics": statistics}

    return Recorder(answer)


def actions(recorder: Recorder) -> list[str]:
    return [request.headers["x-amz-target"].rpartition(".")[2] for request in recorder.requests]


BY_INSIGHTS = {"logs_by": "insights"}


def test_insights_searches_all_groups_at_once_and_waits_until_it_is_done() -> None:
    recorder = insights(("ERROR pool exhausted", '{"level":"warn","msg":"slow","service":"ledger"}'), runs=2)
    got = ask(recorder, EvidenceKind.LOGS, BY_INSIGHTS, focus_patterns=('a "quoted" one',))
    assert [(row.message, row.level, row.service) for row in got.rows] == [
        ("ERROR pool exhausted", "error", "payments"),
        ("slow", "warning", "ledger"),
    ]
    assert {row.timestamp for row in got.rows} == {datetime(2026, 11, 23, 14, 34, 0, 250_000, tzinfo=UTC)}
    assert got.rows[0].attributes == {"id": "p0", "log_group": "/ecs/payments", "log_stream": "s"}
    assert not got.partial
    assert not got.truncated
    assert actions(recorder).count("GetQueryResults") == 2 * actions(recorder).count("StartQuery")
    started = [body for body in recorder.bodies if "queryString" in body]
    assert all(body["logGroupNames"] == ["/ecs/payments", "/shared"] for body in started)
    assert all(body["startTime"] < body["endTime"] < 1e11 for body in started)
    assert any('@message like "a \\"quoted\\" one"' in body["queryString"] for body in started)
    assert any("filter" not in body["queryString"] for body in started)


def test_insights_that_is_not_done_in_time_tells_what_it_found_and_is_stopped() -> None:
    recorder = insights(("ERROR pool exhausted",), runs=1000)
    got = ask(recorder, EvidenceKind.LOGS, BY_INSIGHTS, seconds=0.5)
    assert [row.message for row in got.rows] == ["ERROR pool exhausted"]
    assert got.partial
    assert any("not done in time" in note for note in got.notes)
    assert actions(recorder).count("StopQuery") == actions(recorder).count("StartQuery")


def test_insights_says_how_much_more_there_was() -> None:
    got = ask(insights(("ERROR x",), matched=812), EvidenceKind.LOGS, BY_INSIGHTS)
    assert got.truncated
    assert any("812 lines by the server's count, 1 of them read" in note for note in got.notes)


@pytest.mark.parametrize(
    ("status", "error"),
    [("Failed", PermanentSourceError), ("Timeout", TransientSourceError), ("Cancelled", TransientSourceError)],
)
def test_insights_that_fails_is_told(status: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"ended as {status}"):
        ask(insights((), status=status), EvidenceKind.LOGS, BY_INSIGHTS)


def test_a_way_to_read_logs_that_is_unknown_is_told() -> None:
    with pytest.raises(ConfigurationError, match="logs_by is 'sql'; write filter or insights"):
        ask(insights(()), EvidenceKind.LOGS, {"logs_by": "sql"})


@pytest.mark.parametrize("moment", [NOW * 1000, str(NOW * 1000), "2026-11-23 14:35:00.000"])
def test_times_are_read_in_every_way_that_aws_writes_them(moment: Any) -> None:
    assert log_entry({"timestamp": moment, "message": "x"}, "g").timestamp == AROUND
