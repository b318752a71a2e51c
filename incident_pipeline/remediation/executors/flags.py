"""Feature-flag services by HTTP: a flag is turned on or off in one environment.

Parameters: `provider` (launchdarkly or unleash), `project` (default `default`), `flag`, `flag_environment`, `state`
(on or off). LaunchDarkly: `PATCH /api/v2/flags/{project}/{flag}` with a semantic patch
(https://launchdarkly.com/docs/api/feature-flags/patch-feature-flag), at `connections.launchdarkly`. Unleash:
`POST /api/admin/projects/{project}/features/{flag}/environments/{environment}/{on|off}`
(https://docs.getunleash.io/reference/api/unleash), at `connections.unleash`. There is no dry run; the state is read.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from incident_pipeline.config import Connection
from incident_pipeline.connectors.shapes import at, items
from incident_pipeline.errors import ConfigurationError, PermanentSourceError
from incident_pipeline.models import ActionCall
from incident_pipeline.remediation.executors.base import Effect, ExecutorSettings, Outcome, Seen
from incident_pipeline.remediation.executors.requests import Requests, connected
from incident_pipeline.remediation.records import Planned

LAUNCHDARKLY = "https://app.launchdarkly.com"
SEMANTIC_PATCH = "application/json; domain-model=launchdarkly.semanticpatch"
STATES = ("on", "off")


class Flags:
    """The services that are configured."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._settings = settings

    def plan(self, call: ActionCall) -> Planned:
        """Read the flag's state now."""
        wanted = call.parameters.get("state", "")
        if wanted not in STATES:
            raise PermanentSourceError(f"flags: the state {wanted!r} is neither on nor off")
        before = self._state(call)
        given = call.parameters
        step = f"turn {given.get('flag')} {wanted} in {given.get('flag_environment')} ({self._provider(call)})"
        return Planned(steps=(step,), before={"state": before}, wanted={"state": wanted})

    def dry_run(self, call: ActionCall, planned: Planned) -> Outcome | None:
        """Neither service has one."""
        return None

    def execute(self, call: ActionCall, planned: Planned, mark: str) -> Outcome:
        """Turn the flag."""
        wanted = planned.wanted["state"]
        requests = self._requests(call)
        if self._provider(call) == "unleash":
            return requests.write("POST", f"{_unleash(call)}/environments/{_part(call, 'flag_environment')}/{wanted}")
        kind = "turnFlagOn" if wanted == "on" else "turnFlagOff"
        patch = {
            "comment": mark,
            "environmentKey": call.parameters["flag_environment"],
            "instructions": [{"kind": kind}],
        }
        body = json.dumps(patch).encode()
        return requests.write("PATCH", _launchdarkly(call), content=body, headers={"Content-Type": SEMANTIC_PATCH})

    def verify(self, call: ActionCall, planned: Planned, mark: str, since: datetime) -> Seen:
        """Read the flag's state."""
        now = self._state(call)
        effect = Effect.HAPPENED if now == planned.wanted["state"] else Effect.NOT_HAPPENED
        return Seen(effect, f"the flag is {now}")

    def undo(self, call: ActionCall, planned: Planned) -> ActionCall | None:
        """The state from before."""
        return call.model_copy(update={"parameters": {**call.parameters, "state": planned.before["state"]}})

    def _state(self, call: ActionCall) -> str:
        environment = call.parameters.get("flag_environment", "")
        if self._provider(call) == "unleash":
            found: Any = self._requests(call).read(_unleash(call)).object()
            states = {at(one, "name"): at(one, "enabled") for one in items(at(found, "environments"))}
            on = states.get(environment)
        else:
            found = self._requests(call).read(_launchdarkly(call), {"env": environment}).object()
            on = at(found, "environments", environment, "on")
        if not isinstance(on, bool):
            raise PermanentSourceError(f"flags: {call.parameters.get('flag')} has no environment {environment!r}")
        return "on" if on else "off"

    def _provider(self, call: ActionCall) -> str:
        provider = call.parameters.get("provider", "")
        if provider not in ("launchdarkly", "unleash"):
            raise PermanentSourceError(f"flags: the provider {provider!r} is neither launchdarkly nor unleash")
        return provider

    def _requests(self, call: ActionCall) -> Requests:
        provider = self._provider(call)
        try:
            return connected(provider, self._settings, LAUNCHDARKLY if provider == "launchdarkly" else None, _headers)
        except ConfigurationError as error:
            raise PermanentSourceError(str(error)) from error


def build(settings: ExecutorSettings) -> Flags:
    """The services that are configured."""
    return Flags(settings)


def _headers(connection: Connection) -> dict[str, str | SecretStr]:
    return {"Authorization": connection.token} if connection.token else {}


def _launchdarkly(call: ActionCall) -> str:
    return f"/api/v2/flags/{_part(call, 'project', 'default')}/{_part(call, 'flag')}"


def _unleash(call: ActionCall) -> str:
    return f"/api/admin/projects/{_part(call, 'project', 'default')}/features/{_part(call, 'flag')}"


def _part(call: ActionCall, name: str, default: str = "") -> str:
    value = call.parameters.get(name, default)
    if not value:
        raise PermanentSourceError(f"flags: set the parameter {name}")
    return quote(value, safe="")
