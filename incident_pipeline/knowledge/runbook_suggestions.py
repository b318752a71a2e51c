"""Which runbooks are suggested for an incident.

Belongs here: the order of who is heard: the alert itself, what people used in similar incidents, the search, and what
people said of its answers. Does not belong here: how the knowledge base searches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from incident_pipeline.models import Diagnosis, Incident, SimilarIncident, SuggestedRunbook, Symptoms
from incident_pipeline.storage.inbox.ledger import Entry
from kb import KnowledgeBase

SUGGESTED = 3
LEAST_PROBABILITY = 0.3
"""A runbook that is less likely to apply costs more attention than it saves."""
_LONGEST_QUESTION = 1000


def suggest_runbooks(
    knowledge_base: KnowledgeBase,
    incident: Incident,
    diagnosis: Diagnosis,
    symptoms: Symptoms,
    similar: Sequence[SimilarIncident] = (),
    said: Sequence[Entry] = (),
) -> tuple[SuggestedRunbook, ...]:
    """The runbook that an alert names, those that helped in similar incidents, then those that the search finds.

    Args:
        knowledge_base: what is searched.
        incident: its alerts are asked first.
        diagnosis: what is believed of it.
        symptoms: its log patterns are part of the question.
        similar: past incidents that look like it.
        said: what counts in the ledger.
    """
    asked = question(incident, diagnosis, symptoms)
    found: dict[str, SuggestedRunbook] = {}
    used, searched = _used(knowledge_base, similar, said), _searched(knowledge_base, asked)
    for suggestion in chain(_named(incident), used, searched):
        found.setdefault(suggestion.runbook_id, suggestion)
    return tuple(found.values())[:SUGGESTED]


def question(incident: Incident, diagnosis: Diagnosis, symptoms: Symptoms) -> str:
    """The incident in words, the most telling first."""
    primary = diagnosis.primary
    parts: list[str] = [incident.title, *(alert.summary for alert in incident.alerts[:5])]
    if primary is not None:
        parts += [primary.description, (primary.mechanism or "").replace("_", " ")]
    parts += [pattern.template for pattern in symptoms.log_patterns[:3]]
    return " ".join(dict.fromkeys(part for part in parts if part))[:_LONGEST_QUESTION]


def _named(incident: Incident) -> Iterator[SuggestedRunbook]:
    for url in dict.fromkeys(url for alert in incident.alerts if (url := alert.labels.get("runbook_url"))):
        title = url.rstrip("/").rpartition("/")[2] or url
        yield SuggestedRunbook(runbook_id=url, title=title, score=1.0, why="the alert names it", source=url)


def _used(
    knowledge_base: KnowledgeBase, similar: Sequence[SimilarIncident], said: Sequence[Entry]
) -> Iterator[SuggestedRunbook]:
    """What somebody found useful in a similar incident, the most similar first, as sure as they are similar."""
    for past in similar:
        for entry in said:
            if entry.verdict != "useful" or entry.incident_id != past.incident_id or not entry.document_id:
                continue
            document = knowledge_base.get(entry.document_id)
            if document is not None and document.kind == "runbook":
                yield SuggestedRunbook(
                    runbook_id=document.id,
                    title=document.title,
                    score=past.similarity,
                    why=f"it was used in {past.incident_id}, which is similar",
                    source=document.source,
                )


def _searched(knowledge_base: KnowledgeBase, asked: str) -> Iterator[SuggestedRunbook]:
    for hit in knowledge_base.search(asked, kind="runbook", limit=SUGGESTED):
        if hit.probability >= LEAST_PROBABILITY:
            yield SuggestedRunbook(
                runbook_id=hit.id,
                title=hit.title,
                score=hit.probability,
                why="; ".join(hit.why),
                source=hit.source,
                snippet=hit.snippet,
            )
