"""GitHub's objects as the words of the domain, from its API and from its webhooks alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from incident_pipeline.connectors.projects import Project, repository_path
from incident_pipeline.connectors.shapes import at, items
from incident_pipeline.connectors.versions import DEPLOYS, deployed_version
from incident_pipeline.intake.alert_fields import one_line
from incident_pipeline.json_text import clean
from incident_pipeline.models import CodeChange, Deployment
from incident_pipeline.moments import parse_moment

MAX_DIFF = 20_000
MAX_FILES = 300

STATES = {
    "success": "success",
    "inactive": "success",
    "failure": "failed",
    "error": "failed",
    "timed_out": "failed",
    "startup_failure": "failed",
    "cancelled": "cancelled",
    "skipped": "skipped",
    "in_progress": "in_progress",
    "queued": "in_progress",
    "pending": "in_progress",
    "waiting": "in_progress",
}
"""GitHub's states and conclusions in our words; `inactive` was once a success, since replaced."""


def deployment_from(
    item: Mapping[str, Any], statuses: Sequence[Any], listed: Sequence[Any], service: str
) -> Deployment:
    """A deployment with its statuses (newest first) and the list it stands in (newest first), for the one before."""
    state = one_line(at(statuses, 0, "state"))
    final = next((s for s in statuses if at(s, "state") in ("success", "failure", "error")), None)
    created = parse_moment(item["created_at"])
    finished = at(final, "created_at")
    payload = item.get("payload")
    return Deployment(
        id=str(item["id"]),
        service=one_line(at(payload, "service")) or service,
        environment=one_line(item.get("environment")),
        version=version_of(item),
        previous_version=_previous(item, listed),
        status=STATES.get(state or "", state) if state else "unknown",
        started_at=created,
        finished_at=parse_moment(finished) if finished else None,
        actor=one_line(at(item, "creator", "login")),
        url=_url(at(statuses, 0, "log_url") or at(statuses, 0, "target_url") or at(statuses, 0, "environment_url")),
        commit_sha=one_line(item.get("sha")),
        source="github",
        attributes={key: item[key] for key in ("ref", "task", "description") if item.get(key)},
    )


def deployment_from_run(run: Mapping[str, Any], listed: Sequence[Any], service: str) -> Deployment:
    """A run of a workflow that deploys; `listed` are the runs around it, newest first."""
    conclusion = one_line(run.get("conclusion"))
    ended = parse_moment(run["updated_at"]) if conclusion and run.get("updated_at") else None
    attempt = run.get("run_attempt") or 1
    return Deployment(
        id=f"{run['id']}:{attempt}",
        service=service,
        version=_run_version(run),
        previous_version=_previous_run(run, listed),
        status=STATES.get(conclusion, conclusion) if conclusion else "in_progress",
        started_at=parse_moment(run.get("run_started_at") or run["created_at"]),
        finished_at=ended,
        actor=one_line(at(run, "triggering_actor", "login") or at(run, "actor", "login")),
        url=_url(run.get("html_url")),
        commit_sha=one_line(run.get("head_sha")),
        source="github-actions",
        attributes={key: run[key] for key in ("name", "path", "event", "head_branch", "run_number") if run.get(key)},
    )


def change_from(item: Mapping[str, Any], project: Project) -> CodeChange:
    """A commit; with files where it was asked for alone."""
    files = items(item.get("files"))
    diff = "\n".join(_patch(file) for file in files if at(file, "patch"))
    parents = items(item.get("parents"))
    return CodeChange(
        sha=str(item["sha"]),
        repository=project.name,
        service=project.service,
        author=one_line(at(item, "author", "login") or at(item, "commit", "author", "name")),
        message=clean(str(at(item, "commit", "message") or "")),
        files=tuple(str(at(file, "filename")) for file in files[:MAX_FILES] if at(file, "filename")),
        diff=clean(diff[:MAX_DIFF]) or None,
        additions=at(item, "stats", "additions"),
        deletions=at(item, "stats", "deletions"),
        committed_at=parse_moment(at(item, "commit", "committer", "date")),
        url=_url(item.get("html_url")),
        attributes={
            **({"merge": True} if len(parents) > 1 else {}),
            **({"released": True} if item.get("released") else {}),
            **_pull_request(item),
            **({"diff_cut": True} if len(diff) > MAX_DIFF else {}),
        },
    )


