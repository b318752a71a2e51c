"""Rollouts of a cluster as deployments: each revision of a workload, with what ran before it.

Belongs here: from replica sets to `Deployment` rows. Does not belong here: asking for them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from incident_pipeline.models import Deployment, KubernetesObject, Window
from incident_pipeline.moments import parse_moment

REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"


def rollouts(objects: Iterable[KubernetesObject], window: Window, source: str) -> list[Deployment]:
    """The rollouts that began within the window, newest first; their images are in the attributes."""
    sets: dict[tuple[str, str], list[KubernetesObject]] = defaultdict(list)
    workloads: dict[tuple[str, str], KubernetesObject] = {}
    for one in objects:
        if one.kind == "ReplicaSet":
            sets[one.namespace or "", _owner(one)].append(one)
        elif one.kind == "Deployment":
            workloads[one.namespace or "", one.name] = one
    found = []
    for (namespace, name), own in sets.items():
        ordered = sorted(own, key=_revision)
        for before, now in zip([None, *ordered], ordered, strict=False):
            row = _rollout(name, namespace, now, before, workloads.get((namespace, name)), source)
            if row is not None and row.started_at is not None and window.start <= row.started_at < window.end:
                found.append(row)
    return sorted(found, key=lambda row: (row.started_at is not None, row.started_at, row.id), reverse=True)


def _rollout(
    name: str,
    namespace: str,
    now: KubernetesObject,
    before: KubernetesObject | None,
    workload: KubernetesObject | None,
    source: str,
) -> Deployment | None:
    images, earlier = _images(now), _images(before) if before is not None else {}
    created = _created(now)
    if not name or created is None:
        return None
    annotations = _at(now.body, "metadata", "annotations")
    cause = annotations.get(CHANGE_CAUSE) if isinstance(annotations, Mapping) else None
    return Deployment(
        id=f"{namespace}/{name}:{_revision(now)}",
        service=name,
        environment=namespace or None,
        version=_version(images),
        previous_version=_version(earlier),
        status=_status(now, workload),
        strategy=_strategy(workload),
        started_at=created,
        source=source,
        attributes={
            "revision": _revision(now),
            "images": images,
            "previous_images": earlier,
            **({"change_cause": cause[:500]} if isinstance(cause, str) else {}),
        },
    )


def _created(one: KubernetesObject) -> datetime | None:
    """When it was made; None where it says no moment."""
    text = _at(one.body, "metadata", "creationTimestamp")
    try:
        return parse_moment(text) if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None


def _version(images: Mapping[str, str]) -> str | None:
    """The tag of the first image, or the whole where it has none."""
    image = next(iter(images.values()), None)
    if image is None:
        return None
    last = image.rpartition("/")[2]
    return last.partition("@")[0].partition(":")[2] or last.partition("@")[2][:19] or image


def _images(one: KubernetesObject) -> dict[str, str]:
    containers = _at(one.body, "spec", "template", "spec", "containers")
    rows = containers if isinstance(containers, list) else []
    return {str(c.get("name")): str(c.get("image")) for c in rows if isinstance(c, Mapping) and c.get("image")}


def _status(now: KubernetesObject, workload: KubernetesObject | None) -> str:
    """Whether it is the one that runs, and whether it has come through."""
    wanted, ready = _at(now.body, "spec", "replicas"), _at(now.body, "status", "readyReplicas")
    if not wanted:
        return "superseded"
    conditions = _at(workload.body, "status", "conditions") if workload is not None else None
    failed = any(
        isinstance(one, Mapping) and one.get("reason") == "ProgressDeadlineExceeded" for one in conditions or ()
    )
    if failed:
        return "failed"
    return "success" if isinstance(ready, int) and isinstance(wanted, int) and ready >= wanted else "in_progress"


def _strategy(workload: KubernetesObject | None) -> str | None:
    kind = _at(workload.body, "spec", "strategy", "type") if workload is not None else None
    return kind if isinstance(kind, str) else None


def _owner(one: KubernetesObject) -> str:
    owners = _at(one.body, "metadata", "ownerReferences")
    names = [o.get("name") for o in owners if isinstance(o, Mapping)] if isinstance(owners, list) else []
    return str(names[0]) if names else one.name.rpartition("-")[0]


def _revision(one: KubernetesObject) -> int:
    annotations = _at(one.body, "metadata", "annotations")
    text = annotations.get(REVISION) if isinstance(annotations, Mapping) else None
    return int(text) if isinstance(text, str) and text.isdigit() and len(text) < 10 else 0


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
