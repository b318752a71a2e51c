"""GitLab: deployments, pipelines that deploy, and commits with their diffs.

Endpoints (https://docs.gitlab.com/ee/api/):
`/projects/:id/deployments?updated_after&updated_before&order_by=updated_at`; `/pipelines` and their `/jobs`, where a
project deploys without environments; `/repository/commits?since&until&with_stats=true`, `/commits/:sha/diff`, and
`/compare?from&to` for what a deployment in the window brought that was committed before it. The project is its path,
encoded. Where both have a status, the deployment's counts, not its job's. Pages: `Link`; totals are missing above
10,000 rows. Limits: 429 with Retry-After, or `RateLimit-Reset` (seconds since 1970). What its objects and webhooks look
like is in `gitlab_rows.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from incident_pipeline.connectors.answers import Answer, Dialect, number, retry_after
from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.gitlab_rows import (
    change_from,
    deployment_from,
    deployment_from_pipeline,
    previous_of,
)
from incident_pipeline.connectors.hosted_git import is_within, linked_pages, of_projects, service_of, with_released
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.connectors.paging import Collected, bounded, collect, mapped
from incident_pipeline.connectors.projects import Project
from incident_pipeline.connectors.shapes import at, items
from incident_pipeline.errors import SourceError
from incident_pipeline.models import CodeChange, Deployment, Envelope, EvidenceKind
from incident_pipeline.moments import format_moment

URL = "https://gitlab.com"
API = "/api/v4"
MAX_DETAILED = 40
MAX_PIPELINES = 10
"""Pipelines of one project, newest first, whose jobs are looked at."""
AT_ONCE = 6


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
        read = self._changes if question.kind is EvidenceKind.CODE_CHANGES else self._releases
        return await of_projects(self.name, question, self._hosts, read)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _releases(self, project: Project, question: Question, deadline: Deadline) -> Collected[Deployment]:
        """Deployments, and pipelines that deploy without an environment of their own."""
        found = await self._deployments(project, question, deadline)
        known = {row.commit_sha for row in found.rows}
        found.add(await self._pipelines(project, question, known, deadline))
        return found

    async def _pipelines(
        self, project: Project, question: Question, known: set[str | None], deadline: Deadline
    ) -> Collected[Deployment]:
        params = {key: value for key, value in _window(question).items() if key != "sort"}
        try:
            path = f"{_path(project)}/pipelines"
            listed = await collect(
                linked_pages(self._client, path, {**params, "sort": "desc"}, deadline), deadline, 100
            )
            wanted = [one for one in listed.rows if at(one, "sha") not in known and at(one, "id")][:MAX_PIPELINES]
            jobs = await bounded((self._jobs(path, one, deadline) for one in wanted), AT_ONCE)
        except SourceError as error:
            return Collected(notes=[f"pipelines of {project.name} were not read: {error}"])
        service = service_of(project)
        pairs = Collected(list(zip(wanted, jobs, strict=True)))
        return mapped(pairs, lambda pair: deployment_from_pipeline(pair[0], pair[1], service), "pipelines")

    async def _jobs(self, path: str, pipeline: Any, deadline: Deadline) -> list[Any]:
        answer = await self._client.get(f"{path}/{pipeline['id']}/jobs", {"per_page": 100}, deadline=deadline)
        return answer.list()

    async def _changes(self, project: Project, question: Question, deadline: Deadline) -> Collected[CodeChange]:
        return await with_released(
            self._commits(project, question, deadline), self._released(project, question, deadline)
        )

    async def _released(self, project: Project, question: Question, deadline: Deadline) -> Collected[CodeChange]:
        """What the newest deployment of the window brought; nothing where that cannot be told."""
        try:
            params = {"order_by": "created_at", "sort": "desc", "per_page": 30, "status": "success"}
            listed = (await self._client.get(f"{_path(project)}/deployments", params, deadline=deadline)).list()
            after = next((one for one in listed if is_within(at(one, "created_at"), question)), None)
            before = previous_of(after, listed) if isinstance(after, Mapping) else None
            if before is None:
                return Collected()
            commits = {"from": at(before, "sha"), "to": at(after, "sha")}
            answer = await self._client.get(f"{_path(project)}/repository/compare", commits, deadline=deadline)
        except SourceError:
            return Collected()
        rows, diffs = items(answer.object().get("commits")), items(answer.object().get("diffs"))
        only = diffs if len(rows) == 1 else []
        found = mapped(Collected(rows), lambda one: change_from(one, only, project), "commits")
        found.rows = [row.model_copy(update={"attributes": {**row.attributes, "released": True}}) for row in found.rows]
        return found

    async def _deployments(self, project: Project, question: Question, deadline: Deadline) -> Collected[Deployment]:
        params = _window(question)
        listed = await collect(
            linked_pages(self._client, f"{_path(project)}/deployments", params, deadline), deadline, 300
        )
        service = service_of(project)
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
        listed = await collect(linked_pages(self._client, path, params, deadline), deadline, 200)
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


def _window(question: Question) -> dict[str, Any]:
    return {
        "updated_after": format_moment(question.window.start),
        "updated_before": format_moment(question.window.end),
        "order_by": "updated_at",
        "sort": "desc",
        "per_page": 100,
    }


def _path(project: Project) -> str:
    return f"{API}/projects/{quote(project.name, safe='')}"


def _wait(answer: Answer, now: float) -> float | None:
    reset = number(answer, "ratelimit-reset")
    return retry_after(answer, now) or (reset - now if reset else None)
