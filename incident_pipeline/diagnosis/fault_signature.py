"""What the failure is called: the words, files, values and moments by which a change can be recognised as its cause.

Belongs here: gathering them from logs, traces, series and alerts. Does not belong here: reading diffs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from incident_pipeline.diagnosis.series import Quantity, quantity
from incident_pipeline.diagnosis.vocabulary import words
from incident_pipeline.models import Evidence, Incident, LogEntry, Symptoms

MAX_TEXTS = 400
_FRAME = re.compile(
    # bounded at both ends: a line of 100 kB without a blank must not cost minutes
    r"(?<![\w-])([\w-]{1,200}\.(?:go|py|java|kt|scala|js|jsx|ts|tsx|rb|rs|c|cc|cpp|h|cs|php|ex|swift))\b(?::(\d+))?"
)
_STOP = words(
    "the and for from with that this not are was has have its into onto over than then when while after "
    "before http https www com net org api app src lib pkg cmd main internal service services server "
    "client error errors err failed failure fail info warn warning debug fatal true false null none nil "
    "new get set add use run log logs message msg code value name type string int func function return "
    "class public private static void const var let import package file line test data request requests "
    "response status total count rate ratio seconds p99 p95 p50 above below percent during upstream "
    "handled user users trace span id ids key per out all any can could did does one two via our you your"
)


@dataclass(frozen=True)
class FaultSignature:
    """How this failure shows itself."""

    words: Mapping[str, float]
    """Word -> weight, 1 for a word of the most telling lines."""
    texts: tuple[str, ...]
    """The telling texts themselves, most telling first."""
    frames: frozenset[str]
    """Source files named in stack traces, lower case, without folder."""
    values: Mapping[str, frozenset[float]]
    """Number -> see `value_moves`; attribute name -> the numbers it had in failing lines."""
    value_moves: tuple[tuple[str, str, float, float, float], ...]
    """(service, series, before, after, since) of series that hold a setting and stepped from one value to another."""
    first_sign: datetime
    """The earliest moment at which something of this failure shows; a cause comes before it."""
    first_sign_text: str

    @property
    def text(self) -> str:
        """All telling texts as one, for pattern search."""
        return "\n".join(self.texts)


def fault_signature(incident: Incident, evidence: Evidence, symptoms: Symptoms) -> FaultSignature:
    """The signature of the incident's failure."""
    onset = symptoms.onset or incident.started_at
    suspects = (
        {s.service for s in symptoms.services if s.score > 0} | set(symptoms.blast_radius) | set(incident.services)
    )
    weighted: list[tuple[float, str]] = []
    lines = _telling_lines(evidence.logs.rows, symptoms)
    weighted += [(weight, _full_text(entry)) for weight, entry in lines]
    weighted += [(0.8, f"{s.name} {_attributes_text(s.attributes)}") for s in _error_spans(evidence, onset)]
    weighted += [
        (0.7 * min(1.0, a.score / 10), f"{a.series} of {a.service}")
        for a in symptoms.anomalies
        if a.service in suspects
    ][:20]
    weighted += [(0.6, _alert_text(alert.title, alert.summary, alert.labels)) for alert in incident.alerts]
    weighted.sort(key=lambda pair: (-pair[0], pair[1]))
    weighted = weighted[:MAX_TEXTS]
    first, text = _first_sign(symptoms, onset)
    return FaultSignature(
        words=_words(weighted),
        texts=tuple(dict.fromkeys(text for _, text in weighted)),
        frames=frozenset(name.lower() for _, t in weighted for name, _ in _FRAME.findall(t)),
        values=_values(entry for _, entry in lines),
        value_moves=_value_moves(symptoms),
        first_sign=first,
        first_sign_text=text,
    )


