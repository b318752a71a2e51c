"""What the traces say for each service: where time is spent, where errors start, which path has changed.

Belongs here: comparing spans since the onset with spans before it. Does not belong here: weighing it against metrics.

Time inside is a span's duration less the time its children cover; time on the wire is what a calling span waits beyond
the called service's own span. Errors start in failing spans that have no failing child. A path is cut where an
operation calls less, or more, than it used to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from incident_pipeline.models import Span

MAX_SPANS = 50_000
AROUND, GRID = 300.0, 5.0
"""Seconds around the onset in which the spans may know the moment better, and how finely it is looked for."""
CHANCE = 3.0
"""Steps of so many standard errors come by chance."""

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


def trace_features(
    spans: Sequence[Span], onset: float, exact: float = 60.0, steady: Container[Operation] = ()
) -> dict[str, dict[str, float]]:
    """For each service: `trace_inside`, `trace_wire`, `wire_victim`, `trace_errors`, `trace_path`, each 0 to 1.

    Args:
        spans: of any time.
        onset: when the incident began, in seconds since 1970.
        exact: to how many seconds that is known; spans of that long before it prove nothing of the time before.
        steady: operations (service, name) whose own latency series has not moved: they are always as slow.
    """
    nodes = [node for node in nodes_of(spans) if node.span.service]
    found_cut = _cut(nodes, onset)
    cut, guard = (onset, exact) if found_cut is None else (found_cut, GRID)
    before = [n for n in nodes if n.span.start.timestamp() < cut - guard]
    after = [n for n in nodes if n.span.start.timestamp() >= cut]
    wire, victims = _wire_excess(before, after, _as_ever(after, steady))
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


def _cut(nodes: Sequence[Node], onset: float) -> float | None:
    """Where calls between services clearly become slower, near the onset; None where they do not.

    For each pair of services the step in the logarithm of the time on the wire, in standard errors; what exceeds chance
    is added up over all pairs.
    """
    moments = onset + np.arange(-AROUND, AROUND + 1.0, GRID)
    total = np.zeros(len(moments))
    for calls in _timed_gaps(nodes).values():
        times, waits = np.asarray([at for at, _ in calls]), np.log1p([wait for _, wait in calls])
        count = len(times)
        before = np.searchsorted(times, moments)
        inner = (before >= 2) & (before <= count - 2)
        if not inner.any():
            continue
        n = before[inner]
        sums, squares = np.cumsum(waits), np.cumsum(waits**2)
        past, now = sums[n - 1] / n, (sums[-1] - sums[n - 1]) / (count - n)
        within = (squares[-1] - n * past**2 - (count - n) * now**2) / max(count - 2, 1)
        error = np.sqrt(np.maximum(within, 0.02) * count / (n * (count - n)))
        total[inner] += np.maximum((now - past) / error - CHANCE, 0.0)
    best = int(np.argmax(total))
    return float(moments[best]) if total[best] > 1.0 else None


def _timed_gaps(nodes: Iterable[Node]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Moment and time on the wire of every call, ascending, by caller and called service."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for node in nodes:
        if node.is_call:
            edge = (node.span.service or "", node.children[0].service or "")
            found[edge].append((node.span.start.timestamp(), node.inside))
    return {edge: sorted(calls) for edge, calls in found.items() if len(calls) >= 4}


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


def _as_ever(nodes: Iterable[Node], steady: Container[Operation]) -> set[tuple[str, str]]:
    """Pairs of services all of whose calls are steady operations that call nobody else."""
    callees: dict[Operation, set[str]] = defaultdict(set)
    for node in nodes:
        if node.is_call:
            callees[_key(node)].add(node.children[0].service or "")
    ways: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for operation, ends in callees.items():
        for end in ends:
            ways[operation[0], end].append(len(ends) == 1 and operation in steady)
    return {edge for edge, steadies in ways.items() if all(steadies)}


def _wire_excess(
    before: Sequence[Node], since: Sequence[Node], as_ever: Container[tuple[str, str]]
) -> tuple[dict[str, float], dict[str, float]]:
    """Time on the wire goes to the called service, or to a caller most of whose calls are slow on the wire.

    Without calls from before, what all other calls take stands in for the usual. Also returned: the callers that only
    wait, whose own slowness this explains.
    """
    after = _gaps(since)
    over, limit = _slow_edges(_gaps(before), after)
    over = {edge: 0.0 if edge in as_ever else excess for edge, excess in over.items()}
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
    highest = max(scores.values(), default=0.0)
    victims: dict[str, float] = defaultdict(float)
    for (caller, _), excess in over.items():
        if caller not in callers:
            victims[caller] = max(victims[caller], _certainty(strongest, limit, 9, 9) * excess / strongest)
    return {
        service: score
        / highest
        * max(_certainty(over[edge], limit, *_slow(after[edge], limit)) for edge in over if service in edge)
        for service, score in scores.items()
        if score > 0
    }, dict(victims)


def _slow(waits: Sequence[float], limit: float) -> tuple[int, int]:
    return sum(wait > limit for wait in waits), len(waits)


def _certainty(excess: float, limit: float, slow: int, calls: int) -> float:
    """How sure lost time is: ten times the usual is a whole proof; a single call of that kind is two thirds of one.

    The longer a single call takes, the less it is chance.
    """
    size = float(max(np.log10(max(excess, 1e-9) / limit), 0.0))
    return float(min(size, 1.0) * (1.0 - 0.35 ** (slow * max(size, 1.0))) * slow / max(calls, 1))


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
