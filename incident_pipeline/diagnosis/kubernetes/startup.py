"""Containers that never start: images, registries, secrets, mounts.

Belongs here: what a waiting container and its events say. Does not belong here: containers that started and ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from incident_pipeline.diagnosis.kubernetes.cluster import App, Cluster, Event, is_ready, name_of
from incident_pipeline.diagnosis.kubernetes.fields import Fields, fields_at, rows_at, text_at
from incident_pipeline.diagnosis.kubernetes.findings import CERTAIN, LIKELY, STRONG, Edit, Finding, Repair, app_object

IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ErrInvalidImage",
    }
)
_NO_HOST = re.compile(r"no such host|server misbehaving|name resolution|NXDOMAIN|lookup \S+(?: on \S+)?: ", re.I)
_NO_ACCESS = re.compile(
    r"\b40[13]\b|unauthorized|authentication required|no basic auth|authorization failed|access forbidden|"
    r"insufficient_scope|access to the (?:requested )?resource is denied|failed to fetch (?:oauth|anonymous) token|"
    r"pull access denied|denied: ",
    re.I,
)
_NO_IMAGE = re.compile(
    r"not found|manifest unknown|NotFound|name unknown|invalid reference format|InvalidImageName|couldn't parse image|"
    r"repository does not exist|does not exist",
    re.I,
)
_PULL = re.compile(r"pull|image", re.I)
_SECRET = re.compile(r'secrets? "?([\w.\-]+)"? not found', re.I)
_SECRET_KEY = re.compile(r"couldn't find key (\S+) in Secret \S*?([\w.\-]+)(?:\s|$)", re.I)
_CONFIG_MAP = re.compile(r'configmaps? "?([\w.\-]+)"? not found', re.I)


def startup(cluster: Cluster) -> list[Finding]:
    """Why containers wait instead of running."""
    return [finding for app in cluster.apps for finding in _of_app(cluster, app)]


def _of_app(cluster: Cluster, app: App) -> Iterator[Finding]:
    for pod in app.pods:
        if is_ready(pod):
            continue
        events = cluster.events_of("Pod", pod)
        for status in _waiting(pod):
            reason = text_at(status, "state", "waiting", "reason")
            if reason in IMAGE_REASONS:
                yield _image(cluster, app, pod, status, events)
        yield from _references(cluster, app, pod, events)


def _waiting(pod: Fields) -> list[Fields]:
    statuses = [*rows_at(pod, "status", "initContainerStatuses"), *rows_at(pod, "status", "containerStatuses")]
    return [status for status in statuses if fields_at(status, "state", "waiting")]


def _image(cluster: Cluster, app: App, pod: Fields, status: Fields, events: list[Event]) -> Finding:
    told = [event for event in events if event.warning and _PULL.search(event.message)]
    detail = [text_at(status, "state", "waiting", "message"), *(event.message for event in told)]
    message = max(detail, key=lambda text: (_telling(text), len(text)), default="")
    image = _image_of(app, pod, text_at(status, "name"))
    mechanism, weight = _pull_failure(cluster, app, image, message)
    since = next((event.first for event in told if event.first), None)
    return Finding(
        mechanism,
        app_object(app.name),
        weight,
        f"The image of {app.name} cannot be pulled: {_WORDS[mechanism]}",
        (
            f"Pod {name_of(pod)}: {text_at(status, 'state', 'waiting', 'reason')}, image {image}",
            *([f'Pod {name_of(pod)}: "{message[:400]}"'] if message else []),
        ),
        since=since,
        repair=_earlier_image(cluster, app, text_at(status, "name"), image) if mechanism != _SECRETS else None,
    )


_SECRETS = "missing_image_pull_secret"
_WORDS = {
    "incorrect_image_reference": "its name or tag does not exist",
    "image_registry_dns_failure": "the registry's host name does not resolve",
    _SECRETS: "the registry asks for credentials",
}


def _telling(message: str) -> bool:
    return bool(_NO_HOST.search(message) or _NO_ACCESS.search(message) or _NO_IMAGE.search(message))


def _pull_failure(cluster: Cluster, app: App, image: str, message: str) -> tuple[str, float]:
    if _NO_HOST.search(message):
        return "image_registry_dns_failure", CERTAIN
    denied, absent = _NO_ACCESS.search(message), _NO_IMAGE.search(message)
    if denied and absent and "NotFound" not in message and "manifest unknown" not in message:
        # a registry that hides what exists says both: who pulls from the same place shows which it is
        return ("incorrect_image_reference", STRONG) if _pulled_by_others(cluster, app, image) else (_SECRETS, LIKELY)
    if denied and not absent:
        return _SECRETS, CERTAIN
    return "incorrect_image_reference", CERTAIN if absent else LIKELY


def _pulled_by_others(cluster: Cluster, app: App, image: str) -> bool:
    place = image.rpartition("/")[0]
    return bool(place) and any(
        text_at(container, "image").rpartition("/")[0] == place
        for other in cluster.apps
        if other.name != app.name and other.ready
        for container in other.containers
    )


def _image_of(app: App, pod: Fields, container: str) -> str:
    for spec in (fields_at(pod, "spec"), app.template):
        for one in (*rows_at(spec, "containers"), *rows_at(spec, "initContainers")):
            if text_at(one, "name") == container:
                return text_at(one, "image")
    return ""


def _earlier_image(cluster: Cluster, app: App, container: str, image: str) -> Repair | None:
    """Back to the image of the newest replica set that had another."""
    owned = [
        body
        for body in cluster.bodies("ReplicaSet")
        if name_of(body).rpartition("-")[0] == app.name and text_at(body, "metadata", "namespace") == app.namespace
    ]
    owned.sort(key=lambda body: _revision(body), reverse=True)
    for body in owned:
        for one in rows_at(body, "spec", "template", "spec", "containers"):
            other = text_at(one, "image")
            if text_at(one, "name") == container and other and other != image:
                place = next((i for i, c in enumerate(app.containers) if text_at(c, "name") == container), None)
                if place is None:
                    return None
                edit = Edit(("spec", "template", "spec", "containers", place, "image"), other)
                return Repair(app.kind, app.name, app.namespace, (edit,))
    return None


def _revision(body: Fields) -> int:
    text = fields_at(body, "metadata", "annotations").get("deployment.kubernetes.io/revision")
    return int(text) if isinstance(text, str) and text.isdigit() and len(text) < 10 else 0


def _references(cluster: Cluster, app: App, pod: Fields, events: list[Event]) -> Iterator[Finding]:
    """Secrets and config maps that a container needs and that are not there."""
    waiting = (text_at(status, "state", "waiting", "message") for status in _waiting(pod))
    texts: list[tuple[str, datetime | None]] = [(message, None) for message in waiting]
    texts += [(event.message, event.first) for event in events if event.warning]
    for message, since in reversed(texts):
        for mechanism, kind, pattern in _MISSING:
            match = pattern.search(message)
            if match is None:
                continue
            name = match[match.lastindex or 1]
            if pattern is not _SECRET_KEY and cluster.named(kind, name, app.namespace) is not None:
                continue
            yield Finding(
                mechanism,
                app_object(app.name),
                CERTAIN,
                f"{app.name} cannot start: it refers to the {_KINDS[kind]} {name}, which is not as it expects",
                (f'Pod {name_of(pod)}: "{message[:300]}"',),
                since=since,
            )
            return


_MISSING = (
    ("missing_secret_binding", "Secret", _SECRET),
    ("missing_secret_binding", "Secret", _SECRET_KEY),
    ("missing_config_map", "ConfigMap", _CONFIG_MAP),
)
_KINDS = {"Secret": "secret", "ConfigMap": "config map"}
