"""The cluster that the made-up services run in, with nothing wrong: two pods each, on three nodes.

Belongs here: objects as `kubectl get -o json` gives them. Does not belong here: what happens in an incident.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

NAMESPACE = "shop"
NODES = ("node-a", "node-b", "node-c")
PORT = 8080
Body = dict[str, Any]


def healthy_cluster(services: Sequence[Mapping[str, Any]], versions: Mapping[str, str], at: datetime) -> Body:
    """The content of kubernetes.json: every service as a deployment of two ready pods."""
    items = [_node(name, at) for name in NODES]
    for number, service in enumerate(services):
        items += _app(str(service["name"]), versions.get(str(service["name"]), "v1.0.0"), number)
    return {"captured_at": _stamp(at), "items": items}


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _node(name: str, at: datetime) -> Body:
    heartbeat = _stamp(at - timedelta(seconds=20))
    conditions = [
        {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory"},
        {"type": "DiskPressure", "status": "False", "reason": "KubeletHasNoDiskPressure"},
        {"type": "PIDPressure", "status": "False", "reason": "KubeletHasSufficientPID"},
        {"type": "Ready", "status": "True", "reason": "KubeletReady"},
    ]
    capacity = {"cpu": "8", "memory": "32Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {
            "conditions": [{**one, "lastHeartbeatTime": heartbeat} for one in conditions],
            "capacity": capacity,
            "allocatable": capacity,
        },
    }


def _app(name: str, version: str, number: int) -> list[Body]:
    hashed = hashlib.sha256(name.encode()).hexdigest()
    labels = {"app": name}
    container = {
        "name": name,
        "image": f"registry.example/shop/{name}:{version}",
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": PORT}},
        "resources": {"requests": {"cpu": "200m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": {"deployment.kubernetes.io/revision": "4"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
        "status": {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": PORT, "protocol": "TCP"}]},
    }
    addresses = [{"ip": f"10.1.{place}.{number + 10}"} for place in range(2)]
    endpoints = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "subsets": [{"addresses": addresses, "ports": [{"port": PORT, "protocol": "TCP"}]}],
    }
    pods = [
        _pod(name, f"{hashed[:9]}-{hashed[9 + place * 5 : 14 + place * 5]}", container, place) for place in range(2)
    ]
    return [deployment, service, endpoints, *pods]


def _pod(name: str, suffix: str, container: Body, place: int) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{name}-{suffix}", "namespace": NAMESPACE, "labels": {"app": name}},
        "spec": {"nodeName": NODES[place], "containers": [container]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": name, "ready": True, "restartCount": 0, "state": {"running": {}}}],
        },
    }
