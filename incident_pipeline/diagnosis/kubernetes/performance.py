"""Apps and machines that are slow: CPU that is used up, packets that are late or lost.

Belongs here: series and alerts of usage and of networks, told apart by whether one app or one node has them.
Does not belong here: what is broken (`runtime.py`, `infrastructure.py`).

Method: the node's counters decide first. Retransmissions of one node alone speak for its network; of none, for a pod's.
Throttling (cgroup `cpu.stat`, https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu) of one app speaks for its load.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from incident_pipeline.diagnosis.kubernetes.cluster import App, Cluster, name_of
from incident_pipeline.diagnosis.kubernetes.fields import fields_at, quantity, text_at
from incident_pipeline.diagnosis.kubernetes.findings import LIKELY, STRONG, WEAK, Finding, app_object, node_object
from incident_pipeline.diagnosis.kubernetes.infrastructure import apps_on
from incident_pipeline.models import Alert, MetricSeries

_RETRANSMITS = re.compile(r"ret(?:r?a?ns|ransm)", re.I)
_THROTTLED = re.compile(r"cfs|throttl", re.I)
_CPU = re.compile(r"^cpu$|cpu_usage|container_cpu|cpu_util", re.I)
_LATENCY = re.compile(r"latency|duration|rtt|response", re.I)
_SLOW = re.compile(r"latenc|slow|timeout|\brtt\b|delay", re.I)
_FALLS = re.compile(r"throughput|drop|traffic", re.I)


@dataclass(frozen=True)
class Shift:
    """How far a series moved in its own recording: its calmest third against its last third."""

    series: MetricSeries
    before: float
    after: float

    @property
    def times(self) -> float:
        """The later level as a multiple of the earlier."""
        return self.after / self.before if self.before > 0 else math.inf if self.after > 0 else 1.0


def performance(cluster: Cluster) -> list[Finding]:
    """Who is slow, and whether it is the machine, the network or the load."""
    found = [*_node_networks(cluster), *_loads(cluster)]
    return [*found, *_pod_networks(cluster, found)]


def shift_of(series: MetricSeries) -> Shift | None:
    """The median of the calmest third of a series against that of its last third; None with too few samples."""
    values = [value for value in series.values if math.isfinite(value)]
    if len(values) < 9:
        return None
    third = len(values) // 3
    parts = (values[:third], values[third : 2 * third], values[2 * third :])
    medians = [_median(part) for part in parts]
    return Shift(series, min(medians), max(medians[1:]))


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _node_networks(cluster: Cluster) -> Iterable[Finding]:
    names = {name_of(node) for node in cluster.nodes}
    levels = {
        series.service: _mean(series)
        for series in cluster.metrics
        if series.service in names and _RETRANSMITS.search(series.name)
    }
    told = [alert for alert in cluster.alerts if _RETRANSMITS.search(alert.title) and _node_in(alert, names)]
    worst = max(levels.values(), default=0.0)
    for node in sorted(names):
        others = [level for name, level in levels.items() if name != node]
        own = levels.get(node, 0.0)
        alone = own > 1.0 and own > 4 * max(others, default=0.0)
        alerts = [alert for alert in told if _node_in(alert, names) == node and own >= worst]
        if (alone or alerts) and apps_on(cluster, node):
            shown = [f"{node}: {own:.3g} retransmissions, the other nodes at most {max(others, default=0.0):.3g}"]
            yield Finding(
                "node_network_packet_loss",
                node_object(node),
                STRONG,
                f"The network of node {node} loses packets",
                (*[alert.title[:200] for alert in alerts[:2]], *(shown if alone else ())),
                victims=apps_on(cluster, node),
            )


def _mean(series: MetricSeries) -> float:
    values = [value for value in series.values if math.isfinite(value)]
    return math.fsum(values) / len(values) if values else 0.0


def _node_in(alert: Alert, names: set[str]) -> str | None:
    labelled = alert.labels.get("node")
    return labelled if labelled in names else next((n for n in sorted(names) if alert.title.startswith(n)), None)


def _loads(cluster: Cluster) -> Iterable[Finding]:
    """Apps whose CPU has become throttled, or has come to its limit; one that always was is as it always was."""
    for app in cluster.apps:
        alerts = [a for a in cluster.alerts if a.service == app.name and _THROTTLED.search(a.title)]
        throttled = _grown(cluster, app, _THROTTLED, at_least=0.05 if alerts else 0.2)
        limit = sum(quantity(fields_at(c, "resources", "limits").get("cpu")) or 0.0 for c in app.containers)
        full = _grown(cluster, app, _CPU, at_least=0.6 * limit) if limit else []
        known = any(s.service == app.name and _THROTTLED.search(s.name) for s in cluster.metrics)
        if not throttled and not full and (known or not alerts):
            continue
        yield Finding(
            "pod_cpu_overload",
            app_object(app.name),
            STRONG if throttled and (full or alerts) else LIKELY,
            f"The CPU of {app.name} is used up",
            (
                *[alert.title[:200] for alert in alerts[:1]],
                *[f"{s.series.key} of {app.name}: {s.before:.3g} to {s.after:.3g}" for s in (*throttled, *full)[:2]],
                f"CPU limit of {app.name}: {limit:g} cores" if limit else "no CPU limit is set",
            ),
        )


def _grown(cluster: Cluster, app: App, names: re.Pattern[str], at_least: float) -> list[Shift]:
    """Series of an app that have grown threefold, to a level that matters."""
    own = (series for series in cluster.metrics if series.service == app.name and names.search(series.name))
    shifts = (shift_of(series) for series in own)
    return [shift for shift in shifts if shift is not None and shift.after > at_least and shift.times >= 3]


def _pod_networks(cluster: Cluster, found: Sequence[Finding]) -> Iterable[Finding]:
    """Slowness that neither load nor a lossy node explains: of one app, or of all that a node carries."""
    if any(finding.weight >= LIKELY for finding in found):
        return
    slow = _slow_apps(cluster)
    origins = _deepest(cluster, slow)
    for node in map(name_of, cluster.nodes):
        carried = apps_on(cluster, node)
        hit = [name for name in carried if name in slow]
        if 2 * len(hit) >= len(carried) and len(set(hit) & set(origins)) >= 2 and 2 * len(hit) > len(slow):
            yield _slow_node(cluster, node, hit, slow)
            return
    for name in origins[:2]:
        app = cluster.app(name)
        if app is not None:
            yield _slow_pod(app, slow[name][1], LIKELY if name == origins[0] else WEAK)


def _slow_apps(cluster: Cluster) -> dict[str, tuple[float, str]]:
    """App -> (how much slower, what shows it)."""
    found: dict[str, tuple[float, str]] = {}
    for series in cluster.metrics:
        if series.service and _LATENCY.search(series.name) and cluster.app(series.service) is not None:
            shift = shift_of(series)
            if shift is not None and shift.times >= 3 and shift.after >= 20:
                shown = f"{series.key} of {series.service}: {shift.before:.3g} to {shift.after:.3g}"
                # the median moves with every request, a high percentile with a few
                amount = (shift.after - shift.before) * (1.0 if re.search(r"50|med|avg|mean", series.name) else 0.05)
                found[series.service] = max(found.get(series.service, (0.0, "")), (amount, shown))
    for pattern in (_SLOW, _FALLS):
        for alert in cluster.alerts:
            if alert.service and cluster.app(alert.service) is not None and pattern.search(alert.title):
                found.setdefault(alert.service, (0.0, alert.title[:200]))
        if found:
            return found
    return found


def _deepest(cluster: Cluster, slow: Mapping[str, tuple[float, str]]) -> list[str]:
    """The slow apps that call no other slow one, the slowest first: callers wait for those that they call."""
    below = [name for name in slow if not (set(cluster.calls.get(name, ())) & set(slow) - {name})]
    return sorted(below or slow, key=lambda name: (-slow[name][0], name))


def _slow_node(cluster: Cluster, node: str, hit: Sequence[str], slow: Mapping[str, tuple[float, str]]) -> Finding:
    return Finding(
        "node_network_delay",
        node_object(node),
        LIKELY,
        f"The network of node {node} is slow: what runs there is slow, what runs elsewhere is not",
        tuple(slow[name][1] for name in hit[:4]),
        victims=apps_on(cluster, node),
    )


def _slow_pod(app: App, shown: str, weight: float) -> Finding:
    node = next((text_at(pod, "spec", "nodeName") for pod in app.pods), "")
    return Finding(
        "pod_network_delay",
        app_object(app.name),
        weight,
        f"The network of the pods of {app.name} is slow",
        (shown, f"its CPU is not used up, and others on {node or 'its node'} are not slow"),
    )
