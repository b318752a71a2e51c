"""Which repositories, applications or jobs belong to the services that are asked about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from incident_pipeline.config import Scenario
from incident_pipeline.connectors.base import Question
from incident_pipeline.errors import PermanentSourceError

EVERY_SERVICE = "*"
MAX_PROJECTS = 20

_SCP = re.compile(r"^(?:[\w.-]+@)([\w.-]+):(?!//)(.+)$")


class Project(NamedTuple):
    """One project and whose it is; None: of every service."""

    service: str | None
    name: str


def projects_of(question: Question) -> list[Project]:
    """The projects of the services that are asked about, and those of every service; all where none has one."""
    wanted = {service.casefold() for service in question.services}
    every = [
        Project(None if service == EVERY_SERVICE else service, name)
        for service, names in question.projects.items()
        for name in names
    ]
    own = [one for one in every if one.service is not None and one.service.casefold() in wanted]
    shared = [one for one in every if one.service is None]
    return ([*own, *shared] if own else every)[:MAX_PROJECTS]


def needed_projects(question: Question, key: str, what: str) -> list[Project]:
    """Like `projects_of`, for systems that cannot be asked about everything.

    Raises:
        PermanentSourceError: none is configured.
    """
    found = projects_of(question)
    if not found:
        raise PermanentSourceError(f"{key} names no {what}; write for each service which {what} is its own")
    return found


def repository_path(place: str, hosts: frozenset[str] | None = None) -> str | None:
    """`owner/name` of a repository written as such, as a URL or as `git@host:owner/name.git`.

    Args:
        place: as configured.
        hosts: the hosts that count; None: any.

    Returns:
        None where it is a path on this machine or of another host.
    """
    scp = _SCP.match(place)
    if scp:
        host, path = scp[1], scp[2]
    elif "://" in place:
        parts = urlsplit(place)
        host, path = parts.hostname or "", parts.path
    elif place.startswith((".", "/", "~")) or "\\" in place:
        return None
    else:
        host, path = "", place
    path = path.strip("/").removesuffix(".git")
    if host and hosts is not None and host.casefold() not in hosts:
        return None
    return path if path.count("/") >= 1 and re.fullmatch(r"[\w.\-/]+", path) and ".." not in path else None


def repositories_of(question: Question, key: str, hosts: frozenset[str] | None = None) -> list[Project]:
    """The repositories of the services that are asked about, as `owner/name`.

    Raises:
        PermanentSourceError: none is configured.
    """
    named = {
        service: tuple(path for place in places if (path := repository_path(place.partition("#")[0], hosts)))
        for service, places in _mapping(question.projects).items()
    }
    given = question.model_copy(update={"projects": {s: paths for s, paths in named.items() if paths}})
    return needed_projects(given, key, "repository")


def projects_by_service(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """Service -> all that is configured as its repositories, applications and jobs."""
    context = scenario.context
    found: dict[str, tuple[str, ...]] = dict(context.deployments.projects)
    for service, places in context.code.repositories.items():
        found[service] = tuple(dict.fromkeys((*found.get(service, ()), *places)))
    return found


def owner_of(repository: str, projects: Mapping[str, Sequence[str]]) -> str | None:
    """The one service whose repository this is; None where none is, or several are."""
    owners = {
        service
        for service, places in projects.items()
        for place in places
        if service != EVERY_SERVICE
        and (path := repository_path(place.partition("#")[0])) is not None
        and path.casefold() == repository.casefold()
    }
    return owners.pop() if len(owners) == 1 else None


def _mapping(projects: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return dict(projects)
