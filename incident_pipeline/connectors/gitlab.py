"""GitLab: deployments and commits with their diffs.

Endpoints (https://docs.gitlab.com/ee/api/):
`/projects/:id/deployments?updated_after&updated_before&order_by=updated_at`,
`/projects/:id/repository/commits?since&until&with_stats=true` and `/commits/:sha/diff`; the project is its path,
encoded. Where both have a status, the deployment's counts, not its job's. Pages: `Link`; totals are missing above
10,000 rows. Limits: 429 with Retry-After, or `RateLimit-Reset` (seconds since 1970). Webhooks write times like
`2021-04-28 21:50:00 +0200`, and list at most 20 commits of a push.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from incident_pipeline.connectors.answers import Answer, Dialect, number, retry_after
from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.gitlab_rows import change_from, deployment_from
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.connectors.paging import Collected, bounded, collect, mapped, together
from incident_pipeline.connectors.projects import Project, repositories_of
from incident_pipeline.connectors.shapes import at
from incident_pipeline.errors import SourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.evidence.focus_areas import with_focus_areas
from incident_pipeline.models import CodeChange, Deployment, Envelope, EvidenceKind
from incident_pipeline.moments import format_moment

URL = "https://gitlab.com"
API = "/api/v4"
MAX_DETAILED = 40
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


def _path(project: Project) -> str:
    return f"{API}/projects/{quote(project.name, safe='')}"


def _moment(row: CodeChange | Deployment) -> datetime | None:
    return row.committed_at if isinstance(row, CodeChange) else row.at


def _wait(answer: Answer, now: float) -> float | None:
    reset = number(answer, "ratelimit-reset")
    return retry_after(answer, now) or (reset - now if reset else None)
