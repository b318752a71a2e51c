"""Services that lead nowhere: selectors, ports, protocols, gateways, policies.

Belongs here: a service against the pods that it should reach. Does not belong here: callers' addresses
(`dependencies.py`), pods that are not ready for another reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from incident_pipeline.diagnosis.kubernetes.cluster import App, Cluster, full_text, name_of, namespace_of
from incident_pipeline.diagnosis.kubernetes.fields import (
    Fields,
    fields_at,
    label_selector_matches,
    moment_at,
    number_at,
    rows_at,
    selects,
    text_at,
)
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

_PATH = re.compile(r"\b(?:GET|POST|PUT|DELETE|PATCH)\s+(?:https?://[^/\s]+)?(/[\w./{}\-]+)")
_ACCESS = re.compile(r'"(?:GET|POST|PUT|DELETE|PATCH) (/[^\s"?]+)[^"]*" 40[45]\b')
_LOST = re.compile(r"\b(?:404|405|500|502|503)\b")


def routing(cluster: Cluster) -> list[Finding]:
    """Services that do not reach the pods that they are for."""
    found: list[Finding] = []
    for service in cluster.bodies("Service"):
        app = cluster.app_of_service(service)
        if app is not None and text_at(service, "spec", "type") != "ExternalName":
            found += _of_service(cluster, service, app)
    found += _missing(cluster)
    found += _gateways(cluster)
    return [*found, *_policies(cluster)]


def _of_service(cluster: Cluster, service: Fields, app: App) -> Iterator[Finding]:
    selector = fields_at(service, "spec", "selector")
    if not selector:
        return
    if not selects(selector, app.labels):
        reached = any(selects(selector, fields_at(pod, "metadata", "labels")) for pod in cluster.bodies("Pod"))
        if app.pods and not reached:
            yield _selector(service, app, selector)
        return
    for place, port in enumerate(rows_at(service, "spec", "ports")):
        finding = _port(cluster, service, app, place, port)
        if finding is not None:
            yield finding


def _selector(service: Fields, app: App, selector: Fields) -> Finding:
    wrong = {key: value for key, value in selector.items() if app.labels.get(key) != value}
    edits = tuple(Edit(("spec", "selector", key), app.labels.get(key)) for key in sorted(wrong))
    has = {key: app.labels.get(key) for key in wrong}
    return Finding(
        "service_selector_mismatch",
        app_object(app.name),
        CERTAIN,
        f"The service {name_of(service)} selects no pod",
        (
            f"Service {name_of(service)}: selector {_pairs(wrong)}; the pods of {app.name} have {_pairs(has)}",
            f"Endpoints {name_of(service)}: none, although {len(app.pods)} pods of {app.name} run",
        ),
        repair=Repair("Service", name_of(service), namespace_of(service), edits),
    )


def _pairs(fields: Fields) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(fields.items()))[:200]


def _port(cluster: Cluster, service: Fields, app: App, place: int, port: Fields) -> Finding | None:
    declared = [one for container in app.containers for one in rows_at(container, "ports")]
    sidecars = {
        number_at(one, "containerPort")
        for pod in app.pods
        for container in rows_at(pod, "spec", "containers")
        for one in rows_at(container, "ports")
    }
    numbers = {number_at(one, "containerPort") for one in declared}
    target = port.get("targetPort", port.get("port"))
    protocol = text_at(port, "protocol") or "TCP"
    if not declared:
        return None
    at_port = [one for one in declared if target in (one.get("containerPort"), one.get("name"))]
    if isinstance(target, str) and not target.isdigit():
        unnamed = not any(text_at(one, "name") for one in declared)
        if at_port or unnamed:
            return _protocol(service, app, place, port, at_port or declared, protocol)
        return _mapping(cluster, service, app, place, port, declared)
    if number_at({"port": target}, "port") in numbers | sidecars:
        return _protocol(service, app, place, port, at_port or declared, protocol)
    return _mapping(cluster, service, app, place, port, declared)


def _protocol(
    service: Fields, app: App, place: int, port: Fields, declared: Sequence[Fields], protocol: str
) -> Finding | None:
    theirs = {text_at(one, "protocol") or "TCP" for one in declared}
    if protocol in theirs:
        return None
    right = sorted(theirs)[0]
    return Finding(
        "service_protocol_mismatch",
        app_object(app.name),
        CERTAIN,
        f"The service {name_of(service)} speaks {protocol}, the pods behind it {right}",
        (f"Service {name_of(service)}: port {port.get('port')} protocol {protocol}; container port {right}",),
        repair=Repair(
            "Service", name_of(service), namespace_of(service), (Edit(("spec", "ports", place, "protocol"), right),)
        ),
    )


def _mapping(
    cluster: Cluster, service: Fields, app: App, place: int, port: Fields, declared: Sequence[Fields]
) -> Finding:
    numbers = [number_at(one, "containerPort") for one in declared]
    closed = [
        series
        for series in cluster.metrics
        if series.service == app.name and "tcp" in series.name and series.values and series.values[-1] == 0
    ]
    right = next((n for n in numbers if n == port.get("port")), numbers[0])
    return Finding(
        "service_port_mapping_mismatch",
        app_object(app.name),
        CERTAIN if len(cluster.apps) else STRONG,
        f"The service {name_of(service)} sends to a port where its pods do not listen",
        (
            f"Service {name_of(service)}: port {port.get('port')} targetPort {port.get('targetPort')}; "
            f"container ports {', '.join(map(str, numbers))}",
            *(f"{series.key} of {app.name}: 0" for series in closed[:1]),
        ),
        repair=Repair(
            "Service", name_of(service), namespace_of(service), (Edit(("spec", "ports", place, "targetPort"), right),)
        ),
    )


def _missing(cluster: Cluster) -> Iterator[Finding]:
    """Workloads that listen, that somebody calls by name, and that no service leads to."""
    if not cluster.knows("Service"):
        return
    for app in cluster.apps:
        if app.services or app.kind != "Deployment" or not any(c.get("ports") for c in app.containers):
            continue
        callers = [name for name, called in cluster.calls.items() if app.name in called]
        asked = [n for n in callers if any(_unresolved(app.name, full_text(e)) for e in cluster.logs.get(n, ()))]
        if asked:
            yield Finding(
                "service_missing",
                app_object(app.name),
                STRONG,
                f"There is no service that leads to {app.name}",
                (
                    f"{app.kind} {app.name}: no Service selects it; called by {', '.join(sorted(callers)[:3])}",
                    *(f"{name} cannot resolve {app.name}" for name in asked[:2]),
                ),
            )


def _unresolved(name: str, text: str) -> bool:
    return name in text and ("no such host" in text or "UnknownHost" in text or "name resolution" in text)


# --- gateways -----------------------------------------------------------------------------------


def _gateways(cluster: Cluster) -> Iterator[Finding]:
    """Paths that fail while every pod is well: the gateway sends them to a service that does not know them."""
    paths: Counter[str] = Counter()
    shown: dict[str, str] = {}
    for alert in cluster.alerts:
        match = _PATH.search(alert.title)
        if match and _LOST.search(alert.title):
            app = _app_of_path(cluster, match[1])
            if app is not None:
                weight = 3 if re.search(r"\b40[45]\b", alert.title) else 1
                paths[app.name] += weight
                shown.setdefault(app.name, alert.title[:200])
    for service in cluster.logs:
        for line in cluster.lines_with(service, _ACCESS)[-200:]:
            match = _ACCESS.search(line.message)
            app = _app_of_path(cluster, match[1]) if match else None
            if app is not None and app.name != service:
                paths[app.name] += 3
                shown.setdefault(app.name, f'{service} logs "{line.message[:160]}"')
    for name, votes in paths.most_common(3):
        app = cluster.app(name)
        if app is None or app.ready < max(app.wanted, 1):
            continue
        yield Finding(
            "gateway_misroute",
            app_object(name),
            LIKELY if votes >= 3 else WEAK,
            f"Requests for {name} do not arrive there: the gateway sends its path elsewhere",
            (shown[name], f"all {app.ready} pods of {name} are ready, and its service has endpoints"),
            cannot_explain="trouble of apps whose path is another",
        )


def _app_of_path(cluster: Cluster, path: str) -> App | None:
    """The app whose name, without separators, is a segment of the path."""
    segments = [_bare(segment) for segment in path.split("/")[:6] if len(segment) > 4]
    best: tuple[int, App] | None = None
    for app in cluster.apps:
        own = _bare(app.name)
        for segment in segments:
            fits = len(segment) >= 6 and (own.endswith(segment) or _stem(own).endswith(_stem(segment)))
            if fits and (best is None or abs(len(own) - len(segment)) < best[0]):
                best = (abs(len(own) - len(segment)), app)
    return best[1] if best else None


def _bare(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _stem(text: str) -> str:
    return re.sub(r"s?service$", "", text)


# --- policies -----------------------------------------------------------------------------------


def _policies(cluster: Cluster) -> Iterator[Finding]:
    """Network policies that let nobody in, made of late: an old one has been lived with."""
    for policy in cluster.bodies("NetworkPolicy"):
        made = moment_at(policy, "metadata", "creationTimestamp")
        if made is None or made < cluster.since or rows_at(policy, "spec", "ingress"):
            continue
        selector = fields_at(policy, "spec", "podSelector")
        for app in cluster.apps:
            if app.namespace == namespace_of(policy) and selector and label_selector_matches(selector, app.labels):
                yield Finding(
                    "network_policy_blocks",
                    app_object(app.name),
                    LIKELY,
                    f"The network policy {name_of(policy)} lets nobody reach {app.name}",
                    (f"NetworkPolicy {name_of(policy)}: selects {app.name}, allows no ingress",),
                    since=made,
                )
