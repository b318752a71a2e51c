"""Rows of decisions and executions as values.

Belongs here: the way back from the inbox's rows. Does not belong here: queries.
"""

from __future__ import annotations

from incident_pipeline.models import RemediationAction
from incident_pipeline.remediation.records import Decision, Execution, Planned
from incident_pipeline.storage.inbox.base import Row


def decision_of(row: Row) -> Decision:
    """One decision."""
    return Decision.model_validate(dict(row))


def execution_of(row: Row) -> Execution:
    """One execution with the action as it was decided on."""
    action = RemediationAction.model_validate_json(row["action"])
    planned = Planned.model_validate_json(row["planned"])
    return Execution.model_validate({**row, "action": action, "planned": planned})
