"""What is kept of the objects that a cluster answers: enough to understand it, little enough for 10,000 pods.

Belongs here: leaving fields out, and what follows from the objects alone. Does not belong here: asking for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from incident_pipeline.models import KubernetesObject

WHOLE = 3
"""Healthy pods of one owner that are kept whole; of the others only what tells them apart."""
MAX_CONFIG_MAPS = 20
_POD_STATUS = ("phase", "reason", "message", "conditions", "podIP", "hostIP", "startTime", "containerStatuses")
_TEMPLATE_FREE = ("terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy")

Fields = Mapping[str, Any]


class Slimmer:
    """Leaves out what nobody reads; remembers how many healthy pods of each owner it has seen."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[Any, Any]] = Counter()

    def slim(self, kind: str, item: Any) -> dict[str, Any] | None:
        """The object as it is kept, with its kind; None where it is no object."""
        if not isinstance(item, Mapping):
            return None
        if kind == "Pod":
            return self._pod(item)
        if kind == "ReplicaSet":
            return _replica_set(item)
        return {**item, "kind": kind}

    def _pod(self, item: Fields) -> dict[str, Any]:
        metadata, spec, status = (_fields(item, name) for name in ("metadata", "spec", "status"))
        listed = metadata.get("ownerReferences")
        owners = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
        owner = owners[0].get("name") if owners else None
        about = _only(metadata, "name", "namespace", "labels", "creationTimestamp", "deletionTimestamp")
        about["ownerReferences"] = [_only(one, "kind", "name") for one in owners[:1]]
        kept = {"kind": "Pod", "metadata": about}
        if _is_well(status):
            key = (metadata.get("namespace"), owner)
            self._seen[key] += 1
            if owner and self._seen[key] > WHOLE:
                ready = [{"type": "Ready", "status": "True"}]
                spec = _only(spec, "nodeName")
                return {**kept, "spec": spec, "status": {"phase": "Running", "conditions": ready}}
        slim_spec = {
            key: value for key, value in spec.items() if key not in {"priorityClassName", "enableServiceLinks"}
        }
        containers = spec.get("containers")
        if isinstance(containers, list):
            slim_spec["containers"] = [_container(one) for one in containers if isinstance(one, Mapping)]
        return {**kept, "spec": slim_spec, "status": _only(status, *_POD_STATUS, "initContainerStatuses")}


def _replica_set(item: Fields) -> dict[str, Any]:
    """Of a replica set its owner, revision, images and counts: a large cluster has thousands of old ones."""
    metadata, spec = _fields(item, "metadata"), _fields(item, "spec")
    containers = _fields(_fields(spec, "template"), "spec").get("containers")
    rows = containers if isinstance(containers, list) else []
    images = [_only(one, "name", "image") for one in rows if isinstance(one, Mapping)]
    return {
        "kind": "ReplicaSet",
        "metadata": _only(
            metadata, "name", "namespace", "labels", "annotations", "ownerReferences", "creationTimestamp"
        ),
        "spec": {**_only(spec, "replicas", "selector"), "template": {"spec": {"containers": images}}},
        "status": _only(_fields(item, "status"), "replicas", "readyReplicas", "conditions"),
    }


def with_leases(objects: Sequence[KubernetesObject]) -> list[KubernetesObject]:
    """The nodes with the time of their lease in their status, and no leases."""
    renewed = {
        one.name: time
        for one in objects
        if one.kind == "Lease" and isinstance(time := _fields(one.body, "spec").get("renewTime"), str)
    }
    kept = []
    for one in objects:
        if one.kind == "Node" and one.name in renewed:
            status = {**_fields(one.body, "status"), "leaseRenewTime": renewed[one.name]}
            one = one.model_copy(update={"body": {**one.body, "status": status}})
        if one.kind != "Lease":
            kept.append(one)
    return kept


def config_maps_read(objects: Sequence[KubernetesObject]) -> list[tuple[str, str]]:
    """(namespace, name) of the config maps that pods with trouble mount or read."""
    found: dict[tuple[str, str], None] = {}
    for one in objects:
        if one.kind != "Pod" or _is_well(_fields(one.body, "status")):
            continue
        spec = _fields(one.body, "spec")
        for name in [*_mounted(spec), *_in_environment(spec)]:
            found[one.namespace or "default", name] = None
    return list(found)[:MAX_CONFIG_MAPS]


def ended_containers(objects: Sequence[KubernetesObject]) -> list[tuple[KubernetesObject, str, dict[str, Any]]]:
    """(pod, container, its last termination) of pods that are not well, so that its last lines can be asked for."""
    found = []
    for one in objects:
        status = _fields(one.body, "status")
        if one.kind != "Pod" or _is_well(status):
            continue
        rows = status.get("containerStatuses")
        for row in rows if isinstance(rows, list) else []:
            termination = row.get("lastState", {}).get("terminated") if isinstance(row, Mapping) else None
            if isinstance(termination, dict) and isinstance(row.get("name"), str):
                found.append((one, row["name"], termination))
    return found


def _mounted(spec: Fields) -> list[str]:
    volumes = spec.get("volumes")
    rows = volumes if isinstance(volumes, list) else []
    return [name for row in rows if isinstance(name := _fields(row, "configMap").get("name"), str)]


def _in_environment(spec: Fields) -> list[str]:
    found: list[str] = []
    containers = spec.get("containers")
    for container in containers if isinstance(containers, list) else []:
        for key in ("envFrom", "env"):
            rows = container.get(key) if isinstance(container, Mapping) else None
            for row in rows if isinstance(rows, list) else []:
                place = _fields(row, "configMapRef") or _fields(_fields(row, "valueFrom"), "configMapKeyRef")
                if isinstance(place.get("name"), str):
                    found.append(place["name"])
    return found


def _is_well(status: Fields) -> bool:
    conditions = status.get("conditions")
    ready = any(
        isinstance(one, Mapping) and one.get("type") == "Ready" and one.get("status") == "True"
        for one in (conditions if isinstance(conditions, list) else [])
    )
    statuses = status.get("containerStatuses")
    restarted = any(
        isinstance(one, Mapping) and one.get("lastState") for one in (statuses if isinstance(statuses, list) else [])
    )
    return status.get("phase") == "Running" and ready and not restarted


def _container(one: Fields) -> dict[str, Any]:
    return {key: value for key, value in one.items() if key not in _TEMPLATE_FREE}


def _fields(value: Any, name: str) -> Fields:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _only(value: Fields, *names: str) -> dict[str, Any]:
    return {name: value[name] for name in names if name in value}
