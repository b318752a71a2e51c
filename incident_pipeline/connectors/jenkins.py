"""Jenkins: builds of the jobs that deploy, with their causes and change sets.

Endpoints (https://www.jenkins.io/doc/book/using/remote-access-api/): `/job/A/job/B/api/json?tree=...`, always with
`tree` and a range, for a whole job is megabytes; for builds that did not succeed `/job/A/job/B/N/wfapi/describe`, which
only pipelines have. Basic authentication with a user's API token. `timestamp` is the start in ms; `result` is null
while building; freestyle jobs have `changeSet`, pipelines `changeSets`; `actions` holds empty objects, and
several BuildData where shared libraries are used. Behind a login an HTML page comes with 200.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.connectors.paging import Collected, bounded, mapped, together
from incident_pipeline.connectors.projects import Project, needed_projects
from incident_pipeline.connectors.shapes import at, items, rows_at
from incident_pipeline.errors import ConfigurationError, SourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.intake.alert_fields import one_line
from incident_pipeline.models import Deployment, Envelope, EvidenceKind
from incident_pipeline.moments import parse_moment

MAX_BUILDS = 100
MAX_STAGED = 5
"""Builds of one job, newest first, whose stages are looked at where they did not succeed."""
AT_ONCE = 5
TREE = (
    "builds[number,url,timestamp,duration,result,building,displayName,description,"
    "actions[causes[shortDescription,userName],lastBuiltRevision[SHA1,branch[name]],remoteUrls,parameters[name,value]],"
    "changeSet[items[commitId,msg,author[fullName],affectedPaths]],"
    f"changeSets[items[commitId,msg,author[fullName],affectedPaths]]]{{0,{MAX_BUILDS}}}"
)
_RESULTS = {
    "SUCCESS": "success",
    "UNSTABLE": "unstable",
    "FAILURE": "failed",
    "ABORTED": "cancelled",
    "NOT_BUILT": "skipped",
}
_VERSION_PARAMETERS = ("version", "tag", "image_tag", "release", "app_version", "release_version")
_ENVIRONMENT_PARAMETERS = ("environment", "env", "stage", "deploy_env", "target_env")


class Jenkins:
    """One Jenkins."""

    def __init__(self, client: HttpClient, name: str = "jenkins") -> None:
        self.name = name
        self.kinds = frozenset({EvidenceKind.DEPLOYMENTS})
        self._client = client

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Builds that began in the window, of the jobs of the services.

        Raises:
            SourceError: no job could be read.
        """
        deadline = Deadline(question.seconds)
        jobs = needed_projects(question, "context.deployments.projects", "job")
        found = await together({job.name: self._builds(job, question, deadline) for job in jobs})
        rows = sorted(found.rows, key=lambda row: row.at or question.window.start, reverse=True)
        about = {"window": question.window, "query": ", ".join(job.name for job in jobs), **found.about()}
        return answered(question.kind, self.name, rows[: question.limit], **about)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _builds(self, job: Project, question: Question, deadline: Deadline) -> Collected[Deployment]:
        answer = await self._client.get(f"{job_path(job.name)}/api/json", {"tree": TREE}, deadline=deadline)
        builds = rows_at(answer, "builds")
        read = mapped(Collected(builds), lambda build: deployment_from(build, builds, job), "builds")
        within = [row for row in read.rows if row.started_at and row.started_at >= question.window.start]
        read.truncated = len(builds) >= MAX_BUILDS and len(within) == len(read.rows)
        rows = [row for row in within if row.started_at and row.started_at < question.window.end]
        told = await bounded((self._staged(row, job, deadline) for row in rows[:MAX_STAGED]), AT_ONCE)
        read.rows = [*told, *rows[MAX_STAGED:]]
        return read

    async def _staged(self, row: Deployment, job: Project, deadline: Deadline) -> Deployment:
        """A build that did not succeed, with its stages; other builds, and jobs that have none, as they are."""
        if row.status in ("success", "skipped"):
            return row
        number = row.id.rpartition(":")[2]
        try:
            path = f"{job_path(job.name)}/{quote(number, safe='')}/wfapi/describe"
            stages = items((await self._client.get(path, deadline=deadline)).object().get("stages"))
        except SourceError:
            return row
        told = {name: one_line(at(one, "status")) for one in stages if (name := one_line(at(one, "name")))}
        return row.model_copy(update={"attributes": {**row.attributes, "stages": told}}) if told else row


