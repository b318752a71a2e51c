"""What an incident looks like in Slack: the message that stands for it, and the replies in its thread.

Belongs here: choosing what is said, and the buttons. Does not belong here: the form of the text (the templates), how
Markdown becomes blocks (`rich_text.py`), and sending.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from incident_pipeline.communication.news import TOLD_STATES, News
from incident_pipeline.communication.rich_text import Block, plain_text, rich_text
from incident_pipeline.connectors.slack_messages import MARK
from incident_pipeline.documents.escape import clean, code, markdown
from incident_pipeline.documents.render import render
from incident_pipeline.documents.summary import began_at
from incident_pipeline.documents.wording import listed, percent
from incident_pipeline.knowledge.feedback import cause_hash
from incident_pipeline.models import (
    ActionState,
    Diagnosis,
    Incident,
    IncidentStatus,
    RemediationAction,
    Risk,
    SuggestedRunbook,
    Symptoms,
)
from incident_pipeline.remediation.proposals import WORTH_RECOMMENDING
from incident_pipeline.remediation.records import action_hash
from incident_pipeline.remediation.rehearsals import offered

HEADER_TEMPLATE = "slack_header.md.j2"
APPROVE, REJECT, RESOLVE, ACKNOWLEDGE = "approve", "reject", "resolve", "acknowledge"
CAUSE, HELPED, NO_HELP = "cause", "helped", "no_help"
_LONGEST_RUNBOOK_ID = 300
_MARKS = {
    IncidentStatus.MITIGATING: "🟠",
    IncidentStatus.MONITORING: "🟡",
    IncidentStatus.RESOLVED: "✅",
    IncidentStatus.CLOSED: "✅",
    IncidentStatus.MERGED: "🔀",
}
_DECIDED_MARKS = {
    ActionState.APPROVED: "👍",
    ActionState.REJECTED: "👎",
    ActionState.DONE: "✅",
    ActionState.FAILED: "❌",
    ActionState.UNKNOWN: "❓",
}
_OVER = {IncidentStatus.RESOLVED, IncidentStatus.CLOSED, IncidentStatus.MERGED}


class Known(NamedTuple):
    """What is known of an incident, as far as it is shown."""

    incident: Incident
    diagnosis: Diagnosis | None = None
    symptoms: Symptoms | None = None
    actions: tuple[RemediationAction, ...] = ()
    """In their states."""
    acknowledged_by: str = ""
    resolved_by: str = ""
    decided_by: Mapping[str, str] = MappingProxyType({})
    """Action -> who decided on it last."""
    dry_runs: Mapping[str, str] = MappingProxyType({})
    """Hash of an action -> what a dry run of it said."""
    runbook: SuggestedRunbook | None = None
    """The first that was suggested."""


def header_message(known: Known, templates: Path | None) -> dict[str, Any]:
    """The message that stands for the incident: blocks, and the text beside them.

    Raises:
        ConfigurationError: the user's template is wrong.
    """
    text = render(HEADER_TEMPLATE, _context(known), templates)
    blocks = rich_text(text)
    if known.incident.status not in _OVER:
        for action in offered(known.actions):
            blocks += _proposal(known, action)
        blocks.append(_handles(known))
    elif known.incident.status is not IncidentStatus.MERGED:
        blocks += _asked(known)
    return {"text": plain_text(text), "blocks": _marked(blocks), "about": "first message"}


def reply(text: str, about: str) -> dict[str, Any]:
    """A reply in the thread, from Markdown.

    Args:
        text: the Markdown.
        about: a few words for the timeline.
    """
    return {"text": plain_text(text), "blocks": _marked(rich_text(text)), "about": clean(about, 200)}


def _marked(blocks: list[Block]) -> list[Block]:
    """Blocks by which a message is known as ours wherever it is read; an updated message wants another id."""
    if not blocks:
        return blocks
    digest = hashlib.sha256(json.dumps(blocks).encode()).hexdigest()[:12]
    return [{**blocks[0], "block_id": f"{MARK}:{digest}"}, *blocks[1:]]


def what_changed(found: Sequence[News], known: Known) -> str:
    """News as Markdown, each with who did it; empty for a first update, which needs no explanation."""
    return "".join(f"- {markdown(line.text, 300)}{_by(line, known)}\n" for line in found if line.kind != "new")


def _by(line: News, known: Known) -> str:
    over = line.kind == "status" and known.incident.resolved_at is not None
    who = known.resolved_by if over else known.decided_by.get(line.about, "")
    return f" ({markdown(who, 60)})" if who else ""


def _context(known: Known) -> dict[str, Any]:
    incident = known.incident
    since = began_at(incident, known.symptoms or Symptoms(), known.diagnosis or Diagnosis(summary=""))
    primary = known.diagnosis.primary if known.diagnosis else None
    return {
        "mark": _MARKS.get(incident.status, "🚨"),
        "title": markdown(incident.title, 150) or "untitled",
        "severity": incident.severity.value,
        "status": incident.status.value.capitalize(),
        "since": f"{since:%Y-%m-%d %H:%M}",
        "services": listed([markdown(name, 60) for name in incident.services][:6]) or "service not known",
        "cause": _cause(known.diagnosis),
        "confidence": percent(primary.confidence) if primary else "not determined",
        "incident_id": markdown(incident.incident_id, 140),
        "people": list(_people(known)),
        "decided": list(_decided(known)),
    }


def _cause(diagnosis: Diagnosis | None) -> str:
    primary = diagnosis.primary if diagnosis else None
    if primary is None:
        return "Cause not determined yet"
    if primary.confidence < WORTH_RECOMMENDING:
        return f"Cause not determined yet; likeliest so far: {markdown(primary.description, 200)}"
    return f"Likeliest cause: {markdown(primary.description, 200)} ({percent(primary.confidence)})"


def _people(known: Known) -> Iterator[str]:
    incident = known.incident
    if incident.acknowledged_at is not None:
        by = f" by {markdown(known.acknowledged_by, 60)}" if known.acknowledged_by else ""
        yield f"👀 Acknowledged{by} at {incident.acknowledged_at:%H:%M} UTC"
    if incident.resolved_at is not None:
        by = f" by {markdown(known.resolved_by, 60)}" if known.resolved_by else ""
        yield f"✅ Resolved{by} at {incident.resolved_at:%H:%M} UTC"


def _decided(known: Known) -> Iterator[str]:
    for action in known.actions:
        if action.state in TOLD_STATES:
            who = known.decided_by.get(action.action_id)
            by = f" ({markdown(who, 60)})" if who else ""
            mark = _DECIDED_MARKS.get(action.state, "⏳")
            yield f"{mark} {markdown(action.title, 150)}: {TOLD_STATES[action.state]}{by}"


def _proposal(known: Known, action: RemediationAction) -> list[Block]:
    digest = action_hash(action)
    by_hand = ", by hand" if action.call is None else ""
    text = f"🔧 **{markdown(action.title, 150)}** (risk {action.risk.value}{by_hand})"
    if action.command:
        text += f"\n{code(action.command, 400)}"
    if known.dry_runs.get(digest):
        text += f"\nDry run: {code(known.dry_runs[digest], 500)}"
    value = json.dumps({"incident": known.incident.incident_id, "action": action.action_id, "digest": digest})
    approve = _button("Approve", APPROVE, value, style="primary")
    if action.risk in (Risk.MEDIUM, Risk.HIGH):
        approve["confirm"] = {
            "title": _plain("Approve this action?"),
            "text": _plain(f"{clean(action.title, 150)}. Risk: {action.risk.value}."),
            "confirm": _plain("Approve"),
            "deny": _plain("Back"),
        }
    buttons = [approve, _button("Reject", REJECT, value)]
    return [*rich_text(text), {"type": "actions", "block_id": f"action:{action.action_id}"[:255], "elements": buttons}]


def _handles(known: Known) -> Block:
    value = json.dumps({"incident": known.incident.incident_id})
    buttons = [] if known.incident.acknowledged_at else [_button("I'm on it", ACKNOWLEDGE, value)]
    resolve = _button("Resolve", RESOLVE, value)
    resolve["confirm"] = {
        "title": _plain("Is it over?"),
        "text": _plain("The incident is closed and its postmortem is written."),
        "confirm": _plain("It is over"),
        "deny": _plain("Back"),
    }
    return {"type": "actions", "block_id": "incident", "elements": [*buttons, resolve]}


def _asked(known: Known) -> list[Block]:
    """Afterwards: was it this, and did the runbook help?"""
    incident_id = known.incident.incident_id
    primary = known.diagnosis.primary if known.diagnosis else None
    text, buttons = "", []
    if primary is not None:
        text = f"Was it this? {markdown(primary.description, 200)}"
        seen = cause_hash(primary.description)
        buttons.append(_button("That was it", CAUSE, json.dumps({"incident": incident_id, "digest": seen})))
    if known.runbook is not None and len(known.runbook.runbook_id) <= _LONGEST_RUNBOOK_ID:
        text += f"\n\nDid the runbook help? {markdown(known.runbook.title, 150)}"
        value = json.dumps({"incident": incident_id, "action": known.runbook.runbook_id})
        buttons += [_button("It helped", HELPED, value), _button("It did not", NO_HELP, value)]
    return [*rich_text(text), {"type": "actions", "block_id": "asked", "elements": buttons}] if buttons else []


def _button(text: str, action: str, value: str, style: str | None = None) -> Block:
    button: Block = {"type": "button", "text": _plain(text), "action_id": action, "value": value}
    return button | ({"style": style} if style else {})


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text[:300], "emoji": True}
