"""Actions for causes that no change explains: too little, too slow, expired, or somebody else's.

Belongs here: scale, restart, reschedule, certificate, failover, escalation.
Does not belong here: when each is the right answer (`proposals.py`).
"""

from __future__ import annotations

import math
import re

from incident_pipeline.documents.wording import count
from incident_pipeline.models import ActionType, Evidence, Hypothesis, RemediationAction, Risk
from incident_pipeline.remediation import commands
from incident_pipeline.remediation.resolving import wanted

_NORMAL_AGAIN = "The symptom that moved first is back in its normal range within 10 minutes."
_STATEFUL = re.compile(
    r"(^|[^a-z])(\w*db|database|postgres\w*|mysql|mariadb|mongo\w*|redis|memcached|kafka|rabbitmq|etcd|zookeeper|"
    r"cassandra|elasticsearch|opensearch|index|queue|broker|cache)([^a-z]|$)",
    re.IGNORECASE,
)
"""Names of what keeps data: more of it, or a restart, is not a matter of replicas."""
_NAME_MISSING = "the workload's name is not known"


def scale(hypothesis: Hypothesis, evidence: Evidence) -> RemediationAction:
    """Half as many replicas again as are running, at least two more."""
    service = hypothesis.service
    if service and _STATEFUL.search(service):
        return _more_capacity(hypothesis, service)
    running = _replicas(evidence, service)
    more = running + max(2, running // 2) if running else None
    command = commands.scale(service, more) if service and more else None
    detail = f" from {running} to {count(more, 'replica')}" if running and more else ""
    missing = "" if running else "the number of replicas that run now is not known"
    return RemediationAction(
        action_id="",
        type=ActionType.SCALE,
        title=f"Scale up {service or 'the affected service'}{detail}",
        why=hypothesis.description,
        target=service,
        command=command,
        risk=Risk.LOW,
        expected_effect="The load is shared by more replicas; saturation and latency fall.",
        verification="Saturation and latency are back in their normal range within 10 minutes.",
        undo=f"Scale back to {count(running, 'replica')}." if running else "Scale back to the number from before.",
        missing=missing or ("" if command else _NAME_MISSING),
        evidence=hypothesis.evidence,
        call=wanted(ActionType.SCALE, replicas=more, current_replicas=running),
    )


def _more_capacity(hypothesis: Hypothesis, service: str) -> RemediationAction:
    """More of what keeps data, by whoever runs it."""
    return RemediationAction(
        action_id="",
        type=ActionType.SCALE,
        title=f"Raise the capacity of {service}",
        why=hypothesis.description,
        target=service,
        risk=Risk.MEDIUM,
        expected_effect="The limit that was reached (connections, memory, processor or disk) lies above the load.",
        verification="Saturation and latency are back in their normal range within 10 minutes.",
        undo="Set the former size or limit again.",
    )


def restart(hypothesis: Hypothesis, _evidence: Evidence) -> RemediationAction:
    """A rolling restart."""
    service = hypothesis.service
    command = commands.restart(service) if service else None
    return RemediationAction(
        action_id="",
        type=ActionType.RESTART,
        title=f"Restart {service or 'the affected service'}",
        why=hypothesis.description,
        target=service,
        command=command,
        risk=Risk.HIGH if service and _STATEFUL.search(service) else Risk.LOW,
        expected_effect="Stuck or leaked resources are freed; the cause itself remains.",
        verification=_NORMAL_AGAIN,
        undo="None is needed: the same version runs again.",
        missing="" if command else _NAME_MISSING,
        risk_reasons=("it keeps data",) if service and _STATEFUL.search(service) else (),
        evidence=hypothesis.evidence,
        call=wanted(ActionType.RESTART),
    )


def reschedule(hypothesis: Hypothesis, evidence: Evidence) -> RemediationAction:
    """Away from a node that others use up: new pods are placed anew."""
    action = restart(hypothesis, evidence)
    return action.model_copy(
        update={
            "type": ActionType.RESCHEDULE,
            "call": wanted(ActionType.RESCHEDULE),
            "title": f"Reschedule {hypothesis.service or 'the affected service'} to other nodes",
            "expected_effect": "The pods no longer share a node with what uses it up.",
            "undo": "None is needed: the same version runs on another node.",
        }
    )


def rotate_certificate(hypothesis: Hypothesis, _evidence: Evidence) -> RemediationAction:
    """A new certificate."""
    return RemediationAction(
        action_id="",
        type=ActionType.ROTATE_CERT,
        title=f"Renew the TLS certificate of {hypothesis.service or 'the affected service'}",
        why=hypothesis.description,
        target=hypothesis.service,
        risk=Risk.MEDIUM,
        expected_effect="TLS handshakes succeed again.",
        verification="The new certificate's end date lies in the future; handshake errors stop.",
        undo="Install the former certificate again.",
        evidence=hypothesis.evidence,
        call=wanted(ActionType.ROTATE_CERT),
    )


def rotate_credential(hypothesis: Hypothesis, evidence: Evidence) -> RemediationAction:
    """A new credential."""
    action = rotate_certificate(hypothesis, evidence)
    return action.model_copy(
        update={
            "title": f"Renew the credential of {_origin(hypothesis)}",
            "expected_effect": "Calls are authorised again.",
            "verification": "Calls with the new credential are answered; authorisation errors stop.",
            "undo": "Use the former credential again.",
        }
    )


def purge_bad_data(hypothesis: Hypothesis, _evidence: Evidence) -> RemediationAction:
    """Aside with what cannot be processed."""
    return RemediationAction(
        action_id="",
        type=ActionType.PURGE_BAD_DATA,
        title=f"Set the bad records of {_origin(hypothesis)} aside",
        why=hypothesis.description,
        target=hypothesis.service,
        risk=Risk.MEDIUM,
        expected_effect="What is well formed is processed again; the bad records are kept for repair.",
        verification="Processing goes on and the records that were set aside are counted.",
        undo="Put the records that were set aside back.",
        evidence=hypothesis.evidence,
        call=wanted(ActionType.PURGE_BAD_DATA),
    )


def failover(hypothesis: Hypothesis, evidence: Evidence) -> RemediationAction:
    """Around something that does not answer, where there is a way around it."""
    service, host = _origin(hypothesis), _outside_host(hypothesis, evidence)
    way = next((way for word, way in _WAYS if word in (hypothesis.mechanism or "")), "around the dependency that fails")
    title = f"Fail over {service} from {host} to another provider" if host else f"Fail over {service} {way}"
    return RemediationAction(
        action_id="",
        type=ActionType.FAILOVER,
        title=title,
        why=hypothesis.description,
        target=hypothesis.service,
        risk=Risk.MEDIUM,
        expected_effect="Requests no longer wait for what is failing, if there is an alternative to it.",
        verification="Errors and latency of its callers are back in their normal range within 10 minutes.",
        undo="Fail back when it answers again.",
        evidence=hypothesis.evidence,
        call=wanted(ActionType.FAILOVER),
    )


def escalate_upstream(hypothesis: Hypothesis, evidence: Evidence) -> RemediationAction:
    """Tell those who run what fails."""
    host = _outside_host(hypothesis, evidence)
    whom = f"the operator of {host}" if host else f"those who run what {_origin(hypothesis)} depends on"
    return RemediationAction(
        action_id="",
        type=ActionType.ESCALATE_UPSTREAM,
        title=f"Escalate to {whom}",
        why=hypothesis.description,
        target=host or hypothesis.service,
        risk=Risk.NONE,
        expected_effect="Those who can repair it know of it.",
        verification="The operator has confirmed the report.",
        undo="Withdraw the report.",
        evidence=hypothesis.evidence,
        call=wanted(ActionType.ESCALATE_UPSTREAM),
    )


_WAYS = (
    ("region", "to another region"),
    ("third_party", "to another provider"),
    ("dns", "to another resolver"),
    ("database", "to a healthy replica"),
    ("network", "away from the network path that fails"),
)
_URL_HOST = re.compile(r"https?://([a-z0-9-]+(?:\.[a-z0-9-]+)+)", re.IGNORECASE)


def _outside_host(hypothesis: Hypothesis, evidence: Evidence) -> str | None:
    """The host in a URL that the evidence quotes, unless it is that of a service of the catalogue."""
    ours = {service.name.lower() for service in evidence.service_graph.rows}
    hosts = (host.lower() for line in hypothesis.evidence for host in _URL_HOST.findall(line))
    return next(
        (host for host in hosts if host.split(".")[0] not in ours and not host.replace(".", "").isdigit()), None
    )


def _origin(hypothesis: Hypothesis) -> str:
    return hypothesis.service or "the affected service"


def _replicas(evidence: Evidence, service: str | None) -> int | None:
    """How many replicas ran last, where a series counts them."""
    for series in evidence.metrics.rows:
        if series.service == service and "replicas" in series.name.lower():
            known = [value for value in series.values if math.isfinite(value)]
            if known and known[-1] >= 1:
                return int(known[-1])
    return None
