"""Which executors there are.

Belongs here: names and nothing else. A package outside adds one by an entry point of the group
`incident_pipeline.executors`: name -> a function that takes `ExecutorSettings` and returns an `Executor`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from incident_pipeline.config import Scenario
from incident_pipeline.errors import ConfigurationError
from incident_pipeline.models import ActionType
from incident_pipeline.remediation.executors.base import Build, Executor, ExecutorSettings

ENTRY_POINTS = "incident_pipeline.executors"
_HERE = "incident_pipeline.remediation.executors"

EXECUTORS: dict[str, str] = {
    "argocd": f"{_HERE}.argocd",
    "command": f"{_HERE}.command",
    "flags": f"{_HERE}.flags",
    "github-actions": f"{_HERE}.github_actions",
    "gitlab": f"{_HERE}.gitlab",
    "http": f"{_HERE}.http_call",
    "jenkins": f"{_HERE}.jenkins",
    "kubectl": f"{_HERE}.kubectl",
    "runbook": f"{_HERE}.runbook",
    "status-page": f"{_HERE}.status_page",
}
"""Name -> a module with a function `build(settings: ExecutorSettings) -> Executor`; imported when it is used."""

OPERATIONS: dict[str, frozenset[ActionType]] = {
    "argocd": frozenset({ActionType.ROLLBACK}),
    "flags": frozenset({ActionType.DISABLE_FLAG}),
    "runbook": frozenset(),
    "status-page": frozenset({ActionType.COMMUNICATE}),
    "kubectl": frozenset({ActionType.ROLLBACK, ActionType.SCALE, ActionType.RESTART, ActionType.RESCHEDULE}),
}
"""What an executor can do; the others do whatever they are told to."""


def can_do(name: str, action_type: ActionType) -> bool:
    """Whether an executor knows how to carry out actions of a type."""
    return name not in OPERATIONS or action_type in OPERATIONS[name]


def executor_names() -> tuple[str, ...]:
    """The names of all executors of this installation."""
    return tuple(sorted({*EXECUTORS, *(point.name for point in entry_points(group=ENTRY_POINTS))}))


def executor_named(name: str, scenario: Scenario, transport: Any = None) -> Executor:
    """The executor of that name, ready for use; nothing is opened before it is asked.

    Raises:
        ConfigurationError: there is none, or the configuration lacks what it needs.
    """
    settings = ExecutorSettings(scenario, transport)
    if name in EXECUTORS:
        build: Build = import_module(EXECUTORS[name]).build
        return build(settings)
    for point in entry_points(group=ENTRY_POINTS, name=name):
        try:
            made: Executor = point.load()(settings)
        except Exception as error:  # another package's mistake, whatever it is, must not take ours down
            raise ConfigurationError(f"the executor {name!r} ({point.value}) cannot be loaded: {error!r}") from error
        return made
    raise ConfigurationError(f"there is no executor {name!r}; there are {', '.join(executor_names())}")
