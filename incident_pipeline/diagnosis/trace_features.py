"""What the traces say for each service: where time is spent, where errors start, which path has changed.

Belongs here: comparing spans since the onset with spans before it. Does not belong here: weighing it against metrics.

Time inside is a span's duration less the time its children cover; time on the wire is what a calling span waits beyond
the called service's own span. Errors start in failing spans that have no failing child. A path is cut where an
operation calls less, or more, than it used to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from incident_pipeline.models import Span

MAX_SPANS = 50_000

Operation = tuple[str, str]


@dataclass(frozen=True)
class Node:
    """One span with what its children explain."""

    span: Span
    children: tuple[Span, ...]
    inside: float
    """Milliseconds that no child covers."""

    @property
    def is_call(self) -> bool:
        """Whether all that the span does is to call another service."""
        return bool(self.children) and all(c.service != self.span.service for c in self.children)


def _order(span: Span) -> tuple[datetime, str, str, str, str, float, str]:
    return (
        span.start,
        span.trace_id,
        span.span_id,
        span.service or "",
        span.name,
        span.duration_ms,
        span.parent_id or "",
    )


def nodes_of(spans: Sequence[Span]) -> list[Node]:
    """Each span with its children; the same span twice counts once."""
    rows = sorted(spans, key=_order)[-MAX_SPANS:]
    unique = {(s.trace_id, s.span_id): s for s in rows}
    children: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for span in unique.values():
        if span.parent_id and span.parent_id != span.span_id:
            children[span.trace_id, span.parent_id].append(span)
    return [
        Node(span, tuple(children.get(key, ())), _inside(span, children.get(key, ()))) for key, span in unique.items()
    ]


def _inside(span: Span, children: Iterable[Span]) -> float:
    start = span.start.timestamp() * 1000.0
    end = start + max(span.duration_ms, 0.0)
    covered, reached = 0.0, start
    for child in sorted(children, key=lambda c: (c.start, c.duration_ms)):
        low = max(child.start.timestamp() * 1000.0, reached)
        high = min(child.start.timestamp() * 1000.0 + max(child.duration_ms, 0.0), end)
        if high > low:
            covered += high - low
            reached = high
    return max(span.duration_ms - covered, 0.0)


def trace_features(spans: Sequence[Span], onset: float) -> dict[str, dict[str, float]]:
    """For each service: `trace_inside`, `trace_wire`, `wire_victim`, `trace_errors`, `trace_path`, each 0 to 1."""
    nodes = [node for node in nodes_of(spans) if node.span.service]
    cut = _cut(nodes, onset)
    before = [n for n in nodes if n.span.start.timestamp() < cut]
    after = [n for n in nodes if n.span.start.timestamp() >= cut]
    wire, victims = _wire_excess(before, after)
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for name, scores in (
        ("trace_inside", _inside_excess(before, after)),
        ("trace_wire", wire),
        ("wire_victim", victims),
        ("trace_errors", _error_origins(before, after)),
        ("trace_path", _path_changes(before, after)),
    ):
        for service, score in scores.items():
            found[service][name] = score
    return dict(found)


def _cut(nodes: Sequence[Node], onset: float) -> float:
    """Where the spans themselves change for the worse, if they clearly do; else the onset."""
    if len(nodes) < 20:
        return onset
    usual: dict[Operation, list[float]] = defaultdict(list)
    for node in nodes:
        usual[_key(node)].append(np.log1p(node.inside))
    middle = {key: float(np.median(v)) for key, v in usual.items() if len(v) >= 4}
    worst: dict[str, tuple[float, float]] = {}
    for node in nodes:
        if _key(node) in middle:
            excess = float(np.log1p(node.inside)) - middle[_key(node)]
            at, known = worst.get(node.span.trace_id, (node.span.start.timestamp(), -np.inf))
            worst[node.span.trace_id] = (min(at, node.span.start.timestamp()), max(known, excess))
    ordered = sorted(worst.values())
    values = np.asarray([excess for _, excess in ordered])
    gains: list[tuple[float, float]] = []
    for i in range(max(3, len(values) // 10), len(values) - max(2, len(values) // 10)):
        error = np.sqrt(values[:i].var() / i + values[i:].var() / (len(values) - i) + 1e-3)
        gain = float((values[i:].mean() - values[:i].mean()) / error)
        gains.append((ordered[i][0], gain))
    strongest = max((gain for _, gain in gains), default=0.0)
    if strongest < 4.0:
        return onset
    return next(at for at, gain in gains if gain >= 0.7 * strongest)


def _key(node: Node) -> Operation:
    return (node.span.service or "", node.span.name)


def _usual(nodes: Iterable[Node]) -> dict[Operation, tuple[float, float]]:
    """Median and 90th percentile of the time inside, for each operation."""
    times: dict[Operation, list[float]] = defaultdict(list)
    for node in nodes:
        times[_key(node)].append(node.inside)
    return {key: (float(np.median(v)), float(np.quantile(v, 0.9))) for key, v in times.items()}


def _excess(before: Sequence[Node], after: Sequence[Node], calls: bool) -> dict[Operation, float]:
    """Milliseconds beyond the usual per operation, of calling spans or of the others.

    An operation that was not seen before is measured against the median of what is seen now.
    """
    usual = _usual(n for n in before if n.is_call == calls)
    now = _usual(n for n in after if n.is_call == calls)
    total: dict[Operation, float] = defaultdict(float)
    for node in after:
        if node.is_call == calls:
            middle, high = usual.get(_key(node), (now[_key(node)][0], now[_key(node)][0] * 3))
            if node.inside > high + 5.0:
                total[_key(node)] += node.inside - middle
    return total


def _inside_excess(before: Sequence[Node], after: Sequence[Node]) -> dict[str, float]:
    by_service: dict[str, float] = defaultdict(float)
    for (service, _), excess in _excess(before, after, calls=False).items():
        by_service[service] += excess
    return _shares(by_service)


def _wire_excess(before: Sequence[Node], after: Sequence[Node]) -> tuple[dict[str, float], dict[str, float]]:
    """Time on the wire goes to the called service, or to a caller most of whose calls are slow on the wire.

    Without calls from before, what all other calls take stands in for the usual. Also returned: the callers that only
    wait, whose own slowness this explains.
    """
    over, limit = _slow_edges(_gaps(before), _gaps(after))
    strongest = max(over.values(), default=0.0)
    if strongest <= 0.0:
        return {}, {}
    callers = _slow_callers(over)
    scores: dict[str, float] = defaultdict(float, callers)
    for callee in sorted({callee for _, callee in over}):
        into = [(caller, excess) for (caller, end), excess in sorted(over.items()) if end == callee]
        alone = [excess for caller, excess in into if caller not in callers]
        slow = float(np.mean([excess > 0 for _, excess in into])) * float(np.sqrt(max(sum(e > 0 for e in alone), 1)))
        scores[callee] += sum(alone) / len(into) * slow
    certain = float(min(max(np.log10(strongest / limit), 0.0) / 1.5, 1.0))
    victims: dict[str, float] = defaultdict(float)
    for (caller, _), excess in over.items():
        if caller not in callers:
            victims[caller] = max(victims[caller], certain * excess / strongest)
    return {service: share * certain for service, share in _shares(scores).items()}, dict(victims)


def _gaps(nodes: Iterable[Node]) -> dict[tuple[str, str], list[float]]:
    """Milliseconds on the wire of every call, by caller and called service."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for node in nodes:
        if node.is_call:
            found[node.span.service or "", node.children[0].service or ""].append(node.inside)
    return found


