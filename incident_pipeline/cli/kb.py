"""`kb`: index, search, show, similar, evaluate and stats.

Belongs here: what is asked of the knowledge base on the command line, and how its answers are printed. How it searches
is the business of the package `kb`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_pipeline.cli import context, output
from incident_pipeline.errors import ConfigurationError, InputError, NotFoundError, StoreError

if TYPE_CHECKING:
    from incident_pipeline.application import Application
    from kb import IncidentSignature, KnowledgeBase, SearchResult

app = typer.Typer(no_args_is_help=True, help="Index and search runbooks, postmortems and past incidents.")

KINDS = ("runbook", "postmortem", "incident", "note")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Kind = Annotated[str | None, typer.Option(metavar="KIND", help="Only runbook, postmortem, incident or note.")]
SKIPPED_SHOWN = 20


@app.command()
def index(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH...", help="Folders, files, JSON lines.")] = None,
    as_json: Json = False,
) -> None:
    """Read folders of Markdown, HTML or text, single files, and JSON lines into the knowledge base.

    Without a path: the starter corpus and the sources of the configuration. Unchanged documents cost nothing; those of
    deleted files leave the index; files that cannot be read are listed and skipped. A JSON line has id, kind, title,
    text and may have source, date, services, category, labels.

    Example:
      incident-pipeline kb index docs/runbooks postmortems.jsonl
    """
    from kb import gone, read_paths, starter_documents

    application = context.application()
    sources = [Path(source).expanduser() for source in application.scenario.knowledge_base.sources]
    with _said(), output.progress("reading"):
        reading = read_paths(paths or sources)
        documents = [*reading.documents, *(() if paths else starter_documents())]
        knowledge_base = _writable(application)
        added = knowledge_base.add(documents, remove=gone(knowledge_base.documents, paths or sources))
    for skipped in reading.skipped[:SKIPPED_SHOWN]:
        output.note(output.safe(f"skipped {skipped.path}: {skipped.reason}"))
    if len(reading.skipped) > SKIPPED_SHOWN:
        output.note(f"... and {len(reading.skipped) - SKIPPED_SHOWN} more were skipped")
    if as_json:
        skips = [{"path": skipped.path, "reason": skipped.reason} for skipped in reading.skipped]
        counts = {"new": added.new, "changed": added.changed, "unchanged": added.unchanged, "removed": added.removed}
        output.print_json({**counts, "skipped": skips, "version": added.version})
    else:
        output.print_text(
            f"{added.new} new, {added.changed} changed, {added.unchanged} unchanged, {added.removed} removed, "
            f"{len(reading.skipped)} skipped; "
            f"knowledge base {added.version}"
        )
    if not documents and not added.removed:
        raise InputError("nothing was indexed: no readable document was found; see the lines above")


@app.command()
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
    with _said():
        found = _knowledge_base().search(" ".join(text), kind=_kind(kind), limit=limit, since=oldest)
    if as_json:
        output.print_json([result.as_json() for result in found])
    else:
        for result in found:
            _print_result(result)
    if not found:
        raise NotFoundError("nothing in the knowledge base fits; `kb stats` says what is in it")


@app.command()
def show(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The id that a search printed.")],
    as_json: Json = False,
) -> None:
    """Print one document.

    Example:
      incident-pipeline kb show starter/pod-crash-looping
    """
    with _said():
        document = _knowledge_base().get(identity)
    if document is None:
        raise NotFoundError(f"no document {identity!r} in the knowledge base; `kb search` prints the ids")
    if as_json:
        output.print_json({name: getattr(document, name) for name in document.__dataclass_fields__})
        return
    facts = [document.kind, document.source, document.date.date().isoformat() if document.date else ""]
    output.print_text(output.safe(document.title))
    output.print_text(output.safe(" · ".join(filter(None, [*facts, *document.services]))) + "\n")
    for line in document.text.split("\n"):
        output.print_text(output.safe(line))


@app.command()
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
    with _said():
        knowledge_base = _knowledge_base()
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


@app.command()
def recurring(as_json: Json = False) -> None:
    """Causes that came back, the most frequent first.

    Example:
      incident-pipeline kb recurring
    """
    from kb import recurring as find_recurring

    with _said():
        found = find_recurring(_knowledge_base().signatures)
    if as_json:
        output.print_json([{name: getattr(r, name) for name in r.__dataclass_fields__} for r in found])
        return
    for recurrence in found:
        services = ", ".join(recurrence.services) or "unknown service"
        output.print_text(output.safe(f"{len(recurrence.incident_ids)} times  {services}: {recurrence.cause}"))
        output.print_text(output.safe(f"         {', '.join(recurrence.incident_ids)}"))
    if not found:
        output.note("no cause came back so far")


@app.command()
def evaluate(
    queries: Annotated[Path, typer.Argument(metavar="QUERIES", help="JSON lines of query and relevant ids.")],
    kind: Kind = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Results at most.")] = 10,
    rankings: Annotated[Path | None, typer.Option(metavar="OUT", help="Write each ranking as a JSON line.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the search on queries whose answers are known: recall, MRR, time, calibration.

    Example:
      incident-pipeline kb evaluate queries.jsonl.gz --kind runbook
    """
    from kb.evaluation import evaluate as measure
    from kb.evaluation import rank, read_queries

    wanted = _kind(kind)
    with _said():
        asked = read_queries(queries)
        knowledge_base = _knowledge_base()
        knowledge_base.search("warm up", kind=wanted)
        ranked = rank(asked, lambda text: knowledge_base.search(text, kind=wanted, limit=limit))
    if rankings is not None:
        with rankings.open("w", encoding="utf-8") as out:
            for ranking in ranked:
                record = {"query": ranking.query.text, "ranking": ranking.ids, "probabilities": ranking.probabilities}
                out.write(output.json_text(record) + "\n")
    result = measure(ranked).as_json()
    if as_json:
        output.print_json(result)
        return
    bins = result.pop("reliability")
    for name, value in result.items():
        output.print_text(f"{name:28} {'-' if value is None else value}")
    output.print_text("\nReliability of the first answer")
    output.print_table(
        ["probability", "answers", "said", "right"],
        [[f"{b['low']:.1f} to {b['high']:.1f}", b["count"], b["said"], b["right"]] for b in bins],
    )


