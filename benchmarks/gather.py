"""How long gathering takes: all sources as servers on loopback that answer after 300 ms, with realistic sizes.

Run: `.venv/bin/python -m benchmarks.gather`. It prints the wait for all evidence, that of the slowest source alone, and
our own time for reading a thousand log lines and twenty series. Where Datadog's own client is installed
(`pip install datadog-api-client`, no part of this project), it asks the same server for the same lines in the same run.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from incident_pipeline.config import Connection, Scenario
from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.datadog import build
from incident_pipeline.connectors.datadog_rows import log_entry
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.log_plan import LogSearch
from incident_pipeline.connectors.prometheus import Asked, series_from
from incident_pipeline.connectors.registry import build_sources
from incident_pipeline.evidence.gather import gather_now, question_for
from incident_pipeline.incident_folder.reading import incident_from
from incident_pipeline.json_text import loads
from incident_pipeline.models import Alert, EvidenceKind, Window

DELAY = 0.3
NOW = datetime(2026, 11, 23, 14, 45, tzinfo=UTC)
START = NOW - timedelta(minutes=10)
LINES, SERIES, POINTS = 1000, 20, 480


def moment(minutes: float) -> str:
    return (START + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def log_lines(count: int) -> dict[str, Any]:
    message = "request {} of checkout to payments failed: connection pool exhausted after 5000 ms (waiting: 48)"
    tags = ["env:prod", "service:payments", "pod:payments-7d9f8c4b5-x2x5p", "region:eu-central-1"]
    rows = [
        {
            "id": f"line-{n}-{count}",
            "attributes": {
                "timestamp": moment(-n / 100),
                "status": "error",
                "service": "payments",
                "message": message.format(n),
                "tags": tags,
                "attributes": {"trace_id": f"{n:032x}", "http": {"status_code": 500, "method": "POST"}},
            },
        }
        for n in range(count)
    ]
    return {"data": rows}


def matrix(count: int) -> dict[str, Any]:
    at = START.timestamp() - 4 * 3600
    values = [[at + 30 * n, f"{n % 17}.25"] for n in range(POINTS)]
    result = [{"metric": {"service": "payments", "pod": f"payments-{n}"}, "values": values} for n in range(count)]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def commit(number: int) -> dict[str, Any]:
    files = [{"filename": f"src/module_{n}.py", "patch": "@@ -1 +1 @@\n-a\n+b\n" * 20} for n in range(5)]
    about = {"message": f"Change {number}", "committer": {"date": moment(-number)}}
    return {"sha": f"{number:040x}", "commit": about, "files": files, "stats": {"additions": 100, "deletions": 100}}


def answer(path: str) -> Any:
    """What each system answers, by the end of its path."""
    if path.endswith("/statuses"):
        return [{"state": "success", "created_at": moment(-5)}]
    if path.endswith("/deployments"):
        return [
            {"id": n, "sha": f"{n:040x}", "environment": "prod", "created_at": moment(-6 * n)} for n in range(1, 10)
        ]
    if path.endswith("/commits"):
        return [commit(n) for n in range(20)]
    if path.endswith("/pulls"):
        return [{"number": 7, "title": "A change", "html_url": "https://github.com/shop/payments/pull/7"}]
    if "/compare/" in path:
        return {"commits": [commit(n) for n in range(5)], "files": []}
    if "/commits/" in path:
        return commit(int(path.rpartition("/")[2], 16))
    if path.endswith("/query_range"):
        return matrix(SERIES // 4)
    if path.endswith("/logs/events/search"):
        return log_lines(LINES if path.startswith("/alone") else LINES // 4)
    return {"/incidents": {"incidents": [], "more": False}}.get(path, [])


class Servers:
    """One server on loopback that answers for all, each answer after the same delay."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.url = ""
        threading.Thread(target=self._run, daemon=True).start()
        self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._handle, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length")), 0
                )
                await reader.readexactly(length)
                path = urlsplit(head.split(b" ", 2)[1].decode()).path
                body = BODIES.setdefault(path, json.dumps(answer(path)).encode())
                await asyncio.sleep(DELAY)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                    + body
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


BODIES: dict[str, bytes] = {}


def scenario(url: str) -> Scenario:
    names = ("prometheus", "datadog", "github", "alertmanager")
    queries = {name: f'{name}{{service="$service"}}' for name in ("errors", "latency", "cpu", "memory")}
    return Scenario.model_validate(
        {
            "connections": {name: {"url": url, "token": "token-0123"} for name in names},
            "alerts": {"sources": {"datadog": {"api_key": "key-0123", "app_key": "key-0123"}}},
            "context": {
                "deployments": {"sources": ["github"], "projects": {"payments": ["shop/payments"]}},
                "code": {"sources": ["github"], "repositories": {"payments": ["shop/payments"]}},
                "metrics": {"provider": "prometheus", "queries": queries},
                "logs": {"provider": "datadog"},
                "related_alerts": {"sources": ["alertmanager"]},
            },
        }
    )


