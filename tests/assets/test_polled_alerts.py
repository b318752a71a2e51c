"""The sensor that polls: alerts are in the inbox before the cursor moves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import pytest

from assets.resources import Responder
from assets.sensors import polled_alerts
from incident_pipeline.config import Scenario
from incident_pipeline.storage.inbox import Inbox

ALERT = {"id": "a-1", "message": "Payments fail", "status": "open", "createdAt": "2026-11-23T14:30:00Z"}


@pytest.fixture
def opsgenie() -> Iterator[str]:
    """A server that has one open alert."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"data": [ALERT]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def tick(config: Path, data: Path, cursor: str | None) -> str | None:
    """One turn of the sensor; the cursor that it leaves."""
    resources = {"responder": Responder(config_file=str(config), data_dir=str(data))}
    with (
        dg.instance_for_test() as instance,
        dg.build_sensor_context(instance, cursor=cursor, resources=resources) as context,
    ):
        assert isinstance(polled_alerts(context), dg.SkipReason)
        return context.cursor


def test_what_a_source_has_is_in_the_inbox_once(tmp_path: Path, opsgenie: str) -> None:
    config, data = tmp_path / "incident.yaml", tmp_path / "data"
    sources = "alerts: {sources: {opsgenie: {api_key: key-0123, poll_interval: 1s}}}"
    config.write_text(f"scenario:\n  connections: {{opsgenie: {{url: '{opsgenie}'}}}}\n  {sources}\n")
    first = tick(config, data, None)
    assert json.loads(first or "")["opsgenie"]["cursor"]
    # a crash between storing and keeping the cursor: the same alerts come again
    tick(config, data, None)
    inbox = Inbox.open(data / "inbox.sqlite")
    try:
        inbox.group(datetime.now(UTC), Scenario().alerts, ())
        (row,) = inbox.incidents()
    finally:
        inbox.close()
    assert (row.title, row.alerts) == ("Payments fail", 1)


def test_without_sources_nothing_is_asked(tmp_path: Path) -> None:
    config = tmp_path / "incident.yaml"
    config.write_text("scenario: {}\n")
    assert tick(config, tmp_path / "data", None) == "{}"
