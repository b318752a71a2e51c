"""An app beside what is like it and well: its own pods of the template before, the other workloads of its namespace.

Belongs here: the fields in which they differ, and which findings such a difference supports. Does not belong here: what
is wrong with a field by itself (the families).

Method: differential diagnosis. What is well shows what is right; a field that is the same in both explains nothing.
Among a namespace's workloads a value counts as usual where at least three others have it and none has another.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from incident_pipeline.diagnosis.kubernetes.cluster import App, Cluster, is_ready, name_of, namespace_of
from incident_pipeline.diagnosis.kubernetes.fields import Fields, fields_at, rows_at, text_at
from incident_pipeline.diagnosis.kubernetes.findings import WEAK, Finding, app_object
from kb.redaction import PLACEHOLDER, redact_value

_ENOUGH = 3
"""So many others have to agree before a value counts as usual."""
_BROKEN_ROLLOUT = 0.5
"""More than a hint, less than any cause that says why."""
_MAX_LINES = 2
_SPEC = ("nodeSelector", "affinity", "dnsPolicy", "dnsConfig", "serviceAccountName", "securityContext", "hostNetwork")
_CONTAINER = ("image", "command", "args", "ports", "livenessProbe", "readinessProbe", "startupProbe", "resources")
_SECRET = re.compile(r"pass|pwd|secret|token|key|cred", re.I)
_EXPLAINS = {
    "env": re.compile(r"env_var|mysql|db_|secret|config_map|crash"),
    "image": re.compile(r"image|crash"),
    "registry": re.compile(r"image"),
    "command": re.compile(r"crash|read_only|db_"),
    "args": re.compile(r"crash|read_only|db_"),
    "ports": re.compile(r"port|protocol"),
    "livenessProbe": re.compile(r"liveness"),
    "readinessProbe": re.compile(r"readiness"),
    "startupProbe": re.compile(r"crash"),
    "resources": re.compile(r"oom|capacity|quota|cpu_over"),
    "nodeSelector": re.compile(r"node_|taint"),
    "affinity": re.compile(r"affinity|node_"),
    "dnsPolicy": re.compile(r"dns"),
    "dnsConfig": re.compile(r"dns"),
    "serviceAccountName": re.compile(r"account"),
    "securityContext": re.compile(r"permission|crash"),
    "hostNetwork": re.compile(r"port|dns"),
    "selector": re.compile(r"selector"),
}
"""Field -> the mechanisms that a difference in it supports."""


@dataclass(frozen=True)
class Difference:
    """One field in which an app differs from what is like it and well."""

    field: str
    """As in `_EXPLAINS`."""
    place: str
    """Where it stands, for people."""
    own: Any
    usual: Any
    beside: str
    """Which sibling has the other value."""

    @property
    def says(self) -> str:
        """One sentence for people."""
        own, usual = _apart(self.own, self.usual)
        return f"{self.place} is {_short(own)}; {self.beside} {_short(usual)}"


def with_siblings(cluster: Cluster, findings: Sequence[Finding]) -> list[Finding]:
    """The findings, each with the differences that support it; and apps with trouble that nothing else explains."""
    usual = _Usual(cluster)
    compared = [_supported(cluster, usual, finding) for finding in findings]
    explained = {f.object.name for f in findings} | {name for f in findings for name in f.victims}
    for app in cluster.apps:
        if app.name not in explained and app.pods and app.ready < max(app.wanted, 1):
            compared += _unexplained(app, usual)
    return compared


def template_differences(app: App) -> list[Difference]:
    """What the template of a workload changes against its own pods of an earlier one that are ready."""
    for pod in app.pods:
        if is_ready(pod) and rows_at(pod, "spec", "containers"):
            found = list(_of_specs(app.template, fields_at(pod, "spec"), f"its ready pod {name_of(pod)} has"))
            if found:
                return found
    return []


def namespace_differences(cluster: Cluster, app: App) -> list[Difference]:
    """What an app has otherwise than the other workloads of its namespace, which all have it alike."""
    return _Usual(cluster).differences(app)


# --- against its own pods -----------------------------------------------------------------------


def _of_specs(own: Fields, theirs: Fields, beside: str) -> Iterator[Difference]:
    for field in _SPEC:
        if own.get(field) is not None and own[field] != theirs.get(field):
            yield Difference(field, field, own[field], theirs.get(field), beside)
    others = {text_at(one, "name"): one for one in rows_at(theirs, "containers")}
    for container in rows_at(own, "containers"):
        name = text_at(container, "name")
        other = others.get(name)
        if other is None:
            continue
        for field in _CONTAINER:
            if container.get(field) and container[field] != other.get(field):
                one, another = redact_value(container[field]), redact_value(other.get(field))
                yield Difference(field, f"{field} of container {name}", one, another, beside)
        before, now = _environment(other), _environment(container)
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                one, another = _shown(key, now.get(key)), _shown(key, before.get(key))
                yield Difference("env", f"env {key} of container {name}", one, another, beside)


def _shown(key: str, value: Any) -> Any:
    """The value of a variable for people: what may be a secret is not told, that it is another one is."""
    if isinstance(value, str) and _SECRET.search(key):
        return PLACEHOLDER
    return redact_value({key: value})[key]


def _environment(container: Fields) -> dict[str, Any]:
    return {
        text_at(row, "name"): row.get("value") if row.get("value") is not None else row.get("valueFrom")
        for row in rows_at(container, "env")
    }


# --- against the namespace ----------------------------------------------------------------------


class _Usual:
    """What the workloads of each namespace have, field by field."""

    def __init__(self, cluster: Cluster) -> None:
        self._values: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
        """(namespace, field, place) -> workload -> value."""
        for app in cluster.apps:
            for (field, place), value in _comparable(app).items():
                self._values[app.namespace, field, place][app.name] = value

    def differences(self, app: App) -> list[Difference]:
        """The fields in which all others agree, and it does not."""
        found = []
        for (field, place), own in _comparable(app).items():
            others = [v for name, v in self._values[app.namespace, field, place].items() if name != app.name]
            if len(others) >= _ENOUGH and own != others[0] and len(set(others)) == 1:
                beside = f"the {len(others)} other workloads of the namespace that set it have"
                found.append(Difference(field, place, _shown(place, own), _shown(place, others[0]), beside))
        return found


def _comparable(app: App) -> dict[tuple[str, str], str]:
    """(field, place) -> value of what workloads of a namespace usually share."""
    found: dict[tuple[str, str], str] = {}
    for container in app.containers:
        image = text_at(container, "image")
        found["registry", "the registry of the image"] = image.rpartition("/")[0]
        for row in rows_at(container, "env"):
            if isinstance(row.get("value"), str):
                found["env", f"env {text_at(row, 'name')}"] = row["value"]
    found["dnsPolicy", "dnsPolicy"] = text_at(app.template, "dnsPolicy") or "ClusterFirst"
    for service in app.services:
        if name_of(service) == app.name and namespace_of(service) == app.namespace:
            keys = ", ".join(sorted(map(str, fields_at(service, "spec", "selector"))))
            found["selector", f"what the selector of service {app.name} asks for"] = keys
    return found


# --- what follows -------------------------------------------------------------------------------


def _supported(cluster: Cluster, usual: _Usual, finding: Finding) -> Finding:
    app = cluster.app(finding.object.name) if finding.object.kind == "app" else None
    if app is None:
        return finding
    differences = [*template_differences(app), *usual.differences(app)]
    fitting = [d.says for d in differences if _EXPLAINS[d.field].search(finding.mechanism)]
    return replace(finding, evidence=(*finding.evidence, *fitting[:_MAX_LINES])) if fitting else finding


def _unexplained(app: App, usual: _Usual) -> Iterator[Finding]:
    """An app whose new template does not come up, or that differs from all others; why, nothing else says."""
    own = template_differences(app)
    found = own or usual.differences(app)
    if found:
        yield Finding(
            "differs_from_siblings",
            app_object(app.name),
            _BROKEN_ROLLOUT if own else WEAK,
            f"{app.name} has pods that are not ready, and differs from what is like it and well",
            (
                f"{app.kind} {app.name}: {app.ready} of {max(app.wanted, 1)} pods ready",
                *(difference.says for difference in found[:4]),
            ),
        )


def _apart(own: Any, usual: Any) -> tuple[Any, Any]:
    """Of two objects only the keys in which they differ."""
    if not (isinstance(own, Mapping) and isinstance(usual, Mapping)):
        return own, usual
    keys = [key for key in {**own, **usual} if own.get(key) != usual.get(key)]
    return {key: own.get(key) for key in keys}, {key: usual.get(key) for key in keys}


def _short(value: Any) -> str:
    return "not set" if value is None else str(value)[:120]
