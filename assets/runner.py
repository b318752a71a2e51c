"""The process that runs are forked from: `python -m assets.runner`.

It answers an invented incident once (`rehearsal.py`), so that everything is loaded, then forks a process for each run
that the launcher asks for, at most `--max-runs` at a time; the others wait in order. It holds no database open, since
those do not survive a fork, and has dead runs ended by a forked process, too: when one of its own dies, and every few
seconds for those of others.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from assets.launcher import SOCKET_NAME
from assets.rehearsal import rehearse
from incident_pipeline.application import Application
from incident_pipeline.operation.structured_logs import write_json_logs
from incident_pipeline.storage import liveness

LOG = logging.getLogger(__name__)

TICK_SECONDS = 0.1
LOOK_AFTER_DEAD_SECONDS = 5.0
REQUEST_LIMIT = 1_000_000


class Runner:
    """Forks one process for each run."""

    def __init__(self, socket_path: Path, locks: Path, max_runs: int) -> None:
        self._socket_path = socket_path
        self._locks = locks
        self._max_runs = max_runs
        self._waiting: deque[tuple[str, list[str]]] = deque()
        self._runs: dict[int, str] = {}
        self._helpers: set[int] = set()
        self._next_look = 0.0
        self._stopping = False

    def serve(self) -> None:
        """Take requests until SIGTERM; runs that are going on then are left to end by themselves."""
        signal.signal(signal.SIGTERM, self._stop)
        with listening(self._socket_path) as listener, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            while not self._stopping:
                if selector.select(TICK_SECONDS):
                    self._answer(listener)
                self._reap()
                self._start_waiting(listener)
                self._look_after_dead(listener)

    def _stop(self, *_: Any) -> None:
        self._stopping = True

    def _answer(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(1.0)
            try:
                taken = self._take(json.loads(_read_line(connection)))
                connection.sendall(b"ok\n" if taken else b"no\n")
            except (OSError, ValueError, KeyError) as error:
                LOG.warning("a request was not understood: %s", error)

    def _take(self, request: dict[str, Any]) -> bool:
        if request["do"] == "answer":
            return True
        run_id = str(request["run_id"])
        if request["do"] == "run":
            liveness.hold(self._locks, run_id)
            self._waiting.append((run_id, [str(part) for part in request["arguments"]]))
            return True
        return self._terminate(run_id)

    def _terminate(self, run_id: str) -> bool:
        for pid, running in self._runs.items():
            if running == run_id:
                os.kill(pid, signal.SIGINT)
                return True
        return False

    def _start_waiting(self, listener: socket.socket) -> None:
        while self._waiting and len(self._runs) < self._max_runs:
            run_id, arguments = self._waiting.popleft()
            pid = fork(partial(self._run, run_id, arguments), listener)
            liveness.hand_over(self._locks, run_id)
            self._runs[pid] = run_id

    def _run(self, run_id: str, arguments: list[str]) -> int:
        liveness.keep_only(self._locks, run_id)
        return execute(arguments)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._helpers.discard(pid)
            if self._runs.pop(pid, None) is not None and status != 0:
                self._next_look = 0.0

    def _look_after_dead(self, listener: socket.socket) -> None:
        if self._helpers or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_AFTER_DEAD_SECONDS
        self._helpers.add(fork(look_after_dead_runs, listener))


def look_after_dead_runs() -> int:
    """One look for runs whose process has died; in a process of its own."""
    import dagster as dg

    from assets.dead_runs import end_dead_runs
    from assets.resources import Responder

    application = Application.load()
    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance, application.inbox, application.run_locks, Responder.now())
    application.close()
    return 0


def execute(arguments: list[str]) -> int:
    """Run `dagster api execute_run ...` in this process."""
    from dagster._cli import cli

    cli(args=arguments[arguments.index("api") :], standalone_mode=False)
    return 0


def fork(work: Callable[[], int], listener: socket.socket) -> int:
    """Do the work in a child; returns its process id."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        listener.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        status = work()
    except BaseException:  # noqa: BLE001 - the child must end here, whatever happened, and never return into the loop
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A socket that only this user can reach; a stale one of a killed runner is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(64)
        yield listener
        path.unlink(missing_ok=True)


def _read_line(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n"):
        part = connection.recv(65536)
        if not part or len(received) > REQUEST_LIMIT:
            break
        received += part
    return received


def main() -> None:
    """Rehearse, then serve."""
    parser = argparse.ArgumentParser(description="Forks a process for each run.")
    parser.add_argument("--max-runs", type=int, default=max(2, os.cpu_count() or 2))
    options = parser.parse_args()
    write_json_logs("runner")
    application = Application.load()
    locks = application.run_locks
    # threads of the tokenizer would not be there in a forked process, which would wait for them
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    rehearse(application)
    application.close()
    Runner(application.dagster_home / SOCKET_NAME, locks, options.max_runs).serve()


if __name__ == "__main__":
    main()
