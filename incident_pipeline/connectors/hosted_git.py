"""What services that host git repositories have in common: several projects, pages by `Link`, commits and releases.

Belongs here: what GitHub and GitLab do alike. Paths and fields are each vendor's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from incident_pipeline.connectors.answers import Answer
from incident_pipeline.connectors.base import Question
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.connectors.paging import Collected, together, unique
from incident_pipeline.connectors.projects import Project, repositories_of
from incident_pipeline.connectors.shapes import rows_at
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.evidence.focus_areas import with_focus_areas
from incident_pipeline.models import CodeChange, Deployment, Envelope, EvidenceKind
from incident_pipeline.moments import parse_moment

Read = Callable[[Project, Question, Deadline], Awaitable[Collected[Any]]]


async def of_projects(source: str, question: Question, hosts: frozenset[str], read: Read) -> Envelope[Any]:
    """Deployments or commits of the window in all projects of the services, newest first.

    Args:
        source: the connector's name.
        question: about deployments or code changes.
        hosts: whose repositories are this source's.
        read: reads one project.

    Raises:
        SourceError: no project could be read.
    """
    deadline = Deadline(question.seconds)
    changes = question.kind is EvidenceKind.CODE_CHANGES
    key = "context.code.repositories" if changes else "context.deployments.projects"
    projects = repositories_of(question, key, hosts)
    found = await together({one.name: read(one, question, deadline) for one in projects})
    rows = sorted(found.rows, key=lambda row: _moment(row) or question.window.start, reverse=True)
    rows = list(with_focus_areas(rows, question.focus_areas)) if changes else rows
    about = {"window": question.window, "query": ", ".join(one.name for one in projects), **found.about()}
    return answered(question.kind, source, rows[: question.limit], **about)


async def with_released(
    commits: Awaitable[Collected[CodeChange]], released: Awaitable[Collected[CodeChange]]
) -> Collected[CodeChange]:
    """The commits of the window, and the older ones that were released in it."""
    found, older = await asyncio.gather(commits, released)
    found.rows = unique([*found.rows, *older.rows], lambda change: change.sha)
    return found


async def linked_pages(
    client: HttpClient, path: str, params: Mapping[str, Any], deadline: Deadline, *keys: str
) -> AsyncIterator[list[Any]]:
    """The rows of each page, found below the keys, as far as the `Link` header leads."""

    def rows(answer: Answer) -> list[Any]:
        return rows_at(answer, *keys) if keys else answer.list()

    answer = await client.get(path, params, deadline=deadline)
    yield rows(answer)
    while answer.next_link:
        answer = await client.get(answer.next_link, deadline=deadline)
        yield rows(answer)


def is_within(moment: Any, question: Question) -> bool:
    """Whether a moment lies in the window; one that cannot be read does, for its row is told and then skipped."""
    try:
        return question.window.start <= parse_moment(moment) < question.window.end
    except ValueError:
        return True


def service_of(project: Project) -> str:
    """Whose project it is; else its own last name."""
    return project.service or project.name.rpartition("/")[2]


def _moment(row: CodeChange | Deployment) -> datetime | None:
    return row.committed_at if isinstance(row, CodeChange) else row.at
