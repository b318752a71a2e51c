"""GitLab: deployments and commits with their diffs.

Endpoints (https://docs.gitlab.com/ee/api/):
`/projects/:id/deployments?updated_after&updated_before&order_by=updated_at`,
`/projects/:id/repository/commits?since&until&with_stats=true` and `/commits/:sha/diff`; the project is its path,
encoded. Where both have a status, the deployment's counts, not its job's. Pages: `Link`; totals are missing above
10,000 rows. Limits: 429 with Retry-After, or `RateLimit-Reset` (seconds since 1970). Webhooks write times like
`2021-04-28 21:50:00 +0200`, and list at most 20 commits of a push.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from incident_pipeline.connectors.answers import Answer, Dialect, number, retry_after
from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.connectors.paging import Collected, bounded, collect, mapped, together
from incident_pipeline.connectors.projects import Project, repositories_of
from incident_pipeline.connectors.shapes import at, items
from incident_pipeline.errors import SourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.evidence.focus_areas import with_focus_areas
from incident_pipeline.intake.alert_fields import one_line
from incident_pipeline.json_text import clean
from incident_pipeline.models import CodeChange, Deployment, Envelope, EvidenceKind
from incident_pipeline.moments import format_moment, parse_moment

URL = "https://gitlab.com"
API = "/api/v4"
MAX_DETAILED = 40
MAX_DIFF = 20_000
MAX_FILES = 300
AT_ONCE = 6

_STATUSES = {"success": "success", "failed": "failed", "canceled": "cancelled", "skipped": "skipped"}
_STATUSES |= dict.fromkeys(("created", "running", "blocked", "pending"), "in_progress")


class GitLab:
    """One GitLab."""

    def __init__(self, client: HttpClient, hosts: frozenset[str], name: str = "gitlab") -> None:
        self.name = name
        self.kinds = frozenset({EvidenceKind.DEPLOYMENTS, EvidenceKind.CODE_CHANGES})
        self._client = client
        self._hosts = hosts

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Deployments or commits of the window, newest first.

        Raises:
            SourceError: no project could be read.
        """
        deadline = Deadline(question.seconds)
        changes = question.kind is EvidenceKind.CODE_CHANGES
        key = "context.code.repositories" if changes else "context.deployments.projects"
        projects = repositories_of(question, key, self._hosts)
        read = self._commits if changes else self._deployments
        found: Collected[Any] = await together({one.name: read(one, question, deadline) for one in projects})
        rows = sorted(found.rows, key=lambda row: _moment(row) or question.window.start, reverse=True)
        rows = list(with_focus_areas(rows, question.focus_areas)) if changes else rows
        about = {"window": question.window, "query": ", ".join(one.name for one in projects), **found.about()}
        return answered(question.kind, self.name, rows[: question.limit], **about)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _deployments(self, project: Project, question: Question, deadline: Deadline) -> Collected[Deployment]:
        params = {
            "updated_after": format_moment(question.window.start),
            "updated_before": format_moment(question.window.end),
            "order_by": "updated_at",
            "sort": "desc",
            "per_page": 100,
        }
        listed = await collect(self._pages(f"{_path(project)}/deployments", params, deadline), deadline, 300)
        service = project.service or project.name.rpartition("/")[2]
        everything = list(listed.rows)
        return mapped(listed, lambda item: deployment_from(item, everything, service), "deployments")

    async def _commits(self, project: Project, question: Question, deadline: Deadline) -> Collected[CodeChange]:
        params = {
            "since": format_moment(question.window.start),
            "until": format_moment(question.window.end),
            "with_stats": "true",
            "per_page": 100,
        }
        path = f"{_path(project)}/repository/commits"
        listed = await collect(self._pages(path, params, deadline), deadline, 200)
        detailed = await bounded((self._diff(path, one, deadline) for one in listed.rows[:MAX_DETAILED]), AT_ONCE)
        diffs = {id(one): diff for one, diff in zip(listed.rows, detailed, strict=False)}
        lacking = sum(diffs.get(id(one)) is None for one in listed.rows)
        if lacking:
            listed.notes.append(f"{lacking} commits of {project.name} are told without their files")
        return mapped(listed, lambda one: change_from(one, diffs.get(id(one)) or (), project), "commits")

    async def _diff(self, path: str, item: Any, deadline: Deadline) -> list[Any] | None:
        sha = at(item, "id")
        if not isinstance(sha, str):
            return None
        try:
            answer = await self._client.get(f"{path}/{quote(sha, safe='')}/diff", {"per_page": 100}, deadline=deadline)
            return answer.list()
        except SourceError:
            return None  # without its files it still tells who changed what when

    async def _pages(self, path: str, params: Mapping[str, Any], deadline: Deadline) -> AsyncIterator[list[Any]]:
        answer = await self._client.get(path, params, deadline=deadline)
        yield answer.list()
        while answer.next_link:
            answer = await self._client.get(answer.next_link, deadline=deadline)
            yield answer.list()


