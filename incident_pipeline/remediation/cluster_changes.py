"""What a cluster's object would have to say instead, as a patch and as a diff against the object.

Belongs here: from a cause that the cluster shows to the exact change, with its risk and how it is verified. Pure.
Does not belong here: recognising the cause (`diagnosis/kubernetes`), applying anything.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from incident_pipeline.models import (
    ActionType,
    Evidence,
    Hypothesis,
    ObjectChange,
    ObjectEdit,
    RemediationAction,
    Risk,
)
from incident_pipeline.remediation import commands
from kb.redaction import PLACEHOLDER, redact_value

_LONGEST_DIFF = 8_000
_SHOWN = 3
_IMMUTABLE = frozenset({"PersistentVolumeClaim"})
"""What cannot be changed in place: it is made anew, and a person decides what becomes of its data."""
_LOW, _MEDIUM = Risk.LOW, Risk.MEDIUM
_BY_HAND: tuple[tuple[re.Pattern[str], ActionType, str, str, Risk], ...] = tuple(
    (re.compile(pattern), action, title, verification, risk)
    for pattern, action, title, verification, risk in (
        (r"kubelet", ActionType.RESTART, "Start the kubelet on {name}", "The node is Ready again", _LOW),
        (r"containerd", ActionType.RESTART, "Start the container runtime on {name}", "The node is Ready again", _LOW),
        (r"kube_proxy", ActionType.RESTART, "Start kube-proxy on {name}", "Services answer from that node", _LOW),
        (r"scheduler", ActionType.RESTART, "Start the scheduler on {name}", "Pending pods get a node", _LOW),
        (r"node_(net|not)", ActionType.RESCHEDULE, "Move the work off {name}", "Its pods are Ready elsewhere", _MEDIUM),
        (r"cpu_over|pod_net", ActionType.RESCHEDULE, "Restart the pods of {name}", "Latency is as before", _LOW),
        (r"db_conn", ActionType.RESTART, "Free connections of {name}", "Its clients connect again", _MEDIUM),
        (r"quota", ActionType.SCALE, "Raise the quota of {name}", "Pods are created again", _MEDIUM),
        (r"cordon", ActionType.CONFIG_REVERT, "Uncordon a node that fits {name}", "Its pods are scheduled", _LOW),
        (r"capacity", ActionType.CONFIG_REVERT, "Lower what {name} requests", "Its pods are scheduled", _LOW),
    )
)
"""What no field of an object puts right, or none that was read: the mechanism, what is done, how it is verified."""


def cluster_answers(hypothesis: Hypothesis, evidence: Evidence) -> Iterator[RemediationAction]:
    """The action that answers a cause which the cluster shows."""
    change = hypothesis.change
    body = object_of(change, evidence) if change is not None else None
    if change is not None and body is not None:
        yield _patched(hypothesis, change, body)
        return
    yield _by_hand(hypothesis)


def object_of(change: ObjectChange, evidence: Evidence) -> Mapping[str, Any] | None:
    """The object that a change is about, as it was read, without its secrets: it is shown to people."""
    for one in evidence.kubernetes_state.rows:
        if (one.kind, one.name, one.namespace) == (change.kind, change.name, change.namespace):
            hidden: Mapping[str, Any] = redact_value(one.body)
            return hidden
    return None


def changed(body: Mapping[str, Any], change: ObjectChange) -> dict[str, Any]:
    """The object as it would be; an edit whose place does not exist is left out."""
    made: dict[str, Any] = copy.deepcopy(dict(body))
    for edit in change.edits:
        holder = _holder(made, edit)
        if holder is None:
            continue
        last = edit.path[-1]
        if edit.to is None:
            if isinstance(holder, dict):
                holder.pop(last, None)
        elif isinstance(holder, dict) or isinstance(last, int):
            holder[last] = edit.to
    return made


def diff_of(body: Mapping[str, Any], change: ObjectChange) -> str:
    """What would change in the object's specification, as a unified diff of its YAML."""
    import yaml

    def lines(value: Mapping[str, Any]) -> list[str]:
        text: str = yaml.safe_dump(_plain(value.get("spec")), sort_keys=True, default_flow_style=False, width=100)
        return text.splitlines(keepends=True)

    name = f"{change.kind.lower()}/{change.name}"
    found = difflib.unified_diff(lines(body), lines(changed(body, change)), f"{name} (as it is)", f"{name} (changed)")
    return "".join(found)[:_LONGEST_DIFF]


def patch_of(body: Mapping[str, Any], change: ObjectChange) -> list[dict[str, Any]]:
    """The JSON patch (RFC 6902): each edit only where the field still is as it was read."""
    steps: list[dict[str, Any]] = []
    for edit in change.edits:
        before, there = _value(body, edit)
        pointer = "/" + "/".join(str(step).replace("~", "~0").replace("/", "~1") for step in edit.path)
        if there and PLACEHOLDER not in json.dumps(before, default=str):
            steps.append({"op": "test", "path": pointer, "value": before})
        if edit.to is not None:
            steps.append({"op": "replace" if there else "add", "path": pointer, "value": edit.to})
        elif there:
            steps.append({"op": "remove", "path": pointer})
    return steps


