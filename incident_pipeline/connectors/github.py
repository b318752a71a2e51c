"""GitHub: deployments with their statuses, runs of Actions, and commits with files and patches.

Endpoints (https://docs.github.com/en/rest, version 2022-11-28): `/repos/{o}/{r}/deployments` (no window of its own:
newest first, read until the window's start) and `/deployments/{id}/statuses`; `/actions/runs?created=A..B`;
`/commits?since&until` (no files), `/commits/{sha}` (files and patches) and its `/pulls`, and `/compare/{base}...{head}`
for what a deployment in the window brought that was committed before it. Next pages are opaque links, followed only
on the same host.
Limits: 429, or 403 with `Retry-After`, with `X-RateLimit-Remaining: 0`, or with the words "rate limit"; then
`Retry-After`, else until `X-RateLimit-Reset` (seconds since 1970), else a minute.
Two sources: `github` is asked for deployments and code changes, `github-actions` for runs of the workflows that deploy,
which are those whose name says so, or those named in the configuration as `owner/repository#workflow`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from incident_pipeline.connectors.answers import TRANSIENT, Answer, Dialect, Rate, number, retry_after, usual_message
from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.github_rows import (
    change_from,
    deployment_from,
    deployment_from_run,
    deploys,
    named_workflows,
    releases,
)
from incident_pipeline.connectors.hosted_git import is_within, linked_pages, of_projects, service_of, with_released
from incident_pipeline.connectors.http import HttpClient, bearer
from incident_pipeline.connectors.paging import Collected, bounded, collect, mapped
from incident_pipeline.connectors.projects import Project
from incident_pipeline.connectors.shapes import at, items
from incident_pipeline.errors import SourceError
from incident_pipeline.models import CodeChange, Deployment, Envelope, EvidenceKind
from incident_pipeline.moments import format_moment, parse_moment

URL = "https://api.github.com"
HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
RATE = Rate(900, 60)
"""Of its secondary limit."""
MAX_COMPARED = 2
MAX_DETAILED = 40
"""Commits and deployments of one repository that are looked at closely, newest first."""
AT_ONCE = 16


class GitHub:
    """GitHub, or a GitHub Enterprise server."""

    def __init__(self, client: HttpClient, name: str, *, actions: bool, hosts: frozenset[str]) -> None:
        self.name = name
        deployments = frozenset({EvidenceKind.DEPLOYMENTS})
        self.kinds = deployments if actions else deployments | {EvidenceKind.CODE_CHANGES}
        self._client = client
        self._actions = actions
        self._hosts = hosts

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Deployments or commits of the window, newest first.

        Raises:
            SourceError: no repository could be read.
        """
        changes = question.kind is EvidenceKind.CODE_CHANGES
        read = self._changes if changes else self._runs if self._actions else self._deployments
        return await of_projects(self.name, question, self._hosts, read)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _deployments(self, project: Project, question: Question, deadline: Deadline) -> Collected[Deployment]:
        start = question.window.start

        async def pages() -> AsyncIterator[list[Any]]:
            path = f"/repos/{project.name}/deployments"
            async for page in linked_pages(self._client, path, {"per_page": 100}, deadline):
                yield page
                oldest = at(page, -1, "created_at")
                if not oldest or parse_moment(oldest) < start:
                    return

        listed = await collect(pages(), deadline, 500)
        within = [one for one in listed.rows if is_within(at(one, "created_at"), question)]
        asked = within[:MAX_DETAILED]
        statuses = dict(zip(map(id, asked), await self._statuses(project, asked, deadline), strict=True))
        listed.truncated = listed.truncated or len(within) > MAX_DETAILED
        failed = {id(one) for one in asked if at(statuses[id(one)], 0, "state") in ("failure", "error")}
        older = [one for one in listed.rows if id(one) not in failed]
        listed.rows = asked
        return mapped(
            listed,
            lambda one: deployment_from(one, statuses.get(id(one), []), older, service_of(project)),
            "deployments",
        )

    async def _statuses(self, project: Project, asked: list[Any], deadline: Deadline) -> list[list[Any]]:
        async def one(item: Any) -> list[Any]:
            try:
                path = f"/repos/{project.name}/deployments/{int(item['id'])}/statuses"
                return (await self._client.get(path, {"per_page": 30}, deadline=deadline)).list()
            except (SourceError, KeyError, TypeError, ValueError):
                return []  # the deployment is told without its outcome

        return await bounded((one(item) for item in asked), AT_ONCE)

    async def _runs(self, project: Project, question: Question, deadline: Deadline) -> Collected[Deployment]:
        created = f"{format_moment(question.window.start)}..{format_moment(question.window.end)}"
        path = f"/repos/{project.name}/actions/runs"

        params = {"created": created, "per_page": 100}
        pages = linked_pages(self._client, path, params, deadline, "workflow_runs")
        listed = await collect(pages, deadline, 500)
        named = named_workflows(question.projects, project.name, self._hosts)
        runs = [run for run in listed.rows if deploys(run, named)]
        if listed.rows and not runs:
            listed.notes.append(
                f"no workflow of {project.name} is named like a deployment; write {project.name}#WORKFLOW below "
                "context.deployments.projects to say which one is"
            )
        older, listed.rows = runs, runs
        service = service_of(project)
        return mapped(listed, lambda run: deployment_from_run(run, older, service), "runs")

    async def _changes(self, project: Project, question: Question, deadline: Deadline) -> Collected[CodeChange]:
        return await with_released(
            self._commits(project, question, deadline), self._released(project, question, deadline)
        )

    async def _released(self, project: Project, question: Question, deadline: Deadline) -> Collected[CodeChange]:
        """What the newest deployment of each environment brought; nothing where that cannot be told."""
        try:
            path = f"/repos/{project.name}/deployments"
            listed = (await self._client.get(path, {"per_page": 30}, deadline=deadline)).list()
            pairs = releases([one for one in listed if is_within(at(one, "created_at"), question)], listed)
            compared = [await self._compare(project, before, after, deadline) for before, after in pairs[:MAX_COMPARED]]
        except SourceError:
            return Collected()
        found = Collected([one for some in compared for one in some])
        return mapped(found, lambda one: change_from(one, project), "commits")

    async def _compare(self, project: Project, before: str, after: str, deadline: Deadline) -> list[Any]:
        path = f"/repos/{project.name}/compare/{quote(before, safe='')}...{quote(after, safe='')}"
        answer = (await self._client.get(path, {"per_page": 100}, deadline=deadline)).object()
        commits = items(answer.get("commits"))
        only = {"files": answer.get("files")} if len(commits) == 1 else {}
        return [{**one, **only, "released": True} for one in commits if isinstance(one, Mapping)]

    async def _commits(self, project: Project, question: Question, deadline: Deadline) -> Collected[CodeChange]:
        params = {
            "since": format_moment(question.window.start),
            "until": format_moment(question.window.end),
            "per_page": 100,
        }
        listed = await collect(
            linked_pages(self._client, f"/repos/{project.name}/commits", params, deadline), deadline, 200
        )
        detailed = listed.rows[:MAX_DETAILED]
        whole = await bounded((self._commit(project, one, deadline) for one in detailed), AT_ONCE)
        lacking = sum(at(one, "files") is None for one in whole) + len(listed.rows) - len(detailed)
        listed.rows = [*whole, *listed.rows[MAX_DETAILED:]]
        if lacking:
            listed.notes.append(f"{lacking} commits of {project.name} are told without their files")
        return mapped(listed, lambda one: change_from(one, project), "commits")

    async def _commit(self, project: Project, item: Any, deadline: Deadline) -> Any:
        sha = at(item, "sha")
        if not isinstance(sha, str):
            return item
        path = f"/repos/{project.name}/commits/{quote(sha, safe='')}"
        whole, pulls = await asyncio.gather(
            self._client.get(path, deadline=deadline),
            self._client.request("GET", f"{path}/pulls", params={"per_page": 5}, deadline=deadline, retry=False),
            return_exceptions=True,
        )
        try:
            told = item if isinstance(whole, SourceError) else _answer(whole).object()
            return {**told, "pulls": [] if isinstance(pulls, SourceError) else _answer(pulls).list()}
        except SourceError:
            return item  # without its files it still tells who changed what when


