"""What is written when an incident has ended, and what people were told of it: postmortem, action-items, messages.

Belongs here: the commands and their JSON. Does not belong here: what the documents say (`documents/`).
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from incident_pipeline.cli import context, output, stored_text
from incident_pipeline.cli.incidents import AsJson, By, IncidentId, _now, _who
from incident_pipeline.errors import InputError, NotFoundError


class Format(StrEnum):
    """In what form a document is printed."""

    MARKDOWN = "markdown"
    HTML = "html"


class Forge(StrEnum):
    """Whose issues are drafted."""

    GITHUB = "github"
    GITLAB = "gitlab"


def postmortem(
    incident_id: IncidentId,
    form: Annotated[
        Format, typer.Option("--format", help="Markdown, or a page; the browser's print dialog makes a PDF of it.")
    ] = Format.MARKDOWN,
    take: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep this edited Markdown; written again, your lines win.")
    ] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Print the postmortem of an incident; there is one once the incident is resolved.

    Example:
      incident-pipeline postmortem INC-20261123-143500-payments-4f2a > postmortem.md
      incident-pipeline postmortem INC-20261123-143500-payments-4f2a --take postmortem.md
      incident-pipeline postmortem INC-20261123-143500-payments-4f2a --format html > postmortem.html
    """
    if take is not None:
        _take(incident_id, take, _who(by))
        return
    found = _written(incident_id)
    if as_json:
        output.print_json(found)
    elif form is Format.HTML:
        from incident_pipeline.documents.html import page

        print(page(found.title, found.markdown, context.application().templates, incident_id), end="")
    else:
        stored_text.print_asset("postmortem", found)
    if found.overruled and not as_json:
        output.note("What people wrote was kept; generated now it would read otherwise:")
        output.note(output.safe(found.overruled))


def _take(incident_id: str, path: Path, who: str) -> None:
    from incident_pipeline.close_out.closing import take_edits

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text") from error
    take_edits(context.application(), incident_id, text, who, _now())
    output.print_text(f"{incident_id}: the postmortem is kept as {who} wrote it")


def action_items(
    incident_id: IncidentId,
    done: Annotated[
        str | None, typer.Option(metavar="TITLE", help="Say that this one is done; its beginning is enough.")
    ] = None,
    issues: Annotated[Forge | None, typer.Option(help="Print drafts of issues for its interface.")] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """List the action items of an incident's postmortem that are still open; similar incidents are reminded of them.

    Example:
      incident-pipeline action-items INC-20261123-143500-payments-4f2a --done "Update runbook"
      incident-pipeline action-items INC-20261123-143500-payments-4f2a --issues github
    """
    from incident_pipeline.close_out.closing import item_done, open_items
    from incident_pipeline.documents.issues import issue_drafts

    application, found = context.application(), _written(incident_id)
    if issues is not None:
        left = {item.title for item in open_items(application, incident_id)}
        still = found.model_copy(update={"action_items": tuple(i for i in found.action_items if i.title in left)})
        output.print_json(issue_drafts(incident_id, still, issues.value))
        return
    if done is not None:
        item = item_done(application, incident_id, done, _who(by), _now())
        output.note(f"done: {output.safe(item.title)}")
    items = open_items(application, incident_id)
    if as_json:
        output.print_json(items)
    elif items:
        output.print_table(["priority", "type", "title", "owner"], [_item(item) for item in items])
    else:
        output.note("Nothing is open.")


def messages(
    incident_id: IncidentId,
    as_json: AsJson = False,
) -> None:
    """Show what people were told of an incident, what waits, and what was withheld in shadow.

    Example:
      incident-pipeline messages INC-20261123-143500-payments-4f2a
    """
    inbox = context.application().inbox
    inbox.incident(incident_id)
    found = inbox.messages(incident_id)
    if as_json:
        output.print_json(found)
    elif found:
        output.print_table(["state", "by", "to", "at", "about", "problem"], [_message(one) for one in found])
    else:
        output.note(f"Nobody was told of {incident_id}.")


def _written(incident_id: str) -> Any:
    store = context.application().store
    if not store.materializations(incident_id, "postmortem"):
        raise NotFoundError(f"{incident_id} has no postmortem yet: it is written when the incident is resolved")
    return store.read(incident_id, "postmortem")


def _item(item: Any) -> list[Any]:
    return [item.priority, item.type, item.title, item.owner or "to be assigned"]


def _message(one: Any) -> list[Any]:
    return [one.state, one.medium, one.target, one.sent_at or one.due_at, one.content.get("about", ""), one.error or ""]
