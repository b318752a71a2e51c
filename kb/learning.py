"""What past incidents and people's answers teach: votes of neighbours, recurrences, and suggestions that were useful.

Belongs here: pure functions over signatures and feedback. Where the ledger of feedback is kept is not known here; it is
handed in, so people can list, correct and clear it at its owner's.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from kb.documents import Document, SearchResult
from kb.similar import IncidentSignature, Match, find_similar
from kb.tokens import terms

_CONFIRMED = 2.0
"""A person's word weighs as much as two guesses of the machine."""
_SAME_QUESTION = 0.3
_MOST_SHIFT = 2.0
MORE_TO_REORDER = 10
"""Results more than are wanted, so that what people said can bring one of them up."""
_SAME_CAUSE = 0.5
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)
_SINCE_EVER = timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class Vote:
    """What similar incidents say about the cause of this one."""

    category: str
    cause: str | None
    confidence: float
    """How often such votes were right on the past incidents, each seen from its own start."""
    voters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A cause that came back."""

    cause: str
    category: str | None
    services: tuple[str, ...]
    incident_ids: tuple[str, ...]
    """The oldest first."""
    last: datetime | None
    action_items: tuple[str, ...] = ()
    """What their postmortems asked for, the oldest first: it came back, so they are open or did not help."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """Somebody used or rejected a document that was suggested for a question."""

    document_id: str
    question: str
    useful: bool


def vote(matches: Sequence[Match], past: Sequence[IncidentSignature], k: int = 5) -> Vote | None:
    """The category that the most similar incidents agree on; None where none of them has one.

    Args:
        matches: what `find_similar` found.
        past: the signatures that it searched, from which the accuracy of such votes is measured.
        k: how many neighbours vote.
    """
    winner = _winner(matches[:k], {s.incident_id: s for s in past})
    if winner is None:
        return None
    category, voters = winner
    best = max(voters, key=lambda signature: (signature.confirmed, signature.cause is not None))
    return Vote(category, best.cause, vote_accuracy(past), tuple(signature.incident_id for signature in voters))


def foretold(
    signature: IncidentSignature, past: Sequence[IncidentSignature], threshold: float = 0.7, k: int = 5
) -> IncidentSignature:
    """A past incident with the category that its neighbours would have named when it began; see `vote_accuracy`."""
    blind = replace(signature, category=None)
    matches = find_similar(blind, past, signature.started_at or _LAST_MOMENT, _SINCE_EVER, threshold)
    winner = _winner(matches[:k], {s.incident_id: s for s in past})
    return replace(signature, voted=winner[0] if winner else None)


def vote_accuracy(past: Iterable[IncidentSignature]) -> float:
    """How often the neighbours' vote named the category of a past incident, drawn towards one half while few are known.

    Each was asked when it began, so later incidents did not help (prequential evaluation). Those without a category or
    without a vote do not count; confirmed ones alone count where there are any.
    """
    asked = [s for s in past if s.category and s.voted]
    judged = [s for s in asked if s.confirmed] or asked
    return round((sum(s.voted == s.category for s in judged) + 1) / (len(judged) + 2), 4)


def _winner(
    matches: Iterable[Match], known: dict[str, IncidentSignature]
) -> tuple[str, list[IncidentSignature]] | None:
    weight: dict[str, float] = defaultdict(float)
    voters: dict[str, list[IncidentSignature]] = defaultdict(list)
    for match in matches:
        signature = known.get(match.incident_id)
        if signature is not None and signature.category:
            weight[signature.category] += match.similarity * (_CONFIRMED if signature.confirmed else 1.0)
            voters[signature.category].append(signature)
    if not weight:
        return None
    category = max(weight, key=lambda name: (weight[name], name))
    return category, voters[category]


def recurring(past: Iterable[IncidentSignature]) -> list[Recurrence]:
    """Causes that at least two incidents share, the most frequent first."""
    groups: list[list[IncidentSignature]] = []
    for signature in sorted(past, key=lambda s: (s.started_at is not None, s.started_at, s.incident_id)):
        if not signature.cause:
            continue
        home = next((group for group in groups if _same_cause(group[0], signature)), None)
        if home is None:
            groups.append([signature])
        else:
            home.append(signature)
    found = [_recurrence(group) for group in groups if len(group) > 1]
    return sorted(found, key=lambda recurrence: (-len(recurrence.incident_ids), recurrence.cause))


def as_signature(postmortem: Document) -> IncidentSignature:
    """What a postmortem that people wrote says of its incident, to be looked for among the causes that came back."""
    return IncidentSignature(
        incident_id=postmortem.id,
        title=postmortem.title,
        services=postmortem.services,
        category=postmortem.category,
        started_at=postmortem.date,
        cause=postmortem.fact("root_cause"),
        fixed_by=postmortem.fact("fix"),
        confirmed=True,
        action_items=postmortem.open_actions,
    )


def _recurrence(group: Sequence[IncidentSignature]) -> Recurrence:
    newest = group[-1]
    services = dict.fromkeys(service for signature in group for service in signature.services)
    ids = tuple(signature.incident_id for signature in group)
    asked_for = dict.fromkeys(item for signature in group for item in signature.action_items)
    return Recurrence(newest.cause or "", newest.category, tuple(services), ids, newest.started_at, tuple(asked_for))


def _same_cause(one: IncidentSignature, two: IncidentSignature) -> bool:
    if one.category != two.category or not set(one.services) & set(two.services):
        return False
    return _overlap(one.cause or "", two.cause or "") >= _SAME_CAUSE


def adjusted(results: Sequence[SearchResult], question: str, ledger: Iterable[Feedback]) -> list[SearchResult]:
    """Results in the order that people's answers to similar questions suggest.

    Each answer moves the log-odds of its document by up to 1, as far as its question is like this one; all together by
    at most 2, so that neither praise nor rejection buries what fits.
    """
    shifts: dict[str, float] = defaultdict(float)
    for feedback in ledger:
        alike = _overlap(question, feedback.question)
        if alike >= _SAME_QUESTION:
            shifts[feedback.document_id] += alike if feedback.useful else -alike
    moved = [_moved(result, shifts.get(result.id, 0.0)) for result in results]
    return sorted(moved, key=lambda result: -result.probability)


def _moved(result: SearchResult, shift: float) -> SearchResult:
    if not shift:
        return result
    shift = max(-_MOST_SHIFT, min(_MOST_SHIFT, shift))
    p = min(max(result.probability, 1e-6), 1 - 1e-6)
    reason = "was used in a similar case" if shift > 0 else "was rejected in a similar case"
    odds = math.log(p / (1 - p)) + shift
    return replace(result, probability=round(1 / (1 + math.exp(-odds)), 4), why=(*result.why, reason))


def _overlap(one: str, two: str) -> float:
    ours, theirs = set(terms(one)), set(terms(two))
    return len(ours & theirs) / len(ours | theirs) if ours and theirs else 0.0
