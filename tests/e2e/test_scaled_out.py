"""Past one machine, by configuration alone: PostgreSQL, Redis, two receivers, two Celery workers of which one dies.

All processes are on this machine here; what makes them several is that they share nothing but PostgreSQL, Redis and the
data directory.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from assets.dead_runs import UNFINISHED
from incident_pipeline.storage.inbox import Inbox, IncidentRecord
from tests.e2e.stack import Stack, wait_for
from tests.e2e.test_up import alert
from tests.integration.postgres import postgres
from tests.unit.cli.runner import ROOT

CONFIGURATION = "scenario:\n  inbox_url: ${INBOX_URL}\n  diagnosis:\n    updates: [0s]\n    max_concurrent: 4\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """The URL of an empty Redis, for as long as the block runs."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis is not installed: Celery workers were not tested")
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


class Worker:
    """One Celery worker: a parent and two children that runs are executed in."""

    def __init__(self, name: str, folder: Path) -> None:
        log = (folder / f"{name}.log").open("ab")
        command = [sys.executable, "-m", "celery", "--app", "assets.celery_worker", "worker", "--queues", "dagster"]
        options = ["--concurrency", "2", "--hostname", f"{name}@test", "--without-mingle", "--without-gossip"]
        with log:
            self.process = subprocess.Popen(
                [*command, *options], cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """kill -9 of all its processes, as when its machine is gone."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the configuration; PostgreSQL and Redis run and are named in the environment."""
    pytest.importorskip("dagster_celery", reason="dagster-celery is not installed: Celery workers were not tested")
    import psycopg

    (tmp_path / "peers").mkdir()
    with redis(tmp_path / "peers") as broker, postgres(tmp_path / "peers") as url:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("CREATE DATABASE dagster")
        home = tmp_path / "data" / "dagster"
        home.mkdir(parents=True)
        shutil.copy(ROOT / "deploy" / "scale" / "dagster.yaml", home)
        (tmp_path / "incident.yaml").write_text(CONFIGURATION)
        for name, value in {
            "INBOX_URL": url,
            "DAGSTER_POSTGRES_URL": url.replace("+psycopg", "+psycopg2").replace("/postgres", "/dagster"),
            "INCIDENT_PIPELINE_BROKER": broker,
            "DAGSTER_HOME": str(home),
            "INCIDENT_PIPELINE_CONFIG": str(tmp_path / "incident.yaml"),
            "INCIDENT_PIPELINE_DATA_DIR": str(tmp_path / "data"),
            "PYTHONPATH": str(ROOT),
        }.items():
            monkeypatch.setenv(name, value)
        yield tmp_path


def records() -> list[IncidentRecord]:
    inbox = Inbox.open(os.environ["INBOX_URL"])
    try:
        return inbox.incidents()
    finally:
        inbox.close()


@pytest.mark.timeout(900)
def test_two_workers_and_the_death_of_one(shared: Path, whole: bool) -> None:
    count = 8 if whole else 4
    stack = Stack(shared / "data", shared / "incident.yaml")
    stack.start()
    second = free_port()
    receiver = subprocess.Popen(
        [
            *(sys.executable, "-m", "incident_pipeline.console.serve"),
            *("--port", str(second), "--web-server", stack.ui),
        ],
        stderr=subprocess.DEVNULL,
    )
    workers = [Worker(name, shared) for name in ("one", "two")]
    try:
        first = stack.receiver
        for number in range(count):
            stack.receiver = first if number % 2 else f"http://127.0.0.1:{second}"
            wait_for("receiver", lambda n=number: accepted(stack, n), seconds=60)  # type: ignore[misc]
        wait_for("first diagnosis", lambda: any(record.diagnosed_at for record in records()), seconds=180)
        workers[0].kill()

        def all_diagnosed() -> bool:
            found = records()
            return len(found) == count and all(record.diagnosed_at for record in found)

        wait_for("diagnosis of every incident", all_diagnosed, seconds=400)
        inbox = Inbox.open(os.environ["INBOX_URL"])
        members = Counter(
            one.source_id for record in inbox.incidents() for one in inbox.incident(record.incident_id).alerts
        )
        inbox.close()
        assert members == {f"alert-{number}": 1 for number in range(count)}
        wait_for("end of every run", lambda: not unfinished(), seconds=60)
        assert not (shared / "data" / "inbox.sqlite").exists()
    finally:
        for worker in workers:
            worker.kill()
        receiver.kill()
        receiver.wait(10)
        stack.kill_everything()


def accepted(stack: Stack, number: int) -> bool:
    try:
        return stack.send(alert(number, f"service-{number}")) == 202
    except OSError:
        return False


def unfinished() -> list[str]:
    with dg.DagsterInstance.get() as instance:
        return [run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))]
