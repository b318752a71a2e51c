"""GitLab's objects as the words of the domain: from its API and from its webhooks alike.

A pipeline is a deployment only where one of its jobs deploys: by its environment, or by the name of its job or stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from incident_pipeline.connectors.base import Received
from incident_pipeline.connectors.projects import Project, owner_of
from incident_pipeline.connectors.shapes import at, items
from incident_pipeline.connectors.versions import DEPLOYS, deployed_version
from incident_pipeline.errors import InputError
from incident_pipeline.intake.alert_fields import one_line
from incident_pipeline.json_text import clean
from incident_pipeline.models import CodeChange, Deployment
from incident_pipeline.moments import parse_moment

MAX_DIFF = 20_000
MAX_FILES = 300

_STATUSES = {"success": "success", "failed": "failed", "canceled": "cancelled", "canceling": "cancelled"}
_STATUSES |= {"skipped": "skipped"}
_STATUSES |= dict.fromkeys(
    (
        *("created", "running", "blocked", "pending", "preparing", "scheduled", "manual"),
        "waiting_for_resource",
        "waiting_for_callback",
    ),
    "in_progress",
)
_DONE = ("success", "failed", "canceled")


def deployment_from(item: Mapping[str, Any], listed: Sequence[Any], service: str) -> Deployment:
    """A deployment; `listed` are those around it, for the version before."""
    status = str(item.get("status") or at(item, "deployable", "status") or "unknown")
    finished = (at(item, "deployable", "finished_at") or item.get("updated_at")) if status in _DONE else None
    created = item.get("created_at") or item.get("updated_at")
    previous = previous_of(item, listed)
    ref = one_line(item.get("ref"))
    return Deployment(
        id=str(item["id"]),
        service=service,
        environment=one_line(at(item, "environment", "name")),
        version=_version(item),
        previous_version=_version(previous) if previous else None,
        status=_STATUSES.get(status, status),
        started_at=parse_moment(at(item, "deployable", "started_at") or created),
        finished_at=parse_moment(finished) if finished else None,
        actor=one_line(at(item, "user", "username")),
        url=one_line(at(item, "deployable", "web_url"), 2000),
        commit_sha=one_line(item.get("sha")),
        source="gitlab",
        attributes={"ref": ref} if ref else {},
    )


def previous_of(item: Mapping[str, Any], listed: Sequence[Any]) -> Any:
    """The newest successful deployment before this one, in the same environment and of another commit."""
    environment = one_line(at(item, "environment", "name"))
    before = [
        one
        for one in listed
        if at(one, "status") == "success"
        and one_line(at(one, "environment", "name")) == environment
        and str(at(one, "created_at") or "~") < str(item.get("created_at") or "")
        and at(one, "sha") != item.get("sha")
    ]
    return max(before, key=lambda one: str(at(one, "created_at")), default=None)


def change_from(item: Mapping[str, Any], diffs: Sequence[Any], project: Project) -> CodeChange:
    """A commit with its diff."""
    text = "\n".join(
        f"--- a/{at(one, 'old_path')}\n+++ b/{at(one, 'new_path')}\n{at(one, 'diff')}"
        for one in diffs
        if at(one, "diff")
    )
    return CodeChange(
        sha=str(item["id"]),
        repository=project.name,
        service=project.service,
        author=one_line(item.get("author_name")),
        message=clean(str(item.get("message") or item.get("title") or "")).strip(),
        files=tuple(str(at(one, "new_path")) for one in diffs[:MAX_FILES] if at(one, "new_path")),
        diff=clean(text[:MAX_DIFF]) or None,
        additions=at(item, "stats", "additions"),
        deletions=at(item, "stats", "deletions"),
        committed_at=parse_moment(item.get("committed_date") or item["created_at"]),
        url=one_line(item.get("web_url"), 2000),
        attributes={"merge": True} if len(items(item.get("parent_ids"))) > 1 else {},
    )


def deployment_from_pipeline(pipeline: Mapping[str, Any], jobs: Sequence[Any], service: str) -> Deployment | None:
    """A pipeline whose jobs deploy; None for one that only builds and tests."""
    deploying = [job for job in jobs if _deploys(job)]
    if not deploying or not pipeline.get("id"):
        return None
    status = _of_jobs(deploying)
    started = [m for job in deploying if (m := at(job, "started_at") or at(job, "created_at"))]
    finished = [m for job in deploying if (m := at(job, "finished_at"))]
    names = [one_line(at(job, "environment", "name")) for job in deploying]
    return Deployment(
        id=f"pipeline:{pipeline['id']}",
        service=service,
        environment=next((name for name in names if name), None),
        version=deployed_version(pipeline.get("ref"), pipeline.get("sha"), tag=pipeline.get("tag") is True),
        status=status,
        started_at=parse_moment(min(map(str, started)) if started else pipeline["created_at"]),
        finished_at=parse_moment(max(map(str, finished))) if finished and status != "in_progress" else None,
        actor=one_line(at(pipeline, "user", "username") or at(deploying, 0, "user", "username")),
        url=one_line(pipeline.get("web_url") or pipeline.get("url"), 2000),
        commit_sha=one_line(pipeline.get("sha")),
        source="gitlab",
        attributes={"ref": pipeline.get("ref"), "jobs": [one_line(at(job, "name")) for job in deploying[:10]]},
    )


def deployment_from_webhook(body: Mapping[str, Any], service: str | None = None) -> Deployment | None:
    """The deployment of a `deployment` or `pipeline` webhook; None for others."""
    project = one_line(at(body, "project", "name"))
    if body.get("object_kind") == "pipeline" and isinstance(body.get("object_attributes"), Mapping):
        pipeline = {**body["object_attributes"], "user": body.get("user")}
        return deployment_from_pipeline(pipeline, items(body.get("builds")), service or project or "unknown")
    if body.get("object_kind") != "deployment":
        return None
    status = str(body.get("status") or "unknown")
    moment = parse_moment(body["status_changed_at"])
    sha = one_line(str(body.get("commit_url") or "").rpartition("/")[2]) or one_line(body.get("short_sha"))
    return Deployment(
        id=str(body.get("deployment_id") or body["deployable_id"]),
        service=service or project,
        environment=one_line(body.get("environment")),
        version=deployed_version(body.get("ref"), body.get("short_sha") or sha, tag=body.get("ref_type") == "tag"),
        status=_STATUSES.get(status, status),
        started_at=None if status in _DONE else moment,
        finished_at=moment if status in _DONE else None,
        actor=one_line(at(body, "user", "username")),
        url=one_line(body.get("deployable_url"), 2000),
        commit_sha=sha,
        source="gitlab",
        attributes={"ref": ref} if (ref := one_line(body.get("ref"))) else {},
    )


def changes_from_push(body: Mapping[str, Any], service: str | None = None) -> list[CodeChange]:
    """The commits that a push webhook lists."""
    branch = _branch(body)
    return [
        CodeChange(
            sha=str(commit["id"]),
            repository=one_line(at(body, "project", "path_with_namespace")),
            service=service,
            author=one_line(at(commit, "author", "name")),
            message=clean(str(commit.get("message") or commit.get("title") or "")).strip(),
            files=tuple(
                dict.fromkeys(str(f) for key in ("added", "modified", "removed") for f in items(commit.get(key)))
            ),
            committed_at=parse_moment(commit["timestamp"]),
            url=one_line(commit.get("url"), 2000),
            attributes={"branch": branch} if branch else {},
        )
        for commit in items(body.get("commits"))
        if isinstance(commit, Mapping) and commit.get("id")
    ]


def received(body: Any, projects: Mapping[str, Sequence[str]]) -> Received:
    """Read a webhook: pushes to the default branch, deployments, pipelines that deploy; nothing of other events.

    Args:
        body: as it came, parsed.
        projects: service -> its projects, as configured; a project of no service is told under its own name.

    Raises:
        InputError: one sentence that names the field.
    """
    if not isinstance(body, Mapping):
        raise InputError("expected a JSON object")
    service = owner_of(one_line(at(body, "project", "path_with_namespace")) or "", projects)
    try:
        if body.get("object_kind") == "push":
            default = one_line(at(body, "project", "default_branch"))
            counts = _branch(body) is not None and default in (None, _branch(body))
            return Received(changes=tuple(changes_from_push(body, service)) if counts else ())
        deployment = deployment_from_webhook(body, service)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"the webhook cannot be read: {' '.join(str(error).split())[:150]} is missing or odd"
        ) from error
    return Received(deployments=(deployment,) if deployment else ())


def _branch(body: Mapping[str, Any]) -> str | None:
    ref = one_line(body.get("ref")) or ""
    return ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None


def _deploys(job: Any) -> bool:
    if at(job, "status") in ("skipped", "manual", "created"):
        return False
    if at(job, "environment", "name"):
        return str(at(job, "environment", "action") or "start") == "start"
    return any(DEPLOYS.search(one_line(at(job, key)) or "") for key in ("stage", "name"))


def _of_jobs(jobs: Sequence[Any]) -> str:
    statuses = {_STATUSES.get(str(at(job, "status")), "in_progress") for job in jobs}
    order = ("failed", "in_progress", "cancelled", "success")
    return next((status for status in order if status in statuses), "unknown")


def _version(item: Any) -> str | None:
    return deployed_version(at(item, "ref"), at(item, "sha"), tag=at(item, "deployable", "tag") is True)