def build(settings: SourceSettings) -> Jenkins:
    """Jenkins at `connections.jenkins.url`, with `username` and that user's API token as `token` or `password`.

    Raises:
        ConfigurationError: the URL is missing, or the user to the token.
    """
    connection = settings.connection
    headers: dict[str, SecretStr] = {}
    if settings.token is not None and connection.password is None:
        if not connection.username:
            raise ConfigurationError(f"connections.{settings.name}.username is not set; a token of Jenkins has a user")
        pair = f"{connection.username}:{settings.token.get_secret_value()}".encode()
        headers["Authorization"] = SecretStr(f"Basic {base64.b64encode(pair).decode()}")
        connection = connection.model_copy(update={"username": None})
    client = HttpClient(settings.name, settings.url(), connection, headers=headers, transport=settings.transport)
    return Jenkins(client, settings.name)


def job_path(name: str) -> str:
    """`folder/job` or the job's URL as a path; a branch's slash stays encoded, as multibranch jobs want it."""
    if "://" in name:
        return urlsplit(name).path.rstrip("/")
    steps = [step for step in name.strip("/").split("/") if step and step != "job"]
    return "".join(f"/job/{quote(step, safe='%')}" for step in steps)


def deployment_from(build: Mapping[str, Any], listed: Sequence[Any], job: Project) -> Deployment:
    """A build; `listed` are the job's builds, newest first, for the version before."""
    started = parse_moment(build["timestamp"])
    running = build.get("building") is True or build.get("result") is None
    duration = build.get("duration") or 0
    result = one_line(build.get("result"))
    before = [one for one in listed if _number(one) < _number(build) and at(one, "result") == "SUCCESS"]
    previous = max(before, key=_number, default=None)
    data = _build_data(build, job)
    branch = one_line(at(data, "lastBuiltRevision", "branch", 0, "name"))
    return Deployment(
        id=f"{job.name}:{build['number']}",
        service=job.service or job.name.rstrip("/").rpartition("/")[2],
        environment=_parameter(build, _ENVIRONMENT_PARAMETERS),
        version=version_of(build, job),
        previous_version=version_of(previous, job) if previous else None,
        status="in_progress" if running else _RESULTS.get(result or "", (result or "unknown").lower()),
        started_at=started,
        finished_at=None if running else started + timedelta(milliseconds=float(duration)),
        actor=_actor(build),
        url=one_line(build.get("url"), 2000),
        commit_sha=one_line(at(data, "lastBuiltRevision", "SHA1")),
        source="jenkins",
        attributes={**({"branch": branch} if branch else {}), **({"changes": c} if (c := _changes(build)) else {})},
    )


def version_of(build: Any, job: Project) -> str | None:
    """The parameter that names a version, else a display name of its own, else the beginning of the commit."""
    display = one_line(at(build, "displayName"))
    own = display if display and not display.startswith("#") else None
    sha = one_line(at(_build_data(build, job), "lastBuiltRevision", "SHA1"))
    return _parameter(build, _VERSION_PARAMETERS) or own or (sha[:12] if sha else None) or display


def _build_data(build: Any, job: Project) -> Any:
    """What was checked out: of several the one whose repository is named like the service or the job."""
    found = [one for one in items(at(build, "actions")) if at(one, "lastBuiltRevision")]
    names = [name.casefold() for name in (job.service, job.name.rpartition("/")[2]) if name]
    for one in found:
        if any(name in str(url).casefold() for url in items(at(one, "remoteUrls")) for name in names):
            return one
    return found[0] if found else None


def _parameter(build: Any, names: Sequence[str]) -> str | None:
    given = {
        str(at(one, "name")).lower(): one_line(at(one, "value"))
        for action in items(at(build, "actions"))
        for one in items(at(action, "parameters"))
    }
    return next((given[name] for name in names if given.get(name)), None)


def _actor(build: Mapping[str, Any]) -> str | None:
    causes = [cause for action in items(build.get("actions")) for cause in items(at(action, "causes"))]
    named = (one_line(at(cause, "userName")) or one_line(at(cause, "shortDescription")) for cause in causes)
    return next((name for name in named if name), None)


def _changes(build: Mapping[str, Any]) -> list[str]:
    sets = [*items(build.get("changeSets")), build.get("changeSet")]
    commits = [one for changes in sets for one in items(at(changes, "items"))]
    return [
        f"{str(at(one, 'commitId') or '')[:12]} {one_line(at(one, 'msg'), 200) or ''}".strip() for one in commits[:20]
    ]


def _number(build: Any) -> int:
    number = at(build, "number")
    return number if isinstance(number, int) else -1
