"""What a node offers and what a pod asks of it: labels, taints, room.

Belongs here: the scheduler's questions, answered from the objects. Does not belong here: which answer is the cause.
"""

from __future__ import annotations

from collections.abc import Sequence

from incident_pipeline.diagnosis.kubernetes.cluster import Cluster, name_of
from incident_pipeline.diagnosis.kubernetes.fields import (
    Fields,
    expressions_match,
    fields_at,
    quantity,
    rows_at,
    text_at,
)

_CONTROL_PLANE = (
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
)
_BY_THE_CLUSTER = "node.kubernetes.io/"
"""Taints that the cluster itself sets: they say how the node is, not what it is for."""


def labels_of(node: Fields) -> Fields:
    """The node's labels, its host name among them."""
    return {"kubernetes.io/hostname": name_of(node), **fields_at(node, "metadata", "labels")}


def is_control_plane(node: Fields) -> bool:
    """Whether ordinary pods are not meant to run there."""
    labels = labels_of(node)
    role = text_at(node, "metadata", "labels", "kubernetes.io/role")
    return any(key in labels for key in _CONTROL_PLANE) or role in {"master", "control-plane"}


def meets_selector(spec: Fields, node: Fields) -> bool:
    """Whether the node has every label of the pod's `nodeSelector`."""
    labels = labels_of(node)
    return all(labels.get(key) == value for key, value in fields_at(spec, "nodeSelector").items())


def affinity_terms(spec: Fields) -> list[Fields]:
    """The terms of the pod's required node affinity; one of them has to match."""
    required = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
    return rows_at(spec, *required)


def meets_affinity(spec: Fields, node: Fields) -> bool:
    """Whether the node meets the pod's required node affinity."""
    terms = affinity_terms(spec)
    labels = labels_of(node)
    own_fields = {"metadata.name": name_of(node)}
    return not terms or any(
        expressions_match(rows_at(term, "matchExpressions"), labels)
        and expressions_match(rows_at(term, "matchFields"), own_fields)
        for term in terms
    )


def is_cordoned(node: Fields) -> bool:
    """Whether the node takes no new pods by decree."""
    return fields_at(node, "spec").get("unschedulable") is True


def untolerated(spec: Fields, node: Fields) -> list[Fields]:
    """The node's taints, other than those that the cluster sets itself, that keep the pod away."""
    tolerations = rows_at(spec, "tolerations")
    return [
        taint
        for taint in rows_at(node, "spec", "taints")
        if text_at(taint, "effect") in {"NoSchedule", "NoExecute"}
        and not text_at(taint, "key").startswith(_BY_THE_CLUSTER)
        and not any(_tolerates(one, taint) for one in tolerations)
    ]


def _tolerates(toleration: Fields, taint: Fields) -> bool:
    effect, key = toleration.get("effect"), toleration.get("key")
    if effect and effect != taint.get("effect"):
        return False
    if not key:
        return toleration.get("operator") == "Exists"
    if key != taint.get("key"):
        return False
    exists = toleration.get("operator") == "Exists"
    return exists or (toleration.get("value") or "") == (taint.get("value") or "")


def requested(spec: Fields, resource: str) -> float:
    """What the pod's containers ask for in all; an init container counts where it asks for more."""
    running = sum(_request(one, resource) for one in rows_at(spec, "containers"))
    before = max((_request(one, resource) for one in rows_at(spec, "initContainers")), default=0.0)
    return max(running, before)


def _request(container: Fields, resource: str) -> float:
    asked = fields_at(container, "resources", "requests").get(resource)
    limit = fields_at(container, "resources", "limits").get(resource)
    return quantity(asked if asked is not None else limit) or 0.0


def free(cluster: Cluster, node: Fields, resource: str) -> float | None:
    """What the node has left to promise; None where it does not say how much it has."""
    total = quantity(fields_at(node, "status", "allocatable").get(resource))
    if total is None:
        return None
    told = quantity(fields_at(node, "status", "allocatedResources", resource).get("requests"))
    if told is None:
        pods: Sequence[Fields] = cluster.bodies("Pod")
        own = (fields_at(pod, "spec") for pod in pods if text_at(pod, "spec", "nodeName") == name_of(node))
        told = sum(requested(spec, resource) for spec in own)
    return total - told
