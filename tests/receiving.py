"""A real receiver in a process of its own, and a small HTTP client that costs little, for tests and benchmarks.

Run as a program it serves: `python -m tests.receiving DATA_DIR PORT [--group]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
READY_SECONDS = 60.0


class Receiver:
    """A receiver that can be killed and started again on the same data and port."""

    def __init__(self, data_dir: Path, group: bool = False, env: dict[str, str] | None = None) -> None:
        self.data_dir, self.group = data_dir, group
        self.port = _free_port()
        self._env = {**os.environ, **(env or {}), "PYTHONPATH": str(ROOT)}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Receiver:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill(signal.SIGTERM)

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.receiving", str(self.data_dir), str(self.port)]
        log = (self.data_dir / "receiver.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                command + (["--group"] if self.group else []), cwd=ROOT, env=self._env, stderr=log, stdout=log
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.data_dir / "receiver.log").read_text()[-2000:])
            time.sleep(0.02)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    @property
    def cpu_seconds(self) -> float:
        """Processor time that it has used so far."""
        if self._process is None:
            return 0.0
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _answers(self) -> bool:
        try:
            return asyncio.run(once(self.port, "GET", "/health"))[0] == 200
        except OSError:
            return False


class Connection:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"", headers: str = "") -> tuple[int, bytes]:
        """Status and body; OSError or EOFError where the receiver went away before it had answered."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        try:
            head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
            answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            fields = dict(line.lower().split(": ", 1) for line in answer.split("\r\n")[1:] if ": " in line)
            content = await reader.readexactly(int(fields.get("content-length", "0")))
            if fields.get("connection") == "close":
                self.close()
            return int(answer.split(" ", 2)[1]), content
        except (OSError, EOFError):
            self.close()
            raise

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def once(port: int, method: str, path: str, body: bytes = b"", headers: str = "") -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = Connection(port)
    try:
        return await connection.ask(method, path, body, headers)
    finally:
        connection.close()


def body_of(alerts: Sequence[Any]) -> bytes:
    """The body of `POST /webhooks/custom` for one alert or several."""
    fields = [each.model_dump(mode="json", exclude={"received_at", "raw", "source"}) for each in alerts]
    return json.dumps(fields[0] if len(fields) == 1 else fields).encode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve() -> None:
    """Serve until SIGTERM; with --group, group in a thread beside it, as the dispatcher does."""
    import uvicorn

    from incident_pipeline.config import Scenario
    from incident_pipeline.console.receiver import create_receiver
    from incident_pipeline.storage.inbox import Inbox

    parser = argparse.ArgumentParser()
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--group", action="store_true")
    options = parser.parse_args()
    settings = Scenario()
    inbox = Inbox.open(options.data_dir / "inbox.sqlite")
    wake = threading.Event()

    def group() -> None:
        while True:
            wake.wait()
            wake.clear()
            inbox.group(datetime.now(UTC), settings.alerts)
            time.sleep(0.2)

    if options.group:
        threading.Thread(target=group, daemon=True).start()
    app = create_receiver(inbox, settings, (), wake.set)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    serve()
