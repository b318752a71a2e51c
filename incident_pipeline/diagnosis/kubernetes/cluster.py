"""The cluster as a value that can be asked: which pods are whose, what was said of an object lately.

Belongs here: indices over the objects of one snapshot. Does not belong here: what is wrong with any of them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from incident_pipeline.diagnosis.graph import service_graph
from incident_pipeline.diagnosis.kubernetes.fields import (
    Fields,
    fields_at,
    moment_at,
    number_at,
    rows_at,
    selects,
    text_at,
)
from incident_pipeline.models import Alert, Evidence, Incident, KubernetesObject, LogEntry, MetricSeries

RECENT = timedelta(hours=1)
"""What was last seen longer before the incident is old noise."""
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease"})


@dataclass(frozen=True)
class Event:
    """What the cluster said of one object."""

    kind: str
    name: str
    namespace: str
    reason: str
    message: str
    warning: bool
    first: datetime | None
    last: datetime | None
    count: int


@dataclass(frozen=True)
class App:
    """A workload with its pods and its services; the name is the workload's, or the service's where it has none."""

    name: str
    namespace: str
    workload: Fields
    kind: str
    pods: tuple[Fields, ...] = ()
    services: tuple[Fields, ...] = ()

    @property
    def template(self) -> Fields:
        """The pod template's spec; that of a pod where the workload gives none."""
        spec = fields_at(self.workload, "spec", "template", "spec")
        return spec or (fields_at(self.pods[0], "spec") if self.pods else {})

    @property
    def labels(self) -> Fields:
        """The labels of its pods."""
        labels = fields_at(self.workload, "spec", "template", "metadata", "labels")
        return labels or (fields_at(self.pods[0], "metadata", "labels") if self.pods else {})

    @property
    def containers(self) -> list[Fields]:
        """The containers of the template."""
        return rows_at(self.template, "containers")

    @property
    def wanted(self) -> int:
        """How many replicas it should have."""
        found = number_at(self.workload, "spec", "replicas")
        return found if found is not None else len(self.pods)

    @property
    def ready(self) -> int:
        """How many of its pods are ready."""
        return sum(is_ready(pod) for pod in self.pods)


