"""`kb index`, `evaluate` and `stats`: the knowledge base is filled, measured and described.

Belongs here: upkeep on the command line. Does not belong here: what the memory is fed with (`knowledge/sources.py`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_pipeline.cli import context, output
from incident_pipeline.cli.kb import Json, Kind, known_kind, opened, said
from incident_pipeline.errors import InputError

if TYPE_CHECKING:
    from incident_pipeline.application import Application
    from kb import KnowledgeBase

SKIPPED_SHOWN = 20


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
    from incident_pipeline.knowledge import sources

    application = context.application()
    with said(), output.progress("reading") as advance:
        shown = _Shown(advance)
        knowledge_base = _writable(application)
        if paths:
            fed = sources.feed(knowledge_base, paths, starter=False, progress=shown)
        else:
            fed = sources.read_everything(application, shown)
    added = fed.added
    for skipped in fed.skipped[:SKIPPED_SHOWN]:
        output.note(output.safe(f"skipped {skipped.path}: {skipped.reason}"))
    if len(fed.skipped) > SKIPPED_SHOWN:
        output.note(f"... and {len(fed.skipped) - SKIPPED_SHOWN} more were skipped")
    if as_json:
        skips = [{"path": skipped.path, "reason": skipped.reason} for skipped in fed.skipped]
        counts = {"new": added.new, "changed": added.changed, "unchanged": added.unchanged, "removed": added.removed}
        output.print_json({**counts, "skipped": skips, "version": added.version})
    else:
        output.print_text(
            f"{added.new} new, {added.changed} changed, {added.unchanged} unchanged, {added.removed} removed, "
            f"{len(fed.skipped)} skipped; "
            f"knowledge base {added.version}"
        )
    if not fed.documents and not added.removed:
        raise InputError("nothing was indexed: no readable document was found; see the lines above")


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

    wanted = known_kind(kind)
    with said():
        asked = read_queries(queries)
        knowledge_base = opened()
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


def stats(as_json: Json = False) -> None:
    """Say what the knowledge base holds.

    Example:
      incident-pipeline kb stats
    """
    with said():
        knowledge_base = opened()
        record: dict[str, Any] = {
            "version": knowledge_base.version,
            "documents": dict(Counter(document.kind for document in knowledge_base.documents)),
            "past_incidents": len(knowledge_base.signatures),
            "bytes": knowledge_base.size,
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


class _Shown:
    """How far the vectors are, on the bar."""

    def __init__(self, advance: output.Advance) -> None:
        self._advance, self._done = advance, 0

    def __call__(self, done: int, of: int) -> None:
        self._advance(done - self._done, text=f"embedding {done:,} of {of:,} chunks", total=of)
        self._done = done


def _writable(application: Application) -> KnowledgeBase:
    """The knowledge base; a damaged file is moved aside, since it can be made again from its sources."""
    from kb import DamagedIndexError
    from kb.store import move_aside

    try:
        application.knowledge_base.check()
    except DamagedIndexError as error:
        aside = move_aside(application.data_dir / "knowledge_base.duckdb")
        output.note(output.safe(f"{error}; moved to {aside.name}, a new one is made"))
    return application.knowledge_base
