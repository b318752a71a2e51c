"""Argo CD: what was synchronised when, as deployments.

Endpoints: `GET /api/v1/applications` with `fields` (answers are megabytes otherwise), `/applications/{name}` and
`/applications/{name}/revisions/{revision}/metadata` (https://argo-cd.readthedocs.io/en/stable/developer-guide/api-docs/).
`status.history` has successful syncs only, oldest first, usually the last ten, and a revision may repeat; a failed or
running sync is in `status.operationState` alone. Several sources have `revisions`; a chart's revision is its version.
An application that does not exist, or lies in another namespace, is answered with 403, not 404.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient, bearer
from incident_pipeline.connectors.paging import Collected, bounded, mapped
from incident_pipeline.connectors.projects import projects_of
from incident_pipeline.connectors.shapes import at, items, rows_at
from incident_pipeline.errors import SourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.intake.alert_fields import one_line
from incident_pipeline.models import Deployment, Envelope, EvidenceKind
from incident_pipeline.moments import parse_moment

FIELDS = ",".join(
    f"items.{path}"
    for path in (
        *("metadata.name", "metadata.namespace", "metadata.labels", "spec.destination", "spec.project"),
        *("status.history", "status.operationState", "status.summary", "status.health"),
    )
)
MAX_DETAILED = 10
AT_ONCE = 5

_PHASES = {"Succeeded": "success", "Failed": "failed", "Error": "failed", "Running": "in_progress"}
_PHASES |= {"Terminating": "in_progress"}
_SHA = re.compile(r"[0-9a-f]{40}")
_SERVICE_LABELS = ("app.kubernetes.io/part-of", "app.kubernetes.io/name", "app", "service")


class ArgoCD:
    """One Argo CD."""

    def __init__(self, client: HttpClient, base_url: str, name: str = "argocd") -> None:
        self.name = name
        self.kinds = frozenset({EvidenceKind.DEPLOYMENTS})
        self._client = client
        self._base_url = base_url.rstrip("/")

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Syncs of the window, of all applications: the cause may be a neighbour's release.

        Raises:
            SourceError: it did not answer.
        """
        deadline = Deadline(question.seconds)
        answer = await self._client.get("/api/v1/applications", {"fields": FIELDS}, deadline=deadline)
        applications = Collected(rows_at(answer, "items"))
        owners = {one.name: one.service for one in projects_of(question) if one.service}
        read = mapped(applications, lambda one: syncs_of(one, owners, self._base_url), "applications")
        rows = [sync for syncs in read.rows for sync in syncs if _within(sync, question)]
        rows.sort(key=lambda row: row.at or question.window.start, reverse=True)
        rows = [
            *await bounded((self._told(row, deadline) for row in rows[:MAX_DETAILED]), AT_ONCE),
            *rows[MAX_DETAILED:],
        ]
        about = {"window": question.window, "query": "applications", **read.about()}
        return answered(question.kind, self.name, rows[: question.limit], **about)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _told(self, row: Deployment, deadline: Deadline) -> Deployment:
        """The deployment with the author and message of its commit, where Argo CD knows them."""
        if not row.commit_sha:
            return row
        try:
            application = quote(str(row.attributes["application"]), safe="")
            path = f"/api/v1/applications/{application}/revisions/{row.commit_sha}/metadata"
            params = {"appNamespace": row.attributes.get("namespace") or ""}
            found = (await self._client.get(path, params, deadline=deadline)).object()
        except SourceError:
            return row
        told = {name: text for name in ("author", "message") if (text := one_line(found.get(name)))}
        return row.model_copy(update={"attributes": {**row.attributes, **told}})


def build(settings: SourceSettings) -> ArgoCD:
    """Argo CD at `connections.argocd.url`, with an account's or project's token.

    Raises:
        ConfigurationError: the URL or the token is missing.
    """
    headers = bearer(settings.secret())
    url = settings.url()
    client = HttpClient(settings.name, url, settings.connection, headers=headers, transport=settings.transport)
    return ArgoCD(client, url, settings.name)


