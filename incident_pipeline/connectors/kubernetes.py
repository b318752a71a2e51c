"""Kubernetes: the objects of the namespaces that an incident's services run in, and rollouts as deployments.

Endpoints: `GET /api/v1/...` and `/apis/{group}/{version}/...`, lists only, paged by `limit` and `continue`
(https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks); one config map
by its name where a workload that has trouble reads it; the last lines of a container that ended (`pods/{name}/log`
with `previous`). Never secrets, never a write; `deploy/kubernetes/reader.yaml` is all that it may do.

A continue token that has grown too old is answered 410: what was read until then is kept. Kinds that may not be read
are a note each. Of each workload a few healthy pods are kept whole, of the others what tells them apart: 10,000 fit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from incident_pipeline.connectors.answers import RefusedError
from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.kubernetes_access import Access, access_to
from incident_pipeline.connectors.kubernetes_slim import Slimmer, config_maps_read, ended_containers, with_leases
from incident_pipeline.connectors.paging import Collected, bounded, collect, together
from incident_pipeline.errors import ConfigurationError, PermanentSourceError, SourceError, TransientSourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.evidence.kubernetes_objects import kubernetes_object
from incident_pipeline.evidence.rollouts import rollouts
from incident_pipeline.models import Envelope, EvidenceKind, KubernetesObject

PAGE = 500
AT_ONCE = 6
"""Requests under way at the same time."""
MAX_OBJECTS = 20_000
MAX_EVENTS = 3_000
MAX_LOGS = 8
"""Containers whose last lines are read."""
TAIL_LINES = 40
_GONE = 410
_SYSTEM = "metadata.namespace!=kube-system"


@dataclass(frozen=True)
class Resource:
    """One kind of object: where it is listed."""

    kind: str
    prefix: str
    plural: str
    namespaced: bool = True
    selector: str = ""
    """Field selector that the server filters by."""
    most: int = MAX_OBJECTS


RESOURCES: tuple[Resource, ...] = (
    Resource("Pod", "/api/v1", "pods"),
    Resource("Service", "/api/v1", "services"),
    Resource("Endpoints", "/api/v1", "endpoints"),
    Resource("ResourceQuota", "/api/v1", "resourcequotas"),
    Resource("PersistentVolumeClaim", "/api/v1", "persistentvolumeclaims"),
    Resource("ServiceAccount", "/api/v1", "serviceaccounts"),
    Resource("Event", "/api/v1", "events", selector="type=Warning", most=MAX_EVENTS),
    Resource("Event", "/api/v1", "events", selector="type=Normal,reason=ScalingReplicaSet", most=MAX_EVENTS),
    Resource("Event", "/api/v1", "events", selector="type=Normal,reason=FailedBinding", most=MAX_EVENTS),
    Resource("Deployment", "/apis/apps/v1", "deployments"),
    Resource("StatefulSet", "/apis/apps/v1", "statefulsets"),
    Resource("DaemonSet", "/apis/apps/v1", "daemonsets"),
    Resource("ReplicaSet", "/apis/apps/v1", "replicasets"),
    Resource("Ingress", "/apis/networking.k8s.io/v1", "ingresses"),
    Resource("NetworkPolicy", "/apis/networking.k8s.io/v1", "networkpolicies"),
    Resource("HorizontalPodAutoscaler", "/apis/autoscaling/v2", "horizontalpodautoscalers"),
    Resource("Node", "/api/v1", "nodes", namespaced=False),
    Resource("PersistentVolume", "/api/v1", "persistentvolumes", namespaced=False),
    Resource("StorageClass", "/apis/storage.k8s.io/v1", "storageclasses", namespaced=False),
    Resource("Lease", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease", "leases", namespaced=False),
)
_FOR_ROLLOUTS = tuple(one for one in RESOURCES if one.kind in {"Deployment", "ReplicaSet"})
_EVERYWHERE = ("",)


class Kubernetes:
    """The clusters that the incident's services run in."""

    def __init__(self, settings: SourceSettings) -> None:
        self.name = settings.name
        self.kinds = frozenset({EvidenceKind.KUBERNETES_STATE, EvidenceKind.DEPLOYMENTS})
        self._settings = settings
        self._open: dict[str, Access] = {}

    async def fetch(self, question: Question) -> Envelope[Any]:
        """The objects as they are now, or the rollouts of the window.

        Raises:
            SourceError: no cluster answered.
        """
        deadline = Deadline(question.seconds)
        where = dict(question.namespaces) or {"": ()}
        parts = {
            cluster or "the cluster": self._of(cluster, names, question, deadline) for cluster, names in where.items()
        }
        found = await together(parts)
        about = {"window": question.window, "query": _told(where), **found.about()}
        if question.kind is EvidenceKind.DEPLOYMENTS:
            return answered(question.kind, self.name, rollouts(found.rows, question.window, self.name), **about)
        return answered(question.kind, self.name, found.rows, **about)

    async def close(self) -> None:
        """Let go of connections."""
        opened, self._open = list(self._open.values()), {}
        await asyncio.gather(*(access.close() for access in opened))

    async def _of(
        self, cluster: str, namespaces: Sequence[str], question: Question, deadline: Deadline
    ) -> Collected[KubernetesObject]:
        """The objects of one cluster; a kind that cannot be read is a note, all of them are an error."""
        reader = Reader(self._access(cluster), cluster, question, deadline)
        wanted = _FOR_ROLLOUTS if question.kind is EvidenceKind.DEPLOYMENTS else RESOURCES
        found = await reader.listed(wanted, namespaces)
        if question.kind is EvidenceKind.KUBERNETES_STATE:
            await reader.add_details(found)
        return found

    def _access(self, cluster: str) -> Access:
        if cluster not in self._open:
            try:
                self._open[cluster] = access_to(self._settings, cluster)
            except ConfigurationError as error:
                raise PermanentSourceError(str(error)) from error
        return self._open[cluster]