def build(settings: SourceSettings) -> GitHub:
    """GitHub with `connections.github.token`; without one only public repositories, and few requests.

    Raises:
        ConfigurationError: the URL or the token is wrong.
    """
    url = settings.url(URL)
    client = HttpClient(
        settings.name,
        url,
        settings.connection,
        headers={**HEADERS, **bearer(settings.token)},
        dialect=Dialect(transient=is_transient, wait=wait, rate=RATE),
        transport=settings.transport,
    )
    host = (urlsplit(url).hostname or "").casefold()
    hosts = frozenset({host, host.removeprefix("api."), "github.com"})
    return GitHub(client, settings.name, actions=settings.name == "github-actions", hosts=hosts)


def is_transient(answer: Answer) -> bool:
    """Whether the failure passes: a 403 can be a limit."""
    if answer.status != 403:
        return answer.status in TRANSIENT
    limited = "retry-after" in answer.headers or number(answer, "x-ratelimit-remaining") == 0
    return limited or "rate limit" in usual_message(answer).lower()


def wait(answer: Answer, now: float) -> float | None:
    """Seconds to wait for a limit to pass; None for what is no limit."""
    if answer.status not in (403, 429):
        return None
    reset = number(answer, "x-ratelimit-reset")
    if "retry-after" not in answer.headers and number(answer, "x-ratelimit-remaining") == 0 and reset is not None:
        return reset - now
    return retry_after(answer, now) or 60.0


def _answer(given: Answer | BaseException) -> Answer:
    if isinstance(given, BaseException):
        raise given
    return given
