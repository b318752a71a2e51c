"""Keeps the processes of `incident-pipeline up` alive: starts them, restarts the dead, stops all together.

Belongs here: processes, ports and signals. Does not belong here: what the processes do.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from incident_pipeline.application import Application
from incident_pipeline.errors import ConfigurationError, StoreError
from incident_pipeline.operation.service_manager import ALIVE, READY, STOPPING, tell

TICK_SECONDS = 0.1
READY_SECONDS = 120.0
STOP_SECONDS = 7.0
SIGN_SECONDS = 10.0
"""Between signs of life to the service manager; it waits for a minute (`WatchdogSec`)."""
RESTART_SECONDS = (0.2, 1.0, 5.0, 15.0)
"""How long a process that keeps dying is left alone before it is started again."""
STEADY_SECONDS = 60.0
"""A process that lived this long is started again at once."""


@dataclass(frozen=True)
class Ports:
    """Where the receiver and the UI listen; port 0 takes a free one."""

    receiver_host: str
    receiver: int
    ui_host: str
    ui: int


@dataclass
class Child:
    """One process and how often it had to be started."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    restart_at: float = 0.0


@dataclass
class Supervisor:
    """The processes, started in order."""

    children: list[Child]
    environment: dict[str, str]
    logs: Path
    say: Callable[[str], None]

    def look(self, now: float) -> None:
        """Start what does not run and may."""
        for child in self.children:
            if child.process is not None and child.process.poll() is None:
                continue
            if child.process is not None:
                self._died(child, now)
            if now >= child.restart_at:
                self._start(child, now)

    def stop(self) -> None:
        """SIGTERM for all, SIGKILL for those that do not listen."""
        running = [child.process for child in self.children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, child: Child, now: float) -> None:
        with (self.logs / f"{child.name}.log").open("ab") as log:
            child.process = subprocess.Popen(  # noqa: S603 - our own commands
                child.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_end_with_parent,
            )
        child.started = now

    def _died(self, child: Child, now: float) -> None:
        status = child.process.returncode if child.process else None
        child.process = None
        child.deaths = 0 if now - child.started > STEADY_SECONDS else child.deaths + 1
        wait = RESTART_SECONDS[min(child.deaths, len(RESTART_SECONDS) - 1)]
        child.restart_at = now + wait
        log = self.logs / f"{child.name}.log"
        self.say(f"{child.name} ended with status {status}; starting it again in {wait:g} s (log: {log})")


def supervise(
    application: Application, ports: Ports, runner_answers: Callable[[], bool], on_ready: Callable[[str, str], None]
) -> None:
    """Run everything until SIGTERM or Ctrl-C; calls `on_ready(receiver URL, UI URL)` once, when all answer.

    `runner_answers`: whether the process that runs are forked from is prepared; before it is, a run costs ten times as
    much.

    Raises:
        ConfigurationError: a port is taken.
        StoreError: the processes did not come up.
    """
    ports = Ports(
        ports.receiver_host,
        _free_port(ports.receiver_host, ports.receiver, "--receiver-port"),
        ports.ui_host,
        _free_port(ports.ui_host, ports.ui, "--ui-port"),
    )
    logs = application.data_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    code_port = _free_port("127.0.0.1", 0, "the code server")
    workspace = _write_workspace(application.dagster_home, code_port)
    children = _children(application, ports, code_port, workspace)
    environment = {**os.environ, **application.environment}
    supervisor = Supervisor(children, environment, logs, say=lambda text: print(text, file=sys.stderr))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    urls = _url(ports.receiver_host, ports.receiver), _url(ports.ui_host, ports.ui)
    try:
        _run(supervisor, stop, lambda: _all_answer(*urls) and runner_answers(), lambda: on_ready(*urls), logs)
    finally:
        tell(STOPPING)
        supervisor.stop()


def _run(
    supervisor: Supervisor,
    stop: threading.Event,
    all_answer: Callable[[], bool],
    on_ready: Callable[[], None],
    logs: Path,
) -> None:
    deadline = time.monotonic() + READY_SECONDS
    ready, next_sign = False, 0.0
    while not stop.wait(TICK_SECONDS):
        supervisor.look(time.monotonic())
        if time.monotonic() >= next_sign:
            tell(ALIVE)
            next_sign = time.monotonic() + SIGN_SECONDS
        if ready:
            continue
        if all_answer():
            ready = True
            tell(READY)
            on_ready()
        elif time.monotonic() > deadline:
            raise StoreError(f"not everything was up after {READY_SECONDS:.0f} s; the logs in {logs} say why")


def _children(application: Application, ports: Ports, code_port: int, workspace: Path) -> list[Child]:
    python = sys.executable
    runs = str(application.scenario.diagnosis.max_concurrent)
    return [
        Child("runner", [python, "-m", "assets.runner", "--max-runs", runs]),
        Child(
            "code-server",
            [
                *(python, "-m", "dagster", "api", "grpc", "--module-name", "assets.definitions"),
                *("--host", "127.0.0.1", "--port", str(code_port), "--location-name", "incident_pipeline"),
                *("--log-format", "json"),
            ],
        ),
        Child(
            "web-server",
            [
                *(python, "-m", "dagster_webserver", "--workspace", str(workspace)),
                *("--host", ports.ui_host, "--port", str(ports.ui), "--log-format", "json"),
            ],
        ),
        Child(
            "daemon",
            [
                *(python, "-m", "dagster._daemon", "run", "--workspace", str(workspace)),
                # it says at `info` that each sensor had nothing to do, every 5 s
                *("--log-format", "json", "--log-level", "warning"),
            ],
        ),
        Child(
            "receiver",
            [
                *(python, "-m", "incident_pipeline.console.serve"),
                *("--host", ports.receiver_host, "--port", str(ports.receiver)),
                *("--web-server", _url(ports.ui_host, ports.ui)),
            ],
        ),
    ]


def _write_workspace(home: Path, code_port: int) -> Path:
    """The workspace of this start: one code server for web server and daemon alike."""
    path = home / "workspace.yaml"
    path.write_text(
        "load_from:\n  - grpc_server:\n      host: 127.0.0.1\n"
        f"      port: {code_port}\n      location_name: incident_pipeline\n"
    )
    return path


def _free_port(host: str, port: int, option: str) -> int:
    """The port, or a free one for 0."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} on {host} cannot be used ({error.strerror}); choose another with {option}"
            ) from error
        return int(probe.getsockname()[1])


def _url(host: str, port: int) -> str:
    shown = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - only compared
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _all_answer(receiver_url: str, ui_url: str) -> bool:
    from incident_pipeline.connectors.dagster_graphql import DagsterWebServer
    from incident_pipeline.connectors.http import answers, post_json

    alive = answers(f"{receiver_url}/health", timedelta(seconds=1)) and answers(
        f"{ui_url}/server_info", timedelta(seconds=1)
    )
    return alive and DagsterWebServer(ui_url, post_json).has_loaded()


def _end_with_parent() -> None:
    """On Linux: the kernel ends the child when its supervisor is killed, so that no port stays taken."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