@dataclass(frozen=True)
class Cluster:
    """One snapshot, with the alerts and logs that go with it."""

    objects: tuple[KubernetesObject, ...]
    since: datetime
    """Before this, an event is old."""
    logs: Mapping[str, Sequence[LogEntry]] = field(default_factory=dict)
    """Service -> its lines since then."""
    calls: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Service -> the services that it depends on."""
    metrics: Sequence[MetricSeries] = ()
    alerts: Sequence[Alert] = ()

    @cached_property
    def by_kind(self) -> dict[str, list[KubernetesObject]]:
        """The objects of each kind."""
        found: dict[str, list[KubernetesObject]] = defaultdict(list)
        for one in self.objects:
            found[one.kind].append(one)
        return found

    @property
    def captured_at(self) -> datetime | None:
        """When the cluster was read."""
        return max((one.captured_at for one in self.objects if one.captured_at is not None), default=None)

    def bodies(self, kind: str) -> list[Fields]:
        """The objects of one kind as they are."""
        return [one.body for one in self.by_kind.get(kind, ())]

    def knows(self, kind: str) -> bool:
        """Whether any object of that kind was read: only then does the absence of one say something."""
        return kind in self.by_kind

    def named(self, kind: str, name: str, namespace: str | None = None) -> Fields | None:
        """One object; None where it does not exist."""
        found = self._named.get((kind, name), ())
        return next((one.body for one in found if namespace is None or one.namespace in (namespace, None)), None)

    @cached_property
    def _named(self) -> dict[tuple[str, str], list[KubernetesObject]]:
        found: dict[tuple[str, str], list[KubernetesObject]] = defaultdict(list)
        for one in self.objects:
            if one.kind != "Event":
                found[one.kind, one.name].append(one)
        return found

    @cached_property
    def apps(self) -> tuple[App, ...]:
        """Every workload outside the system's own namespaces, in order of name."""
        pods = Labelled(pod for pod in self.bodies("Pod") if text_at(pod, "status", "phase") != "Succeeded")
        services = _services_by_place(self.bodies("Service"))
        found = [
            _app_of(one, pods, services)
            for kind in WORKLOADS
            for one in self.by_kind.get(kind, ())
            if one.namespace not in _SYSTEM
        ]
        return tuple(sorted(found, key=lambda app: (app.namespace, app.name)))

    @cached_property
    def _apps_by_name(self) -> dict[tuple[str, str], App]:
        return {(app.namespace, app.name): app for app in self.apps}

    def app(self, name: str, namespace: str | None = None) -> App | None:
        """The app of that name."""
        if namespace is not None:
            return self._apps_by_name.get((namespace, name))
        return next((app for app in self.apps if app.name == name), None)

    def app_of_service(self, service: Fields) -> App | None:
        """Whose service it is: the app that it selects, else the one of its name."""
        name, namespace = name_of(service), namespace_of(service)
        selector = fields_at(service, "spec", "selector")
        own = self.app(name, namespace)
        if own is not None:
            return own
        return next((a for a in self.apps if a.namespace == namespace and selects(selector, a.labels)), None)

    @cached_property
    def _event_bodies(self) -> dict[tuple[str, str], list[Fields]]:
        """The events of each object (kind, name), unread: most are of objects that nobody asks about."""
        found: dict[tuple[str, str], list[Fields]] = defaultdict(list)
        for body in self.bodies("Event"):
            involved = fields_at(body, "involvedObject") or fields_at(body, "regarding")
            found[text_at(involved, "kind"), text_at(involved, "name")].append(body)
        return found

    @cached_property
    def _events(self) -> dict[tuple[str, str], list[Event]]:
        return {}

    def events_of(self, kind: str, body: Fields, *reasons: str) -> list[Event]:
        """Recent events of one object, oldest first; of these reasons where any are given."""
        key = (kind, name_of(body))
        if key not in self._events:
            read = [_event(one) for one in self._event_bodies.get(key, ())]
            recent = [event for event in read if event.last is None or event.last >= self.since]
            self._events[key] = sorted(recent, key=lambda e: (e.last is not None, e.last or self.since))
        return [event for event in self._events[key] if not reasons or event.reason in reasons]

    @cached_property
    def _matches(self) -> dict[tuple[str, re.Pattern[str]], list[LogEntry]]:
        return {}

    @cached_property
    def _texts(self) -> dict[str, list[tuple[LogEntry, str]]]:
        return {}

    @cached_property
    def service_names(self) -> re.Pattern[str] | None:
        """The name of any service, as a word of its own; None where there are none."""
        names = sorted({re.escape(one.name) for one in self.by_kind.get("Service", ())})
        return re.compile(rf"(?<![\w-])(?:{'|'.join(names)})(?![\w-])") if names else None

    def lines_with(self, service: str, pattern: re.Pattern[str]) -> list[LogEntry]:
        """The recent lines of a service that the pattern occurs in, oldest first."""
        key = (service, pattern)
        if key not in self._matches:
            if service not in self._texts:
                self._texts[service] = [(line, full_text(line)) for line in self.logs.get(service, ())]
            # a log says the same thing many times over
            texts = {text for _, text in self._texts[service]}
            found = {text for text in texts if pattern.search(text)}
            self._matches[key] = [line for line, text in self._texts[service] if text in found] if found else []
        return self._matches[key]

    @cached_property
    def nodes(self) -> list[Fields]:
        """The nodes, in order of name."""
        return sorted(self.bodies("Node"), key=name_of)


def cluster_of(incident: Incident, evidence: Evidence) -> Cluster:
    """The snapshot of an incident's evidence; what is older than an hour before the first alert is left aside."""
    objects = evidence.kubernetes_state.rows
    since = incident.started_at - RECENT
    logs: dict[str, list[LogEntry]] = defaultdict(list)
    for entry in evidence.logs.rows:
        if entry.service and entry.timestamp >= since:
            logs[entry.service].append(entry)
    for name, line in _last_words(objects, since):
        logs[name].append(line)
    calls = service_graph(evidence).depends_on
    return Cluster(tuple(objects), since, logs, calls, evidence.metrics.rows, incident.alerts)


