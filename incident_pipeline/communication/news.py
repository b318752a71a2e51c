"""What has changed of an incident that people should hear of.

Belongs here: which facts matter, and how a change of each reads; pure. Does not belong here: to whom, and how.

A run that comes to the same result is no news. News is a changed status, severity or likeliest cause, a confidence that
moved by ten points, and an action that somebody decided on or that was carried out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pydantic import Field

from incident_pipeline.documents.wording import percent
from incident_pipeline.models import ActionState, Diagnosis, Incident, Model, RemediationAction

MOVED = 0.1
"""From this change of confidence on, people are told."""
_ROUNDING = 1e-9
TOLD_STATES: Mapping[str, str] = {
    ActionState.APPROVED: "approved",
    ActionState.REJECTED: "rejected",
    ActionState.EXPIRED: "no longer approved: the approval has expired",
    ActionState.EXECUTING: "being carried out",
    ActionState.DONE: "done",
    ActionState.FAILED: "failed",
    ActionState.UNKNOWN: "in an unknown state: nobody knows whether it was carried out, look at the target",
    ActionState.UNDONE: "undone",
}
"""States of an action that people hear of, and how they read."""
HELPED = "/helped"
"""Behind an action's id: the state of looking whether it helped."""
_HELPED_SAID = {
    "passed": "it helped, the series is good again",
    "failed": "it did not help",
    "untold": "whether it helped cannot be told: the series could not be read",
}


class Facts(Model):
    """What matters of an incident."""

    status: str
    severity: str
    cause: str = ""
    """What is blamed, so that another wording of the same cause is the same."""
    description: str = ""
    confidence: float | None = None
    actions: dict[str, str] = Field(default_factory=dict)
    """Action -> state, of those that are no longer mere proposals."""


class News(NamedTuple):
    """One thing that changed."""

    kind: str
    """new, status, severity, cause, confidence or action."""
    text: str
    about: str = ""
    """Of an action: which."""


def facts_of(
    incident: Incident, diagnosis: Diagnosis | None, actions: Sequence[RemediationAction], helped: Mapping[str, str]
) -> Facts:
    """What matters of an incident as it is now.

    Args:
        incident: its status and severity.
        diagnosis: the newest; None: there is none yet.
        actions: in their states.
        helped: action -> how looking whether it helped came out, as far as somebody has looked.
    """
    primary = diagnosis.primary if diagnosis else None
    cause = ""
    if primary is not None:
        blamed = primary.caused_by
        # without anything that is blamed, the mechanism is what makes one cause another
        parts = (primary.category.value, primary.service, blamed.kind, blamed.id or primary.mechanism)
        cause = " ".join(part or "-" for part in parts)
    states = {action.action_id: action.state.value for action in actions if _is_told(action)}
    states |= {f"{action}{HELPED}": outcome for action, outcome in helped.items()}
    return Facts(
        status=incident.status.value,
        severity=incident.severity.value,
        cause=cause,
        description=primary.description if primary else "",
        confidence=primary.confidence if primary else None,
        actions=states,
    )


def news(before: Facts | None, now: Facts, titles: Mapping[str, str]) -> list[News]:
    """What changed; empty where nothing that matters did.

    Args:
        before: what was told last; None: nothing.
        now: how it is.
        titles: action -> what people call it.
    """
    if before is None:
        return [News("new", "first update")]
    return list(_changes(before, now, titles))


def _changes(before: Facts, now: Facts, titles: Mapping[str, str]) -> Iterator[News]:
    if before.status != now.status:
        yield News("status", f"status is now {now.status}, was {before.status}")
    if before.severity != now.severity:
        yield News("severity", f"severity is now {now.severity}, was {before.severity}")
    if before.cause != now.cause:
        yield News("cause", f"likeliest cause is now: {now.description or 'not determined'}")
    elif _moved(before.confidence, now.confidence):
        yield News("confidence", f"confidence is now {_said(now.confidence)}, was {_said(before.confidence)}")
    for action, state in now.actions.items():
        if before.actions.get(action) != state:
            name = action.removesuffix(HELPED)
            yield News("action", f"{titles.get(name, name)}: {_state_said(action, state)}", name)


def _is_told(action: RemediationAction) -> bool:
    """Proposals are part of the update; one that takes back what did not help is news of its own."""
    return action.state in TOLD_STATES or action.undo_of is not None


def _state_said(action: str, state: str) -> str:
    if action.endswith(HELPED):
        return _HELPED_SAID.get(state, f"whether it helped is {state}")
    return TOLD_STATES.get(state, "proposed")


def _moved(before: float | None, now: float | None) -> bool:
    if before is None or now is None:
        return before is not now
    return abs(now - before) >= MOVED - _ROUNDING


def _said(confidence: float | None) -> str:
    return "not determined" if confidence is None else percent(confidence)
