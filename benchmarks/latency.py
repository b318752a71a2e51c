"""How long from an accepted alert to a stored status update, beside an empty graph of as many assets.

    python -m benchmarks.latency [--incidents 20]

Real processes, as a user starts them: `incident-pipeline up`, with servers on loopback that answer as Prometheus and
Loki do (20 series, 1,000 log lines for each incident). The empty graph has the same assets in as many steps; it goes
through the same web server, launcher and runner code, in turn with the real one, so that both see the same machine.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from assets.instance import open_home, prepare_storage
from benchmarks.evidence_server import evidence_server
from incident_pipeline.application import Application
from incident_pipeline.connectors.dagster_graphql import DagsterWebServer
from incident_pipeline.connectors.http import post_json
from incident_pipeline.models import Severity
from incident_pipeline.storage.inbox.claims import Claim
from tests.e2e.stack import Stack, running, wait_for
from tests.integration.peers import free_port

CONFIGURATION = """
scenario:
  diagnosis: {{updates: [0s]}}
  connections:
    prometheus: {{url: "{url}"}}
    loki: {{url: "{url}"}}
  context:
    metrics:
      provider: prometheus
      queries: {queries}
    logs: {{provider: loki}}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--incidents", type=int, default=20)
    count = parser.parse_args().incidents
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(evidence_server(lines=1000))
        queries = "".join(f"\n        q{n}: series_{n}{{service=$service}}" for n in range(20))
        configuration = CONFIGURATION.format(url=url, queries=queries)
        real = stack.enter_context(running(folder, configuration))
        empty = stack.enter_context(empty_stack(folder / "empty"))
        real_seconds, empty_seconds = [], []
        for number in range(count):
            real_seconds.append(alert_to_update(real, number))
            empty_seconds.append(launch_to_end(*empty, number))
        report("alert accepted to status stored", real_seconds)
        report("empty graph, launched to ended", empty_seconds)
        pairs = sorted(a - b for a, b in zip(real_seconds, empty_seconds, strict=True))
        print(f"difference, median of pairs: {statistics.median(pairs):.2f} s over {count} incidents")


def alert_to_update(stack: Stack, number: int) -> float:
    """Seconds until the status update of one new incident is stored."""
    service = f"service-{number}"
    alert = {"title": f"Errors in {service}", "service": service, "severity": "P2", "source_id": str(number)}
    began = time.time()
    accepted = stack.send({**alert, "dedup_key": service, "started_at": began})
    assert accepted == 202, accepted

    inbox = sqlite3.connect(stack.data_dir / "inbox.sqlite")

    def stored() -> float | None:
        # the plain table, so that looking costs next to nothing
        row = inbox.execute("SELECT diagnosed_at FROM incidents WHERE title = ?", (alert["title"],)).fetchone()
        return row[0] - began if row and row[0] else None

    with closing(inbox):
        return wait_for(f"update of {service}", stored, seconds=60)


@contextmanager
def empty_stack(data_dir: Path) -> Iterator[tuple[DagsterWebServer, Application]]:
    """Runner, code server and web server of the empty graph, with a Dagster home of their own."""
    application = Application.load(None, data_dir)
    prepare_storage(application)
    code, ui = free_port(), free_port()
    workspace = application.dagster_home / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {code}, location_name: incident_pipeline}}\n"
    )
    python, loopback = sys.executable, ["--host", "127.0.0.1", "--port"]
    commands = [
        [python, "-m", "assets.runner", "--max-runs", "4"],
        [
            python,
            "-m",
            "dagster",
            "api",
            "grpc",
            "-m",
            "benchmarks.empty_graph",
            "--host",
            "127.0.0.1",
            "-p",
            str(code),
        ],
        [python, "-m", "dagster_webserver", "-w", str(workspace), *loopback, str(ui)],
    ]
    environment = {**os.environ, **application.environment}
    with (data_dir / "log").open("wb") as log:
        children = [subprocess.Popen(c, env=environment, stdout=log, stderr=log) for c in commands]
        server = DagsterWebServer(f"http://127.0.0.1:{ui}", post_json)
        try:
            wait_for("empty graph", server.has_loaded, seconds=60)
            yield server, application
        finally:
            for child in children:
                child.terminate()
                child.wait(20)


def launch_to_end(server: DagsterWebServer, application: Application, number: int) -> float:
    """Seconds from the launch of an empty run to its end."""
    claim = Claim(f"empty:{number}", f"INC-{number}", 1, "respond", "benchmark", Severity.P2)
    began = time.time()
    run_id = server.launch(claim, {}, {})
    with open_home(application.dagster_home) as instance:

        def ended() -> float | None:
            record = instance.get_run_record_by_id(run_id)
            return record.end_time - began if record and record.end_time else None

        return wait_for("end of the empty run", ended, seconds=60)


def report(what: str, seconds: list[float]) -> None:
    """Median and 95th percentile."""
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    print(f"{what}: median {statistics.median(ordered):.2f} s, p95 {p95:.2f} s, n {len(ordered)}")


if __name__ == "__main__":
    main()
