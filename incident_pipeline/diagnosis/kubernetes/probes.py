"""Probes that fail although the container is well: wrong port, wrong protocol, too little time.

Belongs here: liveness and readiness against what the container listens on, and against each other.
Does not belong here: containers that are down by themselves (`runtime.py`).

Method: the two probes of a container usually ask the same thing, and a probe that passes shows what is right. A probe's
port is wrong where neither the container nor its service knows it; its protocol where the port is right and the other
probe speaks another; its timing where both are right (https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from incident_pipeline.diagnosis.kubernetes.cluster import App, Cluster, is_ready, name_of
from incident_pipeline.diagnosis.kubernetes.fields import Fields, fields_at, number_at, rows_at, text_at
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

_FAILED = re.compile(r"^(Liveness|Readiness) probe (?:failed|errored)", re.I)
_KILLED = re.compile(r"failed liveness probe", re.I)
_FOREIGN = re.compile(
    r"malformed HTTP (?:response|status)|server gave HTTP response|not a TLS|first record does not look like a TLS|"
    r"statuscode: (?:404|405|415|501|505)|error reading server preface|unexpected (?:EOF|HTTP)|"
    r'HTTP/1\.x transport connection broken|"\\x00|EOF$|Unimplemented|unknown service|'
    r"does not implement the grpc health",
    re.I,
)
_FIELDS = {"liveness": "livenessProbe", "readiness": "readinessProbe"}
_WAYS = ("httpGet", "grpc", "tcpSocket", "exec")


@dataclass(frozen=True)
class Probe:
    """One probe of one container."""

    way: str
    """httpGet, grpc, tcpSocket or exec."""
    port: int | None
    scheme: str
    delay: int
    period: int
    timeout: int
    failures: int


@dataclass(frozen=True)
class Failing:
    """A probe that failed of late, and what was said of it."""

    app: App
    pod: Fields
    container: Fields
    place: int
    kind: str
    """liveness or readiness."""
    messages: tuple[str, ...]
    since: datetime | None
    count: int


def probes(cluster: Cluster) -> list[Finding]:
    """Probes that do not ask what the container answers."""
    return [finding for failing in _failing(cluster) if (finding := _judged(failing)) is not None]


def probe_of(container: Fields, kind: str) -> Probe | None:
    """The container's liveness or readiness probe; None where it has none."""
    body = fields_at(container, _FIELDS[kind])
    way = next((way for way in _WAYS if way in body), None)
    if way is None:
        return None
    port = fields_at(body, way).get("port")
    return Probe(
        way=way,
        port=_number_of(port, container),
        scheme=text_at(body, way, "scheme") or "HTTP",
        delay=number_at(body, "initialDelaySeconds") or 0,
        period=number_at(body, "periodSeconds") or 10,
        timeout=number_at(body, "timeoutSeconds") or 1,
        failures=number_at(body, "failureThreshold") or 3,
    )


def _number_of(port: object, container: Fields) -> int | None:
    if isinstance(port, str) and not port.isdigit():
        named = (one for one in rows_at(container, "ports") if text_at(one, "name") == port)
        return next((number_at(one, "containerPort") for one in named), None)
    return number_at({"port": port}, "port")


def _failing(cluster: Cluster) -> Iterator[Failing]:
    for app in cluster.apps:
        for pod in app.pods:
            events = cluster.events_of("Pod", pod)
            for kind in _FIELDS:
                own = [e for e in events if (m := _FAILED.search(e.message)) and m[1].lower() == kind]
                killed = [e for e in events if kind == "liveness" and _KILLED.search(e.message)]
                if not own and not killed:
                    continue
                container, place = _container_of(app, pod, kind, [*own, *killed])
                if container is None:
                    continue
                since = min((e.first for e in (*own, *killed) if e.first), default=None)
                count = max((e.count for e in (*own, *killed)), default=1)
                yield Failing(app, pod, container, place, kind, tuple(e.message for e in own), since, count)


def _container_of(app: App, pod: Fields, kind: str, events: list[object]) -> tuple[Fields | None, int]:
    """The container whose probe it is: the one that the messages fit, else the first that has such a probe."""
    # a service mesh rewrites the probes of pods to ask its own proxy: the template says what was meant
    containers = app.containers or rows_at(pod, "spec", "containers")
    having = [(c, i) for i, c in enumerate(containers) if _FIELDS[kind] in c]
    text = " ".join(str(getattr(event, "message", "")) for event in events)
    for container, place in having:
        probe = probe_of(container, kind)
        if probe is not None and probe.port is not None and f":{probe.port}" in text:
            return container, place
    return having[0] if having else (None, 0)


