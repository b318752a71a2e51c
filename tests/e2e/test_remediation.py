"""From an alert to a verified rollback, as real processes: the responder, kubectl, a cluster in memory, Prometheus.

One incident is approved on the command line, one on the page, one in Slack, and one run is killed while it acts. One is
rejected, one approval waits for a freeze to end, and one runs out meanwhile.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.cookiejar import CookieJar
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from incident_pipeline.remediation.records import Execution
from incident_pipeline.storage.incidents.store import IncidentStore
from tests.cluster import Cluster, running_cluster
from tests.e2e.slack import click
from tests.e2e.stack import Stack, kill, running, wait_for
from tests.integration.peers import program, start_prometheus
from tests.unit.cli.runner import call
from tests.unit.communication.slack_fake import FakeSlack, serving
from tests.unit.communication.test_clicks import SECRET

SERVICES = ("payments", "cart", "search", "orders", "ledger", "stock", "users")
STAY = ("stock", "users")
"""Whose rollback is rejected, and whose approval runs out."""
TOKEN = "dana-token-0123456789"  # noqa: S105
GOOD, BAD = 0.002, 0.2
NOW = datetime.now(UTC).replace(microsecond=0)
RELEASED, BROKEN = NOW - timedelta(minutes=6), NOW - timedelta(minutes=5)


def history(address: str) -> str:
    """What the same scrapes would have recorded in the last hour."""
    lines = ["# TYPE error_ratio gauge"]
    for service in SERVICES:
        for seconds in range(3600, -1, -10):
            at = NOW - timedelta(seconds=seconds)
            value = BAD if at >= BROKEN else GOOD + (seconds % 7) / 10_000
            lines.append(
                f'error_ratio{{service="{service}",instance="{address}",job="app"}} {value} {at.timestamp():.0f}'
            )
    return "\n".join([*lines, "# EOF", ""])


@contextmanager
def applications(cluster: Cluster) -> Iterator[str]:
    """What the services say of themselves to Prometheus, and the list of releases. Yields host:port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/metrics"):
                ratios = {name: BAD if cluster.image(name).endswith("v2.3.5") else GOOD for name in SERVICES}
                body = "".join(f'error_ratio{{service="{name}"}} {ratio}\n' for name, ratio in ratios.items())
            else:
                body = json.dumps([release(name) for name in SERVICES])
            self.send_response(200)
            self.send_header("Content-Type", "text/plain" if self.path.startswith("/metrics") else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def release(service: str) -> dict[str, str]:
    return {
        "id": f"deploy-{service}", "service": service, "version": "v2.3.5", "previous_version": "v2.3.4",
        "status": "success", "environment": "production", "finished_at": RELEASED.isoformat(),
    }  # fmt: skip


def configuration(folder: Path, cluster: Cluster, prometheus: str, releases: str, slack: str) -> str:
    fields = ("id", "service", "version", "previous_version", "status", "environment", "finished_at")
    options = {"kind": "deployments", "path": "/releases", "rows": "@", **{f"field.{name}": name for name in fields}}
    short = {"action": "rollback", "environment": "production", "services": ["users"], "decide": "approval"}
    scenario = {
        "receiver": {"tokens": {"slack": SECRET}},
        "connections": {
            "slack": {"url": slack, "token": "xoxb-1"},
            "prometheus": {"url": prometheus},
            "releases": {"url": f"http://{releases}", "options": options},
        },
        "context": {
            "metrics": {
                "provider": "prometheus",
                "queries": {"error_ratio": 'max by (service) (error_ratio{service="$service"})'},
                "lookback": "50m",
            },
            "deployments": {"sources": ["releases"]},
        },
        "diagnosis": {"updates": ["0s"]},
        "remediation": {
            "people": {"dana": {"token": TOKEN, "slack": "U1"}},
            "communication": {"slack_channel": "#incidents"},
            "policy": [{**short, "valid_for": "2s"}],
            "targets": [{"executor": "kubectl", "parameters": {"namespace": "default"}}],
            "execution": {
                "kubeconfig": str(cluster.kubeconfig(folder / "kubeconfig")),
                "time_limit": "20s",
                "verify_after": "6s",
                "hold": "2s",
            },
        },
    }
    return yaml.safe_dump({"scenario": scenario})


def alert(service: str) -> dict[str, str]:
    return {
        "source": "custom", "source_id": f"a-{service}", "dedup_key": f"errors-{service}", "service": service,
        "title": f"Errors in {service}", "severity": "P1", "status": "triggered", "environment": "production",
        "started_at": (BROKEN + timedelta(minutes=1)).isoformat(),
    }  # fmt: skip


class Page:
    """Somebody's browser."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def get(self, path: str) -> str:
        return str(self._opener.open(self._base + path, timeout=30).read().decode())

    def post(self, path: str, **form: str) -> str:
        body = urllib.parse.urlencode(form).encode()
        return str(self._opener.open(self._base + path, body, timeout=30).read().decode())


def approve_on_the_page(stack: Stack, incident_id: str, action_id: str) -> str:
    page = Page(stack.receiver)
    page.post("/approvals/login", token=TOKEN)
    shown = page.get(f"/approvals/{incident_id}")
    assert "rolled back (server dry run)" in shown
    seen = re.search(rf'{action_id}">.*?name=secret value="([^"]+)".*?name=seen value="([^"]+)"', shown)
    assert seen, shown
    return page.post(f"/approvals/{incident_id}/{action_id}", secret=seen[1], seen=seen[2], choice="approve")


def run(stack: Stack, *words: str) -> Any:
    result = call(*words, "--config", str(stack.config), "--data-dir", str(stack.data_dir), "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def rollback(stack: Stack, incident_id: str) -> dict[str, Any]:
    found = [action for action in run(stack, "actions", incident_id) if action["type"] == "rollback"]
    assert found, run(stack, "actions", incident_id)
    return dict(found[0])


def ended(stack: Stack, incident_id: str) -> Execution | None:
    """The execution, once it is verified."""
    inbox = stack.inbox
    try:
        found = [e for e in inbox.executions(incident_id) if e.verification not in ("none", "pending")]
    finally:
        inbox.close()
    return found[0] if found else None


def state(stack: Stack, incident_id: str) -> str:
    return str(rollback(stack, incident_id)["state"])


def header_of(slack: FakeSlack, service: str) -> dict[str, Any] | None:
    """The message that stands for the incident of a service."""
    return next((one for one in slack.headers if f"Errors in {service}" in one["text"]), None)


def decide_in_slack(stack: Stack, slack: FakeSlack, service: str, incident_id: str, choice: str) -> dict[str, Any]:
    """Press a button below what the dry run said; returns the message."""

    def rehearsed() -> dict[str, Any] | None:
        header = header_of(slack, service)
        return header if header and "server dry run" in json.dumps(header["blocks"]) else None

    header = wait_for(f"dry run of {service} in Slack", rehearsed, 60)
    action_id = rollback(stack, incident_id)["action_id"]
    assert click(stack.receiver, header, choice, action_id, user="U2") == 200  # somebody else may not
    wait_for("refusal", lambda: [one for one in slack.whispers if "remediation.people" in one["text"]], 30)
    assert click(stack.receiver, header, choice, action_id) == 200
    return header


@pytest.mark.timeout(600)
def test_an_alert_becomes_a_rollback_that_a_person_approved_and_prometheus_confirms(tmp_path: Path) -> None:
    program("kubectl")
    slack = FakeSlack()
    with running_cluster() as cluster, applications(cluster) as address, serving(slack) as slack_url:
        for service in SERVICES:
            for version in ("v2.3.4", "v2.3.5"):
                cluster.deploy(service, f"shop/{service}:{version}")
        with (
            start_prometheus(tmp_path / "prometheus", targets=(address,), history=history(address)) as prometheus,
            running(tmp_path, configuration(tmp_path, cluster, prometheus, address, slack_url)) as stack,
        ):
            assert stack.send([alert(service) for service in SERVICES]) == 202
            records = stack.wait_diagnosed(len(SERVICES), seconds=180)
            ids = {record.services[0]: record.incident_id for record in records}
            action = rollback(stack, ids["payments"])
            wanted = "kubectl --namespace=default rollout undo deployment/payments"
            assert (action["command"], action["state"], action["missing"]) == (wanted, "proposed", "")
            assert "error_ratio of payments" in action["verification"]

            # the run that carries this one out is killed between its effect and its result
            cluster.on_write = lambda: [kill(pid) for pid in stack.pids("assets.runner")]  # type: ignore[assignment, return-value]
            run(stack, "approve", ids["search"], rollback(stack, ids["search"])["action_id"], "--yes")
            wait_for("the rollback of search", lambda: cluster.image("search").endswith("v2.3.4") or None, 120)
            cluster.on_write = lambda: None

            run(stack, "approve", ids["payments"], action["action_id"], "--comment", "bad release", "--yes")
            said = approve_on_the_page(stack, ids["cart"], rollback(stack, ids["cart"])["action_id"])
            assert "approved by dana" in said

            decide_in_slack(stack, slack, "orders", ids["orders"], "approve")
            rejected = decide_in_slack(stack, slack, "stock", ids["stock"], "reject")
            wait_for("who rejected it", lambda: "rejected (dana)" in rejected["text"] or None, 30)

            run(stack, "freeze", "--reason", "a test")
            for service in ("ledger", "users"):
                run(stack, "approve", ids[service], rollback(stack, ids[service])["action_id"], "--yes")
            wait_for("the end of an approval", lambda: state(stack, ids["users"]) == "expired" or None, 30)
            assert cluster.image("ledger").endswith("v2.3.5")
            run(stack, "unfreeze")

            for service in set(SERVICES) - set(STAY):
                execution = wait_for(f"a verified rollback of {service}", lambda s=service: ended(stack, ids[s]), 120)
                assert (execution.state, execution.verification) == ("done", "passed"), execution
                assert cluster.image(service) == f"shop/{service}:v2.3.4"
            told = header_of(slack, "orders")
            wait_for("the result in Slack", lambda: told and "done (dana)" in told["text"], 30)
            for service in STAY:
                assert cluster.image(service).endswith("v2.3.5")
            assert (state(stack, ids["stock"]), state(stack, ids["users"])) == ("rejected", "expired")
            assert len([path for _, path, _ in cluster.writes]) == len(SERVICES) - len(STAY)

            store = IncidentStore(stack.data_dir / "incidents")
            made = wait_for(
                "the asset of the verified rollback",
                lambda: [row for row in store.read(ids["cart"], "executed_actions") if row.verification == "passed"],
                30,
            )
            assert (made[0].approved_by, made[0].exit_status) == (("dana",), 0)
            assert "rolled back" in made[0].output

            ended_at = datetime.now(UTC).isoformat()
            assert stack.send([{**alert("orders"), "status": "resolved", "resolved_at": ended_at}]) == 202
            wait_for("close-out", lambda: store.materializations(ids["orders"], "knowledge_base_entry"), 60)
            postmortem = store.read(ids["orders"], "postmortem").markdown
            assert "Rollback to previous version (v2.3.4): approved by dana" in postmortem
            assert "done (deployment.apps/orders rolled back)" in postmortem
            assert "it helped" in postmortem
            wait_for("the end in Slack", lambda: "Resolved" in told["text"], 30)
