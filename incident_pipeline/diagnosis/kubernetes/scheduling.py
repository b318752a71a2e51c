"""Pods that no node takes: cordons, taints, affinity, selectors, room.

Belongs here: which of a pod's wishes is the one that cannot be met. Does not belong here: volumes (`volumes.py`), pods
that the scheduler has not looked at (`infrastructure.py`).

Method: the scheduler's own reasons (https://kubernetes.io/docs/concepts/scheduling-eviction/) are answered again from
the objects. First what the pod names (labels that no node has), then what stands on the nodes that it names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from incident_pipeline.diagnosis.kubernetes import nodes as of_node
from incident_pipeline.diagnosis.kubernetes.cluster import App, Cluster, Event, condition_of, name_of
from incident_pipeline.diagnosis.kubernetes.fields import Fields, fields_at, moment_at, text_at
from incident_pipeline.diagnosis.kubernetes.findings import CERTAIN, LIKELY, STRONG, Edit, Finding, Repair, app_object

_REASON = re.compile(r"(\d+) ((?:node\(s\) |Insufficient |Too many )[^,.]*(?:\{[^}]*\}[^,.]*)?)")
_BY_MESSAGE = (
    ("cpu_capacity_mismatch", re.compile(r"Insufficient cpu", re.I)),
    ("memory_capacity_mismatch", re.compile(r"Insufficient memory", re.I)),
    ("pod_anti_affinity_conflict", re.compile(r"anti-affinity", re.I)),
    ("taint_toleration_mismatch", re.compile(r"untolerated taint|had taints?", re.I)),
    ("node_affinity_mismatch", re.compile(r"node affinity|node selector", re.I)),
    ("node_cordon_mismatch", re.compile(r"were unschedulable", re.I)),
)
_VOLUME = re.compile(r"PersistentVolumeClaim|persistent volumes? to bind|volume node affinity", re.I)
_ROOM = {"cpu": "cpu_capacity_mismatch", "memory": "memory_capacity_mismatch"}


@dataclass(frozen=True)
class Waiting:
    """A pod that waits for a node, and what the scheduler says of it."""

    app: App
    pod: Fields
    message: str
    event: Event | None

    @property
    def spec(self) -> Fields:
        """What the pod asks for; the template speaks where the pod's own record is silent."""
        own = fields_at(self.pod, "spec")
        return {**self.app.template, **own} if own else self.app.template


def scheduling(cluster: Cluster) -> list[Finding]:
    """Pods that wait although the scheduler has looked for a node."""
    found = []
    for waiting in waiting_pods(cluster):
        if waiting.message and not _VOLUME.search(waiting.message):
            mechanism, weight, shown = _unmet(cluster, waiting)
            if mechanism:
                found.append(_finding(waiting, mechanism, weight, shown))
    return found


def waiting_pods(cluster: Cluster) -> list[Waiting]:
    """The pods of apps that have no node."""
    found = []
    for app in cluster.apps:
        for pod in app.pods:
            if text_at(pod, "status", "phase") != "Pending" or text_at(pod, "spec", "nodeName"):
                continue
            events = cluster.events_of("Pod", pod, "FailedScheduling")
            told = [event for event in events if "skip schedule deleting pod" not in event.message]
            condition = text_at(condition_of(pod, "PodScheduled"), "message")
            message = told[-1].message if told else condition
            found.append(Waiting(app, pod, message, told[-1] if told else None))
    return found


def scheduler_reasons(message: str) -> list[tuple[int, str]]:
    """`0/4 nodes are available: 1 Insufficient cpu, ...` -> how many nodes, and why; without the preemption part."""
    told = message.partition("preemption:")[0].partition("nodes are available:")[2]
    return [(int(count[:9]), reason.strip()) for count, reason in _REASON.findall(told)]