def _judged(failing: Failing) -> Finding | None:
    probe = probe_of(failing.container, failing.kind)
    if probe is None or probe.way == "exec" or not _matters(failing):
        return None
    other = probe_of(failing.container, "readiness" if failing.kind == "liveness" else "liveness")
    listens = _listening(failing)
    if listens and probe.port not in listens:
        return _finding(failing, probe, other, "incorrect_port", CERTAIN)
    foreign = any(_FOREIGN.search(message) for message in failing.messages)
    disagree = other is not None and other.way != probe.way and other.port == probe.port
    if foreign or disagree:
        return _finding(failing, probe, other, "incorrect_protocol", CERTAIN if disagree else STRONG)
    if failing.kind == "liveness" and _restarted(failing):
        return _finding(failing, probe, other, "incorrect_timing", _hurry(probe, other))
    return None


def _matters(failing: Failing) -> bool:
    """Whether it still goes on, or has restarted the container: a failure while starting up is nothing."""
    return not is_ready(failing.pod) or _restarted(failing)


def _restarted(failing: Failing) -> bool:
    name = text_at(failing.container, "name")
    statuses = rows_at(failing.pod, "status", "containerStatuses")
    return any(text_at(s, "name") == name and (number_at(s, "restartCount") or 0) > 0 for s in statuses)


def _listening(failing: Failing) -> set[int | None]:
    """The ports that the container declares, and those that its services send to."""
    declared = {number_at(port, "containerPort") for port in rows_at(failing.container, "ports")}
    return declared - {None}


def _hurry(probe: Probe, other: Probe | None) -> float:
    """How sure it is that the probe is too impatient: less than half a minute until it gives up."""
    patience = probe.delay + probe.period * probe.failures
    if other is not None and (other.delay, other.period, other.failures) != (probe.delay, probe.period, probe.failures):
        stricter = patience < other.delay + other.period * other.failures
        return STRONG if stricter else LIKELY
    return LIKELY if patience < 30 or probe.failures == 1 else WEAK


def _finding(failing: Failing, probe: Probe, other: Probe | None, fault: str, weight: float) -> Finding:
    app, kind = failing.app, failing.kind
    shown = f"Pod {name_of(failing.pod)}: {_FIELDS[kind]} {_told(probe)}"
    compared = f", the other probe {_told(other)}" if other is not None else ""
    ports = ", ".join(str(number_at(port, "containerPort")) for port in rows_at(failing.container, "ports"))
    message = failing.messages[-1] if failing.messages else "killed by its liveness probe"
    return Finding(
        f"{kind}_probe_{fault}",
        app_object(app.name),
        weight,
        f"The {kind} probe of {app.name} {_WORDS[fault]}",
        (
            f"{shown}{compared}; container ports {ports or 'not declared'}",
            f'Pod {name_of(failing.pod)}: "{message[:240]}" ({failing.count} times)',
        ),
        since=failing.since,
        repair=_repair(failing, probe, other, fault),
    )


_WORDS = {
    "incorrect_port": "asks a port where nothing listens",
    "incorrect_protocol": "speaks another protocol than the container",
    "incorrect_timing": "gives the container too little time",
}


def _told(probe: Probe) -> str:
    timing = f"delay {probe.delay}s, every {probe.period}s, timeout {probe.timeout}s, {probe.failures} failures"
    return f"{probe.way} on port {probe.port} ({timing})"


def _repair(failing: Failing, probe: Probe, other: Probe | None, fault: str) -> Repair | None:
    field = _FIELDS[failing.kind]
    path = ("spec", "template", "spec", "containers", failing.place, field)
    edits: tuple[Edit, ...] = ()
    if fault == "incorrect_port":
        right = min((port for port in _listening(failing) if port is not None), default=None)
        wanted = other.port if other is not None and other.port in _listening(failing) else right
        edits = (Edit((*path, probe.way, "port"), wanted),)
    elif fault == "incorrect_protocol" and other is not None and other.way != probe.way:
        theirs = "readinessProbe" if failing.kind == "liveness" else "livenessProbe"
        way = fields_at(failing.container, theirs, other.way)
        edits = (Edit((*path, probe.way), None), Edit((*path, other.way), dict(way)))
    elif fault == "incorrect_timing":
        wanted_delay = max(30, (other.delay if other else 0), probe.delay * 2)
        edits = (Edit((*path, "initialDelaySeconds"), wanted_delay), Edit((*path, "failureThreshold"), 5))
    return Repair(failing.app.kind, failing.app.name, failing.app.namespace, edits) if edits else None
