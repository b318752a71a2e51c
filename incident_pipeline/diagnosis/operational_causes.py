"""Causes that no change brought: a third party, a region, a node, a surge, a certificate, bad data.

Belongs here: weighing each kind by evidence of its own.
Does not belong here: changes. "No change is to blame" is only said with evidence from here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from incident_pipeline.diagnosis.fault_signature import FaultSignature
from incident_pipeline.diagnosis.graph import ServiceGraph
from incident_pipeline.diagnosis.operational_kinds import KINDS, Kind
from incident_pipeline.diagnosis.sentences import clock, plural, shortened, went
from incident_pipeline.models import Evidence, LogEntry, LogPattern, SeriesAnomaly, Symptoms


@dataclass
class OperationalCause:
    """One such cause with its evidence."""

    kind: Kind
    service: str | None
    score: float
    """Log-odds, on the scale of the changes' scores."""
    evidence: list[str]
    caused_by: tuple[str, str | None]
    """(log_pattern or metric, its id)."""


def operational_causes(
    evidence: Evidence, symptoms: Symptoms, signature: FaultSignature, graph: ServiceGraph
) -> list[OperationalCause]:
    """The causes that something speaks for, most likely first."""
    del signature
    found = []
    hosts = foreign_hosts(evidence.logs.rows, symptoms, graph)
    for kind in KINDS:
        cause = _weighed(kind, symptoms, hosts)
        if cause is not None:
            found.append(cause)
    surge = traffic_surge(symptoms)
    if surge is not None:
        same = next((c for c in found if c.kind.slug == "traffic_surge"), None)
        found = [c for c in found if c is not same]
        found.append(surge if same is None else _joined(surge, same))
    return sorted(found, key=lambda c: (-c.score, c.kind.slug))


def _weighed(kind: Kind, symptoms: Symptoms, hosts: Counter[str]) -> OperationalCause | None:
    lines = [p for p in symptoms.log_patterns if p.score >= 0.3 and kind.lines.search(f"{p.example} {p.template}")]
    series = [a for a in symptoms.anomalies if a.score >= 4 and kind.series.search(f"{a.service} {a.series}")]
    if not lines and not series:
        return None
    score = -0.2
    sentences = []
    if lines:
        score += kind.weight * max(p.score for p in lines) + 0.5 * min(len(lines) - 1, 3)
        sentences += [_line_sentence(p) for p in lines[:3]]
    if series:
        score += 1.2 + 0.3 * min(len(series) - 1, 3)
        sentences += [went(a) for a in series[:3]]
    if kind.slug in {"third_party_outage", "cloud_region_impairment"}:
        score += _host_score(hosts)
        sentences += [
            f"Failing lines name {host}, which is none of our services ({plural(n, 'line')})"
            for host, n in hosts.most_common(1)
        ]
    score += _origin_score(kind, lines, symptoms)
    caused_by = ("log_pattern", lines[0].pattern_id) if lines else ("metric", series[0].series)
    service = _service_of(kind, lines, series, symptoms)
    return OperationalCause(kind, service, score, sentences, caused_by)


def _service_of(
    kind: Kind, lines: Sequence[LogPattern], series: Sequence[SeriesAnomaly], symptoms: Symptoms
) -> str | None:
    """The leading service if it is among those that say so, else the leading one at all."""
    saying = [p.service for p in lines] + [a.service for a in series]
    del kind
    leading = [s.service for s in symptoms.services[:5]]
    return next((s for s in leading if s in saying), leading[0] if leading else next(iter(saying), None))


def _origin_score(kind: Kind, lines: Sequence[LogPattern], symptoms: Symptoms) -> float:
    """A line of the first failing service, or the very first telling line, is worth more than a victim's."""
    del kind
    if not lines:
        return 0.0
    first = min((p.first_seen for p in symptoms.log_patterns if p.score >= 0.3), default=None)
    early = any(first is not None and (p.first_seen - first).total_seconds() <= 60 for p in lines)
    return 0.8 * early + 0.5 * any(p.service == symptoms.first_failing_service for p in lines)


def _host_score(hosts: Counter[str]) -> float:
    return 0.0 if not hosts else 1.5 if max(hosts.values()) >= 3 else 0.8


_HOST = re.compile(r"(?:https?://|host[=: ]+|from |to )((?:[\w-]+\.)+[a-z]{2,})", re.IGNORECASE)
_HOST_KEYS = re.compile(r"(peer|upstream|server|remote|host|url|endpoint)", re.IGNORECASE)
_DOTTED = re.compile(r"((?:[a-z0-9-]+\.)+(?:com|net|io|org|cloud|dev|co|app|ai))\b", re.IGNORECASE)


def foreign_hosts(logs: Iterable[LogEntry], symptoms: Symptoms, graph: ServiceGraph) -> Counter[str]:
    """Hosts named in telling lines since the onset that are none of the known services."""
    telling = {(p.service, p.example) for p in symptoms.log_patterns if p.score >= 0.3}
    counts = {(p.service, p.example): p.count for p in symptoms.log_patterns}
    found: Counter[str] = Counter()
    seen: set[tuple[str | None, str]] = set()
    for entry in logs:
        key = (entry.service, entry.message)
        if key not in telling or key in seen:
            continue
        seen.add(key)
        texts = list(_HOST.findall(entry.message))
        texts += [str(v) for k, v in entry.attributes.items() if _HOST_KEYS.search(k)]
        hosts = {host.lower() for text in texts for host in _DOTTED.findall(text)}
        for host in hosts:
            if not any(service and service.lower() in host.split(".")[0] for service in graph.services):
                found[host] += counts[key]
    return found


def traffic_surge(symptoms: Symptoms) -> OperationalCause | None:
    """Traffic that grew by half or more, at or before the onset."""
    words = re.compile(r"request|rps|qps|traffic|throughput|calls|load|sessions|hits", re.IGNORECASE)
    grown = [
        a
        for a in symptoms.anomalies
        if words.search(a.series)
        and not re.search(r"error|fail|5xx|latency|duration|log_|write", a.series, re.IGNORECASE)
        and a.before > 0
        and a.after >= 1.5 * a.before
        and a.score >= 5
    ]
    if not grown:
        return None
    top = max(grown, key=lambda a: (a.after / a.before, a.series))
    kind = next(k for k in KINDS if k.slug == "traffic_surge")
    early = symptoms.onset is not None and top.onset <= symptoms.onset
    score = 0.6 + 0.7 * early + min(top.after / top.before - 1.5, 3.0) * 0.5
    return OperationalCause(kind, top.service, score, [went(top)], ("metric", top.series))


def _joined(one: OperationalCause, other: OperationalCause) -> OperationalCause:
    score = max(one.score, other.score) + 0.5 * max(min(one.score, other.score), 0.0)
    return OperationalCause(
        one.kind, other.service or one.service, score, one.evidence + other.evidence, other.caused_by
    )


def _line_sentence(pattern: LogPattern) -> str:
    before = "never before" if pattern.count_before == 0 else f"{pattern.count_before:,} before"
    return (
        f'{pattern.service or "A service"} logs "{shortened(pattern.example, 120)}" '
        f"({plural(pattern.count, 'time')} since {clock(pattern.first_seen)}, {before})"
    )
