"""Kubernetes through kubectl: rollout undo, scale, rollout restart.

Parameters: `workload` (`deployment/payments`), `namespace`, `context`; for a rollback `version`, or `revision`; for
scale `replicas`. `rollout undo` alone would go back to whatever came before: the revision that runs the wanted version
is looked up, and where none does, nothing is done
(https://kubernetes.io/docs/reference/kubectl/generated/kubectl_rollout/kubectl_rollout_undo/).
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from incident_pipeline.errors import PermanentSourceError, TransientSourceError
from incident_pipeline.models import ActionCall
from incident_pipeline.remediation.executors.base import Effect, ExecutorSettings, Outcome, Seen
from incident_pipeline.remediation.executors.processes import run
from incident_pipeline.remediation.records import Planned

REVISION = "deployment.kubernetes.io/revision"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
_KINDS = {"rollback": ("deployment",), "scale": ("deployment", "statefulset")}
_ROLLED_OUT = ("deployment", "statefulset", "daemonset")
_WORKLOAD = re.compile(r"(deployment|statefulset|daemonset)/[a-z0-9]([a-z0-9.\-]{0,251}[a-z0-9])?")
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.:/@\-]{0,251})?")


class Kubectl:
    """One cluster for each context; the program is the user's own, with the user's own configuration."""

    def __init__(self, settings: ExecutorSettings) -> None:
        execution = settings.scenario.remediation.execution
        self._program = [execution.kubectl]
        self._limit = execution.time_limit
        if execution.kubeconfig is not None:
            self._program += [f"--kubeconfig={execution.kubeconfig}"]

    def plan(self, call: ActionCall) -> Planned:
        """Look at the workload, and decide on the exact command."""
        workload = self._workload(call)
        found = self._get(call, workload)
        if call.operation == "rollback":
            return self._plan_rollback(call, workload, found)
        if call.operation == "scale":
            return self._plan_scale(call, found)
        before = {"restarted_at": _annotation(_template(found), RESTARTED), "uid": _text(found, "metadata", "uid")}
        return Planned(steps=(self._shown(call, ["rollout", "restart", workload]),), before=before)

    def dry_run(self, call: ActionCall, planned: Planned) -> Outcome | None:
        """The API server's own dry run, which goes through admission."""
        words = self._command(call, planned)
        if call.operation not in ("rollback", "scale"):
            # `rollout restart` has no dry run; it is this patch
            patch = {"spec": {"template": {"metadata": {"annotations": {RESTARTED: "1970-01-01T00:00:00Z"}}}}}
            words = ["patch", self._workload(call), "--patch", json.dumps(patch)]
        return self._run(call, [*words, "--dry-run=server"])

    def execute(self, call: ActionCall, planned: Planned, mark: str) -> Outcome:
        """Run the command."""
        return self._run(call, self._command(call, planned))

    def verify(self, call: ActionCall, planned: Planned, mark: str, since: datetime) -> Seen:
        """Compare the workload with what it was and what it was to become."""
        found = self._get(call, self._workload(call))
        if call.operation in ("rollback", "scale"):
            now = _runs(found) if call.operation == "rollback" else _text(found, "spec", "replicas")
            key = "runs" if call.operation == "rollback" else "replicas"
            return _compared(key, planned.before.get(key), planned.wanted.get(key), now)
        restarted = _annotation(_template(found), RESTARTED)
        if restarted == planned.before.get("restarted_at"):
            return Seen(Effect.NOT_HAPPENED, "it was not restarted")
        return Seen(Effect.HAPPENED, f"it was restarted at {restarted}")

    def undo(self, call: ActionCall, planned: Planned) -> ActionCall | None:
        """The revision, or the number of replicas, from before; a restart leaves nothing to take back."""
        kept = {name: value for name, value in call.parameters.items() if name in ("workload", "namespace", "context")}
        if call.operation == "rollback":
            return call.model_copy(update={"parameters": {**kept, "revision": planned.before["revision"]}})
        if call.operation == "scale":
            return call.model_copy(update={"parameters": {**kept, "replicas": planned.before["replicas"]}})
        return None

    def _plan_rollback(self, call: ActionCall, workload: str, found: Mapping[str, Any]) -> Planned:
        current = _annotation(found, REVISION)
        revision = self._revision(call, workload, found, current)
        number = _annotation(revision, REVISION)
        return Planned(
            steps=(self._shown(call, ["rollout", "undo", workload, f"--to-revision={number}"]),),
            before={"revision": current, "runs": _runs(found)},
            wanted={"revision": number, "runs": _runs(revision)},
        )

    def _plan_scale(self, call: ActionCall, found: Mapping[str, Any]) -> Planned:
        wanted = call.parameters.get("replicas", "")
        if not wanted.isascii() or not wanted.isdigit() or not 0 < int(wanted) <= 10_000:
            raise PermanentSourceError(f"kubectl: {wanted!r} is not a number of replicas")
        now = _text(found, "spec", "replicas")
        planned = Planned(before={"replicas": now}, wanted={"replicas": wanted})
        return planned.model_copy(update={"steps": (self._shown(call, self._command(call, planned)),)})

    def _revision(self, call: ActionCall, workload: str, found: Mapping[str, Any], current: str) -> Mapping[str, Any]:
        """The replica set that holds what is wanted."""
        uid = _text(found, "metadata", "uid")
        sets = [one for one in self._list(call, "replicasets") if uid in _owners(one)]
        others = [one for one in sets if _annotation(one, REVISION) != current]
        number, version = call.parameters.get("revision"), call.parameters.get("version")
        if number:
            fitting = [one for one in others if _annotation(one, REVISION) == number]
        else:
            fitting = [one for one in others if version and version in _versions(one)]
        if not fitting:
            wanted = f"revision {number}" if number else f"a revision that runs {version}"
            known = ", ".join(f"{_annotation(one, REVISION)} ({_images(one)})" for one in sets) or "none"
            raise PermanentSourceError(f"kubectl: {workload} has not {wanted}; there are: {known}")
        return max(fitting, key=lambda one: int(_annotation(one, REVISION) or 0))

    def _command(self, call: ActionCall, planned: Planned) -> list[str]:
        workload = self._workload(call)
        if call.operation == "rollback":
            return ["rollout", "undo", workload, f"--to-revision={planned.wanted['revision']}"]
        if call.operation == "scale":
            now, wanted = planned.before["replicas"], planned.wanted["replicas"]
            return ["scale", workload, f"--current-replicas={now}", f"--replicas={wanted}"]
        return ["rollout", "restart", workload]

    def _workload(self, call: ActionCall) -> str:
        workload = call.parameters.get("workload", "")
        kinds = _KINDS.get(call.operation, _ROLLED_OUT)
        if not _WORKLOAD.fullmatch(workload) or workload.partition("/")[0] not in kinds:
            raise PermanentSourceError(f"kubectl: {workload!r} is not a workload that {call.operation} works on")
        return workload

    def _where(self, call: ActionCall) -> list[str]:
        words = []
        for option in ("context", "namespace"):
            value = call.parameters.get(option)
            if value:
                if not _NAME.fullmatch(value):
                    raise PermanentSourceError(f"kubectl: {value!r} is not the name of a {option}")
                words.append(f"--{option}={value}")
        return words

    def _shown(self, call: ActionCall, words: list[str]) -> str:
        return shlex.join(["kubectl", *self._where(call), *words])

    def _run(self, call: ActionCall, words: list[str], to_be_read: bool = False) -> Outcome:
        timeout = f"--request-timeout={max(1, int(self._limit.total_seconds()))}s"
        every = [*self._program, *self._where(call), timeout, *words]
        return run(every, self._limit + timedelta(seconds=2), to_be_read=to_be_read)

    def _get(self, call: ActionCall, workload: str) -> Mapping[str, Any]:
        return self._read(call, ["get", workload, "--output=json"])

    def _list(self, call: ActionCall, kind: str) -> list[Mapping[str, Any]]:
        items = self._read(call, ["get", kind, "--output=json"]).get("items")
        return [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []

    def _read(self, call: ActionCall, words: list[str]) -> Mapping[str, Any]:
        done = self._run(call, words, to_be_read=True)
        if not done.succeeded:
            kind = TransientSourceError if done.uncertain else PermanentSourceError
            raise kind(f"kubectl {' '.join(words[:2])}: {done.output[-300:] or 'failed'}")
        try:
            found = json.loads(done.output)
        except ValueError as error:
            raise PermanentSourceError(f"kubectl {' '.join(words[:2])} did not answer JSON") from error
        return found if isinstance(found, dict) else {}


def build(settings: ExecutorSettings) -> Kubectl:
    """Kubectl as it stands in the configuration."""
    return Kubectl(settings)


def _compared(what: str, before: str | None, wanted: str | None, now: str) -> Seen:
    if now == wanted:
        return Seen(Effect.HAPPENED, f"{what}: {now}")
    if now == before:
        return Seen(Effect.NOT_HAPPENED, f"{what}: still {now}")
    return Seen(Effect.CANNOT_TELL, f"{what}: {now}, which is neither {before} nor {wanted}")


def _template(found: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(_mapping(found.get("spec")).get("template"))


def _images(found: Mapping[str, Any]) -> str:
    containers = _mapping(_template(found).get("spec")).get("containers")
    return ", ".join(str(one.get("image")) for one in containers or () if isinstance(one, dict))


def _runs(found: Mapping[str, Any]) -> str:
    """What a template runs: its images, and a name of all of it."""
    template = _without_nothing(_template(found))
    template.get("metadata", {}).get("labels", {}).pop("pod-template-hash", None)
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()
    return f"{_images(found)} (template {digest[:8]})"


def _without_nothing(value: Any) -> Any:
    """Without what is empty: clients and servers write it or leave it out as they like."""
    if isinstance(value, Mapping):
        kept = {key: _without_nothing(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner not in (None, "", {}, [])}
    return [_without_nothing(inner) for inner in value] if isinstance(value, list) else value


def _versions(found: Mapping[str, Any]) -> set[str]:
    """What a revision may be called: the tags of its images, and its labels of a version."""
    tags = {image.rpartition("/")[2].rpartition(":")[2] for image in _images(found).split(", ")}
    labels = _mapping(_mapping(_template(found).get("metadata")).get("labels"))
    return tags | {str(labels[name]) for name in ("version", "app.kubernetes.io/version") if name in labels}


def _owners(found: Mapping[str, Any]) -> set[str]:
    owners = _mapping(found.get("metadata")).get("ownerReferences")
    return {str(one.get("uid")) for one in owners or () if isinstance(one, dict)}


def _annotation(found: Mapping[str, Any], name: str) -> str:
    return str(_mapping(_mapping(found.get("metadata")).get("annotations")).get(name, ""))


def _text(found: Mapping[str, Any], *path: str) -> str:
    value: Any = found
    for step in path:
        value = _mapping(value).get(step)
    return "" if value is None else str(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