def build(settings: SourceSettings) -> GitLab:
    """GitLab at `connections.gitlab.url` (gitlab.com without one), with a project's or a person's access token.

    Raises:
        ConfigurationError: the URL or the token is wrong.
    """
    url = settings.url(URL)
    headers = {"PRIVATE-TOKEN": SecretStr(settings.token.get_secret_value())} if settings.token else {}
    client = HttpClient(
        settings.name,
        url,
        settings.connection,
        headers=headers,
        dialect=Dialect(wait=_wait),
        transport=settings.transport,
    )
    return GitLab(client, frozenset({(urlsplit(url).hostname or "").casefold(), "gitlab.com"}), settings.name)


def deployment_from(item: Mapping[str, Any], listed: Sequence[Any], service: str) -> Deployment:
    """A deployment; `listed` are those around it, for the version before."""
    status = str(item.get("status") or at(item, "deployable", "status") or "unknown")
    done = status in ("success", "failed", "canceled")
    finished = (at(item, "deployable", "finished_at") or item.get("updated_at")) if done else None
    environment = one_line(at(item, "environment", "name"))
    before = [
        one
        for one in listed
        if at(one, "status") == "success"
        and at(one, "environment", "name") == environment
        and str(at(one, "created_at") or "~") < str(item["created_at"])
    ]
    previous = max(before, key=lambda one: str(at(one, "created_at")), default=None)
    return Deployment(
        id=str(item["id"]),
        service=service,
        environment=environment,
        version=_version(item),
        previous_version=_version(previous) if previous else None,
        status=_STATUSES.get(status, status),
        started_at=parse_moment(at(item, "deployable", "started_at") or item["created_at"]),
        finished_at=parse_moment(finished) if finished else None,
        actor=one_line(at(item, "user", "username")),
        url=one_line(at(item, "deployable", "web_url"), 2000),
        commit_sha=one_line(item.get("sha")),
        source="gitlab",
        attributes={"ref": ref} if (ref := one_line(item.get("ref"))) else {},
    )


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
        committed_at=parse_moment(item["committed_date"]),
        url=one_line(item.get("web_url"), 2000),
        attributes={"merge": True} if len(items(item.get("parent_ids"))) > 1 else {},
    )


def deployment_from_webhook(body: Mapping[str, Any], service: str | None = None) -> Deployment | None:
    """The deployment of a `deployment` webhook; None for others."""
    if body.get("object_kind") != "deployment":
        return None
    status = str(body.get("status") or "unknown")
    moment = parse_moment(body["status_changed_at"])
    done = status in ("success", "failed", "canceled")
    sha = one_line(body.get("short_sha"))
    return Deployment(
        id=str(body["deployment_id"]),
        service=service or one_line(at(body, "project", "name")),
        environment=one_line(body.get("environment")),
        version=one_line(body.get("ref")) if body.get("ref_type") == "tag" else sha,
        status=_STATUSES.get(status, status),
        started_at=None if done else moment,
        finished_at=moment if done else None,
        actor=one_line(at(body, "user", "username")),
        url=one_line(body.get("deployable_url"), 2000),
        commit_sha=one_line(str(body.get("commit_url") or "").rpartition("/")[2]) or sha,
        source="gitlab",
    )


def changes_from_push(body: Mapping[str, Any], service: str | None = None) -> list[CodeChange]:
    """The commits that a push webhook lists."""
    return [
        CodeChange(
            sha=str(commit["id"]),
            repository=one_line(at(body, "project", "path_with_namespace")),
            service=service,
            author=one_line(at(commit, "author", "name")),
            message=clean(str(commit.get("message") or "")).strip(),
            files=tuple(
                dict.fromkeys(str(f) for key in ("added", "modified", "removed") for f in items(commit.get(key)))
            ),
            committed_at=parse_moment(commit["timestamp"]),
            url=one_line(commit.get("url"), 2000),
        )
        for commit in items(body.get("commits"))
        if isinstance(commit, Mapping) and commit.get("id")
    ]


def _version(item: Any) -> str | None:
    ref, sha = one_line(at(item, "ref")), one_line(at(item, "sha"))
    return ref if ref and (at(item, "deployable", "tag") is True or not sha) else sha[:12] if sha else None


def _path(project: Project) -> str:
    return f"{API}/projects/{quote(project.name, safe='')}"


def _moment(row: CodeChange | Deployment) -> datetime | None:
    return row.committed_at if isinstance(row, CodeChange) else row.at


def _wait(answer: Answer, now: float) -> float | None:
    reset = number(answer, "ratelimit-reset")
    return retry_after(answer, now) or (reset - now if reset else None)
