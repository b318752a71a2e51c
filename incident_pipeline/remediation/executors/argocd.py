"""Argo CD: back to an earlier sync of an application.

Parameters: `application`, `app_namespace`; `version` (the revision, whole or shortened as `argocd` shows it) or
`history_id`. Endpoint: `POST /api/v1/applications/{name}/rollback` with `id` and `dryRun`
(https://argo-cd.readthedocs.io/en/stable/developer-guide/api-docs/). Argo CD refuses while automated sync is on, and so
does the plan: the next sync would take the rollback back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from incident_pipeline.connectors.shapes import at, items
from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.models import ActionCall
from incident_pipeline.remediation.executors.base import Effect, ExecutorSettings, Outcome, Seen
from incident_pipeline.remediation.executors.requests import Requests, connected
from incident_pipeline.remediation.records import Planned

SHORTEST = 7


class ArgoCD:
    """One Argo CD."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def plan(self, call: ActionCall) -> Planned:
        """Find the sync to go back to."""
        found = self._application(call)
        if at(found, "spec", "syncPolicy", "automated") is not None:
            name = call.parameters["application"]
            raise PermanentSourceError(f"argocd: automated sync of {name} is on, so a rollback would not last")
        history = _history(found)
        wanted = _wanted(history, call)
        last = history[-1]
        return Planned(
            steps=(f"POST {self._path(call)}/rollback id={wanted['id']} (revision {wanted.get('revision')})",),
            before={"id": str(last["id"]), "revision": str(last.get("revision"))},
            wanted={"id": str(wanted["id"]), "revision": str(wanted.get("revision"))},
        )

    def dry_run(self, call: ActionCall, planned: Planned) -> Outcome | None:
        """Argo CD's own dry run."""
        return self._rollback(call, planned, True)

    def execute(self, call: ActionCall, planned: Planned, mark: str) -> Outcome:
        """Roll back."""
        return self._rollback(call, planned, False)

    def verify(self, call: ActionCall, planned: Planned, mark: str, since: datetime) -> Seen:
        """Look whether a later sync has the wanted revision."""
        found = self._application(call)
        last = _history(found)[-1]
        revision = str(last.get("revision"))
        if str(last["id"]) != planned.before["id"]:
            effect = Effect.HAPPENED if revision == planned.wanted["revision"] else Effect.CANNOT_TELL
            return Seen(effect, f"sync {last['id']} is of revision {revision}")
        phase = at(found, "status", "operationState", "phase")
        if phase in ("Running", "Terminating"):
            return Seen(Effect.CANNOT_TELL, "a sync is going on")
        return Seen(Effect.NOT_HAPPENED, f"sync {last['id']} is still the last one")

    def undo(self, call: ActionCall, planned: Planned) -> ActionCall | None:
        """Back to the sync that was the last one before."""
        kept = {name: value for name, value in call.parameters.items() if name in ("application", "app_namespace")}
        return call.model_copy(update={"parameters": {**kept, "history_id": planned.before["id"]}})

    def _rollback(self, call: ActionCall, planned: Planned, dry: bool) -> Outcome:
        body = {"name": call.parameters["application"], "id": int(planned.wanted["id"]), "dryRun": dry}
        if namespace := call.parameters.get("app_namespace"):
            body["appNamespace"] = namespace
        return self._requests.write("POST", f"{self._path(call)}/rollback", json=body)

    def _application(self, call: ActionCall) -> Mapping[str, Any]:
        namespace = call.parameters.get("app_namespace")
        return self._requests.read(self._path(call), {"appNamespace": namespace} if namespace else None).object()

    def _path(self, call: ActionCall) -> str:
        name = call.parameters.get("application")
        if not name:
            raise PermanentSourceError("argocd: which application is not known; set the parameter application")
        return f"/api/v1/applications/{quote(name, safe='')}"


def build(settings: ExecutorSettings) -> ArgoCD:
    """Argo CD at `connections.argocd`.

    Raises:
        ConfigurationError: the URL is missing.
    """
    return ArgoCD(connected("argocd", settings))


def _history(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    history = [one for one in items(at(found, "status", "history")) if isinstance(one, dict) and "id" in one]
    if not history:
        raise PermanentSourceError("argocd: the application has no history to go back to")
    return sorted(history, key=lambda one: int(one["id"]))


def _wanted(history: list[dict[str, Any]], call: ActionCall) -> dict[str, Any]:
    number, version = call.parameters.get("history_id"), call.parameters.get("version", "")
    for one in reversed(history if number else history[:-1]):
        revision = str(one.get("revision") or "")
        same = revision == version or (len(version) >= SHORTEST and revision.startswith(version))
        if str(one["id"]) == number if number else same:
            return dict(one)
    known = ", ".join(f"{one['id']} ({str(one.get('revision'))[:12]})" for one in history)
    raise PermanentSourceError(
        f"argocd: no earlier sync is of {number or version or 'a known version'}; there are {known}"
    )
