"""Past incidents that look like the present one, and why.

Belongs here: comparing two incidents aspect by aspect. Pure; where signatures are kept is not known here.
An aspect counts only where both incidents have it. The similarity is the weighted mean of the aspects, drawn towards
zero where few of them could be compared: two incidents that share only their service are not "0.9 similar".
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from kb.documents import as_utc
from kb.tokens import terms

_PRIOR = 1.0
"""The weight of what could not be compared."""
_SAME_PATTERN = 0.7


@dataclass(frozen=True, slots=True)
class IncidentSignature:
    """What an incident looked like: all that is compared, and what is told about it."""

    incident_id: str
    title: str = ""
    text: str = ""
    """Summary of the alerts and of the diagnosis."""
    services: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    """Services that call them or are called by them."""
    alert_names: tuple[str, ...] = ()
    log_templates: tuple[str, ...] = ()
    """Error patterns with their variable parts as `<*>`, the most telling first."""
    anomalous_series: tuple[tuple[str, str], ...] = ()
    """(name, direction): `("latency_p99", "up")`."""
    category: str | None = None
    """Root-cause category; of the query, what the diagnosis believes so far."""
    change_type: str | None = None
    """What changed shortly before: deployment, flag, configuration, code."""
    minutes_after_change: float | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cause: str | None = None
    fixed_by: str | None = None
    confirmed: bool = False
    """A person said that `cause` is right."""
    voted: str | None = None
    """The category that its neighbours named when it began, before anybody knew: how good such votes are."""
    action_items: tuple[str, ...] = ()
    """What its postmortem asks to be done; as far as is known still open."""

    def as_json(self) -> dict[str, Any]:
        """Plain values; moments as ISO texts."""
        record = asdict(self)
        for name in ("started_at", "ended_at"):
            record[name] = record[name].isoformat() if record[name] else None
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> IncidentSignature:
        """The inverse of `as_json`; unknown keys are ignored, missing ones have their default."""
        known = {field.name for field in fields(cls)}
        values = {key: value for key, value in record.items() if key in known}
        for name in ("services", "neighbours", "alert_names", "log_templates", "action_items"):
            values[name] = tuple(values.get(name) or ())
        values["anomalous_series"] = tuple((str(n), str(d)) for n, d in values.get("anomalous_series") or ())
        for name in ("started_at", "ended_at"):
            values[name] = as_utc(values.get(name))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Match:
    """A past incident that is similar, and the reasons as sentences."""

    incident_id: str
    similarity: float
    why: tuple[str, ...]


class Agreement(NamedTuple):
    """How far one aspect agrees: 0 to 1, and the sentence for it ("" where it is no reason)."""

    value: float
    reason: str = ""


Compare = Callable[[IncidentSignature, IncidentSignature, Mapping[str, float]], Agreement | None]


def find_similar(
    query: IncidentSignature,
    past: Sequence[IncidentSignature],
    as_of: datetime,
    lookback: timedelta = timedelta(days=90),
    threshold: float = 0.7,
) -> list[Match]:
    """Past incidents at least as similar as `threshold`, the most similar first.

    Never the incident itself, one that had not ended by `as_of`, or one that started longer ago than `lookback`.

    Args:
        query: the present incident.
        past: signatures in any order; of several of one incident the last counts.
        as_of: the moment from which the past is seen.
        lookback: how old an incident may be, by its start.
        threshold: the least similarity, 0 to 1.
    """
    visible = [s for s in {s.incident_id: s for s in past}.values() if _is_visible(s, query, as_of, lookback)]
    rarity = _rarity([query, *visible])
    matches = (Match(s.incident_id, *similarity(query, s, rarity)) for s in visible)
    found = [match for match in matches if match.similarity >= threshold]
    return sorted(found, key=lambda match: (-match.similarity, match.incident_id))


def similarity(
    query: IncidentSignature, other: IncidentSignature, rarity: Mapping[str, float]
) -> tuple[float, tuple[str, ...]]:
    """How much two incidents look alike, 0 to 1, and why, the strongest reason first."""
    total, weight, reasons = 0.0, _PRIOR, []
    for importance, compare in _ASPECTS:
        agreement = compare(query, other, rarity)
        if agreement is None:
            continue
        total += importance * agreement.value
        weight += importance
        if agreement.reason:
            reasons.append((importance * agreement.value, agreement.reason))
    reasons.sort(key=lambda reason: -reason[0])
    return round(total / weight, 4), tuple(reason for _, reason in reasons)


def _is_visible(other: IncidentSignature, query: IncidentSignature, as_of: datetime, lookback: timedelta) -> bool:
    if other.incident_id == query.incident_id or other.ended_at is None or other.ended_at > as_of:
        return False
    started = other.started_at or other.ended_at
    return started >= as_of - lookback and (query.started_at is None or started <= query.started_at)


def _rarity(signatures: Iterable[IncidentSignature]) -> dict[str, float]:
    """Inverse document frequency of each term of the texts and log patterns."""
    counted: Counter[str] = Counter()
    size = 0
    for signature in signatures:
        size += 1
        counted.update(_text_terms(signature) | {term for t in signature.log_templates for term in _pattern_terms(t)})
    return {term: math.log1p((size + 1) / count) for term, count in counted.items()}


def _text_terms(signature: IncidentSignature) -> set[str]:
    return set(terms(f"{signature.title} {signature.text}"))


def _pattern_terms(template: str) -> set[str]:
    return set(terms(re.sub(r"<[^<>]{0,40}>", " ", template)))


def _overlap(one: set[str], two: set[str], rarity: Mapping[str, float]) -> float:
    """Jaccard, each term weighing as much as it is rare."""
    if not one or not two:
        return 0.0
    shared = sum(rarity.get(term, 1.0) for term in one & two)
    return shared / sum(rarity.get(term, 1.0) for term in one | two)


def _logs(query: IncidentSignature, other: IncidentSignature, rarity: Mapping[str, float]) -> Agreement | None:
    if not query.log_templates or not other.log_templates:
        return None
    theirs = [_pattern_terms(template) for template in other.log_templates[:20]]
    total = weight = 0.0
    best = (0.0, "")
    for place, template in enumerate(query.log_templates[:20]):
        ours = _pattern_terms(template)
        closest = max((_overlap(ours, their, rarity) for their in theirs), default=0.0)
        importance = 1.0 / (1 + place)
        total += importance * (closest if closest >= _SAME_PATTERN / 2 else 0.0)
        weight += importance
        best = max(best, (closest, template), key=lambda pair: pair[0])
    reason = f'same log pattern: "{_short(best[1])}"' if best[0] >= _SAME_PATTERN else ""
    return Agreement(total / weight, reason)


def _services(query: IncidentSignature, other: IncidentSignature, _: Mapping[str, float]) -> Agreement | None:
    ours, theirs = set(query.services), set(other.services)
    if not ours or not theirs:
        return None
    if shared := [service for service in query.services if service in theirs]:
        return Agreement(1.0, f"same service: {', '.join(shared[:3])}")
    near = (ours & set(other.neighbours)) | (theirs & set(query.neighbours))
    if near:
        return Agreement(0.5, f"neighbouring service: {', '.join(sorted(near)[:3])}")
    return Agreement(0.0)


def _alerts(query: IncidentSignature, other: IncidentSignature, rarity: Mapping[str, float]) -> Agreement | None:
    if not query.alert_names or not other.alert_names:
        return None
    theirs = {name.lower() for name in other.alert_names}
    if shared := [name for name in query.alert_names if name.lower() in theirs]:
        return Agreement(1.0, f"same alert: {shared[0]}")
    names = [set(terms(name)) for name in other.alert_names]
    return Agreement(0.7 * max(_overlap(set(terms(n)), name, rarity) for n in query.alert_names for name in names))


def _series(query: IncidentSignature, other: IncidentSignature, _: Mapping[str, float]) -> Agreement | None:
    ours, theirs = dict(query.anomalous_series), dict(other.anomalous_series)
    if not ours or not theirs:
        return None
    shared = [name for name, direction in ours.items() if theirs.get(name) == direction]
    value = len(shared) / min(len(ours.keys() | theirs.keys()), 8)
    if not shared:
        return Agreement(0.0)
    moved = ", ".join(f"{name} {ours[name]}" for name in shared[:3])
    return Agreement(min(value, 1.0), f"same series moved the same way: {moved}")


def _text(query: IncidentSignature, other: IncidentSignature, rarity: Mapping[str, float]) -> Agreement | None:
    ours, theirs = _text_terms(query), _text_terms(other)
    if not ours or not theirs:
        return None
    value = min(1.0, 1.5 * _overlap(ours, theirs, rarity))
    shared = sorted(ours & theirs, key=lambda term: (-rarity.get(term, 1.0), term))[:3]
    return Agreement(value, f"same words: {', '.join(shared)}" if value >= 0.3 else "")


def _category(query: IncidentSignature, other: IncidentSignature, _: Mapping[str, float]) -> Agreement | None:
    if not query.category or not other.category:
        return None
    same = query.category == other.category
    return Agreement(float(same), f"same category: {query.category.replace('_', ' ')}" if same else "")


def _change(query: IncidentSignature, other: IncidentSignature, _: Mapping[str, float]) -> Agreement | None:
    if not query.change_type or not other.change_type:
        return None
    if query.change_type != other.change_type:
        return Agreement(0.0)
    after = sorted(m for m in (query.minutes_after_change, other.minutes_after_change) if m is not None)
    if len(after) == 2 and after[0] >= 0 and after[1] <= 60:
        low, high = (f"{minutes:.0f}" for minutes in after)
        when = f"both {low} minutes" if low == high else f"{low} and {high} minutes"
        return Agreement(1.0, f"{when} after a {query.change_type}")
    return Agreement(0.8, f"both after a {query.change_type}")


def _short(text: str, length: int = 80) -> str:
    return text if len(text) <= length else text[: length - 2].rstrip() + " …"


_ASPECTS: tuple[tuple[float, Compare], ...] = (
    (3.0, _logs),
    (2.0, _services),
    (2.0, _alerts),
    (2.0, _series),
    (2.0, _text),
    (1.0, _category),
    (1.0, _change),
)
"""How much each aspect counts. Chosen by reason, not fitted; docs/knowledge-base.md says what was measured."""