def best_of(times: int, work: Callable[[], Any]) -> float:
    """The shortest of several runs, in seconds."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


async def our_lines(url: str) -> int:
    """A thousand log lines by our connector: one request, read to the model."""
    connection = Connection(url=url, headers={"DD-API-KEY": "key-0123", "DD-APPLICATION-KEY": "key-0123"})
    source = build(SourceSettings("datadog", Scenario(), connection))
    window = Window(start=START - timedelta(hours=1), end=NOW)
    search = LogSearch("all", window.start, window.end, LINES, complaints=True, newest_first=False)
    question = Question(kind=EvidenceKind.LOGS, window=window, around=START, services=("payments",))
    try:
        return len((await source.search_logs(search, question, Deadline(8.0))).rows)
    finally:
        await source.close()


def sdk_lines(url: str) -> int:
    """The same by Datadog's own client.

    Raises:
        ImportError: it is not installed.
    """
    from datadog_api_client import ApiClient, Configuration
    from datadog_api_client.v2.api.logs_api import LogsApi
    from datadog_api_client.v2.model.logs_list_request import LogsListRequest
    from datadog_api_client.v2.model.logs_list_request_page import LogsListRequestPage
    from datadog_api_client.v2.model.logs_query_filter import LogsQueryFilter

    configuration = Configuration(host=url, api_key={"apiKeyAuth": "key-0123", "appKeyAuth": "key-0123"})
    what = LogsQueryFilter(query="service:payments status:error", _from=moment(-60), to=moment(10))
    with ApiClient(configuration) as client:
        body = LogsListRequest(filter=what, page=LogsListRequestPage(limit=LINES))
        return len(LogsApi(client).list_logs(body=body).data)


def beside_the_sdk(url: str) -> dict[str, float] | str:
    """Milliseconds for a thousand log lines above the server's own delay, ours and the vendor's."""
    try:
        assert sdk_lines(url) == LINES
    except ImportError:
        return "datadog-api-client is not installed"
    assert asyncio.run(our_lines(url)) == LINES
    ours = best_of(5, lambda: asyncio.run(our_lines(url))) - DELAY
    theirs = best_of(5, lambda: sdk_lines(url)) - DELAY
    return {"ours_ms": round(ours * 1000, 1), "sdk_ms": round(theirs * 1000, 1), "ratio": round(ours / theirs, 3)}


def main() -> None:
    servers = Servers()
    settings = scenario(servers.url)
    alert = Alert(source="x", source_id="1", dedup_key="1", title="t", service="payments", started_at=START)
    incident = incident_from([alert])
    kinds = [k for k, sources in build_sources(settings).items() if sources and k is not EvidenceKind.SERVICE_GRAPH]
    gather_now(kinds, build_sources(settings), incident, settings, NOW)  # what is imported once is not measured
    rows: dict[str, int] = {}
    seconds: dict[str, float] = {}

    def everything() -> None:
        found = gather_now(kinds, build_sources(settings), incident, settings, NOW)
        for kind, one in found.items():
            assert not one.gaps, one.gaps
            rows[kind.value] = len(one.rows)
            seconds[kind.value] = max(envelope.seconds or 0.0 for envelope in one.envelopes)

    whole = best_of(3, everything)
    alone = {
        kind.value: best_of(2, lambda kind=kind: gather_now([kind], build_sources(settings), incident, settings, NOW))
        for kind in kinds
    }
    lines, text = json.dumps(log_lines(LINES)).encode(), json.dumps(matrix(SERIES)).encode()
    question = question_for(EvidenceKind.METRICS, incident, settings, NOW)
    parse = best_of(5, lambda: [log_entry(item) for item in loads(lines)["data"]]) + best_of(
        5, lambda: [series_from(r, Asked("q", "q", None), question, "x") for r in loads(text)["data"]["result"]]
    )
    slowest = max(alone.values())
    print(
        json.dumps(
            {
                "rows": rows,
                "seconds_each_alone": {name: round(value, 3) for name, value in alone.items()},
                "slowest_alone_seconds": round(slowest, 3),
                "all_at_once_seconds": round(whole, 3),
                "ratio": round(whole / slowest, 3),
                "parse_1000_lines_20_series_ms": round(parse * 1000, 1),
                "datadog_1000_lines": beside_the_sdk(servers.url + "/alone"),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
