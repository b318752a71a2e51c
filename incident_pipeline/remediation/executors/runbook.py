"""One command of a runbook, on this machine, if `remediation.execution.programs` names its program.

Parameters: `words`, a JSON list: the command word by word, which no shell reads. There is no dry run, and nobody can
tell from outside whether it happened: its output is kept.
"""

from __future__ import annotations

import json
import shlex
from datetime import datetime

from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.models import ActionCall
from incident_pipeline.remediation.executors.base import Effect, ExecutorSettings, Outcome, Seen
from incident_pipeline.remediation.executors.processes import run
from incident_pipeline.remediation.records import Planned


class RunbookCommand:
    """Commands whose program the configuration allows."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._programs = settings.scenario.remediation.execution.programs
        self._limit = settings.scenario.remediation.execution.time_limit

    def plan(self, call: ActionCall) -> Planned:
        """Check the program."""
        return Planned(steps=(shlex.join(self._words(call)),))

    def dry_run(self, call: ActionCall, planned: Planned) -> Outcome | None:
        """A command of a runbook has none."""
        return None

    def execute(self, call: ActionCall, planned: Planned, mark: str) -> Outcome:
        """Run it."""
        return run(self._words(call), self._limit)

    def verify(self, call: ActionCall, planned: Planned, mark: str, since: datetime) -> Seen:
        """Nobody can tell."""
        return Seen(Effect.CANNOT_TELL, "a command of a runbook leaves nothing to look at")

    def undo(self, call: ActionCall, planned: Planned) -> ActionCall | None:
        """The runbook tells, not we."""
        return None

    def _words(self, call: ActionCall) -> list[str]:
        words = json.loads(call.parameters.get("words", "[]"))
        if not words or words[0] not in self._programs:
            known = ", ".join(self._programs) or "none"
            program = words[0] if words else ""
            raise PermanentSourceError(
                f"runbook: {program!r} is not in remediation.execution.programs; there are: {known}"
            )
        return [str(word) for word in words]


def build(settings: ExecutorSettings) -> RunbookCommand:
    """The programs of the allow-list."""
    return RunbookCommand(settings)
