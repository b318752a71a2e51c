"""A small healthy cluster, and ways to break it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from incident_pipeline.diagnosis.cluster_state import cluster_findings
from incident_pipeline.diagnosis.kubernetes.findings import Finding
from incident_pipeline.evidence.kubernetes_objects import kubernetes_object
from incident_pipeline.incident_folder.reading import incident_from
from incident_pipeline.models import (
    Alert,
    Envelope,
    Evidence,
    EvidenceKind,
    Gathered,
    KubernetesObject,
    LogEntry,
    MetricSeries,
    Service,
)

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
SPACE = "shop"
Body = dict[str, Any]
Break = Callable[[dict[tuple[str, str], Body]], None]


def at(minutes: float) -> str:
    """A moment relative to the alert."""
    return (NOW + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def node(name: str, **labels: str) -> Body:
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    room = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "spec": {},
        "status": {"conditions": [ready], "allocatable": room, "leaseRenewTime": at(-0.1)},
    }


def app(name: str, port: int, place: str = "node-a", **env: str) -> list[Body]:
    """A deployment of one ready pod with its service and endpoints."""
    labels = {"app": name}
    container = {
        "name": "server",
        "image": f"registry.example/{name}:v1",
        "ports": [{"containerPort": port, "protocol": "TCP"}],
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "livenessProbe": {"grpc": {"port": port}, "periodSeconds": 10, "initialDelaySeconds": 30},
        "readinessProbe": {"grpc": {"port": port}, "periodSeconds": 10, "initialDelaySeconds": 30},
    }
    spec = {"containers": [container], "serviceAccountName": "default"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    owner = {"kind": "ReplicaSet", "name": f"{name}-7d9f"}
    return [
        {
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": SPACE},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
            "status": {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1},
        },
        {
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{name}-7d9f",
                "namespace": SPACE,
                "ownerReferences": [{"kind": "Deployment", "name": name}],
            },
            "spec": {"replicas": 1},
        },
        {
            "kind": "Pod",
            "metadata": {"name": f"{name}-7d9f-x", "namespace": SPACE, "labels": labels, "ownerReferences": [owner]},
            "spec": {**copy.deepcopy(spec), "nodeName": place},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "server", "ready": True, "restartCount": 0, "state": {"running": {}}}],
            },
        },
        {
            "kind": "Service",
            "metadata": {"name": name, "namespace": SPACE},
            "spec": {"selector": labels, "ports": [{"port": port, "targetPort": port, "protocol": "TCP"}]},
        },
    ]


def cluster() -> dict[tuple[str, str], Body]:
    """Three apps on two nodes; the shop calls the cart, the cart its store."""
    bodies = [
        node("node-a"),
        node("node-b", disk="ssd"),
        *app("shop", 8080, CART_ADDR="cart:7070"),
        *app("cart", 7070, "node-b", STORE_ADDR="store:6379"),
        *app("store", 6379),
        {"kind": "ServiceAccount", "metadata": {"name": "default", "namespace": SPACE}},
    ]
    return {(body["kind"], body["metadata"]["name"]): body for body in bodies}


def event(body: Body, reason: str, message: str, minutes: float = -1, kind: str = "Warning") -> Body:
    """What the cluster says of an object."""
    involved = {"kind": body["kind"], "name": body["metadata"]["name"], "namespace": SPACE}
    name = f"{body['metadata']['name']}.{reason}{abs(hash(message)) % 10_000}"
    return {
        "kind": "Event",
        "metadata": {"name": name, "namespace": SPACE},
        "type": kind,
        "reason": reason,
        "message": message,
        "involvedObject": involved,
        "firstTimestamp": at(minutes),
        "lastTimestamp": at(minutes),
    }


def unready(pod: Body, **status: Any) -> None:
    """The pod is not ready; `status` is what its container says."""
    pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    pod["status"]["containerStatuses"][0] |= {"ready": False, **status}


def pending(pod: Body) -> None:
    """The pod has no node."""
    pod["spec"].pop("nodeName", None)
    condition = {"type": "PodScheduled", "status": "False"}
    pod["status"] = {"phase": "Pending", "conditions": [condition]}


def evidence_of(
    bodies: Iterable[Any],
    logs: Iterable[LogEntry] = (),
    metrics: Iterable[MetricSeries] = (),
    calls: tuple[tuple[str, tuple[str, ...]], ...] = (("shop", ("cart",)), ("cart", ("store",)), ("store", ())),
) -> Evidence:
    """The evidence that a cluster, logs, series and a catalogue make."""
    objects = tuple(kubernetes_object(body, captured_at=NOW) for body in bodies)
    services = tuple(Service(name=name, depends_on=called) for name, called in calls)
    return Evidence(
        kubernetes_state=Gathered[KubernetesObject](
            kind=EvidenceKind.KUBERNETES_STATE, envelopes=(Envelope[KubernetesObject].of("kubernetes", objects),)
        ),
        logs=Gathered[LogEntry](kind=EvidenceKind.LOGS, envelopes=(Envelope[LogEntry].of("logs", tuple(logs)),)),
        metrics=Gathered[MetricSeries](
            kind=EvidenceKind.METRICS, envelopes=(Envelope[MetricSeries].of("metrics", tuple(metrics)),)
        ),
        service_graph=Gathered[Service](
            kind=EvidenceKind.SERVICE_GRAPH, envelopes=(Envelope[Service].of("catalogue", services),)
        ),
    )


def alert(title: str = "Something is wrong", service: str | None = None) -> Alert:
    return Alert(source="custom", source_id=title, dedup_key=title, title=title, service=service, started_at=NOW)


def findings(
    bodies: Iterable[Any],
    logs: Iterable[LogEntry] = (),
    metrics: Iterable[MetricSeries] = (),
    alerts: tuple[Alert, ...] = (),
) -> list[Finding]:
    """What is found in a cluster."""
    return cluster_findings(incident_from(alerts or (alert(),)), evidence_of(bodies, logs, metrics))


def line(service: str, message: str, minutes: float = -1, level: str = "error") -> LogEntry:
    """One line of an app's log."""
    return LogEntry(timestamp=NOW + timedelta(minutes=minutes), service=service, level=level, message=message)