class Reader:
    """One reading of one cluster."""

    def __init__(self, access: Access, cluster: str, question: Question, deadline: Deadline) -> None:
        self._access = access
        self._cluster = cluster
        self._question = question
        self._deadline = deadline
        self._slimmer = Slimmer()

    async def listed(self, wanted: Sequence[Resource], namespaces: Sequence[str]) -> Collected[KubernetesObject]:
        """The objects of all kinds, in the order of the kinds."""
        lists = [
            (resource, namespace)
            for resource in wanted
            for namespace in ((namespaces or _EVERYWHERE) if resource.namespaced else _EVERYWHERE)
        ]
        answers = await bounded([self._list(*one) for one in lists], AT_ONCE)
        failed = [answer for answer in answers if isinstance(answer, SourceError)]
        if failed and len(failed) == len(answers):
            raise failed[0]
        found: Collected[KubernetesObject] = Collected()
        for answer in answers:
            if isinstance(answer, SourceError):
                found.partial = True
                found.notes.append(str(answer))
            else:
                found.add(answer)
        found.rows = with_leases(found.rows)
        return found

    async def add_details(self, found: Collected[KubernetesObject]) -> None:
        """Config maps that workloads with trouble read, and the last lines of containers that ended."""
        maps = config_maps_read(found.rows)
        ends = ended_containers(found.rows)[:MAX_LOGS]
        read = await bounded([self._config_map(*one) for one in maps], AT_ONCE)
        lines = await bounded([self._last_lines(pod, container) for pod, container, _ in ends], AT_ONCE)
        found.rows += [one for one in read if one is not None]
        for (_, _, termination), text in zip(ends, lines, strict=True):
            if text and not termination.get("message"):
                termination["message"] = text

    async def _list(self, resource: Resource, namespace: str) -> Collected[KubernetesObject] | SourceError:
        try:
            items = await collect(self._pages(resource, namespace), self._deadline, resource.most)
        except SourceError as error:
            return error
        return Collected(items.rows, items.truncated, items.partial, [f"{resource.plural}: {n}" for n in items.notes])

    async def _pages(self, resource: Resource, namespace: str) -> AsyncIterator[list[KubernetesObject]]:
        path = f"{resource.prefix}/{f'namespaces/{namespace}/' if namespace else ''}{resource.plural}"
        selectors = [resource.selector, "" if namespace or not resource.namespaced else _SYSTEM]
        params: dict[str, Any] = {"limit": PAGE}
        if any(selectors):
            params["fieldSelector"] = ",".join(filter(None, selectors))
        while True:
            try:
                answer = await self._access.get(path, params, self._deadline)
            except RefusedError as error:
                if error.status == _GONE and "continue" in params:
                    raise TransientSourceError(f"{resource.plural} changed too fast to be read to the end") from error
                raise
            yield self._read(resource.kind, answer)
            following = _continue(answer)
            if not following:
                return
            params["continue"] = following

    def _read(self, kind: str, answer: Any) -> list[KubernetesObject]:
        """The objects of a page; items of a list do not name their kind."""
        items = answer.get("items") if isinstance(answer, Mapping) else None
        if not isinstance(items, list):
            raise PermanentSourceError(f"the list of {kind} that the cluster answered has no items")
        found = []
        for item in items:
            slim = self._slimmer.slim(kind, item)
            if slim is None or _is_old(slim, kind, self._question):
                continue
            try:
                found.append(
                    kubernetes_object(slim, captured_at=self._question.window.end, cluster=self._cluster or None)
                )
            except ValueError:
                continue
        return found

    def _object(self, item: Any) -> KubernetesObject:
        return kubernetes_object(item, captured_at=self._question.window.end, cluster=self._cluster or None)

    async def _config_map(self, namespace: str, name: str) -> KubernetesObject | None:
        try:
            answer = await self._access.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}", {}, self._deadline)
            item = {**answer, "kind": "ConfigMap"} if isinstance(answer, Mapping) else answer
            return self._object(item)
        except (SourceError, ValueError):
            return None

    async def _last_lines(self, pod: KubernetesObject, container: str) -> str | None:
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/log"
        params = {"container": container, "previous": "true", "tailLines": TAIL_LINES, "limitBytes": 16_384}
        try:
            text = await self._access.get(path, params, self._deadline)
        except SourceError:
            return None
        return text if isinstance(text, str) else None


def build(settings: SourceSettings) -> Kubernetes:
    """The clusters of the configuration; the kubeconfig is read at the first question."""
    return Kubernetes(settings)


def _continue(answer: Any) -> str | None:
    metadata = answer.get("metadata") if isinstance(answer, Mapping) else None
    token = metadata.get("continue") if isinstance(metadata, Mapping) else None
    return token if isinstance(token, str) and token else None


def _is_old(item: Mapping[str, Any], kind: str, question: Question) -> bool:
    """Whether it is an event from before the window."""
    if kind != "Event":
        return False
    last = item.get("lastTimestamp") or item.get("eventTime")
    return isinstance(last, str) and last < question.window.start.strftime("%Y-%m-%dT%H:%M:%SZ")


def _told(where: Mapping[str, Sequence[str]]) -> str:
    parts = [f"{cluster or 'default'}: {', '.join(names) or 'all namespaces'}" for cluster, names in where.items()]
    return "; ".join(parts)[:400]