def releases(within: Sequence[Any], listed: Sequence[Any]) -> list[tuple[str, str]]:
    """(commit before, commit after) of the newest deployment within, for each environment; both lists newest first."""
    found: dict[Any, tuple[str, str]] = {}
    for item in within:
        environment, after = at(item, "environment"), one_line(at(item, "sha"))
        older = (one for one in listed if str(at(one, "created_at") or "~") < str(at(item, "created_at")))
        same = (one_line(at(one, "sha")) for one in older if at(one, "environment") == environment)
        before = next((sha for sha in same if sha and sha != after), None)
        if after and before:
            found.setdefault(environment, (before, after))
    return list(dict.fromkeys(found.values()))


def _pull_request(item: Mapping[str, Any]) -> dict[str, Any]:
    """The pull request by which the commit came, where that is known."""
    pull = next((one for one in items(item.get("pulls")) if at(one, "number")), None)
    if pull is None:
        return {}
    about = {"number": pull["number"], "title": one_line(at(pull, "title")), "url": _url(at(pull, "html_url"))}
    return {"pull_request": about}


def changes_from_push(body: Mapping[str, Any], service: str | None = None) -> list[CodeChange]:
    """The commits of a push webhook: files without patches."""
    repository = one_line(at(body, "repository", "full_name")) or ""
    branch = branch_of(body)
    return [
        CodeChange(
            sha=str(commit["id"]),
            repository=repository,
            service=service,
            author=one_line(at(commit, "author", "username") or at(commit, "author", "name")),
            message=clean(str(commit.get("message") or "")),
            files=tuple(
                dict.fromkeys(str(f) for key in ("added", "modified", "removed") for f in items(commit.get(key)))
            ),
            committed_at=parse_moment(commit["timestamp"]),
            url=_url(commit.get("url")),
            attributes={"branch": branch} if branch else {},
        )
        for commit in items(body.get("commits"))
        if isinstance(commit, Mapping) and commit.get("id")
    ]


def deployment_from_webhook(body: Mapping[str, Any], service: str | None = None) -> Deployment | None:
    """The deployment of a `deployment`, `deployment_status` or `workflow_run` webhook; None for others."""
    name = service or one_line(at(body, "repository", "name")) or "unknown"
    if isinstance(body.get("workflow_run"), Mapping):
        return deployment_from_run(body["workflow_run"], (), name)
    if isinstance(body.get("deployment"), Mapping):
        status = body.get("deployment_status")
        return deployment_from(body["deployment"], [status] if isinstance(status, Mapping) else [], (), name)
    return None


def branch_of(body: Mapping[str, Any]) -> str | None:
    """The branch that was pushed to; None for a tag."""
    ref = one_line(body.get("ref")) or ""
    return ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None


def named_workflows(
    projects: Mapping[str, Sequence[str]], repository: str, hosts: frozenset[str] | None = None
) -> set[str]:
    """The workflows of a repository that the configuration names as `owner/repository#workflow`."""
    places = [place.partition("#") for names in projects.values() for place in names]
    return {
        workflow.casefold()
        for place, _, workflow in places
        if workflow and (path := repository_path(place, hosts)) and path.casefold() == repository.casefold()
    }


def deploys(run: Any, named: set[str]) -> bool:
    """Whether a run is of a workflow that deploys: one of those that are named, else one that is called so."""
    name, path = one_line(at(run, "name")) or "", one_line(at(run, "path")) or ""
    file = path.partition("@")[0].rpartition("/")[2]
    if named:
        return bool({name.casefold(), file.casefold(), file.rpartition(".")[0].casefold()} & named)
    return bool(DEPLOYS.search(name) or DEPLOYS.search(file))


def version_of(item: Any) -> str | None:
    """The tag that was deployed, else the beginning of the commit."""
    return deployed_version(at(item, "ref"), at(item, "sha"))


def _run_version(run: Any) -> str | None:
    return deployed_version(at(run, "head_branch"), at(run, "head_sha"))


def _previous(item: Mapping[str, Any], listed: Sequence[Any]) -> str | None:
    before = (one for one in listed if str(at(one, "created_at") or "~") < str(item["created_at"]))
    same = (one for one in before if at(one, "environment") == item.get("environment"))
    current = version_of(item)
    return next((version for one in same if (version := version_of(one)) and version != current), None)


def _previous_run(run: Mapping[str, Any], listed: Sequence[Any]) -> str | None:
    before = (one for one in listed if str(at(one, "created_at") or "~") < str(run["created_at"]))
    same = (one for one in before if at(one, "workflow_id") == run.get("workflow_id"))
    return next((_run_version(one) for one in same if at(one, "conclusion") == "success"), None)


def _patch(file: Mapping[str, Any]) -> str:
    old = file.get("previous_filename") or file["filename"]
    return f"--- a/{old}\n+++ b/{file['filename']}\n{file['patch']}"


def _url(value: Any) -> str | None:
    url = one_line(value, 2000)
    return url if url and url.startswith(("https://", "http://")) else None
