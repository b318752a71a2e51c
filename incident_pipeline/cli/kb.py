"""`kb search`, `show`, `similar` and `recurring`: what is asked of the knowledge base.

Belongs here: questions on the command line, and how their answers are printed. Filling and measuring it is in
`kb_upkeep.py`, what people say of its answers in `feedback.py`. How it searches is the business of the package `kb`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from incident_pipeline.cli import context, output
from incident_pipeline.errors import ConfigurationError, InputError, NotFoundError, StoreError

if TYPE_CHECKING:
    from kb import IncidentSignature, KnowledgeBase, SearchResult

KINDS = ("runbook", "postmortem", "incident", "note")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Kind = Annotated[str | None, typer.Option(metavar="KIND", help="Only runbook, postmortem, incident or note.")]


def search(
    text: Annotated[list[str], typer.Argument(metavar="TEXT", help="An alert, a log line, a question.")],
    kind: Kind = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Results at most.")] = 5,
    since: Annotated[str | None, typer.Option(metavar="DURATION", help="Leave out what is older: 90d.")] = None,
    as_json: Json = False,
) -> None:
    """Find the runbooks, postmortems and incidents that fit a text; exit status 1 where nothing fits.

    Example:
      incident-pipeline kb search "checkout pods crash looping" --kind runbook
    """
    oldest = datetime.now(UTC) - _duration(since) if since else None
    with said():
        knowledge_base = opened()
        found = knowledge_base.search(" ".join(text), kind=known_kind(kind), limit=limit, since=oldest)
        if found and knowledge_base.ranks_by_words_alone:
            output.note("ranked by words alone (BM25): the embedding model is missing, see `kb stats`")
    if as_json:
        output.print_json([result.as_json() for result in found])
    else:
        for result in found:
            _print_result(result)
    if not found:
        raise NotFoundError("nothing in the knowledge base fits; `kb stats` says what is in it")


def show(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The id that a search printed.")],
    as_json: Json = False,
) -> None:
    """Print one document.

    Example:
      incident-pipeline kb show starter/pod-crash-looping
    """
    with said():
        document = opened().get(identity)
    if document is None:
        raise NotFoundError(f"no document {identity!r} in the knowledge base; `kb search` prints the ids")
    if as_json:
        output.print_json({name: getattr(document, name) for name in document.__dataclass_fields__})
        return
    facts = [document.kind, document.source, document.date.date().isoformat() if document.date else ""]
    output.print_text(output.safe(document.title))
    output.print_text(output.safe(" · ".join(filter(None, [*facts, *document.services]))))
    for name, value in document.facts:
        output.print_text(output.safe(f"{name.replace('_', ' ')}: {value}"))
    output.print_text("")
    for line in document.text.split("\n"):
        output.print_text(output.safe(line))


def similar(
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="The incident's id.")],
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="[default: correlation_threshold]")] = None,
    as_json: Json = False,
) -> None:
    """Past incidents that look like this one, and why; exit status 1 where none does.

    Example:
      incident-pipeline kb similar INC-20261123-143500-payments-4f2a
    """
    history = context.application().scenario.context.history
    least = history.correlation_threshold if threshold is None else threshold
    with said():
        knowledge_base = opened()
        known = {past.incident_id: past for past in knowledge_base.signatures}
        asked = _signature(incident, known)
        as_of = asked.started_at or datetime.now(UTC)
        matches = knowledge_base.similar(asked, as_of, history.similar_lookback, least)
    if as_json:
        output.print_json(
            [
                {
                    "incident_id": match.incident_id,
                    "title": known[match.incident_id].title,
                    "similarity": match.similarity,
                    "why": match.why,
                    "cause": known[match.incident_id].cause,
                    "fixed_by": known[match.incident_id].fixed_by,
                }
                for match in matches
            ]
        )
    else:
        for match in matches:
            past = known[match.incident_id]
            output.print_text(output.safe(f"{match.similarity:.2f}  {match.incident_id}  {past.title}"))
            output.print_text(output.safe(f"      {', '.join(match.why)}"))
            for label, value in (("cause", past.cause), ("fixed by", past.fixed_by)):
                if value:
                    output.print_text(output.safe(f"      {label}: {value}"))
    if not matches:
        raise NotFoundError(f"no past incident is at least {least} similar to {incident}")


def recurring(as_json: Json = False) -> None:
    """Causes that came back, in incidents and in postmortems, the most frequent first, with their open action items.

    Example:
      incident-pipeline kb recurring
    """
    from kb import as_signature
    from kb import recurring as find_recurring

    with said():
        written = (as_signature(document) for document in opened().documents if document.kind == "postmortem")
        found = find_recurring([*opened().signatures, *written])
    if as_json:
        output.print_json([{name: getattr(r, name) for name in r.__dataclass_fields__} for r in found])
        return
    for recurrence in found:
        services = ", ".join(recurrence.services) or "unknown service"
        output.print_text(output.safe(f"{len(recurrence.incident_ids)} times  {services}: {recurrence.cause}"))
        output.print_text(output.safe(f"         {', '.join(recurrence.incident_ids)}"))
        for item in recurrence.action_items:
            output.print_text(output.safe(f"         to do: {item}"))
    if not found:
        output.note("no cause came back so far")


def opened() -> KnowledgeBase:
    """The knowledge base of this invocation."""
    return context.application().knowledge_base


def known_kind(kind: str | None) -> str | None:
    """The kind, if there is such a one.

    Raises:
        ConfigurationError: there is none.
    """
    if kind is not None and kind not in KINDS:
        raise ConfigurationError(f"--kind {kind!r} is none of {', '.join(KINDS)}")
    return kind


def _duration(text: str) -> timedelta:
    from incident_pipeline.durations import parse_duration

    try:
        duration: timedelta = parse_duration(text)
    except ValueError as error:
        raise ConfigurationError(f"--since: {error}") from error
    return duration


def _signature(incident: str, known: dict[str, IncidentSignature]) -> IncidentSignature:
    """The signature that the memory has, else the one that the stored evidence makes."""
    if incident in known:
        return known[incident]
    from incident_pipeline.knowledge import memory
    from incident_pipeline.models import EvidenceKind

    store = context.application().store
    if not store.exists(incident):
        raise NotFoundError(f"no incident {incident!r}; `incidents list` prints the ids")
    from incident_pipeline.models import Evidence

    assets = store.read_all(incident)
    if "symptoms" not in assets:
        raise NotFoundError(f"incident {incident} has not been diagnosed yet")
    evidence = Evidence(**{kind.value: assets[kind.value] for kind in EvidenceKind if kind.value in assets})
    return memory.signature(assets["incident"], evidence, assets["symptoms"])


def _print_result(result: SearchResult) -> None:
    date = f" · {result.date.date().isoformat()}" if result.date else ""
    output.print_text(output.safe(f"{result.probability:4.0%}  {result.title}  [{result.kind}{date}]"))
    output.print_text(output.safe(f"      {'; '.join(result.why)}"))
    if result.snippet:
        heading = f"{result.heading}: " if result.heading else ""
        output.print_text(output.safe(f"      {heading}{result.snippet}"))
    output.print_text(output.safe(f"      incident-pipeline kb show {_quoted(result.id)}") + "\n")


def _quoted(text: str) -> str:
    from shlex import quote

    return quote(text)


@contextmanager
def said() -> Iterator[None]:
    """Errors of the knowledge base as errors of this application."""
    from kb.errors import KnowledgeBaseError, UnreadableError

    try:
        yield
    except UnreadableError as error:
        raise InputError(str(error)) from error
    except KnowledgeBaseError as error:
        raise StoreError(str(error)) from error