def _slow_edges(
    before: Mapping[tuple[str, str], list[float]], after: Mapping[tuple[str, str], list[float]]
) -> tuple[dict[tuple[str, str], float], float]:
    """For each edge its median beyond the usual, and what is usual for an edge."""
    usual = float(np.median([np.median(times) for times in (before or after).values()])) if after else 0.0
    common = 3.0 * usual + 5.0
    over = {}
    for edge, times in after.items():
        known = before.get(edge, ())
        limit = max(float(np.quantile(known, 0.9)), common) if len(known) >= 3 else common
        over[edge] = max(float(np.median(times)) - limit, 0.0)
    return over, common


def _slow_callers(over: Mapping[tuple[str, str], float]) -> dict[str, float]:
    """Callers with three or more called services, most of them slow to reach: the caller's own end is slow."""
    outgoing: dict[str, list[float]] = defaultdict(list)
    for (caller, _), excess in over.items():
        outgoing[caller].append(excess)
    return {
        caller: sum(excesses)
        for caller, excesses in outgoing.items()
        if len(excesses) >= 3 and sum(e > 0 for e in excesses) >= 0.6 * len(excesses)
    }


def _error_origins(before: Sequence[Node], after: Sequence[Node]) -> dict[str, float]:
    def origins(nodes: Sequence[Node]) -> dict[str, float]:
        counts: dict[str, float] = defaultdict(float)
        for node in nodes:
            if node.span.status == "error" and not any(c.status == "error" for c in node.children):
                counts[node.span.service or ""] += 1.0 / len(nodes)
        return counts

    known, now = origins(before), origins(after)
    return _shares({service: max(0.0, share - known.get(service, 0.0)) for service, share in now.items()})


def _path_changes(before: Sequence[Node], after: Sequence[Node]) -> dict[str, float]:
    """How much an operation's number of calls changed, in standard errors, for operations seen often enough."""

    def counts(nodes: Sequence[Node]) -> Mapping[Operation, list[int]]:
        found: dict[Operation, list[int]] = defaultdict(list)
        for node in nodes:
            found[_key(node)].append(len(node.children))
        return found

    known, now = counts(before), counts(after)
    scores: dict[str, float] = defaultdict(float)
    for key in known.keys() & now.keys():
        old, new = np.asarray(known[key], dtype=float), np.asarray(now[key], dtype=float)
        if len(old) < 3 or len(new) < 3:
            continue
        error = np.sqrt(old.var() / len(old) + new.var() / len(new) + 0.05)
        score = abs(new.mean() - old.mean()) / error
        if score > 2.0:
            scores[key[0]] = max(scores[key[0]], float(min(score / 10.0, 1.0)))
    return dict(scores)


def _shares(amounts: Mapping[str, float]) -> dict[str, float]:
    total = sum(amounts.values())
    return {service: amount / total for service, amount in amounts.items() if amount > 0} if total > 0 else {}
