"""From a proposal to the exact call: which executor, and every parameter with its value.

Belongs here: the first target of the configuration that fits, and filling its parameters in. Pure.
Does not belong here: asking the target whether it can be done; that is the executor's plan.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from urllib.parse import quote

from incident_pipeline.config import RemediationSettings, Target
from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.models import ActionCall, ActionType, RemediationAction
from incident_pipeline.remediation.executors.registry import can_do
from incident_pipeline.remediation.placeholders import fill

UNRESOLVED = ""
"""The executor of a call that says what is wanted and not yet by whom."""

_ALWAYS: dict[str, dict[str, str]] = {
    "kubectl": {"workload": "deployment/{{ service }}"},
    "argocd": {"application": "{{ application }}"},
    "flags": {"flag": "{{ flag }}", "state": "{{ state }}", "flag_environment": "{{ environment }}"},
}
_BY_OPERATION: dict[tuple[str, ActionType], dict[str, str]] = {
    ("kubectl", ActionType.ROLLBACK): {"version": "{{ version }}"},
    ("kubectl", ActionType.SCALE): {"replicas": "{{ replicas }}"},
    ("argocd", ActionType.ROLLBACK): {"version": "{{ version }}"},
}
"""Parameters that an executor needs whether a target names them or not."""
_KUBECTL = {
    "rollback": ("rollout", "undo"),
    "scale": ("scale",),
    "restart": ("rollout", "restart"),
    "reschedule": ("rollout", "restart"),
}


def wanted(action_type: ActionType, **values: object) -> ActionCall:
    """What an action is about, before it is known who carries it out; what is None is left out."""
    known = {name: str(value) for name, value in values.items() if value is not None}
    return ActionCall(executor=UNRESOLVED, operation=action_type.value, parameters=known)


def resolve(
    action: RemediationAction, incident_id: str, environment: str | None, settings: RemediationSettings
) -> RemediationAction:
    """The action with the exact call, and its command line as people read it; by hand where no target fits."""
    if action.call is not None and action.call.executor != UNRESOLVED:
        return action.model_copy(update={"environment": environment})
    target = target_of(action, environment, settings)
    if target is None or action.call is None or action.missing:
        told = action.type is ActionType.COMMUNICATE
        by_hand = () if action.missing or told else ("a person: no target in remediation.targets fits",)
        needs = (*action.needs, *by_hand)
        return action.model_copy(update={"call": None, "environment": environment, "needs": needs})
    values = _values(action, incident_id, environment)
    try:
        parameters = _parameters(target, action, values)
    except PermanentSourceError as error:
        return action.model_copy(update={"call": None, "environment": environment, "missing": str(error)})
    call = ActionCall(executor=target.executor, operation=action.type.value, parameters=parameters)
    needs = (*action.needs, f"the executor {target.executor}")
    return action.model_copy(
        update={"call": call, "command": described(call), "environment": environment, "needs": needs}
    )


def target_of(action: RemediationAction, environment: str | None, settings: RemediationSettings) -> Target | None:
    """The first target that fits an action."""
    place = (environment or "").strip().lower()
    return next(
        (
            target
            for target in settings.targets
            if (not target.services or action.target in target.services)
            and (not target.actions or action.type.value in target.actions)
            and (target.environment is None or target.environment.strip().lower() == place)
            and can_do(target.executor, action.type)
        ),
        None,
    )


def described(call: ActionCall) -> str:
    """A call as one line that a person reads: for kubectl the command itself."""
    given = call.parameters
    if call.executor != "kubectl":
        shown = [f"{name}={value}" for name, value in sorted(given.items())]
        return shlex.join([call.executor, call.operation, *shown])
    words = ["kubectl", *(f"--{option}={given[option]}" for option in ("context", "namespace") if option in given)]
    words += [*_KUBECTL.get(call.operation, (call.operation,)), given.get("workload", "")]
    words += [f"--to-revision={given['revision']}"] if "revision" in given else []
    words += [f"--replicas={given['replicas']}"] if "replicas" in given else []
    return shlex.join(words)


def _values(action: RemediationAction, incident_id: str, environment: str | None) -> dict[str, str]:
    known = {"service": action.target, "environment": environment, "incident": incident_id}
    own = action.call.parameters if action.call else {}
    values = {name: value for name, value in known.items() if value} | dict(own)
    if action.target:
        values.setdefault("application", action.target)
    return values


def _parameters(target: Target, action: RemediationAction, values: Mapping[str, str]) -> dict[str, str]:
    defaults = _ALWAYS.get(target.executor, {}) | _BY_OPERATION.get((target.executor, action.type), {})
    filled = {}
    for name, text in {**defaults, **target.parameters}.items():
        in_url = target.executor == "http" and name.endswith("url")
        shown = {key: quote(value, safe="") for key, value in values.items()} if in_url else values
        # the execution has no name yet: executors fill it in
        filled[name] = fill(text, {**shown, "execution": "{{ execution }}"}, f"{target.executor}: {name}")
    if target.executor == "command":
        filled |= {f"value.{name}": value for name, value in values.items()}
    return filled
