"""What every executor looks like, so that a new one is one file and one line in the registry.

Belongs here: the protocol, and what goes in and out. Does not belong here: anything about one system.

An executor never decides whether it may act; whoever calls `execute` has the intent on record by then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from incident_pipeline.config import Scenario
from incident_pipeline.models import ActionCall
from incident_pipeline.remediation.records import Planned

EXECUTION_MARK = "{{ execution }}"
"""In parameters: the name of the execution, by which its traces are found again."""


@dataclass(frozen=True)
class Outcome:
    """What the target said to a dry run or to the real thing."""

    succeeded: bool
    output: str
    exit_status: int | None = None
    uncertain: bool = False
    """Nothing came back: it may have happened all the same."""


class Effect(StrEnum):
    """Whether the target shows that it happened."""

    HAPPENED = "happened"
    NOT_HAPPENED = "not_happened"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True)
class Seen:
    """What the target shows, in one sentence for people."""

    effect: Effect
    text: str


class Executor(Protocol):
    """One way to act on one kind of system; every call is one attempt, nothing is retried that writes."""

    def plan(self, call: ActionCall) -> Planned:
        """Resolve the call against the target: what will be done, and the state before; reads only.

        Raises:
            SourceError: the target does not answer, or what is wanted cannot be done there.
        """
        ...

    def dry_run(self, call: ActionCall, planned: Planned) -> Outcome | None:
        """What the target says to doing it, without doing it; None where it has no such thing.

        Raises:
            SourceError: the target does not answer.
        """
        ...

    def execute(self, call: ActionCall, planned: Planned, mark: str) -> Outcome:
        """Do it, once. `mark` names the execution wherever the target keeps such a name."""
        ...

    def verify(self, call: ActionCall, planned: Planned, mark: str, since: datetime) -> Seen:
        """Whether the target shows that it happened after `since`; reads only.

        Raises:
            SourceError: the target does not answer.
        """
        ...

    def undo(self, call: ActionCall, planned: Planned) -> ActionCall | None:
        """What leads back to the state before; None where nothing does."""
        ...


@dataclass(frozen=True)
class ExecutorSettings:
    """What an executor is built from."""

    scenario: Scenario
    transport: Any = None
    """Replaces the network, for tests."""


Build = Callable[[ExecutorSettings], Executor]
FindExecutor = Callable[[str], Executor]
"""Gives the executor of a name."""


def steps_text(planned: Planned) -> str:
    """What will be done, one step a line."""
    return "\n".join(planned.steps)
