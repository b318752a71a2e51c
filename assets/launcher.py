"""How runs are started: by forking a process that has everything imported already.

Dagster's default launcher starts a new interpreter for each run, which imports the code location again: about two of
the three seconds between an alert and its update. `runner.py` is a process that did the imports once; this launcher
asks it over a socket to fork. Where no runner answers (plain `dagster dev`), the default launcher does it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DefaultRunLauncher
from dagster._core.launcher.base import LaunchRunContext
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass
from dagster._serdes.config_class import ConfigurableClassData

SOCKET_NAME = "runner.sock"
ANSWER_SECONDS = 5.0
RUNNER_TAG = "incident_pipeline/runner"


class ForkingRunLauncher(DefaultRunLauncher, ConfigurableClass):
    """Launches runs through the runner of this Dagster home; named in `dagster.yaml`."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> ForkingRunLauncher:
        """As Dagster makes it from `dagster.yaml`."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Ask the runner to fork a process for the run; else start one as Dagster does."""
        run = context.dagster_run
        if run.job_code_origin is not None:
            arguments = ExecuteRunArgs(run.job_code_origin, run.run_id, self._instance.get_ref())
            request = {"do": "run", "run_id": run.run_id, "arguments": list(arguments.get_command_args())}
            if ask_runner(self._socket, request):
                self._instance.add_run_tags(run.run_id, {RUNNER_TAG: "fork"})
                return
        super().launch_run(context)

    def terminate(self, run_id: str) -> bool:
        """Interrupt the run, so that it ends as canceled."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if RUNNER_TAG not in run.tags:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        return ask_runner(self._socket, {"do": "terminate", "run_id": run_id})

    @property
    def _socket(self) -> Path:
        instance: dg.DagsterInstance = self._instance
        return Path(instance.root_directory) / SOCKET_NAME


def runner_answers(home: Path) -> bool:
    """Whether a runner of this Dagster home takes requests."""
    return ask_runner(home / SOCKET_NAME, {"do": "answer"})


def ask_runner(path: Path, request: Mapping[str, Any]) -> bool:
    """Whether the runner took the request; False also where there is no runner."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            return connection.recv(16).strip() == b"ok"
    except OSError:
        return False