def syncs_of(application: Mapping[str, Any], owners: Mapping[str, str | None], base_url: str) -> list[Deployment]:
    """The deployments of one application, newest first; the last operation too, where history does not have it."""
    name = str(application["metadata"]["name"])
    history = [one for one in items(at(application, "status", "history")) if isinstance(one, Mapping)]
    history.sort(key=lambda one: parse_moment(one["deployedAt"]))
    images = [str(image) for image in items(at(application, "status", "summary", "images"))]
    labels = at(application, "metadata", "labels")
    service = owners.get(name) or next((one_line(v) for key in _SERVICE_LABELS if (v := at(labels, key))), name)
    common = {
        "service": service,
        "environment": one_line(at(application, "spec", "destination", "namespace")),
        "url": f"{base_url}/applications/{quote(name, safe='')}",
        "source": "argocd",
    }
    place = {"application": name, "namespace": one_line(at(application, "metadata", "namespace"))}
    found = []
    before = None
    for index, one in enumerate(history):
        revision = _revision(one)
        tag = _tag(images) if index == len(history) - 1 else None
        found.append(
            Deployment(
                id=f"{name}:{one.get('id')}",
                version=tag or _short(revision),
                previous_version=before,
                status="success",
                started_at=_moment(one.get("deployStartedAt")),
                finished_at=_moment(one["deployedAt"]),
                actor=_actor(one.get("initiatedBy")),
                commit_sha=_sha(revision),
                attributes=place,
                **common,
            )
        )
        before = _short(revision) if _short(revision) else before
    last = _operation(application, name, before, {**common, "attributes": place})
    ended = {row.finished_at for row in found}
    if last and not (last.status == "success" and last.finished_at and _is_near(last.finished_at, ended)):
        found.append(last)
    return found[::-1]


def _operation(
    application: Mapping[str, Any], name: str, before: str | None, common: dict[str, Any]
) -> Deployment | None:
    state = at(application, "status", "operationState")
    started = _moment(at(state, "startedAt"))
    if started is None:
        return None
    result = at(state, "syncResult")
    revision = _revision(result) or _revision(at(state, "operation", "sync"))
    phase = str(at(state, "phase"))
    message = one_line(at(state, "message"))
    return Deployment(
        id=f"{name}:operation:{started:%Y%m%dT%H%M%S}",
        version=_short(revision),
        previous_version=before if before != _short(revision) else None,
        status=_PHASES.get(phase, phase.lower()),
        started_at=started,
        finished_at=_moment(at(state, "finishedAt")),
        actor=_actor(at(state, "operation", "initiatedBy")),
        commit_sha=_sha(revision),
        **{**common, "attributes": {**common["attributes"], **({"message": message} if message else {})}},
    )


def _revision(one: Any) -> str | None:
    several = [str(revision) for revision in items(at(one, "revisions")) if revision]
    return one_line(at(one, "revision")) or (several[0] if several else None)


def _sha(revision: str | None) -> str | None:
    return revision if revision and _SHA.fullmatch(revision) else None


def _short(revision: str | None) -> str | None:
    return revision[:12] if _sha(revision) and revision else revision


def _tag(images: list[str]) -> str | None:
    """The tag of the application's only image."""
    tags = {image.rpartition(":")[2] for image in images if ":" in image.rpartition("/")[2] and "@" not in image}
    return tags.pop() if len(tags) == 1 and len(images) == 1 else None


def _actor(initiated: Any) -> str | None:
    return one_line(at(initiated, "username")) or ("automated" if at(initiated, "automated") else None)


def _moment(value: Any) -> datetime | None:
    return parse_moment(value) if value else None


def _is_near(moment: datetime, others: set[datetime | None]) -> bool:
    return any(other is not None and abs((other - moment).total_seconds()) <= 5 for other in others)


def _within(row: Deployment, question: Question) -> bool:
    return row.at is not None and question.window.start <= row.at < question.window.end
