"""The real programs that tests talk to, each on a free port of loopback, with its data in a folder of the test."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

START_SECONDS = 30.0
TOOLS = Path(__file__).resolve().parents[2] / ".tools"
"""Where `tests/system_packages.sh` installs what Debian does not have."""


def program(*names: str) -> str:
    """The path of the first of these programs, or a skipped test that says what is missing."""
    places = [None, *(str(TOOLS / place) for place in ("moto/bin", "npm/node_modules/.bin"))]
    found = next((path for name in names for place in places if (path := shutil.which(name, path=place))), None)
    if found is None:
        pytest.skip(f"{names[0]} is not installed")
    return found


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], folder: Path, ready_url: str, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """A program that runs until the block ends; begins when its URL answers."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=env)
    try:
        _wait_until_ready(process, ready_url, log)
        yield ready_url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def start_alertmanager(folder: Path, webhook_url: str | None = None, token: str = "") -> Iterator[str]:
    """Alertmanager; with a webhook URL it sends each group there, with the bearer token. Yields its URL."""
    binary = program("prometheus-alertmanager", "alertmanager")
    folder.mkdir(parents=True, exist_ok=True)
    hook = ""
    if webhook_url:
        auth = f", http_config: {{authorization: {{type: Bearer, credentials: {token}}}}}" if token else ""
        hook = f"\n  webhook_configs: [{{url: '{webhook_url}', send_resolved: true{auth}}}]"
    (folder / "alertmanager.yml").write_text(
        "route: {receiver: hook, group_by: [alertname, service], group_wait: 1s, group_interval: 2s, "
        f"repeat_interval: 1h}}\nreceivers:\n- name: hook{hook}\n"
    )
    url = f"http://127.0.0.1:{free_port()}"
    address = url.removeprefix("http://")
    # without a cluster address: it would listen for gossip on every interface
    options = ["--config.file=alertmanager.yml", "--storage.path=alertmanager-data", "--cluster.listen-address="]
    with running([binary, *options, f"--web.listen-address={address}"], folder, f"{url}/-/ready"):
        yield url


@contextmanager
def start_prometheus(
    folder: Path,
    *,
    targets: tuple[str, ...] = (),
    rules: str | None = None,
    alertmanager_url: str | None = None,
    history: str | None = None,
) -> Iterator[str]:
    """Prometheus, which scrapes every second. Yields its URL.

    Args:
        folder: for its data.
        targets: `host:port` of what is scraped.
        rules: text of a rule file.
        alertmanager_url: who is told of alerts.
        history: OpenMetrics text (times in seconds, ending in `# EOF`) that it has recorded already.
    """
    binary = program("prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yml").write_text(rules or "groups: []\n")
    known = [alertmanager_url.removeprefix("http://")] if alertmanager_url else []
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s, external_labels: {cluster: demo}}\n"
        f"alerting: {{alertmanagers: [{{static_configs: [{{targets: {known}}}]}}]}}\n"
        "rule_files: [rules.yml]\n"
        f"scrape_configs: [{{job_name: app, static_configs: [{{targets: {list(targets)}}}]}}]\n"
    )
    if history:
        _write_history(folder, history)
    url = f"http://127.0.0.1:{free_port()}"
    options = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--storage.tsdb.allow-overlapping-blocks"]
    options += ["--storage.tsdb.retention.time=30d", f"--web.listen-address={url.removeprefix('http://')}"]
    with running([binary, *options], folder, f"{url}/-/ready"):
        yield url


def _write_history(folder: Path, history: str) -> None:
    (folder / "history.txt").write_text(history)
    command = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "history.txt", "data"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310  # our own URL
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return  # it answers, if only that there is no such page
        except OSError:
            pass
        time.sleep(0.05)
    pytest.fail(f"{url} did not answer: {log.read_text(errors='replace')[-1000:]}")
