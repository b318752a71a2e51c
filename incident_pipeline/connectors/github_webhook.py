"""What GitHub's webhooks bring: commits of a push, deployments with their statuses, runs of workflows that deploy.

Belongs here: which events are evidence. Their rows are in `github_rows.py`. Every other event is taken and holds
nothing. A push counts on the default branch alone, as in the API's list of commits: what is on another one has not
been released from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from incident_pipeline.connectors.base import Received
from incident_pipeline.connectors.github_rows import (
    branch_of,
    changes_from_push,
    deployment_from_webhook,
    deploys,
    named_workflows,
)
from incident_pipeline.connectors.projects import owner_of
from incident_pipeline.connectors.shapes import at
from incident_pipeline.errors import InputError
from incident_pipeline.intake.alert_fields import one_line


def received(body: Any, projects: Mapping[str, Sequence[str]]) -> Received:
    """Read a webhook.

    Args:
        body: as it came, parsed.
        projects: service -> its repositories, as configured; a repository of no service is told under its own name.

    Raises:
        InputError: one sentence that names the field.
    """
    if not isinstance(body, Mapping):
        raise InputError("expected a JSON object; choose application/json as the webhook's content type")
    repository = one_line(at(body, "repository", "full_name")) or ""
    service = owner_of(repository, projects)
    try:
        if isinstance(body.get("commits"), list):
            return Received(changes=tuple(changes_from_push(body, service)) if _is_default_branch(body) else ())
        run = body.get("workflow_run")
        if isinstance(run, Mapping) and not deploys(run, named_workflows(projects, repository)):
            return Received()
        deployment = deployment_from_webhook(body, service)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"the webhook cannot be read: {' '.join(str(error).split())[:150]} is missing or odd"
        ) from error
    return Received(deployments=(deployment,) if deployment else ())


def _is_default_branch(body: Mapping[str, Any]) -> bool:
    default = one_line(at(body, "repository", "default_branch"))
    return branch_of(body) is not None and default in (None, branch_of(body))
