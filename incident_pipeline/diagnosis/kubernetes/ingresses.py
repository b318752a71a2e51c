"""Ingresses that name a service, or a port of it, that does not exist.

Belongs here: an ingress against the services of its namespace. Does not belong here: services against their pods
(`routing.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

from incident_pipeline.diagnosis.kubernetes.cluster import Cluster, name_of, namespace_of
from incident_pipeline.diagnosis.kubernetes.fields import Fields, fields_at, number_at, rows_at, text_at
from incident_pipeline.diagnosis.kubernetes.findings import LIKELY, STRONG, Edit, Finding, Repair, app_object

Path = tuple[str | int, ...]


def ingresses(cluster: Cluster) -> list[Finding]:
    """Backends that are not there; nothing in a namespace of which no service was read."""
    read = {namespace_of(service) for service in cluster.bodies("Service")}
    return [
        finding
        for ingress in cluster.bodies("Ingress")
        if namespace_of(ingress) in read
        for place, route, backend in _backends(ingress)
        for finding in _of_backend(cluster, ingress, place, route, backend)
    ]


def _backends(ingress: Fields) -> Iterator[tuple[Path, str, Fields]]:
    """(where it stands, host and path, service) of every backend that is a service."""
    default = fields_at(ingress, "spec", "defaultBackend", "service")
    if default:
        yield ("spec", "defaultBackend", "service"), "what no rule takes", default
    for rule_number, rule in enumerate(rows_at(ingress, "spec", "rules")):
        for number, path in enumerate(rows_at(rule, "http", "paths")):
            service = fields_at(path, "backend", "service")
            if service:
                place = ("spec", "rules", rule_number, "http", "paths", number, "backend", "service")
                yield place, f"{text_at(rule, 'host')}{text_at(path, 'path') or '/'}", service


def _of_backend(cluster: Cluster, ingress: Fields, place: Path, route: str, backend: Fields) -> Iterator[Finding]:
    name, namespace = text_at(backend, "name"), namespace_of(ingress)
    if not name:
        return
    shown = f"Ingress {name_of(ingress)}: {route[:200]} goes to service {name}"
    service = cluster.named("Service", name, namespace)
    if service is None:
        says = f"The ingress {name_of(ingress)} sends requests to the service {name}, which does not exist"
        evidence = (shown, f"namespace {namespace} has no Service {name}")
        yield _finding(cluster, name, says, evidence, None)
    elif text_at(service, "spec", "type") != "ExternalName" and not _has_port(service, fields_at(backend, "port")):
        app = cluster.app_of_service(service)
        wanted = _port_of(fields_at(backend, "port"))
        ports = rows_at(service, "spec", "ports")
        says = f"The ingress {name_of(ingress)} sends requests to port {wanted} of {name}, which it does not have"
        offered = ", ".join(str(port.get("port")) for port in ports[:6])
        evidence = (f"{shown} port {wanted}", f"Service {name}: ports {offered}")
        repair = _repaired(ingress, place, ports)
        yield _finding(cluster, app.name if app is not None else name, says, evidence, repair)


def _finding(cluster: Cluster, app: str, says: str, evidence: tuple[str, ...], repair: Repair | None) -> Finding:
    """A route of old that nobody uses is wrong as well: what an alert is about weighs more."""
    alerted = any(alert.service == app or app in alert.title for alert in cluster.alerts)
    weight = STRONG if alerted else LIKELY
    return Finding("ingress_backend_missing", app_object(app), weight, says, evidence, repair=repair)


def _has_port(service: Fields, port: Fields) -> bool:
    number, name = number_at(port, "number"), text_at(port, "name")
    if number is None and not name:
        return True
    ports = rows_at(service, "spec", "ports")
    return any(
        (number is not None and number_at(one, "port") == number) or (name and one.get("name") == name) for one in ports
    )


def _port_of(port: Fields) -> str:
    number = number_at(port, "number")
    return str(number) if number is not None else text_at(port, "name")


def _repaired(ingress: Fields, place: Path, ports: list[Fields]) -> Repair | None:
    """The service's port, where it has one alone."""
    number = number_at(ports[0], "port") if len(ports) == 1 else None
    if number is None:
        return None
    edit = Edit((*place, "port"), {"number": number})
    return Repair("Ingress", name_of(ingress), namespace_of(ingress), (edit,))
