"""Machines and the cluster's own parts: kubelet, container runtime, kube-proxy, scheduler.

Belongs here: what nodes, leases and units say. Does not belong here: networks that are slow (`performance.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from incident_pipeline.diagnosis.kubernetes.cluster import Cluster, condition_of, name_of
from incident_pipeline.diagnosis.kubernetes.fields import Fields, fields_at, moment_at, rows_at, text_at
from incident_pipeline.diagnosis.kubernetes.findings import CERTAIN, LIKELY, STRONG, Finding, node_object
from incident_pipeline.diagnosis.kubernetes.nodes import is_control_plane
from incident_pipeline.diagnosis.kubernetes.scheduling import waiting_pods

_UNITS = (
    ("containerd_unavailable", re.compile(r"^(?:containerd|docker|cri-?o|container-runtime)\b", re.I)),
    ("kube_scheduler_unavailable", re.compile(r"^(?:kube-)?scheduler\b", re.I)),
    ("kube_proxy_unavailable", re.compile(r"^kube-?proxy\b", re.I)),
    ("kubelet_unavailable", re.compile(r"^kubelet\b", re.I)),
)
_RUNTIME_DOWN = re.compile(
    r"container runtime (?:is down|status check may not)|PLEG is not healthy|runtime is down", re.I
)
_SILENT = timedelta(seconds=60)
"""The kubelet renews its lease every 10 s; the node counts as unreachable after 40 s."""
_WORDS = {
    "containerd_unavailable": "The container runtime of {name} is down",
    "kubelet_unavailable": "The kubelet of {name} does not report any more",
    "kube_proxy_unavailable": "kube-proxy of {name} is down: services cannot be reached from there",
    "kube_scheduler_unavailable": "The scheduler on {name} is down: new pods wait and nobody looks at them",
    "node_not_ready": "The node {name} is not ready",
}


def infrastructure(cluster: Cluster) -> list[Finding]:
    """Nodes and parts of the cluster that are down."""
    found = list(_units(cluster))
    told = {(finding.object.name, finding.mechanism) for finding in found}
    for node in cluster.nodes:
        if not any(name == name_of(node) and slug != "kube_scheduler_unavailable" for name, slug in told):
            found += _node(cluster, node)
    if not any(finding.mechanism == "kube_scheduler_unavailable" for finding in found):
        found += _scheduler(cluster)
    return found


def apps_on(cluster: Cluster, node: str) -> tuple[str, ...]:
    """The apps with a pod on a node."""
    names = (app.name for app in cluster.apps if any(text_at(pod, "spec", "nodeName") == node for pod in app.pods))
    return tuple(dict.fromkeys(names))


def _units(cluster: Cluster) -> Iterator[Finding]:
    """Units that say themselves that they are down; a runtime takes the others of its node with it."""
    found: dict[str, list[Finding]] = {}
    for body in cluster.bodies("ComponentStatus"):
        bad = next((one for one in rows_at(body, "conditions") if one.get("status") == "False"), None)
        unit, _, node = name_of(body).partition(".")
        labels = fields_at(body, "metadata", "labels")
        unit, node = text_at(labels, "component") or unit, text_at(labels, "kubernetes.io/hostname") or node
        mechanism = next((slug for slug, pattern in _UNITS if pattern.search(unit)), None)
        if bad is None or mechanism is None:
            continue
        name = node or _master(cluster)
        shown = f'{unit} on {name}: "{text_at(bad, "message")[:240]}"'
        found.setdefault(name, []).append(_finding(cluster, mechanism, name, CERTAIN, (shown,)))
    order = [slug for slug, _ in _UNITS]
    for findings in found.values():
        yield min(findings, key=lambda finding: order.index(finding.mechanism))


def _node(cluster: Cluster, node: Fields) -> Iterator[Finding]:
    ready = condition_of(node, "Ready")
    name, status = name_of(node), ready.get("status")
    message = text_at(ready, "message")
    since = moment_at(ready, "lastTransitionTime")
    told = f"Node {name}: Ready {status}, {text_at(ready, 'reason')}" + (f' "{message[:200]}"' if message else "")
    if status == "Unknown" or text_at(ready, "reason") == "NodeStatusUnknown":
        renewed = moment_at(node, "status", "leaseRenewTime")
        lease = (f"its lease was last renewed at {renewed:%H:%M:%S}",) if renewed else ()
        yield _finding(cluster, "kubelet_unavailable", name, CERTAIN, (told, *lease), since)
    elif status == "False":
        runtime = _RUNTIME_DOWN.search(message)
        mechanism = "containerd_unavailable" if runtime else "node_not_ready"
        yield _finding(cluster, mechanism, name, CERTAIN if runtime else STRONG, (told,), since)
    elif _is_silent(cluster, node):
        renewed = moment_at(node, "status", "leaseRenewTime")
        shown = f"Node {name}: its lease was last renewed at {renewed:%H:%M:%S}, those of the others later"
        yield _finding(cluster, "kubelet_unavailable", name, LIKELY, (shown,), renewed)


def _is_silent(cluster: Cluster, node: Fields) -> bool:
    """Whether its lease is a minute older than the snapshot and than another node's: clocks apart are no silence."""
    renewed = [at for one in cluster.nodes if (at := moment_at(one, "status", "leaseRenewTime")) is not None]
    own, read = moment_at(node, "status", "leaseRenewTime"), cluster.captured_at
    if own is None or len(renewed) < 2 or (read is not None and read - own <= _SILENT):
        return False
    return max(renewed) - own > _SILENT


def _scheduler(cluster: Cluster) -> Iterator[Finding]:
    """Pods without a node that no scheduler has said a word about, while the events of others are there."""
    if not cluster.knows("Event"):
        return
    ignored = [
        one for one in waiting_pods(cluster) if not one.message and not cluster.events_of("Pod", one.pod, "Scheduled")
    ]
    if ignored:
        pods = ", ".join(name_of(one.pod) for one in ignored[:3])
        shown = f"pending, with no node and no event of the scheduler: {pods}"
        since = moment_at(ignored[0].pod, "metadata", "creationTimestamp")
        yield _finding(cluster, "kube_scheduler_unavailable", _master(cluster), STRONG, (shown,), since)


def _master(cluster: Cluster) -> str:
    masters = [node for node in cluster.nodes if is_control_plane(node)]
    return name_of(masters[0]) if masters else "control-plane"


def _finding(
    cluster: Cluster, mechanism: str, name: str, weight: float, shown: tuple[str, ...], since: datetime | None = None
) -> Finding:
    waiting = tuple(one.app.name for one in waiting_pods(cluster))
    victims = waiting if mechanism == "kube_scheduler_unavailable" else apps_on(cluster, name)
    says = _WORDS[mechanism].format(name=name)
    return Finding(mechanism, node_object(name), weight, says, shown, since=since, victims=victims)
