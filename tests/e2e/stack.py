"""The whole responder as real processes, the way a user starts it, on a data directory and ports of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from incident_pipeline.storage.inbox import Inbox, IncidentRecord

T = TypeVar("T")
ONE_DIAGNOSIS = "scenario:\n  diagnosis:\n    updates: [0s]\n"
READY_SECONDS = 90.0
POLL_SECONDS = 0.05


def alert(number: int, service: str) -> dict[str, str]:
    """An alert in our own format; one with the same service is the same alert again."""
    return {
        "source": "custom",
        "source_id": f"alert-{number}",
        "dedup_key": f"errors-{service}",
        "title": f"Errors in {service}",
        "summary": f"{service} answers with errors",
        "severity": "P2",
        "status": "triggered",
        "service": service,
        "environment": "production",
        "started_at": "2026-11-20T14:35:00Z",
    }


def wait_for(what: str, look: Callable[[], T | None], seconds: float, every: float = POLL_SECONDS) -> T:
    """Look until there is something; what is awaited here belongs to other processes, so it can only be looked at."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"after {seconds:.0f} s: no {what}")


@dataclass
class Stack:
    """A running `incident-pipeline up`."""

    data_dir: Path
    config: Path
    process: subprocess.Popen[str] = field(init=False)
    receiver: str = ""
    ui: str = ""

    def start(self, receiver_port: int = 0) -> None:
        """Start, and wait for the line that says ready."""
        command = [sys.executable, "-m", "incident_pipeline.cli", "up", "--receiver-port", str(receiver_port)]
        options = ["--ui-port", "0", "--config", str(self.config), "--data-dir", str(self.data_dir)]
        # a shell of ours may have set this, and would hide a line that is not flushed
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        self.process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, text=True, cwd=self.config.parent, env=environment
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready: "), f"{line!r}; logs: {self.logs()}"
        self.receiver, self.ui = line.split()[1:3]

    def tend(self) -> None:
        """Start again what nothing of the responder's own starts again: nothing here."""

    def stop(self) -> float:
        """SIGTERM; returns how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return time.monotonic() - began

    def kill_everything(self) -> None:
        """kill -9 of the supervisor, of all that it started, and of all runs."""
        for pid in [self.process.pid, *self.pids()]:
            kill(pid)
        self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def pids(self, word: str = "") -> list[int]:
        """The processes of this stack whose command line contains a word: all carry the data directory."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) in (os.getpid(), self.process.pid):
                continue
            try:
                environment = (entry / "environ").read_bytes().decode(errors="replace")
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"INCIDENT_PIPELINE_DATA_DIR={self.data_dir}\0" in environment and word in command:
                found.append(int(entry.name))
        return found

    def send(self, alerts: Any, path: str = "/webhooks/custom") -> int:
        """POST alerts; returns the status."""
        request = urllib.request.Request(  # noqa: S310
            self.receiver + path, json.dumps(alerts).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return int(error.code)

    @property
    def inbox(self) -> Inbox:
        """The inbox, opened anew."""
        return Inbox.open(self.data_dir / "inbox.sqlite")

    def incidents(self) -> list[IncidentRecord]:
        """What the inbox lists."""
        inbox = self.inbox
        try:
            return inbox.incidents()
        finally:
            inbox.close()

    def wait_diagnosed(self, count: int, seconds: float) -> list[IncidentRecord]:
        """Wait until so many incidents have a status update and none is without."""

        def look() -> list[IncidentRecord] | None:
            records = self.incidents()
            return records if len(records) >= count and all(r.diagnosed_at for r in records) else None

        try:
            return wait_for(f"{count} diagnosed incidents", look, seconds)
        except AssertionError as error:
            states = [(r.incident_id, str(r.diagnosed_at), r.failure) for r in self.incidents()]
            raise AssertionError(f"{error}; there are {states}; logs: {self.logs()}") from None

    def logs(self) -> str:
        """The end of each log, for a failing test."""
        ends = [
            f"--- {path.name}\n{path.read_text()[-1500:]}" for path in sorted((self.data_dir / "logs").glob("*.log"))
        ]
        return "\n".join(ends)


def kill(pid: int) -> None:
    """kill -9; it may have ended by itself."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def running(directory: Path, configuration: str, receiver_port: int = 0) -> Iterator[Stack]:
    """A stack on a configuration; killed at the end, whatever happened."""
    config = directory / "incident.yaml"
    config.write_text(configuration)
    stack = Stack(directory / "data", config)
    stack.start(receiver_port)
    try:
        yield stack
    finally:
        if stack.process.poll() is None:
            stack.kill_everything()
