"""Action items as drafts of issues: the bodies that GitHub's and GitLab's interfaces take.

Belongs here: their shape. Does not belong here: opening them; a person looks at a draft first.
"""

from __future__ import annotations

from typing import Any, Literal

from incident_pipeline.documents.escape import clean, markdown
from incident_pipeline.models import ActionItem, Postmortem

Forge = Literal["github", "gitlab"]


def issue_drafts(incident_id: str, postmortem: Postmortem, forge: Forge) -> list[dict[str, Any]]:
    """One draft for each action item, for `POST /repos/{owner}/{repo}/issues` or `POST /projects/{id}/issues`."""
    return [_draft(incident_id, postmortem, item, forge) for item in postmortem.action_items]


def _draft(incident_id: str, postmortem: Postmortem, item: ActionItem, forge: Forge) -> dict[str, Any]:
    cause = markdown(postmortem.root_cause, 400) or "not determined"
    body = (
        f"{markdown(item.description, 1000)}\n\n"
        f"- From: {markdown(postmortem.title, 200)} ({postmortem.date}, {postmortem.severity.value})\n"
        f"- Incident: {markdown(incident_id, 140)}\n"
        f"- Root cause: {cause}\n"
        f"- Priority: {item.priority}\n"
    )
    labels = ["postmortem", clean(item.type, 50), f"priority: {clean(item.priority, 20)}"]
    title = clean(item.title, 200)
    if forge == "github":
        return {"title": title, "body": body, "labels": labels}
    return {"title": title, "description": body, "labels": ",".join(labels)}
