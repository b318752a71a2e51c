"""A command of this machine, from the allow-list `remediation.execution.commands`.

Parameters: `command`, the name in the allow-list; `dry_run`, `check` and `undo`, names of others; `value.<name>`, what
stands for `{{ name }}`. A `check` that ends with 0 says that it has happened, with 1 that it has not. The words of a
command are filled in one by one and handed over as they are: no shell reads them.
"""

from __future__ import annotations

import shlex
from datetime import datetime

from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.models import ActionCall
from incident_pipeline.remediation.executors.base import EXECUTION_MARK, Effect, ExecutorSettings, Outcome, Seen
from incident_pipeline.remediation.executors.processes import run
from incident_pipeline.remediation.placeholders import fill
from incident_pipeline.remediation.records import Planned

_VALUE = "value."


class LocalCommand:
    """Commands that the configuration allows."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._commands = settings.scenario.remediation.execution.commands
        self._limit = settings.scenario.remediation.execution.time_limit

    def plan(self, call: ActionCall) -> Planned:
        """Fill the command in."""
        return Planned(steps=(shlex.join(self._words(call, "command", EXECUTION_MARK)),))

    def dry_run(self, call: ActionCall, planned: Planned) -> Outcome | None:
        """The command that `dry_run` names; nothing where there is none."""
        return run(self._words(call, "dry_run", "dry-run"), self._limit) if "dry_run" in call.parameters else None

    def execute(self, call: ActionCall, planned: Planned, mark: str) -> Outcome:
        """Run it."""
        return run(self._words(call, "command", mark), self._limit)

    def verify(self, call: ActionCall, planned: Planned, mark: str, since: datetime) -> Seen:
        """Ask the command that `check` names; without one nobody can tell."""
        if "check" not in call.parameters:
            return Seen(Effect.CANNOT_TELL, "no check is configured")
        done = run(self._words(call, "check", mark), self._limit)
        effect = {0: Effect.HAPPENED, 1: Effect.NOT_HAPPENED}.get(done.exit_status, Effect.CANNOT_TELL)  # type: ignore[arg-type]
        return Seen(effect, f"{call.parameters['check']} ended with {done.exit_status}")

    def undo(self, call: ActionCall, planned: Planned) -> ActionCall | None:
        """The command that `undo` names; nothing where there is none."""
        if "undo" not in call.parameters:
            return None
        kept = {name: value for name, value in call.parameters.items() if name.startswith(_VALUE)}
        return call.model_copy(update={"parameters": {**kept, "command": call.parameters["undo"]}})

    def _words(self, call: ActionCall, which: str, mark: str) -> list[str]:
        name = call.parameters.get(which, "")
        words = self._commands.get(name)
        if not words:
            known = ", ".join(sorted(self._commands)) or "none"
            raise PermanentSourceError(
                f"command: {name!r} is not in remediation.execution.commands; there are: {known}"
            )
        values = {key.removeprefix(_VALUE): value for key, value in call.parameters.items() if key.startswith(_VALUE)}
        return [fill(word, values | {"execution": mark}, f"command {name}") for word in words]


def build(settings: ExecutorSettings) -> LocalCommand:
    """The commands of the allow-list."""
    return LocalCommand(settings)
