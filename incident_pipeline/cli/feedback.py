"""What people say of causes and suggestions: `confirm` and `kb feedback`.

Belongs here: the commands over the ledger. Does not belong here: what the memory makes of it (`memory.py`, `kb`).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from incident_pipeline.cli import context, output
from incident_pipeline.cli.incidents import AsJson, By, IncidentId, _now, _who
from incident_pipeline.errors import InputError, NotFoundError
from incident_pipeline.models import Category
from incident_pipeline.storage.inbox.ledger import Entry

app = typer.Typer(no_args_is_help=True, help="Say which suggestions helped; list, correct and clear what was said.")

COLUMNS = ("entry", "said", "by", "at", "of", "about")
Useful = Annotated[bool, typer.Option("--useful/--rejected", help="Whether it helped.")]
EntryNumber = Annotated[int, typer.Argument(metavar="ENTRY", help="The number that `kb feedback list` prints.")]


def confirm(
    incident_id: IncidentId,
    cause: Annotated[str, typer.Option(help="What it was, in a sentence.")],
    category: Annotated[Category | None, typer.Option(help="[default: what the diagnosis said]")] = None,
    fixed_by: Annotated[str | None, typer.Option(metavar="TEXT", help="What ended it.")] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Say what the cause of an incident was; it weighs more than the diagnosis when similar ones come.

    Example:
      incident-pipeline confirm INC-20261123-143500-payments-4f2a --cause "a release without a null check"
    """
    application = context.application()
    entry = application.inbox.confirm(incident_id, cause, _who(by), _now(), category, fixed_by)
    _let_the_memory_know()
    _say(entry, f"{incident_id}: the cause is confirmed", as_json)


@app.command()
def add(
    document: Annotated[str, typer.Argument(metavar="DOCUMENT", help="The id that a search printed.")],
    useful: Useful,
    question: Annotated[str | None, typer.Option("--for", metavar="TEXT", help="What was searched for.")] = None,
    incident: Annotated[str | None, typer.Option(metavar="INCIDENT", help="The incident it was suggested for.")] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Say that a document helped, or did not, with a question or an incident; later searches rank it accordingly.

    Example:
      incident-pipeline kb feedback add starter/redis-down --useful --for "redis does not answer"
    """
    from incident_pipeline.knowledge.feedback import question_of

    application = context.application()
    if application.knowledge_base.get(document) is None:
        raise NotFoundError(f"no document {document!r} in the knowledge base; `kb search` prints the ids")
    asked = question or (question_of(application, incident) if incident else "")
    if not asked:
        raise InputError("say what it was suggested for, with --for TEXT or --incident INCIDENT")
    entry = application.inbox.judge(document, asked, useful, _who(by), _now(), incident)
    _let_the_memory_know()
    _say(entry, f"{document}: {entry.verdict}", as_json)


@app.command("list")
def list_entries(
    everything: Annotated[bool, typer.Option("--all", help="Also what was corrected or cleared.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what people said and what counts of it, oldest first.

    Example:
      incident-pipeline kb feedback list
    """
    application = context.application()
    entries = application.inbox.ledger(everything) if application.data_dir.exists() else []
    if as_json:
        output.print_json(entries)
    elif entries:
        output.print_table(COLUMNS, map(_row, entries))
    else:
        output.note("Nobody has said anything yet.")


@app.command()
def correct(entry: EntryNumber, useful: Useful, by: By = None, as_json: AsJson = False) -> None:
    """Say otherwise; the earlier entry stays on record and no longer counts.

    Example:
      incident-pipeline kb feedback correct 12 --rejected
    """
    new = context.application().inbox.correct(entry, useful, _who(by), _now())
    _let_the_memory_know()
    _say(new, f"entry {entry} is replaced by {new.entry_id}", as_json)


@app.command()
def clear(
    entries: Annotated[list[int] | None, typer.Argument(metavar="ENTRY...", help="Their numbers.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that counts now.")] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Let entries count no longer; they stay on record.

    Example:
      incident-pipeline kb feedback clear 12 13
    """
    if bool(entries) == everything:
        raise InputError("name the entries to clear, or say --all")
    application = context.application()
    cleared = application.inbox.clear(entries or (), _who(by), _now())
    _let_the_memory_know()
    if as_json:
        output.print_json({"cleared": cleared})
    else:
        output.print_text(f"{cleared} cleared")


def _let_the_memory_know() -> None:
    from incident_pipeline.knowledge.sources import hear

    hear(context.application())


def _row(entry: Entry) -> tuple[str, ...]:
    about = entry.cause or entry.question or ""
    of = entry.document_id or entry.incident_id or ""
    replaced = f" (instead of {entry.replaces})" if entry.replaces else ""
    at = entry.at.strftime("%Y-%m-%d %H:%M")
    return (str(entry.entry_id), f"{entry.verdict}{replaced}", entry.who, at, of, about[:80])


def _say(entry: Entry, sentence: str, as_json: bool) -> None:
    record: Any = entry.model_dump(mode="json")
    if as_json:
        output.print_json(record)
    else:
        output.print_text(output.safe(f"{sentence} (entry {entry.entry_id})"))
