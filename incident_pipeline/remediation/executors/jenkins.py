"""Jenkins: a job with parameters.

Parameters: `job` (`folder/job`), and `parameters.<name>`. The job should define a parameter INCIDENT_EXECUTION, by
which its build is found again; without it a later build cannot be told from somebody else's. Endpoint:
`POST {job}/buildWithParameters` (https://www.jenkins.io/doc/book/using/remote-access-api/). There is no dry run.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from incident_pipeline.config import Connection
from incident_pipeline.connectors.jenkins import job_path
from incident_pipeline.connectors.shapes import at, items
from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.models import ActionCall
from incident_pipeline.remediation.executors.base import Effect, ExecutorSettings, Outcome, Seen
from incident_pipeline.remediation.executors.requests import Requests, connected, marked, prefixed
from incident_pipeline.remediation.records import Planned

MARK_PARAMETER = "INCIDENT_EXECUTION"
_BUILDS = "buildable,inQueue,builds[number,building,actions[parameters[name,value]]]{0,20}"
_QUEUE = "items[id,task[name,url],actions[parameters[name,value]]]"


class Jenkins:
    """One Jenkins."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def plan(self, call: ActionCall) -> Planned:
        """Make sure that the job is there and can be built."""
        found = self._job(call)
        if found.get("buildable") is not True:
            raise PermanentSourceError(
                f"jenkins: the job {call.parameters.get('job')} cannot be built; is it disabled?"
            )
        given = prefixed(call.parameters, "parameters.")
        shown = ", ".join(f"{name}={value}" for name, value in sorted(given.items()))
        newest = max((_number(build) for build in items(found.get("builds"))), default=0)
        step = f"POST {_path(call)}/buildWithParameters {shown}".strip()
        return Planned(steps=(step,), before={"newest": str(newest)})

    def dry_run(self, call: ActionCall, planned: Planned) -> Outcome | None:
        """A job has none."""
        return None

    def execute(self, call: ActionCall, planned: Planned, mark: str) -> Outcome:
        """Put the job into the queue."""
        form = {**prefixed(marked(call.parameters, mark), "parameters."), MARK_PARAMETER: mark}
        return self._requests.write("POST", f"{_path(call)}/buildWithParameters", form=form)

    def verify(self, call: ActionCall, planned: Planned, mark: str, since: datetime) -> Seen:
        """Look for a later build, or an entry of the queue, with the execution's name."""
        found = self._job(call)
        later = [one for one in items(found.get("builds")) if _number(one) > int(planned.before["newest"])]
        queued = items(self._requests.read("/queue/api/json", {"tree": _QUEUE}).object().get("items"))
        for one in later:
            if _has_mark(one, mark):
                return Seen(Effect.HAPPENED, f"build {_number(one)} was started by this execution")
        if any(_has_mark(one, mark) for one in queued):
            return Seen(Effect.HAPPENED, "it waits in the queue")
        if later or found.get("inQueue") is True:
            return Seen(Effect.CANNOT_TELL, f"a later build does not say who started it; define {MARK_PARAMETER}")
        return Seen(Effect.NOT_HAPPENED, "no build came later and none waits")

    def undo(self, call: ActionCall, planned: Planned) -> ActionCall | None:
        """Only a person knows what takes a job back."""
        return None

    def _job(self, call: ActionCall) -> Mapping[str, Any]:
        return self._requests.read(f"{_path(call)}/api/json", {"tree": _BUILDS}).object()


def build(settings: ExecutorSettings) -> Jenkins:
    """Jenkins at `connections.jenkins`.

    Raises:
        ConfigurationError: the URL is missing.
    """
    return Jenkins(connected("jenkins", settings, None, _headers))


def _headers(connection: Connection) -> dict[str, str | SecretStr]:
    if connection.token is None or not connection.username or connection.password is not None:
        return {}
    pair = f"{connection.username}:{connection.token.get_secret_value()}".encode()
    return {"Authorization": SecretStr(f"Basic {base64.b64encode(pair).decode()}")}


def _path(call: ActionCall) -> str:
    job = call.parameters.get("job")
    if not job:
        raise PermanentSourceError("jenkins: set the parameter job")
    return job_path(job)


def _number(build: Any) -> int:
    number = at(build, "number")
    return number if isinstance(number, int) else 0


def _has_mark(one: Any, mark: str) -> bool:
    given = [at(one, "actions", index, "parameters") for index in range(len(items(at(one, "actions"))))]
    return any(
        at(each, "name") == MARK_PARAMETER and at(each, "value") == mark for part in given for each in items(part)
    )