def _unmet(cluster: Cluster, waiting: Waiting) -> tuple[str, float, str]:
    """(mechanism, how sure, what shows it); an empty mechanism where all is as it should be."""
    spec = waiting.spec
    workers = [node for node in cluster.nodes if not of_node.is_control_plane(node)] or cluster.nodes
    if not workers:
        return _by_message(waiting)
    named = [node for node in workers if of_node.meets_selector(spec, node)]
    if not named:
        return "node_selector_mismatch", CERTAIN, f"nodeSelector {_short(spec.get('nodeSelector'))}: no node has it"
    named = [node for node in named if of_node.meets_affinity(spec, node)]
    if not named:
        terms = _short(of_node.affinity_terms(spec))
        return "node_affinity_mismatch", CERTAIN, f"required node affinity {terms}: no node meets it"
    tainted = {name_of(node): of_node.untolerated(spec, node) for node in named}
    open_nodes = [node for node in named if not tainted[name_of(node)]]
    if not open_nodes:
        shown = "; ".join(f"{name}: taint {_short(taints[0])}" for name, taints in tainted.items() if taints)
        return "taint_toleration_mismatch", CERTAIN, f"no toleration for {shown}"
    uncordoned = [node for node in open_nodes if not of_node.is_cordoned(node)]
    if not uncordoned:
        shown = ", ".join(map(name_of, open_nodes))
        return "node_cordon_mismatch", CERTAIN, f"the nodes that fit are cordoned: {shown}"
    return _room(cluster, waiting, uncordoned)


def _room(cluster: Cluster, waiting: Waiting, nodes: Sequence[Fields]) -> tuple[str, float, str]:
    for resource, mechanism in _ROOM.items():
        asked = of_node.requested(waiting.spec, resource)
        rooms = [room for node in nodes if (room := of_node.free(cluster, node, resource)) is not None]
        told = f"Insufficient {resource}" in waiting.message
        if asked and rooms and asked > max(rooms) and (told or not waiting.message):
            shown = f"requests {resource} {_amount(asked, resource)}; most that a node has free: "
            return mechanism, CERTAIN, shown + _amount(max(rooms), resource)
    return _by_message(waiting)


def _by_message(waiting: Waiting) -> tuple[str, float, str]:
    """What the scheduler says of most nodes; a cordon or a taint only where nothing else is said."""
    counts: dict[str, int] = {}
    for count, reason in scheduler_reasons(waiting.message):
        mechanism = next((slug for slug, pattern in _BY_MESSAGE if pattern.search(reason)), None)
        if mechanism == "node_affinity_mismatch" and fields_at(waiting.spec, "nodeSelector"):
            mechanism = "node_selector_mismatch"
        if mechanism:
            counts[mechanism] = counts.get(mechanism, 0) + count
    if not counts:
        return "", 0.0, ""
    order = [slug for slug, _ in _BY_MESSAGE] + ["node_selector_mismatch"]
    best = min(counts, key=lambda slug: (-counts[slug], order.index(slug)))
    return best, STRONG if len(counts) <= 2 else LIKELY, ""


def _finding(waiting: Waiting, mechanism: str, weight: float, shown: str) -> Finding:
    app = waiting.app
    pod = name_of(waiting.pod)
    return Finding(
        mechanism,
        app_object(app.name),
        weight,
        f"No node takes the pods of {app.name}: {_WORDS[mechanism]}",
        tuple(line for line in (shown and f"Pod {pod}: {shown}", f'Pod {pod}: "{waiting.message[:300]}"') if line),
        since=waiting.event.first if waiting.event else moment_at(waiting.pod, "metadata", "creationTimestamp"),
        repair=_repair(waiting, mechanism),
    )


_WORDS = {
    "node_selector_mismatch": "none has the label that the node selector asks for",
    "node_affinity_mismatch": "none meets the required node affinity",
    "pod_anti_affinity_conflict": "its anti-affinity leaves none",
    "taint_toleration_mismatch": "the one that fits has a taint that is not tolerated",
    "node_cordon_mismatch": "those that fit are cordoned",
    "cpu_capacity_mismatch": "it asks for more CPU than any has free",
    "memory_capacity_mismatch": "it asks for more memory than any has free",
}


def _repair(waiting: Waiting, mechanism: str) -> Repair | None:
    app, below = waiting.app, ("spec", "template", "spec")
    edits: tuple[Edit, ...] = ()
    if mechanism == "node_selector_mismatch":
        edits = (Edit((*below, "nodeSelector"), None),)
    elif mechanism == "node_affinity_mismatch":
        edits = (Edit((*below, "affinity", "nodeAffinity"), None),)
    elif mechanism == "pod_anti_affinity_conflict":
        edits = (Edit((*below, "affinity", "podAntiAffinity"), None),)
    return Repair(app.kind, app.name, app.namespace, edits) if edits else None


def _short(value: object) -> str:
    return str(value).replace("'", "")[:160]


def _amount(value: float, resource: str) -> str:
    return f"{value:g}" if resource == "cpu" else f"{value / 1024**2:.0f}Mi"
