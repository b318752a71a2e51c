"""What people and the responder did and said, from the record to the timeline.

Belongs here: how each kind of event of the inbox reads. Does not belong here: what happened to the services
(`documents/timeline.py`), and keeping the record (`storage/`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from incident_pipeline.application import Application
from incident_pipeline.documents.wording import percent
from incident_pipeline.models import Incident, Remediation, RemediationAction, TimelineEntry
from incident_pipeline.remediation.states import with_states
from incident_pipeline.storage.inbox.base import SYSTEM
from incident_pipeline.storage.inbox.records import Event

_NOBODY = (SYSTEM, "replay", "policy", "")
_OF_INCIDENTS = {
    "incident_acknowledged": ("acknowledged", "Incident acknowledged"),
    "incident_mitigated": ("mitigated", "Incident mitigated"),
    "incident_resolved": ("resolved", "Incident resolved"),
    "incident_reopened": ("reopened", "Incident opened again"),
    "incident_split": ("split", "Alerts moved into another incident"),
    "diagnosis_given_up": ("responder", "The responder gave up diagnosing it"),
}
_OF_ACTIONS = {
    "action_approved": "approved",
    "action_rejected": "rejected",
    "action_permitted": "permitted by the policy",
    "action_begun": "begun",
    "action_done": "done",
    "action_failed": "failed",
    "action_unknown": "may or may not have been carried out",
    "action_undone": "taken back",
    "action_cancelled": "not carried out",
    "verification_passed": "it helped",
    "verification_failed": "it did not help",
    "verification_untold": "whether it helped cannot be told",
}


def done_and_said(application: Application, incident: Incident) -> tuple[TimelineEntry, ...]:
    """The entries of an incident's record, each with who or what it comes from; nothing for a replayed one's alerts."""
    events = application.inbox.events(incident.incident_id)
    return tuple(entries_of(events, _titles(application, incident.incident_id, events)))


def with_record(application: Application, incident_id: str, plan: Remediation) -> Remediation:
    """A plan with its actions in the states that people and execution gave them."""
    inbox = application.inbox
    decisions, executions = inbox.action_decisions(incident_id), inbox.executions(incident_id)
    if not decisions and not executions:
        return plan
    # a state does not run out once it is over
    at = max(one.at for one in decisions) if decisions else executions[-1].queued_at
    return plan.model_copy(update={"actions": with_states(plan.actions, decisions, executions, at)})


def verified_by(application: Application, incident_id: str) -> str | None:
    """By what it is known that the actions helped; None where nobody has looked, or it could not be told."""
    seen = [one.verification_text for one in application.inbox.executions(incident_id) if one.verification == "passed"]
    return "; ".join(dict.fromkeys(filter(None, seen))) or None


def entries_of(events: Sequence[Event], titles: Mapping[str, str]) -> Iterator[TimelineEntry]:
    """One entry for each event that a reader wants to know of.

    Args:
        events: of one incident, oldest first.
        titles: action -> what people call it.
    """
    cause = None
    for event in events:
        if event.kind == "diagnosed":
            found = event.details.get("cause")
            if found and cause and found != cause:
                yield _diagnosis(event)
            cause = found or cause
        else:
            entry = _entry(event, titles)
            if entry is not None:
                yield entry


def _entry(event: Event, titles: Mapping[str, str]) -> TimelineEntry | None:
    details = event.details
    if event.kind in _OF_INCIDENTS:
        kind, text = _OF_INCIDENTS[event.kind]
        return _made(event, kind, text, str(details.get("why") or details.get("error") or ""))
    if event.kind in _OF_ACTIONS:
        name = str(details.get("action", ""))
        why = str(details.get("why") or details.get("comment") or details.get("output") or "")
        return _made(event, "action", f"{titles.get(name, name)}: {_OF_ACTIONS[event.kind]}", why)
    match event.kind:
        case "severity_escalated":
            return _made(event, "severity", f"Severity raised from {details.get('before')} to {details.get('after')}")
        case "incident_merged":
            return _made(event, "merged", f"Merged into {details.get('into')}")
        case "told":
            about = details.get("about") or "message"
            return _made(event, "told", f"Told {details.get('target')}: {about}", source=str(details.get("medium", "")))
        case "message_failed":
            return _made(event, "told", f"Could not tell {details.get('target')}", str(details.get("error", "")))
        case _:
            return None


def _diagnosis(event: Event) -> TimelineEntry:
    confidence = event.details.get("confidence")
    sure = f" ({percent(confidence)})" if isinstance(confidence, float) else ""
    text = f"Likeliest cause is now: {event.details['cause']}{sure}"
    return TimelineEntry(at=event.at, kind="diagnosis_changed", text=text, source=SYSTEM)


def _made(event: Event, kind: str, text: str, why: str = "", source: str = "") -> TimelineEntry:
    by = "" if event.who in _NOBODY else f" by {event.who}"
    reason = f" ({why})" if why else ""
    return TimelineEntry(at=event.at, kind=kind, text=f"{text}{by}{reason}", source=source or event.who)


def _titles(application: Application, incident_id: str, events: Sequence[Event]) -> dict[str, str]:
    """What the actions are called; read only where one was decided on."""
    if not any(event.kind in _OF_ACTIONS for event in events):
        return {}
    known: list[RemediationAction] = [one.action for one in application.inbox.executions(incident_id)]
    plan = application.store.read_all(incident_id, ("remediation",)).get("remediation")
    known += plan.actions if plan else ()
    return {action.action_id: action.title for action in known}
