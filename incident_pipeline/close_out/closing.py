"""What closing an incident out takes from elsewhere: what happened before, what people wrote, the runbook as it is.

Belongs here: from the stores to the pure documents. Does not belong here: the documents (`documents/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from incident_pipeline.application import Application
from incident_pipeline.documents.edits import keep_edits
from incident_pipeline.documents.lessons import Before
from incident_pipeline.errors import InputError, NotFoundError
from incident_pipeline.models import ActionItem, Postmortem, SimilarIncident, SuggestedRunbook

ITEM_DONE = "action_item_done"


def those_before(application: Application, similar: Sequence[SimilarIncident]) -> list[Before]:
    """Similar incidents with what is still open of them; of one that is stored nowhere any more, what is remembered."""
    return [
        Before(past.incident_id, past.title, past.fixed_by, _titles(open_items(application, past.incident_id)))
        for past in similar
    ]


def open_items(application: Application, incident_id: str) -> list[ActionItem]:
    """The action items of an incident's postmortem that nobody has said to be done."""
    if not application.store.exists(incident_id):
        return []
    written = application.store.read_all(incident_id, ("postmortem",)).get("postmortem")
    if written is None:
        return []
    done = {event.details.get("title") for event in application.inbox.events(incident_id) if event.kind == ITEM_DONE}
    return [item for item in written.action_items if item.title not in done]


def item_done(application: Application, incident_id: str, title: str, who: str, now: datetime) -> ActionItem:
    """Say that an action item is done; it is named by its title or the beginning of it.

    Raises:
        InputError: no open item, or more than one, is named so.
    """
    items = open_items(application, incident_id)
    found = [item for item in items if item.title.casefold().startswith(title.casefold())]
    if len(found) != 1:
        known = "; ".join(_titles(items)) or "none"
        raise InputError(f"{len(found)} open action items of {incident_id} begin with {title!r}; open are: {known}")
    application.inbox.record(ITEM_DONE, incident_id, who, now, title=found[0].title)
    return found[0]


def with_edits(application: Application, incident_id: str, generated: Postmortem) -> Postmortem:
    """A postmortem that has just been generated, with what people changed in the one before."""
    before = _written(application, incident_id)
    if before is None or before.edited_by is None:
        return generated
    merged = keep_edits(before.generated, before.markdown, generated.markdown)
    return generated.model_copy(
        update={
            "markdown": merged.text,
            "generated": generated.markdown,
            "edited_by": before.edited_by,
            "overruled": merged.overruled,
        }
    )


def take_edits(application: Application, incident_id: str, text: str, who: str, now: datetime) -> Postmortem:
    """Keep what somebody made of the postmortem; the next version of it.

    Raises:
        NotFoundError: there is no postmortem yet.
        InputError: the text is empty.
    """
    before = _written(application, incident_id)
    if before is None:
        raise NotFoundError(f"{incident_id} has no postmortem yet: it is written when the incident is resolved")
    if not text.strip():
        raise InputError("the file is empty; a postmortem is not deleted by an edit")
    update = {"markdown": text, "generated": before.generated or before.markdown, "edited_by": who}
    edited = before.model_copy(update=update)
    application.store.write(incident_id, {"postmortem": edited}, run_id=f"edited by {who}", as_of=now, now=now)
    application.inbox.record("postmortem_edited", incident_id, who, now)
    return edited


def text_of_runbook(application: Application, runbooks: Sequence[SuggestedRunbook]) -> str | None:
    """The text of the runbook that fitted best; None where none did, or it is known by its address alone."""
    document = application.knowledge_base.get(runbooks[0].runbook_id) if runbooks else None
    return document.text if document is not None else None


def _written(application: Application, incident_id: str) -> Postmortem | None:
    if not application.store.exists(incident_id):
        return None
    found: Postmortem | None = application.store.read_all(incident_id, ("postmortem",)).get("postmortem")
    return found


def _titles(items: Sequence[ActionItem]) -> tuple[str, ...]:
    return tuple(item.title for item in items)