def _last_words(objects: Iterable[KubernetesObject], since: datetime) -> Iterator[tuple[str, LogEntry]]:
    """(app, line) of what containers said before they ended, where the cluster has it."""
    for one in objects:
        if one.kind != "Pod":
            continue
        owners = rows_at(one.body, "metadata", "ownerReferences")
        owner = text_at(owners[0], "name") if owners else one.name
        app = owner.rpartition("-")[0] if owners and text_at(owners[0], "kind") in {"", "ReplicaSet"} else owner
        for status in rows_at(one.body, "status", "containerStatuses"):
            termination = fields_at(status, "lastState", "terminated") or fields_at(status, "state", "terminated")
            at = moment_at(termination, "finishedAt") or since
            for message in text_at(termination, "message")[:16_384].splitlines():
                if at >= since and message.strip():
                    attributes = {"container": text_at(status, "name"), "previous": True}
                    yield app, LogEntry(timestamp=at, service=app, message=message, attributes=attributes)


def full_text(line: LogEntry) -> str:
    """The message with the short texts of its attributes: structured logs put the error there."""
    extra = (value for value in line.attributes.values() if isinstance(value, str) and len(value) < 2_000)
    return " ".join((line.message[:4_000], *extra))


def name_of(body: Fields) -> str:
    """The object's name."""
    return text_at(body, "metadata", "name")


def namespace_of(body: Fields) -> str:
    """The object's namespace."""
    return text_at(body, "metadata", "namespace")


def is_ready(pod: Fields) -> bool:
    """Whether the pod takes requests, by its Ready condition, else by its containers."""
    condition = condition_of(pod, "Ready")
    if condition:
        return condition.get("status") == "True"
    statuses = rows_at(pod, "status", "containerStatuses")
    return bool(statuses) and all(one.get("ready") is True for one in statuses)


def condition_of(body: Fields, kind: str) -> Fields:
    """The condition of that type; empty where there is none."""
    return next((one for one in rows_at(body, "status", "conditions") if one.get("type") == kind), {})


class Labelled:
    """Objects by their labels, so that a selector need not look at all of them."""

    def __init__(self, bodies: Iterable[Fields]) -> None:
        self._found: dict[tuple[str, str, str], list[Fields]] = defaultdict(list)
        for body in bodies:
            namespace = namespace_of(body)
            for key, value in fields_at(body, "metadata", "labels").items():
                self._found[namespace, str(key), str(value)].append(body)

    def selected(self, namespace: str, selector: Fields) -> tuple[Fields, ...]:
        """The objects of a namespace that a selector of equal labels takes."""
        lists = [self._found.get((namespace, str(key), str(value)), []) for key, value in selector.items()]
        fewest: list[Fields] = min(lists, key=len, default=[])
        return tuple(body for body in fewest if selects(selector, fields_at(body, "metadata", "labels")))


def _services_by_place(services: Iterable[Fields]) -> dict[tuple[str, str, str], list[Fields]]:
    """Services by their namespace and each pair of their selector, and by their name."""
    found: dict[tuple[str, str, str], list[Fields]] = defaultdict(list)
    for service in services:
        found[namespace_of(service), "", name_of(service)].append(service)
        for key, value in list(fields_at(service, "spec", "selector").items())[:1]:
            found[namespace_of(service), str(key), str(value)].append(service)
    return found


def _app_of(one: KubernetesObject, pods: Labelled, services: Mapping[tuple[str, str, str], Sequence[Fields]]) -> App:
    namespace = one.namespace or ""
    labels = fields_at(one.body, "spec", "template", "metadata", "labels")
    selector = fields_at(one.body, "spec", "selector", "matchLabels") or labels
    reached = list(services.get((namespace, "", one.name), ()))
    for key, value in labels.items():
        for service in services.get((namespace, str(key), str(value)), ()):
            if service not in reached and selects(fields_at(service, "spec", "selector"), labels):
                reached.append(service)
    return App(one.name, namespace, one.body, one.kind, pods.selected(namespace, selector), tuple(reached))


def _event(body: Fields) -> Event:
    involved = fields_at(body, "involvedObject") or fields_at(body, "regarding")
    first = moment_at(body, "firstTimestamp") or moment_at(body, "eventTime")
    last = moment_at(body, "lastTimestamp") or moment_at(body, "series", "lastObservedTime")
    count = number_at(body, "count") or number_at(body, "series", "count") or 1
    return Event(
        kind=text_at(involved, "kind"),
        name=text_at(involved, "name"),
        namespace=text_at(involved, "namespace"),
        reason=text_at(body, "reason"),
        message=(text_at(body, "message") or text_at(body, "note"))[:4_000],
        warning=text_at(body, "type") == "Warning",
        first=first or last,
        last=last or first,
        count=count,
    )
