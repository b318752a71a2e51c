"""What the series and spans say the cause is: the service where it starts, and what kind of failure that is.

Belongs here: hypotheses about services, with a category read from what moved.
Does not belong here: finding what moved (`symptoms`).
"""

from __future__ import annotations

from collections.abc import Sequence

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.fault_signature import fault_signature
from incident_pipeline.diagnosis.graph import service_graph
from incident_pipeline.diagnosis.log_analysis import of_cause
from incident_pipeline.diagnosis.operational_causes import operational_causes
from incident_pipeline.diagnosis.sentences import clock, went
from incident_pipeline.diagnosis.vocabulary import words
from incident_pipeline.models import (
    Category,
    CausedBy,
    Evidence,
    Hypothesis,
    Incident,
    ServiceSymptom,
    Symptoms,
)

APPROACH = "metric_correlation"
_MAX = 4
_KINDS: dict[str, tuple[Category, str, str, str]] = {
    "resource": (
        Category.CAPACITY_PROBLEM,
        "resource_saturation",
        "runs short of a resource",
        "Scale {service} out, or restart it and see whether the use comes back",
    ),
    "trace_wire": (
        Category.DEPENDENCY_FAILURE,
        "network_delay",
        "is slow to reach over the network",
        "Check the network path to {service}; move traffic away from it",
    ),
    "errors": (
        Category.CODE_BUG,
        "failing_requests",
        "fails requests that none of its dependencies explains",
        "Read the errors of {service}; compare its configuration and code with the last that worked",
    ),
    "latency": (
        Category.CODE_BUG,
        "slow_requests",
        "is slow by itself, not by what it calls",
        "Profile {service}; compare its configuration and code with the last that worked",
    ),
}
_MEMBERS = {
    "resource": words("resource memory resource_felt"),
    "trace_wire": words("trace_wire"),
    "errors": words("errors errors_own edge_in edge_out trace_errors canary_errors log_errors"),
    "latency": words("latency latency_own canary_latency trace_inside"),
}
_FAMILY = {reason: family for family, reasons in _MEMBERS.items() for reason in reasons}


_SAYS = {
    "trace_wire": "Callers wait for it far longer than its own spans take, so the time is lost on the way",
    "trace_errors": "Failing traces end in it: none of the calls below it fails",
    "latency_own": "What it calls does not explain its slowness",
    "errors_own": "What it calls does not explain its errors",
    "chain": "Every service between it and the alert is affected too",
    "log_errors": "Its log has lines that were not there before, or far fewer",
}


def metric_hypotheses(
    incident: Incident, evidence: Evidence, symptoms: Symptoms, settings: Scenario
) -> tuple[Hypothesis, ...]:
    """Operational causes that series show, then the services where the problem most likely starts."""
    del settings
    signature = fault_signature(incident, evidence, symptoms)
    causes = operational_causes(evidence, symptoms, signature, service_graph(evidence))
    found = [of_cause(c, symptoms, APPROACH) for c in causes if c.caused_by[0] == "metric" and c.score > 0]
    found += [h for h in (_of_service(s, symptoms) for s in symptoms.services[:3]) if h is not None]
    return tuple(sorted(found, key=lambda h: (-h.confidence, h.description, repr(h)))[:_MAX])


def _of_service(symptom: ServiceSymptom, symptoms: Symptoms) -> Hypothesis | None:
    own = [a for a in symptoms.anomalies if a.service == symptom.service and a.kind != "setting"]
    family = _family(symptom.reasons)
    if family is None:
        return None
    category, mechanism, says, action = _KINDS[family]
    return Hypothesis(
        category=category,
        service=symptom.service,
        description=f"{symptom.service} {says}",
        confidence=round(0.8 * symptom.score, 4),
        evidence=(
            *[went(a) for a in own[:3]],
            *[_SAYS[reason] for reason in symptom.reasons if reason in _SAYS],
            *_first(symptom, symptoms),
            *_not_seen(symptoms),
        ),
        suggested_actions=(action.format(service=symptom.service),),
        caused_by=CausedBy(kind="metric", id=own[0].series if own else None),
        mechanism=mechanism,
        approach=APPROACH,
        disproved_by=f"another service left its normal range before {symptom.service}",
    )


def _family(reasons: Sequence[str]) -> str | None:
    """The kind of failure that the reasons show; a resource and the wire say why, slowness and errors only how.

    A service that is short of a resource is slow to answer on the wire too, so the resource comes first.
    """
    if {"resource", "memory"} & set(reasons):
        return "resource"
    if "trace_wire" in reasons:
        return "trace_wire"
    return next((_FAMILY[reason] for reason in reasons if reason in _FAMILY), None)


def _first(symptom: ServiceSymptom, symptoms: Symptoms) -> list[str]:
    times = {s.service: s.since for s in symptoms.services if s.since is not None}
    if symptom.since is None or len(times) < 2:
        return []
    later = sum(1 for service, at in times.items() if service != symptom.service and at > symptom.since)
    return [f"It left its normal range at {clock(symptom.since)}, before {later} other services"] if later else []


def _not_seen(symptoms: Symptoms) -> list[str]:
    return ["No logs were available to confirm it"] if not symptoms.looked_at.get("logs") else []