@app.command()
def stats(as_json: Json = False) -> None:
    """Say what the knowledge base holds.

    Example:
      incident-pipeline kb stats
    """
    with _said():
        knowledge_base = _knowledge_base()
        record: dict[str, Any] = {
            "version": knowledge_base.version,
            "documents": dict(Counter(document.kind for document in knowledge_base.documents)),
            "past_incidents": len(knowledge_base.signatures),
            "bytes": knowledge_base.path.stat().st_size if knowledge_base.path.exists() else 0,
            **knowledge_base.stats(),
        }
    if as_json:
        output.print_json(record)
        return
    kinds = ", ".join(f"{count} {kind}{'s' if count != 1 else ''}" for kind, count in record["documents"].items())
    output.print_text(f"version         {record['version']}")
    output.print_text(f"documents       {kinds or 'none: run `incident-pipeline kb index`'}")
    output.print_text(f"past incidents  {record['past_incidents']}")
    output.print_text(f"chunks          {record['chunks']}, {record['vectors']} of them with a vector")
    output.print_text(f"search          {record['method']}")
    output.print_text(f"size            {record['bytes'] / 1e6:.1f} MB")


def _knowledge_base() -> KnowledgeBase:
    return context.application().knowledge_base


def _writable(application: Application) -> KnowledgeBase:
    """The knowledge base; a damaged file is moved aside, since it can be made again from its sources."""
    from kb import DamagedIndexError
    from kb.store import move_aside

    try:
        return application.knowledge_base
    except DamagedIndexError as error:
        aside = move_aside(application.data_dir / "knowledge_base.duckdb")
        output.note(output.safe(f"{error}; moved to {aside.name}, a new one is made"))
        return application.knowledge_base


def _kind(kind: str | None) -> str | None:
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
    from incident_pipeline import memory
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
def _said() -> Iterator[None]:
    """Errors of the knowledge base as errors of this application."""
    from kb.errors import KnowledgeBaseError, UnreadableError

    try:
        yield
    except UnreadableError as error:
        raise InputError(str(error)) from error
    except KnowledgeBaseError as error:
        raise StoreError(str(error)) from error