def _patched(hypothesis: Hypothesis, change: ObjectChange, body: Mapping[str, Any]) -> RemediationAction:
    steps = patch_of(body, change)
    command = commands.patch(change.kind, change.name, change.namespace, json.dumps(steps))
    anew = change.kind in _IMMUTABLE
    named = f"{change.kind} {change.name}"
    return RemediationAction(
        action_id="",
        type=_type_of(hypothesis),
        title=f"Change {named}: {_sentence(body, change)}",
        why=hypothesis.description,
        target=hypothesis.service or (hypothesis.object.name if hypothesis.object else None),
        command=None if anew else command,
        risk=Risk.MEDIUM if anew or change.kind in {"Service", "ResourceQuota"} else Risk.LOW,
        expected_effect=_effect(change),
        verification=_verification(hypothesis, change),
        undo=f"Apply the diff of {named} the other way round.",
        missing="a claim cannot be changed in place: it is made anew from the changed manifest" if anew else "",
        evidence=hypothesis.evidence[:_SHOWN],
        diff=diff_of(body, change),
    )


def _type_of(hypothesis: Hypothesis) -> ActionType:
    mechanism = hypothesis.mechanism or ""
    if mechanism in {"deployment_zero_replicas", "oom_killed", "autoscaler_at_maximum"} or "quota" in mechanism:
        return ActionType.SCALE
    return ActionType.ROLLBACK if mechanism == "incorrect_image_reference" else ActionType.CONFIG_REVERT


def _sentence(body: Mapping[str, Any], change: ObjectChange) -> str:
    parts = []
    for edit in change.edits[:_SHOWN]:
        before, there = _value(body, edit)
        field = ".".join(str(step) for step in edit.path[-3:] if not isinstance(step, int))
        after = "nothing" if edit.to is None else _short(edit.to)
        parts.append(f"{field} from {_short(before) if there else 'nothing'} to {after}")
    return "; ".join(parts)


def _effect(change: ObjectChange) -> str:
    if change.kind in {"Deployment", "StatefulSet", "DaemonSet"}:
        return "New pods replace those that cannot work; they become ready."
    if change.kind == "Service":
        return "The service leads to its pods; callers are answered."
    if change.kind == "Ingress":
        return "Requests reach the service that they are for."
    if change.kind == "HorizontalPodAutoscaler":
        return "Replicas are added until each has the load that it is meant for."
    return "What was refused is let in."


def _verification(hypothesis: Hypothesis, change: ObjectChange) -> str:
    name = hypothesis.object.name if hypothesis.object else change.name
    if change.kind == "Service":
        return f"The endpoints of {change.name} list every ready pod, and a connection to its port succeeds."
    if change.kind in {"ResourceQuota", "PersistentVolumeClaim"}:
        return "The pods that waited are running, and no new refusal appears in the events."
    if change.kind == "Ingress":
        return f"A request through the ingress {change.name} is answered by {name}."
    return f"All replicas of {name} are ready within 10 minutes, with no restart and no new warning in its events."


def _by_hand(hypothesis: Hypothesis) -> RemediationAction:
    mechanism = hypothesis.mechanism or ""
    name = hypothesis.object.name if hypothesis.object else hypothesis.service or ""
    found = next((row for row in _BY_HAND if row[0].search(mechanism)), None)
    said = hypothesis.suggested_actions[0] if hypothesis.suggested_actions else f"Look at {name}"
    node = hypothesis.object is not None and hypothesis.object.kind == "node"
    reschedule = found is not None and found[1] is ActionType.RESCHEDULE
    command = commands.restart(name) if reschedule and not node else commands.drain(name) if reschedule else None
    return RemediationAction(
        action_id="",
        type=found[1] if found else ActionType.CONFIG_REVERT,
        title=found[2].format(name=name) if found else said,
        why=hypothesis.description,
        target=name or None,
        command=command,
        risk=found[4] if found else Risk.MEDIUM,
        expected_effect=said,
        verification=f"{found[3]} within 10 minutes." if found else f"The trouble of {name} is gone within 10 minutes.",
        undo="Undo the same step.",
        missing="" if command else "what has to be done is outside of what the cluster's objects show",
        evidence=hypothesis.evidence[:_SHOWN],
    )


# --- places in an object ------------------------------------------------------------------------


def _holder(value: Any, edit: ObjectEdit) -> Any:
    """The mapping or list that holds the edited field; mappings on the way are made where they are missing."""
    for step in edit.path[:-1]:
        if isinstance(value, dict):
            value = value.setdefault(step, {}) if edit.to is not None else value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    last = edit.path[-1]
    fits = isinstance(value, dict) or (isinstance(value, list) and isinstance(last, int) and last < len(value))
    return value if fits else None


def _value(body: Any, edit: ObjectEdit) -> tuple[Any, bool]:
    """(value, whether the field is there)."""
    value = body
    for step in edit.path:
        if isinstance(value, Mapping):
            if step not in value:
                return None, False
            value = value[step]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None, False
    return value, True


def _short(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value, default=str))[:80]


def _plain(value: Any) -> Any:
    """Only what YAML and JSON both know."""
    return json.loads(json.dumps(value, default=str))
