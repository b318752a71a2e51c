"""The responder past one machine: PostgreSQL, Redis and Celery workers, as real processes.

All of them are on this machine here; what makes them several is that they share nothing but PostgreSQL, Redis and the
data directory.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml

from incident_pipeline.storage.inbox import Inbox
from tests.e2e.stack import Stack
from tests.integration.peers import free_port
from tests.integration.postgres import postgres
from tests.unit.cli.runner import ROOT

WORKERS = ("one", "two")


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

    @property
    def is_alive(self) -> bool:
        """Whether its parent process lives."""
        return self.process.poll() is None

    def kill(self) -> None:
        """kill -9 of all its processes, as when its machine is gone."""
        if self.is_alive:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)


@dataclass
class ScaledOut(Stack):
    """`incident-pipeline up` whose runs go to Celery workers, and whose inbox is PostgreSQL."""

    workers: dict[str, Worker] = field(default_factory=dict)

    def start(self, receiver_port: int = 0) -> None:
        """Start workers and responder, and wait for the line that says ready."""
        self.tend()
        super().start(receiver_port)

    def tend(self) -> None:
        """Start workers that are dead, as whatever runs them would."""
        for name in WORKERS:
            if name not in self.workers or not self.workers[name].is_alive:
                self.workers[name] = Worker(name, self.config.parent)

    def kill_everything(self) -> None:
        """kill -9 of all, workers included; PostgreSQL and Redis are other people's machines."""
        for worker in self.workers.values():
            worker.kill()
        if hasattr(self, "process"):
            super().kill_everything()

    @property
    def inbox(self) -> Inbox:
        """The inbox, opened anew."""
        return Inbox.open(os.environ["INBOX_URL"])


@contextmanager
def scaled_out(directory: Path, configuration: str) -> Iterator[ScaledOut]:
    """The responder, not yet started, on a configuration; PostgreSQL and Redis run and are named in the environment."""
    pytest.importorskip("dagster_celery", reason="dagster-celery is not installed: Celery workers were not tested")
    import psycopg

    (directory / "peers").mkdir()
    with _redis(directory / "peers") as broker, postgres(directory / "peers") as url:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("CREATE DATABASE dagster")
        home = directory / "data" / "dagster"
        home.mkdir(parents=True)
        shutil.copy(ROOT / "deploy" / "scale" / "dagster.yaml", home)
        settings = yaml.safe_load(configuration)
        settings["scenario"]["inbox_url"] = "${INBOX_URL}"
        config = directory / "incident.yaml"
        config.write_text(yaml.safe_dump(settings))
        environment = {
            "INBOX_URL": url,
            "DAGSTER_POSTGRES_URL": url.replace("+psycopg", "+psycopg2").replace("/postgres", "/dagster"),
            "INCIDENT_PIPELINE_BROKER": broker,
            "DAGSTER_HOME": str(home),
            "INCIDENT_PIPELINE_CONFIG": str(config),
            "INCIDENT_PIPELINE_DATA_DIR": str(directory / "data"),
            "PYTHONPATH": str(ROOT),
        }
        with patch.dict(os.environ, environment):
            stack = ScaledOut(directory / "data", config)
            try:
                yield stack
            finally:
                stack.kill_everything()


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
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
