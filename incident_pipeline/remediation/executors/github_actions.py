"""GitHub Actions: a workflow that is started by hand.

Parameters: `repository` (`owner/name`), `workflow` (file name or id), `ref` (default `main`), and `inputs.<name>`.
Endpoints: `POST /repos/{o}/{r}/actions/workflows/{w}/dispatches` answers 204 and names no run
(https://docs.github.com/en/rest/actions/workflows); a run is found again where its `run-name` shows the input that
holds `{{ execution }}`. There is no dry run.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from incident_pipeline.connectors.shapes import at, items
from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.models import ActionCall
from incident_pipeline.remediation.executors.base import Effect, ExecutorSettings, Outcome, Seen
from incident_pipeline.remediation.executors.requests import Requests, connected, marked, prefixed
from incident_pipeline.remediation.records import Planned

URL = "https://api.github.com"
_SETTLED = timedelta(seconds=60)
"""By then a run that was asked for is listed."""


class GitHubActions:
    """One GitHub."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def plan(self, call: ActionCall) -> Planned:
        """Make sure that the workflow is there and active."""
        path = _path(call)
        found = self._requests.read(path).object()
        if found.get("state") != "active":
            raise PermanentSourceError(f"github-actions: the workflow {call.parameters['workflow']} is not active")
        shown = ", ".join(f"{name}={value}" for name, value in sorted(prefixed(call.parameters, "inputs.").items()))
        newest = max((int(run["id"]) for run in self._runs(call)), default=0)
        return Planned(
            steps=(f"POST {path}/dispatches ref={_ref(call)} {shown}".strip(),), before={"newest_run": str(newest)}
        )

    def dry_run(self, call: ActionCall, planned: Planned) -> Outcome | None:
        """A workflow has none."""
        return None

    def execute(self, call: ActionCall, planned: Planned, mark: str) -> Outcome:
        """Start the workflow."""
        inputs = prefixed(marked(call.parameters, mark), "inputs.")
        return self._requests.write("POST", f"{_path(call)}/dispatches", json={"ref": _ref(call), "inputs": inputs})

    def verify(self, call: ActionCall, planned: Planned, mark: str, since: datetime) -> Seen:
        """Look for a run that came after the plan."""
        later = [run for run in self._runs(call) if int(run["id"]) > int(planned.before["newest_run"])]
        ours = [run for run in later if mark in f"{run.get('display_title')} {run.get('name')}"]
        if ours:
            return Seen(Effect.HAPPENED, f"run {ours[0]['id']} is {ours[0].get('status')}: {ours[0].get('html_url')}")
        if later:
            return Seen(Effect.CANNOT_TELL, f"run {later[0]['id']} came later, and does not say who started it")
        if datetime.now(UTC) - since < _SETTLED:
            return Seen(Effect.CANNOT_TELL, "no run is listed yet")
        return Seen(Effect.NOT_HAPPENED, "no run came later")

    def undo(self, call: ActionCall, planned: Planned) -> ActionCall | None:
        """Only a person knows what takes a workflow back."""
        return None

    def _runs(self, call: ActionCall) -> list[Mapping[str, Any]]:
        query = {"event": "workflow_dispatch", "per_page": "20"}
        found = items(at(self._requests.read(f"{_path(call)}/runs", query).object(), "workflow_runs"))
        return [run for run in found if isinstance(run, Mapping) and isinstance(run.get("id"), int)]


def build(settings: ExecutorSettings) -> GitHubActions:
    """GitHub at `connections.github`.

    Raises:
        ConfigurationError: the URL is wrong.
    """
    return GitHubActions(connected("github", settings, URL))


def _path(call: ActionCall) -> str:
    owner, _, name = call.parameters.get("repository", "").partition("/")
    workflow = call.parameters.get("workflow")
    if not owner or not name or "/" in name or not workflow:
        raise PermanentSourceError("github-actions: set the parameters repository (owner/name) and workflow")
    return f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}/actions/workflows/{quote(workflow, safe='')}"


def _ref(call: ActionCall) -> str:
    return call.parameters.get("ref", "main")
