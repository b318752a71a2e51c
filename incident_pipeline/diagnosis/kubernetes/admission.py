"""Pods and claims that the API server refuses: quotas, service accounts, policies.

Belongs here: what `FailedCreate` says, and quotas that are used up. Does not belong here: pods that were created.
A refusal that was overcome (the controller has its pods now) is no finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from incident_pipeline.diagnosis.kubernetes.cluster import App, Cluster, Event, condition_of, name_of, namespace_of
from incident_pipeline.diagnosis.kubernetes.fields import Fields, fields_at, moment_at, quantity, text_at
from incident_pipeline.diagnosis.kubernetes.findings import (
    CERTAIN,
    LIKELY,
    STRONG,
    Edit,
    Finding,
    Repair,
    app_object,
    namespace_object,
)

_ACCOUNT = re.compile(r'service ?account "?([\w.\-/]+)"? not found|looking up service account (\S+?):', re.I)
_QUOTA = re.compile(r"exceeded quota: ([\w.-]+)", re.I)
_REQUESTED = re.compile(r"requested: ([^:]*?)(?:, used:|$)", re.I)
_RESOURCES = (
    ("namespace_storage_quota_exceeded", re.compile(r"storage|persistentvolumeclaims")),
    ("namespace_service_quota_exceeded", re.compile(r"services")),
    ("namespace_pod_quota_exceeded", re.compile(r"pods")),
    ("namespace_memory_quota_exceeded", re.compile(r"memory")),
    ("namespace_cpu_quota_exceeded", re.compile(r"cpu")),
)


def admission(cluster: Cluster) -> list[Finding]:
    """What the API server would not let in."""
    found = [finding for app in cluster.apps for finding in _refused(cluster, app)]
    found += [finding for quota in cluster.bodies("ResourceQuota") for finding in _used_up(cluster, quota)]
    return found


def quota_mechanism(resources: str) -> str | None:
    """Which quota is meant, from the names of the resources in it."""
    return next((slug for slug, pattern in _RESOURCES if pattern.search(resources)), None)


def _refused(cluster: Cluster, app: App) -> Iterator[Finding]:
    """Refusals of an app that still lacks pods."""
    if len(app.pods) >= max(app.wanted, 1) and _all_current(cluster, app):
        return
    messages = [(event.message, event.first) for event in _failures(cluster, app)]
    condition = condition_of(app.workload, "ReplicaFailure")
    if condition.get("status") == "True":
        messages.append((text_at(condition, "message"), moment_at(condition, "lastTransitionTime")))
    for message, since in reversed(messages):
        finding = _of_message(cluster, app, message)
        if finding is not None:
            yield Finding(**{**finding.__dict__, "since": since})
            return


def _all_current(cluster: Cluster, app: App) -> bool:
    """Whether no pod of the newest template is missing: an old pod may still run while its successor is refused."""
    status = fields_at(app.workload, "status")
    updated = status.get("updatedReplicas")
    return not isinstance(updated, int) or updated >= app.wanted or not cluster.knows("Event")


def _failures(cluster: Cluster, app: App) -> list[Event]:
    events = cluster.events_of(app.kind, app.workload, "FailedCreate")
    for body in cluster.bodies("ReplicaSet"):
        owners = body.get("metadata", {}).get("ownerReferences") if isinstance(body.get("metadata"), dict) else None
        owned = any(isinstance(o, dict) and o.get("name") == app.name for o in owners or ())
        if namespace_of(body) == app.namespace and (owned or name_of(body).rpartition("-")[0] == app.name):
            events += cluster.events_of("ReplicaSet", body, "FailedCreate")
    return sorted(events, key=lambda event: event.last or cluster.since)


def _of_message(cluster: Cluster, app: App, message: str) -> Finding | None:
    quota = _QUOTA.search(message)
    if quota:
        requested = _REQUESTED.search(message)
        mechanism = quota_mechanism(requested[1] if requested else message)
        if mechanism is None:
            return None
        return _quota_finding(cluster, app.namespace, quota[1], mechanism, message, (app.name,), CERTAIN)
    account = _ACCOUNT.search(message)
    if account:
        name = (account[1] or account[2]).rpartition("/")[2]
        if cluster.named("ServiceAccount", name, app.namespace) is not None:
            return None
        return _account_finding(app, name, message)
    if "forbidden" in message.lower() or "denied the request" in message.lower():
        return Finding(
            "admission_refused",
            app_object(app.name),
            STRONG,
            f"The API server refuses the pods of {app.name}",
            (f'{app.kind} {app.name}: "{message[:300]}"',),
        )
    return None


def _account_finding(app: App, name: str, message: str) -> Finding:
    edit = Edit(("spec", "template", "spec", "serviceAccountName"), "default")
    return Finding(
        "missing_service_account",
        app_object(app.name),
        CERTAIN,
        f"The pods of {app.name} are refused: the service account {name} does not exist",
        (f'{app.kind} {app.name}, template.spec.serviceAccountName {name}: "{message[:300]}"',),
        repair=Repair(app.kind, app.name, app.namespace, (edit,)),
    )


def _used_up(cluster: Cluster, quota: Fields) -> Iterator[Finding]:
    """A quota with nothing left, where something is missing that it counts."""
    hard = fields_at(quota, "status", "hard") or fields_at(quota, "spec", "hard")
    used = fields_at(quota, "status", "used")
    namespace = namespace_of(quota)
    for resource, limit in hard.items():
        bound, taken = quantity(limit), quantity(used.get(resource))
        mechanism = quota_mechanism(str(resource))
        if mechanism is None or bound is None or taken is None:
            continue
        missing = _missing(cluster, namespace, mechanism)
        full = taken >= bound * (0.999 if mechanism.endswith(("pod_quota_exceeded", "service_quota_exceeded")) else 0.9)
        if missing and (full or mechanism == "namespace_storage_quota_exceeded"):
            shown = f"ResourceQuota {name_of(quota)}: {resource} {used.get(resource)} of {limit} used"
            lacking = f"missing: {', '.join(missing[:3])}"
            weight = STRONG if full else LIKELY
            yield _quota_finding(cluster, namespace, name_of(quota), mechanism, f"{shown}; {lacking}", missing, weight)


def _missing(cluster: Cluster, namespace: str, mechanism: str) -> tuple[str, ...]:
    """The apps that lack what the quota counts: services, claims, or pods."""
    apps = [app for app in cluster.apps if app.namespace == namespace]
    if mechanism == "namespace_service_quota_exceeded":
        with_service = [app for app in apps if app.services]
        return tuple(a.name for a in apps if not a.services and a.kind == "Deployment" and _listens(a) and with_service)
    if mechanism == "namespace_storage_quota_exceeded":
        return tuple(app.name for app in apps if _lacks_claim(cluster, app))
    return tuple(app.name for app in apps if len(app.pods) < app.wanted)


def _listens(app: App) -> bool:
    return any(container.get("ports") for container in app.containers)


def _lacks_claim(cluster: Cluster, app: App) -> bool:
    volumes = app.template.get("volumes")
    names = [text_at(volume, "persistentVolumeClaim", "claimName") for volume in volumes or () if volume]
    return any(name and cluster.named("PersistentVolumeClaim", name, app.namespace) is None for name in names)


def _quota_finding(
    cluster: Cluster, namespace: str, quota: str, mechanism: str, shown: str, victims: tuple[str, ...], weight: float
) -> Finding:
    body = cluster.named("ResourceQuota", quota, namespace)
    what = mechanism.split("_")[1].replace("cpu", "CPU")
    return Finding(
        mechanism,
        namespace_object(namespace),
        weight,
        f"The quota on {what} of namespace {namespace} is used up; {', '.join(victims[:3])} waits for it",
        (f"ResourceQuota {quota}: {shown[:400]}",),
        repair=_raised(body, quota, namespace, mechanism),
        victims=victims,
    )


def _raised(body: Fields | None, quota: str, namespace: str, mechanism: str) -> Repair | None:
    """The quota half as large again."""
    hard = fields_at(body, "spec", "hard") if body else {}
    edits = []
    for resource, limit in hard.items():
        value = quantity(limit)
        if value is not None and quota_mechanism(str(resource)) == mechanism:
            edits.append(Edit(("spec", "hard", str(resource)), _larger(limit, value)))
    return Repair("ResourceQuota", quota, namespace, tuple(edits)) if edits else None


def _larger(limit: object, value: float) -> str:
    text = str(limit)
    digits = re.match(r"\d+", text)
    if digits is None or "." in text:
        return f"{value * 1.5:.0f}"
    return f"{-(-int(digits[0]) * 3 // 2)}{text[digits.end() :]}"