def split_words(text: str) -> list[str]:
    """The words of identifiers, paths and prose, lower case, without the most common ones."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[a-z]+", text)
    return [stem(word) for word in (p.lower() for p in parts) if len(word) > 2 and word not in _STOP]


@lru_cache(maxsize=20000)
def stem(word: str) -> str:
    """A word without its commonest endings, so that `throttled` meets `throttling`."""
    for ending in ("ations", "ation", "ings", "ing", "ies", "ers", "ed", "es", "er", "s"):
        if word.endswith(ending) and not word.endswith("ss") and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def _telling_lines(logs: Iterable[LogEntry], symptoms: Symptoms) -> list[tuple[float, LogEntry]]:
    """One line for each telling pattern, with its weight."""
    weight_of = {(p.service, p.example): p.score for p in symptoms.log_patterns if p.score >= 0.2}
    found: dict[tuple[str | None, str], tuple[float, LogEntry]] = {}
    for entry in logs:
        key = (entry.service, entry.message)
        if key in weight_of and (key not in found or _before(entry, found[key][1])):
            found[key] = (weight_of[key], entry)
    return sorted(found.values(), key=lambda pair: (-pair[0], pair[1].timestamp, pair[1].message, repr(pair[1])))


def _before(one: LogEntry, other: LogEntry) -> bool:
    """Whether a line comes before another; at the same moment their text decides."""
    return one.timestamp < other.timestamp or (one.timestamp == other.timestamp and repr(one) < repr(other))


def _full_text(entry: LogEntry) -> str:
    return f"{entry.message[:2000]} {_attributes_text(entry.attributes)}"


def _attributes_text(attributes: Mapping[str, Any]) -> str:
    shown = (
        f"{k}={v}" for k, v in sorted(attributes.items()) if not k.endswith("id") and isinstance(v, str | int | float)
    )
    return " ".join(shown)[:1000]


def _alert_text(title: str, summary: str, labels: Mapping[str, str]) -> str:
    return f"{title} {summary} {labels.get('metric', '')}"


def _error_spans(evidence: Evidence, onset: datetime) -> list[Any]:
    spans = [s for s in evidence.traces.rows if s.status == "error" and s.start >= onset - timedelta(minutes=10)]
    return sorted(spans, key=lambda s: (s.start, s.span_id, repr(s)))[:100]


def _words(weighted: Iterable[tuple[float, str]]) -> dict[str, float]:
    words: dict[str, float] = {}
    for weight, text in weighted:
        for word in split_words(text):
            words[word] = max(words.get(word, 0.0), weight)
    return words


def _values(entries: Iterable[LogEntry]) -> dict[str, frozenset[float]]:
    found: dict[str, set[float]] = {}
    for entry in entries:
        for name, value in entry.attributes.items():
            if (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and not name.endswith(("id", "code", "status"))
            ):
                found.setdefault(name, set()).add(float(value))
    return {name: frozenset(values) for name, values in found.items()}


def _value_moves(symptoms: Symptoms) -> tuple[tuple[str, str, float, float, float], ...]:
    return tuple(
        (a.service or "", a.series, a.before, a.after, a.onset.timestamp())
        for a in symptoms.anomalies
        if a.kind == "setting"
    )


def _first_sign(symptoms: Symptoms, onset: datetime) -> tuple[datetime, str]:
    """The earliest telling log pattern or strong anomaly of a suspected service within an hour before the onset."""
    earliest = onset - timedelta(hours=1)
    signs = [
        (p.first_seen, f"{p.service or 'a service'} logs it first")
        for p in symptoms.log_patterns
        if p.count_before == 0 and p.score >= 0.3 and p.first_seen >= earliest
    ]
    leading = {s.service for s in symptoms.services[:3]}
    signs += [
        (a.onset, f"{a.series} of {a.service} leaves its normal range")
        for a in symptoms.anomalies
        if a.service in leading and a.score >= 5 and a.onset >= earliest and quantity(a.series) is not Quantity.TRAFFIC
    ]
    signs = [sign for sign in signs if sign[0] <= onset]
    return min(signs, default=(onset, "the onset"))


def common_words(texts: Iterable[str]) -> Counter[str]:
    """In how many texts each word occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(split_words(text)))
    return counts


def as_utc(seconds: float) -> datetime:
    """Seconds since 1970 as an aware datetime."""
    return datetime.fromtimestamp(seconds, tz=UTC)
