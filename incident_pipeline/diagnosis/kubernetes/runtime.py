"""Containers that ended: memory, ports, crashes; and workloads that are switched off.

Belongs here: exit codes and what the last lines say. Does not belong here: probes (`probes.py`), databases and
addresses (`dependencies.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from incident_pipeline.diagnosis.kubernetes.cluster import App, Cluster, full_text, is_ready, name_of
from incident_pipeline.diagnosis.kubernetes.fields import Fields, fields_at, moment_at, number_at, rows_at, text_at
from incident_pipeline.diagnosis.kubernetes.findings import (
    CERTAIN,
    LIKELY,
    STRONG,
    WEAK,
    Edit,
    Finding,
    Repair,
    app_object,
)

_IN_USE = re.compile(
    r"address already in use|port \d+ (?:was|is) already in use|EADDRINUSE|bind.{0,40}in use|failed to bind", re.I
)
_NO_MEMORY = re.compile(r"OOM-?killed|out of memory|memory limit too low", re.I)
_PORT = re.compile(r"(?:port |:)(\d{2,5})\b")
_KILLED = 137
_SIGNALS = {137: "killed (SIGKILL)", 143: "asked to end (SIGTERM)", 139: "segmentation fault", 134: "aborted"}


def runtime(cluster: Cluster) -> list[Finding]:
    """Why containers end, and which workloads run nothing."""
    found: list[Finding] = []
    for app in cluster.apps:
        found += _switched_off(cluster, app)
        for pod in app.pods:
            found += _ended(cluster, app, pod)
    return found


def ended(cluster: Cluster, pod: Fields) -> list[tuple[Fields, Fields]]:
    """(status, termination) of containers of a pod that ended of late."""
    found = []
    for status in rows_at(pod, "status", "containerStatuses"):
        for state in ("state", "lastState"):
            termination = fields_at(status, state, "terminated")
            at = moment_at(termination, "finishedAt")
            if termination and (at is None or at >= cluster.since):
                found.append((status, termination))
                break
    return found


def _ended(cluster: Cluster, app: App, pod: Fields) -> Iterator[Finding]:
    told = [event for event in cluster.events_of("Pod", pod) if event.warning and _NO_MEMORY.search(event.message)]
    statuses = rows_at(pod, "status", "containerStatuses")
    if told and statuses:
        finding = _out_of_memory(app, pod, statuses[0], told[0].first)
        yield replace(finding, evidence=(*finding.evidence, f'Pod {name_of(pod)}: "{told[-1].message[:240]}"'))
        return
    for status, termination in ended(cluster, pod):
        reason, code = text_at(termination, "reason"), number_at(termination, "exitCode")
        since = moment_at(termination, "finishedAt")
        if reason == "OOMKilled":
            yield _out_of_memory(app, pod, status, since)
            continue
        conflict = _conflict(cluster, app, pod, status)
        if conflict is not None:
            yield conflict
        elif code == _KILLED and not is_ready(pod) and not _asked_to_end(cluster, pod):
            yield replace(_out_of_memory(app, pod, status, since), weight=LIKELY)
        elif not is_ready(pod) and code not in (0, None):
            yield _crash(cluster, app, pod, status, termination)


def _asked_to_end(cluster: Cluster, pod: Fields) -> bool:
    """Whether the kubelet itself ended the container: then SIGKILL is no sign of memory."""
    events = cluster.events_of("Pod", pod)
    return any("robe" in event.message or event.reason in {"Killing", "Unhealthy"} for event in events)


def _out_of_memory(app: App, pod: Fields, status: Fields, since: datetime | None) -> Finding:
    name = text_at(status, "name")
    place, container = _named(app, name)
    limit = fields_at(container, "resources", "limits").get("memory")
    repair = None
    if limit is not None and place is not None:
        path = ("spec", "template", "spec", "containers", place, "resources", "limits", "memory")
        repair = Repair(app.kind, app.name, app.namespace, (Edit(path, doubled(limit)),))
    restarts = number_at(status, "restartCount") or 0
    return Finding(
        "oom_killed",
        app_object(app.name),
        CERTAIN,
        f"{app.name} is killed at its memory limit",
        (f"Pod {name_of(pod)}, container {name}: killed for want of memory, limit {limit}, restarts {restarts}",),
        since=since,
        repair=repair,
    )


def doubled(amount: object) -> str:
    """Twice a quantity, in its own unit."""
    match = re.fullmatch(r"(\d{1,15})([A-Za-z]*)", str(amount))
    return f"{int(match[1]) * 2}{match[2]}" if match else str(amount)


def _conflict(cluster: Cluster, app: App, pod: Fields, status: Fields) -> Finding | None:
    containers = rows_at(pod, "spec", "containers") or app.containers
    lines = cluster.lines_with(app.name, _IN_USE)
    if len(containers) < 2 or not lines:
        return None
    port = next((match[1] for line in reversed(lines) if (match := _PORT.search(full_text(line)))), "")
    others = ", ".join(text_at(one, "name") for one in containers if text_at(one, "name") != text_at(status, "name"))
    return Finding(
        "service_sidecar_port_conflict",
        app_object(app.name),
        CERTAIN,
        f"Two containers of {app.name} want the same port{f' {port}' if port else ''}",
        (
            f'Container {text_at(status, "name")} of pod {name_of(pod)}: "{full_text(lines[-1])[:240]}"',
            f"beside it in the pod: {others}",
        ),
        since=lines[0].timestamp,
    )


def _crash(cluster: Cluster, app: App, pod: Fields, status: Fields, termination: Fields) -> Finding:
    code = number_at(termination, "exitCode")
    loud = [line for line in cluster.logs.get(app.name, ()) if line.level in {"error", "fatal"}]
    said = f'; it logs "{loud[-1].message[:200]}"' if loud else ""
    told = f" ({_SIGNALS[code]})" if code in _SIGNALS else ""
    restarts = number_at(status, "restartCount") or 0
    return Finding(
        "container_crash",
        app_object(app.name),
        LIKELY if restarts >= 2 else WEAK,
        f"{app.name} ends with exit code {code} again and again",
        (
            f"Pod {name_of(pod)}, container {text_at(status, 'name')}: exit code {code}{told}, "
            f"restarts {restarts}{said}",
        ),
        since=moment_at(termination, "finishedAt"),
    )


def _named(app: App, name: str) -> tuple[int | None, Fields]:
    found = ((place, one) for place, one in enumerate(app.containers) if text_at(one, "name") == name)
    return next(found, (None, {}))


def _switched_off(cluster: Cluster, app: App) -> Iterator[Finding]:
    if number_at(app.workload, "spec", "replicas") != 0 or app.kind == "DaemonSet":
        return
    siblings = [other for other in cluster.apps if other.namespace == app.namespace and other.name != app.name]
    running = [other for other in siblings if other.wanted]
    weight = STRONG if app.services and running else LIKELY
    scaled = cluster.events_of(app.kind, app.workload, "ScalingReplicaSet")
    told = [f'{app.kind} {app.name}: "{event.message[:200]}"' for event in scaled if "to 0" in event.message]
    edit = Edit(("spec", "replicas"), 1)
    yield Finding(
        "deployment_zero_replicas",
        app_object(app.name),
        weight + 0.08 if told else weight,
        f"{app.name} is scaled to zero",
        (f"{app.kind} {app.name}: spec.replicas 0, {len(running)} of its siblings run", *told),
        since=next((event.last for event in reversed(scaled) if "to 0" in event.message), None),
        repair=Repair(app.kind, app.name, app.namespace, (edit,)),
    )
