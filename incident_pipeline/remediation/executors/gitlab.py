"""GitLab: a pipeline with variables.

Parameters: `project` (id or path), `ref` (default `main`), and `variables.<NAME>`. Every pipeline also gets the
variable INCIDENT_EXECUTION, by which it is found again. Endpoints: `POST /api/v4/projects/{id}/pipeline`,
`GET .../pipelines`, `GET .../pipelines/{id}/variables` (https://docs.gitlab.com/api/pipelines/). There is no dry run.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from pydantic import SecretStr

from incident_pipeline.config import Connection
from incident_pipeline.connectors.shapes import at
from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.models import ActionCall
from incident_pipeline.remediation.executors.base import Effect, ExecutorSettings, Outcome, Seen
from incident_pipeline.remediation.executors.requests import Requests, connected, marked, prefixed
from incident_pipeline.remediation.records import Planned

URL = "https://gitlab.com"
MARK_VARIABLE = "INCIDENT_EXECUTION"


class GitLab:
    """One GitLab."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def plan(self, call: ActionCall) -> Planned:
        """Make sure that the branch is there."""
        path, ref = _path(call), _ref(call)
        self._requests.read(f"{path}/repository/branches/{quote(ref, safe='')}")
        shown = ", ".join(f"{name}={value}" for name, value in sorted(prefixed(call.parameters, "variables.").items()))
        newest = max(self._pipelines(call), default=0)
        return Planned(steps=(f"POST {path}/pipeline ref={ref} {shown}".strip(),), before={"newest": str(newest)})

    def dry_run(self, call: ActionCall, planned: Planned) -> Outcome | None:
        """A pipeline has none."""
        return None

    def execute(self, call: ActionCall, planned: Planned, mark: str) -> Outcome:
        """Start the pipeline."""
        given = {**prefixed(marked(call.parameters, mark), "variables."), MARK_VARIABLE: mark}
        variables = [{"key": name, "value": value} for name, value in given.items()]
        return self._requests.write("POST", f"{_path(call)}/pipeline", json={"ref": _ref(call), "variables": variables})

    def verify(self, call: ActionCall, planned: Planned, mark: str, since: datetime) -> Seen:
        """Look for a later pipeline with the execution's name among its variables."""
        for number in self._pipelines(call):
            if number <= int(planned.before["newest"]):
                continue
            variables = self._requests.read(f"{_path(call)}/pipelines/{number}/variables").list()
            if any(at(one, "key") == MARK_VARIABLE and at(one, "value") == mark for one in variables):
                return Seen(Effect.HAPPENED, f"pipeline {number} was started by this execution")
        return Seen(Effect.NOT_HAPPENED, "no later pipeline was started by this execution")

    def undo(self, call: ActionCall, planned: Planned) -> ActionCall | None:
        """Only a person knows what takes a pipeline back."""
        return None

    def _pipelines(self, call: ActionCall) -> list[int]:
        query = {"ref": _ref(call), "per_page": "20", "order_by": "id", "sort": "desc"}
        found = self._requests.read(f"{_path(call)}/pipelines", query).list()
        return [number for one in found if isinstance(number := at(one, "id"), int)]


def build(settings: ExecutorSettings) -> GitLab:
    """GitLab at `connections.gitlab`.

    Raises:
        ConfigurationError: the URL is wrong.
    """
    return GitLab(connected("gitlab", settings, URL, _headers))


def _headers(connection: Connection) -> dict[str, str | SecretStr]:
    return {"PRIVATE-TOKEN": connection.token} if connection.token else {}


def _path(call: ActionCall) -> str:
    project = call.parameters.get("project")
    if not project:
        raise PermanentSourceError("gitlab: set the parameter project")
    return f"/api/v4/projects/{quote(project, safe='')}"


def _ref(call: ActionCall) -> str:
    return call.parameters.get("ref", "main")
